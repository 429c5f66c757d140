"""The circumstances of a measurement, as a network reads them: spectra of a subject's record and of its clinic (`signals.spectra`)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cap_jax.signals import spectra

Bands = tuple[tuple[float, float], ...]
_LEAST_SD = 0.3  # of a logarithm; that of the highest bands, which are mostly noise, would exaggerate them
_MOST_WINDOWS = 4096


@dataclasses.dataclass(frozen=True)
class Circumstances:
  """What the spectra are measured by.

  Attributes:
    spectrum: mean and SD of the spectra of training windows, by band.
    clinic: mean and SD over a clinic's subjects of their standardised spectra, by band; () if the clinic is unknown, so that
      each subject stands for its own.
  """

  spectrum: Bands
  clinic: Bands = ()

  def of_subjects(self, x_bt: np.ndarray, subject_b: np.ndarray) -> np.ndarray:
    """Returns the circumstances of windows of one clinic, (window, 3 · band).

    They are the standardised spectrum of the window's subject, and mean and SD of those of the clinic.

    Args:
      x_bt: (window, time) scaled windows.
      subject_b: (window,) names of the subjects.
    """
    own_sk, number_b = spectra.by_group(spectra.log_power(x_bt), subject_b)
    return self.of_log_power(own_sk[number_b])

  def of_log_power(self, log_power_bk: np.ndarray) -> np.ndarray:
    """Returns the circumstances of windows of one clinic, (window, 3 · band).

    Args:
      log_power_bk: (window, band) mean `spectra.log_power` of each window's subject.
    """
    own_bk = self._standardised(log_power_bk)
    if not self.clinic:
      return np.concatenate([own_bk, own_bk, np.zeros_like(own_bk)], axis=1)
    mean_k, sd_k = np.array(self.clinic, np.float32).T
    return np.concatenate([own_bk, *(np.broadcast_to(part_k, own_bk.shape) for part_k in (mean_k, sd_k))], axis=1)

  def of_clinics(self, x_bt: np.ndarray, subject_b: np.ndarray, clinic_b: np.ndarray) -> np.ndarray:
    """Returns the circumstances of windows of several clinics, each by its own subjects, (window, 3 · band).

    Args:
      x_bt: (window, time) scaled windows.
      subject_b: (window,) names of the subjects; one name in two clinics is two records.
      clinic_b: (window,) numbers of the clinics.
    """
    members = np.array([f"{clinic:g}/{name}" for clinic, name in zip(clinic_b, subject_b, strict=True)])
    log_power_sk, number_b = spectra.by_group(spectra.log_power(x_bt), members)
    own_sk, clinic_s = self._standardised(log_power_sk), np.zeros(len(log_power_sk))
    clinic_s[number_b] = clinic_b
    mean_ck, clinic_number_s = spectra.by_group(own_sk, clinic_s)
    mean_sk = mean_ck[clinic_number_s]
    square_ck, _ = spectra.by_group(np.square(own_sk - mean_sk), clinic_s)
    return np.concatenate([own_sk, mean_sk, np.sqrt(square_ck)[clinic_number_s]], axis=1)[number_b]

  def at_clinic(self, x_bt: np.ndarray, subject_b: np.ndarray) -> "Circumstances":
    """Returns the same with the spectra of a clinic.

    Args:
      x_bt: (window, time) scaled windows of its subjects.
      subject_b: (window,) their names.
    """
    log_power_sk, _ = spectra.by_group(spectra.log_power(x_bt), subject_b)
    own_sk = self._standardised(log_power_sk)
    return dataclasses.replace(self, clinic=_bands(own_sk.mean(0), own_sk.std(0)))

  def _standardised(self, log_power_sk: np.ndarray) -> np.ndarray:
    mean_k, sd_k = np.array(self.spectrum, np.float32).T
    return ((log_power_sk - mean_k) / sd_k).astype(np.float32)

  @property
  def header(self) -> dict[str, Bands]:
    """Returns what a checkpoint stores."""
    return dataclasses.asdict(self)

  @classmethod
  def restored(cls, header: dict[str, Sequence[Sequence[float]]]) -> "Circumstances":
    """Returns the circumstances from `header` of a checkpoint.

    Raises:
      KeyError, TypeError, ValueError: bands are missing, not finite, or their SD is negative or, of the training, zero.
    """
    parts = [tuple((float(mean), float(sd)) for mean, sd in header[name]) for name in ("spectrum", "clinic")]
    for bands, least in zip(parts, (1e-6, 0.0), strict=True):
      sound = len(bands) == spectra.BANDS and np.isfinite(bands).all() and min(sd for _, sd in bands) >= least
      if not sound and (bands or least):
        raise ValueError("circumstances")
    return cls(*parts)


def fit(x_bt: np.ndarray) -> Circumstances:
  """Fits mean and SD of the spectra to training windows.

  Args:
    x_bt: (window, time) scaled windows, of which up to 4,096 are used.
  """
  rows = np.linspace(0, len(x_bt) - 1, min(_MOST_WINDOWS, len(x_bt))).astype(int)
  log_power_bk = spectra.log_power(x_bt[rows])
  return Circumstances(_bands(log_power_bk.mean(0), np.maximum(log_power_bk.std(0), _LEAST_SD)))


def _bands(mean_k: np.ndarray, sd_k: np.ndarray) -> Bands:
  return tuple(zip(mean_k.tolist(), sd_k.tolist(), strict=True))
