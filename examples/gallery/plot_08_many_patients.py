"""
Tune many patients in one program
=================================

Can each patient have a network of their own? The last layer is tuned for each of 24 patients on the first half of the
record, in one program by ``jax.vmap``. The test is the second half of the same record (*in silico*).
"""

import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import cap_jax as cj

ORANGE, BLUE, GREY = "#D55E00", "#0072B2", "#929292"
PATIENTS, STEPS = 24, 150

# %%
# Each patient is measured through a transducer of their own. All but the last layer is frozen, so the
# features are computed once.

net = cj.load("radial")
pairs = cj.cohort("subject_device", subjects=PATIENTS, seed=1, seconds=32).windows(hop_s=4)
trained = net.checkpoint
x_bt, c_bq = trained.scaling.inputs(pairs, trained.model)
h_bnd = trained.net.features(trained.params["f"], x_bt, c_bq)
h, x, y = (part.reshape(PATIENTS, -1, *part.shape[1:]) for part in (h_bnd, x_bt, trained.scaling.scale(pairs.y_bt)))
first, second = ([part[:, half] for part in (h, x, y)] for half in (slice(0, 4), slice(4, None)))


def error(last, h, x, y):
  """Returns the mean square error of the inner part of the windows, in scaled units."""
  head = {**trained.params["r"], "wave": last}
  return jnp.square(trained.net.reconstruct(head, h, x) - y)[:, 31:-31].mean()


def tune(h, x, y):
  """Returns the last layer for one patient; it begins at that of the source."""
  optimizer, last = optax.adam(3e-3), trained.params["r"]["wave"]

  def step(state, _):
    change, moments = optimizer.update(jax.grad(error)(state[0], h, x, y), state[1])
    return (optax.apply_updates(state[0], change), moments), None

  return jax.lax.scan(step, (last, optimizer.init(last)), length=STEPS)[0][0]


# %%
# Both programs are compiled before the clock starts.

together, alone = jax.jit(jax.vmap(tune)), jax.jit(tune)
jax.block_until_ready((together(*first), alone(*(part[0] for part in first))))
start = time.perf_counter()
layers = jax.block_until_ready(together(*first))
middle = time.perf_counter()
each = jax.block_until_ready([alone(*(part[k] for part in first)) for k in range(PATIENTS)])
ratio = (middle - start) / (time.perf_counter() - middle)
print(
  f"one program takes {ratio:.2f} of the time of {PATIENTS} trainings one after another, on {jax.default_backend()}"
)

# %%

rmse = jax.jit(lambda layers, *windows: trained.scaling.sd_mmhg * jnp.sqrt(jax.vmap(error)(layers, *windows)))
source = jax.tree.map(lambda leaf: jnp.stack([leaf] * PATIENTS), trained.params["r"]["wave"])
before, after = (np.asarray(rmse(one, *second)) for one in (source, layers))
print(f"RMSE of later windows: source {before.mean():.2f} mmHg, own layers {after.mean():.2f} mmHg (in silico)")
order, rank = np.argsort(before), np.arange(1, PATIENTS + 1)
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.vlines(rank, before[order], after[order], color=GREY, lw=1)
axes.plot(rank, before[order], "o", color=ORANGE, label="source network")
axes.plot(rank, after[order], "s", color=BLUE, label="own last layer")
axes.set(xlabel="patient, by the first error", ylabel="RMSE of later windows [mmHg]", ylim=(0, None), title="in silico")
axes.legend(frameon=False)
plt.show()
