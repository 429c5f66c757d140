"""A small study, whole: its cells, its rows, and how it resuming the stopped run."""

import csv
import dataclasses
import functools
import json
import os
import pathlib
import shutil

import numpy as np
import pandas
import pytest

from cap_jax import config, files, own_files
from cap_jax.baselines import arx
from cap_jax.data import datasets, preparation, recordings, splits, subject_partition
from cap_jax.data.sources import DATASETS
from cap_jax.report import study_report
from cap_jax.study import (
  folds,
  methods,
  study_config,
  study_datasets,
  study_grid,
  study_manifest,
  study_results,
  study_runner,
  summary,
  training,
)
from cap_jax.study import run_study as studies
from cap_jax.study.study_results import Key
from cap_jax.train import checkpoint, loop, prediction
from cap_jax.types import DataError, InputError
from tests.signals.test_synchrony import pulses

FREE = ("peripheral", "npma", "gtf_source", "source", "domain_adaptation")
LABELLED = (
  "mean_wave_target",
  "gtf_target",
  "source_affine",
  "scratch",
  "fine_tuning",
  "feature_transfer",
  "multi_task",
)


@pytest.fixture(scope="module")
def result(small_study, done_study):
  return {key: study_results.load(str(done_study), key) for key in study_grid.keys(small_study)}


@pytest.fixture(scope="module")
def ground(small_study, done_study):
  """Data and source network of the small study."""
  return study_runner.StudyRunner(small_study, str(done_study))


def test_every_method_has_the_same_test_subjects(result, ground):
  target = ground.target("device", 0)[1]
  assert {(key.method, key.n_target) for key in result} == {(m, 0) for m in FREE} | {
    (m, n) for m in LABELLED for n in (1, 2)
  }
  for key, cell in result.items():
    assert tuple(one.subject for one in cell.errors) == target.test.subjects
    assert all(np.isfinite(one.csbp_error_mmhg) for one in cell.errors)
    assert all(np.isfinite(one.rmse_mmhg) for one in cell.errors) == (key.method != "npma")


@pytest.mark.quick
def test_scratch_comes_first_whatever_the_order(small_study):
  assert study_grid.names(small_study)[-len(small_study.strategies) :][0] == "scratch"
  assert [key.method for key in study_grid.keys(small_study)].index("scratch") < [
    key.method for key in study_grid.keys(small_study)
  ].index("fine_tuning")


@pytest.mark.quick
def test_what_no_seed_changes_runs_once(small_study):
  twice = study_grid.keys(dataclasses.replace(small_study, seeds=(0, 1)))
  seeds = {name: {k.seed for k in twice if k.method == name} for name in (*FREE, *LABELLED)}
  assert {name for name, drawn in seeds.items() if drawn == {0}} == set(FREE) - {"domain_adaptation"}


def test_a_linear_filter_beats_the_raw_wave_and_the_mean(result):
  rmse = {(key.method, key.n_target): np.mean([e.rmse_mmhg for e in cell.errors]) for key, cell in result.items()}
  assert rmse["gtf_target", 2] < rmse["peripheral", 0]
  assert rmse["gtf_target", 2] < rmse["mean_wave_target", 2]


def test_a_leak_between_source_and_target_raises(small_study, ground, tmp_path):
  _, target, _ = ground.target("device", 0)
  leaky = study_runner.StudyRunner(small_study, str(tmp_path))
  leaky.source = study_datasets.Source(target.labelled, target.validation, {})
  with pytest.raises(splits.LeakError, match="are in both"):
    leaky.run(study_grid.keys(small_study)[0])
  assert not list(tmp_path.rglob("cells"))


def test_a_network_or_a_scaling_that_saw_test_subjects_raises(small_study, ground):
  study, target, _ = ground.target("device", 0)
  known_subjects = (
    dataclasses.replace(ground.trained, seen_subject_hashes=checkpoint.digests_of(target.test.subjects[-1:])),
  )
  observed = dataclasses.replace(ground.trained.scaling, fitted_on=target.test.subjects[-1:])
  for leaking in (*known_subjects, dataclasses.replace(ground.trained, scaling=observed)):
    evaluated = methods.MethodInputs(
      study=study, source=ground.source, target=target, trained=leaking, published=ground.published, n_target=0, seed=0
    )
    with pytest.raises(splits.LeakError, match=f"{target.test.subjects[-1]}.*evaluate it on unseen subjects"):
      methods.method(study, "source").run(evaluated)


def test_larger_draws_hold_the_smaller_and_seeds_differ(ground):
  target = ground.target("device", 0)[1]
  assert set(target.draw(1, 0).subjects) < set(target.draw(2, 0).subjects)
  assert len({target.draw(1, seed).subjects for seed in range(10)}) > 1
  assert not set(target.labelled.subjects) & set(target.test.subjects)


def test_the_same_seeds_give_the_same_numbers(small_study, ground, result):
  source, target = ground.source, ground.target("device", 0)[1]
  study = study_grid.clinics_of(small_study)[0]
  output = training.adapt(study, "feature_transfer", ground.trained, target.data(source, 2, 0), 0)
  again = ground.target("device", 0)[2].errors(prediction.predict(output.checkpoint, target.test))
  first = result[Key("device", 0, "feature_transfer", 2, 0)]
  assert [e.rmse_mmhg for e in again] == [e.rmse_mmhg for e in first.errors]
  assert [e.csbp_error_mmhg for e in again] == [e.csbp_error_mmhg for e in first.errors]


@pytest.mark.quick
def test_what_training_it_takes_to_be_as_good_as_scratch():
  curve = (
    loop.ValidationScore(100, 1.0, 3.0),
    loop.ValidationScore(200, 4.0, 2.0),
    loop.ValidationScore(300, 6.0, 2.1),
  )
  cell = study_results.Cell(key=Key("device", 0, "fine_tuning", 5, 0), errors=(), validation=curve)
  assert cell.reached(2.05) == (200.0, 4.0)
  assert np.isnan(cell.reached(1.9)).all()


def test_strategies_are_compared_with_the_best_of_scratch(small_study, done_study, result):
  rows = studies.rows(small_study, str(done_study))
  for n_target in (1, 2):
    best = min(observed.rmse_mmhg for observed in result[Key("device", 0, "scratch", n_target, 0)].validation)
    for row in rows:
      if row["n_target"] == n_target and row["steps"]:
        cell = result[Key("device", 0, row["method"], n_target, 0)]
        np.testing.assert_equal(row["steps_to_scratch"], cell.reached(best)[0])
    assert not any(
      np.isnan(r["steps_to_scratch"]) for r in rows if (r["method"], r["n_target"]) == ("scratch", n_target)
    )


def test_auto_says_why_it_freezes_what_it_freezes(result):
  assert result[Key("device", 0, "fine_tuning", 2, 0)].reason.startswith(
    "freeze=auto: 2 labelled subjects, domain distance "
  )
  assert result[Key("device", 0, "scratch", 2, 0)].reason == ""


def test_rows_are_one_per_cell_and_subject(small_study, done_study, tmp_path):
  path = tmp_path / "study.csv"
  output = studies.rows(small_study, str(done_study))
  studies.write_rows(path, output)
  with open(path, encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert tuple(rows[0]) == studies.COLUMNS
  keys = [(r["scenario"], r["fold"], r["method"], r["n_target"], r["seed"], r["subject"]) for r in rows]
  assert len(keys) == len(set(keys)) == 4 * len(study_grid.keys(small_study))
  assert [float(row["rmse_mmhg"]) for row in rows if row["method"] == "source"] == pytest.approx(
    [row["rmse_mmhg"] for row in output if row["method"] == "source"], abs=1e-5
  )


def copied(done_study, tmp_path):
  return pathlib.Path(shutil.copytree(done_study, tmp_path / "work"))


def test_a_study_resumes_where_it_was(small_study, done_study, tmp_path):
  """Cells that are done stay as they are, those that are missing come out as they would have."""
  folder = copied(done_study, tmp_path)
  lost = [Key("device", 0, "feature_transfer", 2, 0), Key("device", 0, "gtf_target", 1, 0)]
  before = {key: study_results.load(str(folder), key) for key in lost}
  for key in lost:
    pathlib.Path(f"{key.stem(str(folder))}.json").unlink()
  stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("cells/**/*.json")}
  assert len(list(studies.run(small_study, str(folder)))) == len(study_grid.keys(small_study))
  assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
  for key in lost:
    output = [
      list(map(dataclasses.astuple, result.errors)) for result in (study_results.load(str(folder), key), before[key])
    ]
    np.testing.assert_equal(*output)


def test_a_damaged_cell_is_named(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  key = study_grid.keys(small_study)[0]
  path = pathlib.Path(f"{key.stem(str(folder))}.json")
  path.write_text(path.read_text()[:50])
  with pytest.raises(
    DataError, match=r"n0_seed0.json: does not contain a study cell .* remove the file and run the same command again"
  ):
    list(studies.run(small_study, str(folder)))


def test_a_cell_that_was_changed_is_refused(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  path = pathlib.Path(f"{Key('device', 0, 'source', 0, 0).stem(str(folder))}.json")
  content = json.loads(path.read_text())
  content["errors"][0]["rmse_mmhg"] -= 1.0
  path.write_text(json.dumps(content))
  with pytest.raises(DataError, match="modified after it was written"):
    list(studies.run(small_study, str(folder)))


def test_what_is_no_cell_is_named(small_study, done_study, tmp_path):
  """A pipe under the name of a cell, and a file under that of the folder of cells."""
  folder = copied(done_study, tmp_path)
  path = pathlib.Path(f"{Key('device', 0, 'source', 0, 0).stem(str(folder))}.json")
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(DataError, match=r"n0_seed0.json: .*is a named pipe.* remove the file"):
    list(studies.run(small_study, str(folder)))
  shutil.rmtree(path.parent)
  path.parent.write_text("mine")
  with pytest.raises(InputError, match=rf"{path.parent}: was not written by this run.*move it elsewhere"):
    list(studies.run(small_study, str(folder)))
  assert path.parent.read_text() == "mine"


def test_the_groups_of_somebody_else_are_not_taken_for_those_of_the_study(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  path = folder / "subjects_device.json"
  path.unlink()
  pathlib.Path(f"{Key('device', 0, 'source', 0, 0).stem(str(folder))}.json").unlink()
  own_files.begin(folder)  # a file that is gone leaves the list
  path.write_text("mine")
  with pytest.raises(InputError, match=r"subjects_device.json: was not written by this run.*move it elsewhere"):
    list(studies.run(small_study, str(folder)))
  assert path.read_text() == "mine"


def test_a_report_that_is_older_than_what_the_study_grew_to_does_not_finish_it(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  configuration, report = folder / "study.json", folder / "report.html"
  report.write_text("of fewer methods")
  os.utime(configuration, (1000, 1000))
  assert studies.is_finished(small_study, str(folder))
  os.utime(report, (999, 999))  # its making failed after the study had grown
  assert not studies.is_finished(small_study, str(folder))


def test_a_cell_without_its_checksum_and_waves_that_were_changed_are_refused(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  key = Key("device", 0, "scratch", 2, 0)
  path, waves = (pathlib.Path(f"{key.stem(str(folder))}.{ending}") for ending in ("json", "npz"))
  assert study_results.load_figure_data(str(folder), key)
  np.savez(waves, predicted_bt=np.zeros(10))
  with pytest.raises(DataError, match=r"n2_seed0.npz: contains no waves \(it was modified after it was written\)"):
    study_results.load_figure_data(str(folder), key)
  content = json.loads(path.read_text())
  del content["sha256"]
  path.write_text(json.dumps(content))
  with pytest.raises(DataError, match=r"n2_seed0.json: does not contain a study cell"):
    list(studies.run(small_study, str(folder)))


def test_no_states_are_left(done_study):
  assert not (done_study / "training_states").exists()


def test_a_damaged_source_network_says_what_to_remove(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  with open(folder / "checkpoint" / "config.json", "a") as file:
    file.write("}")
  with pytest.raises(InputError, match=rf"or remove {folder}/checkpoint to train it again"):
    _ = study_runner.StudyRunner(small_study, str(folder)).trained


def test_a_folder_holds_one_study_which_may_grow(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  study_manifest.remember(
    dataclasses.replace(small_study, seeds=(0, 1), scenarios=("device", "population")), str(folder)
  )
  with pytest.raises(InputError, match=r"contains a study that differs in steps, first seed; choose another --workdir"):
    study_manifest.remember(dataclasses.replace(small_study, steps=100, seeds=(1,)), str(folder))
  (folder / "study.json").write_text("[]")
  with pytest.raises(DataError, match=r"study.json: damaged file \(not a JSON object\); choose another --workdir"):
    study_manifest.remember(small_study, str(folder))


def test_a_folder_holds_one_split_and_the_same_waves(small_study, done_study, tmp_path):
  """A store that was prepared anew at its old place gives other cells."""
  folder = copied(done_study, tmp_path)
  ground = study_runner.StudyRunner(small_study, str(folder))
  ground.target("device", 0)
  split, data = study_manifest.digests(str(folder))
  pieces = (
    "source_training",
    "source_validation",
    "target_labelled",
    "target_test",
    "target_unlabelled",
    "target_validation",
  )
  assert sorted(data) == [f"device {part}" for part in pieces]
  assert len(set(data.values())) == len(pieces)
  path = folder / "data_device.json"
  path.write_text(path.read_text().replace(data["device target_test"], "0" * 64))
  with pytest.raises(InputError, match=r"data_device.json: the waves of target_test changed after"):
    study_runner.StudyRunner(small_study, str(folder)).target("device", 0)
  other = splits.load(folder / "split_device.json").subjects
  splits.Split({**other, "target_test": other["target_test"][1:]}).save(folder / "split_device.json")
  with pytest.raises(InputError, match=r"split_device.json: does not match the current split"):
    study_runner.StudyRunner(small_study, str(folder)).target("device", 0)
  assert study_manifest.digests(str(folder))[0]["split_device"] != split["split_device"]


def test_two_studies_in_one_folder_are_refused(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  half = folder / "cells" / "some.json.partial-1"
  own_files.begin(folder).claim(partial=[half])
  half.write_text("{")
  with study_manifest.lock_folder(str(folder)):
    assert not half.exists()
    with pytest.raises(
      InputError, match="work: another process is running there; wait for it to finish, or choose another --workdir"
    ):
      next(studies.run(small_study, str(folder)))
  assert len(list(studies.run(small_study, str(folder)))) == len(study_grid.keys(small_study))


@pytest.mark.parametrize("requested", [3, 0])
def test_each_subject_is_tested_in_one_fold(small_study, requested):
  """Leave-one-subject-out is as many folds as there are subjects."""
  study = dataclasses.replace(study_grid.clinics_of(small_study)[0], folds=requested, n_target=(1,))
  count = folds.count(study)
  assert count == (requested or 9)
  tested = []
  for fold in range(count):
    target = study_datasets.load_target(study, fold)
    assert not {*target.test.subjects} & {*target.labelled.subjects, *target.validation.subjects}
    assert not {*target.labelled.subjects} & {*target.validation.subjects}
    assert len(target.validation.subjects) == 2
    tested += target.test.subjects
  assert len(tested) == len(set(tested)) == 9
  assert {key.fold for key in study_grid.keys(study)} == set(range(count))
  with pytest.raises(InputError, match="has only 9 subjects with a reference"):
    folds.count(dataclasses.replace(study, folds=10))


def test_folds_that_leave_too_few_to_label_are_refused_before_any_work(small_study):
  study = dataclasses.replace(study_grid.clinics_of(small_study)[0], folds=3)
  left = 9 - 3 - study.validation_subjects
  folds.check(dataclasses.replace(study, n_target=(left,)))
  target = study_datasets.load_target(dataclasses.replace(study, n_target=(left,)), 0)
  assert len(target.labelled.subjects) == left
  with pytest.raises(
    InputError, match=rf"folds=3, n_target=\({left + 1},\): of the 9 .* leaves {left} to label besides"
  ):
    folds.check(dataclasses.replace(study, n_target=(left + 1,)))


def test_rates_and_lengths_are_chosen_on_validation_subjects_at_the_first_seed(
  small_study, done_study, tmp_path, monkeypatch
):
  folder = copied(done_study, tmp_path)
  shutil.rmtree(folder / "cells")
  study = dataclasses.replace(small_study, rate_factors=(0.01, 1.0), n_target=(0, 2), seeds=(0, 1), baselines=())
  study = dataclasses.replace(study, step_factors=(1.0, 2.0))
  study = dataclasses.replace(study, strategies=("scratch", "domain_adaptation"))
  working = study_runner.StudyRunner(study, str(folder))
  finished, finish = [], methods.finish
  monkeypatch.setattr(methods, "finish", lambda inputs, run: finished.append(inputs.setting) or finish(inputs, run))
  first, second = (working.run(Key("device", 0, "scratch", 2, seed)) for seed in (0, 1))
  assert (
    finished == [(first.rate_factor, first.step_factor)] * 2
  )  # what is not chosen is trained and looked at no further
  (choice,) = folder.rglob("choices/**/*.json")
  tried = {(one["rate"], one["steps"]): one["rmse_mmhg"] for one in json.loads(choice.read_text())}
  assert set(tried) == {(rate, steps) for rate in (0.01, 1.0) for steps in (1.0, 2.0)}
  best = min(tried, key=tried.get)
  assert finished[0] == best == (second.rate_factor, second.step_factor)
  assert first.validation[-1].rmse_mmhg == min(tried.values())
  assert first.settings == 4
  assert first.steps == second.steps == best[1] * study.steps
  # a method without labels may not ask labelled validation subjects
  free = working.run(Key("device", 0, "domain_adaptation", 0, 0))
  assert (free.settings, free.rate_factor, free.step_factor) == (1, 1.0, 1.0)
  # nor has one that begins with the source's parameters another length
  assert [setting.steps for setting in study_grid.settings(study, "fine_tuning")] == [1.0, 1.0]
  choice.write_text("{}")
  with pytest.raises(DataError, match="does not contain a strategy selection"):
    working.run(Key("device", 0, "scratch", 2, 2))


def test_a_training_that_diverges_is_a_cell_with_its_reason(small_study, done_study, tmp_path):
  folder = copied(done_study, tmp_path)
  key = Key("device", 0, "scratch", 1, 0)
  pathlib.Path(f"{key.stem(str(folder))}.json").unlink()
  study = dataclasses.replace(small_study, custom={"scratch": {"learning_rate": 1e30}})
  cell = study_runner.StudyRunner(study, str(folder)).run(key)
  assert cell.diverged
  assert cell.reason
  assert all(np.isnan(one.rmse_mmhg) for one in cell.errors)
  assert study_results.load(str(folder), key).diverged


def test_a_baseline_that_cannot_be_fitted_is_a_cell_with_its_reason(small_study, done_study, tmp_path, monkeypatch):
  monkeypatch.setattr(arx.Arx, "stable", False)
  study = dataclasses.replace(small_study, baselines=("gtf_arx_target",))
  cell = study_runner.StudyRunner(study, str(copied(done_study, tmp_path))).run(
    Key("device", 0, "gtf_arx_target", 1, 0)
  )
  assert cell.diverged
  assert "no stable ARX model" in cell.reason
  assert all(np.isnan(one.rmse_mmhg) for one in cell.errors)


def test_shown_waves_come_back(done_study, ground):
  target = ground.target("device", 0)[1]
  displayed = study_results.load_figure_data(str(done_study), Key("device", 0, "peripheral", 0, 0))
  np.testing.assert_array_equal(displayed["peripheral_bt"], displayed["predicted_bt"])
  rows = study_runner.figure_rows(target.test)
  np.testing.assert_allclose(displayed["true_bt"], target.test.y_bt[rows], atol=0.0051)
  np.testing.assert_allclose(displayed["predicted_bt"], target.test.x_bt[rows], atol=0.0051)
  assert study_results.load_figure_data(str(done_study), Key("device", 0, "peripheral", 0, 5)) == {}
  adapted = study_results.load_figure_data(str(done_study), Key("device", 0, "domain_adaptation", 0, 0))
  assert adapted["features_source"].shape[1] == adapted["features_target"].shape[1] == 8


@pytest.mark.slow
def test_the_published_networks_train_as_the_strategies_do(ground):
  """The same draw, steps and validation subjects; their own architecture."""
  study, target, _ = ground.target("device", 0)
  for name in ("cnn_bilstm", "tcn"):
    output = methods.method(study, f"{name}_target").run(
      methods.MethodInputs(
        study=study,
        source=ground.source,
        target=target,
        trained=ground.trained,
        published=ground.published,
        n_target=2,
        seed=0,
      )
    )
    assert output.network.model == methods.NETWORKS[name].model
    assert output.steps == study.steps
    assert output.predicted_bt.shape == target.test.y_bt.shape
    assert {leaf.fate for leaf in output.merge} == {"fresh", "left behind"}
    assert output.network.about["n_target"] == 2


def test_an_estimate_shrinks_as_cells_are_done(small_study, done_study, tmp_path):
  keys = study_grid.keys(small_study)
  assert study_grid.estimate_s(small_study, str(done_study), keys) == 0
  nothing = study_grid.estimate_s(small_study, str(tmp_path), keys)
  assert nothing > 10
  more = dataclasses.replace(small_study, seeds=(0, 1))
  left = study_grid.estimate_s(more, str(done_study), study_grid.keys(more))
  assert 0 < left < study_grid.estimate_s(more, str(tmp_path), study_grid.keys(more))
  # what took so long two at a time takes half as long two at a time; small networks gain 1.3 from a core of their own
  assert study_grid.estimate_s(more, str(done_study), study_grid.keys(more), 2) == pytest.approx(left / 2)
  assert study_grid.estimate_s(small_study, str(tmp_path), keys, 2) < nothing


@pytest.mark.quick
def test_what_cannot_run_is_named(small_study):
  brachial = dataclasses.replace(small_study, site="femoral", n_target=(0,))
  left = study_grid.unused(brachial)
  assert any(line.startswith("npma: is defined for radial, brachial, not for femoral") for line in left)
  assert any(line.startswith("scratch: needs labelled subjects, but n_target is (0,)") for line in left)
  assert "npma" not in {key.method for key in study_grid.keys(brachial)}


@pytest.mark.quick
def test_methods_that_read_pressures_cannot_run_on_a_ppg_without_a_unit(small_study):
  names = ("peripheral", "tube_load_target", "map_dbp", "gtf_target", "mean_wave_target", "source")
  ppg = dataclasses.replace(small_study, site="digital_ppg", baselines=names)
  left = study_grid.unused(ppg)
  for name in names[:3]:
    assert f"{name}: reads a pressure in mmHg, but a PPG has no unit" in left
  assert [name for name in study_grid.names(ppg) if name in names] == list(names[3:])
  cuff = dataclasses.replace(ppg, calibration=config.Calibration(kind="sbp_dbp"))
  assert study_grid.names(cuff)[: len(names)] == names


@pytest.mark.slow
def test_a_study_of_ppg_has_errors_in_mmhg_and_waves_to_show(small_study, tmp_path):
  study = dataclasses.replace(
    small_study,
    site="digital_ppg",
    n_target=(0, 2),
    baselines=("gtf_target", "source"),
    strategies=("fine_tuning",),
  )
  cells = list(studies.run(study, str(tmp_path)))
  rmse = {cell.key.method: np.mean([one.rmse_mmhg for one in cell.errors]) for cell in cells}
  assert set(rmse) == {"gtf_target", "source", "fine_tuning"}
  assert all(1 < value < 60 for value in rmse.values())
  assert all(np.isnan(one.amplification) for cell in cells for one in cell.errors)
  stored = [study_results.load_figure_data(str(tmp_path), cell.key) for cell in cells]
  (truth,) = (waves for waves in stored if "true_bt" in waves)
  assert (truth["peripheral_bt"].min(1) == 0).all()
  assert (truth["peripheral_bt"].max(1) == 100).all()
  (clinic,) = study_report.open_clinics(study, str(tmp_path), summary.frame(studies.rows(study, str(tmp_path))))
  assert set(clinic.waves) == {*rmse, "peripheral"}
  (drawn,) = study_report.waves(clinic)
  assert "digital_ppg, no unit" in [text.get_text() for text in drawn.figure.legends[0].get_texts()]
  assert study_datasets.unknown_level(study).startswith("the pressure level is unknown")
  loaded = checkpoint.load(tmp_path / "checkpoint")
  assert loaded.scaling.unitless
  assert loaded.uncertainty_calibration is not None


@pytest.mark.slow
@pytest.mark.parametrize("task", ["bp", "monitoring", "site", "masked"])
def test_a_source_of_another_task_gives_its_features(small_study, task):
  """Numbers have no head for the wave: features go over, and what asks for the head is refused."""
  study = dataclasses.replace(small_study, task=task, pretrain=config.Training(steps=50))
  study = study_grid.clinics_of(study)[0]
  source, target = study_datasets.load_source(study), study_datasets.load_target(study)
  trained, fitted = training.pretrained(study, source.training, source.validation, source.origin)
  assert np.isfinite(fitted.loss).all()
  output = training.adapt(study, "feature_transfer", trained, target.data(source, 2, 0), 0)
  assert prediction.predict(output.checkpoint, target.test).shape == target.test.y_bt.shape
  both = training.adapt(study, "multi_task", trained, target.data(source, 2, 0), 0)
  assert np.isfinite(both.fitted.metrics["source_task"]).all()
  assert output.checkpoint.about["source"] == study.source
  assert "gtf_source" not in study_grid.names(study)
  # a head of numbers gives no wave, and a head of another wave is one only after training on labels
  refused = ["domain_adaptation", "domain_adaptation/mmd", *(["fine_tuning"] if task in ("bp", "monitoring") else [])]
  for name in refused:
    with pytest.raises(InputError, match=f"strategy {name}: its head comes from the source, .* trained for {task}"):
      training.adapt(study, name, trained, target.data(source, 2, 0), 0)


@pytest.fixture(scope="module")
def clinic_store(tmp_path_factory):
  """Six people of whom one has no cuff reading and one no whole window of both waves."""

  def read(number):
    t = np.arange(24 * 125) / 125
    wave, aortic = pulses(125.0, 24, 0.08, seed=number), 0.8 * pulses(125.0, 24, seed=number) + 15
    if number == 1:
      aortic[np.arange(t.size) % 300 < 20] = np.nan  # gaps too long to be bridged, 2.2 s apart
    cuff = {"cuff_sbp_mmhg": np.nan if number == 0 else 125.0, "cuff_dbp_mmhg": 80.0}
    waves = {"radial": wave, "aortic_root": aortic}
    return recordings.Recording(
      subject=f"p{number}", time_s=t, signals=waves, units=dict.fromkeys(waves, "mmHg"), covariates=cuff, record="r"
    )

  entries = tuple(datasets.Entry(f"p{k}", "r", f"file {k}", functools.partial(read, k)) for k in range(6))
  output = datasets.DataSet(
    name="csv", entries=entries, source="nobody", licence="none", path="/nowhere", channels=None
  )
  how = subject_partition.Partition({"training": 0.5, "validation": 0.17, "test": 0.33})
  path = tmp_path_factory.mktemp("stores") / "clinic"
  return preparation.prepare(output, path, config.Conditioning(synchronise=False), how)


def test_no_fold_is_of_somebody_who_cannot_be_tested(small_study, clinic_store):
  study = dataclasses.replace(
    small_study, scenarios=(), target_data=str(clinic_store.path), folds=0, n_target=(1,),
    calibration=config.Calibration(kind="sbp_dbp"),
  )  # fmt: skip
  assert folds.count(study) == 4
  tested = [study_datasets.load_target(study, fold).test.subjects for fold in range(4)]
  assert sorted(tested) == [("p2",), ("p3",), ("p4",), ("p5",)]
  lines = sorted(folds.untested(study))
  assert lines[0].startswith("p0: p0: calibration sbp_dbp needs cuff_sbp_mmhg")
  assert lines[1] == "p1: no 4 s of radial and aortic_root without a gap"
  assert folds.untested(dataclasses.replace(study, folds=1)) == []


def test_default_numbers_of_labels_are_those_that_a_store_has(small_study, clinic_store):
  default = study_config.Study.n_target
  study = dataclasses.replace(small_study, scenarios=(), target_data=str(clinic_store.path), folds=1, n_target=default)
  assert folds.labelled_available(study) == 3
  assert folds.with_possible_labels(study).n_target == (0, 1, 3)  # all three, too
  assert folds.with_possible_labels(dataclasses.replace(study, folds=0)).n_target == (0, 1, 3)
  chosen = dataclasses.replace(study, n_target=(0, 4))
  assert folds.with_possible_labels(chosen) is chosen
  with pytest.raises(InputError, match=r"n_target=4: .* has only 3 labelled subjects for training; use fewer"):
    folds.check_labelled(chosen)


@pytest.fixture(scope="module")
def rig_store(tmp_path_factory):
  how = subject_partition.Partition({"training": 0.6, "validation": 0.2, "test": 0.2})
  path = tmp_path_factory.mktemp("stores") / "rig"
  return preparation.prepare(DATASETS["mcl"]("excerpt"), path, config.Conditioning(synchronise=False), how)


def test_each_value_of_a_covariate_is_left_out_once(small_study, rig_store):
  study = dataclasses.replace(
    small_study, scenarios=(), target_data=str(rig_store.path), leave_out="state", n_target=(1, 5)
  )
  clinics = study_grid.clinics_of(study)
  assert [clinic.target_name for clinic in clinics] == ["rig_state_0", "rig_state_1"]
  assert study_datasets.place(study) == "in vitro"
  assert study_datasets.describe(study).startswith("In vitro: mock circulatory loop of the FDA")
  tested = []
  for prefix, clinic in zip(("NV", "CS"), clinics, strict=True):
    target = study_datasets.load_target(clinic)
    tested += target.test.subjects
    assert {name[:2] for name in target.test.subjects} == {prefix}
    for part in (target.labelled, target.validation, target.unlabelled):
      assert prefix not in {name[:2] for name in part.subjects}
    assert folds.labelled_available(clinic) >= len(target.labelled.subjects) == 5
  assert len(tested) == len(set(tested)) == 26  # the one that is left out has no 4 s without a gap
  assert folds.untested(clinics[0]) == [] or "no 4 s of radial and aortic_root" in folds.untested(clinics[0])[0]
  with pytest.raises(InputError, match=r"leave_out=state: names several values; choose one of state:0, state:1"):
    study_datasets.load_target(study)
  with pytest.raises(InputError, match=r"leave_out=age: the values of 'age' in .* are missing"):
    study_grid.clinics_of(dataclasses.replace(study, leave_out="age"))
  with pytest.raises(InputError, match=r"leave_out=state:2: the values of 'state' in .* are 0, 1"):
    study_grid.clinics_of(dataclasses.replace(study, leave_out="state:2"))
  with pytest.raises(InputError, match="leave_out=state: needs a store"):
    dataclasses.replace(study, target_data="")


def test_a_large_store_is_thinned_and_nobody_left_out(small_study, clinic_store, monkeypatch):
  study = dataclasses.replace(small_study, scenarios=(), target_data=str(clinic_store.path), folds=2, n_target=(1,))
  whole = study_datasets.load_target(study)
  monkeypatch.setattr(study_datasets, "_MAX_TARGET_WINDOWS", 5)
  few = study_datasets.load_target(study)
  for part in ("labelled", "validation", "test"):
    assert getattr(few, part).subjects == getattr(whole, part).subjects
    assert len(getattr(few, part).x_bt) <= max(5, len(getattr(few, part).subjects)) < len(whole.labelled.x_bt)


def test_where_errors_come_from_is_the_target(small_study, clinic_store):
  """A real source beside a virtual clinic makes no real records of its subjects."""
  real = str(clinic_store.path)
  taught = dataclasses.replace(small_study, source_data=real)
  tested = dataclasses.replace(small_study, scenarios=(), target_data=real)
  assert (study_datasets.place(taught), study_datasets.place(tested)) == ("in silico", "real records")
  assert study_datasets.describe(taught) == "In silico: all test subjects are virtual. Source: nobody."
  assert study_datasets.describe(tested) == "With real records: nobody. The source is virtual."
  assert study_datasets.describe(small_study) == "In silico: all subjects are virtual."


@pytest.mark.quick
def test_a_choice_in_the_making_is_waited_for(tmp_path):
  with files.lock_folder(tmp_path), pytest.raises(BlockingIOError), files.lock_folder(tmp_path, wait=False):
    pass
  with files.lock_folder(tmp_path, wait=False):
    pass


@pytest.mark.quick
def test_methods_without_labels_run_whatever_the_numbers_of_labels(small_study):
  study = dataclasses.replace(small_study, n_target=(2,), baselines=("peripheral", "source"), strategies=("scratch",))
  assert {(key.method, key.n_target) for key in study_grid.keys(study)} == {
    ("peripheral", 0), ("source", 0), ("scratch", 2),
  }  # fmt: skip
  assert study_grid.unused(study) == []
  assert study_grid.focused(study) == {"peripheral": 0, "source": 0, "scratch": 2}
  none = dataclasses.replace(study, n_target=(0,))
  assert study_grid.unused(none) == ["scratch: needs labelled subjects, but n_target is (0,)"]


@pytest.mark.quick
def test_a_method_is_looked_at_at_one_number_of_labels(small_study):
  """`auto` stands with and without labels; its rows are never pooled."""
  rows = pandas.DataFrame([("auto", 0), ("auto", 2), ("source", 0), ("scratch", 1)], columns=["method", "n_target"])
  study = dataclasses.replace(
    small_study, n_target=(0, 2), strategies=("auto", "scratch"), baselines=("source",), steps=100
  )
  result = study_report.ClinicResults(study=study, rows=rows, summaries=[], waves={}).everything
  assert {name: list(part["n_target"]) for name, part in result.items()} == {"auto": [2], "source": [0]}
  clinic = study_grid.clinics_of(study)[0]
  assert study_grid.focused(clinic) == {"source": 0, "auto": 2, "scratch": 2}


@pytest.mark.quick
def test_a_stopped_study_is_gone_on_with_and_a_finished_one_is_not(small_study, tmp_path):
  stem = str(tmp_path / "compare")
  other = dataclasses.replace(small_study, steps=100)
  assert study_manifest.next_folder(small_study, stem) == stem
  os.mkdir(stem)
  study_manifest.remember(small_study, stem)
  assert study_manifest.next_folder(small_study, stem) == stem
  assert study_manifest.next_folder(other, stem) == f"{stem}-2"
  with files.lock_folder(stem, wait=False):  # it runs
    assert study_manifest.next_folder(small_study, stem) == f"{stem}-2"
  (tmp_path / "compare" / "report.html").touch()
  assert study_manifest.next_folder(small_study, stem) == f"{stem}-2"
