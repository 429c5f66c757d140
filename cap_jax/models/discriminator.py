"""d: which domain pooled features come from, as one logit: positive for the target (Ganin & Lempitsky 2015).

One logit under a sigmoid. A softmax over a single output is constant and learns nothing.
"""

import jax
from flax import linen as nn

_HIDDEN = 64


class Discriminator(nn.Module):
  """Features (batch, feature) → logits (batch,)."""

  @nn.compact
  def __call__(self, h_bd: jax.Array) -> jax.Array:
    u = nn.relu(nn.Dense(_HIDDEN, name="layer_0")(h_bd))
    u = nn.relu(nn.Dense(_HIDDEN, name="layer_1")(u))
    return nn.Dense(1, name="logit")(u)[:, 0]
