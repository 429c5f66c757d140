"""A small study, whole."""

import csv
import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import splits
from cap_jax.evaluation import study as studies
from cap_jax.report import figures, page, tables
from cap_jax.transfer import STRATEGIES
from cap_jax.types import InputError

SMALL = config.Study(
  n_target=(1, 2),
  seeds=(0,),
  source_subjects=24,
  source_seconds=8.0,
  labelled_subjects=3,
  validation_subjects=2,
  test_subjects=4,
  target_seconds=8.0,
  model=config.Model(channels=8, layers=1, head_channels=8),
  pretrain=config.Training(steps=100),
  scratch=config.Training(steps=50),
  transfer=config.Training(steps=50),
)


@pytest.fixture(scope="module")
def done():
  source, target = studies.load_source(SMALL), studies.load_target(SMALL)
  trained, _ = studies.pretrain(SMALL, source)
  return target, trained, list(studies.cells(SMALL, source, target, trained))


def test_every_method_meets_the_same_test_subjects(done):
  target, _, cells = done
  free = {(c.method, c.n_target, c.seed) for c in cells if c.n_target == 0}
  assert free == {("peripheral", 0, 0), ("gtf_source", 0, 0), ("source", 0, 0)}
  trained = {(c.method, c.n_target) for c in cells if c.n_target}
  assert trained == {(m, n) for m in ("mean_wave", "gtf_target", *STRATEGIES) for n in (1, 2)}
  for cell in cells:
    assert tuple(found.subject for found in cell.errors) == target.test.subjects
    assert all(np.isfinite(dataclasses.astuple(found)[1:]).all() for found in cell.errors)


def test_a_linear_filter_beats_the_raw_wave_and_the_mean(done):
  rmse = {line.method: line.rmse_mmhg for line in tables.summarise(done[2]) if line.n_target in (0, 2)}
  assert rmse["gtf_target"] < rmse["peripheral"]
  assert rmse["gtf_target"] < rmse["mean_wave"]


def test_a_leak_between_source_and_target_raises(done):
  target = done[0]
  leaky = studies.Source(target.labelled, target.validation)
  with pytest.raises(splits.LeakError, match="stand both in"):
    studies.split_of(leaky, target)
  with pytest.raises(splits.LeakError, match="stand both in"):
    next(studies.cells(SMALL, leaky, target, done[1]))


def test_larger_draws_hold_the_smaller_and_seeds_differ(done):
  target = done[0]
  assert set(target.draw(1, 0).subjects) < set(target.draw(2, 0).subjects)
  assert len({target.draw(1, seed).subjects for seed in range(10)}) > 1
  assert not set(target.labelled.subjects) & set(target.test.subjects)


def test_the_same_seeds_give_the_same_numbers(done):
  target, trained, cells = done
  made, _, _ = studies.adapt(SMALL, "feature_transfer", trained, target.draw(2, 0), 0)
  again = next(c for c in cells if (c.method, c.n_target) == ("feature_transfer", 2))
  from cap_jax.train import loop

  predicted = loop.predict(made.net, made.params, made.scaling, target.test.x_bt)
  np.testing.assert_array_equal(predicted, again.predicted_bt)


def test_rows_are_one_per_method_labels_seed_and_subject(done, tmp_path):
  path = tmp_path / "study.csv"
  studies.write_rows(path, SMALL, done[2])
  with open(path, encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  assert tuple(rows[0]) == studies.COLUMNS
  keys = [(r["scenario"], r["method"], r["n_target"], r["seed"], r["subject"]) for r in rows]
  assert len(keys) == len(set(keys)) == 4 * len(done[2])
  line = next(line for line in tables.summarise(done[2]) if line.method == "gtf_source")
  mine = [float(r["rmse_mmhg"]) for r in rows if r["method"] == "gtf_source"]
  assert np.mean(mine) == pytest.approx(line.rmse_mmhg, abs=1e-4)


def test_the_page_is_one_file_and_escapes_names(done, tmp_path):
  target, _, cells = done
  lines = tables.summarise(cells)
  shown = {c.method: c for c in cells if c.n_target == 2}
  drawn = [(figures.waves(target.test, shown, "scratch", "radial", 125.0), "<script>alert(1)</script>")]
  drawn.append((figures.few_shot(lines), "few-shot"))
  page.write(tmp_path / "report.html", "T", "in silico", drawn, lines, {"command": "a <b>"})
  text = (tmp_path / "report.html").read_text(encoding="utf-8")
  assert "<script" not in text
  assert "&lt;script&gt;" in text
  assert "a &lt;b&gt;" in text
  assert text.count("data:image/png;base64,") == 2
  assert "http" not in text.replace("<!doctype html>", "")  # nothing from outside
  assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_table_says_what_was_measured(done):
  lines = tables.summarise(done[2])
  text = tables.text(lines)
  for line in lines:
    assert any(
      row.startswith(tables.LABELS[line.method]) and f"{line.rmse_mmhg:.2f}" in row for row in text.splitlines()
    )


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"scenario": "mars"}, "scenario=mars: unknown; choose one of population"),
    ({"n_target": (1, 99)}, "must be 1 to 3 labelled subjects"),
    ({"n_target": (0,)}, "must be 1 to 3"),
    ({"seeds": ()}, "needs one value at least"),
    ({"seeds": (1, 1)}, "names a value twice"),
    ({"seeds": ("a",)}, "must be whole numbers"),
    ({"model": config.Model(patch=7)}, "not a whole number of patches of 7"),
    ({"model": config.Model(cosines=21)}, "must be 1 to 20, two patches"),
    ({"windows": config.Windows(margin_s=2.0)}, "more than its two margins"),
    ({"source_seconds": 8.003}, "must be a whole number of samples at 125 Hz"),
    ({"transfer": config.Training(batch=0)}, "batch and rate must be positive"),
    ({"test_subjects": 0}, "test_subjects=0: must be 1 or more"),
    ({"target_seconds": 2.0}, "target_seconds=2.0: must be 4 or more"),
    ({"site": "ppg"}, "must be a peripheral pressure"),
    ({"scratch": config.Training(steps=70)}, "scratch.steps=70: must be a positive multiple of 50"),
  ],
)
def test_impossible_studies_are_refused(change, message):
  with pytest.raises(InputError, match=message):
    studies.check(dataclasses.replace(SMALL, **change))
