"""What is fuzzed: bytes → a call that may fail in the project's own words only.

A target has seeds, whole inputs of its kind, and takes any bytes: the first says which file of a folder they are, the rest is its content.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping

import numpy as np
import scipy.io

from cap_jax.cli import study_flags
from cap_jax.data import datasets, recordings
from cap_jax.data.sources import DATASETS, arrays, folders, pwdb
from cap_jax.inference import pretrained, reconstruct
from cap_jax.study import study_config
from cap_jax.train import checkpoint, checksummed, weight_files
from cap_jax.types import DataError, InputError
from tests.data.sources import write
from tests.fuzz import header_targets
from tests.fuzz.target import Target, scratch
from tests.train import signed_checkpoint, torch_writer

_MOST = 1 << 19  # bytes of a seed
_FORMATS: Mapping[str, tuple[Callable, str]] = {
  "csv": (write.csv_folder, "csv"),
  "npz": (write.npz, "npz"),
  "parquet": (write.parquet, "parquet"),
  "wfdb": (write.wfdb_multi_segment, "wfdb"),
  "wfdb_flac": (write.wfdb_multi_frequency, "wfdb"),
  "vital": (write.vital, "vitaldb"),
  "uci": (write.uci, "uci"),
  "pulsedb": (write.pulsedb, "pulsedb"),
  "pulsedb_subset": (write.pulsedb_subset, "pulsedb"),
  "vital_tracks": (write.vital_tracks, "vitaldb"),
  "pwdb": (write.pwdb_csv, "pwdb"),
  "pwdb_wfdb": (write.pwdb_wfdb, "pwdb"),
  "pwdb_mat": (write.pwdb_mat, "pwdb"),
  "mat": (write.mat, "npz"),
  "aurora": (write.aurora, "aurora_bp"),
}


def _check_matlab_forked(path: pathlib.Path, options: Mapping) -> None:
  """`arrays.check_matlab` with a copy of this process instead of a new one, which would take 10,000 seconds."""
  child = os.fork()
  if not child:
    status = 1
    try:
      with folders.bounded(str(path)):
        scipy.io.loadmat(path, **options)
      status = 0
    finally:
      os._exit(status)
  end = time.monotonic() + arrays._PATIENCE_S
  while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
    if time.monotonic() > end:
      os.kill(child, signal.SIGKILL)
    time.sleep(1e-3)
  if ended[1]:
    raise DataError(str(path), "cannot be read", "save or download the file again")


def _read_all(name: str, channels: Mapping[str, str] | None, path: pathlib.Path) -> None:
  """Raises:
  InputError: anything of it was refused."""
  result = DATASETS[name](path, channels)
  refused: list[InputError] = list(result.lost)
  for entry in result.entries[:4]:
    try:
      datasets.read(entry)
    except InputError as error:
      refused.append(error)
  if refused:
    raise refused[0]


def _format(title: str) -> Target:
  """A loader, over the files of a folder."""
  writer, name = _FORMATS[title]
  if title.endswith("mat"):
    arrays.check_matlab = _check_matlab_forked
  root = scratch()
  path, channels, _ = writer(root)
  files = sorted(file for file in root.rglob("*") if file.is_file())
  whole = [file.read_bytes() for file in files]
  # the files that all else hangs on, and those that are short enough to be turned over
  seeds = [bytes([k]) + content for k, content in enumerate(whole) if len(content) <= _MOST]

  def call(data: bytes) -> None:
    if not data:
      return
    number = data[0] % len(files)
    files[number].write_bytes(data[1:])
    for read in (pwdb._mat, pwdb._table):  # they are requested their files anew
      read.cache_clear()
    try:
      _read_all(name, channels, pathlib.Path(path))
    finally:
      files[number].write_bytes(whole[number])

  return Target(seeds, call)


def _reconstruct() -> Target:
  """The shipped network on any wave: float32 samples at a rate that the first byte chooses."""
  network = pretrained.load()
  rates = (125.0, 60.0, 500.0, 1.0, 1e-3, 1e6)
  _, p_t = write.wave(125.0)
  seeds = [bytes([k]) + p_t.astype(np.float32).tobytes() for k in range(len(rates))]

  def call(data: bytes) -> None:
    wave = np.frombuffer(data[1 : 1 + (len(data) - 1) // 4 * 4], np.float32).astype(float)
    if wave.size:
      clock = np.arange(wave.size) / rates[data[0] % len(rates)]
      with np.errstate(all="ignore"):
        reconstruct.reconstruct(network, recordings.make("a", "", "here", clock, {"radial": wave}))

  return Target(seeds, call)


def _config() -> Target:
  """Lines `field=value` over the default study, values as JSON or words."""
  lines = [
    "n_target=[1, 5]",
    "strategies=auto",
    "model.layers=2",
    "windows.seconds=2.0",
    "steps=100",
    "calibration.kind=map_dbp",
  ]
  lines += [
    'custom={"scratch": {"optimizer": "adam"}}',
    "seeds=[0]",
    "scenario=device",
    "pretrain.batch=8",
    "model.extractor=tcn",
  ]
  seeds = [line.encode() for line in lines] + ["\n".join(lines).encode()]

  def call(data: bytes) -> None:
    values = study_flags.to_config_dict(study_config.Study())
    for line in data.decode("utf-8", "replace").splitlines()[:8]:
      field, _, text = line.partition("=")
      try:
        value = json.loads(text)
      except (ValueError, RecursionError):
        value = text
      with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # as the flags refuse it
        values.update_from_flattened_dict({field.strip(): value})
    study_flags.study_of(values)

  return Target(seeds, call)


def _checkpoint() -> Target:
  """A file of the shipped checkpoint; with an odd second byte its sums are made anew, so that what lies behind them is reached."""
  root = scratch()
  folder = root / "checkpoint"
  shutil.copytree(pretrained.place("radial"), folder)
  files = sorted(file for file in folder.rglob("*") if file.is_file())
  whole = {file: file.read_bytes() for file in files}
  seeds = [bytes([k, sign]) + whole[file][:_MOST] for k, file in enumerate(files) for sign in (0, 1)]

  def call(data: bytes) -> None:
    if len(data) < 2:
      return
    file = files[data[0] % len(files)]
    file.write_bytes(data[2:])
    if data[1] % 2:
      with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
        signed_checkpoint.sign(folder, arrays=True)
    try:
      checkpoint.load(folder)
    finally:
      for place in {file, folder / checksummed.HEADER}:
        place.write_bytes(whole[place])

  return Target(seeds, call)


def _weights() -> Target:
  """A state dict of PyTorch, in both layouts."""
  path = scratch() / "net.pt"
  arrays = {"conv.weight": np.ones((2, 1, 3), np.float32), "conv.bias": np.ones(2, np.float64), "count": np.array(3)}
  seeds = [
    write_weights(path, arrays).read_bytes() for write_weights in (torch_writer.write_zip, torch_writer.write_sequence)
  ]

  def call(data: bytes) -> None:
    path.write_bytes(data)
    weight_files.read(path)

  return Target(seeds, call)


TARGETS: dict[str, Callable[[], Target]] = {
  **{title: functools.partial(_format, title) for title in _FORMATS},
  "reconstruct": _reconstruct,
  "config": _config,
  "checkpoint": _checkpoint,
  "checkpoint_header": header_targets.checkpoint_header,
  "store": header_targets.stored,
  "weights": _weights,
}


def mutated(seeds: list[bytes], rng: np.random.Generator) -> bytes:
  """A seed with bytes changed, cut out, doubled, or swapped for those of another."""
  data = bytearray(seeds[rng.integers(len(seeds))])
  for _ in range(1 + rng.integers(4)):
    a = int(len(data) * rng.uniform() ** 3)  # headers stand in front
    b = min(len(data), a + int(2 ** rng.uniform(0, 9)))
    kind = rng.integers(6)
    if kind == 0:
      data[a:b] = b""
    elif kind == 1:
      data[a:a] = data[a:b]
    elif kind == 2:
      data[a:b] = rng.integers(0, 256, b - a, dtype=np.uint8).tobytes()
    elif kind == 3 and a < len(data):
      data[a] ^= 1 << int(rng.integers(8))
    elif kind == 4:
      other = seeds[rng.integers(len(seeds))]
      start = int(rng.integers(len(other)))
      data[a:b] = other[start : start + b - a]
    else:
      arguments = (b"nan", b"-1", b"1e309", b"\0", b"\xff\xff\xff\xff", b"../", b"99999999999", b"", b"[" * 50, b'"')
      data[a:b] = arguments[rng.integers(len(arguments))]
  return bytes(data)


def drawn(target: Target, rng: np.random.Generator) -> bytes:
  """An input of a target: one that it draws, or a seed that is damaged."""
  return target.draw(rng) if target.draw is not None else mutated(target.seeds, rng)


def quietly(call: Callable[[bytes], None], data: bytes) -> str:
  """What came of an input: "read", "refused", or raises what is neither."""
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
      call(data)
    except InputError as error:
      if not str(error).strip():
        raise AssertionError("an error without a word") from error
      return "refused"
  return "read"


def name_of(data: bytes) -> str:
  return hashlib.sha256(data).hexdigest()[:16]
