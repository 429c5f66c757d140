"""A pipe, a socket, a device, or a link to one or to nothing, in place of any file of any format, is refused by its name."""

import contextlib
import os
import pathlib
import signal
import socket

import pandas
import pytest

from cap_jax.data import datasets, splits
from cap_jax.data.sources import DATASETS, folders
from cap_jax.train import weight_files, weight_import
from cap_jax.types import DataError, InputError
from tests import tiers
from tests.data.sources import write

_PATIENCE_S = 120  # a reader that opens a pipe waits for ever


def _pipe(path):
  os.mkfifo(path)


def _link_to_a_pipe(path):
  (path.parent / "elsewhere").unlink(missing_ok=True)
  os.mkfifo(path.parent / "elsewhere")
  path.symlink_to(path.parent / "elsewhere")


def _socket(path):
  here = os.open(".", os.O_RDONLY)
  os.chdir(path.parent)  # the name of a socket is short
  with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(path.name)
  os.fchdir(here)
  os.close(here)


def _link_to_a_device(path):
  path.symlink_to("/dev/zero")


def _link_to_nothing(path):
  path.symlink_to(path.parent / "absent")


KINDS = {
  "a pipe": (_pipe, "is a named pipe"),
  "a link to a pipe": (_link_to_a_pipe, "is a named pipe"),
  "a socket": (_socket, "is a socket"),
  "a link to a device": (_link_to_a_device, "is a device"),
  "a link to nothing": (_link_to_nothing, "is a link to a file that is missing"),
}
FORMATS = list(write.WRITERS)


@pytest.fixture(autouse=True)
def patience():
  """Ends a test that waits for a pipe."""

  def too_long(number, frame):
    raise TimeoutError("a reader waits")

  before = signal.signal(signal.SIGALRM, too_long)
  signal.alarm(_PATIENCE_S)
  yield
  signal.alarm(0)
  signal.signal(signal.SIGALRM, before)


def errors_of(name, path, channels):
  """What listing and reading refuse."""
  try:
    dataset = DATASETS[name](path, channels)
  except InputError as error:
    return [str(error)]
  errors = [str(error) for error in dataset.lost]
  for entry in dataset.entries:
    try:
      datasets.read(entry)
    except InputError as error:
      errors.append(str(error))
  return errors


@pytest.mark.parametrize("title", FORMATS)
@pytest.mark.parametrize("kind", tiers.sample(KINDS, "a pipe", "a link to a device"))
def test_it_is_refused_by_name_at_any_place(title, kind, tmp_path):
  put, said = KINDS[kind]
  name, writer = write.WRITERS[title]
  path, channels, _ = writer(tmp_path)
  victims = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
  known = errors_of(name, path, channels)
  for victim in victims:
    if victim.name == "info.txt":  # no reader looks at it
      continue
    aside = tmp_path.parent / f"{tmp_path.name}-aside"
    victim.rename(aside)
    put(victim)
    errors = [error for error in errors_of(name, path, channels) if error not in known]
    assert any(victim.name in error and said in error for error in errors), (victim.name, errors)
    victim.unlink()
    aside.rename(victim)
  assert errors_of(name, path, channels) == known


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("virtual", "nonlinear")])
def test_it_is_refused_as_the_data_itself(name, tmp_path):
  for number, (put, said) in enumerate(KINDS.values()):
    path = tmp_path / f"a{number}.hea"
    put(path)
    with pytest.raises(DataError, match=rf"a{number}\.hea: {said}"):
      DATASETS[name](path, {"Radial_P": "radial"} if name == "pwdb" else None)


@pytest.mark.parametrize(
  ("ending", "read"),
  [
    (".pt", weight_files.read), (".safetensors", weight_files.read), (".json", weight_import.read_map), (".csv", weight_import.read_map),
    (".json", splits.load),
  ],
)  # fmt: skip
def test_it_is_refused_as_weights_a_map_and_a_split(ending, read, tmp_path):
  for number, (put, said) in enumerate(list(KINDS.values())[:4]):
    path = tmp_path / f"a{number}{ending}"
    put(path)
    with pytest.raises(DataError, match=rf"a{number}\{ending}: {said}"):
      read(path)
  with pytest.raises(InputError, match=r"absent"):
    read(tmp_path / f"absent{ending}")


def test_a_table_beside_the_data_is_not_taken_for_absent(tmp_path):
  _pipe(tmp_path / "clinical_data.csv")
  for root in (tmp_path, tmp_path / "a.vital"):
    with pytest.raises(DataError, match=r"clinical_data\.csv: is a named pipe"):
      folders.one(root, "cases.csv", "clinical_data.csv")


def test_names_that_break_lines_are_refused(tmp_path):
  (tmp_path / "a\nb.npz").write_bytes(b"")
  (tmp_path / "c\x1b[2J.npz").write_bytes(b"")
  result = DATASETS["npz"](tmp_path)
  assert [error.where for error in result.lost] == [f"{tmp_path}/a\\nb.npz", f"{tmp_path}/c\\x1b[2J.npz"]
  assert {error.problem for error in result.lost} == {"its name contains control characters"}
  for name in DATASETS:
    for path in (tmp_path / "a\nb.npz", "a\0b"):
      with pytest.raises(InputError, match=r"contains? control characters"):
        DATASETS[name](path if name != "nonlinear" else str(path))


def test_names_within_files_that_break_lines_are_refused(tmp_path):
  path, _, _ = write.parquet(tmp_path)
  frame = pandas.read_parquet(path)
  frame["subject"] = frame["subject"].map({7: "a\nb", 8: "c"})
  frame.to_parquet(path)
  result = DATASETS["parquet"](path)
  assert result.subjects == ("c",)
  (error,) = result.lost
  assert str(error) == f"{path}: subject a\\nb: the name contains control characters; rename the file or the subject"


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("virtual", "nonlinear")])
def test_odd_paths_are_refused_in_words(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pathlib.Path("s3:/bucket").mkdir(parents=True)
  channels = {"Radial_P": "radial"} if name == "pwdb" else None
  for path in ("**a.csv", "[a", "x" * 5000, "s3://bucket", "http://localhost/a.hea"):
    with pytest.raises(DataError):
      DATASETS[name](path, channels)


def test_a_name_like_a_pattern_is_a_name(tmp_path):
  for name in ("**a", "[b]", "c?"):
    folder = tmp_path / name
    folder.mkdir()
    path, channels, _ = write.npz(folder)
    (path / "a.npz").rename(path / f"{name}.npz")
    for place in (path, path / f"{name}.npz"):
      (entry,) = DATASETS["npz"](place, channels).entries
      assert datasets.read(entry).subject == name


def test_no_address_is_opened(tmp_path, monkeypatch):
  """A folder may be called as the beginning of an address; the libraries then take paths in it for one."""

  def refuse(*_, **__):
    raise AssertionError("a connection was opened")

  monkeypatch.setattr(socket.socket, "connect", refuse)
  monkeypatch.setattr(socket, "create_connection", refuse)
  monkeypatch.setattr(socket, "getaddrinfo", refuse)
  monkeypatch.chdir(tmp_path)
  for number, address in enumerate(("s3://bucket", "gs://bucket", "http://localhost", "https://localhost")):
    pathlib.Path(address).mkdir(parents=True)
    for title in ("wfdb of segments", "vital", "parquet", "aurora"):
      folder = pathlib.Path(f"{title}-{number}")
      folder.mkdir()
      name, writer = write.WRITERS[title]
      channels = writer(folder)[1]
      folder.rename(pathlib.Path(address) / folder)
      for ending in ("", "/s.hea", "/0001.vital", "/all.parquet"):
        one = f"{address}/{folder}{ending}"
        with contextlib.suppress(DataError):
          assert all(datasets.read(entry) for entry in DATASETS[name](one, channels).entries)
