"""Cuts recordings into windows, and draws batches."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from cap_jax import config
from cap_jax.data import recordings
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


class Membership(NamedTuple):
  """The clinics of windows that come from several.

  Attributes:
    clinic_b: (window,) number of its clinic.
    labelled_b: (window,) whether the clinic has the label of its subject.
  """

  clinic_b: np.ndarray
  labelled_b: np.ndarray


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
    """The names of the subjects, each once."""
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
    """The names of the subjects, each once."""
    return tuple(dict.fromkeys(self.subject_b.tolist()))

  def of(self, subjects: Sequence[str]) -> "Pairs":
    """Returns the windows of some subjects.

    Args:
      subjects: their names.

    Raises:
      InputError: a subject has no window.
    """
    if isinstance(subjects, str) or not isinstance(subjects, Iterable):
      raise InputError(f"subjects={subjects!r}: must be a list of names, such as windows.subjects[:5]")
    missing = sorted(set(subjects) - set(self.subject_b.tolist()))
    if missing:
      raise InputError(f"subjects {missing[:5]} have no windows; choose from windows.subjects")
    return self.at(np.isin(self.subject_b, list(subjects)))

  def at(self, rows: np.ndarray) -> "Pairs":
    """Returns the windows at some rows.

    Args:
      rows: (window,) indices, or a mask.
    """
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
    """Returns the feet of the reference in each window, as indices into the window without its margins; caches them.

    Args:
      spec: the windows: rate and margin.
    """
    if spec not in self._feet:
      inner = slice(spec.margin, spec.samples - spec.margin)
      self._feet[spec] = [beats.find_feet(y_t, spec.fs_hz) for y_t in self.y_bt[:, inner]]
    return self._feet[spec]

  def moments(self, reference: bool = False) -> tuple[float, float]:
    """Returns mean and SD of the peripheral wave [mmHg], or of the reference wave.

    Args:
      reference: whether to read the reference wave.
    """
    wave_bt = self.y_bt if reference else self.x_bt
    return float(wave_bt.mean(dtype=np.float64)), float(wave_bt.std(dtype=np.float64))

  def unlabelled(self) -> Waves:
    """Returns the same windows without the reference."""
    return Waves(self.x_bt, self.subject_b, self.covariates, self.site)


@dataclasses.dataclass(frozen=True, eq=False)
class ClinicPairs(Pairs):
  """Windows of several clinics.

  Attributes:
    membership: the clinics of the windows.
  """

  membership: Membership = dataclasses.field(kw_only=True)

  def at(self, rows: np.ndarray) -> "ClinicPairs":
    """Returns the windows at some rows: (window,) indices, or a mask."""
    part = super().at(rows)
    membership = Membership(*(part_b[rows] for part_b in self.membership))
    return ClinicPairs(part.x_bt, part.y_bt, part.subject_b, part.covariates, part.sites, membership=membership)

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of waves, subjects, covariates and clinics."""
    return _digest((self.x_bt, self.y_bt, *self.membership), self.subject_b, self.covariates)


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


class Feed(Protocol):
  """Windows of a stream that is not in memory.

  `stacks` yields (chunk, batch, …) arrays without end. `digest` is the SHA-256 of all that they follow from but size and seed.
  `verify` compares the data with their digest, which reads all of them.
  """

  @property
  def digest(self) -> str: ...

  def verify(self) -> None: ...

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
