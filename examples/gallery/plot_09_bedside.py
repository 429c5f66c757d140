"""
Stream at the bedside
=====================

How late is the aortic wave at the bedside? Samples arrive in chunks of 80 ms. A beat is reconstructed as soon as the
foot of the next one is certain, and no later samples are used (*in silico*).
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj
from cap_jax.inference import streaming
from cap_jax.signals import beats

BLACK, BLUE, ORANGE = "#000000", "#0072B2", "#D55E00"
FS_HZ, CHUNK, CERTAIN = 125, 10, 40  # a foot is certain 40 samples (0.32 s) later, past the upstroke

# %%
# A virtual patient takes the place of the monitor.

person = cj.cohort("population", subjects=1, seed=3).recordings[0]
radial, truth = person.signals["radial"], person.signals["aortic_root"]

# %%
# ``state`` is the past of the patient. Feet are sought in the last 10 s.

stream = streaming.StreamingNetwork(cj.load("radial").checkpoint, fs_hz=FS_HZ)
state, start = stream.begin(), None
aortic, half, delay_s, compute_ms = (np.full(radial.size, np.nan) for _ in range(4))
for now in range(CHUNK, radial.size + 1, CHUNK):
  first = max(now - 10 * FS_HZ, 0)
  feet = first + beats.find_feet(radial[first:now], FS_HZ)
  for foot in feet[feet <= now - CERTAIN]:
    if start is not None and foot < start + 35:  # the foot of this beat, or one closer than 0.28 s
      continue
    if start is not None:
      began = time.perf_counter()
      state, beat = stream(state, radial[start:foot])
      compute_ms[start:foot] = 1000 * (time.perf_counter() - began)
      aortic[start:foot], half[start:foot] = beat.aortic_mmhg, beat.half_width_mmhg
      delay_s[start:foot] = (now - np.arange(start, foot)) / FS_HZ
    start = foot

# %%
# The delay counts from a sample to the chunk with which its beat is complete. The first beat has no past.

done = np.isfinite(aortic)
rmse = np.sqrt(np.square(aortic - truth)[done].mean())
print(f"delay {np.median(delay_s[done]):.2f} s at the median, {delay_s[done].max():.2f} s at most (in silico)")
print(f"RMSE {rmse:.2f} mmHg as it streams (in silico); computed in {np.median(compute_ms[done]):.0f} ms a beat")

# %%

time_s = np.arange(radial.size) / FS_HZ
figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 4.5), sharex=True, layout="constrained")
upper.fill_between(time_s, aortic - half, aortic + half, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
upper.plot(time_s, aortic, color=BLUE, label="aortic, streamed")
upper.plot(time_s, truth, "--", color=BLACK, lw=1, label="aortic, true")
upper.set(ylabel="pressure [mmHg]", title="in silico")
lower.plot(time_s, delay_s, color=ORANGE)
lower.set(xlabel="time of the sample [s]", ylabel="delay [s]", xlim=(0, 8), ylim=(0, None))
figure.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()
