"""The result of a reconstruction.

It is kept at the rate of the network, and evaluated on the clock of the record where it is needed: a record of a day has 20
million samples.
"""

import bisect
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np

from cap_jax.signals import blocks, filters, quality


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
  """One beat, counted on the peripheral wave, and the aortic wave from foot to foot.

  Attributes:
    time_s: time of its first foot [s].
    hr_bpm: heart rate [1/min].
    csbp_est_mmhg, cdbp_est_mmhg, cpp_est_mmhg, cmap_est_mmhg: pressures [mmHg] at the aortic root.
    peripheral_sbp_mmhg, peripheral_dbp_mmhg, peripheral_pp_mmhg, peripheral_map_mmhg: pressures [mmHg] at the
      peripheral site; NaN for a PPG without a unit.
    csbp_half_width_mmhg: half the width of cSBP's prediction interval [mmHg]; NaN if the network was never calibrated.
  """

  time_s: float
  hr_bpm: float
  csbp_est_mmhg: float
  cdbp_est_mmhg: float
  cpp_est_mmhg: float
  cmap_est_mmhg: float
  peripheral_sbp_mmhg: float
  peripheral_dbp_mmhg: float
  peripheral_pp_mmhg: float
  peripheral_map_mmhg: float
  csbp_half_width_mmhg: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Gap:
  """A stretch without a reconstruction, from `start_s` to `end_s`, and the reason."""

  start_s: float
  end_s: float
  reason: str


class BeatTable(Sequence[Beat]):
  """The beats of a record, kept by column.

  Attributes:
    columns: attribute of `Beat` → (beat,).
  """

  def __init__(self, columns: Mapping[str, np.ndarray]):
    self.columns = columns

  def __len__(self) -> int:
    return len(self.columns["time_s"])

  @overload
  def __getitem__(self, place: int) -> Beat: ...

  @overload
  def __getitem__(self, place: slice) -> "BeatTable": ...

  def __getitem__(self, place: int | slice) -> "Beat | BeatTable":
    if isinstance(place, slice):
      return BeatTable({name: value[place] for name, value in self.columns.items()})
    return Beat(**{name: float(value[place]) for name, value in self.columns.items()})


class Part(NamedTuple):
  """Samples of a reconstruction.

  Attributes:
    peripheral: (time,) the wave that was read [mmHg], a PPG in its own unit; NaN in the gaps.
    aortic_mmhg: (time,) the aortic wave; NaN in the gaps.
    half_width_mmhg: (time,) half the width of its prediction interval; NaN if the network was never calibrated.
  """

  peripheral: np.ndarray
  aortic_mmhg: np.ndarray
  half_width_mmhg: np.ndarray


@dataclasses.dataclass(frozen=True)
class RegularClock:
  """A regular clock.

  Attributes:
    first_s: time of the sample `origin` [s].
    origin: number of that sample.
    fs_hz: sampling rate.
  """

  first_s: float
  origin: int
  fs_hz: float

  def at_s(self, start: int, stop: int) -> np.ndarray:
    """Returns the times of the samples [start, stop) [s]."""
    return self.first_s + np.arange(start - self.origin, stop - self.origin) / self.fs_hz

  def around(self, at_s: np.ndarray, reach: int, size: int) -> tuple[int, int]:
    """Returns which of the first `size` samples are the neighbours of times, `reach` to each side."""
    first, last = ((at_s[k] - self.first_s) * self.fs_hz + self.origin for k in (0, -1))
    return max(int(first) - reach - 1, 0), min(int(last) + reach + 2, size)


class Stretch(NamedTuple):
  """A usable span of a record, reconstructed at the rate of the network.

  Attributes:
    span: samples of the record.
    clock: of the network.
    steps_s: median steps of the clock of the network and of that of the record in the span.
    aortic_t: (time,) aortic wave [mmHg].
    sigma_t: (time,) its σ [mmHg].
  """

  span: quality.Span
  clock: RegularClock
  steps_s: tuple[float, float]
  aortic_t: np.ndarray
  sigma_t: np.ndarray

  def at(self, at_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the aortic wave and its σ at increasing times."""
    first, last = self.clock.around(at_s, filters.reach(*self.steps_s), len(self.aortic_t))
    own_s = self.clock.at_s(first, last)
    wave = filters.resample(own_s, self.aortic_t[first:last], at_s, self.steps_s)
    return wave, np.interp(at_s, own_s, self.sigma_t[first:last])


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveSource:
  """What a reconstruction is evaluated from.

  Attributes:
    time_s: (time,) clock of the record [s], regular where times are those at which packets arrived.
    wave_t: (time,) the wave that was read, short losses bridged.
    bridged: (run, 2) first sample of each of these losses, and the first one after it.
    stretches: the usable spans, in order.
    pressure: whether the wave is a pressure.
    factor: half-width of the wave's interval over σ.
  """

  time_s: np.ndarray
  wave_t: np.ndarray
  bridged: np.ndarray
  stretches: Sequence[Stretch]
  pressure: bool
  factor: float

  def part(self, start: int, stop: int) -> Part:
    """Returns the samples [start, stop)."""
    part = Part(*(np.full(stop - start, np.nan) for _ in Part._fields))
    first = bisect.bisect_right(self.stretches, start, key=lambda stretch: stretch.span.stop)
    for stretch in self.stretches[first:]:
      if stretch.span.start >= stop:
        break
      begin, end = max(stretch.span.start, start), min(stretch.span.stop, stop)
      own = slice(begin - start, end - start)
      aortic, sigma = stretch.at(self.time_s[begin:end])
      part.aortic_mmhg[own], part.half_width_mmhg[own] = aortic, self.factor * sigma
      read = self.wave_t[begin:end]
      part.peripheral[own] = quality.plausible(read) if self.pressure else read
    for begin, end in self.bridged[np.searchsorted(self.bridged[:, 1], start, side="right") :].tolist():
      if begin >= stop:
        break
      part.peripheral[max(begin - start, 0) : end - start] = np.nan
    return part


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructedWave:
  """The aortic wave of a record.

  Attributes:
    time_s: (time,) the clock of the input.
    source: the wave that was read, and where it was reconstructed; `part` evaluates them.
    ood_fraction: share of the windows that are out of distribution; NaN if the network was never calibrated.
    beats: the beats in order.
    gaps: stretches without a reconstruction, in order.
    outside: what holds for windows out of distribution, "" if the network was never calibrated.
    lacking: why a calibrated network has no intervals, "" if it has.
    unusual_hr: how the heart rate differs from those of the training, "" if it does not or they are unknown.
    unitless: whether the peripheral wave has no unit.
    unknown_level: that the pressure level is unknown, "" if the input contains it.
    notes: what the reader of the record did, and what is doubtful in its waves.
  """

  time_s: np.ndarray
  source: WaveSource
  ood_fraction: float
  beats: BeatTable
  gaps: list[Gap]
  outside: str = ""
  lacking: str = ""
  unusual_hr: str = ""
  unitless: bool = False
  unknown_level: str = ""
  notes: tuple[str, ...] = ()

  def part(self, start: int, stop: int) -> Part:
    """Returns the samples [start, stop)."""
    return self.source.part(start, stop)

  @property
  def has_intervals(self) -> bool:
    """Whether the wave has finite prediction intervals."""
    return bool(np.isfinite(self.source.factor)) and bool(self.source.stretches)

  @functools.cached_property
  def _whole(self) -> Part:
    whole = Part(*(np.empty(self.time_s.size) for _ in Part._fields))
    for start, stop in blocks.cut(self.time_s.size):
      for array, own in zip(whole, self.part(start, stop), strict=True):
        array[start:stop] = own
    return whole

  @property
  def peripheral(self) -> np.ndarray:
    """(time,) the wave that was read [mmHg], a PPG in its own unit; NaN in the gaps."""
    return self._whole.peripheral

  @property
  def aortic_mmhg(self) -> np.ndarray:
    """(time,) the aortic wave; NaN in the gaps."""
    return self._whole.aortic_mmhg

  @property
  def half_width_mmhg(self) -> np.ndarray:
    """(time,) half the width of the wave's prediction interval; NaN if the network was never calibrated."""
    return self._whole.half_width_mmhg
