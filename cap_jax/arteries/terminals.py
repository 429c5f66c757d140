"""Terminal loads: vascular beds shared among the arteries that feed them.

Total resistance [mmHg·s/ml] and compliance [ml/mmHg] of the beds: Mynard & Smolich 2015. Within a bed the
conductance and the compliance are shared in proportion to the outlet area.
"""

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.arteries import network, wall, waves

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
# What falls between root and terminals in the network itself; the terminals take the rest of the pressure.
NETWORK_FALL_MMHG = 1.7


def _membership(net: network.Network) -> np.ndarray:
  """(bed, terminal) of 0 and 1.

  Raises:
    ValueError: a terminal belongs to no bed or to two.
  """
  numbers = network.read_table().number[net.terminal]
  member = np.array([[number in bed for number in numbers.tolist()] for bed, _, _ in _BEDS])
  if not (member.sum(0) == 1).all():
    raise ValueError(f"terminal arteries {numbers[member.sum(0) != 1].tolist()} do not belong to exactly one bed")
  return member.astype(np.float32)


def make_terminals(
  net: network.Network,
  radius_out_m: jax.Array,
  k3_pa: jax.Array,
  total_resistance: jax.Array,
  compliance_scale: jax.Array,
  rho: float,
) -> waves.Terminals:
  """Loads of one subject.

  Args:
    net: topology of the 116 arteries.
    radius_out_m: (artery,) reference outlet radii.
    k3_pa: stiffness parameter.
    total_resistance: of all terminals in parallel [mmHg·s/ml].
    compliance_scale: factor on the beds' compliance.
    rho: blood density [kg/m³].

  Returns:
    R₁ = Z₀ of the outlet (at most 0.9 R), R₂ = R − R₁, and C.
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
  r1 = jnp.minimum(waves.characteristic_impedance(radius, wall.stiffness(radius, k3_pa), rho), 0.9 * r)
  return waves.Terminals(r1, r - r1, c)
