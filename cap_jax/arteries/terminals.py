"""Terminal loads: vascular beds shared among the arteries that feed them.

Total resistance [mmHg·s/ml] and compliance [ml/mmHg] of the beds: Mynard & Smolich 2015. Within a bed the conductance
and the compliance are divided in proportion to the outlet area.

A terminal is R₁–C–R₂. R₁ = Z₀ (1 + Γ)/(1 − Γ): a wave too fast for C meets R₁ alone, and a fraction Γ of it is
reflected. Γ = 0 is the matched end of most 1-D models.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.arteries import network, waves

MMHG_PA = 133.322
_BEDS: tuple[tuple[tuple[int, ...], float, float], ...] = (
  ((62, 63, 69, 70, 72, 73, 74, 76, 93, 95), 6.904, 0.02173),
  ((78, 80, 82, 84, 86, 88, 89, 90, 91, 92), 20.755, 0.02650),
  ((10, 102, 103, 104, 105), 16.852, 0.03264),
  ((24, 112, 113, 114, 115), 16.852, 0.03264),
  ((26,), 10.824, 0.05081),
  ((36,), 8.368, 0.06573),
  ((38,), 8.368, 0.06573),
  ((32,), 21.252, 0.02606),
  ((33,), 27.832, 0.01976),
  ((31,), 54.084, 0.01017),
  ((34, 40), 10.374, 0.05302),
  ((45, 51), 26.119, 0.02106),
  ((53,), 32.290, 0.01703),
  ((47,), 32.290, 0.01703),
  ((54, 55), 14.786, 0.03720),
  ((48, 49), 14.824, 0.03710),
)


def _membership(net: network.ArterialNetwork) -> np.ndarray:
  """Returns the (bed, terminal) matrix of 0 and 1.

  Raises:
    ValueError: a terminal belongs to no bed or to two.
  """
  numbers = network.read_table().number[net.terminal]
  member = np.array([[number in bed for number in numbers.tolist()] for bed, _, _ in _BEDS])
  if not (member.sum(0) == 1).all():
    raise ValueError(f"terminal arteries {numbers[member.sum(0) != 1].tolist()} do not belong to exactly one bed")
  return member.astype(np.float32)


@functools.cache
def flow_shares() -> np.ndarray:
  """Returns the signed fraction of the cardiac output that flows steadily through each artery, (artery,).

  It is a nodal analysis of the reference network: reference radii and beds, in double precision.
  """
  net, table = network.reference_network(), network.read_table()
  member = _membership(net).astype(float)
  area = table.radius_out_m[net.terminal] ** 2
  bed_pa = np.array([r for _, r, _ in _BEDS]) * MMHG_PA * 1e6
  radius = (table.radius_in_m + table.radius_out_m) / 2
  conductance = np.pi * radius**4 / (8 * waves.MU * table.length_m)
  nodes = {node: k for k, node in enumerate(sorted({*table.node_in.tolist(), *table.node_out.tolist()}))}
  start, end = (np.array([nodes[n] for n in ends.tolist()]) for ends in (table.node_in, table.node_out))
  matrix = np.zeros((len(nodes), len(nodes)))
  for i, j, sign in ((start, start, 1), (end, end, 1), (start, end, -1), (end, start, -1)):
    np.add.at(matrix, (i, j), sign * conductance)
  out = end[net.terminal]
  np.add.at(matrix, (out, out), area / (member.T @ (member @ area)) / (member.T @ bed_pa))
  source = np.zeros(len(nodes))
  source[nodes[1]] = 1.0
  pressure = np.linalg.solve(matrix, source)
  return conductance * (pressure[start] - pressure[end])


def network_resistance(
  net: network.ArterialNetwork, physics: waves.Physics, pieces: waves.Pieces, transmural_pa: jax.Array
) -> jax.Array:
  """Returns the steady resistance that the arteries add to that of the terminals in parallel [Pa·s/m³]: Σ φ² R.

  It is the power lost in the arteries with the flow fractions φ of the reference network. The true division of the flow
  loses the least power, so an error in φ has a second-order effect only.

  Args:
    net: topology.
    physics: options.
    pieces: geometry and stiffness.
    transmural_pa: operating P − P_ext, scalar or (piece,).
  """
  share = flow_shares()[net.artery].astype(np.float32)
  return (share**2 * waves.poiseuille_resistance(physics, pieces, transmural_pa)).sum()


def make_terminals(
  net: network.ArterialNetwork,
  radius_out_m: jax.Array,
  eh_over_r_pa: jax.Array,
  total_resistance: jax.Array,
  compliance_scale: jax.Array,
  reflection: jax.Array,
  rho: jax.Array | float,
) -> waves.Terminals:
  """Computes the loads of one subject.

  Args:
    net: topology of the 116 arteries.
    radius_out_m: (artery,) reference outlet radii.
    eh_over_r_pa: (artery,) stiffness at the outlets.
    total_resistance: of all terminals in parallel [mmHg·s/ml].
    compliance_scale: factor on the beds' compliance.
    reflection: Γ, between −1 and 1.
    rho: blood density [kg/m³].

  Returns:
    R₁ of the outlet's Z₀ and Γ (at most 0.9 R), R₂ = R − R₁, and C.
  """
  member = _membership(net)
  bed_r = np.array([r for _, r, _ in _BEDS], dtype=np.float32)
  bed_c = np.array([c for _, _, c in _BEDS], dtype=np.float32)
  radius = radius_out_m[net.terminal]
  area = radius**2
  share = area / (member.T @ (member @ area))
  scale = total_resistance * float((1 / bed_r).sum())
  r = (member.T @ bed_r) * scale / share * (MMHG_PA * 1e6)
  c = (member.T @ bed_c) * share * compliance_scale / (MMHG_PA * 1e6)
  z0 = waves.characteristic_impedance(radius, eh_over_r_pa[net.terminal], rho)
  r1 = jnp.minimum(z0 * (1 + reflection) / (1 - reflection), 0.9 * r)
  return waves.Terminals(r1, r - r1, c)
