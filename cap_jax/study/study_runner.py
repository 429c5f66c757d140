"""Runs the cells of a study in one process, with its data and source networks loaded once."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import threading
import time
from collections.abc import Sequence

import numpy as np

from cap_jax import files, own_files
from cap_jax.data import batches
from cap_jax.inference import pretrained, uncertainty
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import windows
from cap_jax.study import (
  characteristics,
  folds,
  methods,
  study_config,
  study_datasets,
  study_grid,
  study_manifest,
  study_results,
  training,
)
from cap_jax.study.study_results import Cell, Key
from cap_jax.train import (
  checkpoint,
  checksummed,
  clock,
  loop,
  metrics_writer,
  prediction,
  runs,
  strategy_selection,
  training_state,
)
from cap_jax.types import DataError, InputError, UnfitError

FIGURE_WINDOWS = 4  # of each test subject, in the figures
MEAN_OF = 25  # steps per point of a training curve
_FEATURES = 300


class StudyRunner:
  """Runs cells of a study and shares its data and source networks among them."""

  def __init__(self, study: study_config.Study, folder: str, metrics: Sequence[str] = ()):
    """Creates a runner.

    Args:
      study: whose cells are run.
      folder: of the study.
      metrics: kinds of metrics files of its trainings, in `folder`/logs.
    """
    self.study, self.folder, self._metrics = study, folder, tuple(metrics)
    self._clinics = {clinic.target_name: clinic for clinic in study_grid.clinics_of(study)}
    self._targets = functools.lru_cache(2)(self._target)
    self._lock = threading.Lock()  # for the targets and for the locks of the trainings
    self._training_locks: dict[tuple[Key, methods.Setting], threading.Lock] = {}
    self.published = functools.cache(self._published)
    self._trainings: dict[tuple[Key, methods.Setting], runs.Adapted] = {}

  @functools.cached_property
  def _candidates(self) -> tuple[str, ...]:
    chooses = strategy_selection.NAME in self.study.strategies
    return (*strategy_selection.expanded((strategy_selection.NAME,)), *strategy_selection.OF_CONTEXT) if chooses else ()

  @functools.cached_property
  def source(self) -> study_datasets.Source:
    return study_datasets.load_source(self.study)

  @functools.cached_property
  def trained(self) -> checkpoint.Checkpoint:
    """The source network, trained or copied into the folder at the first access."""
    path = os.path.join(self.folder, "checkpoint")
    if self.study.source_network != pretrained.TRAIN and not os.path.isdir(path):
      checkpoint.save(path, pretrained.load(self.study.source_network))
    return self._source_network("checkpoint", self.study)

  def _published(self, name: str) -> checkpoint.Checkpoint:
    """Loads or trains a network of `methods.NETWORKS` on the source."""
    network = methods.NETWORKS[name]
    spec = dataclasses.replace(self.study.pretrain, learning_rate=network.learning_rate, optimizer=network.optimizer)
    return self._source_network(
      os.path.join("sources", name), dataclasses.replace(self.study, model=network.model, pretrain=spec)
    )

  def _source_network(self, name: str, study: study_config.Study) -> checkpoint.Checkpoint:
    """Loads a network from its folder, or trains it on the source and saves it there."""
    path, states = os.path.join(self.folder, name), os.path.join(self.folder, "training_states", name)
    if os.path.isdir(path):
      self._remove_states(states)  # of a process that was killed before it removed them
      try:
        return checkpoint.load(path)
      except checksummed.DamagedError as error:
        raise InputError(f"{error}; or remove {path} to train it again") from error
    logs = os.path.join(self.folder, "logs", name)
    with metrics_writer.writing(logs, self._metrics) as metrics:
      recorder = loop.Recorder(training_state.StateKeeper(states), metrics)
      trained, fitted = training.source_network(study, self.source, recorder)
    own_files.makedirs(os.path.dirname(path))
    curve = {"loss": _curve(fitted.loss, trained.scaling.sd_mmhg)}
    with files.write_atomically(f"{path}.json") as (partial,), open(partial, "w", encoding="utf-8") as file:
      json.dump(curve, file)
    checkpoint.save(path, trained)
    self._remove_states(states)
    return trained

  def _remove_states(self, states: str) -> None:
    """Removes the training states of a training that is done, and the empty folders above them."""
    own = own_files.of(states)
    if own is None:
      return
    own.remove(states)
    while (states := os.path.dirname(states)) != own.folder and os.path.isdir(states) and not os.listdir(states):
      own.remove(states)

  def target(
    self, scenario: str, fold: int
  ) -> tuple[study_config.Study, study_datasets.Target, waveform_metrics.Evaluator]:
    """Returns the study in a clinic, the clinic's data in a fold, and the evaluator of its test subjects.

    Args:
      scenario: name of the clinic.
      fold: of its subjects.
    """
    with self._lock:
      return self._targets(scenario, fold)

  def _target(
    self, scenario: str, fold: int
  ) -> tuple[study_config.Study, study_datasets.Target, waveform_metrics.Evaluator]:
    """Loads what `target` returns."""
    study = self._clinics[scenario]
    with concurrent.futures.ThreadPoolExecutor() as pool:  # both compile, which releases the interpreter
      source = pool.submit(lambda: self.source)
      target = study_datasets.load_target(study, fold)
      source.result()
    split = study_datasets.split_of(self.source, target)
    name = scenario if folds.count(study) == 1 else f"{scenario}_fold_{fold}"
    study_manifest.settle(self.folder, name, split, study_datasets.digests(self.source, target))
    groups = characteristics.path_in(self.folder, name)
    own_files.check(groups)
    if not os.path.exists(groups):
      characteristics.save(groups, characteristics.of_study(self.source, target, study.windows))
    return study, target, waveform_metrics.Evaluator(target.test, study.windows, study.signals.unitless)

  def _inputs(self, key: Key, setting: methods.Setting) -> methods.MethodInputs:
    """Returns the inputs of a method in one of its settings."""
    study, target, _ = self.target(key.scenario, key.fold)

    def train(name: str) -> runs.Adapted:
      own = dataclasses.replace(key, method=name)
      return self._trial(own, setting, own.stem(self.folder, "logs"))

    return methods.MethodInputs(
      study=study,
      source=self.source,
      target=target,
      trained=self.trained,
      published=self.published,
      n_target=key.n_target,
      seed=key.seed,
      setting=setting,
      train=train,
    )

  def _trial(self, key: Key, setting: methods.Setting, logs: str) -> runs.Adapted:
    """Trains a method in one of its settings, or returns a stored training of it."""
    inputs = self._inputs(key, setting)
    train = methods.method(inputs.study, key.method).train
    assert train is not None
    with self._lock:
      lock = self._training_locks.setdefault((key, setting), threading.Lock())
    with lock:
      if (key, setting) in self._trainings:
        return self._trainings[key, setting]
      with metrics_writer.writing(logs, self._metrics) as metrics:
        adaptation = train(dataclasses.replace(inputs, recorder=loop.Recorder(metrics=metrics)))
      if key.method in self._candidates:  # `auto` may choose it, and need not train it again
        self._trainings[key, setting] = adaptation
    return adaptation

  def _run_method(self, key: Key, setting: methods.Setting, adaptation: runs.Adapted | None) -> methods.Output:
    """Runs a method on the test windows, with its training if that is done already."""
    inputs = self._inputs(key, setting)
    if not study_grid.trained(inputs.study, key.method):
      return methods.method(inputs.study, key.method).run(inputs)
    return methods.finish(inputs, adaptation or self._trial(key, setting, key.stem(self.folder, "logs")))

  def _choose(self, key: Key) -> tuple[methods.Setting, runs.Adapted | None]:
    """Returns the setting with the least final RMSE on validation subjects, at the first seed.

    The second value is its training, if this call trained it for the same cell.
    """
    choices, first = study_grid.settings(self.study, key.method), dataclasses.replace(key, seed=self.study.seeds[0])
    if len(choices) == 1:
      return choices[0], None
    path = first.stem(self.folder, "choices") + ".json"
    trials: dict[methods.Setting, runs.Adapted] = {}
    own_files.makedirs(os.path.dirname(path))
    with files.lock_folder(os.path.dirname(path)):  # waits for a process that is choosing the same
      if not os.path.exists(path):
        for setting in choices:
          with contextlib.suppress(clock.DivergedError):
            logs = f"{first.stem(self.folder, 'logs')}_rate_{setting.rate:g}_steps_{setting.steps:g}"
            trials[setting] = self._trial(first, setting, logs)
        last_rmse = {setting: trial.fitted.validation[-1].rmse_mmhg for setting, trial in trials.items()}
        scores = [{**setting._asdict(), "rmse_mmhg": last_rmse.get(setting, float("inf"))} for setting in choices]
        with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
          json.dump(scores, file)
    try:
      with open(files.regular(path), encoding="utf-8") as file:
        rmse_of = {
          methods.Setting(setting["rate"], setting["steps"]): float(setting["rmse_mmhg"]) for setting in json.load(file)
        }
      best = min(rmse_of, key=lambda setting: rmse_of[setting])
    except (ValueError, TypeError, KeyError) as error:
      raise DataError(
        path, f"does not contain a strategy selection ({error})", "remove the file and run the same command again"
      ) from error
    return best, trials.get(best) if key == first else None

  def run(self, key: Key) -> Cell:
    """Runs a cell and saves it, or loads it if it is done.

    Raises:
      splits.LeakError: a subject is in two parts of the data.
    """
    done = study_results.load(self.folder, key)
    if done is not None:
      return done
    began = time.perf_counter()
    study, target, evaluator = self.target(key.scenario, key.fold)
    settings, waves = study_grid.tried(study, key.method), None
    setting, adaptation = self._choose(key)
    try:
      output = self._run_method(key, setting, adaptation)
    except (clock.DivergedError, UnfitError) as error:
      errors = tuple(waveform_metrics.SubjectErrors(subject=subject) for subject in target.test.subjects)
      wall = time.perf_counter() - began
      cell = Cell(
        key=key, errors=errors, wall_s=wall, settings=settings, rate_factor=setting.rate, step_factor=setting.steps,
        reason=str(error), diverged=True,
      )  # fmt: skip
    else:
      cell = Cell(
        key=key,
        errors=self._errors(output, evaluator),
        train_s=output.train_s,
        steps=output.steps,
        wall_s=time.perf_counter() - began,
        settings=settings,
        rate_factor=setting.rate,
        step_factor=setting.steps,
        validation=output.validation,
        loss=tuple(_curve(output.loss, output.network.scaling.sd_mmhg)) if output.network and output.steps else (),
        reason=output.reason,
        merge=tuple((leaf.path, leaf.fate, str(leaf.shape), leaf.note) for leaf in output.merge),
      )
      waves = self._waves_to_show(key, output, target)
    study_results.save(self.folder, cell, waves)
    return cell

  def _errors(
    self, output: methods.Output, evaluator: waveform_metrics.Evaluator
  ) -> tuple[waveform_metrics.SubjectErrors, ...]:
    """Computes the errors of each test subject, with its interval coverage."""
    errors = evaluator.errors(output.predicted_bt, output.only_systolic)
    if output.network is None or output.network.uncertainty_calibration is None:
      return tuple(errors)
    coverages = uncertainty.coverage(output.network, evaluator.test, output.reading)
    return tuple(
      waveform_metrics.covered(of_subject, coverage) for of_subject, coverage in zip(errors, coverages, strict=True)
    )

  def _waves_to_show(
    self, key: Key, output: methods.Output, target: study_datasets.Target
  ) -> dict[str, np.ndarray] | None:
    """Returns the waves and features of a cell for the figures, None unless it has the first fold and seed and a shown n_target."""
    if not study_grid.shown(self.study, key) or output.only_systolic:
      return None
    rows = figure_rows(target.test)
    arrays = {"predicted_bt": output.predicted_bt[rows].astype(np.float32)}
    if study_grid.has_truth(self.study, key):
      x_bt = target.test.x_bt[rows]
      # waves are stored in steps of 0.01
      arrays["peripheral_bt"] = 100 * windows.min_max(x_bt) if self.study.signals.unitless else x_bt
      arrays |= {"true_bt": target.test.y_bt[rows], "subject_b": target.test.subject_b[rows].astype(str)}
    network = output.network
    if network is not None and not key.n_target and network.net.f == self.trained.net.f:
      h_s, h_t = (
        prediction.pooled(network, windows, adapted)[0][:_FEATURES]
        for windows, adapted in ((self.source.in_memory, False), (target.unlabelled, True))
      )
      arrays |= {"features_source": h_s.astype(np.float32), "features_target": h_t.astype(np.float32)}
    return arrays


def figure_rows(test: batches.Pairs) -> np.ndarray:
  """Returns the indices of the test windows that are shown."""
  return np.concatenate([np.flatnonzero(test.subject_b == name)[:FIGURE_WINDOWS] for name in test.subjects])


def _curve(loss: np.ndarray, sd_mmhg: float) -> list[float]:
  """Returns the root of the loss [mmHg], averaged over 25 steps."""
  blocks = np.asarray(loss[: len(loss) // MEAN_OF * MEAN_OF], dtype=float).reshape(-1, MEAN_OF).mean(1)
  return [round(float(value), 5) for value in np.sqrt(np.maximum(blocks, 0)) * sd_mmhg]
