"""One process's share of a study: its data and source networks, each made once, and its cells."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence

import numpy as np

from cap_jax import files
from cap_jax.data import batches
from cap_jax.inference import pretrained, uncertainty
from cap_jax.metrics import waveform_metrics
from cap_jax.study import (
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

SHOWN_WINDOWS = 4  # of each test subject, in the pictures
MEAN_OF = 25  # steps a point of a training curve
_FEATURES = 300


class StudyRunner:
  """Data and source networks of a study, each made once; in a process of its own if need be."""

  def __init__(self, study: study_config.Study, folder: str, metrics: Sequence[str] = ()):
    """Args:
    study: whose cells are run.
    folder: of the study.
    metrics: kinds of the journals of its trainings, in `folder`/logs.
    """
    self.study, self.folder, self._metrics = study, folder, tuple(metrics)
    self._clinics = {clinic.target_name: clinic for clinic in study_grid.clinics_of(study)}
    self._targets = functools.lru_cache(2)(self._target)
    self._lock = threading.Lock()  # of the targets and of the locks of the trainings
    self._training_locks: dict[tuple[Key, methods.Setting], threading.Lock] = {}
    self.published = functools.cache(self._published)
    self._trainings: dict[tuple[Key, methods.Setting], runs.Adapted] = {}

  @functools.cached_property
  def _candidates(self) -> tuple[str, ...]:
    chooses = strategy_selection.NAME in self.study.strategies
    return strategy_selection.expanded((strategy_selection.NAME,)) if chooses else ()

  @functools.cached_property
  def source(self) -> study_datasets.Source:
    return study_datasets.load_source(self.study)

  @functools.cached_property
  def trained(self) -> checkpoint.Checkpoint:
    """The source network; trained or copied into the folder the first time."""
    place = os.path.join(self.folder, "checkpoint")
    if self.study.source_network != pretrained.TRAIN and not os.path.isdir(place):
      checkpoint.save(place, checkpoint.load(pretrained.place(self.study.source_network)))
    return self._source_network("checkpoint", self.study)

  def _published(self, name: str) -> checkpoint.Checkpoint:
    network = methods.NETWORKS[name]
    spec = dataclasses.replace(self.study.pretrain, learning_rate=network.learning_rate, optimizer=network.optimizer)
    return self._source_network(
      os.path.join("sources", name), dataclasses.replace(self.study, model=network.model, pretrain=spec)
    )

  def _source_network(self, name: str, study: study_config.Study) -> checkpoint.Checkpoint:
    path, states = os.path.join(self.folder, name), os.path.join(self.folder, "savepoints", name)
    if os.path.isdir(path):
      self._forget(states)  # of a process that was killed before it could
      try:
        return checkpoint.load(path)
      except checksummed.DamagedError as error:
        raise InputError(f"{error}; or remove {path}, and the study trains it again") from error
    logs = os.path.join(self.folder, "logs", name)
    with metrics_writer.writing(logs, self._metrics) as metrics:
      recorder = loop.Recorder(training_state.StateKeeper(states), metrics)
      trained, fitted = training.source_network(study, self.source, recorder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    curve = {"loss": _curve(fitted.loss, trained.scaling.sd_mmhg)}
    with files.write_atomically(f"{path}.json") as (partial,), open(partial, "w", encoding="utf-8") as file:
      json.dump(curve, file)
    checkpoint.save(path, trained)
    self._forget(states)
    return trained

  def _forget(self, states: str) -> None:
    """Removes the states of a training that is done, and what held them."""
    shutil.rmtree(states, ignore_errors=True)
    with contextlib.suppress(OSError):  # others stand there, or nothing
      os.removedirs(os.path.dirname(states))

  def target(
    self, scenario: str, fold: int
  ) -> tuple[study_config.Study, study_datasets.Target, waveform_metrics.Evaluator]:
    """The study in a clinic, the clinic's data in a fold, and what finds errors on its test subjects."""
    with self._lock:
      return self._targets(scenario, fold)

  def _target(
    self, scenario: str, fold: int
  ) -> tuple[study_config.Study, study_datasets.Target, waveform_metrics.Evaluator]:
    study = self._clinics[scenario]
    with concurrent.futures.ThreadPoolExecutor() as pool:  # both compile, which leaves the interpreter free
      source = pool.submit(lambda: self.source)
      target = study_datasets.load_target(study, fold)
      source.result()
    split = study_datasets.split_of(self.source, target)
    name = scenario if folds.count(study) == 1 else f"{scenario}_fold_{fold}"
    study_manifest.settle(self.folder, name, split, study_datasets.digests(self.source, target))
    return study, target, waveform_metrics.Evaluator(target.test, study.windows)

  def _ground(self, key: Key, setting: methods.Setting) -> methods.MethodInputs:
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
    """The training of a method in one of its settings."""
    ground = self._ground(key, setting)
    train = methods.method(ground.study, key.method).train
    assert train is not None
    with self._lock:
      lock = self._training_locks.setdefault((key, setting), threading.Lock())
    with lock:
      if (key, setting) in self._trainings:
        return self._trainings[key, setting]
      with metrics_writer.writing(logs, self._metrics) as metrics:
        made = train(dataclasses.replace(ground, recorder=loop.Recorder(metrics=metrics)))
      if key.method in self._candidates:  # `auto` may choose it, and then it need not be trained again
        self._trainings[key, setting] = made
    return made

  def _made(self, key: Key, setting: methods.Setting, chosen: runs.Adapted | None) -> methods.Output:
    """What a method makes of the test windows; `chosen`: its training, if that is done already."""
    ground = self._ground(key, setting)
    if not study_grid.trained(ground.study, key.method):
      return methods.method(ground.study, key.method).run(ground)
    return methods.finish(ground, chosen or self._trial(key, setting, key.stem(self.folder, "logs")))

  def _choose(self, key: Key) -> tuple[methods.Setting, runs.Adapted | None]:
    """The setting with the least last RMSE on validation subjects, at the first seed; with its training there, if it was found out
    just now."""
    choices, first = study_grid.settings(self.study, key.method), dataclasses.replace(key, seed=self.study.seeds[0])
    if len(choices) == 1:
      return choices[0], None
    path = first.stem(self.folder, "choices") + ".json"
    made: dict[methods.Setting, runs.Adapted] = {}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with files.lock_folder(
      os.path.dirname(path)
    ):  # another process may be choosing just this: its choice is waited for
      if not os.path.exists(path):
        for one in choices:
          with contextlib.suppress(clock.DivergedError):
            logs = f"{first.stem(self.folder, 'logs')}_rate_{one.rate:g}_steps_{one.steps:g}"
            made[one] = self._trial(first, one, logs)
        last = {one: trial.fitted.validation[-1].rmse_mmhg for one, trial in made.items()}
        found = [{**one._asdict(), "rmse_mmhg": last.get(one, float("inf"))} for one in choices]
        with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
          json.dump(found, file)
    try:
      with open(path, encoding="utf-8") as file:
        tried = {methods.Setting(one["rate"], one["steps"]): float(one["rmse_mmhg"]) for one in json.load(file)}
      best = min(tried, key=lambda one: tried[one])
    except (ValueError, TypeError, KeyError) as error:
      raise DataError(path, f"holds no choice ({error})", "remove the file; it is made again") from error
    return best, made.get(best) if key == first else None

  def run(self, key: Key) -> Cell:
    """Runs a cell and writes it; one that is done already is read.

    Raises:
      splits.LeakError: a subject stands in two parts of the data.
    """
    done = study_results.load(self.folder, key)
    if done is not None:
      return done
    began = time.perf_counter()
    study, target, evaluator = self.target(key.scenario, key.fold)
    settings, shown = study_grid.tried(study, key.method), None
    setting, chosen = self._choose(key)
    try:
      made = self._made(key, setting, chosen)
    except (clock.DivergedError, UnfitError) as error:
      nothing = tuple(waveform_metrics.SubjectErrors(subject=subject) for subject in target.test.subjects)
      wall = time.perf_counter() - began
      cell = Cell(
        key=key, errors=nothing, wall_s=wall, settings=settings, rate_factor=setting.rate, step_factor=setting.steps,
        reason=str(error), diverged=True,
      )  # fmt: skip
    else:
      cell = Cell(
        key=key,
        errors=self._errors(made, evaluator),
        train_s=made.train_s,
        steps=made.steps,
        wall_s=time.perf_counter() - began,
        settings=settings,
        rate_factor=setting.rate,
        step_factor=setting.steps,
        validation=made.validation,
        loss=tuple(_curve(made.loss, made.network.scaling.sd_mmhg)) if made.network and made.steps else (),
        reason=made.reason,
        merge=tuple((leaf.path, leaf.fate, str(leaf.shape), leaf.note) for leaf in made.merge),
      )
      shown = self._shown(key, made, target)
    study_results.save(self.folder, cell, shown)
    return cell

  def _errors(
    self, made: methods.Output, evaluator: waveform_metrics.Evaluator
  ) -> tuple[waveform_metrics.SubjectErrors, ...]:
    """Errors of each test subject, and what its intervals held."""
    found = evaluator.errors(made.predicted_bt, made.only_systolic)
    if made.network is None or made.network.uncertainty_calibration is None:
      return tuple(found)
    seen = uncertainty.coverage(made.network, evaluator.test, made.made)
    return tuple(waveform_metrics.covered(one, c) for one, c in zip(found, seen, strict=True))

  def _shown(self, key: Key, made: methods.Output, target: study_datasets.Target) -> dict[str, np.ndarray] | None:
    """Waves and features of a cell for the pictures: of the first fold and seed, at the shown number of labels."""
    first = key.fold == 0 and key.seed == self.study.seeds[0] and key.n_target in (0, study_grid.focus(self.study))
    if not first or made.only_systolic:
      return None
    rows = shown_rows(target.test)
    found = {"predicted_bt": made.predicted_bt[rows].astype(np.float32)}
    if key.method == "peripheral":  # the truth lies beside it, once
      found |= {"true_bt": target.test.y_bt[rows], "subject_b": target.test.subject_b[rows].astype(str)}
    network = made.network
    if network is not None and not key.n_target and network.net.f == self.trained.net.f:
      h_s, h_t = (
        prediction.pooled(network, windows, adapted)[0][:_FEATURES]
        for windows, adapted in ((self.source.held, False), (target.unlabelled, True))
      )
      found |= {"features_source": h_s.astype(np.float32), "features_target": h_t.astype(np.float32)}
    return found


def shown_rows(test: batches.Pairs) -> np.ndarray:
  """The windows of the test subjects that are shown."""
  return np.concatenate([np.flatnonzero(test.subject_b == name)[:SHOWN_WINDOWS] for name in test.subjects])


def _curve(loss: np.ndarray, sd_mmhg: float) -> list[float]:
  """Root of the loss [mmHg], means over 25 steps."""
  blocks = np.asarray(loss[: len(loss) // MEAN_OF * MEAN_OF], dtype=float).reshape(-1, MEAN_OF).mean(1)
  return [round(float(value), 5) for value in np.sqrt(np.maximum(blocks, 0)) * sd_mmhg]
