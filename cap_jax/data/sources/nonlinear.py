"""128 virtual subjects of a nonlinear one-dimensional solver, which ship with the package.

Their physics is not the cohort's. The model has the same 116 arteries as (A, Q) equations, with an elastic wall,
Poiseuille's friction and R–C–R terminals without reflection. There is one periodic beat of 200 samples a subject and
site. The covariate `reported` is 1 for every other subject: choose on the rest, report these
(`prepare --out_of_distribution=reported:1:1`, then `--config.test_part=out_of_distribution`).
"""

import functools
from collections.abc import Mapping
from importlib import resources

import numpy as np

from cap_jax.data import datasets, recordings
from cap_jax.types import InputError

PATH = "dev"
SITES = ("aortic_root", "carotid", "brachial", "radial", "digital", "femoral")
_DEFAULT = ("aortic_root", "radial")
_FS_HZ = 250.0


@functools.cache
def _file() -> dict[str, np.ndarray]:
  with resources.files("cap_jax.arteries").joinpath("data/nonlinear_dev.npz").open("rb") as file:
    return dict(np.load(file))


def at_times(beat_t: np.ndarray, period_s: float, time_s: np.ndarray) -> np.ndarray:
  """Evaluates a periodic wave at other times, by its Fourier series.

  Args:
    beat_t: (time,) one period.
    period_s: length of the period [s].
    time_s: (sample,) times [s].

  Returns:
    (sample,) wave.
  """
  count = len(beat_t)
  c_k = np.fft.rfft(beat_t)[: count // 2] / count
  turns = np.exp(2j * np.pi * np.outer(time_s / period_s, np.arange(len(c_k))))
  return c_k[0].real + 2 * (turns[:, 1:] @ c_k[1:]).real


def _read(number: int, sites: tuple[str, ...]) -> recordings.Recording:
  data = _file()
  period_s = 60 / float(data["hr"][number])
  time_s = np.arange(round(period_s * _FS_HZ)) * (period_s / round(period_s * _FS_HZ))
  signals = {site: at_times(data[site][number].astype(float), period_s, time_s) for site in sites}
  covariates = {"age": float(data["age"][number]), "hr_bpm": float(data["hr"][number]), "reported": float(number % 2)}
  return recordings.make(
    _name(number), "beat", f"nonlinear: {_name(number)}", time_s, signals, covariates=covariates, periodic=True
  )


def _name(number: int) -> str:
  return f"nonlinear-{number:03d}"


def load(path: str = PATH, channels: Mapping[str, str] | None = None) -> datasets.DataSet:
  """Lists all subjects.

  Args:
    path: "dev", the only set there is.
    channels: site → itself, for the requested sites; the aortic root and the radial artery if None.

  Returns:
    The data set.

  Raises:
    InputError: there is no such set, or no such site.
  """
  if path != PATH:
    raise InputError(f"--path={path}: unknown data set of the nonlinear solver; use {PATH}")
  sites = tuple(channels or _DEFAULT)
  for site in sites:
    if site not in SITES:
      raise InputError(f"--channels={site}: unknown site of the nonlinear solver; choose from {', '.join(SITES)}")
  sites = tuple(dict.fromkeys(("aortic_root", *sites)))
  entries = tuple(
    datasets.Entry(_name(number), "beat", f"nonlinear: {_name(number)}", functools.partial(_read, number, sites))
    for number in range(len(_file()["hr"]))
  )
  return datasets.DataSet(
    name="nonlinear", entries=entries, source="cap_jax, nonlinear 1-D solutions of the 116 arteries", licence="Apache-2.0", path=path, channels=channels, place=datasets.IN_SILICO,
    notes=("virtual subjects: all results are in silico",),
  )  # fmt: skip
