"""The methods paragraph: every number of it is that of the study."""

import dataclasses
import re

import numpy as np
import pytest

import cap_jax
from cap_jax import config
from cap_jax.data import batches
from cap_jax.report import methods_text, study_report
from cap_jax.strategies import STRATEGIES
from cap_jax.study import own_data, summary
from cap_jax.study import run_study as studies
from cap_jax.train import checkpoint


@pytest.fixture(scope="module")
def clinic(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  return study_report.open_clinics(small_study, str(done_study), rows)[0]


@pytest.fixture(scope="module")
def network(done_study):
  return checkpoint.load(done_study / "checkpoint")


def size(network):
  return sum(np.size(leaf) for block in network.params.values() for leaf in _leaves(block))


def _leaves(block):
  return [leaf for value in block.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]


def test_the_numbers_are_those_of_the_study(clinic, network, small_study):
  text = methods_text.of_study(clinic, network)
  assert text.startswith(
    "In silico: all subjects are virtual. Errors were measured on 4 test subjects (8 windows of 4 s at 125 Hz without "
  )
  for phrase in (
    "target clinic “device”", "The input was the radial pressure, the reference the aortic root pressure.",
    "no subject was in two groups", "The clinic had 3 labelled, 3 unlabelled and 2 validation subjects besides.",
    "Of the labelled subjects, 1 and 2 were used, in 1 random draw;",
    f"The source network (token_cnn, {size(network):,} parameters) was trained on 24 subjects of the source “healthy” in 100 steps.",
    f"The method fixed before the results was fine-tuning ({STRATEGIES['fine_tuning'].equation}), with 2 labelled subjects.",
    "It was compared with 11 other methods on the same subjects: peripheral wave unchanged;",
    f"Each training on the target had {small_study.steps} steps of {small_study.batch} windows.",
    "without the outer 0.25 s of each window, and averaged over subjects, with 95 %", "(2,000 resamples; Efron 1987)",
    f"Software: cap_jax {cap_jax.__version__}, jax ",
  ):  # fmt: skip
    assert phrase in text, phrase
  assert "Wilcoxon" not in text  # four subjects have no p
  tested = dataclasses.replace(clinic, summaries=[dataclasses.replace(one, p=0.5) for one in clinic.summaries])
  assert "tested by Wilcoxon's signed-rank test, with p adjusted by Holm's method." in methods_text.of_study(
    tested, network
  )


def test_another_study_has_other_numbers(clinic):
  """A wrong number would be that of the first study."""
  study = dataclasses.replace(
    clinic.study, n_target=(0, 2), seeds=(0, 1), steps=100, batch=7, rate_factors=(0.3, 1.0, 3.0), site="brachial",
    windows=config.Windows(seconds=8.0, margin_s=0.5), calibration=config.Calibration(kind="map_dbp"),
    custom={"fine_tuning": {"learning_rate": 1e-4}},
  )  # fmt: skip
  rows = clinic.rows[clinic.rows["subject"] != clinic.rows["subject"].iloc[0]]
  lone = [
    dataclasses.replace(one, p=float("nan")) for one in clinic.summaries if one.method in ("fine_tuning", "source")
  ]
  text = methods_text.of_study(dataclasses.replace(clinic, study=study, rows=rows, groups={}, summaries=lone), None)
  for phrase in (
    "Errors were measured on 3 test subjects of the", "The input was the brachial pressure, calibrated (map_dbp), the reference",
    "Of the labelled subjects, 2 were used, in 2 random draws", "; changed from its defaults: learning_rate), with 2 labelled subjects",
    "compared with 1 other method on the same subjects: source network unchanged.",
    "had 100 steps of 7 windows at 3 learning rates, of which validation subjects chose one with the first draw.",
    "without the outer 0.5 s of each window, and averaged over draws and then over subjects",
  ):  # fmt: skip
    assert phrase in text, phrase
  assert "The clinic had" not in text
  assert "source network (" not in text
  assert "Wilcoxon" not in text


def test_folds_and_values_left_out_are_said(clinic):
  rows = clinic.rows.assign(fold=np.arange(len(clinic.rows)) % 4)
  study = dataclasses.replace(clinic.study, folds=4)
  text = methods_text.of_study(dataclasses.replace(clinic, study=study, rows=rows), None)
  assert "Each subject was tested once, in one of 4 folds." in text
  assert " windows of 4 s" not in text  # those of one fold are not those of all
  assert "besides" not in text


@pytest.mark.parametrize(
  ("reason", "used"),
  [
    ("cross-validation over 2 labelled subjects in 2 folds: scratch 1.2; uses scratch", "network from scratch"),
    ("two; uses feature_transfer blended with 40 % of the target's own transfer function", "feature transfer"),
    (
      "x: fine_tuning/lp_ft 1.23; uses fine_tuning/lp_ft (another must be better by 10 % and by a standard error)",
      "fine-tuning: LP-FT",
    ),
  ],
)
def test_what_auto_used_is_named_with_its_equation(clinic, reason, used):
  own = next(one for one in clinic.summaries if one.method == "fine_tuning" and one.n_target == 2)
  cell = next(one for one in clinic.first if one.key.method == "fine_tuning")
  cell = dataclasses.replace(cell, key=dataclasses.replace(cell.key, method="auto"), reason=reason)
  here = dataclasses.replace(
    clinic, summaries=[dataclasses.replace(own, method="auto", steps=30)], first=[cell], waves={"auto": {}},
    study=dataclasses.replace(clinic.study, strategies=("auto",), steps=100),
  )  # fmt: skip
  text = methods_text.of_study(here, None)
  assert f"auto, which chooses a strategy without test labels; with 2 labelled subjects it used {used} (" in text
  assert STRATEGIES[re.search(r"uses ([\w/]+)", reason)[1]].equation in text
  assert ("blended with 40 %" in text) == ("blended" in reason)
  assert "The method itself took 30 steps." in text


def user_windows(paired):
  x = np.full((5, 500), 90.0)
  pairs = batches.Pairs(x, x, np.array(["A", "A", "B", "B", "C"]), {}, ("radial", "aortic_root"))
  return own_data.UserWindows(pairs.of(["A", "B"]) if paired else None, pairs.unlabelled(), ())


def test_an_evaluation_is_described_by_its_own_data_and_network(network):
  text = methods_text.of_evaluation(network, user_windows(paired=True), "the data set “mine” (csv, real records)")
  assert text.startswith(
    "The waves of 3 subjects of the data set “mine” (csv, real records) were reconstructed in 5 windows of 4 s at 125 Hz without overlap. "
  )
  assert f"({size(network):,} parameters)".strip("()") in text
  assert "was trained on 24 subjects of the source “healthy” in 100 steps." in text
  assert (
    "Errors were measured on 2 subjects with a measured reference (4 windows of 4 s at 125 Hz without overlap)." in text
  )
  assert "bootstrap" not in text  # two subjects have no interval
  assert "labelled" not in text
  about = {
    "strategy": "fine_tuning",
    "n_target": 5,
    "steps": 350,
    "history": network.about,
    "changes": {"learning_rate": 1e-4},
  }
  text = methods_text.of_evaluation(dataclasses.replace(network, about=about), user_windows(paired=False), "mine")
  assert "was trained on 24 subjects of the source “healthy” in 100 steps. It was adapted by fine-tuning (" in text
  assert "; changed from its defaults: learning_rate) with 5 labelled subjects in 350 steps." in text
  assert "RMSE" not in text
  assert "reference" not in text
