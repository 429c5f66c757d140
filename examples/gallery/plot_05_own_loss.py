r"""
Train with a loss of your own
=============================

Can a strategy penalise an error that matters to you? Here it is the error of the slope, so that the steepest rise of
the aortic pressure, dP/dt max, is right too. A term of the loss is a value, as a strategy is (*in silico*).
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import cap_jax as cj

ORANGE, BLUE = "#D55E00", "#0072B2"

# %%
# The loss is the error of the wave and, weighted by λ, of its change from sample to sample:
#
# .. math:: L = \overline{(\hat y_t - y_t)^2} + \lambda\, \overline{(\Delta\hat y_t - \Delta y_t)^2},
#    \qquad \Delta y_t = y_{t+1} - y_t


def make_slope(context):
  """Returns the loss of the slope; "h" are the features of the windows "x", and "y" is their reference."""

  def loss(params, batch, key):
    part = batch["target"]
    error_bt = context.net.reconstruct(params["r"], part["h"], part["x"]) - part["y"]
    return jnp.square(jnp.diff(error_bt, axis=1)).mean(), {}

  return loss


slope = cj.Definition(make_slope, streams=("target",))

# %%
# Both strategies tune all parameters on five virtual subjects behind a slow line, a low-pass of 6 Hz. Twelve others
# are the test.

people = cj.cohort("population", subjects=17, seed=1, device=cj.clinics.Device(pole_hz=(6.0, 6.0)))
names = [person.subject for person in people.recordings]
labelled, test = people.windows().of(names[:5]), people.windows(hop_s=4).of(names[5:])
net, target = cj.load("radial"), cj.Term("target")
losses = {"wave alone": (target,), "wave and slope": (target, cj.Term("slope", 30.0, definition=slope))}
errors = {}
for name, loss in losses.items():
  mine = cj.Strategy(init_from_source=("f", "r"), loss=loss, learning_rate=1e-3, name=name)
  tuned = cj.transfer(net, mine, labelled=labelled, budget=cj.Budget(steps=100, seed=0))
  steepest = [125 * np.diff(wave_bt[:, 31:-31], axis=1).max(1) for wave_bt in (tuned.predict(test), test.y_bt)]
  rmse = cj.evaluate(tuned, test).subjects["rmse_mmhg"]
  errors[name] = (rmse, np.abs(steepest[0] - steepest[1]))
  print(f"{name}: RMSE {rmse.mean():.2f} mmHg, dP/dt max wrong by {errors[name][1].mean():.0f} mmHg/s (in silico)")

# %%
# Each point is a test subject on the left, and a window of 4 s on the right. A line is the mean.

figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
for side, (one, label) in enumerate(zip(axes, ("RMSE of the wave [mmHg]", "error of dP/dt max [mmHg/s]"), strict=True)):
  for at, (name, colour) in enumerate(zip(errors, (ORANGE, BLUE), strict=True)):
    values = np.asarray(errors[name][side])
    one.plot(at + np.linspace(-0.2, 0.2, len(values)), values, ".", color=colour)
    one.hlines(values.mean(), at - 0.3, at + 0.3, color=colour)
  one.set_xticks(range(len(errors)), errors)
  one.set(ylabel=label, ylim=(0, None), xlim=(-0.5, 1.5), title="in silico")
plt.show()
