"""Errors of reconstructed windows, per subject.

For every method they are computed on the window without its margin at each end. The beats are those of the true aortic wave, whose
feet are used for the evaluation only.
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
  """Errors of one subject, estimated minus true.

  Values are NaN where they are undefined, for example those of the wave for a method that estimates only cSBP.

  Attributes:
    subject, beats: name, and number of beats in its windows.
    age, hr_bpm, amplification: years, heart rate, and peripheral over central pulse pressure.
    rmse_mmhg: of the waveform.
    rmse_lag_free_mmhg: after the best shift of the subject, of at most 0.2 s and a margin.
    nrmse_percent: RMSE over the true pulse pressure.
    r: Pearson's, over samples.
    csbp_true_mmhg, csbp_error_mmhg, csbp_error_sd_mmhg: means over beats of true pressure and error, and SD of the error over the
      subject's beats.
    cdbp_true_mmhg, cdbp_error_mmhg, cdbp_error_sd_mmhg: the same for cDBP.
    cpp_true_mmhg, cpp_error_mmhg, cpp_error_sd_mmhg: the same for cPP.
    map_true_mmhg, map_error_mmhg, map_error_sd_mmhg: the same for MAP.
    csbp_frac_within_5mmhg, csbp_frac_within_10mmhg, csbp_frac_within_15mmhg: fractions of beats with an error within 5, 10 and
      15 mmHg.
    cdbp_frac_within_5mmhg, cdbp_frac_within_10mmhg, cdbp_frac_within_15mmhg: the same for cDBP.
    csbp_mae_mmhg, cdbp_mae_mmhg: mean absolute error over beats.
    aix_true_percent, aix_error_percent: augmentation index of the true mean beat, and the error of the reconstructed mean beat.
    form_factor_true, form_factor_error: the same for the form factor.
    ejection_true_ms, ejection_error_ms: the same for the ejection time.
    sevr_true_percent, sevr_error_percent: the same for SEVR.
    wave_covered, csbp_covered: interval coverage of samples and of beats, for networks with intervals.
    half_width_mmhg, csbp_half_width_mmhg: half the mean widths of these intervals.
    ood_fraction: share of windows out of distribution, for networks with intervals.
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
  """Returns (beat, 4): systolic, diastolic, pulse and mean pressure."""
  pressures = beats.pressures(p_t, feet)
  return np.stack([pressures.systolic, pressures.diastolic, pressures.pulse, pressures.mean], axis=-1)


class Evaluator:
  """Computes errors on test windows, whose beats are detected once."""

  def __init__(self, test: batches.Pairs, spec: config.Windows, unitless: bool = False):
    """Detects the beats of the test windows.

    Args:
      test: windows of the test subjects.
      spec: of the windows.
      unitless: whether the peripheral wave has no unit, so that no amplification is defined.
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
    self._shapes = self._mean_beat_shapes(true_bt)
    pulses = [_pressures(x_t, feet)[:, 2] for x_t, feet in zip(outside_bt, self._feet, strict=True)]
    pulse = [self._mean([pulses[k] for k in rows]) for rows in self._rows.values()]
    self._peripheral_pulse = [_NAN] * len(pulse) if unitless else pulse

  @staticmethod
  def _mean(arrays: list[np.ndarray]) -> float:
    whole = np.concatenate(arrays)
    return float(whole.mean()) if whole.size else _NAN

  def _period(self, rows: np.ndarray) -> float:
    return self._mean([np.diff(self._feet[k]) for k in rows]) / self._fs_hz

  def _mean_beat_shapes(self, wave_bt: np.ndarray) -> dict[str, np.ndarray]:
    """Returns name → (subject,) index of each subject's mean beat, between the feet of the true wave."""
    means = []
    for rows in self._rows.values():
      cut = np.concatenate([indices.cut(wave_bt[k], self._feet[k]) for k in rows])
      means.append(cut.mean(0) if len(cut) else np.full(indices.SAMPLES, np.nan))
    shapes = indices.of_beats(np.stack(means), np.where(np.isfinite(self._periods), self._periods, 1.0))
    return {name: shapes.values[name] for name in SHAPES}

  def _lag_free_rmse(self, rows: np.ndarray, predicted_bt: np.ndarray) -> float:
    """Returns the least RMSE over shifts, which read the prediction's margins, so that the compared samples stay the same."""
    true = self.test.y_bt[rows, self._inner]
    start, stop = self._inner.start, self._inner.stop
    shifted = (predicted_bt[rows, start + lag : stop + lag] for lag in self._lags)
    return float(np.sqrt(min(np.square(p - true).mean() for p in shifted)))

  def _pressure_errors(
    self, rows: np.ndarray, predicted_bt: np.ndarray, evaluated: tuple[str, ...]
  ) -> dict[str, float]:
    """Returns a subject's true pressures, with the errors of the `evaluated` ones and their SD over beats."""
    predicted = np.concatenate([_pressures(predicted_bt[k, self._inner], self._feet[k]) for k in rows])
    true = np.concatenate([self._true[k] for k in rows])
    values: dict[str, float] = {"beats": len(true)}
    for name, p, t in zip(PRESSURES, predicted.T, true.T, strict=True):
      values[f"{name}_true_mmhg"] = float(t.mean()) if t.size else _NAN
      defined = np.isfinite(p)  # a formula returns NaN where it detects no beat
      error = (p - t)[defined]
      if name in evaluated and error.size:
        values[f"{name}_error_mmhg"] = float(error.mean())
        values[f"{name}_error_sd_mmhg"] = float(error.std(ddof=1)) if error.size > 1 else _NAN
        if name in STANDARDISED:
          values |= {f"{name}_frac_within_{limit}mmhg": float((np.abs(error) <= limit).mean()) for limit in SHARES_MMHG}
          values[f"{name}_mae_mmhg"] = float(np.abs(error).mean())
    return values

  def _characteristics(self, index: int, rows: np.ndarray, pulse: float) -> dict[str, float]:
    """Returns a subject's age, heart rate and amplification."""
    age = self.test.covariates.get("age")
    return {
      "age": float(age[rows[0]]) if age is not None else _NAN,
      "hr_bpm": 60 / float(self._periods[index]),
      "amplification": self._peripheral_pulse[index] / pulse,
    }

  def errors(self, predicted_bt: np.ndarray, only_systolic: bool = False) -> list[SubjectErrors]:
    """Computes the errors of each test subject.

    Args:
      predicted_bt: (window, time) aortic waves [mmHg].
      only_systolic: whether they are not waves, but arrays whose highest value in a beat is cSBP.

    Returns:
      The errors of each subject, in the order of the windows.

    Raises:
      ValueError: the prediction's shape differs from that of the test windows, or it has NaN.
    """
    if predicted_bt.shape != self.test.y_bt.shape:
      raise ValueError(
        f"the prediction has shape {predicted_bt.shape}, but the test windows have {self.test.y_bt.shape}"
      )
    if not only_systolic and not np.isfinite(predicted_bt).all():
      raise ValueError("the prediction contains NaN or infinite values")
    shapes = None if only_systolic else self._mean_beat_shapes(predicted_bt[:, self._inner])
    errors = []
    for index, (subject, rows) in enumerate(self._rows.items()):
      values = self._pressure_errors(rows, predicted_bt, PRESSURES[:1] if only_systolic else PRESSURES)
      values |= self._characteristics(index, rows, values["cpp_true_mmhg"])
      values |= {f"{name}_true{indices.ending(name)}": float(true[index]) for name, true in self._shapes.items()}
      if shapes is not None:
        values |= self._wave_errors(rows, predicted_bt, values["cpp_true_mmhg"])
        values |= {
          f"{name}_error{indices.ending(name)}": float(shapes[name][index] - self._shapes[name][index])
          for name in SHAPES
        }
      errors.append(SubjectErrors(subject=subject, **values))  # type: ignore[arg-type]
    return errors

  def _wave_errors(self, rows: np.ndarray, predicted_bt: np.ndarray, pulse: float) -> dict[str, float]:
    """Returns a subject's errors of the waveform."""
    p, y = predicted_bt[rows, self._inner].astype(float), self.test.y_bt[rows, self._inner].astype(float)
    rmse = float(np.sqrt(np.square(p - y).mean()))
    spread = float(p.std() * y.std())
    return {
      "rmse_mmhg": rmse,
      "rmse_lag_free_mmhg": self._lag_free_rmse(rows, predicted_bt),
      "nrmse_percent": 100 * rmse / pulse,
      "r": float(((p - p.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else _NAN,
    }


def covered(errors: SubjectErrors, coverage: uncertainty.Coverage) -> SubjectErrors:
  """Adds interval coverage to the errors of a subject.

  Args:
    errors: of the subject.
    coverage: of the subject's prediction intervals.

  Returns:
    The same errors with coverage, widths and the share of windows out of distribution.
  """
  return dataclasses.replace(
    errors,
    wave_covered=coverage.wave,
    csbp_covered=coverage.csbp,
    half_width_mmhg=coverage.half_width_mmhg,
    csbp_half_width_mmhg=coverage.csbp_half_width_mmhg,
    ood_fraction=coverage.ood_fraction,
  )


def mean_rmse(subjects: list[SubjectErrors]) -> float:
  """Returns the mean over subjects of their RMSE [mmHg].

  Args:
    subjects: errors of each subject.
  """
  return float(np.mean([one.rmse_mmhg for one in subjects]))
