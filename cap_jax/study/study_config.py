"""Configuration of a study, validated when it is constructed."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from cap_jax import clinics, config
from cap_jax.data import signal_names
from cap_jax.data.sources import virtual
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.signals import calibration as scales
from cap_jax.strategies import find
from cap_jax.train import checks, optimizer, runs, strategy_selection
from cap_jax.types import InputError, suggest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """A comparison of transfer methods from a large source clinic to a target clinic with few labelled subjects.

  Attributes:
    source: source clinic, name in `clinics.SOURCES`, or many simulated ones, name in `clinics.MIXTURES`.
    uncertainty_source: clinic of the same subjects with other devices, from which the source network's intervals and its detector
      learn; the source itself if empty.
    source_network: "train" trains the source network, "radial" is one of the package, anything else is the folder of a
      checkpoint.
    source_data, target_data: folder of a prepared store, used instead of the virtual clinic.
    task: what the source network learns, name in `tasks.TASKS`.
    scenario: target clinic, name in `clinics.SCENARIOS`.
    scenarios: target clinics of a whole study; `scenario` alone if empty.
    target_split: file of a split of the target's store, instead of its own.
    test_part: part of that split that is tested.
    site: peripheral site.
    reference: wave that is reconstructed, by default that of the aortic root.
    n_target: numbers of labelled target subjects; 0 means no labels.
    seeds: each draws its own labelled subjects and initial parameters.
    strategies: names in `strategies.STRATEGIES`, compared at every n_target that they can use.
    baselines: names in `methods.BASELINES`, compared with the strategies.
    folds: 1: one draw of test subjects. 2 or more: each labelled, validation or test subject is tested in one of so many folds.
      0: leave one subject out.
    leave_out: covariate of the target's store whose values are left out one after another, such as "state": all subjects with the value
      are tested, and the others are labelled or for validation. "state:1" leaves out one value.
    rate_factors: factors on the learning rate of methods that are trained on the target. If there are several, validation subjects
      choose one at the first seed, for each method, clinic and n_target.
    step_factors: factors on the steps of methods that train from scratch on labelled subjects only, chosen in the same way. Such
      trainings need other lengths than those from a source network.
    source_subjects: size of the source cohort, without `validation_subjects`.
    labelled_subjects: size of the pool from which labelled subjects are drawn, at least the largest `n_target`.
    unlabelled_subjects: target subjects whose peripheral waves alone are used; of a store, the largest number of them.
    validation_subjects: subjects of source and of target for the choice of hyperparameters; a store has its own.
    test_subjects: test subjects of the target; a store has its own.
    source_seconds, target_seconds: seconds of record per subject; a store has its own.
    model, target_model: networks of source and target. If the target's extractor is empty, it is the source's model.
    windows: windows of source and target.
    pretrain: training of the source network.
    steps: training steps of every strategy, a multiple of 50. Learning rates belong to the strategy.
    batch: windows of each stream in a step of a strategy.
    cohort_seed: seed of the virtual cohorts, the splits and the folds.
    calibration: calibration of the peripheral waves of source and target.
    custom: strategy → field → value, fields of `strategies.strategy.Strategy` that this study changes.
  """

  source: str = "healthy"
  uncertainty_source: str = ""
  source_network: str = "train"
  task: str = "waveform"
  scenario: str = "device_population"
  scenarios: tuple[str, ...] = ()
  source_data: str = ""
  target_data: str = ""
  target_split: str = ""
  test_part: str = "test"
  site: str = "radial"
  reference: str = "aortic_root"
  n_target: tuple[int, ...] = (0, 1, 5, 20)
  seeds: tuple[int, ...] = (0,)
  strategies: tuple[str, ...] = (
    "scratch",
    "feature_transfer",
    "fine_tuning",
    "parameter_transfer",
    "domain_adaptation",
    "domain_adaptation/section",
    "multi_task",
  )
  baselines: tuple[str, ...] = (
    "peripheral",
    "npma",
    "mean_wave_target",
    "gtf_source",
    "gtf_target",
    "individual_tf_source",
    "source",
    "source_affine",
  )
  folds: int = 1
  leave_out: str = ""
  rate_factors: tuple[float, ...] = (1.0,)
  step_factors: tuple[float, ...] = (1.0,)
  source_subjects: int = 1200
  source_seconds: float = 16.0
  labelled_subjects: int = 40
  unlabelled_subjects: int = 100
  validation_subjects: int = 16
  test_subjects: int = 60
  target_seconds: float = 60.0
  model: config.Model = config.Model()
  target_model: config.Model = config.Model(extractor="")
  windows: config.Windows = config.Windows()
  pretrain: config.Training = config.Training(learning_rate=2e-2)
  steps: int = runs.Budget.steps
  batch: int = runs.Budget.batch
  cohort_seed: int = 2024
  calibration: config.Calibration = config.Calibration()
  custom: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

  @property
  def signals(self) -> config.Signals:
    """Input and output of the source network."""
    return config.Signals(self.site, self.reference, self.windows, self.calibration)

  def budget(self, seed: int) -> runs.Budget:
    """Returns the budget of a strategy at one seed."""
    return runs.Budget(self.steps, self.batch, seed)

  @property
  def target_name(self) -> str:
    """Name of the target in tables and files: its scenario, or the name of its store."""
    if not self.target_data:
      return self.scenario
    name = os.path.basename(os.path.normpath(self.target_data))
    return f"{name}_{self.leave_out.replace(':', '_')}" if self.leave_out else name

  @property
  def model_of_target(self) -> config.Model:
    """Model of the target: its own, or the source's with a head for the wave."""
    return self.target_model if self.target_model.extractor else checks.wave_model(self.model)

  def __post_init__(self) -> None:
    """Validates all fields.

    Raises:
      InputError: a value is invalid, or values contradict each other.
    """
    sources = {**clinics.SOURCES, **clinics.MIXTURES}
    for field, registry in (("scenario", clinics.SCENARIOS), ("source", sources), ("task", tasks.TASKS)):
      if getattr(self, field) not in registry:
        raise InputError(f"{field}={getattr(self, field)}: unknown; {suggest(getattr(self, field), registry)}")
    _check_uncertainty_source(self)
    _check_sites(self)
    _check_sizes(self)
    _check_grid(self)
    _check_training(self)
    _check_models(self)


def _people(source: str) -> object:
  """Returns what decides which people a source draws."""
  mixture = clinics.MIXTURES.get(source)
  return clinics.SOURCES[source].population if mixture is None else mixture.people


def _check_uncertainty_source(study: Study) -> None:
  name, sources = study.uncertainty_source, {**clinics.SOURCES, **clinics.MIXTURES}
  if not name:
    return
  if name not in sources:
    raise InputError(f"uncertainty_source={name}: unknown; {suggest(name, sources)}")
  if study.source_data:
    raise InputError(
      f"uncertainty_source={name}: a virtual clinic, but the source is source_data={study.source_data}; leave one of them empty"
    )
  if _people(name) != _people(study.source):
    raise InputError(
      f"uncertainty_source={name}: has other subjects than source={study.source}; choose a clinic of the same population"
    )


def _check_sites(study: Study) -> None:
  scales.check(study.calibration)
  signal_names.check_input_site(study.site)
  for name in (study.scenario, *study.scenarios) if study.signals.unitless and not study.target_data else ():
    site = clinics.SCENARIOS[name].site if name in clinics.SCENARIOS else None
    if site not in (None, signal_names.PPG):
      raise InputError(
        f"scenario={name}: measures a pressure at {site}, but the source network reads a PPG without a unit; choose another clinic"
      )
  signal_names.check_site(study.reference, "--config.reference")
  if study.reference in (study.site, signal_names.PPG):
    raise InputError(f"reference={study.reference}: must be a pressure at a site other than {study.site}")


def _check_sizes(study: Study) -> None:
  for name in ("source_subjects", "labelled_subjects", "unlabelled_subjects", "validation_subjects", "test_subjects"):
    least = 2 if name in ("source_subjects", "unlabelled_subjects") else 1  # two, so that domains can be discriminated
    if getattr(study, name) < least:
      raise InputError(f"{name}={getattr(study, name)}: must be {least} or more")
  spec = study.windows
  for name in ("source_seconds", "target_seconds"):
    seconds = getattr(study, name)
    if seconds < spec.seconds:
      raise InputError(f"{name}={seconds}: must be at least {spec.seconds:g} s, one window")
    if abs(seconds * spec.fs_hz - round(seconds * spec.fs_hz)) > 1e-6:
      raise InputError(f"{name}={seconds}: must be a whole number of samples at {spec.fs_hz:g} Hz")
  shortest_s = spec.seconds + 2 * clinics.EDGE_S
  if study.source in clinics.MIXTURES and not study.source_data and study.source_seconds < shortest_s:
    raise InputError(
      f"source_seconds={study.source_seconds}: source={study.source} needs at least {shortest_s:g} s, a window and both ends"
    )


def _check_grid(study: Study) -> None:
  if not study.n_target or not study.seeds or not (study.strategies or study.baselines):
    raise InputError("n_target, seeds, and strategies or baselines: each needs at least one value, such as 5,")
  for name in ("n_target", "seeds", "strategies", "baselines", "scenarios", "rate_factors", "step_factors"):
    values = getattr(study, name)
    if name in ("n_target", "seeds") and not all(isinstance(value, int) for value in values):
      raise InputError(f"{name}={values}: must be whole numbers, such as 1,5,20")
    if len(set(values)) != len(values):
      raise InputError(f"{name}={values}: contains a duplicate value; remove it")
  for value in study.scenarios:
    if value not in clinics.SCENARIOS:
      raise InputError(f"scenarios={value}: unknown; {suggest(value, clinics.SCENARIOS)}")
  if study.scenarios and study.target_data:
    raise InputError(
      f"scenarios={study.scenarios}: are virtual; leave scenarios empty with target_data={study.target_data}"
    )
  if not isinstance(study.folds, int) or study.folds < 0:
    raise InputError(
      f"folds={study.folds}: must be 1 (a single split), a number of folds, or 0 (leave-one-subject-out)"
    )
  if study.leave_out and (not study.target_data or study.folds != 1):
    raise InputError(f"leave_out={study.leave_out}: needs a store, target_data, and folds=1")
  for name in ("rate_factors", "step_factors"):
    if not getattr(study, name) or min(getattr(study, name)) <= 0:
      raise InputError(f"{name}={getattr(study, name)}: must be positive, with at least one value")
  for seed in study.seeds:
    config.check_whole("seeds", seed, 0, config.LARGEST_SEED)
  config.check_whole("cohort_seed", study.cohort_seed, 0, 2**31 - 1)
  drawn = not study.target_data and study.folds == 1  # stores and folds have their own pools of labelled subjects
  if min(study.n_target) < 0 and not drawn:
    raise InputError(f"n_target={study.n_target}: must be 0 or more")
  if min(study.n_target) < 0 or (drawn and max(study.n_target) > study.labelled_subjects):
    raise InputError(f"n_target={study.n_target}: must be 0 to {study.labelled_subjects} labelled subjects")


def _check_training(study: Study) -> None:
  config.check_steps("steps", study.steps)
  if min(study.batch, study.pretrain.batch) < 2:
    raise InputError(f"batch={study.batch}, pretrain.batch={study.pretrain.batch}: each must be 2 or more")
  try:
    optimizer.check(study.pretrain.optimizer)
  except InputError as error:
    raise InputError(f"pretrain: {error}") from error
  for name in strategy_selection.expanded((*study.strategies, *study.custom)):
    strategy = find(name, study.custom.get(name))
    try:
      optimizer.check(strategy.optimizer)
    except InputError as error:
      raise InputError(f"strategy {name}: {error}") from error
    needed = config.CHUNK * len(strategy.stages)
    if study.steps < needed:
      raise InputError(
        f"steps={study.steps}: {name}{', which auto tries,' * (name not in study.strategies)} has {len(strategy.stages)} stages and needs at "
        f"least {needed} steps"
      )


def _check_models(study: Study) -> None:
  for field, model in (("model", study.model), ("target_model", study.model_of_target)):
    for name in model.covariates:
      if name not in virtual.COVARIATES:
        raise InputError(
          f"{field}.covariates: {name!r} is not a covariate of the subjects; choose from {', '.join(virtual.COVARIATES)}"
        )
    try:
      nets.check(model, study.windows)
    except InputError as error:
      raise InputError(f"{field}: {error}") from error
