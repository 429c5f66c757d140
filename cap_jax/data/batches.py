"""Cuts recordings into windows, scales them, and draws batches."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from cap_jax import config
from cap_jax.data import circumstances, recordings
from cap_jax.signals import beats, windows
from cap_jax.types import InputError

Covariates = Mapping[str, np.ndarray]


class NoWindowError(InputError):
  """The recordings contain no complete window."""


def _digest(arrays: Sequence[np.ndarray], subject_b: np.ndarray, covariates: Covariates) -> str:
  """Returns the SHA-256 of windows, their names and their covariates."""
  total = hashlib.sha256("\n".join((*subject_b.tolist(), *sorted(covariates))).encode())
  for array in (*arrays, *(covariates[name] for name in sorted(covariates))):
    total.update(np.ascontiguousarray(array).data)
  return total.hexdigest()


# compared by identity, so that results can be cached for a set of windows
@dataclasses.dataclass(frozen=True, eq=False)
class Waves:
  """Windows of the peripheral wave alone, as an unlabelled subject has them. They contain no label that could leak.

  Attributes:
    x_bt: (window, time) peripheral wave [mmHg], or a PPG in any unit.
    subject_b: (window,) names of the subjects.
    covariates: name → (window,), NaN where the value is unknown.
    site: where the wave was measured, "" if unknown.
  """

  x_bt: np.ndarray
  subject_b: np.ndarray
  covariates: Covariates = dataclasses.field(default_factory=dict)
  site: str = ""

  def __repr__(self) -> str:
    return f"Waves({len(self.x_bt)} windows of {len(self.subjects)} subjects, {self.site or 'site unknown'})"

  @property
  def subjects(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(self.subject_b.tolist()))

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of waves, subjects and covariates."""
    return _digest((self.x_bt,), self.subject_b, self.covariates)


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
  """Windows of the peripheral wave and of the reference wave on the same clock.

  Attributes:
    x_bt: (window, time) peripheral wave [mmHg], or a PPG in any unit.
    y_bt: (window, time) reference wave [mmHg].
    subject_b: (window,) names of the subjects.
    covariates: name → (window,), NaN where the value is unknown.
    sites: where the peripheral wave and the reference were measured, "" if unknown.
  """

  x_bt: np.ndarray
  y_bt: np.ndarray
  subject_b: np.ndarray
  covariates: Covariates = dataclasses.field(default_factory=dict)
  sites: tuple[str, str] = ("", "")

  def __repr__(self) -> str:
    return f"Pairs({len(self.x_bt)} windows of {len(self.subjects)} subjects, {self.site or 'site unknown'})"

  @property
  def site(self) -> str:
    """Where the peripheral wave was measured, "" if unknown."""
    return self.sites[0]

  @property
  def reference(self) -> str:
    """Where the reference was measured, "" if unknown."""
    return self.sites[1]

  @property
  def subjects(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(self.subject_b.tolist()))

  def of(self, subjects: Sequence[str]) -> "Pairs":
    """Returns the windows of some subjects.

    Raises:
      ValueError: a subject has no window.
    """
    missing = sorted(set(subjects) - set(self.subject_b.tolist()))
    if missing:
      raise ValueError(f"subjects {missing[:5]} have no windows")
    return self.at(np.isin(self.subject_b, list(subjects)))

  def at(self, rows: np.ndarray) -> "Pairs":
    """Returns the windows at some rows: (window,) indices, or a mask."""
    covariates = {name: value_b[rows] for name, value_b in self.covariates.items()}
    return Pairs(self.x_bt[rows], self.y_bt[rows], self.subject_b[rows], covariates, self.sites)

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of waves, subjects and covariates."""
    return _digest((self.x_bt, self.y_bt), self.subject_b, self.covariates)

  @functools.cached_property
  def _feet(self) -> dict[config.Windows, list[np.ndarray]]:
    return {}

  def reference_feet(self, spec: config.Windows) -> list[np.ndarray]:
    """Returns the feet of the reference in each window, as indices into the window without its margins; caches them."""
    if spec not in self._feet:
      inner = slice(spec.margin, spec.samples - spec.margin)
      self._feet[spec] = [beats.find_feet(y_t, spec.fs_hz) for y_t in self.y_bt[:, inner]]
    return self._feet[spec]

  def moments(self, reference: bool = False) -> tuple[float, float]:
    """Returns mean and SD of the peripheral wave [mmHg], or of the reference wave."""
    wave_bt = self.y_bt if reference else self.x_bt
    return float(wave_bt.mean(dtype=np.float64)), float(wave_bt.std(dtype=np.float64))

  def unlabelled(self) -> Waves:
    """Returns the same windows without the reference."""
    return Waves(self.x_bt, self.subject_b, self.covariates, self.site)


def _signals(recording: recordings.Recording, sites: tuple[str, str], fs_hz: float) -> dict[str, np.ndarray]:
  """Returns the waves of a recording at some sites.

  Raises:
    InputError: it has no wave at one of them, or another rate.
  """
  for site in sites:
    if site not in recording.signals:
      raise InputError(
        f"{recording.subject}: no signal at {site} (found: {', '.join(recording.sites)}); choose another site"
      )
  if abs(recording.fs_hz / fs_hz - 1) > 1e-3:
    raise InputError(f"{recording.subject}: sampled at {recording.fs_hz:g} Hz; resample to {fs_hz:g} Hz first")
  return {site: recording.signals[site] for site in sites}


def make_pairs(
  cohort: Sequence[recordings.Recording],
  site: str,
  spec: config.Windows,
  reference: str = "aortic_root",
  gaps: bool = False,
  most: int | None = None,
) -> Pairs:
  """Cuts recordings into windows. A recording shorter than a window, down to a single beat, is repeated to fill one.

  Args:
    cohort: recordings of one sampling rate.
    site: signal of the peripheral wave.
    spec: length, hop and rate of the windows.
    reference: signal of the reference wave.
    gaps: whether recordings may have gaps throughout, as in a store; those without a complete window are left out.
    most: largest number of windows of each recording, evenly spaced; all windows if None.

  Returns:
    The windows, in the order of the recordings.

  Raises:
    NoWindowError: no recording has a window without a gap.
    InputError: a recording lacks a site, has another rate than the windows, is shorter than a beat, or has a gap in
      every window.
  """
  x, y, subject = [], [], []
  names = {name for recording in cohort for name in recording.covariates}
  columns: dict[str, list[float]] = {name: [] for name in sorted(names)}
  for recording in cohort:
    waves = _signals(recording, (site, reference), spec.fs_hz)
    if gaps and recording.time_s.size < spec.samples:
      continue
    if recording.time_s.size < spec.samples:
      waves = _repeated(recording, waves, waves[reference], spec)
    x_bt, y_bt = (windows.frame(waves[signal], spec.samples, spec.hop) for signal in (site, reference))
    whole = np.flatnonzero(np.isfinite(x_bt).all(1) & np.isfinite(y_bt).all(1))
    if not whole.size:
      if gaps:
        continue
      raise InputError(f"{recording.subject}: every window of {spec.seconds:g} s contains a gap; use a longer record")
    if most is not None and whole.size > most:
      whole = whole[np.linspace(0, whole.size - 1, most).round().astype(int)]
    x.append(x_bt[whole])
    y.append(y_bt[whole])
    subject += [recording.subject] * len(x[-1])
    for name, values in columns.items():
      values += [recording.covariates.get(name, float("nan"))] * len(x[-1])
  if not x:
    raise NoWindowError(
      f"no window of {spec.seconds:g} s without a gap in {len(cohort)} recording(s) of {site} and {reference}"
    )
  covariates = {name: np.array(values, dtype=np.float32) for name, values in columns.items()}
  return Pairs(
    np.concatenate(x).astype(np.float32),
    np.concatenate(y).astype(np.float32),
    np.array(subject),
    covariates,
    (site, reference),
  )


def _repeated(
  recording: recordings.Recording, waves: dict[str, np.ndarray], reference_t: np.ndarray, spec: config.Windows
) -> dict[str, np.ndarray]:
  """Repeats the waves of a record shorter than a window, such as a single beat, together to the length of a window.

  Between the first and the last foot of the reference lies a whole number of beats. With fewer than two feet the record
  itself counts as one beat.
  """
  if recording.time_s.size < beats.SHORTEST_S * spec.fs_hz:
    raise InputError(f"{recording.subject}: shorter than one beat ({beats.SHORTEST_S:g} s); use a longer record")
  feet = beats.find_feet(reference_t, spec.fs_hz)
  period = slice(feet[0], feet[-1]) if len(feet) >= 2 else slice(None)
  return {name: windows.repeat(wave_t[period], spec.samples) for name, wave_t in waves.items()}


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


CLINIC, LABELLED = "clinic", "labelled"
"""Covariates of windows from several clinics: the number of the clinic, and whether it has the subject's label."""

# Mean and SD of finger PPG between 0 and 1: 0.42 to 0.48 and 0.28 to 0.29 over the cohorts (in silico).
_UNITLESS_MEAN, _UNITLESS_SD = 0.45, 0.28


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
    context: measure of the circumstances of a measurement; None for a network that does not read them.
  """

  mean_mmhg: float
  sd_mmhg: float
  scalars: tuple[tuple[str, float, float], ...] = ()
  fitted_on: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
  unitless: bool = False
  context: circumstances.Circumstances | None = None

  def inputs(
    self, windows: "Waves | Pairs", model: config.Model, log_power_bk: np.ndarray | None = None
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a network reads of peripheral windows.

    Args:
      windows: of one clinic; or, with covariates `CLINIC` and `LABELLED`, of several.
      model: the network.
      log_power_bk: (window, band) mean `spectra.log_power` of each window's subject, if more than these windows are known;
        None for that of these windows.

    Returns:
      (window, time) scaled windows, and (window, covariate) standardised covariates with, for a network that reads them, the
      circumstances.

    Raises:
      InputError: a covariate is unknown for some windows, or the scaling was fitted for a network that reads no circumstances.
    """
    x_bt = self.scale_input(windows.x_bt)
    c_bq = self.standardise(windows.covariates, model.covariates, len(x_bt))
    if not model.reads_context:
      return x_bt, c_bq
    if self.context is None:
      raise InputError(f"extractor {model.extractor}: the source network reads no circumstances; use its own extractor")
    if log_power_bk is not None:
      around_bq = self.context.of_log_power(log_power_bk)
    elif CLINIC in windows.covariates:
      assert isinstance(windows, Pairs)
      around_bq = self.context.of_clinics(
        x_bt, self.scale(windows.y_bt), windows.subject_b, windows.covariates[CLINIC], windows.covariates[LABELLED]
      )
    else:
      around_bq = self.context.of_subjects(x_bt, windows.subject_b)
    return x_bt, np.concatenate([c_bq, around_bq], axis=1)

  def at_clinic(self, windows: "Waves | Pairs", labelled: "Pairs | None" = None) -> "Scaling":
    """Returns the same scaling with the circumstances of a clinic, if the network reads them.

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

  def labelled_inputs(self, windows: "Pairs", model: config.Model) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a network that reads the circumstances does of labelled windows of a clinic, each with the labels of the others."""
    x_bt, c_bq = self.inputs(windows, model)
    assert self.context is not None
    around_bq = self.context.of_labelled(x_bt, self.scale(windows.y_bt), windows.subject_b)
    return x_bt, np.concatenate([c_bq[:, : -around_bq.shape[1]], around_bq], axis=1)

  def scale_input(self, x_bt: np.ndarray) -> np.ndarray:
    """Returns peripheral windows (window, time) as a network reads them."""
    if not self.unitless:
      return self.scale(x_bt)
    return ((windows.min_max(x_bt) - _UNITLESS_MEAN) / _UNITLESS_SD).astype(np.float32)

  def scale(self, p_mmhg: np.ndarray) -> np.ndarray:
    """Returns pressures as a network outputs them."""
    return ((p_mmhg - self.mean_mmhg) / self.sd_mmhg).astype(np.float32)

  def unscale(self, scaled: np.ndarray) -> np.ndarray:
    """Returns the output of a network in mmHg."""
    return scaled * self.sd_mmhg + self.mean_mmhg

  def standardise(self, covariates: Covariates, names: Sequence[str], count: int) -> np.ndarray:
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
  def covariates(self) -> Covariates: ...

  @property
  def subjects(self) -> tuple[str, ...]: ...


def fit_scaling(
  training: Fittable, names: Sequence[str] = (), unitless: bool = False, reads_context: bool = False
) -> Scaling:
  """Fits mean and SD of the pressures of the training subjects, of some of their covariates, and of their spectra.

  Args:
    training: windows of the training subjects.
    names: covariates to standardise.
    unitless: whether the peripheral wave has no unit; the pressures are then those of the reference.
    reads_context: whether the network reads the circumstances of a measurement; the windows then lie in memory.

  Returns:
    The scaling.

  Raises:
    InputError: a covariate is unknown for some windows, or spectra are to be fitted to a stream.
  """
  scalars = []
  for name in names:
    if name not in training.covariates:
      raise InputError(f"covariate {name!r}: unknown; choose from {', '.join(sorted(training.covariates)) or 'none'}")
    _check_filled(name, training.covariates[name])
    value_b = training.covariates[name].astype(np.float64)
    mean = float(value_b.mean())
    scalars.append((name, mean, max(float(value_b.std()), _LEAST_SPREAD * abs(mean), 1e-6)))
  mean, sd = training.moments(reference=unitless)
  scaling = Scaling(mean_mmhg=mean, sd_mmhg=sd, scalars=tuple(scalars), fitted_on=training.subjects, unitless=unitless)
  if not reads_context:
    return scaling
  if not isinstance(training, Pairs):
    raise InputError("the extractor context_cnn is trained in memory; use a source without a store")
  return dataclasses.replace(
    scaling, context=circumstances.fit(scaling.scale_input(training.x_bt), scaling.scale(training.y_bt))
  )


class Feed(Protocol):
  """Windows of a stream that is not in memory. `stacks` yields (chunk, batch, …) arrays without end."""

  def stacks(self, chunk: int, batch: int, seed: int) -> Iterator[dict[str, np.ndarray]]: ...


Stream = Mapping[str, np.ndarray] | Feed


def _stacks_in_memory(
  stream: Mapping[str, np.ndarray], chunk: int, batch: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
  """Yields stacks of a stream in memory, in random orders of all its windows, so that each occurs equally often."""
  for rows in _order(len(stream["x"]), chunk, batch, seed):
    yield {axis: array[rows] for axis, array in stream.items()}


def stacks(
  streams: Mapping[str, Stream], batch: int, steps: int, chunk: int, seed: int
) -> Iterator[dict[str, dict[str, np.ndarray]]]:
  """Yields batches of windows of every stream, stacked by steps. The order of each stream is independent of the others.

  Args:
    streams: name → arrays of windows, or a `Feed`.
    batch: number of windows of each stream in a batch.
    steps: number of batches.
    chunk: number of batches in a stack.
    seed: seed of the orders.

  Yields:
    Stream → axis → (chunk, batch, …) array, `steps / chunk` times.

  Raises:
    ValueError: `steps` is not a multiple of `chunk`.
  """
  if steps % chunk:
    raise ValueError(f"{steps} steps are not a multiple of {chunk}, the steps per program")
  seeds = {name: seed + sum(name.encode()) for name in streams}
  iterators = {
    name: _stacks_in_memory(stream, chunk, batch, seeds[name])
    if isinstance(stream, Mapping)
    else stream.stacks(chunk, batch, seeds[name])
    for name, stream in streams.items()
  }
  for _ in range(steps // chunk):
    yield {name: next(stack) for name, stack in iterators.items()}


def rows_of_step(count: int, batch: int, chunk: int, seed: int, stream: str, step: int) -> np.ndarray:
  """Returns the windows that `stacks` draws at one step from a stream in memory.

  Args:
    count: number of windows of the stream.
    batch: number of windows in a batch.
    chunk: number of batches in a stack.
    seed: seed given to `stacks`.
    stream: name of the stream.
    step: step, from 0.

  Returns:
    (batch,) indices of windows.
  """
  orders = _order(count, chunk, batch, seed + sum(stream.encode()))
  return next(itertools.islice(orders, step // chunk, None))[step % chunk]


def _order(count: int, chunk: int, batch: int, seed: int) -> Iterator[np.ndarray]:
  """Yields (chunk, batch) indices of windows without end."""
  rng = np.random.default_rng(seed)
  waiting = np.zeros(0, dtype=int)
  while True:
    while waiting.size < chunk * batch:
      waiting = np.concatenate([waiting, rng.permutation(count)])
    rows, waiting = waiting[: chunk * batch].reshape(chunk, batch), waiting[chunk * batch :]
    yield rows
