"""Scales windows and numbers, so that a network reads values near one."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cap_jax import config
from cap_jax.data import batches, measurement_context
from cap_jax.signals import windows
from cap_jax.types import InputError


def _check_filled(name: str, value_b: np.ndarray) -> None:
  """Checks that a number that a network reads is known everywhere.

  Raises:
    InputError: some values are NaN.
  """
  blank = int(np.isnan(value_b).sum())
  if blank:
    raise InputError(
      f"covariate {name!r}: missing in {blank} of {len(value_b)} windows or records; fill it in, omit those "
      "subjects, or train without it"
    )


# Range of the mean and of the SD of what a network predicts, by whether its input has no unit. A network of pressures that
# was trained elsewhere may read Pa, 0.0075 mmHg, or hundreds of mmHg. One that fills in a PPG predicts any unit: counts of
# 24 bits, or nanovolts.
MEANS: Mapping[bool, tuple[float, float]] = {False: (-1e4, 1e4), True: (-1e9, 1e9)}
SDS: Mapping[bool, tuple[float, float]] = {False: (1e-4, 1e4), True: (1e-9, 1e9)}
# Any covariate, such as seconds since 1970; what is standardised by the least SD still has a square in float32.
SCALAR_MEAN, SCALAR_SD = (-1e10, 1e10), (1e-6, 1e10)


def _check_range(name: str, value: float, bounds: tuple[float, float], remedy: str) -> None:
  """Checks a number that a network will scale by, before it is trained.

  Raises:
    InputError: it is out of its range.
  """
  if not bounds[0] <= value <= bounds[1]:
    raise InputError(f"{name} is {value:g}, must be from {bounds[0]:g} to {bounds[1]:g}; {remedy}")


# Mean and SD of finger PPG between 0 and 1: 0.42 to 0.48 and 0.28 to 0.29 over the cohorts (in silico).
UNITLESS = (0.45, 0.28)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaling:
  """Standardisation of waves and numbers.

      pressures    p ↦ (p − mean)/sd, one for both waves, so that they remain comparable
      PPG          x ↦ ((x − min x)/(max x − min x) − 0.45)/0.28 of each window; the reference p ↦ (p − mean)/sd

  Attributes:
    mean_mmhg, sd_mmhg: mean and SD of the peripheral pressure; of the reference where the input has no unit.
    scalars: (name, mean, sd) of covariates and numerics.
    fitted_on: names of the subjects whose windows the scaling was fitted on.
    unitless: whether the input has no unit, as a PPG.
    context: measure of the context of a measurement; None for a network that does not read it.
  """

  mean_mmhg: float
  sd_mmhg: float
  scalars: tuple[tuple[str, float, float], ...] = ()
  fitted_on: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
  unitless: bool = False
  context: measurement_context.MeasurementContext | None = None

  @classmethod
  def restored(cls, header: Mapping[str, Any]) -> "Scaling":
    """Returns the scaling from the header of a checkpoint, whose fields were checked."""
    context = header.get("context")
    return cls(
      mean_mmhg=header["mean_mmhg"],
      sd_mmhg=header["sd_mmhg"],
      scalars=tuple((name, float(mean), float(sd)) for name, mean, sd in header["scalars"]),
      unitless=header.get("unitless", False),
      context=None if context is None else measurement_context.MeasurementContext.restored(context),
    )

  def inputs(
    self, windows: batches.Waves | batches.Pairs, model: config.Model, log_power_bk: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a network reads of peripheral windows.

    Args:
      windows: of one clinic; or, as `batches.ClinicPairs`, of several.
      model: the network.
      log_power_bk: (window, band) mean `spectra.log_power` of each window's subject, if more than these windows are known;
        None for that of these windows.

    Returns:
      (window, time) scaled windows, and (window, covariate) standardised covariates with, for a network that reads them, the
      context.

    Raises:
      InputError: a covariate is unknown for some windows, or the scaling was fitted for a network that reads no context.
    """
    x_bt = self.scale_input(windows.x_bt)
    c_bq = self.standardise(windows.covariates, model.covariates, len(x_bt))
    if not model.reads_context:
      return x_bt, c_bq
    if self.context is None:
      raise InputError(f"extractor {model.extractor}: the source network reads no context; use its own extractor")
    if log_power_bk is not None:
      around_bq = self.context.of_log_power(log_power_bk)
    elif isinstance(windows, batches.ClinicPairs):
      around_bq = self.context.of_clinics(x_bt, self.scale(windows.y_bt), windows.subject_b, windows.membership)
    else:
      around_bq = self.context.of_subjects(x_bt, windows.subject_b)
    return x_bt, np.concatenate([c_bq, around_bq], axis=1)

  def at_clinic(self, windows: batches.Waves | batches.Pairs, labelled: batches.Pairs | None = None) -> "Scaling":
    """Returns the same scaling with the context of a clinic, if the network reads it.

    Args:
      windows: unlabelled windows of its subjects.
      labelled: windows of its labelled subjects.
    """
    if self.context is None:
      return self
    there = self.context.at_clinic(self.scale_input(windows.x_bt), windows.subject_b)
    if labelled is not None:
      there = there.with_labels(self.scale_input(labelled.x_bt), self.scale(labelled.y_bt), labelled.subject_b)
    return dataclasses.replace(self, context=there)

  def without_clinic(self) -> "Scaling":
    """Returns the same scaling for records of an unknown clinic, if the network reads the context."""
    return self if self.context is None else dataclasses.replace(self, context=self.context.without_clinic())

  def labelled_inputs(self, windows: batches.Pairs, model: config.Model) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a network that reads the context does of labelled windows of a clinic, each with the labels of the others."""
    x_bt, c_bq = self.inputs(windows, model)
    assert self.context is not None
    around_bq = self.context.of_labelled(x_bt, self.scale(windows.y_bt), windows.subject_b)
    return x_bt, np.concatenate([c_bq[:, : -around_bq.shape[1]], around_bq], axis=1)

  def scale_input(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns peripheral windows (window, time) as a network reads them."""
    if not self.unitless:
      return self.scale(x_bt)
    return ((windows.min_max(x_bt) - UNITLESS[0]) / UNITLESS[1]).astype(np.float32)

  def scale(self, p_mmhg: np.ndarray) -> np.ndarray:
    """Returns pressures as a network outputs them."""
    return ((p_mmhg - self.mean_mmhg) / self.sd_mmhg).astype(np.float32)

  def unscale(self, scaled: np.ndarray) -> np.ndarray:
    """Returns the output of a network in mmHg."""
    return scaled * self.sd_mmhg + self.mean_mmhg

  def standardise(self, covariates: batches.Covariates, names: Sequence[str], count: int) -> np.ndarray:
    """Standardises numbers.

    Args:
      covariates: name → (window,) values.
      names: names of the columns.
      count: number of windows, for an array without columns.

    Returns:
      (window, name) standardised numbers; (count, 0) without names.

    Raises:
      InputError: a name is unknown for some windows, or was unknown when the scaling was fitted.
    """
    fitted = {name: (mean, sd) for name, mean, sd in self.scalars}
    for name in names:
      if name not in covariates or name not in fitted:
        shared_names = sorted(set(covariates) & set(fitted))
        raise InputError(
          f"covariate {name!r}: missing in these windows (found: {', '.join(shared_names) or 'none'}); pass it with the records, or train without it"
        )
      _check_filled(name, covariates[name])
    columns = [(covariates[name] - fitted[name][0]) / fitted[name][1] for name in names]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((count, 0), np.float32)


# Smallest SD to standardise by, as a share of the mean: a single subject has no spread.
_LEAST_SPREAD = 0.05


class Fittable(Protocol):
  """Training windows that a scaling can be fitted on, in memory or streamed."""

  def moments(self, reference: bool = False) -> tuple[float, float]: ...

  @property
  def covariates(self) -> batches.Covariates: ...

  @property
  def subjects(self) -> tuple[str, ...]: ...


def fit(training: Fittable, names: Sequence[str] = (), unitless: bool = False, reads_context: bool = False) -> Scaling:
  """Fits mean and SD of the pressures of the training subjects, of some of their covariates, and of their spectra.

  Args:
    training: windows of the training subjects.
    names: covariates to standardise; a number that the network reads and its task predicts may occur twice.
    unitless: whether the peripheral wave has no unit; the pressures are then those of the reference.
    reads_context: whether the network reads the context of a measurement; the windows then lie in memory.

  Returns:
    The scaling.

  Raises:
    InputError: a covariate is unknown for some windows, a mean or an SD is that of no pressure, or spectra are to be
      fitted to a stream.
  """
  scalars = []
  for name in dict.fromkeys(names):
    if name not in training.covariates:
      raise InputError(f"covariate {name!r}: unknown; choose from {', '.join(sorted(training.covariates)) or 'none'}")
    _check_filled(name, training.covariates[name])
    value_b = training.covariates[name].astype(np.float64)
    mean = float(value_b.mean())
    sd = max(float(value_b.std()), _LEAST_SPREAD * abs(mean), SCALAR_SD[0])
    _check_range(f"covariate {name!r}: its mean", mean, SCALAR_MEAN, "divide it by a power of ten")
    _check_range(f"covariate {name!r}: its SD", sd, SCALAR_SD, "divide it by a power of ten")
    scalars.append((name, mean, sd))
  mean, sd = training.moments(reference=unitless)
  _check_range("the mean of the training windows", mean, MEANS[unitless], "pass pressures in mmHg")
  _check_range("the SD of the training windows", sd, SDS[unitless], "pass pressures in mmHg, with a pulse")
  scaling = Scaling(mean_mmhg=mean, sd_mmhg=sd, scalars=tuple(scalars), fitted_on=training.subjects, unitless=unitless)
  if not reads_context:
    return scaling
  if not isinstance(training, batches.Pairs):
    raise InputError("the extractor context_cnn is trained in memory; use a source without a store")
  return dataclasses.replace(
    scaling, context=measurement_context.fit(scaling.scale_input(training.x_bt), scaling.scale(training.y_bt))
  )
