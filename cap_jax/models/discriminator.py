"""d: a classifier of the domain of pooled features, as one logit: positive for the target (Ganin & Lempitsky 2015).

The logit goes through a sigmoid; a softmax over a single output would be constant and learn nothing.
"""

import jax
from flax import linen as nn

_HIDDEN = 64


class Discriminator(nn.Module):
  """Maps features (batch, feature) to logits (batch,)."""

  @nn.compact
  def __call__(self, h_bd: jax.Array) -> jax.Array:
    u = nn.relu(nn.Dense(_HIDDEN, name="layer_0")(h_bd))
    u = nn.relu(nn.Dense(_HIDDEN, name="layer_1")(u))
    return nn.Dense(1, name="logit")(u)[:, 0]
