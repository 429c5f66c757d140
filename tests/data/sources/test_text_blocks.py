"""Tables that are large, broken or no tables: what is read does not depend on blocks, and what is refused is refused early."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from cap_jax.data import datasets
from cap_jax.data.sources import csv_file, folders, number_parsing, text_blocks
from cap_jax.types import DataError

HEADER = b"time_s,radial_pressure_mmhg\n"
MB = 1_000_000


def read(path, channels=None):
  return datasets.read(csv_file.load(path, channels).entries[0])


def row(k):
  return f"{k / 100:.2f},{90 + 20 * np.sin(k / 10):.3f}"


def table(count=3000, end="\n"):
  return "".join(row(k) + end for k in range(count))


VARIANTS = {
  "plain": lambda: HEADER + table().encode(),
  "no last line end": lambda: HEADER + table().rstrip().encode(),
  "windows": lambda: HEADER + table(end="\r\n").encode(),
  "carriage returns": lambda: (HEADER.decode() + table()).replace("\n", "\r").encode(),
  "utf-16": lambda: (HEADER.decode() + table()).encode("utf-16"),
  "byte order mark": lambda: b"\xef\xbb\xbf" + HEADER + table().encode(),
  "semicolons": lambda: (HEADER.decode() + table()).replace(",", ";").replace(".", ",").encode(),
  "comments": lambda: HEADER + table().replace("\n0.5", "\n  # balloon up, 3, 4, 5\n0.5").encode(),
  "preamble with inches": lambda: b'Monitor, 15" screen\n\n' + HEADER + table().encode(),
  "umlauts": lambda: b"time_s,radial_pressure_mmhg,unruhe\n" + table(end=",für ä\n").encode(),
  "labels in quotes": lambda: b"time_s,radial_pressure_mmhg,label\n" + table(end=',"a, b"\n').encode(),
  "labels of two lines": lambda: b'time_s,radial_pressure_mmhg,"label\nof mine"\n' + table(end=',"a\n, b"\n').encode(),
  "one label in inches": lambda: b"time_s,radial_pressure_mmhg,label\n" + table(end=',5" cuff\n').encode(),
  "empty cells": lambda: HEADER + table(2000).encode() + b"20.00,\n20.01,\n" + b"20.02,90\n",
  "blank lines": lambda: HEADER + table().replace("\n1", "\n\n1").encode(),
  "trailing commas": lambda: HEADER + table(end=",,\n").encode(),
  "spaces": lambda: HEADER + table().replace(",", ", ").encode(),
  "rows without their last cell": lambda: (
    b"time_s,radial_pressure_mmhg,note\n0,90,begin\n" + table().encode()[len(row(0)) + 1 :]
  ),
  "exponents": lambda: HEADER + table(2000).encode() + b"2e1,9.0e1\n2001e-2,+91\n",
}


@pytest.mark.quick
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_read_does_not_depend_on_the_size_of_a_block(tmp_path, monkeypatch, variant):
  path = tmp_path / "a.csv"
  path.write_bytes(VARIANTS[variant]())
  whole = read(path)
  for size in (97, 1000):
    monkeypatch.setattr(text_blocks, "_BLOCK", size)
    part = read(path)
    np.testing.assert_array_equal(part.time_s, whole.time_s)
    np.testing.assert_array_equal(part.signals["radial"], whole.signals["radial"])
    assert part.notes == whole.notes
  assert whole.signals["radial"][:2000] == pytest.approx(90 + 20 * np.sin(np.arange(2000) / 10), abs=1e-3)


@pytest.mark.quick
def test_plain_numbers_are_the_nearest_floats():
  """As Python reads them: the time of a sample is written as it was read."""
  rng = np.random.default_rng(0)
  texts = [
    f"{value:.{digits}f}" for value, digits in zip(rng.normal(0, 300, 4000), rng.integers(0, 13, 4000), strict=True)
  ]
  texts[:8] = ["-0.5", "-.5", ".125", "7.", "007.250", "0.1", "9007199254740991", ""]
  texts[8:14] = ["nan", "inf", "-inf", "", "nan", "nan"]
  block = "".join(f"{a},{b}\n" for a, b in zip(texts[::2], texts[1::2], strict=True)).encode()
  expected = np.array([float(text or "nan") for text in texts]).reshape(-1, 2).T
  np.testing.assert_array_equal(number_parsing.fixed_point(block, 2, [0, 1], ",", "."), expected)
  other = number_parsing.fixed_point(block.replace(b",", b";").replace(b".", b","), 2, [1], ";", ",")
  np.testing.assert_array_equal(other, expected[1:])


@pytest.mark.quick
@pytest.mark.parametrize(
  "text",
  [
    "-",
    ".",
    "-.",
    "1-2",
    "1.2.3",
    "--1",
    "1e5",
    " 1",
    "x",
    '"1"',
    "NaN",
    "na",
    "nan5",
    "5nan",
    "--inf",
    "9007199254740993",
    f"0.{'0' * 23}1",
    "1,2",
  ],
)
def test_other_cells_are_left_to_the_parser_of_any_number(text):
  assert number_parsing.fixed_point(f"0.1,80\n{text},81\n".encode(), 2, [0, 1], ",", ".") is None


@pytest.mark.quick
@pytest.mark.parametrize(
  ("content", "message"),
  [
    (
      HEADER + b"0,80," + b"," * 1_500_000 + b"\n",
      "has a line of more than 1000000 bytes; end each row with a line break",
    ),
    (HEADER + b"0,80" + b",1" * 700_000 + b"\n", "has a line of more than 1000000 bytes"),
    (HEADER + b"0,80" + b"," * 20_000 + b"\n0.01,81\n", "has more than 10000 columns"),
    (b"time_s,radial_pressure_mmhg" + b",x" * 20_000 + b"\n0,80\n", "has more than 10000 columns"),
    (b"time_s,radial_pressure_mmhg," + b"x" * 2 * MB + b"\n0,80\n", "has a line of more than 1000000 bytes"),
    (b"0,1," * MB, "has a line of more than 1000000 bytes"),
    (HEADER + b'0,"80\n' + b"0.1,81\n" * 1000, "EOF inside string"),
    (HEADER + b"w" * 900_000 + b",80\n0.1,81\n", r"data row 1: 'w{60}' is not a number"),
    (HEADER + b"0,80\n" * 10 + b"0,8\x000\n", "contains NUL bytes"),
    (HEADER + b"-,-\n", "data row 1: '-' is not a number"),
  ],
)
def test_a_table_without_bounds_is_refused(tmp_path, content, message):
  (tmp_path / "a.csv").write_bytes(content)
  with pytest.raises(DataError, match=message) as caught:
    read(tmp_path / "a.csv")
  assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.quick
@pytest.mark.parametrize(
  ("content", "gigabytes", "message"),
  [
    (HEADER + b"0,0\n" * 3000, "0.00004", "contains 4.8e-05 GB of samples.*CAP_JAX_MAX_RECORD_GB=1 if it is sound"),
    (HEADER + b"\n" * 3000, "0.00004", "contains 4.8e-05 GB of samples"),
    (HEADER + b"#\n" * 3000, "0.00004", "a header but no rows"),
    (HEADER + table(2000).encode() + b"#\n" * 3000, "0.00004", None),
  ],
)
def test_a_table_is_bounded_before_its_numbers_are_read(tmp_path, monkeypatch, content, gigabytes, message):
  (tmp_path / "a.csv").write_bytes(content)
  monkeypatch.setenv(folders.MOST_GB, gigabytes)
  if message is None:
    assert read(tmp_path / "a.csv").time_s.size == 2000
    return
  monkeypatch.setattr(number_parsing, "fixed_point", lambda *_: pytest.fail("numbers were read"))
  with pytest.raises(DataError, match=message):
    read(tmp_path / "a.csv")


@pytest.mark.quick
def test_a_long_or_wide_table_of_subjects_is_refused(tmp_path):
  (tmp_path / "P01.csv").write_bytes(HEADER + table().encode())
  names = b",".join(b"c%d" % k for k in range(9000))
  for content in (
    b"subject,age\n" + b"P01,63\n" * 100_000,
    b"subject," + names + b"\n" + (b"P01" + b",1" * 9000 + b"\n") * 900,
  ):
    (tmp_path / csv_file.SUBJECTS).write_bytes(content)
    with pytest.raises(
      DataError, match=r"subjects\.csv: has \d+ rows of \d+ columns, .* CAP_JAX_MAX_RECORD_GB=\d+ if it is"
    ):
      csv_file.load(tmp_path)


def special(path, kind):
  """Makes what is no regular file; returns what must stay alive."""
  if kind == "pipe":
    os.mkfifo(path)
  elif kind == "link to a pipe":
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))
  elif kind == "device":
    path.symlink_to("/dev/zero")
  elif kind == "socket":
    server = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_RDONLY)
    server.bind(f"/proc/self/fd/{folder}/{path.name}")  # a long path is no name of a socket
    return server
  else:
    path.mkdir()
  return None


KINDS = {
  "pipe": "is a named pipe",
  "link to a pipe": "is a named pipe",
  "device": "is a device",
  "socket": "is a socket",
  "folder": "is a folder",
}


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_opened_that_is_no_regular_file(tmp_path, kind):
  for name in ("one", "table", "subject"):
    (tmp_path / name).mkdir()
  alive = [special(tmp_path / "one" / "a.csv", kind)] if kind != "folder" else []
  if kind != "folder":  # a folder is a data set
    with pytest.raises(DataError, match=rf"a\.csv: {KINDS[kind]}"):
      csv_file.load(tmp_path / "one" / "a.csv")
  alive.append(special(tmp_path / "table" / csv_file.SUBJECTS, kind))
  (tmp_path / "table" / "P01.csv").write_bytes(HEADER + table().encode())
  with pytest.raises(DataError, match=rf"subjects\.csv: {KINDS[kind]}"):
    csv_file.load(tmp_path / "table")
  alive.append(special(tmp_path / "subject" / "P02.csv", kind))
  (tmp_path / "subject" / "P01.csv").write_bytes(HEADER + table().encode())
  (tmp_path / "subject" / csv_file.SUBJECTS).write_text("subject\nP01\nP02\n")
  dataset = csv_file.load(tmp_path / "subject")
  assert [entry.subject for entry in dataset.entries] == ["P01"]
  (lost,) = dataset.lost
  assert str(lost).startswith(f"{tmp_path / 'subject' / 'P02.csv'}: {KINDS[kind]}")
  assert [one.close() for one in alive if one is not None] == [None] * (3 * (kind == "socket"))


@pytest.mark.quick
def test_a_file_that_becomes_a_pipe_before_it_is_read_is_refused(tmp_path):
  path = tmp_path / "a.csv"
  path.write_bytes(HEADER + table().encode())
  (entry,) = csv_file.load(path).entries
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(DataError, match=r"a\.csv: is a named pipe"):
    datasets.read(entry)


@pytest.mark.quick
def test_a_name_is_neither_an_address_nor_an_archive(tmp_path, monkeypatch):
  monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
  with pytest.raises(DataError, match="no such file"):
    csv_file.load("http://127.0.0.1:9/a.csv")
  folder = tmp_path / "http:" / "127.0.0.1:9"
  folder.mkdir(parents=True)
  monkeypatch.chdir(tmp_path)
  for name in ("a.csv", "a.csv.gz", "a.zip"):  # text, whatever its name says
    (folder / name).write_bytes(HEADER + table().encode())
    assert read(f"http:/127.0.0.1:9/{name}").time_s.size == 3000


READER = """
import resource, sys, time
from cap_jax.data import datasets
from cap_jax.data.sources import csv_file
began = time.process_time()
try:
  dataset = csv_file.load(sys.argv[1])
  if dataset.entries:
    datasets.read(dataset.entries[0])
except ValueError as error:
  print(str(error)[:200])
seconds = time.process_time() - began
peak, = (int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{seconds:.1f} s, {peak / 1e6:.0f} MB")
sys.exit(not (seconds <= 10 and peak <= 1e9))
"""
LARGE = {
  "columns": lambda: b"time_s,radial_pressure_mmhg," + b"x" * MB + (b"\n0,80" + b"," * 1_500_000) * 66,
  "one line": lambda: b"0,1," * (25 * MB),
  "lines": lambda: HEADER + b"\n" * (100 * MB),
  "comments": lambda: HEADER + b"#\n" * (50 * MB),
  "zeros": lambda: HEADER + b"0,0\n" * (25 * MB),
  "many zeros": lambda: HEADER + b"0,0\n" * (50 * MB),
  "words": lambda: HEADER + b"word,word\n" * (10 * MB),
  "open quote": lambda: HEADER + b'0,"80\n' + b"0.1,90\n" * (14 * MB),
  "open quotes": lambda: HEADER + b'0,"9\n' * (20 * MB),
  "utf-16": lambda: (HEADER.decode() + table(3_700_000)).encode("utf-16"),
  "carriage returns": lambda: (HEADER.decode() + table(7_000_000)).replace("\n", "\r").encode(),
  "cells": lambda: HEADER + (b"0,80," + b"n" * 990_000 + b"\n") * 100,
  "wide rows": lambda: (
    HEADER + b"".join(b"%d.%02d,8%d" % (k // 100, k % 100, k % 9) + b"," * 9990 + b"\n" for k in range(9900))
  ),
  "falling": lambda: HEADER + b"".join(b"%d,9\n" % k for k in range(10 * MB, 0, -1)),
  "commas": lambda: HEADER + b",\n" * (50 * MB),
  "rows without their last cell": lambda: (
    b"time_s,radial_pressure_mmhg,note\n0,90,begin\n" + table().encode()[len(row(0)) + 1 :]
  ),
  "exponents": lambda: HEADER + b"1e5,1e5\n" * (12 * MB),
  "subjects": lambda: b"subject,age\n" + b"P01,63\n" * (14 * MB),
  "subject": lambda: b"subject,age\n" + b"P01,63\n" * 38_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_a_file_of_100_mb_ends_in_10_s_and_1_gb(tmp_path, kind):
  path = tmp_path / ("subjects.csv" if kind.startswith("subject") else "a.csv")
  path.write_bytes(LARGE[kind]())
  (tmp_path / "P01.csv").write_bytes(HEADER)
  place = tmp_path if kind.startswith("subject") else path
  done = subprocess.run(
    [sys.executable, "-c", READER, str(place)], capture_output=True, text=True, timeout=300, check=False
  )
  print(f"{kind}: {done.stdout}")
  assert done.returncode == 0, done.stdout + done.stderr[-500:]
