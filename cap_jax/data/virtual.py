"""A virtual clinic → recordings: the cohort of `arteries` seen through the clinic's device."""

import dataclasses
import functools

import jax
import numpy as np
import tqdm

from cap_jax import config
from cap_jax.arteries import cohort, population, sensors
from cap_jax.data import recordings

_CHUNK = 64


@functools.partial(jax.jit, static_argnames=("clinic", "sites", "reference"))
def _waves(key, subjects, clinic: config.Clinic, sites: tuple[str, ...], reference: str):
  wave_key, noise_key = jax.random.split(key)
  waves = cohort.records(wave_key, subjects, clinic.seconds, clinic.fs_hz, clinic.rhythm)

  def measured(number: int, site: str):
    if site in (reference, recordings.PPG):
      return waves[site]
    keys = jax.random.split(jax.random.fold_in(noise_key, number), subjects.age.shape[0])
    return jax.vmap(lambda k, p_t: sensors.measure(k, p_t, clinic.fs_hz, clinic.device))(keys, waves[site])

  return {site: measured(number, site) for number, site in enumerate(sites)}


def load(
  clinic: config.Clinic, sites: tuple[str, ...] = ("radial",), reference: str = "aortic_root"
) -> list[recordings.Recording]:
  """Records of all the clinic's subjects.

  Args:
    clinic: whom it sees, with what device, and the seed.
    sites: peripheral sites, measured with the clinic's device (a PPG comes as it is).
    reference: the site of the true wave, which the device does not touch.
  """
  subject_key, wave_key = jax.random.split(jax.random.key(clinic.seed))
  subjects = population.draw(subject_key, clinic.population, clinic.subjects)
  wanted = tuple(dict.fromkeys((*sites, reference)))
  time_s = np.arange(round(clinic.seconds * clinic.fs_hz)) / clinic.fs_hz
  units = {site: "1" if site == recordings.PPG else "mmHg" for site in wanted}
  # every chunk has the same shape, and every clinic of these settings shares the program
  plain = _nameless(clinic)
  found = []
  progress = tqdm.tqdm(total=clinic.subjects, desc=f"{clinic.name}: subjects", unit="", leave=False)
  for start in range(0, clinic.subjects, _CHUNK):
    rows = np.arange(start, start + _CHUNK) % clinic.subjects
    part = jax.tree.map(lambda x, rows=rows: x[rows], subjects)
    waves = jax.tree.map(np.asarray, _waves(jax.random.fold_in(wave_key, start), part, plain, wanted, reference))
    covariates = jax.tree.map(np.asarray, part)._asdict()
    for k in range(min(_CHUNK, clinic.subjects - start)):
      found.append(
        recordings.Recording(
          subject=f"{clinic.name}-{clinic.seed}-{start + k:05d}",
          time_s=time_s,
          signals={site: waves[site][k] for site in wanted},
          units=units,
          covariates={name: float(value[k]) for name, value in covariates.items()},
        )
      )
      progress.update()
  progress.close()
  return found


def _nameless(clinic: config.Clinic) -> config.Clinic:
  """The clinic without what the compiled program does not depend on."""
  return dataclasses.replace(clinic, name="", subjects=0, seed=0, population=config.Population())
