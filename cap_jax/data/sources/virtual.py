"""Draws recordings of a virtual clinic: the cohort of `arteries`, measured with the clinic's devices.

As a data set its path names the clinic and its size: `healthy,subjects=1200,seconds=60,seed=1`. The name is a source or
a scenario of `clinics`.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from cap_jax import clinics
from cap_jax.arteries import cohort, network, plausibility, population, sensors
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.types import InputError, suggest

CHUNK = 64
_CUFF_KEY = len(network.SITES) + 1  # the keys before it belong to the measured signals
SITES = (*network.SITES, signal_names.PPG)
_CUFF_SITE, _CUFF = "brachial", ("cuff_dbp_mmhg", "cuff_sbp_mmhg")


def _waves(
  key: jax.Array,
  subjects: population.Subject,
  chains: Any,
  clinic: clinics.Clinic,
  sites: tuple[str, ...],
  reference: str,
) -> Any:
  """Returns the waves of the sites as the clinic's devices measure them, and its cuff's readings."""
  wave_key, noise_key = jax.random.split(key)
  waves = cohort.records(wave_key, subjects, clinic.seconds, clinic.fs_hz, clinic.rhythm)
  return _measured(noise_key, waves, chains, _nameless(clinic), sites, reference)


@functools.partial(jax.jit, static_argnames=("clinic", "sites", "reference"))
def _measured(
  noise_key: jax.Array, waves: Any, chains: Any, clinic: clinics.Clinic, sites: tuple[str, ...], reference: str
) -> Any:
  count = len(waves[reference])

  def measured(number: int, site: str) -> jax.Array:
    if site == reference:
      return waves[site]
    optical = site == signal_names.PPG
    device = clinic.oximeter if optical else clinic.device
    cuff_site = device.cuff.site if device.cuff and device.cuff.site else site
    keys = jax.random.split(jax.random.fold_in(noise_key, number), count)
    device_bt = jax.vmap(lambda k, x_t, cuff_t, chain: sensors.measure(k, x_t, cuff_t, clinic.fs_hz, device, chain))(
      keys, waves[site], waves[cuff_site], chains[optical]
    )
    return jax.vmap(sensors.min_max)(device_bt) if optical and device.cuff is None else device_bt

  keys = jax.random.split(jax.random.fold_in(noise_key, _CUFF_KEY), count)
  cuff = jax.vmap(lambda k, p_t: sensors.read_cuff(k, p_t, clinic.fs_hz, clinics.Cuff()))(keys, waves[_CUFF_SITE])
  return {site: measured(number, site) for number, site in enumerate(sites)}, dict(zip(_CUFF, cuff, strict=True))


def _chains(key: jax.Array, device: clinics.Device, count: int) -> sensors.Chain:
  """Draws (subject,) devices: one for all, or one for each subject."""
  if device.scope == "device":
    return jax.tree.map(lambda x: np.full(count, x), _one_chain(key, device))
  return jax.tree.map(np.asarray, _own_chains(key, device, count))


_one_chain = jax.jit(sensors.draw_chain, static_argnames="device")


@functools.partial(jax.jit, static_argnames=("device", "count"))
def _own_chains(key: jax.Array, device: clinics.Device, count: int) -> sensors.Chain:
  # one key for each subject, independent of their number
  keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(count))
  return jax.vmap(lambda k: sensors.draw_chain(k, device))(keys)


# properties of a virtual subject that a clinic knows; a network never reads the other parameters of the model
COVARIATES = ("age", "hr_bpm", "cuff_sbp_mmhg", "cuff_dbp_mmhg")


@functools.lru_cache(2)
def _subjects(clinic: clinics.Clinic) -> tuple[population.Subject, tuple[sensors.Chain, sensors.Chain], jax.Array]:
  """Draws the clinic's subjects, the devices of each (for pressures, for the PPG), and the key of their waves."""
  subject_key, wave_key, device_key, oximeter_key = jax.random.split(jax.random.key(clinic.seed), 4)
  subjects = plausibility.draw(subject_key, clinic.population, clinic.subjects)
  chains = (
    _chains(device_key, clinic.device, clinic.subjects),
    _chains(oximeter_key, clinic.oximeter, clinic.subjects),
  )
  return subjects, chains, wave_key


@functools.lru_cache(1)
def _chunk(
  clinic: clinics.Clinic, sites: tuple[str, ...], reference: str, start: int
) -> tuple[recordings.Recording, ...]:
  """Draws recordings of up to `CHUNK` subjects from `start` on.

  Every chunk has the same shape, and all clinics with these settings share the compiled program.
  """
  subjects, chains, wave_key = _subjects(clinic)
  all_sites = tuple(dict.fromkeys((*sites, reference)))
  time_s = np.arange(round(clinic.seconds * clinic.fs_hz)) / clinic.fs_hz
  unscaled_ppg = clinic.oximeter.cuff is None
  units = {site: "1" if site == signal_names.PPG and unscaled_ppg else "mmHg" for site in all_sites}
  rows = np.arange(start, start + CHUNK) % clinic.subjects
  chunk_subjects, devices = jax.tree.map(lambda x: x[rows], (subjects, chains))
  key = jax.random.fold_in(wave_key, start)
  waves, cuff = jax.tree.map(np.asarray, _waves(key, chunk_subjects, devices, clinic, all_sites, reference))
  covariates = {**chunk_subjects._asdict(), **cuff}
  return tuple(
    recordings.Recording(
      subject=f"{clinic.name}-{clinic.seed}-{start + k:05d}",
      time_s=time_s,
      signals={site: waves[site][k] for site in all_sites},
      units=units,
      covariates={name: float(value[k]) for name, value in covariates.items()},
    )
    for k in range(min(CHUNK, clinic.subjects - start))
  )


def draw(
  clinic: clinics.Clinic, sites: tuple[str, ...] = ("radial",), reference: str = "aortic_root"
) -> list[recordings.Recording]:
  """Draws records of all the clinic's subjects. Covariates are their parameters and the readings of a cuff at the arm.

  Args:
    clinic: population, devices and seed.
    sites: peripheral sites, measured with the clinic's device; a PPG is measured with its oximeter.
    reference: site of the true wave, which no device alters.

  Returns:
    One recording a subject.

  Raises:
    InputError: the cohort has no such site, or hardly any subject of the population is plausible.
  """
  unknown = [site for site in (*sites, reference) if site not in SITES]
  if unknown:
    raise InputError(f"{', '.join(unknown)}: not a site of the virtual cohort; choose from {', '.join(SITES)}")
  _subjects(clinic)  # draws them, with a progress bar of its own
  drawn: list[recordings.Recording] = []
  with tqdm.tqdm(total=clinic.subjects, desc=f"{clinic.name}: subjects", unit="", leave=False) as progress:
    for start in range(0, clinic.subjects, CHUNK):
      drawn += _chunk(clinic, sites, reference, start)
      progress.update(min(CHUNK, clinic.subjects - start))
  return drawn


def _read(clinic: clinics.Clinic, sites: tuple[str, ...], reference: str, number: int) -> recordings.Recording:
  recording = _chunk(clinic, sites, reference, number - number % CHUNK)[number % CHUNK]
  return dataclasses.replace(recording, record="virtual")


def _clinic(path: str) -> clinics.Clinic:
  """Returns the clinic that a path names.

  Raises:
    InputError: the name or a size is unknown.
  """
  name, *sizes = path.split(",")
  templates = {**clinics.SOURCES, **clinics.SCENARIOS}
  if name not in templates:
    raise InputError(f"--path={path}: unknown clinic {name!r}; {suggest(name, templates)}")
  values: dict[str, float] = {"subjects": 100, "seconds": 60.0, "fs_hz": 125.0, "seed": 0}
  for setting in sizes:
    key, _, value = setting.partition("=")
    try:
      values[key] = type(values[key])(value)
    except (KeyError, ValueError) as error:
      raise InputError(f"--path={path}: {setting!r} must be NAME=NUMBER with one of {', '.join(values)}") from error
  return templates[name].clinic(
    name, int(values["subjects"]), values["seconds"], fs_hz=values["fs_hz"], seed=int(values["seed"])
  )


def load(path: str, channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists the records of a clinic, which are drawn chunk by chunk when they are read.

  Args:
    path: `NAME[,subjects=N][,seconds=S][,fs_hz=F][,seed=K]`.
    channels: signal → itself, for the signals beside the aortic root; radial pressure and finger PPG if None.

  Returns:
    The data set.

  Raises:
    InputError: there is no such clinic, or a value is invalid.
  """
  clinic = _clinic(path)
  sites = tuple(
    site for site in (channels or {"radial": "radial", signal_names.PPG: signal_names.PPG}) if site != "aortic_root"
  )
  for site in sites:
    if site not in SITES:
      raise InputError(f"--channels={site}: unknown site of the virtual cohort; choose from {', '.join(SITES)}")

  def entries() -> Iterator[datasets.Entry]:
    for number in range(clinic.subjects):
      read = functools.partial(_read, clinic, sites, "aortic_root", number)
      yield datasets.Entry(f"{clinic.name}-{clinic.seed}-{number:05d}", "virtual", f"virtual: {path}", read)

  return datasets.DataSet(
    name="virtual", entries=tuple(entries()), source="cap_jax, virtual cohort", licence="Apache-2.0", path=path, channels=channels, place=datasets.IN_SILICO,
    notes=("virtual subjects: all results are in silico",),
  )  # fmt: skip


def _nameless(clinic: clinics.Clinic) -> clinics.Clinic:
  """Returns the clinic without the fields that the compiled program does not depend on."""
  return dataclasses.replace(clinic, name="", subjects=1, seed=0, population=clinics.Population())
