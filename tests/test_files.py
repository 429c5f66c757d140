"""Files whole or not at all."""

import contextlib
import os
import pathlib
import shutil
import socket
import threading
import time

import pytest

from cap_jax import files, own_files
from cap_jax.types import DataError, InputError

pytestmark = pytest.mark.quick


def test_all_appear_together_or_none(tmp_path):
  paths = (tmp_path / "a", tmp_path / "b")
  with files.write_atomically(*paths) as (a, b):
    for name, text in ((a, "1"), (b, "2")):
      with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    assert not paths[0].exists()
  assert [path.read_text() for path in paths] == ["1", "2"]

  (tmp_path / "folder").mkdir()
  with pytest.raises(IsADirectoryError), files.write_atomically(tmp_path / "c", tmp_path / "folder"):
    pass
  (tmp_path / "folder").rmdir()

  def fail():
    with files.write_atomically(*paths) as (a, _):
      with open(a, "w", encoding="utf-8") as file:
        file.write("half")
      raise OSError("disk full")

  with pytest.raises(OSError, match="disk full"):
    fail()
  assert [path.read_text() for path in paths] == ["1", "2"]
  assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_two_that_write_the_same_files_never_mix_them(tmp_path, monkeypatch):
  replace = os.replace

  def slowly(old, new):
    time.sleep(0.01)
    replace(old, new)

  monkeypatch.setattr(os, "replace", slowly)
  paths, start = [tmp_path / name for name in "abc"], threading.Barrier(2)

  def write(text):
    start.wait()
    with files.write_atomically(*paths) as partial:
      for name in partial:
        pathlib.Path(name).write_text(text)

  for _ in range(4):
    writers = [threading.Thread(target=write, args=(text,)) for text in "12"]
    for writer in writers:
      writer.start()
    for writer in writers:
      writer.join()
    assert len({path.read_text() for path in paths}) == 1


def test_only_regular_files_are_opened(tmp_path):
  (tmp_path / "file").write_text("1")
  (tmp_path / "link").symlink_to("file")
  os.mkfifo(tmp_path / "pipe")
  (tmp_path / "to_pipe").symlink_to("pipe")
  (tmp_path / "to_zero").symlink_to("/dev/zero")
  with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
    bound.bind(str(tmp_path / "socket"))
    for name in ("file", "link"):
      assert files.regular(tmp_path / name) == str(tmp_path / name)
    for name, kind in (
      ("pipe", "a named pipe"), ("to_pipe", "a named pipe"), ("to_zero", "a device"), ("socket", "a socket"), ("", "a folder")
    ):  # fmt: skip
      with pytest.raises(DataError, match=f"{name}: is {kind}; copy the data into a regular file"):
        files.regular(tmp_path / name)
  with pytest.raises(FileNotFoundError):
    files.regular(tmp_path / "none")


def make(own, *names):
  """Files of this package; a name that ends with a slash is a folder."""
  for name in names:
    place = os.path.join(own.folder, name)
    if name.endswith("/"):
      own_files.makedirs(place)
    else:
      with files.write_atomically(place) as (partial,):
        pathlib.Path(partial).write_text("own")


def test_what_others_made_is_neither_replaced_nor_removed(tmp_path):
  own = own_files.begin(tmp_path)
  make(own, "a/", "a/b/", "a/b/own", "a/own")
  (tmp_path / "a" / "others").write_text("others")
  own.remove(tmp_path / "a")
  assert sorted(path.name for path in tmp_path.rglob("*")) == [own_files.LIST, "a", "others"]
  with pytest.raises(InputError, match="a/others: was not written by this run, which needs the name; move it"):
    own.make_free(tmp_path / "a")
  with pytest.raises(InputError, match="a/others: was not written by this run"):
    make(own, "a/others")
  assert (tmp_path / "a" / "others").read_text() == "others"
  make(own, "again")
  make(own, "again")  # its own is replaced
  (tmp_path / "again").unlink()
  own_files.begin(tmp_path)  # sees that it is gone
  (tmp_path / "again").write_text("others")
  with pytest.raises(InputError, match="again: was not written by this run"):
    make(own, "again")
  own.end()
  assert own_files.of(tmp_path / "a") is None


def test_a_file_that_another_process_writes_meanwhile_is_no_strangers(tmp_path, monkeypatch):
  """Two workers write one file of a study: whenever the other one is done, it is the same run's."""
  own, path, real = own_files.begin(tmp_path), tmp_path / "split.json", os.path.lexists
  other, done = own_files.OwnFiles(str(tmp_path)), []

  def lexists(place):
    if os.fspath(place) == str(path) and not done:  # just before this process looks
      done.append(place)
      partial = tmp_path / "split.json.partial-1"
      other.claim(partial=[partial])
      partial.write_text("theirs")
      other.replace(partial, path)
    return real(place)

  monkeypatch.setattr(os.path, "lexists", lexists)
  with files.write_atomically(path) as (partial,):
    pathlib.Path(partial).write_text("ours")
  assert done
  assert path.read_text() == "ours"
  (tmp_path / "strangers.json").write_text("")
  with pytest.raises(InputError, match=r"strangers.json: was not written by this run"):
    own.check(tmp_path / "strangers.json")


def test_what_a_killed_process_left_is_known_by_the_list_alone(tmp_path):
  own = own_files.begin(tmp_path)
  partial = tmp_path / "own.partial-1"
  own.claim(partial=[partial, partial / "c", partial / "c" / "0"])
  (partial / "c").mkdir(parents=True)
  for name in ("0", "0.__lock", "1", "others"):
    (partial / "c" / name).write_text("")
  (tmp_path / "others.partial-1").write_text("")
  with open(tmp_path / own_files.LIST, "a") as file:
    file.write('["~", "others.par')  # killed while it wrote this
  own_files.begin(tmp_path)
  there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
  assert there == [own_files.LIST, "others.partial-1", "own.partial-1/c/1", "own.partial-1/c/others"]


@pytest.mark.parametrize("content", ["mine", '["+", "mine"]'])
def test_a_list_or_a_lock_of_others_is_refused(tmp_path, content):
  for name in (own_files.LIST, files.LOCK):
    (tmp_path / name).write_text(content)
  with pytest.raises(InputError, match=f"{own_files.LIST}: was not written by this run"):
    own_files.begin(tmp_path)
  assert own_files.of(tmp_path / "a") is None
  with pytest.raises(InputError, match=f"{files.LOCK}: is not a lock of cap_jax"), files.lock_folder(tmp_path):
    raise AssertionError("it is not ours")
  assert [(tmp_path / name).read_text() for name in (own_files.LIST, files.LOCK)] == [content, content]


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
  source = tmp_path / "source"
  (source / "a").mkdir(parents=True)
  for name in ("a/b", "c"):
    (source / name).write_text(name)
  files.install_folder(source, tmp_path / "made" / "copy")
  assert sorted(path.relative_to(tmp_path / "made").as_posix() for path in (tmp_path / "made").rglob("*")) == [
    "copy", "copy/a", "copy/a/b", "copy/c"
  ]  # fmt: skip
  with pytest.raises(InputError, match="copy: was not written by this run"):
    files.install_folder(source, tmp_path / "made" / "copy")

  def full(old, new):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "rename", full)
  with pytest.raises(OSError, match=r"No space left on device: .*made/other"):
    files.install_folder(source, tmp_path / "made" / "other")
  assert [path.name for path in (tmp_path / "made").iterdir()] == ["copy"]


def test_a_name_that_was_listed_but_not_used_may_be_used_by_others(tmp_path):
  """Of a process that was killed between the line and the renaming; a folder that it did rename is its own."""
  own = own_files.begin(tmp_path)
  for name in ("shard", "done"):
    own.claim(partial=[tmp_path / f"{name}.partial-1", tmp_path / f"{name}.partial-1" / "a"])
    (tmp_path / f"{name}.partial-1").mkdir()
    (tmp_path / f"{name}.partial-1" / "a").write_text("own")
  inode = {
    name: [(tmp_path / f"{name}.partial-1{end}").stat().st_ino for end in ("", "/a")] for name in ("shard", "done")
  }
  with open(tmp_path / own_files.LIST, "a") as file:
    for name, numbers in inode.items():
      file.writelines(f'["+", "{name}{end}", {number}]\n' for end, number in zip(("", "/a"), numbers, strict=True))
  (tmp_path / "done.partial-1").rename(tmp_path / "done")
  (tmp_path / "shard").mkdir()
  (tmp_path / "shard" / "a").write_text("others")
  again = own_files.begin(tmp_path)
  assert sorted(path.name for path in tmp_path.iterdir()) == [own_files.LIST, "done", "shard"]
  with pytest.raises(InputError, match="shard: was not written by this run"):
    again.make_free(tmp_path / "shard")
  again.make_free(tmp_path / "done")
  assert (tmp_path / "shard" / "a").read_text() == "others"
  assert not (tmp_path / "done").exists()


def test_what_was_renamed_is_own_in_a_copy_of_the_folder(tmp_path):
  place = tmp_path / "work"
  place.mkdir()
  own_files.begin(place)
  with files.write_atomically(place / "a") as (partial,):
    pathlib.Path(partial).write_text("own")
  shutil.copytree(place, tmp_path / "copy")
  own_files.begin(tmp_path / "copy").make_free(tmp_path / "copy" / "a")
  assert not (tmp_path / "copy" / "a").exists()


@pytest.mark.parametrize("name", ['"../precious"', '"a/../../precious"', "5", "null", '["a"]', '"ABSOLUTE"'])
def test_a_list_names_nothing_outside_its_folder(tmp_path, name):
  (tmp_path / "work").mkdir()
  (tmp_path / "precious").write_text("thesis")
  own_files.begin(tmp_path / "work")
  with open(tmp_path / "work" / own_files.LIST, "a") as file:
    file.write(f'["~", {name.replace("ABSOLUTE", str(tmp_path / "precious"))}]\n')
  own_files.begin(tmp_path / "work").remove(tmp_path / "work")
  assert (tmp_path / "precious").read_text() == "thesis"


def test_a_list_that_is_a_link_is_refused(tmp_path):
  for name in ("one", "other"):
    (tmp_path / name).mkdir()
  own_files.begin(tmp_path / "one")
  before = (tmp_path / "one" / own_files.LIST).read_bytes()
  (tmp_path / "other" / own_files.LIST).symlink_to(tmp_path / "one" / own_files.LIST)
  with pytest.raises(InputError, match=f"other/{own_files.LIST}: was not written by this run"):
    own_files.begin(tmp_path / "other")
  assert (tmp_path / "one" / own_files.LIST).read_bytes() == before
