"""What readers raise on bad files is one error; mistakes of the package itself are not hidden in it."""

import errno
import os

import numpy as np
import pytest

from cap_jax.data import datasets, recordings
from cap_jax.data.sources import number_parsing
from cap_jax.types import DataError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("kind", [TypeError, AttributeError, NameError, ValueError, OSError, MemoryError])
def test_what_a_reader_raises_is_of_its_file(kind):
  def reader():  # of a library: this file is outside the package
    raise kind("no such block")

  said = r"a\.bin: cannot be read \(no such block\); fetch it again"
  with pytest.raises(DataError, match=said) as caught, datasets.reading("a.bin", "fetch it again"):
    reader()
  assert isinstance(caught.value.__cause__, kind)


def test_a_mistake_of_the_package_is_raised_as_it_is():
  with pytest.raises(TypeError), datasets.reading("a.csv", "fetch it again"):
    number_parsing.parse_cells(3)


def test_a_file_that_may_not_be_read_and_one_that_is_missing_have_their_own_remedies():
  with pytest.raises(DataError) as caught, datasets.reading("a.csv", "save it as text"):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a.csv")
  assert (
    str(caught.value)
    == "a.csv: cannot be read (Permission denied); check the permissions of the file and of its folder"
  )
  with pytest.raises(DataError) as caught, datasets.reading("a.hea", "download it again"):
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.dat")
  assert str(caught.value) == "a.hea: no such file (a.dat); download it again"


def test_what_a_recording_and_a_data_set_say_is_one_short_line_without_control_characters():
  hostile = "column \x1b[2J\n" + "x" * 100_000
  time_s = np.arange(3.0)
  recording = recordings.Recording(
    subject="a", time_s=time_s, signals={"radial": time_s}, units={"radial": "mmHg"}, notes=(hostile,)
  )
  entry = datasets.Entry("a", "a", "a.csv", lambda: recording)
  dataset = datasets.of_the_user("csv", [entry], "folder", None, [hostile])
  for note in (*dataset.notes, *datasets.read(entry).notes):
    assert note.startswith(r"column \x1b[2J x")
    assert len(note) == 500
    assert note.isprintable()
