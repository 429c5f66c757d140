"""Windows of made-up people, for trainings that take no time."""

import numpy as np

from cap_jax.data import batches

SAMPLES = 500


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
