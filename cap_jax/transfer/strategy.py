"""A strategy is a value: what is taken from the source, what is held, and the pure loss.

    θ⁰ = θ_take^S ⊕ θ_rest^new,     θ_hold stays,     the rest minimises the loss

The training never asks for a strategy's name; a new one is a new value.
"""

import dataclasses
from collections.abc import Callable

from cap_jax.models.net import Net
from cap_jax.transfer import surgery
from cap_jax.types import LossFn, Params


@dataclasses.dataclass(frozen=True)
class Strategy:
  """One way to transfer.

  Attributes:
    equation: θ_t in the notation of the method.
    take: path prefixes that come from the source.
    hold: path prefixes that are not trained.
    make_loss: (net, margin) -> loss.
  """

  equation: str
  take: tuple[str, ...]
  hold: tuple[str, ...]
  make_loss: Callable[[Net, int], LossFn]

  @property
  def holds_features(self) -> bool:
    """Whether all of θ_f is held, so that the features of a window are computed once."""
    return "f" in self.hold

  def start(self, source: Params, fresh: Params) -> tuple[Params, list[surgery.Leaf]]:
    """θ⁰ and the report of the merge.

    Raises:
      surgery.MergeError: the trees do not fit together as asked.
    """
    return surgery.merge(source, fresh, self.take)
