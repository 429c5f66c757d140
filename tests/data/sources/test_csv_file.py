"""CSV files: what is read, and what is refused with a remedy."""

import pickle
import re
import zipfile

import numpy as np
import pytest

from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import csv_file
from cap_jax.types import DataError, InputError

pytestmark = pytest.mark.quick


def read(path, channels=None):
  return datasets.read(csv_file.load(path, channels).entries[0])


def write(path, rows, header="time_s,radial_pressure_mmhg"):
  path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
  return path


def rows(pressure=90.0, count=200):
  return [f"{k / 100:.3f},{pressure + 20 * np.sin(k / 10):.3f}" for k in range(count)]


def test_reads_the_column_of_the_site(tmp_path):
  path = write(tmp_path / "a.csv", ["0,80,1", "0.01,,2", "0.02,84,3"], " time_s , radial_pressure_mmhg,other")
  recording = read(path)
  np.testing.assert_array_equal(recording.signals["radial"], [80, np.nan, 84])
  assert recording.fs_hz == pytest.approx(100)
  assert recording.units == {"radial": "mmHg"}


@pytest.mark.parametrize(
  ("content", "header", "message"),
  [
    (rows(), "time_s,radial", "no column is named after a signal"),
    (rows(), "seconds,radial_pressure_mmhg", "column time_s is missing .*if the file has no clock, add one"),
    (["0,80", "0.02,90", "0.01,85"], None, r"time does not increase at data row 3 \(0.02 s, then 0.01 s\)"),
    (["0,80", "0,90", "0.01,85"], None, "time does not increase at data row 2"),
    (
      [f"{k / 100},{12 + np.sin(k / 10)}" for k in range(99)],
      None,
      "if it is in kPa, state it .* or multiply it by 7.50062",
    ),
    ([f"{k / 100},{900 + k}" for k in range(99)], None, "not an arterial pressure in mmHg"),
    (["0,80", "0.01,high"], None, "column radial_pressure_mmhg, data row 2: 'high' is not a number"),
    (["0,80", ",90"], None, "time in data row 2 is not a number"),
    (["0,", "0.01,"], None, "contains only NaN"),
    (["0,80"], None, "at least one heartbeat"),
    ([], None, "a header but no rows"),
  ],
)
def test_refuses_with_file_column_and_remedy(tmp_path, content, header, message):
  path = write(tmp_path / "bad.csv", content, header or "time_s,radial_pressure_mmhg")
  with pytest.raises(DataError, match=message) as caught:
    read(path)
  assert "bad.csv" in str(caught.value)
  assert "\n" not in str(caught.value)


def test_columns_that_are_no_signal_are_named(tmp_path):
  header = "time_s,radial_pressure_mmhg,aorta_pressure_mmhg,patient_id,ECG"
  path = write(tmp_path / "a.csv", [f"{k / 100},90,80,1,7" for k in range(200)], header)
  assert read(path).unread == ("aorta_pressure_mmhg", "ECG")
  assert read(path, {"aorta_pressure_mmhg": "aortic_root"}).unread == ("ECG",)


def test_names_that_state_a_unit_are_suggested_with_it(tmp_path):
  table = np.genfromtxt(rows(), delimiter=",") / [1e-3, 7.50062]
  kpa = write(tmp_path / "a.csv", [f"{t:.0f},{p:.4f}" for t, p in table], "time_ms,radial_pressure_kpa")
  words = "time_ms:time_s:ms", "radial_pressure_kpa:radial:kpa"
  with pytest.raises(
    DataError, match=f"no column has a known name .*; state their units: --channels={','.join(words)}$"
  ):
    read(kpa)
  seconds = write(tmp_path / "c.csv", ["0,12"], "time_s,radial_pressure_kpa")
  with pytest.raises(
    DataError, match=f"no column is named after a signal .*; state their units: --channels={words[1]}$"
  ):
    read(seconds)
  channels = dict(map(signal_names.parse_channel, words))
  with pytest.raises(DataError, match=f"column time_s is missing .*: --channels=…,{words[0]}$"):
    read(kpa, {words[1].split(":")[0]: channels[words[1].split(":")[0]]})
  usual = read(write(tmp_path / "b.csv", rows()))
  np.testing.assert_allclose(read(kpa, channels).signals["radial"], usual.signals["radial"], atol=1e-3)
  assert (
    signal_names.in_other_units(["time_s", "radial_pressure_mmhg", "time_of_day", "sometime_ms", "radial_kpa"]) == []
  )


def test_a_wave_below_zero_is_not_taken_for_kilopascals(tmp_path):
  low = write(tmp_path / "a.csv", [f"{t},{float(p) - 90:.2f}" for t, p in (row.split(",") for row in rows())])
  with pytest.raises(
    DataError, match=r"is not an arterial pressure in mmHg.* it is negative in part, so its zero is wrong"
  ):
    read(low)


def test_of_several_channels_for_a_signal_a_file_has_one(tmp_path):
  channels = dict(map(signal_names.parse_channel, ("Zeit:time_s", "ART:radial", "ART_kPa:radial:kPa", "t:time_s")))
  mmhg = write(tmp_path / "a.csv", rows(), "Zeit,ART")
  table = np.genfromtxt(rows(), delimiter=",") / [1, 7.50062]
  kpa = write(tmp_path / "b.csv", [f"{t:.3f},{p:.4f}" for t, p in table], "t,ART_kPa")
  np.testing.assert_allclose(read(kpa, channels).signals["radial"], read(mmhg, channels).signals["radial"], atol=1e-3)
  both = {**channels, "time_s": "time_s", "radial_pressure_mmhg": "radial"}  # named by the user, so nothing is said
  assert read(write(tmp_path / "f.csv", rows()), both).notes == ()
  usual = write(tmp_path / "e.csv", rows())  # time_s and radial_pressure_mmhg need not be mapped
  np.testing.assert_array_equal(read(usual, channels).signals["radial"], read(mmhg, channels).signals["radial"])
  with pytest.raises(DataError, match=r"column ART is missing .*add its name in this file: --channels=…,NAME:radial"):
    read(write(tmp_path / "c.csv", rows(), "Zeit,Radialis"), channels)
  with pytest.raises(DataError, match="columns ART and ART_kPa both map to radial"):
    read(write(tmp_path / "d.csv", [f"{row},12" for row in rows()], "Zeit,ART,ART_kPa"), channels)
  with pytest.raises(
    DataError, match="read as kPa; if only some files have this unit, give their column a name of its own"
  ):
    read(mmhg, dict(map(signal_names.parse_channel, ("Zeit:time_s", "ART:radial:kPa"))))


def test_a_record_without_the_aortic_wave_that_others_have_is_an_unlabelled_one(tmp_path):
  channels = dict(map(signal_names.parse_channel, ("t:time_s", "ABP:radial", "AO:aortic_root")))
  recording = read(write(tmp_path / "a.csv", rows(), "t,ABP"), channels)
  assert recording.sites == ("radial",)
  assert recording.notes == ("no column AO: without an aortic wave, the record is an unlabelled one",)
  with pytest.raises(DataError, match="column ABP is missing"):
    read(write(tmp_path / "b.csv", rows(), "t,AO"), channels)


def test_a_spreadsheet_is_to_be_saved_as_a_table(tmp_path):
  sheet = tmp_path / "a.xlsx"
  sheet.write_bytes(b"PK\x03\x04" + bytes(100))
  with pytest.raises(DataError, match="save the table as CSV in the spreadsheet program"):
    read(sheet)
  with pytest.raises(DataError, match="contains no CSV file; check --path, save spreadsheets as CSV"):
    csv_file.load(tmp_path)


def test_names_of_subjects_and_covariates_that_nobody_reads_are_said(tmp_path):
  write(tmp_path / "P01.csv", rows())
  (tmp_path / "subjects.csv").write_text("subject,Alter,age\np01,63,63\n")
  dataset = csv_file.load(tmp_path)
  assert (
    "subjects.csv: no packaged network and no report reads Alter; they read age, hr_bpm, cuff_sbp_mmhg, cuff_dbp_mmhg"
    in dataset.notes[0]
  )
  assert dataset.lost[0].remedy == "write the subject as P01 in subjects.csv"


def test_trailing_commas_and_a_byte_order_mark_are_no_matter(tmp_path):
  path = tmp_path / "a.csv"
  path.write_text("\ufefftime_s,radial_pressure_mmhg\r\n" + "\r\n".join(f"{row}," for row in rows()), encoding="utf-8")
  np.testing.assert_allclose(read(path).time_s, np.arange(200) / 100)


@pytest.mark.parametrize(
  ("header", "separator", "step", "message"),
  [
    ("time_s,radial_pressure_mmhg,radial_pressure_mmhg ", ",", 0.01, "duplicate column radial_pressure_mmhg"),
    ("time_s|radial_pressure_mmhg", "|", 0.01, "no column has a known name"),
    (
      "time_s,radial_pressure_mmhg",
      ",",
      8.0,
      "0.125 samples a second.*if the time is in milliseconds, multiply it by 0.001",
    ),
    ("time_s,radial_pressure_mmhg", ",", 0.1, "10 samples a second; a pulse wave needs 20 to 20000 Hz"),
  ],
)
def test_refuses_doubled_columns_other_separators_and_other_clocks(tmp_path, header, separator, step, message):
  lines = [separator.join([f"{k * step:.3f}", f"{90 + k % 7}", "1"][: header.count(separator) + 1]) for k in range(200)]
  with pytest.raises(DataError, match=message):
    read(write(tmp_path / "bad.csv", lines, header))


def test_refuses_what_is_not_a_table(tmp_path):
  with pytest.raises(DataError, match="no such file"):
    read(tmp_path / "absent.csv")
  with pytest.raises(DataError, match="contains no CSV file; check --path"):
    read(tmp_path)
  empty = tmp_path / "empty.csv"
  empty.touch()
  with pytest.raises(DataError, match="the file is empty"):
    read(empty)
  binary = tmp_path / "binary.csv"
  binary.write_bytes(bytes(range(256)) * 20)
  with pytest.raises(DataError, match=r"binary\.csv"):
    read(binary)


def test_an_exponent_of_ten_digits_is_not_a_number_that_a_wave_has(tmp_path):
  """`pandas` ends the process at it, by each of its readers of numbers."""
  recording = read(write(tmp_path / "a.csv", [*rows(), "2.0,1e2147483648"]))
  assert np.isfinite(recording.signals["radial"][:-1]).all()
  assert not np.isfinite(recording.signals["radial"][-1])


HEADER = "time_s,radial_pressure_mmhg"


@pytest.mark.parametrize("variant", ["semicolons", "tabs", "cr", "utf-16", "preamble", "comments", "blank text"])
def test_a_table_is_read_as_programs_write_it(tmp_path, variant):
  text = [HEADER, *rows()]
  if variant in ("semicolons", "tabs"):
    mark = ";" if variant == "semicolons" else "\t"
    text = [line.replace(",", mark).replace(".", ",") for line in text]
  if variant == "preamble":
    text = ["Exported by a monitor", "Rate, 100 Hz", "", *text]
  if variant == "comments":
    text = ["# catheter laboratory", *text]
  if variant == "blank text":
    text = [*text, "", ""]
  path = tmp_path / "a.csv"
  end = "\r" if variant == "cr" else "\n"
  path.write_bytes((end.join(text) + end).encode("utf-16" if variant == "utf-16" else "utf-8"))
  result, plain = read(path), read(write(tmp_path / "b.csv", rows(), HEADER))
  np.testing.assert_allclose(result.time_s, plain.time_s)
  np.testing.assert_allclose(result.signals["radial"], plain.signals["radial"])


@pytest.mark.parametrize(
  ("text", "header", "message"),
  [
    (["0,000,72,16", "0,008,71,95"], HEADER, "data row 1 has 4 cells, the header 2 names; .* decimal commas"),
    (["0.000,72,2,0,048"], f"{HEADER},digital_ppg", "data row 1 has 5 cells, the header 3 names"),
    (
      ["s,mmHg", "0.0,72", "0.01,73"],
      HEADER,
      "'s' is not a number; it is a unit: remove the row of units, and name units other than s and mmHg in --channels, as NAME:SIGNAL:kPa or NAME:time_s:ms",
    ),
    (["23:59:50.000,72", "23:59:50.008,73"], HEADER, "it is a time of day or a date: convert the column to seconds"),
  ],
)
def test_what_cannot_be_read_names_the_cell_and_the_remedy(tmp_path, text, header, message):
  with pytest.raises(DataError, match=message):
    read(write(tmp_path / "bad.csv", text, header))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda t: np.concatenate([t[:100], t[:100] + 0.004]), r"the clock restarts at data row 101 .*or add 0\.996 s"),
    (lambda t: np.round(t, 1), "the times have too few digits, or stand for packets of rows"),
    (lambda t: t[np.r_[0:50, 51, 50, 52:200]], "sort the rows by time and remove duplicates"),
    (lambda t: t / 60, "if the time is in minutes, multiply it by 60"),
    (lambda t: t / 86400, "if the time is in days, multiply it by 86400"),
    (lambda t: t * 1000, "if the time is in milliseconds, multiply it by 0.001"),
    (lambda t: t * 1e6, "if the time is in microseconds, multiply it by 1e-06"),
    (lambda t: t * 1e9, "if the time is in nanoseconds, multiply it by 1e-09"),
    (
      lambda t: np.concatenate([t[:150], t[:50] + 1.0]),
      r"goes back at data row 151 .*if the clock was set back, add 0\.5 s to the times from data row 151 on",
    ),
  ],
)
def test_each_fault_of_a_clock_has_its_remedy(tmp_path, change, message):
  t = change(np.arange(200) / 100)
  text = [f"{at:.12g},{90 + k % 7}" for k, at in enumerate(t)]
  with pytest.raises(DataError, match=message):
    read(write(tmp_path / "bad.csv", text, HEADER))


def test_a_line_that_was_off_most_of_the_time_does_not_lose_the_record(tmp_path):
  pulse = [90 + 30 * np.sin(k / 8) for k in range(300)]
  text = [f"{k / 100:.2f},{p:.2f}" for k, p in enumerate([-1.5] * 700 + pulse)]
  assert read(write(tmp_path / "a.csv", text, HEADER)).signals["radial"].size == 1000


def test_units_comments_and_lines_before_the_header(tmp_path):
  lines = ["Device: recorder, 12", "", "Time,ART"]
  lines += [f"{k / 100:.3f},{(90 + 20 * np.sin(k / 10)) / 7.50062:.5f}" for k in range(200)]
  lines.insert(50, "# balloon up, 3")
  (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
  channels = {"Time": signal_names.Signal("time_s"), "ART": signal_names.Signal("radial", "kPa")}
  recording = read(tmp_path / "a.csv", channels)
  np.testing.assert_allclose(recording.time_s, np.arange(200) / 100)
  np.testing.assert_allclose(recording.signals["radial"], 90 + 20 * np.sin(np.arange(200) / 10), atol=1e-3)
  assert recording.units == {"radial": "mmHg"}
  assert recording.notes == ("skipped 2 lines before the header", "skipped 1 line of comments")


def test_a_header_may_begin_with_a_comment_sign(tmp_path):
  """As `numpy.savetxt` writes it."""
  wave = np.stack([np.arange(200) / 100, 90 + 20 * np.sin(np.arange(200) / 10)], axis=1)
  np.savetxt(tmp_path / "a.csv", wave, delimiter=",", header="time_s,radial_pressure_mmhg")
  recording = read(tmp_path / "a.csv")
  np.testing.assert_allclose(recording.signals["radial"], wave[:, 1])
  assert recording.notes == ()


def test_a_folder_needs_no_table_of_subjects(tmp_path):
  for name in ("P02", "P01"):
    write(tmp_path / f"{name}.csv", rows())
  dataset = csv_file.load(tmp_path)
  assert dataset.subjects == ("P01", "P02")
  assert dataset.notes == ("no subjects.csv: each file is a subject, without covariates",)
  assert datasets.read(dataset.entries[1]).subject == "P02"


def test_words_in_the_table_of_subjects_are_said(tmp_path):
  table = "subject,age,sex,cuff_sbp_mmhg\nP01,63 y,F,141\nP02,n/a,M,128\nP03,71,F,133 mmHg\n"
  (tmp_path / "subjects.csv").write_text(table)
  for name in ("P01", "P02", "P03"):
    write(tmp_path / f"{name}.csv", rows())
  dataset = csv_file.load(tmp_path)
  age, cuff = dataset.notes  # sex has words alone, and an empty cell is none
  assert "1 of 3 cells of age are not numbers and were left out (P01: '63 y')" in age
  assert "1 of 3 cells of cuff_sbp_mmhg are not numbers and were left out (P03: '133 mmHg')" in cuff
  covariates = [datasets.read(entry).covariates for entry in dataset.entries]
  assert covariates == [{"cuff_sbp_mmhg": 141.0}, {"cuff_sbp_mmhg": 128.0}, {"age": 71.0}]


@pytest.mark.parametrize(
  ("word", "expected"),
  [
    ("ABP:radial", ("ABP", "radial", "")),
    ("RA:radial:kPa", ("RA", "radial", "kPa")),
    ("Dev1:ART:radial:torr", ("Dev1:ART", "radial", "torr")),
    ("Time:time_s", ("Time", "time_s", "")),
    ("a:b:digital_ppg", ("a:b", "digital_ppg", "")),
  ],
)
def test_channels_name_a_signal_and_a_unit(word, expected):
  name, signal = signal_names.parse_channel(word)
  assert (name, signal, signal.unit) == expected
  again = pickle.loads(pickle.dumps(signal))  # worker processes read with it
  assert (again, again.unit) == (signal, signal.unit)


@pytest.mark.parametrize(
  ("word", "message"),
  [
    ("ABP", "must be NAME:SIGNAL or NAME:SIGNAL:UNIT"),
    (":radial", "must be NAME:SIGNAL or NAME:SIGNAL:UNIT"),
    ("ABP:wrist", "'wrist' is not a signal"),
    ("ABP:radial:psi", "unit 'psi' is unknown; choose one of mmhg, torr, kpa"),
    ("PLETH:digital_ppg:kPa", "only a pressure can have another unit; write PLETH:digital_ppg"),
  ],
)
def test_bad_channels_are_refused(word, message):
  with pytest.raises(InputError, match=re.escape(f"--channels={word}: ") + ".*" + message):
    signal_names.parse_channel(word)


@pytest.mark.parametrize("digits", [2, "%g"])
def test_times_with_too_few_digits_are_read_as_even_steps(tmp_path, digits):
  """At 125 Hz with two decimals, and with six digits from 1,000 s on, as %g writes them."""
  t = 995 + np.arange(2500) / 125
  stamps = [f"{x:.2f}" if digits == 2 else f"{x:g}" for x in t]
  wave = 90 + 20 * np.sin(2 * np.pi * t)
  path = write(tmp_path / "a.csv", [f"{stamp},{p:.3f}" for stamp, p in zip(stamps, wave, strict=True)])
  recording = read(path)
  np.testing.assert_allclose(recording.time_s, t, atol=0.003)
  assert recording.fs_hz == pytest.approx(125.0, rel=1e-3)
  assert recording.notes == ("times with too few digits: read as even steps of 0.008 s",)


def test_times_whose_rate_cannot_be_known_are_refused(tmp_path):
  """Whole seconds leave the rate of a short record open; rows that stand twice are no rounding."""
  whole = [f"{k // 125},{90 + 20 * np.sin(k / 10):.3f}" for k in range(2500)]
  with pytest.raises(DataError, match="each time stands in 125 rows; give each signal a column of its own"):
    read(write(tmp_path / "a.csv", whole))
  with pytest.raises(DataError, match="the times have too few digits, or stand for packets of rows"):
    read(write(tmp_path / "c.csv", whole[:2400]))
  twice = rows()
  with pytest.raises(
    DataError, match=r"if the clock was set back, add 0.4 s .*; if rows were written twice, remove the second"
  ):
    read(write(tmp_path / "b.csv", [*twice[:100], *twice[60:]]))


@pytest.mark.parametrize(
  ("lines", "message"),
  [
    ([f"{k // 2 / 100:.2f},{90 + k % 7}" for k in range(400)], "each time stands in 2 rows; give each signal a column"),
    ([f"{k},{90 + k % 7}" for k in range(400)], "if the column counts samples, divide it by the sampling rate"),
    (['0,72,1,"a"', '0.01,73,2,"b"'], "data row 1 has 4 cells, the header 2 names"),
  ],
)
def test_rows_of_several_signals_sample_numbers_and_labels(tmp_path, lines, message):
  with pytest.raises(DataError, match=message):
    read(write(tmp_path / "a.csv", lines))


def test_a_line_that_was_open_most_of_the_time_is_read(tmp_path):
  """45 s at 18 mmHg, then 20 s of pulse: the median of the whole is no arterial pressure."""
  t = np.arange(65 * 125) / 125
  p = np.where(t < 45, 18.0, 90 + 20 * np.sin(2 * np.pi * t))
  recording = read(write(tmp_path / "a.csv", [f"{a:.3f},{b:.2f}" for a, b in zip(t, p, strict=True)]))
  assert recording.units == {"radial": "mmHg"}


def test_the_header_is_the_line_with_most_known_names(tmp_path):
  lines = ["Signal;ART", "Time,ART", *rows()]
  (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
  recording = read(tmp_path / "a.csv", {"Time": "time_s", "ART": "radial"})
  assert recording.notes == ("skipped 1 line before the header",)


def test_subjects_with_decimal_commas_and_tables_that_are_not_named(tmp_path):
  (tmp_path / "subjects.csv").write_text("subject;age\nP01;63,5\n")
  for name in ("P01.csv", "P02.csv", "P03.CSV"):
    write(tmp_path / name, rows())
  dataset = csv_file.load(tmp_path)
  assert datasets.read(dataset.entries[0]).covariates == {"age": 63.5}
  assert dataset.notes == (
    "2 tables are not named in subjects.csv and were not read (P02.csv, P03.CSV); add a row for each, and end their names in .csv",
  )


def test_a_word_among_decimal_commas_is_named(tmp_path):
  lines = [row.replace(",", ";").replace(".", ",") for row in rows()]
  lines[7] = "0,056;high"
  with pytest.raises(DataError, match="data row 8: 'high' is not a number; leave missing values empty"):
    read(write(tmp_path / "a.csv", lines, HEADER.replace(",", ";")))


@pytest.mark.parametrize(
  ("cell", "remedy"),
  [
    ("00:00:01:250", "it is a time of day or a date"),
    ("10:15:01 AM", "it is a time of day or a date"),
    ("28.11.2026 10:15", "it is a time of day or a date"),
    ('"0,008"', "it has a decimal comma"),
    ("time_s", "it is a second header"),
    ("0.01 s", "write the numbers without 's'$"),
    ("10ms", "write the numbers without 'ms', and name the unit in --channels, as NAME:time_s:ms$"),
    ("5 kPa", "write the numbers without 'kPa', and name the unit in --channels, as NAME:SIGNAL:kPa$"),
    ("5 mV", "write the numbers without 'mV'$"),
    ("0.01 x", "leave missing values empty"),
    ("x", "leave missing values empty"),
  ],
)
def test_a_cell_that_is_no_number_has_its_own_remedy(tmp_path, cell, remedy):
  with pytest.raises(DataError, match=f"is not a number; {remedy}"):
    read(write(tmp_path / "a.csv", ["0,72", f"{cell},73", "0.02,74"]))


@pytest.mark.parametrize("name", ["subject", "Patient_ID", "caseid"])
def test_a_file_of_several_persons_is_refused(tmp_path, name):
  rows = [f"{who},{k / 100},{90 + k % 9}\n" for who in ("A", "B") for k in range(300)]
  path = tmp_path / "two.csv"
  path.write_text(f"{name},time_s,radial_pressure_mmhg\n" + "".join(rows))
  with pytest.raises(
    DataError, match=f"column {name} has several persons, such as 'A' and 'B'; write one file for each"
  ):
    csv_file.load(path).entries[0].read()
  path.write_text(f"{name},time_s,radial_pressure_mmhg\n" + "".join(rows[:300]))
  assert csv_file.load(path).entries[0].read().time_s.size == 300


def test_a_mark_of_the_byte_order_within_a_file_is_no_part_of_a_name(tmp_path):
  (tmp_path / "a.csv").write_text("# exported\n\ufefftime_s,radial_pressure_mmhg\n" + rows_of(300), encoding="utf-8")
  assert read(tmp_path / "a.csv").time_s.size == 300


def test_a_quote_that_is_not_closed_is_named(tmp_path):
  (tmp_path / "a.csv").write_text('time_s,"radial_pressure_mmhg\n' + rows_of(300))
  with pytest.raises(DataError, match="the header has a quote that is not closed; remove it, or close it"):
    read(tmp_path / "a.csv")


def rows_of(count):
  return "".join(f"{k / 100:.2f},{80 + 20 * np.sin(k / 16):.2f}\n" for k in range(count))


@pytest.mark.parametrize("fs_hz", [62.5, 125.0, 250.0])
@pytest.mark.parametrize("seconds", [12, 300])
def test_times_in_minutes_are_named_at_every_usual_rate(tmp_path, fs_hz, seconds):
  time_s = np.arange(int(seconds * fs_hz)) / fs_hz
  text = [f"{at / 60:.9f},{90 + 20 * np.sin(6 * at):.2f}" for at in time_s]
  with pytest.raises(DataError, match="if the time is in minutes, multiply it by 60"):
    read(write(tmp_path / "a.csv", text))


def test_a_fast_recorder_is_no_clock_in_minutes(tmp_path):
  time_s = np.arange(20_000) / 5000
  text = [f"{at:.4f},{90 + 20 * np.sin(9 * at):.3f}" for at in time_s]
  assert read(write(tmp_path / "a.csv", text)).fs_hz == pytest.approx(5000)


def test_a_clock_in_milliseconds_can_be_stated(tmp_path):
  text = [f"{10 * k},{90 + 20 * np.sin(k / 10):.3f}" for k in range(200)]
  path = write(tmp_path / "a.csv", text, "Time_ms,radial_pressure_mmhg")
  name, clock = signal_names.parse_channel("Time_ms:time_s:ms")
  recording = read(path, {name: clock})
  assert recording.fs_hz == pytest.approx(100)
  assert recording.time_s[-1] == pytest.approx(1.99)
  with pytest.raises(InputError, match="unit 'sec' is unknown; choose one of s, ms, us, min"):
    signal_names.parse_channel("Time:time_s:sec")


def test_what_is_no_measurement_has_its_own_remedy(tmp_path):
  zero = [f"{k / 100},{90 + 20 * np.sin(k / 10):.2f},0" for k in range(200)]
  with pytest.raises(DataError, match="if it was not measured, leave its column empty"):
    read(write(tmp_path / "a.csv", zero, "time_s,radial_pressure_mmhg,aortic_root_pressure_mmhg"))
  words = rows()
  words[20], words[90] = "0.2,>300", "0.9,flush"
  with pytest.raises(
    DataError,
    match="'>300' is not a number; leave missing values empty, and begin a line of text with #",
  ):
    read(write(tmp_path / "b.csv", words))
  with zipfile.ZipFile(tmp_path / "c.csv", "w") as book:
    book.writestr("xl/workbook.xml", "x" * 400)
  with pytest.raises(DataError, match="save the table as CSV in the spreadsheet program"):
    read(tmp_path / "c.csv")


def test_spreadsheets_beside_tables_are_named(tmp_path):
  write(tmp_path / "a.csv", rows())
  (tmp_path / "b.xlsx").touch()
  assert "not read: b.xlsx; save the table as CSV in the spreadsheet program" in csv_file.load(tmp_path).notes
