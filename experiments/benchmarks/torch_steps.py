"""Runs a chunk of training steps in PyTorch: fused AdamW, clipped gradients; MMD and DANN by the formulas of TLlib
(https://github.com/thuml/Transfer-Learning-Library), reimplemented.

MMD of TLlib: MMD² = Σ K ∘ L with K the sum of Gaussian kernels of σ² = ½, 1, 2 times the mean squared distance of
the batch, and L of 1/(n(n−1)) within a domain, −1/n² across. DANN of TLlib: one discriminator behind a gradient
reversal, binary cross-entropy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from cap_jax.types import Params
from experiments.benchmarks import cases, torch_networks

_MARGIN = cases.MARGIN
_HIDDEN = 64
_ALPHAS = (0.5, 1.0, 2.0)


class _Reverse(torch.autograd.Function):
  @staticmethod
  def forward(ctx: Any, h: torch.Tensor) -> torch.Tensor:
    return h.view_as(h)

  @staticmethod
  def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
    return -gradient


def mmd(a_bd: torch.Tensor, b_bd: torch.Tensor) -> torch.Tensor:
  """Returns MMD² of equally many source and target features.

  Args:
    a_bd: (window, feature) of the source.
    b_bd: (window, feature) of the target.

  Returns:
    MMD².
  """
  n = len(a_bd)
  both = torch.cat([a_bd, b_bd])
  square = torch.cdist(both, both, compute_mode="use_mm_for_euclid_dist").square()
  mean = square.mean().detach()
  kernel = sum(torch.exp(-square / (2 * alpha * mean)) for alpha in _ALPHAS)
  index = torch.full((2 * n, 2 * n), -1 / n**2, device=square.device)
  index[:n, :n] = index[n:, n:] = 1 / (n * (n - 1))
  index.fill_diagonal_(0)
  return (kernel * index).sum()


def make(
  case: cases.Case, theta: Params, stack: dict[str, dict[str, np.ndarray]], samples: int, threads: int
) -> Callable[[], Any]:
  """Returns a function that runs a chunk and sets the number of threads.

  Args:
    case: the training.
    theta: initial parameters.
    stack: stream → array name → (step, window, value).
    samples: of a window.
    threads: of PyTorch.

  Returns:
    The function, which continues from the last call.
  """
  network = torch_networks.TorchNetwork(theta, case.model, samples)
  discriminator = nn.Sequential(
    nn.Linear(case.model.channels, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
  ).to(torch_networks.device())
  for block in case.freeze:
    getattr(network, block).requires_grad_(False)
  trained = [p for p in (*network.parameters(), *discriminator.parameters()) if p.requires_grad]
  if not case.strategy.endswith("dann"):
    trained = [p for p in network.parameters() if p.requires_grad]
  optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=1e-4, fused=True)
  tensors = {stream: {axis: torch_networks.moved(x) for axis, x in part.items()} for stream, part in stack.items()}
  inner = slice(_MARGIN, samples - _MARGIN) if case.model.head != "numbers" else slice(None)

  def loss_of(k: int) -> torch.Tensor:
    streams = list(tensors)
    windows = {stream: {axis: x[k] for axis, x in tensors[stream].items()} for stream in streams}
    h = network.f(*(torch.cat([windows[stream][axis] for stream in streams]) for axis in ("x", "c")))
    h_of = dict(zip(streams, h.chunk(len(streams)), strict=True))
    labelled = "target" if "target" in windows else "source"
    output = network.r(h_of[labelled], windows[labelled]["x"])
    loss = (output[:, inner] - windows[labelled]["y"][:, inner]).square().mean()
    if case.strategy.endswith(("mmd", "dann")):
      a, b = h_of["source"].mean(1), h_of["unlabelled"].mean(1)
      if case.strategy.endswith("mmd"):
        return loss + mmd(a, b)
      logit = discriminator(_Reverse.apply(torch.cat([a, b])))[:, 0]
      return loss + F.binary_cross_entropy_with_logits(
        logit, torch.cat([torch.ones_like(logit[: len(a)]), torch.zeros_like(logit[len(a) :])])
      )
    return loss

  def chunk() -> None:
    torch.set_num_threads(threads)
    for k in range(len(next(iter(tensors.values()))["x"])):
      optimizer.zero_grad(set_to_none=True)
      loss_of(k).backward()
      nn.utils.clip_grad_norm_(trained, 1.0)
      optimizer.step()
    torch_networks.finish()

  return chunk
