"""Recordings → windows → scaled batches."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from cap_jax import config
from cap_jax.data import recordings
from cap_jax.signals import beats, windows
from cap_jax.types import InputError

Covariates = Mapping[str, np.ndarray]


class NoWindowError(InputError):
  """Recordings have no whole window."""


def _digest(arrays: Sequence[np.ndarray], subject_b: np.ndarray, covariates: Covariates) -> str:
  """SHA-256 of windows, their names and their covariates."""
  total = hashlib.sha256("\n".join((*subject_b.tolist(), *sorted(covariates))).encode())
  for array in (*arrays, *(covariates[name] for name in sorted(covariates))):
    total.update(np.ascontiguousarray(array).data)
  return total.hexdigest()


# compared by identity, so that what is computed from some windows can be kept for them
@dataclasses.dataclass(frozen=True, eq=False)
class Waves:
  """Windows of the peripheral wave alone: what an unlabelled subject gives. There is no label that could leak.

  x_bt: (window, time) [mmHg]; subject_b: (window,) names; covariates: name → (window,), NaN where it is not known of a subject;
  site: where the wave was measured, "" where that is not known.
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
    """SHA-256 of all that it holds."""
    return _digest((self.x_bt,), self.subject_b, self.covariates)


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
  """Windows of the peripheral wave and of the reference wave on the same clock.

  x_bt, y_bt: (window, time) [mmHg]; subject_b: (window,) names; covariates: name → (window,), NaN where it is not known of a
  subject; site: where the peripheral wave was measured, "" where that is not known.
  """

  x_bt: np.ndarray
  y_bt: np.ndarray
  subject_b: np.ndarray
  covariates: Covariates = dataclasses.field(default_factory=dict)
  site: str = ""

  def __repr__(self) -> str:
    return f"Pairs({len(self.x_bt)} windows of {len(self.subjects)} subjects, {self.site or 'site unknown'})"

  @property
  def subjects(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(self.subject_b.tolist()))

  def of(self, subjects: Sequence[str]) -> "Pairs":
    """The windows of some subjects.

    Raises:
      ValueError: a subject has no window.
    """
    missing = sorted(set(subjects) - set(self.subject_b.tolist()))
    if missing:
      raise ValueError(f"subjects {missing[:5]} have no windows")
    rows = np.isin(self.subject_b, list(subjects))
    known = {name: value_b[rows] for name, value_b in self.covariates.items()}
    return Pairs(self.x_bt[rows], self.y_bt[rows], self.subject_b[rows], known, self.site)

  @property
  def digest(self) -> str:
    """SHA-256 of all that it holds."""
    return _digest((self.x_bt, self.y_bt), self.subject_b, self.covariates)

  @functools.cached_property
  def _feet(self) -> dict[config.Windows, list[np.ndarray]]:
    return {}

  def reference_feet(self, spec: config.Windows) -> list[np.ndarray]:
    """Feet of the reference wave in each window, as indices of the window without its margins; looked for once."""
    if spec not in self._feet:
      inner = slice(spec.margin, spec.samples - spec.margin)
      self._feet[spec] = [beats.find_feet(y_t, spec.fs_hz) for y_t in self.y_bt[:, inner]]
    return self._feet[spec]

  def moments(self) -> tuple[float, float]:
    """Mean and SD of the peripheral wave."""
    return float(self.x_bt.mean(dtype=np.float64)), float(self.x_bt.std(dtype=np.float64))

  def unlabelled(self) -> Waves:
    """The same windows without the reference."""
    return Waves(self.x_bt, self.subject_b, self.covariates, self.site)


def make_pairs(
  found: Sequence[recordings.Recording],
  site: str,
  spec: config.Windows,
  reference: str = "aortic_root",
  gaps: bool = False,
  most: int | None = None,
) -> Pairs:
  """Cuts recordings into windows; a recording shorter than a window, down to a single beat, is repeated to one.

  Args:
    found: recordings of one rate.
    site, reference: of the two waves.
    spec: of the windows.
    gaps: whether recordings may have gaps throughout, as those of a store; one without a whole window is then left out.
    most: windows of each recording, evenly taken; all without it.

  Raises:
    InputError: a recording lacks a site, has another rate than the windows, is shorter than a beat, or has no window
      without a gap.
  """
  x, y, subject = [], [], []
  names = {name for recording in found for name in recording.covariates}
  known: dict[str, list[float]] = {name: [] for name in sorted(names)}
  for recording in found:
    for wanted in (site, reference):
      if wanted not in recording.signals:
        raise InputError(f"{recording.subject}: no signal at {wanted}; it has {', '.join(recording.sites)}")
    if abs(recording.fs_hz / spec.fs_hz - 1) > 1e-3:
      raise InputError(f"{recording.subject}: {recording.fs_hz:g} Hz; resample to {spec.fs_hz:g} Hz first")
    waves = {wanted: recording.signals[wanted] for wanted in (site, reference)}
    if gaps and recording.time_s.size < spec.samples:
      continue
    if recording.time_s.size < spec.samples:
      waves = _repeated(recording, waves, waves[reference], spec)
    x_bt, y_bt = (windows.frame(waves[wanted], spec.samples, spec.hop) for wanted in (site, reference))
    whole = np.flatnonzero(np.isfinite(x_bt).all(1) & np.isfinite(y_bt).all(1))
    if not whole.size:
      if gaps:
        continue
      raise InputError(f"{recording.subject}: every window of {spec.seconds:g} s has a gap")
    if most is not None and whole.size > most:
      whole = whole[np.linspace(0, whole.size - 1, most).round().astype(int)]
    x.append(x_bt[whole])
    y.append(y_bt[whole])
    subject += [recording.subject] * len(x[-1])
    for name, values in known.items():
      values += [recording.covariates.get(name, float("nan"))] * len(x[-1])
  if not x:
    raise NoWindowError(
      f"no window of {spec.seconds:g} s without a gap in {len(found)} recording(s) of {site} and {reference}"
    )
  covariates = {name: np.array(values, dtype=np.float32) for name, values in known.items()}
  return Pairs(
    np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.float32), np.array(subject), covariates, site
  )


def _repeated(
  recording: recordings.Recording, waves: dict[str, np.ndarray], reference_t: np.ndarray, spec: config.Windows
) -> dict[str, np.ndarray]:
  """Waves of a record shorter than a window, such as a single beat, repeated together to the length of one.

  Between the first and the last foot of the reference lies a whole number of beats; with fewer than two feet the record
  itself is one.
  """
  if recording.time_s.size < beats.SHORTEST_S * spec.fs_hz:
    raise InputError(f"{recording.subject}: shorter than one beat ({beats.SHORTEST_S:g} s)")
  feet = beats.find_feet(reference_t, spec.fs_hz)
  period = slice(feet[0], feet[-1]) if len(feet) >= 2 else slice(None)
  return {name: windows.repeat(wave_t[period], spec.samples) for name, wave_t in waves.items()}


def _check_filled(name: str, value_b: np.ndarray) -> None:
  """Raises:
  InputError: a number that a network takes is not known of everyone."""
  blank = int(np.isnan(value_b).sum())
  if blank:
    raise InputError(
      f"covariate {name!r}: blank for {blank} of {len(value_b)} windows or records; fill it in, leave those subjects "
      "out, or train without it"
    )


@dataclasses.dataclass(frozen=True)
class Scaling:
  """p ↦ (p − mean)/sd, one for both waves, so that a pressure stays comparable to itself; and the same for numbers.

  numbers: (name, mean, sd) of covariates and numerics. fitted_on: names of the subjects whose windows it was fitted on.
  """

  mean_mmhg: float
  sd_mmhg: float
  numbers: tuple[tuple[str, float, float], ...] = ()
  fitted_on: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)

  def scale(self, p_mmhg: np.ndarray) -> np.ndarray:
    return ((p_mmhg - self.mean_mmhg) / self.sd_mmhg).astype(np.float32)

  def unscale(self, scaled: np.ndarray) -> np.ndarray:
    return scaled * self.sd_mmhg + self.mean_mmhg

  def standardise(self, known: Covariates, names: Sequence[str], count: int) -> np.ndarray:
    """(window, name) standardised numbers; (count, 0) of no names.

    Raises:
      InputError: a name is not known of all windows, or was not when the scaling was fitted.
    """
    fitted = {name: (mean, sd) for name, mean, sd in self.numbers}
    for name in names:
      if name not in known or name not in fitted:
        there = sorted(set(known) & set(fitted))
        raise InputError(f"covariate {name!r}: not known of these windows; known are {', '.join(there) or 'none'}")
      _check_filled(name, known[name])
    columns = [(known[name] - fitted[name][0]) / fitted[name][1] for name in names]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((count, 0), np.float32)


# A spread below this share of the mean is no spread that one could standardise by, as of one subject.
_LEAST_SPREAD = 0.05


class Fittable(Protocol):
  """Training windows that a scaling can be fitted on, held in memory or not."""

  def moments(self) -> tuple[float, float]: ...

  @property
  def covariates(self) -> Covariates: ...

  @property
  def subjects(self) -> tuple[str, ...]: ...


def fit_scaling(training: Fittable, names: Sequence[str] = ()) -> Scaling:
  """Mean and SD of the peripheral waves of the training subjects, and of some of their covariates.

  Raises:
    InputError: a covariate is not known of all of them.
  """
  numbers = []
  for name in names:
    if name not in training.covariates:
      raise InputError(f"covariate {name!r}: unknown; choose of {', '.join(sorted(training.covariates)) or 'none'}")
    _check_filled(name, training.covariates[name])
    value_b = training.covariates[name].astype(np.float64)
    mean = float(value_b.mean())
    numbers.append((name, mean, max(float(value_b.std()), _LEAST_SPREAD * abs(mean), 1e-6)))
  return Scaling(*training.moments(), tuple(numbers), training.subjects)


class Feed(Protocol):
  """Windows of a stream that do not lie in memory: `stacks` yields (chunk, batch, …) arrays without end."""

  def stacks(self, chunk: int, batch: int, seed: int) -> Iterator[dict[str, np.ndarray]]: ...


Stream = Mapping[str, np.ndarray] | Feed


def _held(part: Mapping[str, np.ndarray], chunk: int, batch: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
  """Stacks of arrays, going through random orders of all their windows, so that each is seen equally often."""
  for rows in _order(len(part["x"]), chunk, batch, seed):
    yield {axis: array[rows] for axis, array in part.items()}


def stacks(
  streams: Mapping[str, Stream], batch: int, steps: int, chunk: int, seed: int
) -> Iterator[dict[str, dict[str, np.ndarray]]]:
  """Batches of windows of every stream, stacked by steps: each yield holds (chunk, batch, …) arrays, and `steps / chunk`
  follow. The order of one stream does not depend on which others there are.

  Raises:
    ValueError: `steps` is not a multiple of `chunk`.
  """
  if steps % chunk:
    raise ValueError(f"{steps} steps are not a multiple of the {chunk} that run in one program")
  seeds = {name: seed + sum(name.encode()) for name in streams}
  found = {
    name: _held(part, chunk, batch, seeds[name])
    if isinstance(part, Mapping)
    else part.stacks(chunk, batch, seeds[name])
    for name, part in streams.items()
  }
  for _ in range(steps // chunk):
    yield {name: next(stack) for name, stack in found.items()}


def rows_of_step(count: int, batch: int, chunk: int, seed: int, stream: str, step: int) -> np.ndarray:
  """(batch,) windows that `stacks` gives at a step, from 0, of a stream with so many in memory."""
  orders = _order(count, chunk, batch, seed + sum(stream.encode()))
  return next(itertools.islice(orders, step // chunk, None))[step % chunk]


def _order(count: int, chunk: int, batch: int, seed: int) -> Iterator[np.ndarray]:
  """Rows (chunk, batch) without end."""
  rng = np.random.default_rng(seed)
  waiting = np.zeros(0, dtype=int)
  while True:
    while waiting.size < chunk * batch:
      waiting = np.concatenate([waiting, rng.permutation(count)])
    rows, waiting = waiting[: chunk * batch].reshape(chunk, batch), waiting[chunk * batch :]
    yield rows
