"""The named cases: each config loads, and its docstring says what its command prints."""

import importlib
import pathlib
import re
import shlex

import pytest

from cap_jax.cli import study_flags
from cap_jax.strategies import STRATEGIES, find
from cap_jax.study import methods, study_config, study_grid
from tests.experiments.commands import ROOT, run

MODULES = {
  path.stem: f"{folder.replace('/', '.')}.{path.stem}"
  for folder in ("experiments/configs", "cap_jax/cli/configs")
  for path in (ROOT / folder).glob("[!_]*.py")
}
NAMES = sorted(MODULES)
STUDIES = (
  "compare", "default", "headline", "in_distribution", "no_harm", "paper", "physics", "pretrained", "real_waves", "rig"
)  # fmt: skip
FROM_PPG = ("fine_tuning", "parameter_transfer", "multi_task")
CASES = [name for name in NAMES if name not in STUDIES]


def study_of(name):
  output = importlib.import_module(MODULES[name]).get_config()
  return study_flags.from_config_dict(study_config.Study, output)


@pytest.mark.quick
def test_there_is_a_case_for_each_strategy_and_one_for_a_combination():
  assert set(CASES) == {
    "feature_transfer", "fine_tuning", "parameter_transfer", "domain_adaptation", "multi_task", "combination"
  }  # fmt: skip
  for name in CASES:
    assert study_of(name).strategies[0].partition("/")[0] == name


@pytest.mark.quick
@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_a_study_that_can_be(name):
  assert isinstance(study_of(name), study_config.Study)
  text = importlib.import_module(MODULES[name]).__doc__
  assert re.search(r"^Command: python -m experiments\.\w+", text, re.MULTILINE)
  assert re.search(r"^Expected: ", text, re.MULTILINE)
  assert re.search(r"^Time: ", text, re.MULTILINE)


@pytest.mark.quick
def test_the_cases_are_what_their_docstrings_say():
  assert study_of("feature_transfer").model.extractor == "cnn"
  feature = study_of("feature_transfer")
  assert feature.target_model != feature.model
  for name in FROM_PPG:  # a pressure at the arm is no news to a network that reads one
    study = study_of(name)
    assert study.site == "digital_ppg"
    assert study.source == "reference"
    assert study.source_subjects >= 2000
    assert "scratch" in study.strategies
    assert len(study.seeds) == 5
    assert {5, 20, 80} <= set(study.n_target)
    assert study_grid.unused(study) == []
  assert study_of("fine_tuning").task == "bp"
  parameter = study_of("parameter_transfer")
  assert parameter.task == "monitoring"
  assert parameter.model.extractor == "lstm"
  assert parameter.target_model.extractor == "cnn_bilstm"
  assert parameter.custom["parameter_transfer"]["init_from_source"][-1] == "f/lstm_0"
  adapted = study_of("domain_adaptation")
  assert adapted.source == "icu"
  assert set(adapted.model.covariates) == {"age", "hr_bpm", "cuff_sbp_mmhg", "cuff_dbp_mmhg"}
  assert not find(adapted.strategies[0], adapted.custom[adapted.strategies[0]]).needs_labels
  assert study_of("multi_task").task == "bp"


@pytest.mark.quick
def test_the_papers_study_has_every_baseline_and_every_kind_of_transfer():
  study = study_of("paper")
  assert set(study.baselines) == set(methods.BASELINES)
  assert {name.partition("/")[0] for name in study.strategies} == {name.partition("/")[0] for name in STRATEGIES}
  assert len(study.scenarios) >= 3
  assert len(study.seeds) >= 3
  assert min(study.n_target) == 0
  assert study_grid.unused(study) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_command_gives_what_the_docstring_says(name, tmp_path):
  """RMSE of the docstring, and that of scratch, within a tenth: the same seeds on another machine differ in the last bits only."""
  text = importlib.import_module(MODULES[name]).__doc__
  command = re.search(r"^Command: python -m experiments\.(\w+) (.*)$", text, re.MULTILINE)
  flags = [flag for flag in shlex.split(command.group(2)) if not flag.startswith("--workdir")]
  expected = float(re.search(r"^Expected: .*?(\d+\.\d+) mmHg", text, re.MULTILINE).group(1))
  done = run(command.group(1), *flags, f"--workdir={tmp_path / 'w'}", timeout=900)
  assert done.returncode == 0, done.stderr
  print(done.stdout)
  strategy = study_of(name).strategies[0]
  result = float(re.search(rf"^  {re.escape(strategy)} +(\d+\.\d+)$", done.stdout, re.MULTILINE).group(1))
  assert result == pytest.approx(expected, rel=0.1)
  scratch = re.search(r"the same network from\s+scratch\s+(\d+\.\d+)", text)
  if scratch:
    beside = float(re.search(r"^  the same network from scratch +(\d+\.\d+)$", done.stdout, re.MULTILINE).group(1))
    assert beside == pytest.approx(float(scratch.group(1)), rel=0.1)
  assert pathlib.Path(tmp_path, "w", "checkpoint", "config.json").is_file()
