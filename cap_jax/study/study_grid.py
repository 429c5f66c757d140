"""The cells of a study: which there are, in which order, and how long they will take."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from cap_jax.inference import pretrained
from cap_jax.study import folds, methods, study_config, study_results
from cap_jax.study.study_results import Key
from cap_jax.train import loop, strategy_selection
from cap_jax.types import InputError

# seconds a cell on two cores, for the estimate before anything was measured; of what is trained, per 600 steps
_CLOSED_S, _TRAINED_S = 2.0, 9.0
_SIDE_BY_SIDE = 1.3  # times as many in two processes on two cores
_SLOW = {"adaptive_tf_source": 20.0, "tcn_target": 57.0, "cnn_bilstm_target": 14.0, "multi_task": 14.0, "scratch": 9.0}
_SLOW |= {"auto": 42.0}  # the cross-validation is as much as two trainings
_SLOW_SOURCE = {"tcn_source": 290.0, "cnn_bilstm_source": 60.0}


def clinics_of(study: study_config.Study) -> tuple[study_config.Study, ...]:
  """The study in each of its target clinics.

  Raises:
    InputError: a clinic is named twice.
  """
  names = study.scenarios or (study.scenario,)
  if len(set(names)) < len(names):
    raise InputError(f"scenarios={names}: names a clinic twice")
  return tuple(dataclasses.replace(study, scenario=name, scenarios=()) for name in names)


def focus(study: study_config.Study) -> int:
  """The number of labels at which waves are shown: that next to five."""
  return min((n for n in study.n_target if n), key=lambda n: abs(n - 5), default=0)


def focused(study: study_config.Study) -> dict[str, int]:
  """Method → the number of labels at which a report looks at it: the focus, or none where it does not stand there."""
  found: dict[str, int] = {}
  for key in keys(study):
    if key.n_target == focus(study) or (key.n_target == 0 and key.method not in found):
      found[key.method] = key.n_target
  return found


def names(study: study_config.Study) -> tuple[str, ...]:
  """Methods of one clinic in their order: baselines, then strategies, scratch first, by which the others are measured."""
  strategies = sorted(study.strategies, key=lambda name: name != "scratch")
  return tuple(name for name in (*study.baselines, *strategies) if not methods.unavailable(study, name))


def keys(study: study_config.Study) -> list[Key]:
  """All cells, in the order in which they run: the first seed, which makes the choices of all the others, ahead of them, so that
  few wait for a choice in the making."""
  found = []
  for clinic in clinics_of(study):
    scenario = clinic.target_name
    for fold in range(folds.count(clinic)):
      for seed in study.seeds:
        for n_target in study.n_target:
          for name in names(clinic):
            method = methods.method(clinic, name)
            repeated = not n_target and not method.drawn and seed != study.seeds[0]
            if method.stands(n_target) and not repeated:
              found.append(Key(scenario, fold, name, n_target, seed))
  return found


def unused(study: study_config.Study) -> list[str]:
  """Methods that no cell holds, with the reason."""
  used = {key.method for key in keys(study)}
  found = []
  for name in dict.fromkeys((*study.baselines, *study.strategies)):
    if name not in used:
      why = methods.unavailable(clinics_of(study)[0], name)
      asks = "needs labelled subjects" if methods.method(study, name).labels else "uses no labels"
      found.append(f"{name}: {why or f'{asks}, and n_target is {study.n_target}'}")
  return found


def trained(study: study_config.Study, name: str) -> bool:
  """Whether a method is trained on the target in steps."""
  return methods.method(study, name).train is not None


def settings(study: study_config.Study, name: str) -> tuple[methods.Setting, ...]:
  """Of a method's training, for the labelled validation subjects to choose from: what uses no labels may not ask them."""
  method = methods.method(study, name)
  if not (trained(study, name) and method.labels):
    return (methods.AS_IT_IS,)
  lengths = study.step_factors if method.alone else (1.0,)
  return tuple(methods.Setting(rate, length) for length in lengths for rate in study.rate_factors)


def tried(study: study_config.Study, name: str) -> int:
  """Settings of a method that validation subjects choose from."""
  return len(settings(study, name)) if trained(study, name) else methods.method(study, name).settings


def budgets(study: study_config.Study) -> dict[str, list[str]]:
  """What validation subjects choose from × steps, of what is trained on the target → the methods that get it."""
  found: dict[str, list[str]] = {}
  for name in dict.fromkeys(key.method for key in keys(study)):
    if trained(study, name):
      lengths = sorted({loop.whole(setting.steps * study.steps) for setting in settings(study, name)})
      said = f"{tried(study, name)} × {' or '.join(map(str, lengths))} steps"
      if name == strategy_selection.NAME:
        said += (
          f", after {len(strategy_selection.CANDIDATES)} candidates a third as long, trained in each fold of the labels"
        )
      found.setdefault(said, []).append(name)
  return found


def estimate_s(study: study_config.Study, folder: str, wanted: Sequence[Key], processes: int = 1) -> float:
  """Seconds that the cells which are not done will take: as long as those of the same method took in this folder, so many side by
  side, or as long as on two cores elsewhere."""
  known: dict[str, list[float]] = {}
  left = []
  for key in wanted:
    done = study_results.load(folder, key)
    if done is None:
      left.append(key)
    else:
      known.setdefault(key.method, []).append(done.wall_s / _lengths(study, key))
  gain = {key.method: processes if key.method in known else _SIDE_BY_SIDE ** (processes > 1) for key in left}
  total = sum(_cell_s(study, key, known.get(key.method)) / gain[key.method] for key in left)
  sources = {key.method for key in left} & set(_SLOW_SOURCE)
  total += sum(_SLOW_SOURCE[name] * study.pretrain.steps / 3000 for name in sources)
  there = study.source_network != pretrained.TRAIN or os.path.isdir(os.path.join(folder, "checkpoint"))
  return total + (0 if there else 60.0 * study.pretrain.steps / 3000)


def longest_first(study: study_config.Study, wanted: Sequence[Key]) -> list[Key]:
  """The order in which cells that run side by side end together: short ones fill what is left at the end."""
  return sorted(wanted, key=lambda key: -_cell_s(study, key, None))


def _cell_s(study: study_config.Study, key: Key, known: list[float] | None) -> float:
  return _lengths(study, key) * _run_s(study, key.method, known)


def _lengths(study: study_config.Study, key: Key) -> float:
  """How many times the study's steps a cell takes: all settings at the first seed, where one is chosen; later the middle one."""
  lengths = [setting.steps for setting in settings(study, key.method)]
  return sum(lengths) if key.seed == study.seeds[0] else float(np.median(lengths))


def _run_s(study: study_config.Study, name: str, known: list[float] | None) -> float:
  if known:
    return float(np.median(known))
  if not trained(study, name):
    return _SLOW.get(name, _CLOSED_S)
  return _SLOW.get(name.partition("/")[0], _TRAINED_S) * study.steps / 600
