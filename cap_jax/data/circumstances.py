"""The circumstances of a measurement, as a network reads them.

They are spectra of a subject's record and of its clinic, and the responses of the clinic's labelled subjects (`signals.spectra`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax.signals import spectra

Bands = tuple[tuple[float, float], ...]
_LEAST_SD = 0.3  # of a logarithm; that of the highest bands, which are mostly noise, would exaggerate them
_LEAST_SD_OF_RESPONSE = 0.03
_LABELS = 3.0  # unit of ln(1 + number of labelled subjects)
_MOST_WINDOWS = 4096


@dataclasses.dataclass(frozen=True)
class Circumstances:
  """What the circumstances are measured by.

  Attributes:
    spectrum, response: mean and SD of the spectra, and of the responses, of training windows.
    clinic: mean and SD over a clinic's subjects of their standardised spectra, by band; () if the clinic is unknown, so that
      each subject stands for its own.
    labelled: the same of the responses of its labelled subjects; () if there are none.
    labels: number of its labelled subjects.
  """

  spectrum: Bands
  response: Bands
  clinic: Bands = ()
  labelled: Bands = ()
  labels: int = 0

  def of_subjects(self, x_bt: np.ndarray, subject_b: np.ndarray) -> np.ndarray:
    """Returns the circumstances of windows of one clinic, (window, `spectra.CIRCUMSTANCES`).

    Args:
      x_bt: (window, time) scaled windows.
      subject_b: (window,) names of the subjects.
    """
    own_sk, number_b = spectra.by_group(spectra.log_power(x_bt), subject_b)
    return self.of_log_power(own_sk[number_b])

  def of_log_power(self, log_power_bk: np.ndarray) -> np.ndarray:
    """Returns the circumstances of windows of one clinic, (window, `spectra.CIRCUMSTANCES`).

    Args:
      log_power_bk: (window, band) mean `spectra.log_power` of each window's subject.
    """
    own_bk = _standardised(log_power_bk, self.spectrum)
    mean_bk, sd_bk = _broadcast(self.clinic, own_bk) if self.clinic else (own_bk, np.zeros_like(own_bk))
    labels_b = np.full(len(own_bk), self.labels)
    nothing_bk = np.zeros((len(own_bk), spectra.RESPONSE), np.float32)
    response_bk = _broadcast(self.labelled, nothing_bk) if self.labelled else (nothing_bk, nothing_bk)
    return np.concatenate([own_bk, mean_bk, sd_bk, *response_bk, _number_code(labels_b)], axis=1)

  def of_labelled(self, x_bt: np.ndarray, y_bt: np.ndarray, subject_b: np.ndarray) -> np.ndarray:
    """Returns the circumstances of the labelled windows of this clinic, each by the labels of the other subjects, (window, `spectra.CIRCUMSTANCES`).

    A network that trains on them would otherwise find the answer in its circumstances.

    Args:
      x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave.
      subject_b: (window,) names of the subjects.
    """
    around_bk = self.of_subjects(x_bt, subject_b)
    response_sk, number_b = spectra.by_group(spectra.response(x_bt, y_bt), subject_b)
    alike_s = np.zeros(len(response_sk), int)
    others_sk = _of_others(_standardised(response_sk, self.response), alike_s == 0, alike_s)
    around_bk[:, 3 * spectra.BANDS :] = others_sk[number_b]
    return around_bk

  def of_clinics(
    self, x_bt: np.ndarray, y_bt: np.ndarray, subject_b: np.ndarray, clinic_b: np.ndarray, labelled_b: np.ndarray
  ) -> np.ndarray:
    """Returns the circumstances of windows of several clinics, each by its own subjects, (window, `spectra.CIRCUMSTANCES`).

    Args:
      x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave.
      subject_b: (window,) names of the subjects; one name in two clinics is two records.
      clinic_b: (window,) numbers of the clinics.
      labelled_b: (window,) whether the clinic has the subject's label. A subject's own does not count.
    """
    members = np.array([f"{clinic:g}/{name}" for clinic, name in zip(clinic_b, subject_b, strict=True)])
    log_power_sk, number_b = spectra.by_group(spectra.log_power(x_bt), members)
    response_sk, _ = spectra.by_group(spectra.response(x_bt, y_bt), members)
    first_s = np.unique(members, return_index=True)[1]
    _, clinic_s = np.unique(clinic_b[first_s], return_inverse=True)
    own_sk = _standardised(log_power_sk, self.spectrum)
    mean_ck, _ = spectra.by_group(own_sk, clinic_s)
    square_ck, _ = spectra.by_group(np.square(own_sk - mean_ck[clinic_s]), clinic_s)
    others_sk = _of_others(_standardised(response_sk, self.response), labelled_b[first_s] > 0, clinic_s)
    return np.concatenate([own_sk, mean_ck[clinic_s], np.sqrt(square_ck)[clinic_s], others_sk], axis=1)[number_b]

  def at_clinic(self, x_bt: np.ndarray, subject_b: np.ndarray) -> "Circumstances":
    """Returns the same with the spectra of a clinic.

    Args:
      x_bt: (window, time) scaled windows of its subjects.
      subject_b: (window,) their names.
    """
    log_power_sk, _ = spectra.by_group(spectra.log_power(x_bt), subject_b)
    own_sk = _standardised(log_power_sk, self.spectrum)
    return dataclasses.replace(self, clinic=_bands(own_sk.mean(0), own_sk.std(0)))

  def with_labels(self, x_bt: np.ndarray, y_bt: np.ndarray, subject_b: np.ndarray) -> "Circumstances":
    """Returns the same with the responses of the labelled subjects of a clinic.

    Args:
      x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave.
      subject_b: (window,) names of the subjects.
    """
    response_sk, _ = spectra.by_group(spectra.response(x_bt, y_bt), subject_b)
    own_sk = _standardised(response_sk, self.response)
    return dataclasses.replace(self, labelled=_bands(own_sk.mean(0), own_sk.std(0)), labels=len(own_sk))

  @property
  def header(self) -> dict[str, Any]:
    """Returns what a checkpoint stores."""
    return dataclasses.asdict(self)

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "Circumstances":
    """Returns the circumstances from `header` of a checkpoint.

    Raises:
      KeyError, TypeError, ValueError: bands are missing, not finite, or their SD is negative or, of the training, zero.
    """
    sizes = {
      "spectrum": spectra.BANDS,
      "response": spectra.RESPONSE,
      "clinic": spectra.BANDS,
      "labelled": spectra.RESPONSE,
    }
    parts: dict[str, Bands] = {}
    for name, size in sizes.items():
      bands, of_training = (
        tuple((float(mean), float(sd)) for mean, sd in header[name]),
        name in ("spectrum", "response"),
      )
      sound = len(bands) == size and np.isfinite(bands).all() and min(sd for _, sd in bands) >= 1e-6 * of_training
      if not sound and (bands or of_training):
        raise ValueError(name)
      parts[name] = bands
    labels = int(header["labels"])
    if (labels > 0) != bool(parts["labelled"]):
      raise ValueError("labels")
    return cls(**parts, labels=labels)


def fit(x_bt: np.ndarray, y_bt: np.ndarray) -> Circumstances:
  """Fits mean and SD of the spectra and of the responses to training windows.

  Args:
    x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave, of which up to 4,096 are used.
  """
  rows = np.linspace(0, len(x_bt) - 1, min(_MOST_WINDOWS, len(x_bt))).astype(int)
  log_power_bk, response_bk = spectra.log_power(x_bt[rows]), spectra.response(x_bt[rows], y_bt[rows])
  return Circumstances(
    _bands(log_power_bk.mean(0), np.maximum(log_power_bk.std(0), _LEAST_SD)),
    _bands(response_bk.mean(0), np.maximum(response_bk.std(0), _LEAST_SD_OF_RESPONSE)),
  )


def _of_others(response_sk: np.ndarray, labelled_s: np.ndarray, clinic_s: np.ndarray) -> np.ndarray:
  """Returns mean and SD of the responses of the other labelled subjects of each one's clinic, and their number.

  Args:
    response_sk: (subject, `spectra.RESPONSE`) standardised responses.
    labelled_s: (subject,) whether the subject is labelled.
    clinic_s: (subject,) number of the clinic, from 0.
  """
  own_sk = response_sk.astype(np.float64) * labelled_s[:, None]  # a variance is the difference of two large numbers
  number_s, sum_sk, square_sk = (
    _sums(part, clinic_s)[clinic_s] - part for part in (labelled_s.astype(float), own_sk, np.square(own_sk))
  )
  among_s1 = np.maximum(number_s, 1)[:, None]
  mean_sk = sum_sk / among_s1
  sd_sk = np.sqrt(np.maximum(square_sk / among_s1 - np.square(mean_sk), 0))
  return np.concatenate([mean_sk, sd_sk, _number_code(number_s)], axis=1).astype(np.float32)


def _sums(values: np.ndarray, group_s: np.ndarray) -> np.ndarray:
  """Returns the sums of rows by group."""
  sums = np.zeros((group_s.max() + 1, *values.shape[1:]))
  np.add.at(sums, group_s, values)
  return sums


def _number_code(labels_b: np.ndarray) -> np.ndarray:
  return (np.log1p(labels_b) / _LABELS).astype(np.float32)[:, None]


def _standardised(values_sk: np.ndarray, bands: Bands) -> np.ndarray:
  mean_k, sd_k = np.array(bands, np.float32).T
  return np.asarray((values_sk - mean_k) / sd_k, np.float32)


def _broadcast(bands: Bands, like_bk: np.ndarray) -> list[np.ndarray]:
  """Returns mean and SD of bands, once a window."""
  return [np.broadcast_to(part_k, like_bk.shape) for part_k in np.array(bands, np.float32).T]


def _bands(mean_k: np.ndarray, sd_k: np.ndarray) -> Bands:
  return tuple(zip(mean_k.tolist(), sd_k.tolist(), strict=True))
