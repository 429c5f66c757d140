"""Training windows from a store of any size. Few blocks are in memory, and each process reads its share of the blocks.

A block is a run of samples of a shard; the windows that begin in it belong to it. An epoch visits all blocks in a
random order, `POOL` of them at a time, and the windows of a pool in a random order. Each window occurs once an epoch.
The next pool is read while this one is used.
"""

import concurrent.futures
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cap_jax import config
from cap_jax.data import batches, scalings, signal_names, store
from cap_jax.types import DataError, InputError

BLOCK = 1 << 17  # samples
_LEAST_BLOCKS = 4  # for each process
POOL = 48  # blocks in memory: 48 of 2¹⁷ samples of two signals are 50 MB


@dataclasses.dataclass(frozen=True)
class _Block:
  """Windows that begin in one run of a shard.

  Attributes:
    shard: index of the shard.
    first: sample at which the run begins.
    start_b: (window,) first sample of each window, counted from `first`.
    row_b: (window,) index of the record of each window.
  """

  shard: int
  first: int
  start_b: np.ndarray
  row_b: np.ndarray


@dataclasses.dataclass(frozen=True)
class _UsableWindows:
  """Windows of a store that a stream can use.

  Attributes:
    blocks: blocks of windows.
    records: records of the windows.
    affine: gain and offset of each record.
    left_out: why other records cannot be used.
  """

  blocks: list[_Block]
  records: list[store.Record]
  affine: list[tuple[float, float]]
  left_out: list[str]

  def add(
    self, number: int, shard: store.Shard, subjects: set[str], signals: tuple[str, str], spec: config.Windows,
    calibration: config.Calibration,
  ) -> None:  # fmt: skip
    """Adds the windows of a shard."""
    starts, rows = [], []
    for record in shard.records:
      if record.subject not in subjects:
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
    count: number of windows of this process.
    processes: number of processes that share the blocks.
    subjects: subjects that have windows, over all processes.
    covariates: name → (record,), NaN where the value of a record is unknown.
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
    """Lists the windows of some subjects.

    Args:
      source: store to read; its rate must be that of the windows.
      subjects: names of the subjects.
      signals: names of the peripheral wave and of the reference.
      spec: length and hop of the windows.
      calibration: calibration of the peripheral wave.
      process: index of this process.
      processes: number of processes that share the blocks.

    Raises:
      InputError: a signal is missing, the rates differ, or there is no window.
    """
    source.check_signals(signals)
    if abs(source.fs_hz / spec.fs_hz - 1) > 1e-6:
      raise InputError(
        f"{source.path}: sampled at {source.fs_hz:g} Hz, but the windows need {spec.fs_hz:g} Hz; prepare the data again at that rate"
      )
    if source.units[signals[0]] != "mmHg" and calibration.kind == "none" and signal_names.is_pressure(signals[0]):
      raise InputError(
        f"{source.path}: {signals[0]} is not in mmHg; calibrate it, for example with --config.calibration.kind=sbp_dbp"
      )
    self._source, self._signals, self._spec = source, signals, spec
    self.processes = processes
    usable = _UsableWindows([], [], [], [])
    for number, shard in enumerate(source.shards):
      usable.add(number, shard, set(subjects), signals, spec, calibration)
    self.subjects = tuple(dict.fromkeys(record.subject for record in usable.records))
    self._blocks = _split_blocks(usable.blocks, _LEAST_BLOCKS * processes)[process::processes]
    self.count = sum(block.start_b.size for block in self._blocks)
    self.left_out = tuple(usable.left_out)
    if not self.count:
      why = f"; {usable.left_out[0]}" if usable.left_out else ""
      raise InputError(
        f"{source.path}: no window of {spec.seconds:g} s with {' and '.join(signals)} without a gap{why}"
      )
    self._records = usable.records
    self._gain_r, self._offset_r = np.array(usable.affine, dtype=np.float32).T
    names = {name for record in usable.records for name in record.covariates}
    self.covariates = {
      name: np.array([record.covariates.get(name, np.nan) for record in usable.records], dtype=np.float32)
      for name in sorted(names)
    }

  @property
  def path(self) -> pathlib.Path:
    """Returns the folder of the store."""
    return self._source.path

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of the store, from its manifest."""
    return str(self._source.manifest["sha256"])

  @property
  def facts(self) -> tuple[object, ...]:
    """Returns all that the windows follow from, whichever process reads them."""
    affine = (self._gain_r.tolist(), self._offset_r.tolist())
    return self.digest, self.subjects, self._signals, self._spec, affine

  @property
  def pool(self) -> int:
    """Returns about how many windows are in memory together."""
    return max(self.count * POOL // max(len(self._blocks), POOL), 1)

  def moments(self, reference: bool = False) -> tuple[float, float]:
    """Returns mean and SD [mmHg] of a wave over the good samples of its records, of all processes.

    Args:
      reference: whether the wave is the reference, otherwise the peripheral one.
    """
    name = self._signals[reference]
    n, total, squares = (np.array([record.moments[name][k] for record in self._records]) for k in range(3))
    gain, offset = np.ones(n.size), np.zeros(n.size)
    if not reference:
      gain, offset = self._gain_r.astype(float), self._offset_r.astype(float)
    mean = (gain * total + n * offset).sum() / n.sum()
    square = (gain**2 * squares + 2 * gain * offset * total + n * offset**2).sum() / n.sum()
    return float(mean), float(np.sqrt(max(square - mean**2, 0.0)))

  def _load(self, blocks: Sequence[_Block]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Reads blocks one behind the other. Returns samples, and (window,) the start and the record of each window."""
    runs: dict[str, list[np.ndarray]] = {name: [] for name in self._signals}
    starts, total = [], 0
    for block in blocks:
      shard = self._source.shards[block.shard]
      stop = block.first + int(block.start_b[-1]) + self._spec.samples
      for name in self._signals:
        runs[name].append(shard.read(name, block.first, stop))
      starts.append(total + block.start_b)
      total += stop - block.first
    samples = {name: np.concatenate(runs[name]) for name in self._signals}
    start_b = np.concatenate(starts)
    for name, wave in samples.items():
      lost = np.concatenate([[0], np.cumsum(~np.isfinite(wave))])
      if np.any(lost[start_b + self._spec.samples] != lost[start_b]):
        raise DataError(
          f"{self._source.path}: {name}", "contains fewer samples than were written", "prepare the data again"
        )
    return samples, start_b, np.concatenate([block.row_b for block in blocks])

  def _pairs(
    self, samples: Mapping[str, np.ndarray], start_b: np.ndarray, row_b: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns (window, time) the calibrated peripheral wave and the reference."""
    x_bt, y_bt = (
      np.lib.stride_tricks.sliding_window_view(samples[name], self._spec.samples)[start_b] for name in self._signals
    )
    if np.any(self._gain_r[row_b] != 1) or np.any(self._offset_r[row_b] != 0):
      x_bt = self._gain_r[row_b, None] * x_bt + self._offset_r[row_b, None]
    return x_bt, y_bt

  def _pools(self, seed: int) -> Iterator[list[_Block]]:
    """Yields the blocks of one pool after another, without end; each block once an epoch."""
    epoch = 0
    while True:
      order = np.random.default_rng([seed, epoch]).permutation(len(self._blocks))
      for first in range(0, order.size, POOL):
        yield [self._blocks[k] for k in order[first : first + POOL]]
      epoch += 1

  def draws(self, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draws random windows without end; each window occurs once an epoch.

    Args:
      size: number of windows in a draw.
      seed: seed of the order.

    Yields:
      x_bt and y_bt, (window, time) [mmHg], and (window,) indices of their records.
    """
    pools = self._pools(seed)
    rng = np.random.default_rng([seed, 1 << 20])
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    waiting = 0
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
      next_pool = reader.submit(self._load, next(pools))
      while True:
        samples, start_b, row_b = next_pool.result()
        next_pool = reader.submit(self._load, next(pools))
        order = rng.permutation(start_b.size)
        first = 0
        while first < order.size:
          rows = order[first : first + size - waiting]
          first += rows.size
          pieces.append((*self._pairs(samples, start_b[rows], row_b[rows]), row_b[rows]))
          waiting += rows.size
          if waiting == size:
            yield pieces[0] if len(pieces) == 1 else _joined(pieces)
            pieces, waiting = [], 0

  def sample(self, size: int, seed: int = 0) -> batches.Pairs:
    """Draws random windows into memory, for strategies that need the source's windows as a whole.

    Args:
      size: number of windows; all if there are fewer.
      seed: seed of the draw.

    Returns:
      The windows, with subjects and covariates.
    """
    x_bt, y_bt, row_b = next(self.draws(min(size, self.count), seed))
    covariates = {name: value_r[row_b] for name, value_r in self.covariates.items()}
    return batches.Pairs(x_bt, y_bt, np.array([self._records[k].subject for k in row_b]), covariates)


class Scaled:
  """A stream that yields scaled batches, as networks read them. It implements `batches.Feed`."""

  def __init__(
    self, stream: Stream, scaling: scalings.Scaling, covariates: Sequence[str], numerics: Sequence[str] = ()
  ):
    """Standardises the covariates of a stream.

    Args:
      stream: windows in mmHg.
      scaling: scaling of waves and numbers.
      covariates: names of the covariates that the network reads.
      numerics: names of the numbers that the network learns to predict.

    Raises:
      InputError: a name is not known of all records.
    """
    self._stream, self._scaling = stream, scaling
    count = len(next(iter(stream.covariates.values()), ())) or 1
    self._c_rq = scaling.standardise(stream.covariates, covariates, count)
    self._m_rq = scaling.standardise(stream.covariates, numerics, count)

  @property
  def digest(self) -> str:
    """Returns the SHA-256 of all that the batches follow from but their size and seed."""
    total = hashlib.sha256(repr((self._stream.facts, self._scaling)).encode())
    for array in (self._c_rq, self._m_rq):
      total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()

  def verify(self) -> None:
    """Compares the waves of the store with the hashes in its manifest.

    Raises:
      DataError: they were changed after the store was prepared.
    """
    store.open_store(self._stream.path, verify=True)

  def stacks(self, chunk: int, batch: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields stacked batches without end.

    Args:
      chunk: number of batches in a stack.
      batch: size of a batch over all processes; each process yields its share.
      seed: seed of the order.

    Yields:
      "x", "c", "y" and "m" → (chunk, batch, …) arrays.
    """
    batch //= self._stream.processes
    for x_bt, y_bt, row_b in self._stream.draws(chunk * batch, seed):
      flat = {"x": self._scaling.scale_input(x_bt), "y": self._scaling.scale(y_bt)}
      for name, values_rq in (("c", self._c_rq), ("m", self._m_rq)):
        flat[name] = values_rq[row_b if values_rq.shape[1] else np.zeros_like(row_b)]
      yield {name: array.reshape(chunk, batch, *array.shape[1:]) for name, array in flat.items()}


def _joined(pieces: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  x_bt, y_bt, row_b = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
  return x_bt, y_bt, row_b


def _split_blocks(blocks: list[_Block], least: int) -> list[_Block]:
  """Halves the blocks until there are at least `least` or each has one window."""
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
  """Groups the windows of a shard, whose starts rise, by the block they begin in."""
  number_b = start_b // BLOCK
  edges = np.flatnonzero(np.diff(number_b, prepend=-1))
  return [
    _Block(shard, int(starts[0]), starts - starts[0], rows)
    for starts, rows in zip(np.split(start_b, edges[1:]), np.split(row_b, edges[1:]), strict=True)
  ]
