"""Seconds of training until a network rebuilds the aortic waves of unseen virtual subjects to 0.5 mmHg, compiling included, against PyTorch.

A training's rate falls to zero at its end, so the length is part of the method: each is trained for the lengths of one ladder, and the
shortest that reaches the accuracy counts. All read the same windows in the same order.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
import tqdm
from torch import nn

from cap_jax import config
from cap_jax.data import batches
from cap_jax.evaluation import study_data
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.train import loop, runs, step
from cap_jax.transfer import pretraining
from experiments.benchmarks import steps, torch_networks
from experiments.benchmarks.timing import Options, Row

GOAL_MMHG = 0.5
LADDER = (300, 600, 900, 1200, 1800, 2400, 3600)
_CHUNK = 50


class Trained(NamedTuple):
  """Seconds of a training, and the error [mmHg] of its network."""

  seconds: float
  rmse_mmhg: float


class Ground(NamedTuple):
  """Training windows of a scaling, and who is rebuilt."""

  study: config.Study
  scaling: batches.Scaling
  training: dict[str, np.ndarray]
  unseen: batches.Pairs

  @property
  def windows(self) -> config.Windows:
    return self.study.windows


def ground(options: Options) -> Ground:
  """Exactly measured virtual subjects of 25 to 80 years."""
  study = config.Study(source="exact", source_subjects=options.subjects, validation_subjects=100)
  source = study_data.load_source(study)
  assert isinstance(source.training, batches.Pairs)
  scaling = batches.fit_scaling(source.training)
  return Ground(study, scaling, runs.arrays(scaling, source.training, study.model), source.validation)


def _error(there: Ground, apply: Callable[[np.ndarray], np.ndarray]) -> float:
  """Mean over the unseen subjects of the RMSE of their windows, less the margins."""
  inner = slice(there.windows.margin, there.windows.samples - there.windows.margin)
  rebuilt_bt = there.scaling.unscale(apply(there.scaling.scale(there.unseen.x_bt)))
  square_b = np.square(rebuilt_bt - there.unseen.y_bt)[:, inner].mean(1)
  names, subject_b = np.unique(there.unseen.subject_b, return_inverse=True)
  return float(np.sqrt(np.bincount(subject_b, square_b) / np.bincount(subject_b)).sum() / len(names))


def _stacks(there: Ground, batch: int, count: int) -> Any:
  return batches.stacks({"source": there.training}, batch, count, _CHUNK, 0)


def here(there: Ground, model: config.Model, spec: config.Training) -> Trained:
  """A training of this project, with nothing compiled before."""
  jax.clear_caches()
  step.make_trainer.cache_clear()
  net = nets.make_net(model)
  began = time.perf_counter()
  loss = tasks.TASKS["waveform"].make_loss(net, there.windows.margin)
  total = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, loss, loss))
  fresh = net.init(jax.random.key(spec.seed), there.windows.samples)
  plans = loop.plan(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  fitted = loop.fit(net, total, plans, fresh, {"source": there.training}, spec, "accuracy")
  seconds = time.perf_counter() - began
  no_covariate = np.zeros((len(there.unseen.x_bt), 0), np.float32)
  return Trained(seconds, _error(there, lambda x_bt: loop.apply(net, fitted.params, x_bt, no_covariate)))


def in_torch(there: Ground, model: config.Model, spec: config.Training, threads: int) -> Trained:
  """The same in PyTorch: AdamW, clipped gradients, warm-up and cosine."""
  torch.set_num_threads(threads)
  net, samples = nets.make_net(model), there.windows.samples
  network = torch_networks.Network(net.init(jax.random.key(spec.seed), samples), model, samples)
  began = time.perf_counter()
  trained = list(network.parameters())
  optimizer = torch.optim.AdamW(trained, lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True)

  def factor(k: int) -> float:
    share = k / spec.steps
    if share < spec.warmup:
      return share / spec.warmup
    return 0.5 + 0.5 * float(np.cos(np.pi * (share - spec.warmup) / (1 - spec.warmup)))

  schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
  inner = slice(there.windows.margin, samples - there.windows.margin)
  for stack in tqdm.tqdm(
    _stacks(there, spec.batch, spec.steps), total=spec.steps // _CHUNK, desc="PyTorch", leave=False
  ):
    part = {axis: torch.from_numpy(array) for axis, array in stack["source"].items()}
    for k in range(_CHUNK):
      optimizer.zero_grad(set_to_none=True)
      said = network(part["x"][k], part["c"][k])
      (said[:, inner] - part["y"][k][:, inner]).square().mean().backward()
      nn.utils.clip_grad_norm_(trained, spec.clip)
      optimizer.step()
      schedule.step()
  seconds = time.perf_counter() - began

  def apply(x_bt: np.ndarray) -> np.ndarray:
    with torch.no_grad():
      blocks = torch.from_numpy(x_bt).split(256)
      return torch.cat([network(x, torch.zeros(len(x), 0)) for x in blocks]).numpy()

  return Trained(seconds, _error(there, apply))


def first_good(train: Callable[[int], Trained]) -> tuple[int, Trained]:
  """The shortest length of the ladder that reaches the accuracy, or the longest."""
  for count in LADDER:
    found = train(count)
    if found.rmse_mmhg <= GOAL_MMHG:
      break
  return count, found


def rows(options: Options) -> list[Row]:
  """Time to the accuracy: this project with its own optimiser and with Adam; PyTorch's same network and TCN with Adam."""
  there = ground(options)
  token, tcn = steps.NETWORKS["token_cnn"], steps.NETWORKS["tcn"]
  adam, muon = config.Training(), config.Training(optimizer="muon")
  slow = dataclasses.replace(adam, learning_rate=3e-3)  # the TCN's, chosen on validation subjects

  def of(spec: config.Training, count: int) -> config.Training:
    return dataclasses.replace(spec, steps=count)

  threads = max(options.threads)
  found = {
    "this project, Muon": first_good(lambda count: here(there, token, of(muon, count))),
    "this project, Adam": first_good(lambda count: here(there, token, of(adam, count))),
    "the same network in PyTorch, Adam": first_good(lambda count: in_torch(there, token, of(adam, count), threads)),
    "TCN in PyTorch, Adam": first_good(lambda count: in_torch(there, tcn, of(slow, count), threads)),
  }
  section = f"time to {GOAL_MMHG:g} mmHg"
  made = [
    Row(section, name, one.seconds, "s", detail=f"{one.rmse_mmhg:.2f} mmHg after {count} steps")
    for name, (count, one) in found.items()
  ]
  own, same, other = (found[name][1].seconds for name in ("this project, Muon", *list(found)[2:]))
  adam_s = found["this project, Adam"][1].seconds
  return [
    *made,
    Row(section, "TCN in PyTorch over this project", other / own, "×", 5.0),
    Row(section, "the same network and optimiser in PyTorch over this project", same / adam_s, "×", 1.0),
  ]
