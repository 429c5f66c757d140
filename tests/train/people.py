"""Windows of made-up people, for trainings that take no time."""

import jax
import numpy as np

from cap_jax.data import batches, scalings
from cap_jax.models import net as nets
from cap_jax.train import checkpoint, domains, runs

SAMPLES = 500
PEOPLE = tuple(f"p{k}" for k in range(5))


def pairs(names, windows, seed):
  """Windows of waves that a network can learn: each subject has its own amplitude and delay between the two."""
  rng = np.random.default_rng(seed)
  time, x, y, who = np.arange(SAMPLES) / 125, [], [], []
  for name in names:
    rate, delay, gain = rng.uniform(0.9, 1.5), rng.uniform(0.03, 0.09), rng.uniform(1.1, 1.5)
    for phase in rng.uniform(0, 1, windows):
      x.append(90 + 20 * gain * np.sin(2 * np.pi * (rate * (time - delay) + phase)))
      y.append(90 + 20 * np.sin(2 * np.pi * (rate * time + phase)))
      who.append(name)
  return batches.Pairs(np.array(x, np.float32), np.array(y, np.float32), np.array(who))


def in_clinics(windows, clinic_b):
  """The same windows, as those of several clinics without labels."""
  membership = batches.Membership(clinic_b, np.zeros_like(clinic_b))
  return batches.ClinicPairs(windows.x_bt, windows.y_bt, windows.subject_b, membership=membership)


def drawn(model, seed=0):
  """Parameters of a network as numbers of numpy, for what asks for their shapes alone: nothing is compiled."""
  shapes = jax.eval_shape(lambda: nets.make_net(model).init(jax.random.key(0), SAMPLES))
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)


def ground(model, steps):
  """Steps and batch, a source network that has learnt nothing, and data with `PEOPLE` labelled."""
  source = pairs([f"s{k}" for k in range(4)], 6, 0)
  params = nets.make_net(model).init(jax.random.key(3), SAMPLES)
  trained = checkpoint.Checkpoint(params=params, model=model, scaling=scalings.fit(source))
  return (
    runs.Budget(steps, 8),
    trained,
    domains.Data(source, pairs(["u0", "u1"], 3, 1).unlabelled(), pairs(PEOPLE, 4, 2)),
  )
