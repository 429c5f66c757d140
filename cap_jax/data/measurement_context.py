"""The context of a measurement, as a network reads them.

It consists of spectra of a subject's record and of its clinic, and the responses of the clinic's labelled subjects (`signals.spectra`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cap_jax.data import batches
from cap_jax.signals import spectra

Bands = tuple[tuple[float, float], ...]
_LEAST_SD = 0.3  # of a logarithm; that of the highest bands, which are mostly noise, would exaggerate them
_LEAST_SD_OF_RESPONSE = 0.03
_LABELS = 3.0  # unit of ln(1 + number of labelled subjects)
_MOST_WINDOWS = 4096
_ALONE, _MOST_OTHERS = 0.15, 0.6  # shares of the windows that know nobody, and at least half of the others (choices)


@dataclasses.dataclass(frozen=True)
class MeasurementContext:
  """How the context is measured.

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
    """Returns the context of windows of one clinic, (window, `spectra.CONTEXT_SIZE`).

    Args:
      x_bt: (window, time) scaled windows.
      subject_b: (window,) names of the subjects.
    """
    own_sk, number_b = spectra.by_group(spectra.log_power(x_bt), subject_b)
    return self.of_log_power(own_sk[number_b])

  def of_log_power(self, log_power_bk: np.ndarray) -> np.ndarray:
    """Returns the context of windows of one clinic, (window, `spectra.CONTEXT_SIZE`).

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
    """Returns the context of the labelled windows of this clinic, each by the labels of the other subjects, (window, `spectra.CONTEXT_SIZE`).

    A network that trains on them would otherwise find the answer in its context.

    Args:
      x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave.
      subject_b: (window,) names of the subjects.
    """
    around_bk = self.of_subjects(x_bt, subject_b)
    response_sk, number_b = spectra.by_group(spectra.response(x_bt, y_bt), subject_b)
    labels_s1, *moments_sk = _moments(~np.eye(len(response_sk), dtype=bool), _standardised(response_sk, self.response))
    around_bk[:, 3 * spectra.BANDS :] = np.concatenate([*moments_sk, _number_code(labels_s1[:, 0])], axis=1)[number_b]
    return around_bk

  def of_clinics(
    self, x_bt: np.ndarray, y_bt: np.ndarray, subject_b: np.ndarray, membership: batches.Membership
  ) -> np.ndarray:
    """Returns the context of windows of several clinics, from which a network learns, (window, `spectra.CONTEXT_SIZE`).

    Those of each window are of some other subjects of its clinic, drawn for it alone, as a record will later meet a clinic
    that others represent; a clinic with one fixed spectrum would be learnt by heart. Some windows know no other
    subject, most know most of them. A clinic with labels shows each window the responses of some of its labelled subjects.

    Args:
      x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave.
      subject_b: (window,) names of the subjects; one name in two clinics is two records.
      membership: the clinics of the windows. A subject's own label does not count.
    """
    clinic_b, labelled_b = membership
    members = np.array([f"{clinic:g}/{name}" for clinic, name in zip(clinic_b, subject_b, strict=True)])
    log_power_sk, number_b = spectra.by_group(spectra.log_power(x_bt), members)
    response_sk, _ = spectra.by_group(spectra.response(x_bt, y_bt), members)
    own_sk, response_sk = _standardised(log_power_sk, self.spectrum), _standardised(response_sk, self.response)
    labelled_s = labelled_b[np.unique(members, return_index=True)[1]] > 0
    around_bk, rng = np.zeros((len(x_bt), spectra.CONTEXT_SIZE), np.float32), np.random.default_rng(0)
    around_bk[:, : spectra.BANDS] = own_sk[number_b]
    order = np.argsort(clinic_b, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(clinic_b[order])) + 1):
      inside, own_b = np.unique(number_b[rows], return_inverse=True)
      alone_b = rng.random(len(rows)) < _ALONE
      others_bs = _draw(own_b, np.ones(len(inside), bool), rng) * ~alone_b[:, None]
      number_b1, mean_bk, sd_bk = _moments(others_bs, own_sk[inside])
      mean_bk = np.where(number_b1 > 0, mean_bk, own_sk[number_b[rows]])
      labels_bs = _draw(own_b, labelled_s[inside], rng)
      labels_b1, *response_bk = _moments(labels_bs, response_sk[inside])
      parts = [mean_bk, sd_bk, *response_bk, _number_code(labels_b1[:, 0])]
      around_bk[rows, spectra.BANDS :] = np.concatenate(parts, axis=1)
    return around_bk

  def at_clinic(self, x_bt: np.ndarray, subject_b: np.ndarray) -> "MeasurementContext":
    """Returns the same with the spectra of a clinic, and without labels, which were another's.

    Args:
      x_bt: (window, time) scaled windows of its subjects.
      subject_b: (window,) their names.
    """
    log_power_sk, _ = spectra.by_group(spectra.log_power(x_bt), subject_b)
    own_sk = _standardised(log_power_sk, self.spectrum)
    return dataclasses.replace(self.without_clinic(), clinic=_bands(own_sk.mean(0), own_sk.std(0)))

  def without_clinic(self) -> "MeasurementContext":
    """Returns the same of an unknown clinic, without its spectra and labels."""
    return dataclasses.replace(self, clinic=(), labelled=(), labels=0)

  def with_labels(self, x_bt: np.ndarray, y_bt: np.ndarray, subject_b: np.ndarray) -> "MeasurementContext":
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
  def restored(cls, header: Mapping[str, Any]) -> "MeasurementContext":
    """Returns the context from `header` of a checkpoint, whose fields were checked."""
    parts = {
      name: tuple((float(mean), float(sd)) for mean, sd in header[name])
      for name in ("spectrum", "response", "clinic", "labelled")
    }
    return cls(**parts, labels=header["labels"])


def fit(x_bt: np.ndarray, y_bt: np.ndarray) -> MeasurementContext:
  """Fits mean and SD of the spectra and of the responses to training windows.

  Args:
    x_bt, y_bt: (window, time) scaled windows of the peripheral and of the reference wave, of which up to 4,096 are used.
  """
  rows = np.linspace(0, len(x_bt) - 1, min(_MOST_WINDOWS, len(x_bt))).astype(int)
  log_power_bk, response_bk = spectra.log_power(x_bt[rows]), spectra.response(x_bt[rows], y_bt[rows])
  return MeasurementContext(
    _bands(log_power_bk.mean(0), np.maximum(log_power_bk.std(0), _LEAST_SD)),
    _bands(response_bk.mean(0), np.maximum(response_bk.std(0), _LEAST_SD_OF_RESPONSE)),
  )


def _draw(own_b: np.ndarray, among_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Draws other subjects of a clinic for each window, (window, subject).

  Their number is on a logarithmic scale from 1 to all, or, for some windows, from half to all.

  Args:
    own_b: (window,) number of the window's own subject, who is never drawn.
    among_s: (subject,) who can be drawn.
    rng: draws them.
  """
  key_bs = np.where(among_s, rng.random((len(own_b), len(among_s))), np.inf)
  key_bs[np.arange(len(own_b)), own_b] = np.inf
  others_b = np.isfinite(key_bs).sum(1)
  few_b = np.exp(rng.random(len(own_b)) * np.log(np.maximum(others_b, 1)))
  most_b = np.maximum(rng.uniform(0.5, 1, len(own_b)) * others_b, 1)
  wanted_b = np.round(np.where(rng.random(len(own_b)) < _MOST_OTHERS / (1 - _ALONE), most_b, few_b))
  rank_bs = key_bs.argsort(1).argsort(1)
  return (rank_bs < wanted_b[:, None]) & np.isfinite(key_bs)


def _moments(chosen_bs: np.ndarray, value_sk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the number of the chosen subjects, (window, 1), and mean and SD of their values, (window, value); 0 of nobody's."""
  number_b1, value_sk = chosen_bs.sum(1, keepdims=True), value_sk.astype(np.float64)  # a variance is a difference
  mean_bk = chosen_bs @ value_sk / np.maximum(number_b1, 1)
  square_bk = chosen_bs @ np.square(value_sk) / np.maximum(number_b1, 1)
  return number_b1, mean_bk, np.sqrt(np.maximum(square_bk - np.square(mean_bk), 0))


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
