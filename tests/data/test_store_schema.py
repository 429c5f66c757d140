"""What a store may contain: values within their ranges that agree with each other, and its own regular files alone."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import tempfile
import time
import tracemalloc

import pytest

from cap_jax.data import datasets, preparation, schema, store, store_schema
from cap_jax.types import DataError, InputError
from tests.data import signed_store
from tests.data.test_store import HOW, SPEC, dataset

_HIDDEN = "\x1b[2J"
_NAN, _INFINITE = float("nan"), float("inf")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  path = tmp_path_factory.mktemp("stores") / "a"
  preparation.prepare(dataset(3), path, SPEC, HOW, shard_records=2)
  return path


@pytest.fixture
def copied(prepared, tmp_path):
  shutil.copytree(prepared, tmp_path / "store")
  return tmp_path / "store"


_MANIFEST = [
  (("conditioning", "fs_hz"), _NAN, "fs_hz is NaN, must be a number from 60 to 2000"),
  (("conditioning", "fs_hz"), 0, "fs_hz is 0, must be a number from 60 to 2000"),
  (("conditioning", "fs_hz"), True, "fs_hz is true, must be a number"),
  (("conditioning", "fs_hz"), "125", 'fs_hz is "125", must be a number'),
  (("conditioning", "transit_s"), [0.25, -0.1], "transit_s is .*, must rise"),
  (("format",), 2.0, "has format 2.0, but this version reads format 2"),
  (("format",), True, "has format true, but this version reads format 2"),
  (("place",), "on the moon", 'place is "on the moon", must be one of in silico, in vitro, real records'),
  (("units", "radial"), "kPa", r'units\.radial is "kPa", must be mmHg or uncalibrated'),
  (("units",), {"heel": "mmHg"}, r"units\.heel has a name that is \"heel\""),
  (("more",), 1, "more is no field of this file"),
  (("notes",), [_HIDDEN], r'notes\[0\] is "\\u001b\[2J", must contain no control characters'),
  (("source",), "x" * 1_000_000, "source has 1000000 characters, must have 0 to 100000"),
  (("shards", 0, "samples"), 10**12, "samples, but the manifest says 1000000000000"),
  (("shards", 0, "samples"), 10**30, "samples is 1000000000000000000000000000000, must be a whole number from 1"),
  (("shards", 0, "samples"), 10000.0, "samples is 10000.0, must be a whole number"),
  (("shards", 0, "records"), 3, "contains 2 records, but the manifest says 3"),
  (("shards", 0, "name"), "../shard-00000", r"name is .*, must be shard-NNNNN"),
  (("shards", 1, "name"), "shard-00000", "shards contains a name twice"),
  (("shards",), [], "shards has 0 values, must have 1 to"),
  (("lost",), [{"where": "here"}], r"lost\[0\]\.subject is missing"),
  (("totals", "seconds"), -1, "seconds is -1, must be a number from 0"),
]


@pytest.mark.quick
@pytest.mark.parametrize(("place", "value", "message"), _MANIFEST)
def test_a_manifest_out_of_range_is_refused(copied, place, value, message):
  signed_store.change(copied / "manifest.json", place, value)
  signed_store.sign(copied)
  with pytest.raises(DataError, match=message) as refused:
    store.open_store(copied)
  assert "prepare the data again" in str(refused.value)


_RECORDS = [
  ((0, "start"), 5, r"\[0\]\.start is 5, but the record before it ends at 0"),
  ((1, "start"), 10**11, r"\[1\]\.start is 100000000000, but the record before it ends at 5000"),
  ((1, "samples"), 10**11, "contains 100000005000 samples, but the manifest says 10000"),
  ((0, "samples"), 5000.0, r"samples is 5000\.0, must be a whole number"),
  ((0, "spans", "radial"), [[0, 10**9]], r"moments\.radial\[0\]|ends at 1000000000, but the record has 5000 samples"),
  ((0, "spans", "radial"), [[5, 5]], r"spans\.radial\[0\] is \[5, 5\], must be two whole numbers that rise from 0 on"),
  ((0, "spans", "radial"), [[0, 9], [8, 12]], r"radial\[1\] is \[8, 12\], must be two whole numbers that rise from 9"),
  ((0, "spans", "radial"), [[0, True]], r"radial\[0\] is \[0, true\]"),
  ((0, "spans", "radial"), [[0, 100]], r"moments\.radial\[0\] is \d+, but the spans have 100 samples"),
  ((0, "spans", "heel"), [], r"spans\.heel has a name that is \"heel\""),
  ((0, "moments", "radial", 1), _NAN, r"moments\.radial\[1\] is NaN, must be a number"),
  ((0, "moments", "radial", 1), 1e15, r"moments\.radial is of no \d+ samples within ±10000"),
  ((0, "moments", "radial", 2), 0.0, r"moments\.radial is of no \d+ samples"),
  ((0, "levels", "radial"), [1e308, 1, 1], r"levels\.radial\[0\] is 1e\+308, must be a number from"),
  ((0, "levels", "radial"), [70.0, 120.0, 90.0], "the mean must lie between diastole and systole"),
  ((0, "levels", "radial"), [120.0, 70.0], r"levels\.radial is a list of 2, must be a list of 3"),
  ((0, "covariates", "age"), _INFINITE, r"covariates\.age is Infinity, must be a number"),
  ((0, "covariates", "age"), -1e31, r"covariates\.age is -1e\+31, must be a number"),
  ((0, "covariates", "age"), "old", r'covariates\.age is "old", must be a number'),
  ((0, "covariates", _HIDDEN), 1.0, "has a name that .* must contain no control characters"),
  ((0, "sync", "radial"), [_NAN, 0, 0], r"sync\.radial\[0\] is NaN"),
  ((1, "subject"), "s00", 'contains record "r" of subject "s00" twice'),
  ((0, "subject"), 3, r"subject is 3, must be a text"),
  ((0, "more"), 3, "more is no field of this file"),
]


@pytest.mark.quick
@pytest.mark.parametrize(("place", "value", "message"), _RECORDS)
def test_records_out_of_range_are_refused(copied, place, value, message):
  signed_store.change(copied / "shard-00000" / "records.json", place, value)
  signed_store.sign(copied)
  with pytest.raises(DataError, match=message):
    store.open_store(copied)


_ARRAY = [
  (("shape", 0), 10**12, "shape.* is 1000000000000, must be 10000"),
  (("chunk_grid", "configuration", "chunk_shape", 0), 10**10, r"chunk_shape\[0\] is 10000000000, must be 65536"),
  (("codecs",), [{"name": "gzip", "configuration": {"level": 9}}], r"codecs\[0\]\.name is \"gzip\", must be one of"),
  (("data_type",), "float64", 'data_type is "float64", must be "float32"'),
  (("fill_value",), 0.0, 'fill_value is 0.0, must be "NaN"'),
  (("zarr_format",), 3.0, "zarr_format is 3.0, must be 3"),
  (("storage_transformers",), [{"name": "x"}], "storage_transformers has 1 values, must have 0"),
]


@pytest.mark.quick
@pytest.mark.parametrize(("place", "value", "message"), _ARRAY)
def test_an_array_of_another_form_is_refused(copied, place, value, message):
  signed_store.change(copied / "shard-00000" / "radial" / "zarr.json", place, value)
  signed_store.sign(copied)
  with pytest.raises(DataError, match=rf"radial/zarr\.json: .*{message}"):
    store.open_store(copied)


@pytest.mark.quick
@pytest.mark.parametrize(
  ("content", "message"),
  [
    ({"parts": {"training": ["nobody"]}}, r'split\.json: parts\.training names "nobody", who has no record'),
    ({"parts": {"training": ["s00", "s00"]}}, r"parts\.training contains a value twice"),
    ({"parts": {"training": ["s00"], "test": ["s00"]}}, "are in both 'training' and 'test'"),
    ({"parts": [["s00"]]}, "parts is a list of 1, must be an object"),
    ({"parts": {}, "more": 1}, "more is no field"),
  ],
)
def test_a_split_that_cannot_be_is_refused(copied, content, message):
  (copied / "split.json").write_text(json.dumps({"sha256": 64 * "0", **content}))
  signed_store.sign(copied)
  with pytest.raises(InputError, match=message):
    store.open_store(copied)


@pytest.mark.quick
@pytest.mark.parametrize("file", ["manifest.json", "split.json", "shard-00000/records.json"])
@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"format": 2, "format": 1}', r'damaged, .*field "format" occurs twice'),
    ("[" * 100_000, "damaged, or written by another project"),
    ('"\udc80"', "damaged, or written by another project"),
    ("[" + "{}," * 1_100_000 + "{}]", "holds more values than a header has"),
    ("[" + "1," * 9_000_000 + "1]", "holds more values than a header has"),
  ],
)
def test_a_file_that_is_no_header_is_refused(copied, file, text, message):
  (copied / file).write_text(text, errors="surrogateescape")
  tracemalloc.start()
  try:
    with pytest.raises(DataError, match=message):
      store.open_store(copied)
    assert tracemalloc.get_traced_memory()[1] < 100e6  # a file of 18 MB
  finally:
    tracemalloc.stop()


@pytest.mark.quick
@pytest.mark.parametrize("file", ["manifest.json", "split.json", "shard-00000/records.json", "shard-00000/radial/c/0"])
def test_a_file_of_gigabytes_is_refused_unread(copied, file):
  os.truncate(copied / file, 3 << 30)  # sparse: it takes no room
  start_s = time.monotonic()
  with pytest.raises(DataError, match=rf"{file}: .*3221225472 bytes"):
    store.open_store(copied)
  assert time.monotonic() - start_s < 1


PLACES = (
  "manifest.json",
  "split.json",
  "shard-00000",
  "shard-00000/records.json",
  "shard-00000/radial",
  "shard-00000/radial/zarr.json",
  "shard-00000/radial/c",
  "shard-00000/radial/c/0",
)


def link(path, kept):
  path.rename(kept)
  path.symlink_to(kept)


def pipe(path, kept):
  path.rename(kept)
  os.mkfifo(path)


def _socket(path, kept):
  path.rename(kept)
  here = os.getcwd()
  os.chdir(path.parent)  # the name of a socket is short
  try:
    with socket.socket(socket.AF_UNIX) as made:
      made.bind(path.name)
  finally:
    os.chdir(here)


def _other_kind(path, kept):
  path.rename(kept)
  path.write_text("") if kept.is_dir() else path.mkdir()


@pytest.mark.quick
@pytest.mark.parametrize("replace", [link, pipe, _socket, _other_kind])
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_of_a_store_is_refused_by_name(copied, tmp_path, name, replace):
  replace(copied / name, tmp_path / "kept")
  with pytest.raises(DataError, match=f"{name}: (is a link|is neither a file nor a folder|must be a (file|folder))"):
    store.open_store(copied)


@pytest.mark.quick
@pytest.mark.parametrize("name", PLACES)
def test_what_is_missing_is_named(copied, name):
  shutil.rmtree(copied / name) if (copied / name).is_dir() else (copied / name).unlink()
  missing = f"{name}(/0)?: is missing"  # the folder of chunks may be missing, but not a chunk that has samples
  with pytest.raises(DataError, match="no prepared store found" if name == "manifest.json" else missing):
    store.open_store(copied)


@pytest.mark.quick
@pytest.mark.parametrize("folder", [".", "shard-00000", "shard-00000/radial", "shard-00000/radial/c"])
@pytest.mark.parametrize("name", ["notes.txt", ".DS_Store", "shard-00009", "99", "-1", "a\x1bb", "\udc80"])
def test_what_is_additional_is_named_and_its_removal_suffices(copied, folder, name):
  added = copied / folder / name
  added.mkdir() if name.startswith("shard") else added.write_text("")
  with pytest.raises(DataError, match=r"is unexpected.*; move it elsewhere") as refused:
    store.open_store(copied)
  if schema.is_text(name):
    assert str(added.relative_to(copied)) in str(refused.value)
  assert "\x1b" not in str(refused.value)
  added.rmdir() if added.is_dir() else added.unlink()
  assert len(store.open_store(copied).shards) == 2


@contextlib.contextmanager
def ordinary_user():
  """A block as a user who may not read everything."""
  if os.geteuid() != 0:
    yield
    return
  os.seteuid(65534)
  try:
    yield
  finally:
    os.seteuid(0)


@pytest.mark.quick
@pytest.mark.parametrize("name", [".", *PLACES[:-1]])
def test_what_may_not_be_read_is_named(prepared, name):
  with tempfile.TemporaryDirectory() as base:  # pytest's own folder is closed to others
    os.chmod(base, 0o755)
    root = pathlib.Path(base, "store")
    shutil.copytree(prepared, root)
    for path in (root, *root.rglob("*")):
      path.chmod(0o755)
    with ordinary_user():
      assert len(store.open_store(root).shards) == 2
    (root / name).chmod(0)
    with ordinary_user(), pytest.raises(DataError, match="permission denied; allow yourself to read it") as refused:
      store.open_store(root)
    (root / name).chmod(0o755)
  assert f"{root / name}" in str(refused.value)


@pytest.mark.quick
def test_own_files_and_a_link_to_the_folder_are_accepted(copied, tmp_path):
  for name in (".cap_jax.lock", ".cap_jax_files", "plan.json", "shard-00000.shard.json"):
    (copied / name).write_text("")
  (tmp_path / "link").symlink_to(copied)
  assert len(store.open_store(tmp_path / "link").recordings()) == 3


@pytest.mark.quick
def test_a_false_length_takes_no_memory(copied):
  signed_store.change(copied / "manifest.json", ("shards", 0, "samples"), 10**11)
  signed_store.change(copied / "shard-00000" / "records.json", (1, "samples"), 10**11 - 5000)
  for name in ("radial", "aortic_root"):
    signed_store.change(copied / "shard-00000" / name / "zarr.json", ("shape", 0), 10**11)
  signed_store.sign(copied)
  opened = store.open_store(copied)  # all agree: the record is long, and nearly all of it is a gap
  tracemalloc.start()
  try:
    with pytest.raises(DataError, match=r"records\.json, subject s01, record r: contains 1.6e\+03 GB of samples"):
      opened.recordings()
    assert tracemalloc.get_traced_memory()[1] < 10e6
  finally:
    tracemalloc.stop()


@pytest.mark.quick
def test_names_of_control_characters_are_cleaned_when_they_are_written(tmp_path):
  entries = [datasets.Entry(f"s\x1b{k}", "r\n", "here\x00", entry.read) for k, entry in enumerate(dataset(7).entries)]
  data = datasets.DataSet(
    name="csv", entries=tuple(entries), source="a\x07", licence="", path="p\n", channels=None, notes=("\x9b",)
  )
  opened = preparation.prepare(data, tmp_path / "s", SPEC, HOW)
  assert opened.manifest["source"] == "a\\x07"
  assert opened.manifest["lost"][0]["where"] == "here\\x00"


@pytest.mark.quick
def test_sound_values_at_the_ends_of_their_ranges_are_accepted():
  assert store_schema.CONDITIONING.fault({"fs_hz": 60}) is None
  assert store_schema.CONDITIONING.fault({"fs_hz": 2000.0, "repeat_s": 600}) is None
  assert schema.Text(0, 3).fault("né\u3000") is None
  assert store_schema.RECORD.kinds["covariates"].fault({"age": _NAN}) is None  # unknown
  assert store_schema.Spans().fault([[0, 1], [1, 2], [5, 9]]) is None
  assert list(store_schema.chunks_of([(0, 1), (65535, 65537), (200_000, 200_001)])) == [0, 1, 3]
