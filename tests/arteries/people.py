"""Virtual subjects for tests, drawn and computed in the one shape that the library's own draws use, so that programs are shared."""

import functools

import jax
import numpy as np

from cap_jax import clinics
from cap_jax.arteries import cohort, population

COUNT = 256  # of a block of `plausibility.draw`


@functools.cache
def draw(seed: int, spec: clinics.Population, count: int) -> population.Subject:
  """The first `count` subjects of a draw: those that a draw of `count` would give."""
  drawn = population.draw(jax.random.key(seed), spec, COUNT)
  return jax.tree.map(lambda x: np.asarray(x)[:count], drawn)


def beats(subjects: population.Subject) -> dict[str, np.ndarray]:
  """One period at each site, of up to `COUNT` subjects (subject,), filled up with themselves."""
  count = len(np.asarray(subjects.age))
  filled = jax.tree.map(lambda x: np.asarray(x, np.float32)[np.arange(COUNT) % count], subjects)
  return jax.tree.map(lambda x: np.asarray(x)[:count], cohort.beats(filled))


def single(subject: population.Subject) -> population.Subject:
  """One subject as a cohort of one."""
  return jax.tree.map(lambda x: np.asarray(x, np.float32)[None], subject)
