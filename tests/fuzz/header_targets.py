"""Headers of checkpoints and stores whose values are changed one by one, with checksums made anew: what lies behind these is reached.

The first byte of an input says which file is changed, each four further bytes one change: the place (two bytes), what is done there, and
the place of another value for it.
"""

import copy
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from cap_jax import config
from cap_jax.baselines import arx
from cap_jax.data import preparation, recordings, scalings, store, stream
from cap_jax.inference import pretrained, reconstruct
from cap_jax.train import checkpoint, filter_blend, uncertainty_calibration
from tests.data import signed_store
from tests.data.sources import write
from tests.data.test_store import HOW, SPEC, dataset
from tests.fuzz.target import Target, scratch
from tests.train import older_checkpoints, people, signed_checkpoint

_NAN, _INFINITE = float("nan"), float("inf")
_VALUES = (
  *(None, True, False, 0, 1, -1, 3, -5, 60, 1000, 65536, 10**9, 10**12, 2**63, 10**30, -(10**30)),
  *(
    0.0,
    -0.0,
    0.5,
    1.0,
    -0.1,
    2.0,
    1e-300,
    1e-6,
    0.01,
    99.0,
    1e4,
    1e10,
    1e30,
    1e308,
    -1e308,
    _NAN,
    _INFINITE,
    -_INFINITE,
  ),
  *("", "x", "\x1b[2J", "\ud800", "x" * 1_000_000, "../..", "none", "radial", "digital_ppg", "shard-00000", "0" * 64),
  *([], [None], [0, 1], [1.0, 2.0], [[0, 1]] * 60, [["age", 50.0, 12.0]], [1e3] * 63, {}, {"a": 1}, {"name": "x"}),
)
_SAMPLE = 3  # of the items of a long list: the first, the middle and the last


def _remove(holder, key, other):
  del holder[key]


def _exchange(holder, key, other):
  holder[key] = copy.deepcopy(other)


def _changed(change):
  def apply(holder, key, other):
    holder[key] = change(holder[key])

  return apply


_CHANGES = (
  _remove,
  *[_exchange] * 4,
  *(_changed(lambda value, factor=factor: float(value) * factor) for factor in (2, -1, 1000, 0.001, 1.01)),
  *(_changed(change) for change in (float, int, str, bool, lambda value: value[::-1], lambda value: value + 1)),
  *(_changed(change) for change in (lambda value: [value], lambda value: value[:-1], lambda value: value + value[-1:])),
  *(_changed(lambda _, value=value: copy.deepcopy(value)) for value in _VALUES),
)


def places(value: Any, before: tuple = ()) -> list[tuple]:
  """The places of all values in a JSON value, some of those of a long list."""
  if isinstance(value, dict):
    keys = list(value)
  elif isinstance(value, list):
    keys = sorted({0, len(value) // 2, len(value) - 1}) if len(value) > _SAMPLE else range(len(value))
  else:
    keys = []
  return [place for key in keys if value for place in ((*before, key), *places(value[key], (*before, key)))]


def changed(content: Any, data: bytes) -> Any:
  """A JSON value with the changes that bytes say; those that cannot be made are left out."""
  content = copy.deepcopy(content)
  for k in range(0, len(data) - 3, 4):
    there = places(content)
    if not there:
      break
    place = there[int.from_bytes(data[k : k + 2], "little") % len(there)]
    source, last = signed_store.at(content, there[data[k + 3] * len(there) // 256])
    holder, key = signed_store.at(content, place)
    try:
      _CHANGES[data[k + 2] % len(_CHANGES)](holder, key, source[last])
    except (TypeError, ValueError, LookupError, OverflowError):
      _exchange(holder, key, source[last])
  return content


def _draw(files: int):
  def draw(rng: np.random.Generator) -> bytes:
    changes = int(rng.choice([1, 1, 1, 1, 2, 3]))
    return bytes([rng.integers(files)]) + rng.integers(0, 256, 4 * changes, dtype=np.uint8).tobytes()

  return draw


def _plain(value: Any) -> Any:
  return json.loads(json.dumps(value))


def _networks() -> list[checkpoint.Checkpoint]:
  """Networks whose headers have all fields between them."""
  radial, finger = pretrained.load("radial"), pretrained.load("finger_ppg")
  spec = radial.windows
  blend = filter_blend.FilterBlend(arx.Arx(np.array([0.9]), np.array([0.06, 0.04]), 0.0, 2, spec.fs_hz), 0.5)
  bands = radial.scaling.context
  there = dataclasses.replace(bands, clinic=((0.1, 0.9),) * 60, labelled=((0.2, 0.8),) * 102, labels=4)
  about = {"strategy": "fine_tuning", "n_target": 4, "seed": 0, "changes": {"weight": 1.0}, "history": radial.about}
  adapted = dataclasses.replace(
    radial, blend=blend, about=about, scaling=dataclasses.replace(radial.scaling, context=there)
  )
  cuff = dataclasses.replace(radial, signals=config.Signals(calibration=config.Calibration(kind="map_dbp")))
  return [radial, finger, adapted, cuff]


def _check_network(loaded: checkpoint.Checkpoint, content: Any) -> None:
  """What was read has the values that were written, and makes a pressure of a sound wave.

  Raises:
    InputError: the wave was refused.
  """
  if content["format"] == checkpoint.FORMAT:
    assert _plain(checkpoint.header_of(loaded)) == {key: value for key, value in content.items() if key != "sha256"}
  time_s, p_t = write.wave(125.0)
  covariates = dict.fromkeys(loaded.model.covariates, 50.0)
  covariates |= {"cuff_sbp_mmhg": 125.0, "cuff_dbp_mmhg": 75.0, "invasive_map_mmhg": 90.0, "invasive_dbp_mmhg": 75.0}
  recording = recordings.make("a", "", "here", time_s, {loaded.site: p_t}, covariates=covariates)
  with np.errstate(all="ignore"):
    result = reconstruct.reconstruct(loaded, recording)
  usable = np.ones(time_s.size, bool)
  for gap in result.gaps:
    usable[(time_s >= gap.start_s - 1e-9) & (time_s <= gap.end_s + 1e-9)] = False
  assert usable.any()
  assert np.isfinite(result.aortic_mmhg[usable]).all()
  if loaded.uncertainty_calibration is not None:
    assert not np.isnan(result.half_width_mmhg[usable]).any()


def _older() -> checkpoint.Checkpoint:
  """A network that earlier formats know: one that has learnt nothing."""
  model = config.Model(channels=8, layers=1, head_channels=8)
  params = people.drawn(model)
  return checkpoint.Checkpoint(
    params=params,
    model=model,
    scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, scalars=(("age", 50.0, 12.0),)),
    about={"source": "wide", "steps": 100},
    seen_subject_hashes=checkpoint.digests_of(["Ann", "Bob"]),
    uncertainty_calibration=uncertainty_calibration.UncertaintyCalibration(
      head=params["r"], detector=None, hr_bpm=(50.0, 90.0), ood_threshold=40.0, level=0.9, wave=1.5, csbp=float("inf"),
      subjects=20, where="validation subjects",
    ),
  )  # fmt: skip


def checkpoint_header() -> Target:
  """The header of a checkpoint: refused, or a network that reads a wave and has the values of its header."""
  networks, older, folders, whole = _networks(), _older(), [], []
  for network, written in [*((network, None) for network in networks), *((older, written) for written in (3, 4, 5))]:
    folder = scratch() / "checkpoint"
    checkpoint.save(folder, network) if written is None else older_checkpoints.write(folder, network, written)
    folders.append(folder)
    whole.append(json.loads((folder / checkpoint.HEADER).read_text()))

  def call(data: bytes) -> None:
    if not data:
      return
    folder, content = folders[data[0] % len(folders)], whole[data[0] % len(folders)]
    sums = content["sha256"]
    content = changed({key: value for key, value in content.items() if key != "sha256"}, data[1:])
    (folder / checkpoint.HEADER).write_text(json.dumps({**content, "sha256": sums}))
    signed_checkpoint.sign(folder)
    _check_network(checkpoint.load(folder), content)

  return Target([bytes([k]) for k in range(len(folders))], call, _draw(len(folders)))


def _check_store(opened: store.Store, root: pathlib.Path, waves: dict) -> None:
  """What was read has the values that were written, and its windows are those of the records.

  Raises:
    InputError: a record, or the windows, were refused.
  """
  written = json.loads((root / store.MANIFEST).read_text())
  assert {key: value for key, value in opened.manifest.items() if key not in ("format", "place")} == {
    key: value for key, value in written.items() if key not in ("format", "place")
  }
  for shard in opened.shards:
    text = (shard.folder / store.RECORDS).read_text()
    records = json.dumps([dataclasses.asdict(record) for record in shard.records])
    assert json.loads(records, parse_int=float) == json.loads(text, parse_int=float)
    for record in shard.records:
      for name in record.spans:
        wave_t = shard.read(name, record.start, record.start + record.samples)
        expected = waves[shard.folder.name, name][record.start : record.start + record.samples]
        np.testing.assert_array_equal(wave_t, expected)
  assert len(opened.recordings()) == sum(len(shard.records) for shard in opened.shards)
  subjects = [name for part in opened.split.subjects.values() for name in part]
  pair = ("radial", "aortic_root")
  windows = stream.Stream(opened, subjects, pair, config.Windows(fs_hz=opened.fs_hz), config.Calibration())
  assert np.isfinite(windows.moments()).all()
  x_bt, y_bt, _ = next(windows.draws(windows.count, 0))
  assert np.isfinite(x_bt).all()
  assert np.isfinite(y_bt).all()


def stored() -> Target:
  """The headers of a store: refused, or a store that reads its records and has the values of its headers."""
  root = scratch() / "store"
  preparation.prepare(dataset(5), root, SPEC, HOW, shard_records=3)
  whole = {file: file.read_bytes() for file in sorted(root.rglob("*.json"))}
  files = list(whole)
  opened = store.open_store(root)
  waves = {
    (shard.folder.name, name): shard.read(name, 0, shard.samples)
    for shard in opened.shards
    for name in ("radial", "aortic_root")
  }
  del opened

  def call(data: bytes) -> None:
    if not data:
      return
    file = files[data[0] % len(files)]
    file.write_text(json.dumps(changed(json.loads(whole[file]), data[1:])))
    signed_store.sign(root)
    try:
      _check_store(store.open_store(root), root, waves)
    finally:
      for path, content in whole.items():
        path.write_bytes(content)

  return Target([bytes([k]) for k in range(len(files))], call, _draw(len(files)))
