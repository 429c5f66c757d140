"""A small study, whole."""

import csv
import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import splits
from cap_jax.evaluation import study as studies
from cap_jax.evaluation import study_data, study_limits
from cap_jax.losses import tasks
from cap_jax.report import figures, page, tables
from cap_jax.train import loop, runs
from cap_jax.types import InputError

SMALL = config.Study(
  n_target=(0, 1, 2),
  seeds=(0,),
  strategies=("scratch", "feature_transfer", "fine_tuning", "domain_adaptation", "multi_task"),
  source_subjects=24,
  source_seconds=8.0,
  labelled_subjects=3,
  unlabelled_subjects=3,
  validation_subjects=2,
  test_subjects=4,
  target_seconds=8.0,
  model=config.Model(channels=8, layers=1, head_channels=8),
  pretrain=config.Training(steps=100),
  steps=50,
)


@pytest.fixture(scope="module")
def done():
  source, target = study_data.load_source(SMALL), study_data.load_target(SMALL)
  trained, _ = runs.pretrain(SMALL, source.training, source.validation, source.origin)
  return target, trained, list(studies.cells(SMALL, source, target, trained)), source


def test_every_method_meets_the_same_test_subjects(done):
  target, _, cells, _ = done
  assert len(cells) == studies.count(SMALL)
  free = {(c.method, c.n_target, c.seed) for c in cells if c.n_target == 0}
  assert free == {(name, 0, 0) for name in ("peripheral", "gtf_source", "source", "domain_adaptation")}
  trained = {(c.method, c.n_target) for c in cells if c.n_target}
  assert trained == {
    (m, n)
    for m in ("mean_wave", "gtf_target", "scratch", "feature_transfer", "fine_tuning", "multi_task")
    for n in (1, 2)
  }
  for cell in cells:
    assert tuple(found.subject for found in cell.errors) == target.test.subjects
    assert all(np.isfinite(dataclasses.astuple(found)[1:]).all() for found in cell.errors)


def test_a_linear_filter_beats_the_raw_wave_and_the_mean(done):
  rmse = {line.method: line.rmse_mmhg for line in tables.summarise(done[2]) if line.n_target in (0, 2)}
  assert rmse["gtf_target"] < rmse["peripheral"]
  assert rmse["gtf_target"] < rmse["mean_wave"]


def test_a_leak_between_source_and_target_raises(done):
  target = done[0]
  leaky = study_data.Source(target.labelled, target.validation, {})
  with pytest.raises(splits.LeakError, match="stand both in"):
    study_data.split_of(leaky, target)
  with pytest.raises(splits.LeakError, match="stand both in"):
    next(studies.cells(SMALL, leaky, target, done[1]))


def test_larger_draws_hold_the_smaller_and_seeds_differ(done):
  target = done[0]
  assert set(target.draw(1, 0).subjects) < set(target.draw(2, 0).subjects)
  assert len({target.draw(1, seed).subjects for seed in range(10)}) > 1
  assert not set(target.labelled.subjects) & set(target.test.subjects)


def test_the_same_seeds_give_the_same_numbers(done):
  target, trained, cells, source = done
  made = runs.adapt(SMALL, "feature_transfer", trained, target.data(source, 2, 0), 0, "radial")
  again = next(c for c in cells if (c.method, c.n_target) == ("feature_transfer", 2))
  np.testing.assert_array_equal(loop.predict(made.checkpoint, target.test), again.predicted_bt)


def test_what_training_it_takes_to_be_as_good_as_scratch():
  curve = (loop.Seen(100, 1.0, 3.0), loop.Seen(200, 4.0, 2.0), loop.Seen(300, 6.0, 2.1))
  cell = studies.Cell("device", "fine_tuning", 5, 0, np.zeros((1, 1)), [], 6.0, 300, curve, "", 2.05)
  assert (cell.steps_to_scratch, cell.s_to_scratch) == (200.0, 4.0)
  never = dataclasses.replace(cell, target_rmse=1.9)
  assert np.isnan(never.steps_to_scratch)
  assert np.isnan(never.s_to_scratch)


def test_strategies_are_compared_with_the_best_of_scratch(done):
  cells = done[2]
  for n_target in (1, 2):
    there = {c.method: c for c in cells if c.n_target == n_target and c.steps}
    best = min(seen.rmse_mmhg for seen in there["scratch"].validation)
    assert all(c.target_rmse == best for c in there.values())
    assert not np.isnan(there["scratch"].steps_to_scratch)


def test_auto_says_why_it_holds_what_it_holds(done):
  reasons = {c.method: c.reason for c in done[2] if c.n_target == 2}
  assert reasons["fine_tuning"].startswith("freeze=auto: 2 labelled subjects, distance ")
  assert reasons["scratch"] == ""


@pytest.mark.parametrize("task", ["bp", "monitoring", "site", "masked"])
def test_a_source_of_another_task_gives_its_features(task):
  """Numbers have no head for the wave: features go over, and what asks for the head is refused."""
  study = dataclasses.replace(SMALL, task=task, source_subjects=6, pretrain=config.Training(steps=50))
  source, target = study_data.load_source(study), study_data.load_target(study)
  trained, fitted = runs.pretrain(study, source.training, source.validation, source.origin)
  assert np.isfinite(fitted.loss).all()
  made = runs.adapt(study, "feature_transfer", trained, target.data(source, 2, 0), 0, "radial")
  assert loop.predict(made.checkpoint, target.test).shape == target.test.y_bt.shape
  both = runs.adapt(study, "multi_task", trained, target.data(source, 2, 0), 0, "radial")
  assert np.isfinite(both.fitted.metrics["source_task"]).all()
  assert made.checkpoint.about["source"] == study.source
  # a head of numbers gives no wave, and a head of another wave is one only after training on labels
  refused = ["domain_adaptation", "domain_adaptation/mmd", *(["fine_tuning"] if task in ("bp", "monitoring") else [])]
  for name in refused:
    with pytest.raises(InputError, match=f"strategy {name}: its head comes from the source, .* trained for {task}"):
      runs.adapt(study, name, trained, target.data(source, 2, 0), 0, "radial")


def test_rows_are_one_per_method_labels_seed_and_subject(done, tmp_path):
  path = tmp_path / "study.csv"
  studies.write_rows(path, done[2])
  with open(path, encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert tuple(rows[0]) == studies.COLUMNS
  keys = [(r["scenario"], r["method"], r["n_target"], r["seed"], r["subject"]) for r in rows]
  assert len(keys) == len(set(keys)) == 4 * len(done[2])
  line = next(line for line in tables.summarise(done[2]) if line.method == "gtf_source")
  mine = [float(r["rmse_mmhg"]) for r in rows if r["method"] == "gtf_source"]
  assert np.mean(mine) == pytest.approx(line.rmse_mmhg, abs=1e-4)


def test_the_page_is_one_file_and_escapes_names(done, tmp_path):
  target, _, cells, _ = done
  lines = tables.summarise(cells)
  shown = {c.method: c for c in cells if c.n_target == 2}
  drawn = [(figures.waves(target.test, shown, "scratch", "radial", 125.0), "<script>alert(1)</script>")]
  drawn.append((figures.few_shot(lines, "in silico"), "few-shot"))
  sections = [page.Section("clinic <i>", "text", drawn, tables.of_study(lines))]
  page.write(tmp_path / "report.html", "T", "in silico", tables.EXPLAINED, sections, {"command": "a <b>"})

  text = (tmp_path / "report.html").read_text(encoding="utf-8")
  assert "<script" not in text
  assert "&lt;script&gt;" in text
  assert "a &lt;b&gt;" in text
  assert "clinic &lt;i&gt;" in text
  assert text.count("data:image/png;base64,") == 2
  assert "http" not in text.replace("<!doctype html>", "")  # nothing from outside
  assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_table_says_what_was_measured(done):
  lines = tables.summarise(done[2])
  text = tables.text(tables.of_study(lines))
  for line in lines:
    assert any(
      row.startswith(tables.label(line.method)) and f"{line.rmse_mmhg:.2f}" in row for row in text.splitlines()
    )


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"scenario": "mars"}, "scenario=mars: unknown; choose one of population"),
    ({"n_target": (1, 99)}, "must be 0 to 3 labelled subjects"),
    ({"n_target": (-1,)}, "must be 0 to 3"),
    ({"source": "mars"}, "source=mars: unknown; choose one of healthy"),
    ({"task": "sing"}, "task=sing: unknown; choose one of waveform"),
    ({"strategies": ("magic",)}, "strategy 'magic' is unknown"),
    ({"custom": {"scratch": {"colour": 1}}}, "no field 'colour'"),
    ({"strategies": ("fine_tuning/gradual",)}, "steps=50: fine_tuning/gradual has 4 stages and needs 200"),
    ({"model": config.Model(adaptor="fir", taps=4)}, "taps=4 must be odd"),
    ({"target_model": config.Model(extractor="cnn", layers=1)}, "target_model: 1 layers are too few"),
    ({"seeds": ()}, "needs one value at least"),
    ({"seeds": (1, 1)}, "names a value twice"),
    ({"strategies": ("scratch", "scratch")}, "names a value twice"),
    ({"seeds": ("a",)}, "must be whole numbers"),
    ({"model": config.Model(patch=7)}, "not a whole number of patches of 7"),
    ({"model": config.Model(cosines=21)}, "must be 1 to 20, two patches"),
    ({"windows": config.Windows(margin_s=2.0)}, "more than its two margins"),
    ({"source_seconds": 8.003}, "must be a whole number of samples at 125 Hz"),
    ({"batch": 1}, "a batch of 2 or more"),
    ({"test_subjects": 0}, "test_subjects=0: must be 1 or more"),
    ({"target_seconds": 2.0}, "target_seconds=2.0: must be 4 or more"),
    ({"site": "digital_ppg"}, "must be a peripheral pressure"),
    ({"steps": 70}, "steps=70: must be a positive multiple of 50"),
    ({"strategies": ()}, "needs one value at least"),
    (
      {"model": config.Model(covariates=("age", "reflection"))},
      "'reflection' is not known of a subject; choose of age",
    ),
    ({"model": config.Model(extractor="cnn_bilstm", channels=10)}, "channels=10: must be a multiple of 4"),
  ],
)
def test_impossible_studies_are_refused(change, message):
  with pytest.raises(InputError, match=message):
    study_limits.check(dataclasses.replace(SMALL, **change))


@pytest.mark.parametrize(
  ("change", "name", "message"),
  [
    ({"custom": {"scratch": {"stages": [[["f", "r"]]]}}}, "scratch", "strategy scratch: all of its network is held"),
    (
      {"model": config.Model(extractor="cnn", layers=4)},
      "parameter_transfer",
      "strategy parameter_transfer: rule 'f/e",
    ),
    ({"task": "bp"}, "domain_adaptation", "was trained for bp; take other parts"),
    ({"task": "site"}, "fine_tuning/surgical", "its head was trained for site and stays held"),
    (
      {"custom": {"parameter_transfer": {"loss": [["mmd", 1.0]]}}},
      "parameter_transfer",
      "nothing trains its fresh head",
    ),
    (
      {"custom": {"domain_adaptation/dann": {"stages": [[["f", "r"]]]}}},
      "domain_adaptation/dann",
      "all of its network is held",
    ),
    (
      {"target_model": config.Model(covariates=("age",)), "custom": {"multi_task": {"take": ["f/embed"]}}},
      "multi_task",
      "the source network takes no age, so the target's cannot either",
    ),
    ({"custom": {"fine_tuning/low_rank": {"low_rank": 99}}}, "fine_tuning/low_rank", "choose a lower rank"),
  ],
)
def test_what_cannot_be_trained_is_refused_before_any_data_are_drawn(change, name, message):
  study = dataclasses.replace(SMALL, **change)
  study_limits.check(study)
  source_model = tasks.TASKS[study.task].model(study.model)
  if not study.target_model.covariates:
    runs.check(study, "multi_task/fresh", source_model, study.task)  # others of the same study can be
  with pytest.raises(InputError, match=message):
    runs.check(study, name, source_model, study.task)


def test_scratch_comes_first_whatever_the_order():
  study = dataclasses.replace(SMALL, strategies=("fine_tuning", "scratch", "domain_adaptation/dann"), seeds=(0, 1))
  assert studies.methods(study, 2)[1] == ["scratch", "fine_tuning"]
  assert studies.methods(study, 0)[1] == ["domain_adaptation/dann"]
  count = studies.count(dataclasses.replace(study, n_target=(0, 2)))
  assert count == 3 + 2 * 1 + 2 * (2 + 2)  # baselines without labels once, all else for each seed
