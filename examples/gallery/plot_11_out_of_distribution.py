"""
Know when not to trust a wave
=============================

Does the network notice a record that is unlike its training? The same wave is damped more and more, as by a clot or a
bubble in the line. The network flags its windows as out of distribution, and there its intervals no longer hold (*in silico*).
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.signal

import cap_jax as cj

BLACK, BLUE, ORANGE = "#000000", "#0072B2", "#D55E00"

# %%
# Eight virtual subjects. A low-pass of first order stands for the line.

people = cj.cohort("population", subjects=8, seed=5, device=cj.clinics.EXACT).recordings
net = cj.load("radial")


def damped(wave, pole_hz):
  """Returns a pressure behind a line with a pole [Hz]."""
  b, a = scipy.signal.butter(1, pole_hz, fs=125)
  return scipy.signal.lfilter(b, a, wave, zi=scipy.signal.lfilter_zi(b, a) * wave[0])[0]


# %%
# A 90 % interval holds for data like those of its calibration. The share of samples in it shows how far it holds here.

poles_hz = (20.0, 10.0, 6.0, 4.0, 2.5, 1.5)
rows = []
for pole_hz in poles_hz:
  out = [net.reconstruct(damped(person.signals["radial"], pole_hz), fs_hz=125) for person in people]
  truth = [person.signals["aortic_root"] for person in people]
  low, high = (np.concatenate([one.interval[:, side] for one in out]) for side in (0, 1))
  true_t = np.concatenate(truth)
  inside = (low <= true_t) & (true_t <= high)
  error = np.sqrt(np.mean([np.square(one.aortic_mmhg - wave).mean() for one, wave in zip(out, truth, strict=True)]))
  rows.append((np.mean([one.ood_fraction for one in out]), (high - low).mean() / 2, inside.mean(), error))
  flag, half, covered, _ = rows[-1]
  print(f"{pole_hz:4.1f} Hz: {100 * flag:3.0f} % flagged, ± {half:.1f} mmHg, covers {100 * covered:.0f} % (in silico)")

# %%

flags, halves, coverage, errors = np.array(rows).T
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
left.plot(poles_hz, halves, "s-", color=BLUE, label="half the width of the interval")
left.plot(poles_hz, errors, "o-", color=BLACK, label="RMSE of the wave")
left.set(ylabel="pressure [mmHg]", ylim=(0, None))
right.plot(poles_hz, 100 * flags, "s-", color=ORANGE, label="windows flagged")
right.plot(poles_hz, 100 * coverage, "o-", color=BLUE, label="samples in the interval")
right.set(ylabel="share [%]", ylim=(0, 105))
for axes in (left, right):
  axes.set(xlabel="pole of the line [Hz]", xscale="log", title="in silico")
  axes.set_xticks(poles_hz, [f"{pole_hz:g}" for pole_hz in poles_hz], minor=False)
  axes.minorticks_off()
  axes.invert_xaxis()
  axes.legend(frameon=False, fontsize=8)
plt.show()
