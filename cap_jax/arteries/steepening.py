"""Steepening of waves, a first-order correction to the linear network: a pressure changes the speed of its own wave.

On a wave running forward the blood moves at u = p/(ρc), and the tube law c² = (A/ρ) dP/dA = β√A/(2ρA₀) has dc/dp =
1/(4ρc). A level p above the operating point thus travels at c + 5p/(4ρc) (Riemann's simple wave) and arrives early by
κp,

    κ = ∫ 5/(4 ρ c³) dx from the root,     p(t) ← p(t + s κ (p(t) − p̄))

Reflected waves run against the blood and steepen less, so a subject has a factor s of its own; 0 is the linear network.
"""

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.arteries import network, wall, waves


def path_shares(net: network.ArterialNetwork) -> np.ndarray:
  """Returns 1 for the pieces on the path from the root to each site, 0 for the others, (site, piece).

  Where two arteries lead to a node, the path takes the one that comes first in the table.
  """
  table = network.read_table()
  into = {int(node): row for row, node in reversed(list(enumerate(table.node_out)))}
  shares = np.zeros((len(net.sites), len(net.artery)), dtype=np.float32)
  for site, (piece, at_end) in enumerate(zip(net.site_piece, net.site_at_end, strict=True)):
    row, reach = int(net.artery[piece]), net.end[piece] if at_end else net.start[piece]
    shares[site, (net.artery == row) & (net.end <= reach + 1e-6)] = 1
    while int(table.node_in[row]) in into:
      row = into[int(table.node_in[row])]
      shares[site, net.artery == row] = 1
  return shares


def earliness(
  net: network.ArterialNetwork, physics: waves.Physics, pieces: waves.Pieces, transmural_pa: jax.Array
) -> jax.Array:
  """Returns κ [s/Pa] of one subject, (site,).

  Args:
    net: topology.
    physics: options.
    pieces: geometry and stiffness.
    transmural_pa: operating P − P_ext, scalar or (piece,).
  """
  area = wall.operating_area(pieces.radius_m, pieces.eh_over_r_pa, transmural_pa)
  c2 = area / (physics.rho * wall.compliance(pieces.radius_m, pieces.eh_over_r_pa, area))
  return jnp.asarray(path_shares(net)) @ (5 / (4 * physics.rho) * pieces.length_m / (c2 * jnp.sqrt(c2)))


def steepen(p_pt: jax.Array, early_p: jax.Array, fs_hz: jax.Array | float) -> jax.Array:
  """Advances each level of a wave in proportion to its height above the mean.

  Between samples the wave is Catmull and Rom's cubic. A wave with `early_p` of 0 does not change.

  Args:
    p_pt: (site, time) waves that close on themselves.
    early_p: (site,) lead per height [s per unit of p].
    fs_hz: sampling rate.
  """
  time = p_pt.shape[1]
  lead = early_p[:, None] * (p_pt - p_pt.mean(1, keepdims=True)) * fs_hz
  shift = jnp.floor(lead)
  u = lead - shift
  first = jnp.arange(time)[None] + shift.astype(jnp.int32)
  a, b, c, d = (jnp.take_along_axis(p_pt, (first + k) % time, axis=1) for k in (-1, 0, 1, 2))
  return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
