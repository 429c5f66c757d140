"""Files whole or not at all."""

import pytest

from cap_jax import files

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
