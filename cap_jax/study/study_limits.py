"""What the values of a study may be."""

from cap_jax import clinics, config
from cap_jax.data import recordings, store
from cap_jax.data.sources import virtual
from cap_jax.losses import tasks
from cap_jax.models import limits
from cap_jax.signals import calibration as scales
from cap_jax.strategies import find
from cap_jax.study import methods, training
from cap_jax.train import loop, optimizer, strategy_selection
from cap_jax.types import InputError


def check(study: config.Study) -> None:
  """Raises:
  InputError: a value of the study cannot be."""
  for field, known in (("scenario", clinics.SCENARIOS), ("source", clinics.SOURCES), ("task", tasks.TASKS)):
    if getattr(study, field) not in known:
      raise InputError(f"{field}={getattr(study, field)}: unknown; choose one of {', '.join(known)}")
  _check_waves(study)
  for name in ("source_subjects", "labelled_subjects", "unlabelled_subjects", "validation_subjects", "test_subjects"):
    least = 2 if name in ("source_subjects", "unlabelled_subjects") else 1  # two, so that domains can be told apart
    if getattr(study, name) < least:
      raise InputError(f"{name}={getattr(study, name)}: must be {least} or more")
  for name in ("source_seconds", "target_seconds"):
    if getattr(study, name) < study.windows.seconds:
      raise InputError(f"{name}={getattr(study, name)}: must be {study.windows.seconds:g} or more, one window")
  _check_grid(study)
  if study.cohort_seed < 0 or min(study.seeds) < 0:
    raise InputError(f"seeds={study.seeds}, cohort_seed={study.cohort_seed}: must be 0 or more")
  if study.cohort_seed >= 2**31:
    raise InputError(f"cohort_seed={study.cohort_seed}: must be less than {2**31}")
  if min(study.n_target) < 0 or (max(study.n_target) > study.labelled_subjects and not study.target_data):
    raise InputError(f"n_target={study.n_target}: must be 0 to {study.labelled_subjects} labelled subjects")
  for path in (study.source_data, study.target_data):
    if path:
      store.open_store(path)
  for name, steps in (("pretrain.steps", study.pretrain.steps), ("steps", study.steps)):
    if steps < loop.CHUNK or steps % loop.CHUNK:
      raise InputError(f"{name}={steps}: must be a positive multiple of {loop.CHUNK}")
  spec = study.pretrain
  if min(spec.batch, study.batch) < 2 or spec.learning_rate <= 0 or spec.weight_decay < 0 or not 0 < spec.warmup < 1:
    raise InputError(
      f"batch={study.batch}, pretrain={spec}: a batch of 2 or more, a positive rate, a decay of 0 or more, a warmup "
      "between 0 and 1"
    )
  if spec.optimizer not in optimizer.OPTIMIZERS:
    raise InputError(f"pretrain.optimizer={spec.optimizer}: unknown; choose of {', '.join(optimizer.OPTIMIZERS)}")
  _check_windows(study)
  _check_model("model", study.model, study.windows)
  _check_model("target_model", training.target_model(study), study.windows)
  named = dict.fromkeys((*study.strategies, *study.custom))
  for name in strategy_selection.expanded(named):
    strategy = find(name, study.custom.get(name))
    if strategy.optimizer not in optimizer.OPTIMIZERS:
      raise InputError(
        f"strategy {name}: optimizer {strategy.optimizer!r} is unknown; choose of {', '.join(optimizer.OPTIMIZERS)}"
      )
    if study.steps < loop.CHUNK * len(strategy.stages):
      needed = loop.CHUNK * len(strategy.stages)
      raise InputError(f"steps={study.steps}: {name} has {len(strategy.stages)} stages and needs {needed} at least")


def _check_grid(study: config.Study) -> None:
  if not study.n_target or not study.seeds or not (study.strategies or study.baselines):
    raise InputError("n_target, seeds and strategies or baselines: each needs one value at least, such as 5,")
  for name in ("n_target", "seeds", "strategies", "baselines", "scenarios", "rate_factors", "step_factors"):
    values = getattr(study, name)
    if name in ("n_target", "seeds") and not all(isinstance(value, int) for value in values):
      raise InputError(f"{name}={values}: must be whole numbers, such as 1,5,20")
    if len(set(values)) != len(values):
      raise InputError(f"{name}={values}: names a value twice")
  for name, known in (("scenarios", tuple(clinics.SCENARIOS)), ("baselines", tuple(methods.BASELINES))):
    for value in getattr(study, name):
      if value not in known:
        raise InputError(f"{name}={value}: unknown; choose of {', '.join(known)}")
  if study.scenarios and study.target_data:
    raise InputError(f"scenarios={study.scenarios}: are virtual; with target_data={study.target_data} leave them empty")
  if not isinstance(study.folds, int) or study.folds < 0:
    raise InputError(f"folds={study.folds}: must be 1 (one draw), a number of folds, or 0 to leave one subject out")
  for name in ("rate_factors", "step_factors"):
    if not getattr(study, name) or min(getattr(study, name)) <= 0:
      raise InputError(f"{name}={getattr(study, name)}: must be positive, one at least")


def _check_waves(study: config.Study) -> None:
  scales.check(study.calibration)
  if study.site != recordings.PPG or study.calibration.kind == "none":
    recordings.check_pressure_site(study.site)
  recordings.check_site(study.reference, "--config.reference")
  if study.reference in (study.site, recordings.PPG):
    raise InputError(f"reference={study.reference}: must be a pressure at another site than {study.site}")
  drawn = set() if study.source_data and study.target_data else {study.site, study.reference} - set(virtual.SITES)
  if drawn:
    raise InputError(f"{', '.join(sorted(drawn))}: no site of the virtual cohort; it has {', '.join(virtual.SITES)}")


def _check_windows(study: config.Study) -> None:
  spec = study.windows
  limits.check_windows(spec)
  for name in ("source_seconds", "target_seconds"):
    samples = getattr(study, name) * spec.fs_hz
    if abs(samples - round(samples)) > 1e-6:
      raise InputError(f"{name}={getattr(study, name)}: must be a whole number of samples at {spec.fs_hz:g} Hz")


def _check_model(field: str, model: config.Model, spec: config.Windows) -> None:
  for name in model.covariates:
    if name not in virtual.COVARIATES:
      raise InputError(
        f"{field}.covariates: {name!r} is not known of a subject; choose of {', '.join(virtual.COVARIATES)}"
      )
  limits.check_model(field, model, spec)
