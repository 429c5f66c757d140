"""A virtual clinic → recordings: the cohort of `arteries` seen through the clinic's device."""

import dataclasses
import functools

import jax
import numpy as np
import tqdm

from cap_jax import clinic_limits, clinics
from cap_jax.arteries import cohort, plausibility, sensors
from cap_jax.data import recordings

_CHUNK = 64
_CUFF_SITE, _CUFF = "brachial", ("cuff_dbp_mmhg", "cuff_sbp_mmhg")


@functools.partial(jax.jit, static_argnames=("clinic", "sites", "reference"))
def _waves(key, subjects, chains, clinic: clinics.Clinic, sites: tuple[str, ...], reference: str):
  wave_key, noise_key = jax.random.split(key)
  waves = cohort.records(wave_key, subjects, clinic.seconds, clinic.fs_hz, clinic.rhythm)

  def measured(number: int, site: str):
    if site == reference:
      return waves[site]
    optical = site == recordings.PPG
    device = clinic.oximeter if optical else clinic.device
    cuff_site = device.cuff.site if device.cuff and device.cuff.site else site
    keys = jax.random.split(jax.random.fold_in(noise_key, number), subjects.age.shape[0])
    seen = jax.vmap(lambda k, x_t, cuff_t, chain: sensors.measure(k, x_t, cuff_t, clinic.fs_hz, device, chain))(
      keys, waves[site], waves[cuff_site], chains[optical]
    )
    return jax.vmap(sensors.min_max)(seen) if optical and device.cuff is None else seen

  keys = jax.random.split(jax.random.fold_in(noise_key, len(recordings.SITES)), subjects.age.shape[0])
  cuff = jax.vmap(lambda k, p_t: sensors.read_cuff(k, p_t, clinic.fs_hz, clinics.Cuff()))(keys, waves[_CUFF_SITE])
  return {site: measured(number, site) for number, site in enumerate(sites)}, dict(zip(_CUFF, cuff, strict=True))


def _chains(key: jax.Array, device: clinics.Device, count: int) -> sensors.Chain:
  """(subject,) devices: one for all, or each subject's own."""
  if device.scope == "device":
    return jax.tree.map(lambda x: np.full(count, x), sensors.draw_chain(key, device))
  # a key a subject, whatever their number
  keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(np.arange(count))
  return jax.tree.map(np.asarray, jax.vmap(lambda k: sensors.draw_chain(k, device))(keys))


# what a clinic knows of a virtual subject; the other parameters of the model are no input of a network
COVARIATES = ("age", "hr_bpm", "cuff_sbp_mmhg", "cuff_dbp_mmhg")


def load(
  clinic: clinics.Clinic, sites: tuple[str, ...] = ("radial",), reference: str = "aortic_root"
) -> list[recordings.Recording]:
  """Records of all the clinic's subjects, with their parameters and what a cuff at the arm reads of them as covariates.

  Args:
    clinic: whom it sees, with what devices, and the seed.
    sites: peripheral sites, measured with the clinic's device, a PPG with its oximeter.
    reference: the site of the true wave, which no device touches.

  Raises:
    InputError: a value of the clinic or its population cannot be.
  """
  clinic_limits.check(clinic)
  subject_key, wave_key, device_key, oximeter_key = jax.random.split(jax.random.key(clinic.seed), 4)
  subjects = plausibility.draw(subject_key, clinic.population, clinic.subjects)
  chains = (
    _chains(device_key, clinic.device, clinic.subjects),
    _chains(oximeter_key, clinic.oximeter, clinic.subjects),
  )
  wanted = tuple(dict.fromkeys((*sites, reference)))
  time_s = np.arange(round(clinic.seconds * clinic.fs_hz)) / clinic.fs_hz
  bare = clinic.oximeter.cuff is None
  units = {site: "1" if site == recordings.PPG and bare else "mmHg" for site in wanted}
  # every chunk has the same shape, and every clinic of these settings shares the program
  plain = _nameless(clinic)
  found = []
  progress = tqdm.tqdm(total=clinic.subjects, desc=f"{clinic.name}: subjects", unit="", leave=False)
  for start in range(0, clinic.subjects, _CHUNK):
    rows = np.arange(start, start + _CHUNK) % clinic.subjects
    part, devices = jax.tree.map(lambda x, rows=rows: x[rows], (subjects, chains))
    key = jax.random.fold_in(wave_key, start)
    waves, cuff = jax.tree.map(np.asarray, _waves(key, part, devices, plain, wanted, reference))
    known = {**part._asdict(), **cuff}
    for k in range(min(_CHUNK, clinic.subjects - start)):
      found.append(
        recordings.Recording(
          subject=f"{clinic.name}-{clinic.seed}-{start + k:05d}",
          time_s=time_s,
          signals={site: waves[site][k] for site in wanted},
          units=units,
          covariates={name: float(value[k]) for name, value in known.items()},
        )
      )
      progress.update()
  progress.close()
  return found


def _nameless(clinic: clinics.Clinic) -> clinics.Clinic:
  """The clinic without what the compiled program does not depend on."""
  return dataclasses.replace(clinic, name="", subjects=0, seed=0, population=clinics.Population())
