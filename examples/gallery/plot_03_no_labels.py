"""
Adapt without labels
====================

What can be gained from a clinic's radial waves alone? The packaged network reads the spectra of other records of the
clinic, and nothing is trained. Three clinics show that this can help, change little, or harm (*in silico*).
"""

import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj

ORANGE, BLUE = "#D55E00", "#0072B2"

# %%
# The same people, measured through three lines. The training of the network included such lines.

lines = {
  "over-damped\n8 Hz, ζ 1.2": cj.clinics.Device(natural_hz=(8.0, 8.0), damping=(1.2, 1.2)),
  "under-damped\n9 Hz, ζ 0.2": cj.clinics.FLUID_FILLED,
  "under-damped\n12 Hz, ζ 0.1": cj.clinics.Device(natural_hz=(12.0, 12.0), damping=(0.1, 0.1)),
}

# %%
# Of 40 subjects of each clinic, 28 lend their radial waves, and the other 12 are the test.

net = cj.load("radial")
errors = {}
for name, line in lines.items():
  clinic = cj.cohort("population", subjects=40, seed=1, seconds=12, device=line)
  names = [person.subject for person in clinic.recordings]
  unlabelled = clinic.windows().of(names[:28]).unlabelled()  # without the aortic wave
  test = clinic.windows(hop_s=4).of(names[28:])
  adapted = cj.transfer(net, "domain_adaptation/context", unlabelled=unlabelled)
  errors[name] = [cj.evaluate(one, test).subjects["rmse_mmhg"] for one in (net, adapted)]
print(adapted.reason)

# %%

for name, (before, after) in errors.items():
  print(
    f"{' '.join(name.split())}: RMSE unchanged {before.mean():.2f} mmHg, adapted {after.mean():.2f} mmHg (in silico)"
  )

# %%
# A bar is the mean over the 12 test subjects, a point is one of them.

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for number, (label, colour) in enumerate((("unchanged network", ORANGE), ("adapted without labels", BLUE))):
  at = np.arange(len(errors)) + 0.36 * number - 0.18
  rmse = [pair[number] for pair in errors.values()]
  axes.bar(at, [one.mean() for one in rmse], 0.32, color=colour, alpha=0.5, label=label)
  for x, one in zip(at, rmse, strict=True):
    axes.plot(x + np.linspace(-0.1, 0.1, len(one)), one, ".", color=colour, ms=5)
axes.set_xticks(range(len(errors)), errors)
axes.set(ylabel="RMSE of the wave [mmHg]", title="in silico")
axes.legend(frameon=False)
plt.show()
