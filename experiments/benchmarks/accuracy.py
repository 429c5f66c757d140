"""Measures the time until a network reconstructs the aortic waves of unseen virtual subjects to 0.5 mmHg, against
PyTorch.

The time includes compilation. The learning rate falls to zero at the end of a training, so the length is part of the
method: each method is trained for several lengths, and the shortest that reaches the accuracy counts. All methods
read the same windows in the same order.
"""

import bisect
import dataclasses
import time
from collections.abc import Callable

import jax
import numpy as np
import torch
import tqdm
from torch import nn

from cap_jax import config
from cap_jax.models import net as nets
from experiments.benchmarks import cases, held_out, torch_networks
from experiments.benchmarks.timing import Options, Row

GOAL_MMHG = 0.5
LADDER = (300, 600, 900, 1200, 1800, 2400, 3600)


def in_torch(there: held_out.HeldOut, model: config.Model, spec: config.Training, threads: int) -> held_out.Trained:
  """Trains the same network in PyTorch: AdamW, clipped gradients, warm-up and cosine decay.

  Args:
    there: training windows and unseen subjects.
    model: of the network.
    spec: of the training.
    threads: of PyTorch.

  Returns:
    Seconds and error.
  """
  torch.set_num_threads(threads)
  net, samples = nets.make_net(model), there.windows.samples
  network = torch_networks.TorchNetwork(net.init(jax.random.key(spec.seed), samples), model, samples)
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
    held_out.stacks(there, spec.batch, spec.steps), total=spec.steps // config.CHUNK, desc="PyTorch", leave=False
  ):
    part = {axis: torch_networks.moved(array) for axis, array in stack["source"].items()}
    for k in range(config.CHUNK):
      optimizer.zero_grad(set_to_none=True)
      output = network(part["x"][k], part["c"][k])
      (output[:, inner] - part["y"][k][:, inner]).square().mean().backward()
      nn.utils.clip_grad_norm_(trained, spec.clip)
      optimizer.step()
      schedule.step()
  torch_networks.finish()
  seconds = time.perf_counter() - began

  def apply(x_bt: np.ndarray) -> np.ndarray:
    with torch.no_grad():
      blocks = torch_networks.moved(x_bt).split(256)
      return torch.cat([network(x, x[:, :0]) for x in blocks]).cpu().numpy()

  return held_out.Trained(seconds, held_out.error(there, apply))


def shortest_good(train: Callable[[int], held_out.Trained]) -> tuple[int, held_out.Trained]:
  """Finds by bisection the shortest length of the ladder that reaches the accuracy.

  The bisection assumes that a longer training is a better one.

  Args:
    train: number of steps → training.

  Returns:
    The number of steps and the training; the longest if none reaches the accuracy.
  """
  reached: dict[int, held_out.Trained] = {}

  def good(count: int) -> bool:
    reached[count] = train(count)
    return reached[count].rmse_mmhg <= GOAL_MMHG

  place = min(bisect.bisect_left(LADDER, True, key=good), len(LADDER) - 1)
  return LADDER[place], reached[LADDER[place]]


def _detail(count: int, one: held_out.Trained) -> str:
  return f"{one.rmse_mmhg:.2f} mmHg after {count} steps" + (", not reached" if one.rmse_mmhg > GOAL_MMHG else "")


def rows(options: Options) -> list[Row]:
  """Measures the time to the accuracy: this project with Muon and Adam, the same network and a TCN in PyTorch with
  Adam."""
  there = held_out.load(options)
  token, tcn = cases.NETWORKS["token_cnn"], cases.NETWORKS["tcn"]
  adam, muon = config.Training(), config.Training(optimizer="muon")
  slow = dataclasses.replace(adam, learning_rate=3e-3)  # of the TCN, selected on validation subjects

  def of(spec: config.Training, count: int) -> config.Training:
    return dataclasses.replace(spec, steps=count)

  threads = max(options.threads)
  shortest = {
    "this project, Muon": shortest_good(lambda count: held_out.here(there, token, of(muon, count))),
    "this project, Adam": shortest_good(lambda count: held_out.here(there, token, of(adam, count))),
    "the same network in PyTorch, Adam": shortest_good(lambda count: in_torch(there, token, of(adam, count), threads)),
    "TCN in PyTorch, Adam": shortest_good(lambda count: in_torch(there, tcn, of(slow, count), threads)),
  }
  section = f"time to {GOAL_MMHG:g} mmHg"
  table_rows = [
    Row(section=section, name=name, value=one.seconds, unit="s", detail=_detail(count, one))
    for name, (count, one) in shortest.items()
  ]
  own, same, other = (shortest[name][1].seconds for name in ("this project, Muon", *list(shortest)[2:]))
  adam_s = shortest["this project, Adam"][1].seconds
  return [
    *table_rows,
    Row(section=section, name="TCN in PyTorch over this project", value=other / own, unit="×", target=5.0),
    Row(
      section=section,
      name="the same network and optimiser in PyTorch over this project",
      value=same / adam_s,
      unit="×",
      target=1.0,
    ),
  ]
