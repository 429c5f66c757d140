"""What a study may be, and what can be trained, is checked before any data are drawn."""

import dataclasses

import pytest

from cap_jax import config
from cap_jax.losses import tasks
from cap_jax.study import methods, study_config, training
from cap_jax.types import InputError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"scenario": "mars"}, "scenario=mars: unknown; choose one of population"),
    ({"n_target": (1, 99)}, "must be 0 to 3 labelled subjects"),
    ({"n_target": (-1,)}, "must be 0 to 3"),
    ({"source": "mars"}, "source=mars: unknown; choose one of healthy"),
    ({"uncertainty_source": "mars"}, "uncertainty_source=mars: unknown"),
    ({"source": "clinics", "uncertainty_source": "bedside"}, "has other subjects than source=clinics"),
    ({"source": "patients", "uncertainty_source": "clinics_in_error"}, "has other subjects than source=patients"),
    ({"uncertainty_source": "wide"}, "uncertainty_source=wide: has other subjects than source=healthy"),
    ({"source": "wide", "uncertainty_source": "wide_exact", "source_data": "store"}, "leave one of them empty"),
    ({"task": "sing"}, "task=sing: unknown; choose one of waveform"),
    ({"strategies": ("magic",)}, "strategy 'magic' is unknown"),
    ({"custom": {"scratch": {"colour": 1}}}, "no field 'colour'"),
    (
      {"strategies": ("fine_tuning/gradual",)},
      "steps=50: fine_tuning/gradual has 4 stages and needs at least 200 steps",
    ),
    ({"target_model": config.Model(extractor="cnn", layers=1)}, "target_model: 1 layers are too few"),
    ({"seeds": ()}, "needs at least one value"),
    ({"seeds": (1, 1)}, "contains a duplicate value"),
    ({"strategies": ("scratch", "scratch")}, "contains a duplicate value"),
    ({"seeds": ("a",)}, "must be whole numbers"),
    ({"model": config.Model(patch=7)}, "not a whole number of patches of 7"),
    ({"source_seconds": 8.003}, "must be a whole number of samples at 125 Hz"),
    ({"batch": 1}, "each must be 2 or more"),
    ({"test_subjects": 0}, "test_subjects=0: must be 1 or more"),
    ({"target_seconds": 2.0}, "target_seconds=2.0: must be at least 4 s"),
    ({"site": "aortic_root"}, "must be a peripheral wave"),
    (
      {"site": "digital_ppg", "scenarios": ("population", "site")},
      "scenario=site: measures a pressure at brachial, but the source network reads a PPG without a unit",
    ),
    ({"steps": 70}, "steps=70: must be a positive multiple of 50"),
    ({"strategies": (), "baselines": ()}, "needs at least one value"),
    ({"scenarios": ("mars",)}, "scenarios=mars: unknown; choose one of population"),
    ({"scenarios": ("device", "device")}, "contains a duplicate value"),
    ({"folds": -1}, "folds=-1: must be 1"),
    ({"rate_factors": (0.0, 1.0)}, "must be positive, with at least one value"),
    ({"step_factors": (-1.0,)}, "step_factors=.*must be positive, with at least one value"),
    (
      {"model": config.Model(covariates=("age", "reflection"))},
      "'reflection' is not a covariate of the subjects; choose from age",
    ),
    ({"model": config.Model(extractor="cnn_bilstm", channels=10)}, "channels=10: must be a multiple of 4"),
  ],
)
def test_impossible_studies_are_refused(small_study, change, message):
  with pytest.raises(InputError, match=message):
    dataclasses.replace(small_study, **change)


@pytest.mark.parametrize(
  ("kind", "values", "message"),
  [
    (config.Model, {"adaptor": "fir", "taps": 4}, "taps=4 must be odd"),
    (config.Model, {"cosines": 21}, r"Model\.cosines=21: must be 1 to 20, twice the patch"),
    (config.Model, {"channels": 1 << 20}, r"Model\.channels=1048576: must be a whole number, at most 16384"),
    (config.Windows, {"margin_s": 2.0}, "longer than two margins"),
    (config.Windows, {"fs_hz": float("nan")}, "needs at least 60 Hz"),
    (config.Training, {"steps": 75}, r"Training\.steps=75: must be a positive multiple of 50"),
    (config.Training, {"learning_rate": 0.0}, "learning_rate and clip must be positive"),
    (config.Training, {"steps": 10**30}, r"Training\.steps=10{30}: must be at most 1000000000"),
    (config.Training, {"seed": 10**30}, r"Training\.seed=10{30}: must be a whole number from 0 to 4294967295"),
    (config.Training, {"batch": 1 << 17}, r"Training\.batch=131072: must be a whole number from 1 to 65536"),
    (config.Calibration, {"seed": 10**30}, r"Calibration\.seed=10{30}: must be a whole number"),
    (study_config.Study, {"seeds": (0, 10**30)}, "seeds=10{30}: must be a whole number"),
    (study_config.Study, {"cohort_seed": 2**31}, "cohort_seed=2147483648: must be a whole number"),
    (config.Calibration, {"sbp_sd_mmhg": -1.0}, r"Calibration\.sbp_sd_mmhg=-1\.0: must be at most 50 mmHg"),
    (study_config.Study, {"steps": 75}, "steps=75: must be a positive multiple of 50"),
  ],
)
def test_a_value_that_cannot_be_is_refused_where_it_is_made(kind, values, message):
  with pytest.raises(InputError, match=message):
    kind(**values)


def test_an_unknown_baseline_is_refused(small_study):
  with pytest.raises(InputError, match="baselines=oracle: unknown; choose one of peripheral"):
    methods.method(dataclasses.replace(small_study, baselines=("oracle",)), "oracle")


@pytest.mark.parametrize(
  ("change", "name", "message"),
  [
    ({"custom": {"scratch": {"stages": [[["f", "r"]]]}}}, "scratch", "strategy scratch: the whole network is frozen"),
    (
      {"model": config.Model(extractor="cnn", layers=4)},
      "parameter_transfer",
      "strategy parameter_transfer: rule 'f/e",
    ),
    ({"task": "bp"}, "domain_adaptation", "was trained for bp; transfer only other parts"),
    ({"task": "site"}, "fine_tuning/surgical", "the head was trained for site and stays frozen"),
    (
      {"custom": {"parameter_transfer": {"loss": [["mmd", 1.0]]}}},
      "parameter_transfer",
      "no loss trains the fresh head",
    ),
    (
      {"custom": {"domain_adaptation/dann": {"stages": [[["f", "r"]]]}}},
      "domain_adaptation/dann",
      "the whole network is frozen",
    ),
    (
      {"target_model": config.Model(covariates=("age",)), "custom": {"multi_task": {"init_from_source": ["f/embed"]}}},
      "multi_task",
      "it keeps the scaling of the source network, which does not read age",
    ),
    ({"custom": {"fine_tuning/low_rank": {"low_rank": 99}}}, "fine_tuning/low_rank", "choose a lower rank"),
  ],
)
def test_what_cannot_be_trained_is_refused_before_any_data_are_drawn(small_study, change, name, message):
  study = dataclasses.replace(small_study, **change)
  source_model = tasks.TASKS[study.task].model(study.model)
  if not study.target_model.covariates:
    training.check(study, "multi_task/fresh", source_model)  # others of the same study can be
  with pytest.raises(InputError, match=message):
    training.check(study, name, source_model)
