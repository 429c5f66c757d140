"""Errors of reconstructed windows, per subject.

All are taken on the window less its margin at each end, for every method alike. The beats are those of the true aortic
wave; its feet serve the evaluation only, no method sees them.
"""

import dataclasses

import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.haemodynamics import indices
from cap_jax.inference import uncertainty
from cap_jax.signals import beats

LARGEST_LAG_S = 0.2
PRESSURES = ("csbp", "cdbp", "cpp", "map")
STANDARDISED = ("csbp", "cdbp")  # what validation standards evaluate, reading by reading
SHARES_MMHG = (5, 10, 15)
SHAPES = ("aix", "form_factor", "ejection", "sevr")
_NAN = float("nan")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubjectErrors:
  """One subject: who it is, and errors, estimated minus true. NaN where undefined, as all of a wave for a method that gives only the
  systolic pressure.

  Attributes:
    subject, beats: name, and the number of beats in its windows.
    age, hr_bpm, amplification: years if known, heart rate, and peripheral over central pulse pressure.
    rmse_mmhg, rmse_lag_free_mmhg: of the waveform; lag-free after the one shift, of at most 0.2 s and a margin, that suits the
      subject best.
    nrmse_percent: RMSE over the true pulse pressure. r: Pearson's, over samples.
    csbp_true_mmhg …: true pressure, mean over beats; csbp_error_mmhg: mean error; csbp_error_sd_mmhg: SD of the error over the
      subject's beats. So for cDBP, cPP and MAP.
    csbp_frac_within_5mmhg …: fractions of the beats whose error is within 5, 10 and 15 mmHg, and csbp_mae_mmhg: the mean absolute
      error over beats. So for cDBP.
    aix_true_percent …: index of the true mean beat, and its error in that of the mean beat reconstructed.
    wave_covered, csbp_covered: shares of samples and of beats that lie in their prediction interval. half_width_mmhg,
      csbp_half_width_mmhg: half their mean widths. ood_fraction: share of windows that are out of distribution. Of networks with
      intervals.
  """

  subject: str
  beats: int = 0
  age: float = _NAN
  hr_bpm: float = _NAN
  amplification: float = _NAN
  rmse_mmhg: float = _NAN
  rmse_lag_free_mmhg: float = _NAN
  nrmse_percent: float = _NAN
  r: float = _NAN
  csbp_true_mmhg: float = _NAN
  csbp_error_mmhg: float = _NAN
  csbp_error_sd_mmhg: float = _NAN
  csbp_frac_within_5mmhg: float = _NAN
  csbp_frac_within_10mmhg: float = _NAN
  csbp_frac_within_15mmhg: float = _NAN
  csbp_mae_mmhg: float = _NAN
  cdbp_true_mmhg: float = _NAN
  cdbp_error_mmhg: float = _NAN
  cdbp_error_sd_mmhg: float = _NAN
  cdbp_frac_within_5mmhg: float = _NAN
  cdbp_frac_within_10mmhg: float = _NAN
  cdbp_frac_within_15mmhg: float = _NAN
  cdbp_mae_mmhg: float = _NAN
  cpp_true_mmhg: float = _NAN
  cpp_error_mmhg: float = _NAN
  cpp_error_sd_mmhg: float = _NAN
  map_true_mmhg: float = _NAN
  map_error_mmhg: float = _NAN
  map_error_sd_mmhg: float = _NAN
  aix_true_percent: float = _NAN
  aix_error_percent: float = _NAN
  form_factor_true: float = _NAN
  form_factor_error: float = _NAN
  ejection_true_ms: float = _NAN
  ejection_error_ms: float = _NAN
  sevr_true_percent: float = _NAN
  sevr_error_percent: float = _NAN
  wave_covered: float = _NAN
  csbp_covered: float = _NAN
  half_width_mmhg: float = _NAN
  csbp_half_width_mmhg: float = _NAN
  ood_fraction: float = _NAN


def _pressures(p_t: np.ndarray, feet: np.ndarray) -> np.ndarray:
  """(beat, 4) systolic, diastolic, pulse, mean."""
  found = beats.pressures(p_t, feet)
  return np.stack([found.systolic, found.diastolic, found.pulse, found.mean], axis=-1)


class Evaluator:
  """Test windows with their beats found once."""

  def __init__(self, test: batches.Pairs, spec: config.Windows):
    """Args:
    test: windows of the test subjects.
    spec: rate and margin.
    """
    self.test, self._fs_hz = test, spec.fs_hz
    self._inner = slice(spec.margin, spec.samples - spec.margin)
    largest = min(round(LARGEST_LAG_S * spec.fs_hz), spec.margin)
    self._lags = range(-largest, largest + 1)
    true_bt, outside_bt = test.y_bt[:, self._inner], test.x_bt[:, self._inner]
    self._feet = test.reference_feet(spec)
    self._true = [_pressures(y_t, feet) for y_t, feet in zip(true_bt, self._feet, strict=True)]
    self._rows = {name: np.flatnonzero(test.subject_b == name) for name in test.subjects}
    self._periods = np.array([self._period(rows) for rows in self._rows.values()])
    self._shapes = self._shape(true_bt)
    pulses = [_pressures(x_t, feet)[:, 2] for x_t, feet in zip(outside_bt, self._feet, strict=True)]
    self._outside = [self._mean([pulses[k] for k in rows]) for rows in self._rows.values()]

  @staticmethod
  def _mean(parts: list[np.ndarray]) -> float:
    whole = np.concatenate(parts)
    return float(whole.mean()) if whole.size else _NAN

  def _period(self, rows: np.ndarray) -> float:
    return self._mean([np.diff(self._feet[k]) for k in rows]) / self._fs_hz

  def _shape(self, wave_bt: np.ndarray) -> dict[str, np.ndarray]:
    """Indices (subject,) of each subject's mean beat, between the feet of the true wave."""
    means = []
    for rows in self._rows.values():
      cut = np.concatenate([indices.cut(wave_bt[k], self._feet[k]) for k in rows])
      means.append(cut.mean(0) if len(cut) else np.full(indices.SAMPLES, np.nan))
    found = indices.of_beats(np.stack(means), np.where(np.isfinite(self._periods), self._periods, 1.0))
    return {name: found.values[name] for name in SHAPES}

  def _lag_free(self, rows: np.ndarray, predicted_bt: np.ndarray) -> float:
    """The best RMSE over shifts; a shift reads the prediction's margins, the samples compared stay the same."""
    true = self.test.y_bt[rows, self._inner]
    start, stop = self._inner.start, self._inner.stop
    shifted = (predicted_bt[rows, start + lag : stop + lag] for lag in self._lags)
    return float(np.sqrt(min(np.square(p - true).mean() for p in shifted)))

  def _of_beats(self, rows: np.ndarray, predicted_bt: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """True pressures, errors and their SD within the subject."""
    made = np.concatenate([_pressures(predicted_bt[k, self._inner], self._feet[k]) for k in rows])
    true = np.concatenate([self._true[k] for k in rows])
    found: dict[str, float] = {"beats": len(true)}
    for name, p, t in zip(PRESSURES, made.T, true.T, strict=True):
      found[f"{name}_true_mmhg"] = float(t.mean()) if t.size else _NAN
      known = np.isfinite(p)  # a formula has no answer where it sees no beat
      off = (p - t)[known]
      if name in names and off.size:
        found[f"{name}_error_mmhg"] = float(off.mean())
        found[f"{name}_error_sd_mmhg"] = float(off.std(ddof=1)) if off.size > 1 else _NAN
        if name in STANDARDISED:
          found |= {f"{name}_frac_within_{limit}mmhg": float((np.abs(off) <= limit).mean()) for limit in SHARES_MMHG}
          found[f"{name}_mae_mmhg"] = float(np.abs(off).mean())
    return found

  def _who(self, number: int, rows: np.ndarray, pulse: float) -> dict[str, float]:
    age = self.test.covariates.get("age")
    return {
      "age": float(age[rows[0]]) if age is not None else _NAN,
      "hr_bpm": 60 / float(self._periods[number]),
      "amplification": self._outside[number] / pulse,
    }

  def errors(self, predicted_bt: np.ndarray, only_systolic: bool = False) -> list[SubjectErrors]:
    """Errors of each test subject.

    Args:
      predicted_bt: (window, time) aortic waves [mmHg].
      only_systolic: whether they are no waves, but arrays whose highest value in a beat is cSBP.

    Raises:
      ValueError: the prediction's shape is not the test windows', or it holds NaN.
    """
    if predicted_bt.shape != self.test.y_bt.shape:
      raise ValueError(f"predicted {predicted_bt.shape}, the test windows are {self.test.y_bt.shape}")
    if not only_systolic and not np.isfinite(predicted_bt).all():
      raise ValueError("the prediction holds NaN or infinite values")
    made = None if only_systolic else self._shape(predicted_bt[:, self._inner])
    found = []
    for number, (subject, rows) in enumerate(self._rows.items()):
      values = self._of_beats(rows, predicted_bt, PRESSURES[:1] if only_systolic else PRESSURES)
      values |= self._who(number, rows, values["cpp_true_mmhg"])
      values |= {f"{name}_true{indices.ending(name)}": float(true[number]) for name, true in self._shapes.items()}
      if made is not None:
        values |= self._of_wave(rows, predicted_bt, values["cpp_true_mmhg"])
        values |= {
          f"{name}_error{indices.ending(name)}": float(made[name][number] - self._shapes[name][number])
          for name in SHAPES
        }
      found.append(SubjectErrors(subject=subject, **values))  # type: ignore[arg-type]
    return found

  def _of_wave(self, rows: np.ndarray, predicted_bt: np.ndarray, pulse: float) -> dict[str, float]:
    p, y = predicted_bt[rows, self._inner].astype(float), self.test.y_bt[rows, self._inner].astype(float)
    rmse = float(np.sqrt(np.square(p - y).mean()))
    spread = float(p.std() * y.std())
    return {
      "rmse_mmhg": rmse,
      "rmse_lag_free_mmhg": self._lag_free(rows, predicted_bt),
      "nrmse_percent": 100 * rmse / pulse,
      "r": float(((p - p.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else _NAN,
    }


def covered(found: SubjectErrors, seen: uncertainty.Coverage) -> SubjectErrors:
  """The errors with what the subject's prediction intervals held."""
  return dataclasses.replace(
    found,
    wave_covered=seen.wave,
    csbp_covered=seen.csbp,
    half_width_mmhg=seen.half_width_mmhg,
    csbp_half_width_mmhg=seen.csbp_half_width_mmhg,
    ood_fraction=seen.ood_fraction,
  )


def mean_rmse(found: list[SubjectErrors]) -> float:
  """RMSE per subject, then the mean over subjects."""
  return float(np.mean([errors.rmse_mmhg for errors in found]))
