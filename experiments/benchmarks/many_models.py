"""Measures many small trainings in one program: leave-one-subject-out, personal fine-tuning and seeds.

Each is compared with the same trainings one after another, and personal fine-tuning also with a loop in PyTorch.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from concurrent import futures
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.data import batches
from cap_jax.strategies import find
from cap_jax.study import study_config, study_datasets, training
from cap_jax.train import checkpoint, domains, prediction, runs, vmapped_training
from experiments.benchmarks import timing
from experiments.benchmarks.timing import Options, Row

_PEOPLE, _SEEDS, _STEPS = 64, 16, 100
_PERSONAL, _LOOPED = (64, 1024), 16  # fine-tunings, and those of PyTorch's loop
_NAME = "fine_tuning/head"
_BUDGET = runs.Budget(_STEPS)
_SECTION = "many models at once"


def load() -> tuple[study_config.Study, checkpoint.Checkpoint, domains.Data]:
  """Returns the study, a briefly trained source, and 64 labelled subjects of `population`, a minute each.

  The packaged networks read the labels of a clinic as its context, so their scaling differs between draws of subjects.
  """
  study = study_config.Study(
    scenario="population", source_subjects=40, labelled_subjects=_PEOPLE, unlabelled_subjects=2, validation_subjects=2,
    test_subjects=2, steps=_STEPS, n_target=(_PEOPLE,), seeds=(0,), pretrain=config.Training(steps=_STEPS),
  )  # fmt: skip
  source, target = study_datasets.load_source(study), study_datasets.load_target(study)
  trained, _ = training.pretrained(study, source.training, source.validation, source.origin)
  return study, trained, target.data(source, _PEOPLE, 0)


def _rmse(adapted: runs.Adapted, windows: batches.Pairs) -> float:
  return float(np.sqrt(np.square(prediction.predict(adapted.checkpoint, windows) - windows.y_bt).mean()))


def _train_one_by_one(
  study: study_config.Study, trained: checkpoint.Checkpoint, data: domains.Data, draw: vmapped_training.Draw
) -> runs.Adapted:
  assert data.labelled is not None
  own = dataclasses.replace(data, labelled=data.labelled.of(draw.subjects))
  return training.adapt(study, _NAME, trained, own, draw.seed)


def _one_by_one(
  study: study_config.Study, trained: checkpoint.Checkpoint, data: domains.Data, draws: list[vmapped_training.Draw]
) -> list[runs.Adapted]:
  return [_train_one_by_one(study, trained, data, draw) for draw in draws]


def _torch_loop(
  study: study_config.Study, trained: checkpoint.Checkpoint, data: domains.Data, draws: list[vmapped_training.Draw]
) -> Callable[[], Any]:
  """Returns a call of the same head fine-tunings in PyTorch, one after another, each computing its features once."""
  import torch
  from torch import nn

  from experiments.benchmarks import torch_networks

  assert data.labelled is not None
  samples, margin = study.windows.samples, study.windows.margin
  inner = slice(margin, samples - margin)
  subject_b = data.labelled.subject_b
  whole = domains.arrays(trained.scaling, data.labelled, trained.model)

  def run() -> None:
    for draw in draws:
      network = torch_networks.TorchNetwork(trained.params, trained.model, samples)
      network.f.requires_grad_(False)
      head = list(network.r.parameters())
      optimizer = torch.optim.AdamW(head, lr=1e-3, weight_decay=1e-2, fused=True)
      rows = np.flatnonzero(np.isin(subject_b, draw.subjects))
      part = {axis: torch_networks.moved(array[rows]) for axis, array in whole.items()}
      with torch.no_grad():
        part["h"] = network.f(part["x"], part["c"])
      order = batches.stacks({"target": {"x": np.arange(len(rows))}}, study.batch, study.steps, config.CHUNK, draw.seed)
      for stack in order:
        for at in torch_networks.moved(stack["target"]["x"]):
          optimizer.zero_grad(set_to_none=True)
          output = network.r(part["h"][at], part["x"][at])
          (output[:, inner] - part["y"][at][:, inner]).square().mean().backward()
          nn.utils.clip_grad_norm_(head, 1.0)
          optimizer.step()
    torch_networks.finish()

  return run


def _products(study: study_config.Study, trained: checkpoint.Checkpoint, trainings: int) -> Callable[[], Any]:
  """Returns a call of nothing but the two large products of each step: the head's convolution and its gradient.

  Each takes the tokens of a batch, (batch · token, 3 · feature), so no program that trains these heads is faster.
  """
  inputs, outputs = trained.params["r"]["conv"]["matrix"]["kernel"].shape
  x = np.zeros((1, study.windows.samples), np.float32)
  covariates = np.zeros((1, trained.net.covariates), np.float32)
  tokens = jax.eval_shape(trained.net.features, trained.params["f"], x, covariates).shape[1]
  rng = np.random.default_rng(0)
  read = jnp.asarray(rng.standard_normal((study.batch * tokens, inputs)), jnp.float32)
  slope = jnp.asarray(rng.standard_normal((study.batch * tokens, outputs)), jnp.float32)

  @jax.jit
  def products(kernel: jax.Array) -> jax.Array:
    def turn(kernel: jax.Array, _: None) -> tuple[jax.Array, None]:
      output = read @ kernel
      return kernel - 1e-9 * (read.T @ (slope + output)), None  # each needs the one before, so none is left out

    return jax.lax.scan(turn, kernel, None, length=study.steps)[0]

  def run() -> None:
    with futures.ThreadPoolExecutor(os.cpu_count() if jax.default_backend() == "cpu" else 1) as pool:
      starts = [jnp.zeros((inputs, outputs), jnp.float32)] * trainings
      list(pool.map(lambda kernel: jax.block_until_ready(products(kernel)), starts))

  return run


def _time(
  options: Options,
  label: str,
  study: study_config.Study,
  trained: checkpoint.Checkpoint,
  data: domains.Data,
  draws: list[vmapped_training.Draw],
) -> timing.Times:
  """Times trainings in one program and one after another, personal ones in PyTorch too."""
  calls: dict[str, Callable[[], Any]] = {
    "together": functools.partial(vmapped_training.adapt, find(_NAME), trained, data, draws, _BUDGET),
    "one after another": functools.partial(_one_by_one, study, trained, data, draws),
  }
  if "patients" in label:
    import torch

    torch.set_num_threads(max(options.threads))
    calls["PyTorch"] = _torch_loop(study, trained, data, draws)
    calls["products"] = _products(study, trained, len(draws))
  return timing.in_turns(calls, max(options.turns // 2, 1), label)


def _furthest_apart(
  study: study_config.Study, trained: checkpoint.Checkpoint, data: domains.Data, draws: list[vmapped_training.Draw]
) -> float:
  """Returns the largest difference in RMSE between a training in one program and the same alone [mmHg]."""
  assert data.labelled is not None
  together = vmapped_training.adapt(find(_NAME), trained, data, draws[:4], _BUDGET)
  return max(
    abs(_rmse(one, data.labelled) - _rmse(_train_one_by_one(study, trained, data, draw), data.labelled))
    for one, draw in zip(together, draws, strict=False)
  )


def _ratio_row(
  label: str, slow: str, target: float | None, times: timing.Times, detail: str = "", fast: str = "together"
) -> Row:
  return Row(
    section=_SECTION,
    name=f"{label}: {slow} over {fast}",
    value=timing.ratio(times[slow], times[fast]),
    unit="×",
    target=target,
    at_least=True,
    detail=detail,
  )


def personal(options: Options) -> list[Row]:
  """Measures 64 and 1,024 fine-tunings of the head, for one patient each, against PyTorch's loop over 16 of them.

  PyTorch's loop takes the same time for each training, so a ratio compares the time of one.
  """
  import torch

  torch.set_num_threads(max(options.threads))
  study, trained, data = load()
  assert data.labelled is not None
  table_rows = []
  for count in _PERSONAL:
    draws = [
      vmapped_training.Draw((name,), seed) for seed in range(count // _PEOPLE) for name in data.labelled.subjects
    ]
    looped = draws[:_LOOPED]
    calls: dict[str, Callable[[], Any]] = {
      "together": functools.partial(vmapped_training.adapt, find(_NAME), trained, data, draws, _BUDGET),
      "PyTorch": _torch_loop(study, trained, data, looped),
    }
    times = timing.in_turns(calls, max(options.turns // 2, 1), f"{count} trainings")
    own_ms, other_ms = (
      1e3 * timing.median(times[name]) / size for name, size in (("together", count), ("PyTorch", len(looped)))
    )
    table_rows.append(
      Row(
        section=_SECTION,
        name=f"{count} fine-tunings: PyTorch's time for one over ours",
        value=timing.ratio(times["PyTorch"], times["together"]) * count / len(looped),
        unit="×",
        target=10.0,
        at_least=True,
        detail=f"{own_ms:.1f} ms here, {other_ms:.1f} ms PyTorch, {_STEPS} steps of the head each",
      )
    )
  return table_rows


def rows(options: Options) -> list[Row]:
  """Measures each kind of trainings against the same one after another, and how far the results differ."""
  study, trained, data = load()
  assert data.labelled is not None
  people = data.labelled.subjects
  kinds = {
    f"leave one of {_PEOPLE} out": vmapped_training.leave_one_out(people),
    f"{_PEOPLE} patients, one network each": [vmapped_training.Draw((name,), 0) for name in people],
    f"{_SEEDS} seeds": [vmapped_training.Draw(people, seed) for seed in range(_SEEDS)],
  }
  table_rows = []
  for label, draws in kinds.items():
    times = _time(options, label, study, trained, data, draws)
    detail = f"{timing.median(times['together']):.1f} s for {len(draws)} trainings of {_STEPS} steps of the head"
    table_rows.append(_ratio_row(label, "one after another", 1.0, times, detail))
    if "PyTorch" in times:
      table_rows.append(_ratio_row(label, "PyTorch", 10.0, times, f"{timing.median(times['PyTorch']):.1f} s PyTorch"))
      detail = f"{timing.median(times['products']):.1f} s: no program of these steps is faster"
      table_rows.append(_ratio_row(label, "PyTorch", None, times, detail, "products"))
      table_rows.append(
        Row(
          section=_SECTION,
          name=f"{label}: largest difference from a separate training",
          value=_furthest_apart(study, trained, data, draws),
          unit="mmHg",
          target=1e-3,
          at_least=False,
        )
      )
  return table_rows
