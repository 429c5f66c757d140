"""
Tune many patients in one program
=================================

Can each patient have a network of their own? The last layer is tuned for each of 24 patients on the first half of the
record, in one program by ``jax.vmap``. The test is the second half of the same record (*in silico*).
"""

import time

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

import cap_jax as cj

PATIENTS = 24

# %%
# Each patient has a transducer of their own. All but the last layer is frozen, so the features are computed once.

pairs = cj.cohort("subject_device", subjects=PATIENTS, seed=1, seconds=32).windows(hop_s=4)
trained = cj.load("radial").checkpoint
x_bt, c_bq = trained.scaling.inputs(pairs, trained.model)
h_bnd = trained.net.features(trained.params["f"], x_bt, c_bq)
h, x, y = (part.reshape(PATIENTS, -1, *part.shape[1:]) for part in (h_bnd, x_bt, trained.scaling.scale(pairs.y_bt)))
first, second = ([part[:, half] for part in (h, x, y)] for half in (slice(0, 4), slice(4, None)))
optimizer, source = optax.adam(3e-3), trained.params["r"]["wave"]


def error(last, h, x, y):
  """Returns the mean square error of the inner part of the windows, in scaled units."""
  y_bt = trained.net.reconstruct({**trained.params["r"], "wave": last}, h, x)
  return jax.numpy.square(y_bt - y)[:, 31:-31].mean()


def tune(h, x, y):
  """Returns the last layer for one patient; it begins at that of the source."""

  def step(_, state):
    change, moments = optimizer.update(jax.grad(error)(state[0], h, x, y), state[1])
    return optax.apply_updates(state[0], change), moments

  return jax.lax.fori_loop(0, 150, step, (source, optimizer.init(source)))[0]


# %%
# One program for all patients, or one for each. Both are compiled before the clock starts.

together, alone = jax.jit(jax.vmap(tune)), jax.jit(tune)
jax.block_until_ready((together(*first), alone(*(part[0] for part in first))))
start = time.perf_counter()
tuned = jax.block_until_ready(together(*first))
middle = time.perf_counter()
jax.block_until_ready([alone(*(part[k] for part in first)) for k in range(PATIENTS)])
ratio = (middle - start) / (time.perf_counter() - middle)
print(f"all together take {ratio:.2f} of the time of {PATIENTS} one after another (on {jax.default_backend()})")

errors = [jax.vmap(error, (axis, 0, 0, 0))(last, *second) for last, axis in ((source, None), (tuned, 0))]
before, after = (trained.scaling.sd_mmhg * np.sqrt(one) for one in errors)
print(f"RMSE of later windows: source {before.mean():.2f} mmHg, own layer {after.mean():.2f} mmHg (in silico)")
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
axes.plot(before, after, "o", color="#0072B2")
axes.axline((0, 0), slope=1, color="#929292", lw=1, label="no change")
axes.set(xlabel="RMSE of the source [mmHg]", ylabel="RMSE with an own layer [mmHg]", title="later windows, in silico")
axes.set(xlim=(0, 3.6), ylim=(0, 3.6), aspect="equal")
axes.legend(frameon=False)
plt.show()
