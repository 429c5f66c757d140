"""The study: every method on the same target clinic, the same labelled subjects, the same test subjects.

Cells are (method, n_target, seed). What needs no target label has n_target = 0 and one seed.
"""

import csv
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from cap_jax import clinics, config, files
from cap_jax.baselines import mean_wave, transfer_function
from cap_jax.data import batches, recordings, splits, virtual
from cap_jax.evaluation import errors
from cap_jax.models import net as nets
from cap_jax.train import checkpoint, loop
from cap_jax.transfer import STRATEGIES, scratch, surgery
from cap_jax.types import InputError

T = TypeVar("T")
COLUMNS = (
  "scenario",
  "method",
  "n_target",
  "seed",
  *(f.name for f in dataclasses.fields(errors.SubjectErrors)),
  "train_s",
)


@dataclasses.dataclass(frozen=True)
class Source:
  """The source cohort in windows: `training` and `validation` subjects."""

  training: batches.Pairs
  validation: batches.Pairs


@dataclasses.dataclass(frozen=True)
class Target:
  """The target clinic in windows: labelled, validation and test subjects."""

  labelled: batches.Pairs
  validation: batches.Pairs
  test: batches.Pairs

  def draw(self, n_target: int, seed: int) -> batches.Pairs:
    """The windows of `n_target` labelled subjects; a larger draw of one seed holds the smaller ones."""
    order = np.random.default_rng(seed).permutation(len(self.labelled.subjects))
    return self.labelled.of([self.labelled.subjects[k] for k in order[:n_target]])


@dataclasses.dataclass(frozen=True)
class Cell:
  """One method at one n_target and seed: its predictions of the test windows, errors and training time."""

  method: str
  n_target: int
  seed: int
  predicted_bt: np.ndarray
  errors: list[errors.SubjectErrors]
  train_s: float


def check(study: config.Study) -> None:
  """Raises:
  InputError: a value of the study cannot be."""
  if study.scenario not in clinics.SCENARIOS:
    raise InputError(f"scenario={study.scenario}: unknown; choose one of {', '.join(clinics.SCENARIOS)}")
  recordings.check_pressure_site(study.site)
  for name in ("source_subjects", "labelled_subjects", "validation_subjects", "test_subjects"):
    if getattr(study, name) < 1:
      raise InputError(f"{name}={getattr(study, name)}: must be 1 or more")
  for name in ("source_seconds", "target_seconds"):
    if getattr(study, name) < study.windows.seconds:
      raise InputError(f"{name}={getattr(study, name)}: must be {study.windows.seconds:g} or more, one window")
  if not study.n_target or not study.seeds:
    raise InputError("n_target and seeds: each needs one value at least, such as 5,")
  for name in ("n_target", "seeds"):
    values = getattr(study, name)
    if not all(isinstance(value, int) for value in values):
      raise InputError(f"{name}={values}: must be whole numbers, such as 1,5,20")
    if len(set(values)) != len(values):
      raise InputError(f"{name}={values}: names a value twice")
  if study.cohort_seed < 0 or min(study.seeds) < 0:
    raise InputError(f"seeds={study.seeds}, cohort_seed={study.cohort_seed}: must be 0 or more")
  if study.cohort_seed >= 2**31:
    raise InputError(f"cohort_seed={study.cohort_seed}: must be less than {2**31}")
  if max(study.n_target) > study.labelled_subjects or min(study.n_target) < 1:
    raise InputError(f"n_target={study.n_target}: must be 1 to {study.labelled_subjects} labelled subjects")
  for name in ("pretrain", "scratch", "transfer"):
    steps = getattr(study, name).steps
    if steps < loop.CHUNK or steps % loop.CHUNK:
      raise InputError(f"{name}.steps={steps}: must be a positive multiple of {loop.CHUNK}")
    spec = getattr(study, name)
    if spec.batch < 1 or spec.learning_rate <= 0 or spec.weight_decay < 0 or not 0 < spec.warmup < 1:
      raise InputError(f"{name}={spec}: batch and rate must be positive, decay 0 or more, warmup between 0 and 1")
  _check_windows(study)


def _check_windows(study: config.Study) -> None:
  spec = study.windows
  if spec.fs_hz < 60 or spec.hop < 1 or spec.margin < 1 or spec.samples <= 2 * spec.margin + 1:
    raise InputError(f"windows={spec}: needs 60 Hz or more, a hop and a margin, and more than its two margins")
  for name in ("source_seconds", "target_seconds"):
    samples = getattr(study, name) * spec.fs_hz
    if abs(samples - round(samples)) > 1e-6:
      raise InputError(f"{name}={getattr(study, name)}: must be a whole number of samples at {spec.fs_hz:g} Hz")
  model = study.model
  if min(model.patch, model.channels, model.head_channels) < 1 or model.layers < 0 or model.kernel % 2 == 0:
    raise InputError(f"model={model}: sizes must be positive and the kernel odd")
  if not 1 <= model.cosines <= 2 * model.patch:
    raise InputError(f"model.cosines={model.cosines}: must be 1 to {2 * model.patch}, two patches")
  try:
    jax.eval_shape(lambda: nets.make_net(model).init(jax.random.key(0), spec.samples))
  except ValueError as error:
    raise InputError(f"model: {error}") from None


def source_clinic(study: config.Study) -> clinics.Clinic:
  """Healthy people of 25 to 75, measured without a line, with noise. Its seed is even, a target's odd: whatever the
  cohort seeds, nobody is seen in both roles."""
  subjects = study.source_subjects + study.validation_subjects
  return clinics.Clinic("source", subjects, study.source_seconds, fs_hz=study.windows.fs_hz, seed=2 * study.cohort_seed)


def target_clinic(study: config.Study) -> clinics.Clinic:
  """The clinic of the scenario."""
  scenario = clinics.SCENARIOS[study.scenario]
  return clinics.Clinic(
    "target",
    study.labelled_subjects + study.validation_subjects + study.test_subjects,
    study.target_seconds,
    scenario.population,
    scenario.device,
    scenario.oximeter,
    scenario.rhythm,
    study.windows.fs_hz,
    seed=2 * study.cohort_seed + 1,
  )


def target_site(study: config.Study) -> str:
  """Where the target clinic measures: the source's site, or the scenario's own."""
  return clinics.SCENARIOS[study.scenario].site or study.site


def load_source(study: config.Study) -> Source:
  """Draws the source cohort."""
  found = virtual.load(source_clinic(study), (study.site,))
  sizes = {"training": study.source_subjects, "validation": study.validation_subjects}
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  pairs = batches.make_pairs(found, study.site, study.windows)
  return Source(pairs.of(split.parts["training"]), pairs.of(split.parts["validation"]))


def load_target(study: config.Study) -> Target:
  """Draws the target clinic. Test and validation windows do not overlap: no sample counts twice."""
  site = target_site(study)
  found = virtual.load(target_clinic(study), (site,))
  sizes = {
    "labelled": study.labelled_subjects,
    "validation": study.validation_subjects,
    "test": study.test_subjects,
  }
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  apart = dataclasses.replace(study.windows, hop_s=study.windows.seconds)
  whole = batches.make_pairs(found, site, study.windows)
  sparse = batches.make_pairs(found, site, apart)
  return Target(whole.of(split.parts["labelled"]), sparse.of(split.parts["validation"]), sparse.of(split.parts["test"]))


def split_of(source: Source, target: Target | None = None) -> splits.Split:
  """Who is in which part, disjoint by construction.

  Raises:
    splits.LeakError: a subject stands in two parts.
  """
  parts = {"source_training": source.training.subjects, "source_validation": source.validation.subjects}
  if target is not None:
    parts |= {f"target_{name}": getattr(target, name).subjects for name in ("labelled", "validation", "test")}
  return splits.Split(parts)


def pretrain(study: config.Study, source: Source) -> tuple[checkpoint.Checkpoint, loop.Fitted]:
  """Trains the source network; the checkpoint tells its RMSE on the source's validation subjects."""
  split_of(source)  # raises where a subject is in both
  scaling = batches.fit_scaling(source.training)
  net = nets.make_net(study.model)
  fresh = net.init(jax.random.key(study.pretrain.seed), study.windows.samples)
  fitted = loop.fit(
    net, scratch.STRATEGY, fresh, source.training, scaling, study.pretrain, study.windows.margin, "pre-training"
  )
  predicted = loop.predict(net, fitted.params, scaling, source.validation.x_bt)
  found = errors.Evaluator(source.validation, study.windows).errors(predicted)
  about = {
    "data": "in silico: virtual cohort",
    "source_subjects": study.source_subjects,
    "steps": study.pretrain.steps,
    "validation_rmse_mmhg": round(errors.mean_rmse(found), 3),
    "train_s": round(fitted.train_s, 1),
  }
  made = checkpoint.Checkpoint(fitted.params, study.model, study.windows, scaling, study.site, about)
  return made, fitted


def adapt(
  study: config.Study, strategy_name: str, source: checkpoint.Checkpoint, labelled: batches.Pairs, seed: int
) -> tuple[checkpoint.Checkpoint, loop.Fitted, list[surgery.Leaf]]:
  """Trains θ_t on labelled target windows by a strategy: θ⁰ by merge, then its loss.

  Scaling comes with the source where parameters do; from the labelled subjects where nothing is taken. The third value
  is the report of the merge.
  """
  strategy = STRATEGIES[strategy_name]
  spec = dataclasses.replace(study.transfer if strategy.take else study.scratch, seed=seed)
  net = nets.make_net(study.model)
  fresh = net.init(jax.random.key(seed), study.windows.samples)
  params, report = strategy.start(source.params, fresh)
  scaling = source.scaling if strategy.take else batches.fit_scaling(labelled)
  n_target = len(labelled.subjects)
  label = f"{strategy_name}, n={n_target}, seed {seed}"
  fitted = loop.fit(net, strategy, params, labelled, scaling, spec, study.windows.margin, label)
  about = {"strategy": strategy_name, "n_target": n_target, "seed": seed, "source": source.about}
  made = checkpoint.Checkpoint(fitted.params, study.model, study.windows, scaling, target_site(study), about)
  return made, fitted, report


def _timed(fit: Callable[..., T], *arguments: Any) -> tuple[T, float]:
  began = time.perf_counter()
  return fit(*arguments), time.perf_counter() - began


def cells(study: config.Study, source: Source, target: Target, trained: checkpoint.Checkpoint) -> Iterator[Cell]:
  """All cells of the study, each as it is done."""
  evaluator = errors.Evaluator(target.test, study.windows)
  split_of(source, target)
  margin, x_bt = study.windows.margin, target.test.x_bt

  def cell(method: str, n_target: int, seed: int, predicted_bt: np.ndarray, train_s: float) -> Cell:
    return Cell(method, n_target, seed, predicted_bt, evaluator.errors(predicted_bt), train_s)

  yield cell("peripheral", 0, 0, x_bt, 0.0)
  gtf, train_s = _timed(transfer_function.fit, source.training, source.validation, margin)
  yield cell("gtf_source", 0, 0, gtf.predict(x_bt), train_s)
  yield cell("source", 0, 0, loop.predict(trained.net, trained.params, trained.scaling, x_bt), 0.0)
  for n_target in study.n_target:
    for seed in study.seeds:
      labelled = target.draw(n_target, seed)
      mean, train_s = _timed(mean_wave.fit, labelled, study.windows.fs_hz)
      yield cell("mean_wave", n_target, seed, mean.predict(x_bt), train_s)
      gtf, train_s = _timed(transfer_function.fit, labelled, target.validation, margin)
      yield cell("gtf_target", n_target, seed, gtf.predict(x_bt), train_s)
      for name in STRATEGIES:
        made, fitted, _ = adapt(study, name, trained, labelled, seed)
        predicted = loop.predict(made.net, made.params, made.scaling, x_bt)
        yield cell(name, n_target, seed, predicted, fitted.train_s)


def write_rows(path: str | os.PathLike[str], study: config.Study, done: list[Cell]) -> None:
  """`study.csv`: a row per scenario, method, n_target, seed and subject, in the order of `COLUMNS`."""
  with files.written_together(path) as (partial,), open(partial, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for cell in done:
      for found in cell.errors:
        numbers = [f"{value:.5f}" for value in dataclasses.astuple(found)[1:]]
        row = (study.scenario, cell.method, cell.n_target, cell.seed, found.subject, *numbers, f"{cell.train_s:.3f}")
        writer.writerow(row)
