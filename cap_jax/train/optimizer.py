"""The optimiser: decoupled weight decay for trained parameters, no update for frozen ones.

    θ ← θ − η(s/S) (direction + w θ)

with the direction of Adam (Loshchilov & Hutter 2019),

    m, v ← moments of clip(g);     direction = m̂/(√v̂ + ε)

with β₁ = 0.9 for m, or 0.5 in `adam_short`, for adversaries: a long memory of the gradient keeps pushing after the other
player has answered, and the two swing round their equilibrium (Radford et al. 2016). Or, for matrices, that of Muon
(Jordan et al. 2024): the orthogonal factor of the momentum, computed by the Newton–Schulz iteration,

    m ← β m + clip(g);     direction = U Vᵀ √max(1, columns/rows),     m = U S Vᵀ

with Nesterov momentum in both. docs/experiments.md has the results. The clip sits inside the label: outside, the
gradients of frozen blocks would count in the norm. The learning rate is not part of the transformation. It depends on
the share s/S of the steps done, so one compiled program serves every length of training and every rate.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cap_jax.types import InputError, Params

# The transformations see few arrays instead of dozens of leaves: XLA compiles a kernel for each operation on each array, and a small
# network would spend its steps on starting them.
_VECTOR = "vector"
_NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5  # a row an iteration: rows are scanned, one alone is unrolled


def _group(leaf: jax.Array) -> str:
  """Returns the name of the array that a leaf belongs to: the shape of a matrix, one name for all others."""
  return str(leaf.shape) if leaf.ndim == 2 else _VECTOR


def _groups(tree: Params) -> dict[str, list[jax.Array]]:
  """Returns the leaves of each group, in their order in the tree."""
  groups: dict[str, list[jax.Array]] = {}
  for leaf in jax.tree.leaves(tree):
    groups.setdefault(_group(leaf), []).append(leaf)
  return groups


def _stack(tree: Params) -> dict[str, jax.Array]:
  """Returns matrices of equal shape as one array, (matrix, row, column), and all other leaves as one vector."""
  return {
    name: jnp.concatenate([leaf.ravel() for leaf in leaves]) if name == _VECTOR else jnp.stack(leaves)
    for name, leaves in _groups(tree).items()
  }


def _unstack(stacks: dict[str, jax.Array], like: Params) -> Params:
  """Returns the leaves of `_stack` as a tree."""
  parts = {}
  for name, leaves in _groups(like).items():
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1] if name == _VECTOR else len(leaves)
    parts[name] = iter(jnp.split(stacks[name], ends))
  leaves, structure = jax.tree.flatten(like)
  return jax.tree.unflatten(structure, [next(parts[_group(leaf)]).reshape(leaf.shape) for leaf in leaves])


def _stacked(inner: optax.GradientTransformation) -> optax.GradientTransformation:
  """Applies a transformation to stacks of matrices and a vector of all else."""

  def update(updates: Params, state: optax.OptState, params: Params) -> tuple[Params, optax.OptState]:
    stacks, state = inner.update(_stack(updates), state, _stack(params))
    return _unstack(stacks, updates), state

  return optax.GradientTransformation(lambda params: inner.init(_stack(params)), update)


def _adam(clip: float, weight_decay: float, b1: float = 0.9) -> optax.GradientTransformation:
  return optax.flatten(_decayed(optax.scale_by_adam(b1), clip, weight_decay))


def _muon(clip: float, weight_decay: float) -> optax.GradientTransformation:
  matrix = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
  direction = optax.contrib.muon(
    1.0,
    ns_coeffs=_NEWTON_SCHULZ,
    muon_weight_dimension_numbers=lambda stacks: {name: None if name == _VECTOR else matrix for name in stacks},
  )
  # muon already negates the direction
  return _stacked(_decayed(optax.chain(direction, optax.scale(-1.0)), clip, weight_decay))


def _decayed(direction: optax.GradientTransformation, clip: float, weight_decay: float) -> optax.GradientTransformation:
  return optax.chain(optax.clip_by_global_norm(clip), direction, optax.add_decayed_weights(weight_decay))


# name → (clip, weight decay) → transformation
OPTIMIZERS: dict[str, Callable[[float, float], optax.GradientTransformation]] = {
  "adam": _adam,
  "adam_short": functools.partial(_adam, b1=0.5),
  "muon": _muon,
}


def check(kind: str) -> None:
  """Checks the name of an optimiser.

  Raises:
    InputError: no optimiser has this name.
  """
  if kind not in OPTIMIZERS:
    raise InputError(f"optimizer {kind!r} is unknown; choose from {', '.join(OPTIMIZERS)}")


def make_optimizer(
  labels: Callable[[Params], Any], weight_decay: float, clip: float, kind: str = "adam"
) -> optax.GradientTransformation:
  """Returns a transformation to directions of descent for "train" leaves and zero for "freeze" leaves.

  "freeze" leaves have no state.

  Args:
    labels: parameters → tree (or prefix tree) of "train" and "freeze".
    weight_decay: w.
    clip: largest global norm of the trained gradient.
    kind: direction, a name in `OPTIMIZERS`.

  Raises:
    InputError: the kind is unknown.
  """
  check(kind)
  trained = OPTIMIZERS[kind](clip, weight_decay)
  return optax.multi_transform({"train": trained, "freeze": optax.set_to_zero()}, labels)


def learning_rate(progress: jax.Array, peak: jax.Array, warmup: float) -> jax.Array:
  """Returns η at a share of the training: linear to the peak during the warm-up, then half a cosine to zero.

  Args:
    progress: share of the steps done, in [0, 1].
    peak: largest η.
    warmup: share of the steps for the warm-up.
  """
  fall = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip((progress - warmup) / (1 - warmup), 0, 1))
  return peak * jnp.where(progress < warmup, progress / warmup, fall)
