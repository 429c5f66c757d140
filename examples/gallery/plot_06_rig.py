"""
Measured waves: another state of the loop
=========================================

Does what is learnt in one state of a mock circulatory loop hold in another? A transfer function and feature transfer
learn from the normal state and are tested in cardiogenic shock. All waves are measured (*in vitro*).
"""

import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj
from cap_jax import baselines

GREY, ORANGE, GREEN, BLUE = "#929292", "#D55E00", "#009E73", "#0072B2"

# %%
# The states are recorded on one loop: 12 usable records at 75 beats/min, and 14 in shock at 90 beats/min. The network was
# trained in silico and flags all windows as out of distribution, so it falls back to a conservative filter.

normal, shock = cj.datasets.rig("NV").windows(), cj.datasets.rig("CS").windows(hop_s=4)
net = cj.load("radial")
unchanged = cj.evaluate(net, shock)
print(f"{100 * unchanged.subjects['ood_fraction'].mean():.0f} % of the windows are out of distribution (in vitro)")

# %%
# Feature transfer freezes the extractor and trains a new head. The transfer function is a filter of finite length, whose
# length and ridge are chosen on a fifth of the same records.


def rmse(y_bt):
  """Returns the error of each record [mmHg], without a quarter of a second at the ends of a window."""
  square_b = np.square(y_bt - shock.y_bt)[:, 31:-31].mean(1)
  return np.sqrt([square_b[shock.subject_b == name].mean() for name in shock.subjects])


errors = {"radial wave": rmse(shock.x_bt), "source network": rmse(net.predict(shock))}
colours = [GREY, ORANGE]
for count in (5, 12):
  names = normal.subjects[:count]
  labelled, parts = normal.of(names), (normal.of(names[: -count // 5]), normal.of(names[-count // 5 :]))
  fitted = baselines.FITTED["gtf"].fit(*parts, cj.config.Windows())
  errors[f"transfer function, {count}"] = rmse(fitted(shock))
  moved = cj.transfer(net, "feature_transfer", labelled=labelled, budget=cj.Budget(seed=0))
  errors[f"feature transfer, {count}"] = rmse(moved.predict(shock))
  colours += [GREEN, BLUE]
for name, one in errors.items():
  print(f"{name}: RMSE {one.mean():.2f} mmHg, worst record {one.max():.2f} mmHg (in vitro)")

# %%
# A bar is the mean over the records in shock, a point is one of them. The numbers are those of the training records.

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
rows = np.arange(len(errors))[::-1]
axes.barh(rows, [one.mean() for one in errors.values()], 0.6, color=colours, alpha=0.5)
for row, one, colour in zip(rows, errors.values(), colours, strict=True):
  axes.plot(one, row + np.linspace(-0.2, 0.2, len(one)), ".", color=colour)
axes.set_yticks(rows, errors)
axes.set(xlabel="RMSE of the aortic wave [mmHg]", xlim=(0, None), title="in vitro, 14 records in shock")
plt.show()
