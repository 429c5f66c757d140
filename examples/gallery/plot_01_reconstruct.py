"""
Reconstruct an aortic wave
==========================

What does the packaged network make of a pressure wave at the wrist? It returns the aortic wave with a 90 % prediction
interval, and the pressures of each beat. The subject is virtual, so the true aortic wave is known (*in silico*).
"""

import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj

BLACK, GREY, BLUE = "#000000", "#929292", "#0072B2"

# %%
# A person of 60 to 80 years with hypertension, recorded for 16 s at 125 Hz.

person = cj.cohort("population", subjects=1, seed=3).recordings[0]
radial, truth = person.signals["radial"], person.signals["aortic_root"]

# %%
# The network reads the radial wave alone.

net = cj.load("radial")
out = net.reconstruct(radial, fs_hz=125)
print(out)
print(out.beats[["time_s", "hr_bpm", "csbp_est_mmhg", "csbp_half_width_mmhg", "peripheral_sbp_mmhg"]].head().round(1))

# %%
# Central systolic pressure (cSBP) is the highest aortic pressure of a beat. The errors below are those of this record.

whole = out.beats[out.beats["time_s"] + 60 / out.beats["hr_bpm"] < out.time_s[-1]]
true_csbp = [
  truth[(out.time_s >= start) & (out.time_s < start + 60 / rate)].max()
  for start, rate in zip(whole["time_s"], whole["hr_bpm"], strict=True)
]
csbp, half = whole["csbp_est_mmhg"].mean(), whole["csbp_half_width_mmhg"].mean()
rmse = np.sqrt(np.square(out.aortic_mmhg - truth).mean())
print(f"cSBP {csbp:.1f} ± {half:.1f} mmHg, true {np.mean(true_csbp):.1f} mmHg, {len(whole)} beats (in silico)")
print(f"RMSE of the aortic wave {rmse:.2f} mmHg (in silico)")

# %%
# Four seconds from the middle of the record.

part = (out.time_s >= 6) & (out.time_s < 10)
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(out.time_s[part], radial[part], color=GREY, label="radial, measured")
axes.fill_between(out.time_s[part], *out.interval[part].T, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
axes.plot(out.time_s[part], out.aortic_mmhg[part], color=BLUE, label="aortic, reconstructed")
axes.plot(out.time_s[part], truth[part], "--", color=BLACK, lw=1, label="aortic, true")
axes.set(xlabel="time [s]", ylabel="pressure [mmHg]", title="in silico")
figure.legend(loc="outside lower center", ncols=4, frameon=False)
plt.show()

# %%
# ``plot`` draws the whole record. In a notebook it is a page to zoom and to go from beat to beat.

out.plot()
