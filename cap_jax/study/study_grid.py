"""The cells of a study, their order and the estimate of their duration."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from cap_jax.inference import pretrained
from cap_jax.study import folds, methods, study_config, study_results
from cap_jax.study.study_results import Key
from cap_jax.train import loop, strategy_selection
from cap_jax.types import InputError

# seconds per cell on two cores, before any is measured; of methods that are trained, per 600 steps
_CLOSED_S, _TRAINED_S = 2.0, 9.0
_SIDE_BY_SIDE = 1.3  # speed-up of two processes on two cores
_SLOW = {"adaptive_tf_source": 20.0, "tcn_target": 57.0, "cnn_bilstm_target": 14.0, "multi_task": 14.0, "scratch": 9.0}
_SLOW |= {"auto": 42.0}  # the cross-validation costs as much as two trainings
_SLOW_SOURCE = {"tcn_source": 290.0, "cnn_bilstm_source": 60.0}


def clinics_of(study: study_config.Study) -> tuple[study_config.Study, ...]:
  """Returns the study in each of its target clinics.

  Raises:
    InputError: a clinic is named twice.
  """
  if study.leave_out:
    return folds.left_out_values(study)
  names = study.scenarios or (study.scenario,)
  if len(set(names)) < len(names):
    raise InputError(f"scenarios={names}: contains a duplicate clinic; remove it")
  return tuple(dataclasses.replace(study, scenario=name, scenarios=()) for name in names)


def focus(study: study_config.Study) -> int:
  """Returns the number of labels at which waves are shown: the one nearest to five, 0 without labels."""
  return min((n for n in study.n_target if n), key=lambda n: abs(n - 5), default=0)


def shown(study: study_config.Study, key: Key) -> bool:
  """Returns whether figures show the waves of a cell: of the first fold and seed, at 0 labels or at the focus."""
  return key.fold == 0 and key.seed == study.seeds[0] and key.n_target in (0, focus(study))


def has_truth(study: study_config.Study, key: Key) -> bool:
  """Returns whether the measured and the true waves of a clinic are stored with a cell: the first shown one with waves."""
  of_clinic = (one for one in keys(study) if one.scenario == key.scenario and shown(study, one))
  return key == next((one for one in of_clinic if one.method not in methods.ONLY_SYSTOLIC), None)


def focused(study: study_config.Study) -> dict[str, int]:
  """Returns method → number of labels in a report's main tables: the focus, or 0 for a method that does not run there."""
  label_counts: dict[str, int] = {}
  for key in keys(study):
    if key.n_target == focus(study) or (key.n_target == 0 and key.method not in label_counts):
      label_counts[key.method] = key.n_target
  return label_counts


def names(study: study_config.Study) -> tuple[str, ...]:
  """Returns the methods of one clinic in order: baselines, then strategies, with scratch first as the measure of the others."""
  strategies = sorted(study.strategies, key=lambda name: name != "scratch")
  return tuple(name for name in (*study.baselines, *strategies) if not methods.unavailable(study, name))


def keys(study: study_config.Study) -> list[Key]:
  """Returns the keys of all cells, in the order in which they run.

  The first seed is ahead, since it chooses the settings of the others, which would have to wait.
  """
  cells = []
  for clinic in clinics_of(study):
    scenario = clinic.target_name
    for fold in range(folds.count(clinic)):
      for seed in study.seeds:
        for n_target in (*(() if 0 in study.n_target else (0,)), *study.n_target):
          for name in names(clinic):
            method = methods.method(clinic, name)
            repeated = not n_target and not method.drawn and seed != study.seeds[0]
            if n_target in _label_counts(study, method) and not repeated:
              cells.append(Key(scenario, fold, name, n_target, seed))
  return cells


def _label_counts(study: study_config.Study, method: methods.Method) -> list[int]:
  """Returns the numbers of labels at which a method runs; one that uses none runs once, whether 0 was requested or not."""
  return [n for n in study.n_target if method.runs_at(n)] or [n for n in (0,) if method.runs_at(n)]


def unused(study: study_config.Study) -> list[str]:
  """Returns the methods of a study that are in no cell, each with the reason."""
  used = {key.method for key in keys(study)}
  reasons = []
  for name in dict.fromkeys((*study.baselines, *study.strategies)):
    if name not in used:
      why = methods.unavailable(clinics_of(study)[0], name)
      need = "needs labelled subjects" if methods.method(study, name).labels else "uses no labels"
      reasons.append(f"{name}: {why or f'{need}, but n_target is {study.n_target}'}")
  return reasons


def trained(study: study_config.Study, name: str) -> bool:
  """Returns whether a method is trained on the target in steps.

  Args:
    study: of the method.
    name: of the method.
  """
  return methods.method(study, name).train is not None


def settings(study: study_config.Study, name: str) -> tuple[methods.Setting, ...]:
  """Returns the settings of a method's training from which labelled validation subjects choose.

  A method without labels may not use them, so it has one setting.

  Args:
    study: of the method.
    name: of the method.
  """
  method = methods.method(study, name)
  if not (trained(study, name) and method.labels):
    return (methods.AS_IT_IS,)
  lengths = study.step_factors if method.needs_no_source else (1.0,)
  return tuple(methods.Setting(rate, length) for length in lengths for rate in study.rate_factors)


def tried(study: study_config.Study, name: str) -> int:
  """Returns the number of settings of a method from which validation subjects choose.

  Args:
    study: of the method.
    name: of the method.
  """
  return len(settings(study, name)) if trained(study, name) else methods.method(study, name).settings


def budgets(study: study_config.Study) -> dict[str, list[str]]:
  """Returns training budget (number of settings × steps) → the methods that have it."""
  methods_of: dict[str, list[str]] = {}
  for name in dict.fromkeys(key.method for key in keys(study)):
    if trained(study, name):
      lengths = sorted({loop.whole(setting.steps * study.steps) for setting in settings(study, name)})
      budget = f"{tried(study, name)} × {' or '.join(map(str, lengths))} steps"
      if name == strategy_selection.NAME:
        budget += f", after at most {len(strategy_selection.CANDIDATES)} candidates with a third of the steps in each fold of the labels"
      methods_of.setdefault(budget, []).append(name)
  return methods_of


def estimate_s(study: study_config.Study, folder: str, keys: Sequence[Key], processes: int = 1) -> float:
  """Estimates the seconds until all cells are done.

  Cells take as long as those of the same method did in this folder. Without any, they take as long as on a machine of two cores.

  Args:
    study: of the cells.
    folder: of the study.
    keys: done or not.
    processes: number of workers.
  """
  measured_s: dict[str, list[float]] = {}
  remaining = []
  for key in keys:
    done = study_results.load(folder, key)
    if done is None:
      remaining.append(key)
    else:
      measured_s.setdefault(key.method, []).append(done.wall_s / _lengths(study, key))
  speedup = {
    key.method: processes if key.method in measured_s else _SIDE_BY_SIDE ** (processes > 1) for key in remaining
  }
  total = sum(_cell_s(study, key, measured_s.get(key.method)) / speedup[key.method] for key in remaining)
  sources = {key.method for key in remaining} & set(_SLOW_SOURCE)
  total += sum(_SLOW_SOURCE[name] * study.pretrain.steps / 3000 for name in sources)
  source_is_trained = study.source_network != pretrained.TRAIN or os.path.isdir(os.path.join(folder, "checkpoint"))
  return total + (0 if source_is_trained else 60.0 * study.pretrain.steps / 3000)


def longest_first(study: study_config.Study, keys: Sequence[Key]) -> list[Key]:
  """Sorts cells by decreasing duration, so that workers end at about the same time.

  Args:
    study: of the cells.
    keys: that run side by side.
  """
  return sorted(keys, key=lambda key: -_cell_s(study, key, None))


def _cell_s(study: study_config.Study, key: Key, measured_s: list[float] | None) -> float:
  """Estimates the seconds of a cell."""
  return _lengths(study, key) * _run_s(study, key.method, measured_s)


def _lengths(study: study_config.Study, key: Key) -> float:
  """Returns a cell's length in units of the study's steps: of all settings at the first seed, which chooses; later their median."""
  lengths = [setting.steps for setting in settings(study, key.method)]
  return sum(lengths) if key.seed == study.seeds[0] else float(np.median(lengths))


def _run_s(study: study_config.Study, name: str, measured_s: list[float] | None) -> float:
  """Estimates the seconds of a method with the study's steps."""
  if measured_s:
    return float(np.median(measured_s))
  if not trained(study, name):
    return _SLOW.get(name, _CLOSED_S)
  return _SLOW.get(name.partition("/")[0], _TRAINED_S) * study.steps / 600
