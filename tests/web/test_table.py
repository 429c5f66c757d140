"""The page reads a table as the command `reconstruct` does: the same numbers, or the same refusal."""

import json
import pathlib
import shutil
import subprocess
import time

import numpy as np
import pytest

from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import csv_file
from cap_jax.types import DataError
from tests.web import tables
from tests.web.tables import ART, PPG, TIME, cells

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
DRIVER = pathlib.Path(__file__).with_name("table_driver.mjs")


def task(path, channels):
  """Returns what the driver needs to read the same columns as `csv_file`."""
  clock_column = next((name for name, signal in channels.items() if signal == TIME), TIME)
  signals = {**signal_names.COLUMNS, **{name: signal for name, signal in channels.items() if signal != TIME}}
  return {
    "file": str(path),
    "known": [*signal_names.COLUMNS, TIME, *channels],
    "time": clock_column,
    "required": [name for name, signal in channels.items() if signal != TIME],
    "pressures": {name: signal_names.is_pressure(signal) for name, signal in signals.items()},
    "units": {name: signal.unit for name, signal in channels.items() if getattr(signal, "unit", "")},
  }


def read_in_python(path, channels):
  """Returns the recording and its columns, or the error."""
  try:
    return datasets.read(csv_file.load(path, channels).entries[0])
  except DataError as error:
    return error


def answers_of_page(folder, tasks):
  (folder / "tasks.json").write_text(json.dumps(tasks))
  subprocess.run(["node", DRIVER, folder / "tasks.json", folder / "answers.json"], check=True, timeout=120)
  return json.loads((folder / "answers.json").read_text())


def difference(name, expected, answer, channels):
  """Returns what differs between Python's recording or error and the page's answer, "" if nothing does."""
  problem = answer.get("problem")
  if isinstance(expected, DataError):
    # the page guesses the header, and lets its user choose the columns
    if expected.problem.startswith(("no column has a known name", "no column is named after")):
      return ""
    # Python quotes pandas on a row of its block, and the decoder of UTF-16 on bytes
    quote, utf16 = "EOF inside string" in expected.problem, "'utf-16-" in expected.problem
    own = "has a quote that is not closed" if quote else "cannot be read (it is not" if utf16 else expected.problem
    if problem is None or (own not in problem if quote or utf16 else own != problem):
      return f"{name}: {expected.problem} | {problem}"
    if quote or utf16:
      return ""
    # where Python's remedy names flags, the page's names its choices
    same_remedy = expected.remedy == answer["remedy"] or "channel" in expected.remedy or "another" in expected.remedy
    return "" if same_remedy else f"{name}: {expected.remedy} | {answer['remedy']}"
  if problem is not None:
    return f"{name}: read | {problem}"
  signals = {**signal_names.COLUMNS, **channels}
  waves = {signals[column]: np.array(values, dtype=float) for column, values in answer["waves"].items()}
  if waves.keys() != expected.signals.keys():
    return f"{name}: {[*expected.signals]} | {[*waves]}"
  if tuple(answer["notes"]) != expected.notes:
    return f"{name}: {expected.notes} | {answer['notes']}"
  # an even clock is a straight line, whose sums NumPy takes in another order
  rounding = 1e-12 if any("too few digits" in note for note in expected.notes) else 0.0
  time_s = np.array(answer["time_s"], dtype=float)
  same = time_s.shape == expected.time_s.shape and np.allclose(time_s, expected.time_s, rtol=rounding, atol=rounding)
  if not same or not np.isclose(answer["fs_hz"], expected.fs_hz, rtol=1e3 * rounding, atol=0):
    return f"{name}: clock"
  differing = [one for one in waves if not np.array_equal(waves[one], expected.signals[one], equal_nan=True)]
  return f"{name}: numbers of {differing}" if differing else ""


def differences(folder, files):
  """Compares files, {path: channels}."""
  answers = answers_of_page(folder, [task(path, channels) for path, channels in files.items()])
  found = []
  for (path, channels), answer in zip(files.items(), answers, strict=True):
    found.append(difference(path.name, read_in_python(path, channels), answer, channels))
  return [one for one in found if one]


def write(folder, contents):
  files = {}
  for k, (name, (text, channels)) in enumerate(contents.items()):
    path = folder / f"{k} {''.join(one for one in name[:40] if one.isalnum() or one in ' -')}.csv"
    path.write_bytes(text)
    files[path] = channels
  return files


def test_the_page_reads_tables_as_python_does(tmp_path):
  """Not compared: which of two faults is named where a file has several and a quote that is not closed, as Python reads in
  blocks; and the sign of zero, which depends on what else is in the table."""
  assert not differences(tmp_path, write(tmp_path, tables.inputs()))


def test_the_page_reads_cases_of_users_as_python_does(tmp_path, reference_data):
  cases = sorted((reference_data.parent / "cases").rglob("*.csv"))
  if not cases:
    pytest.skip("the cases are not beside the reference records")
  names = {"Time": signal_names.Signal(TIME), "SNUADC/ART": signal_names.Signal("radial")}
  files = {path: names if "vitaldb_names" in path.name else {} for path in cases}
  assert not differences(tmp_path, files)


def test_a_word_among_decimal_commas_is_named(tmp_path):
  """Python names the first number of the column: for pandas it is a column of text."""
  table = f"{TIME};{PPG}\n0,00;1,5\n0,01;2,5\n0,02;high\n"
  [path] = write(tmp_path, {"word": (table.encode(), {})})
  [answer] = answers_of_page(tmp_path, [task(path, {})])
  assert answer["problem"] == f"column {PPG}, data row 3: 'high' is not a number"


GUESSES = {  # table → names, guess of time and wave, first row
  "0,81\n0.1,82\n": (["column 1", "column 2"], [None, None], [0, 81]),
  "My recording\n0;81\n0,1;82\n": (["column 1", "column 2"], [None, None], [0, 81]),
  "Time (s);ABP [mmHg]\n0,000;78,1\n0,008;78,2\n": (["Time (s)", "ABP [mmHg]"], ["Time (s)", "ABP [mmHg]"], [0, 78.1]),
  "Made: 2024,01,02\n\nt\tPLETH\tArt\n0\t1\t80\n1\t2\t81\n": (["t", "PLETH", "Art"], ["t", "Art"], [0, 1, 80]),
  "# timestamp, aortic_pressure, Radial\n0,1,2\n1,2,3\n": (
    ["timestamp", "aortic_pressure", "Radial"],
    ["timestamp", "Radial"],
    [0, 1, 2],
  ),
  "a\nb\n1.5\n2.5\n": (["b"], [None, None], [1.5]),
  f"x\n{TIME},central_bp,{ART}\n0,1,2\n": ([TIME, "central_bp", ART], [TIME, ART], [0, 1, 2]),
}


def test_a_header_without_known_names_is_guessed(tmp_path):
  """Python refuses such a file unless --channels names its columns."""
  paths = write(tmp_path, {str(k): (table.encode(), {}) for k, table in enumerate(GUESSES)})
  known = [TIME, *signal_names.COLUMNS]
  answers = answers_of_page(tmp_path, [{"file": str(path), "known": known, "site": ART} for path in paths])
  for answer, (names, guess, row) in zip(answers, GUESSES.values(), strict=True):
    assert answer["names"] == names
    assert [answer["guess"]["time"], answer["guess"]["wave"]] == guess
    assert [column[0] for column in answer["columns"]] == row


def test_a_minute_at_1_khz_and_broken_tables_do_not_hang(tmp_path):
  """A hundredth of the limit on an idle machine; what grows with the square of the size would take hours."""
  rows = "".join(f"{k / 1000:.3f},{90 + k % 7},{k}\n" for k in range(60_000))
  wide = cells("0," + " " * 900_000 + "x", "1" * 900_000 + "x,1", '0,"a"' + "\t " * 400_000, '1,"2' + '""' * 300_000)
  contents = {
    "minute": f"{TIME},{PPG},x\n{rows}".encode(),
    "blanks": wide,
    "quotes": cells(*[f'{k},"' for k in range(90_001)]),
  }
  started = time.monotonic()
  first, *broken = answers_of_page(
    tmp_path, [task(path, {}) for path in write(tmp_path, {k: (v, {}) for k, v in contents.items()})]
  )
  assert len(first["time_s"]) == 60_000
  assert all("problem" in answer for answer in broken)
  assert time.monotonic() - started < 60
