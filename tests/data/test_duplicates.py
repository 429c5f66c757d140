"""One thing under several names: paths, links, and equal waves."""

import dataclasses
import os
import pathlib
import shutil

import numpy as np
import pandas
import pytest

import cap_jax as cj
from cap_jax import config
from cap_jax.data import datasets, duplicates, preparation, recordings, signal_names, splits, subject_partition
from cap_jax.data.sources import DATASETS
from cap_jax.inference import pretrained
from cap_jax.study import own_data, study_config, study_datasets
from cap_jax.types import DataError, InputError
from tests.data.sources import write

FS_HZ = 125.0
pytestmark = pytest.mark.quick


def pressure(number, seconds=20.0):
  """A wave of a person of its own."""
  return write.wave(FS_HZ, seconds, mean=85 + number, rate_hz=1.1 + 0.02 * number)[1]


def table(path, number, digits=3, extra=False):
  """A CSV file of the person of a number."""
  p_t = pressure(number)
  columns = {
    "time_s": np.arange(p_t.size) / FS_HZ,
    "radial_pressure_mmhg": p_t,
    "aortic_root_pressure_mmhg": p_t * 0.9 + 8,
  }
  columns |= {"weight": 70} if extra else {}
  pandas.DataFrame(columns).round(digits).to_csv(path, index=False)
  return path


def prepared(folder, output, place=datasets.REAL):
  dataset = dataclasses.replace(DATASETS["csv"](folder), place=place)
  how = subject_partition.Partition(fractions={"training": 0.5, "validation": 0.25, "test": 0.25})
  return preparation.prepare(dataset, output, config.Conditioning(synchronise=False), how)


@pytest.mark.parametrize(
  "names", [("P01", "./P01", "././P01"), ("sub/../P01", "P01/"), ("P01", "ABSOLUTE/P01", "../F/P01")]
)
def test_several_names_of_a_path_are_one_subject(tmp_path, names):
  folder = tmp_path / "F"
  (folder / "sub").mkdir(parents=True)
  table(folder / "P01.csv", 1)
  names = [name.replace("ABSOLUTE", str(folder)) for name in names]
  (folder / "subjects.csv").write_text("subject,age\n" + "".join(f"{name},63\n" for name in names))
  dataset = DATASETS["csv"](folder)
  assert [(one.subject, one.record) for one in dataset.entries] == [("P01", "P01")]
  assert datasets.read(dataset.entries[0]).subject == "P01"
  assert [str(error) for error in dataset.lost] == [
    f"{folder}/subjects.csv: data row {row}, subject P01: {name!r} is a duplicate subject, first in data row 1; keep one row per subject"
    for row, name in enumerate(names[1:], start=2)
  ]


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize(
  ("made", "channels"),
  [
    ("a.csv", None),
    ("a.npz", None),
    ("a.mat", {"p": "radial", "t": "time_s"}),
    ("a.parquet", None),
    ("a.hea", {"ABP": "radial"}),
  ],
)
def test_the_second_name_of_a_file_is_refused_with_both(tmp_path, link, made, channels):
  whole, kind = tmp_path / made, pathlib.Path(made).suffix[1:]
  t, p = write.wave(FS_HZ)
  columns = {"time_s": t, "radial_pressure_mmhg": p}
  if kind == "csv":
    pandas.DataFrame(columns).to_csv(whole, index=False)
  elif kind == "npz":
    np.savez(whole, **columns)
  elif kind == "mat":
    write.scipy.io.savemat(whole, {"t": t, "p": p})
  elif kind == "parquet":
    pandas.DataFrame({"subject": "S", **columns}).to_parquet(whole)
  else:
    whole.write_text("a 1 125 10\na.dat 16 200/mmHg 12 0 0 0 0 ABP\n")
  link(whole, tmp_path / f"b.{kind}")
  reader = {"mat": "npz", "hea": "wfdb"}.get(kind, kind)
  dataset = DATASETS[reader](tmp_path, channels)
  assert len(dataset.entries) == len(dataset.lost) == 1
  lost = dataset.lost[0]
  assert str(tmp_path / "b") in lost.where
  assert str(lost).endswith(f"is the same file as {whole}; keep one name of the file")


def test_records_of_one_file_and_copies_are_not_the_same_file(tmp_path):
  path, _, _ = write.parquet(tmp_path)
  assert len(DATASETS["parquet"](path).entries) == 2
  table(tmp_path / "a.csv", 1)
  shutil.copy(tmp_path / "a.csv", tmp_path / "b.csv")  # its waves are compared, not its bytes
  assert len(DATASETS["csv"](tmp_path).entries) == 2


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\x07", "x" * 300])
def test_names_with_control_characters_and_long_ones_are_refused(name):
  entries = [datasets.Entry(name, "r", "file.csv", list), datasets.Entry("s", name, "file.csv", list)]
  kept, lost = datasets.gather(entries)
  assert kept == ()
  for error in lost:
    assert "the name " in error.problem
    assert error.remedy == "rename the file or the subject"
    assert str(error).isprintable()


def test_one_file_with_such_a_name_is_an_error(tmp_path):
  with pytest.raises(DataError, match=r"a.nb\.csv: contains control characters; rename the file"):
    DATASETS["csv"](table(tmp_path / "a\nb.csv", 1))


def waves(*recorded):
  return list(duplicates.waves_of_records(recorded))


def recording(subject, p_t, record="", signal="radial"):
  unit = "mmHg" if signal_names.is_pressure(signal) else "ml/s"
  time_s = np.arange(len(p_t)) / FS_HZ
  return recordings.Recording(
    subject=subject, record=record, time_s=time_s, signals={signal: p_t}, units={signal: unit}
  )


def test_equal_waves_are_found_also_with_fewer_digits_and_under_other_signals():
  p_t = pressure(1)
  with_gap = p_t.copy()
  with_gap[:50] = np.nan
  same = [
    recording("b", p_t.round(1)),
    recording("b", p_t.round(2)),
    recording("b", p_t.astype(np.float32)),
    recording("b", p_t, signal="brachial"),
  ]
  for other in same:
    (match,) = duplicates.find(waves(recording("a", p_t), other))
    assert str(match) == "a and b"
  different = [
    recording("b", p_t * 1.01), recording("b", p_t + 0.1), recording("b", np.roll(p_t, 3)), recording("b", with_gap),
    recording("b", p_t[:-1]), recording("b", p_t, signal="radial_flow"), recording("a", p_t),
  ]  # fmt: skip
  for other in different:
    assert duplicates.find(waves(recording("a", p_t), other)) == []


def test_flat_and_short_waves_and_those_of_few_values_are_not_compared():
  square = np.where(np.arange(2000) % 100 < 50, 80.0, 120.0)
  for p_t in (np.full(2000, 90.0), np.zeros(2000), square, pressure(1)[:90], np.full(2000, np.nan)):
    assert duplicates.find(waves(recording("a", p_t), recording("b", p_t))) == []


def test_waves_are_read_only_where_their_moments_are_equal():
  def fail():
    raise AssertionError

  many = [one._replace(read=fail) for k in range(40) for one in waves(recording(f"s{k}", pressure(k)))]
  assert duplicates.find(many) == []


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """Folders of eight people: apart, with a copy of the first, and of others of whom the last is known too."""
  base = tmp_path_factory.mktemp("people")
  for name, numbers in (("apart", range(8)), ("copy", (*range(7), 0)), ("others", (*range(20, 27), 2))):
    (base / name).mkdir()
    for k, number in enumerate(numbers):
      table(base / name / f"{name[0]}{k}.csv", number, digits=3 + (k == 7))
  return base


def test_a_store_with_the_same_wave_of_two_subjects_is_refused(folders, tmp_path):
  apart = prepared(folders / "apart", tmp_path / "apart")
  assert duplicates.check_shards("here", apart.shards, datasets.REAL) == ()
  shards = [
    dataclasses.replace(
      shard, records=tuple(dataclasses.replace(one, subject=f"x{one.subject}") for one in shard.records)
    )
    for shard in apart.shards
  ]
  with pytest.raises(splits.LeakError) as refused:
    duplicates.check_shards("here", [*apart.shards, *shards], datasets.REAL)
  assert str(refused.value) == (
    "here: different subjects have the same wave: a0 and xa0 (a0), a1 and xa1 (a1), a2 and xa2 (a2) (and 5 more pairs); give the records "
    "of one person one subject, or leave one of them out"
  )
  (note,) = duplicates.check_shards("here", [*apart.shards, *shards], datasets.IN_SILICO)
  assert note.startswith("virtual subjects have the same wave: a0 and xa0 (a0), ")
  shards = [
    dataclasses.replace(shard, records=tuple(dataclasses.replace(one, record="again") for one in shard.records))
    for shard in apart.shards
  ]
  (note,) = duplicates.check_shards("here", [*apart.shards, *shards], datasets.REAL)
  assert note.startswith("equal waves of one subject count twice: a0 and a0 (again), ")


def test_a_study_whose_stores_share_a_wave_under_two_names_is_refused(folders, tmp_path):
  apart = prepared(folders / "apart", tmp_path / "apart")
  others = prepared(folders / "others", tmp_path / "others")
  assert "a2" in apart.split.subjects["training"]
  study = study_config.Study(
    source_data=str(apart.path), target_data=str(others.path), labelled_subjects=1, n_target=(0, 1)
  )
  said = r"apart, .*others: subjects of the source and of the target have the same wave: a2 and o7; leave them out of one of the two"
  with pytest.raises(splits.LeakError, match=said):
    study_datasets.load_target(study)
  study_datasets.load_target(
    dataclasses.replace(study, target_data=str(apart.path))
  )  # subjects of one name have a check of their own


def test_arrays_of_two_people_with_one_wave_are_refused():
  x = [pressure(k) for k in range(3)]
  with pytest.raises(
    InputError,
    match=r"subject: different subjects have the same wave: b \(record 1\) and c \(record 2\); give the records of one",
  ):
    cj.windows([x[0], x[1], x[1].round(3)], fs_hz=FS_HZ, subject=["a", "b", "c"])
  with pytest.warns(
    UserWarning, match=r"equal waves of one subject count twice: record-.* \(record 0\) and record-.* \(record 2\)"
  ):
    assert len(cj.windows([x[0], x[1], x[0]], fs_hz=FS_HZ).subjects) == 2
  rows = [
    pandas.DataFrame({"subject": name, "time_s": np.arange(2500) / FS_HZ, "radial_pressure_mmhg": x[0]})
    for name in "ab"
  ]
  with pytest.raises(InputError, match="different subjects have the same wave: a and b;"):
    cj.windows(pandas.concat(rows))


def test_windows_of_one_person_in_two_parts_are_refused():
  x = [pressure(k) for k in range(4)]
  first, second, again = (
    cj.windows([x[k] for k in numbers], [x[k] - 5 for k in numbers], fs_hz=FS_HZ, subject=names)
    for numbers, names in (((0, 1), ["a", "b"]), ((2, 3), ["c", "d"]), ((1, 3), ["e", "f"]))
  )
  duplicates.check_windows({"source": first, "validation": None}, {"labelled": second})
  duplicates.check_windows({"source": first}, {"labelled": first})  # a check of names refuses it
  with pytest.raises(
    splits.LeakError, match="source, labelled: subjects b and e have the same waves; keep each person in one"
  ):
    duplicates.check_windows({"source": first}, {"unlabelled": second.unlabelled(), "labelled": again})
  net, budget = cj.load("radial"), cj.Budget(steps=50)
  with pytest.raises(splits.LeakError, match="validation, labelled: subjects f and d have the same waves"):
    cj.transfer(net, "fine_tuning", labelled=second, validation=again, budget=budget)
  with pytest.raises(splits.LeakError, match="validation, people: subjects e and b have the same waves"):
    cj.pretrain(first, validation=again, steps=50)


def test_a_preparation_of_two_people_with_one_wave_is_refused_and_the_corrected_one_works(tmp_path):
  folder, output = tmp_path / "[files]", tmp_path / "store"  # a name with characters of a pattern
  folder.mkdir()
  for number in range(1, 5):
    table(folder / f"P{number}.csv", number)
  shutil.copy(folder / "P2.csv", folder / "Q9.csv")
  with pytest.raises(splits.LeakError, match="different subjects have the same wave: P2 and Q9; give the records of"):
    prepared(folder, output)
  assert not output.exists()
  (folder / "Q9.csv").unlink()
  assert {name for names in prepared(folder, output).split.subjects.values() for name in names} == {
    f"P{number}" for number in range(1, 5)
  }
  one = prepared(table(folder / "**a.csv", 7), tmp_path / "one")
  assert [record.subject for shard in one.shards for record in shard.records] == ["**a"]


def test_an_evaluation_on_two_people_with_one_wave_is_refused(tmp_path):
  for name, number in (("P1", 1), ("P2", 2), ("Q9", 2)):
    table(tmp_path / f"{name}.csv", number)
  with pytest.raises(splits.LeakError, match="the data set: different subjects have the same wave: P2 and Q9"):
    own_data.gather(DATASETS["csv"](tmp_path).entries, pretrained.load("radial"), synchronise=False, strict=False)
