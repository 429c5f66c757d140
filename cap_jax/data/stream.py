"""Training windows from a store of any size: few blocks in memory, each window once an epoch, a share for each process.

A block is a run of samples of a shard; the windows that begin in it belong to it. An epoch goes through all blocks in a random
order, `POOL` of them at a time, and through the windows of a pool in a random order. The next pool is read while this one is
used.
"""

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cap_jax import config
from cap_jax.data import batches, store
from cap_jax.types import DataError, InputError

BLOCK = 1 << 17  # samples
_LEAST_BLOCKS = 4  # of each process
POOL = 48  # blocks in memory: 48 of 2¹⁷ samples of two signals are 50 MB


@dataclasses.dataclass(frozen=True)
class _Block:
  """Windows that begin in a run of a shard.

  shard: number; first: sample where the run begins; start_b: (window,) from there; row_b: (window,) their record's number.
  """

  shard: int
  first: int
  start_b: np.ndarray
  row_b: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Found:
  """What a store has for a stream: blocks of windows, their records, gain and offset of each, why others cannot be used."""

  blocks: list[_Block]
  records: list[store.Record]
  affine: list[tuple[float, float]]
  left_out: list[str]

  def add(
    self, number: int, shard: store.Shard, wanted: set[str], signals: tuple[str, str], spec: config.Windows,
    calibration: config.Calibration,
  ) -> None:  # fmt: skip
    """The windows of a shard."""
    starts, rows = [], []
    for record in shard.records:
      if record.subject not in wanted:
        continue
      try:
        affine = store.affine(calibration, record, signals[0])
      except InputError as error:
        self.left_out.append(str(error))
        continue
      spans = store.intersect([record.spans.get(name, ()) for name in signals])
      # hops count from the record's first sample, so that windows do not depend on where a gap ends
      runs = [np.arange(-(-a // spec.hop) * spec.hop, b - spec.samples + 1, spec.hop) for a, b in spans]
      start = np.concatenate([np.zeros(0, dtype=np.int64), *runs])
      if start.size:
        starts.append(record.start + start)
        rows.append(np.full(start.size, len(self.records)))
        self.records.append(record)
        self.affine.append(affine)
    if starts:
      self.blocks.extend(_blocks(number, np.concatenate(starts), np.concatenate(rows)))


class Stream:
  """Windows of the peripheral wave and the reference of some subjects of a store.

  Attributes:
    count: windows of this process.
    processes: among whom the blocks are shared.
    subjects: of whom there are windows, of all processes.
    covariates: name → (record,), NaN where it is not known of a record.
    left_out: why records could not be calibrated.
  """

  def __init__(
    self,
    source: store.Store,
    subjects: Sequence[str],
    signals: tuple[str, str],
    spec: config.Windows,
    calibration: config.Calibration,
    process: int = 0,
    processes: int = 1,
  ):
    """Args:
      source: where the windows lie; its rate is theirs.
      subjects: whose.
      signals: peripheral wave and reference.
      spec: length and hop.
      calibration: of the peripheral wave.
      process, processes: which share of the blocks.

    Raises:
      InputError: a signal is missing, the rates differ, or there is no window.
    """
    source.check_signals(signals)
    if abs(source.fs_hz / spec.fs_hz - 1) > 1e-6:
      raise InputError(
        f"{source.path}: {source.fs_hz:g} Hz, the windows {spec.fs_hz:g} Hz; prepare it again at that rate"
      )
    if source.units[signals[0]] != "mmHg" and calibration.kind == "none":
      raise InputError(
        f"{source.path}: {signals[0]} is not in mmHg; calibrate it, as with --config.calibration.kind=sbp_dbp"
      )
    self._source, self._signals, self._spec = source, signals, spec
    self.processes = processes
    found = _Found([], [], [], [])
    for number, shard in enumerate(source.shards):
      found.add(number, shard, set(subjects), signals, spec, calibration)
    self.subjects = tuple(dict.fromkeys(record.subject for record in found.records))
    self._blocks = _enough(found.blocks, _LEAST_BLOCKS * processes)[process::processes]
    self.count = sum(block.start_b.size for block in self._blocks)
    self.left_out = tuple(found.left_out)
    if not self.count:
      why = f"; {found.left_out[0]}" if found.left_out else ""
      raise InputError(
        f"{source.path}: no window of {spec.seconds:g} s with {' and '.join(signals)} without a gap{why}"
      )
    self._records = found.records
    self._gain_r, self._offset_r = np.array(found.affine, dtype=np.float32).T
    names = {name for record in found.records for name in record.covariates}
    self.covariates = {
      name: np.array([record.covariates.get(name, np.nan) for record in found.records], dtype=np.float32)
      for name in sorted(names)
    }

  @property
  def digest(self) -> str:
    """SHA-256 of the store, from its manifest."""
    return str(self._source.manifest["sha256"])

  @property
  def pool(self) -> int:
    """Windows that lie in memory together, about."""
    return max(self.count * POOL // max(len(self._blocks), POOL), 1)

  def moments(self) -> tuple[float, float]:
    """Mean and SD of the peripheral wave over the good samples of its records, of all processes."""
    n, total, squares = (np.array([record.moments[self._signals[0]][k] for record in self._records]) for k in range(3))
    gain, offset = self._gain_r.astype(float), self._offset_r.astype(float)
    mean = (gain * total + n * offset).sum() / n.sum()
    square = (gain**2 * squares + 2 * gain * offset * total + n * offset**2).sum() / n.sum()
    return float(mean), float(np.sqrt(max(square - mean**2, 0.0)))

  def _load(self, blocks: Sequence[_Block]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Samples of some blocks one behind the other, and (window,) where each begins in them and its record."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in self._signals}
    starts, total = [], 0
    for block in blocks:
      shard = self._source.shards[block.shard]
      stop = block.first + int(block.start_b[-1]) + self._spec.samples
      for name in self._signals:
        parts[name].append(shard.read(name, block.first, stop))
      starts.append(total + block.start_b)
      total += stop - block.first
    samples = {name: np.concatenate(parts[name]) for name in self._signals}
    start_b = np.concatenate(starts)
    for name, wave in samples.items():
      lost = np.concatenate([[0], np.cumsum(~np.isfinite(wave))])
      if np.any(lost[start_b + self._spec.samples] != lost[start_b]):
        raise DataError(
          f"{self._source.path}: {name}", "has lost samples since it was written", "prepare the data again"
        )
    return samples, start_b, np.concatenate([block.row_b for block in blocks])

  def _pairs(
    self, samples: Mapping[str, np.ndarray], start_b: np.ndarray, row_b: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """(window, time) peripheral wave, calibrated, and reference."""
    x_bt, y_bt = (
      np.lib.stride_tricks.sliding_window_view(samples[name], self._spec.samples)[start_b] for name in self._signals
    )
    if np.any(self._gain_r[row_b] != 1) or np.any(self._offset_r[row_b] != 0):
      x_bt = self._gain_r[row_b, None] * x_bt + self._offset_r[row_b, None]
    return x_bt, y_bt

  def _pools(self, seed: int) -> Iterator[list[_Block]]:
    """Blocks of one pool after the other, without end; each block once an epoch."""
    epoch = 0
    while True:
      order = np.random.default_rng([seed, epoch]).permutation(len(self._blocks))
      for first in range(0, order.size, POOL):
        yield [self._blocks[k] for k in order[first : first + POOL]]
      epoch += 1

  def draws(self, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Random windows without end, `size` at a time: x_bt, y_bt [mmHg] and their records' numbers; each window once an epoch."""
    pools = self._pools(seed)
    rng = np.random.default_rng([seed, 1 << 20])
    held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    waiting = 0
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
      coming = reader.submit(self._load, next(pools))
      while True:
        samples, start_b, row_b = coming.result()
        coming = reader.submit(self._load, next(pools))
        order = rng.permutation(start_b.size)
        first = 0
        while first < order.size:
          rows = order[first : first + size - waiting]
          first += rows.size
          held.append((*self._pairs(samples, start_b[rows], row_b[rows]), row_b[rows]))
          waiting += rows.size
          if waiting == size:
            yield held[0] if len(held) == 1 else _joined(held)
            held, waiting = [], 0

  def sample(self, size: int, seed: int = 0) -> batches.Pairs:
    """Random windows held in memory, `size` of them or all.

    For strategies that look at the source's windows as a whole.
    """
    x_bt, y_bt, row_b = next(self.draws(min(size, self.count), seed))
    known = {name: value_r[row_b] for name, value_r in self.covariates.items()}
    return batches.Pairs(x_bt, y_bt, np.array([self._records[k].subject for k in row_b]), known)


class Scaled:
  """A stream whose batches are scaled, as networks read them: a `batches.Feed`."""

  def __init__(self, stream: Stream, scaling: batches.Scaling, covariates: Sequence[str], numerics: Sequence[str] = ()):
    """Args:
      covariates, numerics: names of those that a network takes, and of those that it learns.

    Raises:
      InputError: a name is not known of all records.
    """
    self._stream, self._scaling = stream, scaling
    count = len(next(iter(stream.covariates.values()), ())) or 1
    self._c_rq = scaling.standardise(stream.covariates, covariates, count)
    self._m_rq = scaling.standardise(stream.covariates, numerics, count)

  def stacks(self, chunk: int, batch: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """(chunk, batch, …) arrays "x", "c", "y", "m" without end; of several processes, each gives its share of a batch."""
    batch //= self._stream.processes
    for x_bt, y_bt, row_b in self._stream.draws(chunk * batch, seed):
      flat = {"x": self._scaling.scale(x_bt), "y": self._scaling.scale(y_bt)}
      for name, known_rq in (("c", self._c_rq), ("m", self._m_rq)):
        flat[name] = known_rq[row_b if known_rq.shape[1] else np.zeros_like(row_b)]
      yield {name: array.reshape(chunk, batch, *array.shape[1:]) for name, array in flat.items()}


def _joined(held: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  x_bt, y_bt, row_b = (np.concatenate(parts) for parts in zip(*held, strict=True))
  return x_bt, y_bt, row_b


def _enough(blocks: list[_Block], least: int) -> list[_Block]:
  """The blocks, halved until there are so many or each has one window."""
  while len(blocks) < least and any(block.start_b.size > 1 for block in blocks):
    halves = [
      (block, part) for block in blocks for part in np.array_split(np.arange(block.start_b.size), 2) if part.size
    ]
    blocks = [
      _Block(b.shard, b.first + int(b.start_b[part[0]]), b.start_b[part] - b.start_b[part[0]], b.row_b[part])
      for b, part in halves
    ]
  return blocks


def _blocks(shard: int, start_b: np.ndarray, row_b: np.ndarray) -> list[_Block]:
  """Windows of a shard, whose starts rise, by the block they begin in."""
  number_b = start_b // BLOCK
  edges = np.flatnonzero(np.diff(number_b, prepend=-1))
  return [
    _Block(shard, int(starts[0]), starts - starts[0], rows)
    for starts, rows in zip(np.split(start_b, edges[1:]), np.split(row_b, edges[1:]), strict=True)
  ]
