"""What all experiments share: configs from flags, a given source, covariates."""

import dataclasses
import types

import pytest
from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import arguments, reconstruct, study_flags
from cap_jax.data import scalings
from cap_jax.study import study_config
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from tests import config_page

pytestmark = pytest.mark.quick


def test_a_study_goes_through_a_config_dict_unchanged():
  study = study_config.Study(n_target=(0, 3), custom={"scratch": {"learning_rate": 1e-3}})
  assert study_flags.from_config_dict(study_config.Study, study_flags.to_config_dict(study)) == study


@pytest.mark.parametrize("given", ["scratch,fine_tuning", ("scratch,fine_tuning",), ("scratch", "fine_tuning")])
def test_names_of_one_flag_are_parted_at_commas(given):
  result = study_flags.from_config_dict(study_config.Study, ConfigDict({"strategies": given, "seeds": (0, 1)}))
  assert result.strategies == ("scratch", "fine_tuning")
  assert result.seeds == (0, 1)


def trained(**about):
  scaling = scalings.Scaling(mean_mmhg=90.0, sd_mmhg=20.0)
  return checkpoint.Checkpoint(
    params={},
    model=config.Model(channels=8),
    scaling=scaling,
    task="waveform",
    about=about,
    signals=config.Signals(site="brachial"),
  )


def test_a_study_follows_its_source_network():
  study = study_flags.follow(study_config.Study(), trained(source="icu", history={"source": "healthy"}))
  assert (study.source, study.site, study.model.channels) == ("icu", "brachial", 8)
  assert dataclasses.replace(study, source="healthy", site="radial", model=config.Model()) == study_config.Study()


@pytest.mark.parametrize("about", [{}, {"source": {"source": "healthy"}}, {"source": "mars"}])
def test_a_source_of_an_unknown_clinic_is_refused(about):
  with pytest.raises(InputError, match=r"has the unknown source .*; pretrain a network on one of healthy"):
    study_flags.follow(study_config.Study(), trained(**about))


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ([], "the checkpoint reads age, hr_bpm; passed: none"),
    (["age=70"], "passed: age"),
    (["age=70", "hr_bpm=60", "height=1.8"], "passed: age, hr_bpm, height"),
    (["age=old", "hr_bpm=60"], "--covariates=age=old: must be NAME=NUMBER"),
    (["age=nan", "hr_bpm=60"], "--covariates=age=nan: must be NAME=NUMBER"),
    (["age=70", "age=30", "hr_bpm=60"], "--covariates=age=30: .* each name once"),
  ],
)
def test_covariates_are_those_that_the_network_takes(monkeypatch, given, message):
  monkeypatch.setattr(reconstruct, "_COVARIATES", types.SimpleNamespace(value=given))
  with pytest.raises(InputError, match=message):
    reconstruct._covariates(("age", "hr_bpm"), ())
  monkeypatch.setattr(reconstruct, "_COVARIATES", types.SimpleNamespace(value=["hr_bpm=60", "age=70"]))
  assert reconstruct._covariates(("age", "hr_bpm"), ()) == {"age": 70.0, "hr_bpm": 60.0}


def test_the_page_of_the_configuration_fields_is_up_to_date():
  assert config_page.PAGE.read_text(encoding="utf-8") == config_page.text(), "run python -m tests.config_page"


@pytest.mark.parametrize(
  ("word", "expected"),
  [
    ("--config.steps=1e3", "--config.steps=1000"),
    ("--steps=1.5e2", "--steps=150"),
    ("--rate=1e-3", "--rate=1e-3"),
    ("--config.steps=1.23e1", "--config.steps=1.23e1"),  # no whole number: refused where it is parsed
    ("--path=1e3", "--path=1e3"),
    ("--config.target_data=1e3", "--config.target_data=1e3"),
    ("--config.pretrain.steps=5e3", "--config.pretrain.steps=5000"),
    ("--config.custom.fine_tuning.learning_rate=1e-3", "--config.custom['fine_tuning'].learning_rate=1e-3"),
    ("--config.custom.multi_task/transducer.low_rank=4", "--config.custom['multi_task/transducer'].low_rank=4"),
    ("--config.custom['scratch'].optimizer=muon", "--config.custom['scratch'].optimizer=muon"),
    ("--workdir=runs/1e3", "--workdir=runs/1e3"),
  ],
)
def test_arguments_that_absl_cannot_parse_are_rewritten(word, expected):
  assert arguments.normalised(["program", word]) == ["program", expected]


def test_a_field_of_a_strategy_is_a_flag():
  """Each strategy has its own fields: one is changed, the others stay."""
  values = study_flags.to_config_dict(study_config.Study(custom={"scratch": {"learning_rate": 1e-3}}))
  values.custom["multi_task/transducer"].learning_rate = 4e-3
  values.custom["fine_tuning"].init_from_source = ("f,r",)
  study = study_flags.study_of(values)
  assert study.custom == {
    "scratch": {"learning_rate": 1e-3},
    "multi_task/transducer": {"learning_rate": 4e-3},
    "fine_tuning": {"init_from_source": ("f", "r")},
  }
