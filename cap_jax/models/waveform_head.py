"""r: a head from features to the aortic wave on the clock of the input, as a correction of the input.

The wave is written in a smooth basis. Each token owns a piece of two patches centred on it, a sum of the lowest
cosines. Pieces overlap by half under raised cosines. With patches of 80 ms and 8 cosines the basis reaches 22 Hz: an
aortic pressure has no content above, noise has.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cap_jax.models import convolution
from cap_jax.types import DType


def cosine_basis(width: int, count: int) -> np.ndarray:
  """Returns orthonormal rows cos(π j (t + ½)/width), j < count, the start of the discrete cosine transform.

  Args:
    width: samples of a row.
    count: number of rows.

  Returns:
    (count, width).
  """
  rows = np.cos(np.pi * np.arange(count)[:, None] * (np.arange(width) + 0.5) / width)
  return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def cut_pieces(x_bt: jax.Array, patch: int) -> jax.Array:
  """Cuts the samples about each token, (batch, token, 2 · patch); the ends of the window repeat its last samples.

  Args:
    x_bt: (batch, time) windows.
    patch: samples of a patch.
  """
  batch, time = x_bt.shape
  padded = convolution.with_ends(x_bt, patch // 2, patch - patch // 2)
  first = padded[:, :time].reshape(batch, -1, patch)
  second = padded[:, patch:].reshape(batch, -1, patch)
  return jnp.concatenate([first, second], axis=-1)


def overlap_add(pieces_bnp: jax.Array) -> jax.Array:
  """Adds pieces of two patches, each centred on its token, under raised cosines that sum to one.

  Args:
    pieces_bnp: (batch, token, 2 · patch).

  Returns:
    (batch, token · patch); the half patch at each end is covered by one piece only.
  """
  batch, tokens, width = pieces_bnp.shape
  patch = width // 2
  weight = np.sin(np.pi * (np.arange(width) + 0.5) / width) ** 2
  weight_np = np.tile(weight, (tokens, 1))
  weight_np[0, :patch] = weight_np[-1, patch:] = 1
  weighted = jnp.pad(pieces_bnp * weight_np.astype(np.float32)[None], ((0, 0), (1, 1), (0, 0)))
  first = weighted[:, 1:, :patch].reshape(batch, -1)
  second = weighted[:, :-1, patch:].reshape(batch, -1)
  return (first + second)[:, patch // 2 : patch // 2 + tokens * patch]


class WaveformHead(nn.Module):
  """Maps features (batch, token, feature) and scaled windows (batch, time) to scaled aortic windows (batch, time).

  y = Σ pieces (Bx + W gelu(conv(h))) B with the basis B. The mean pressure falls by only 1–2 mmHg along the large
  arteries. A correction of x therefore keeps its level even at pressures that the network has not seen. A PPG
  without a unit has no level: x is then no more than a first guess of the shape.

  Raises:
    ValueError: the features are not of patches.
  """

  patch: int
  channels: int
  cosines: int
  dtype: DType = None

  @nn.compact
  def __call__(self, h_bnd: jax.Array, x_bt: jax.Array) -> jax.Array:
    if h_bnd.shape[1] * self.patch != x_bt.shape[1]:
      raise ValueError(
        f"{h_bnd.shape[1]} tokens for {x_bt.shape[1]} samples: the head `waveform` needs one token per {self.patch}"
      )
    basis_jp = jnp.asarray(cosine_basis(2 * self.patch, self.cosines))
    u = nn.gelu(convolution.ShiftedConv(self.channels, 3, dtype=self.dtype, name="conv")(h_bnd))
    coefficients_bnj = cut_pieces(x_bt, self.patch) @ basis_jp.T + nn.Dense(self.cosines, name="wave")(u)
    return overlap_add(coefficients_bnj @ basis_jp)
