"""Linear waves in the arterial network, by frequency: impedances, π-sections, terminals, transfer functions.

    Z' = jωρ / [A (1 − F₁₀(α))] = [jωρ + (μ/r²) K(α)] / A,     α = r √(ωρ/μ)       (Womersley 1955)
    Y' = jω C' / (1 + jωτ)                                                          (viscoelastic wall)

F₁₀ = 2 J₁(α j^{3/2}) / (α j^{3/2} J₀(α j^{3/2})). The friction K(α) = jα² F₁₀/(1 − F₁₀) is 8 in the steady limit
(Poiseuille) and grows like α. It is therefore interpolated from a table, and ω = 0 is no special case.

A uniform piece of length l is a π-section of series impedance Z'l·sinhc(h)·cosh(h) and shunts (Y'l/2)·sinhc(h)/cosh(h),
h = √(Z'Y') l/2: exact, and entire in h², so that no complex root is needed.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from cap_jax.arteries import elimination, network, wall
from cap_jax.arteries.elimination import reciprocal

# Admittances are counted in mm³/(s·Pa): SI values of 1e-10 would underflow in the squares of single precision.
_SCALE = 1e9
_ALPHA_MAX = 300.0
_TABLE_SIZE = 512
RHO = 1060.0  # kg/m³
MU = 2.5e-3  # Pa·s
_POISEUILLE = 8.0  # the friction K of a parabolic profile


class Physics(NamedTuple):
  """Options of blood and wall; scalars, so that they can differ between subjects and have gradients.

  Attributes:
    womersley: weight of Womersley's oscillatory friction; at 0 the friction is the steady one of Poiseuille at all
      frequencies, as in most 1-D solvers.
    viscosity: factor on the wall viscosity Γ; 0 is an elastic wall.
    rho, mu: density [kg/m³] and viscosity [Pa·s] of blood.
  """

  womersley: jax.Array | float = 1.0
  viscosity: jax.Array | float = 1.0
  rho: jax.Array | float = RHO
  mu: jax.Array | float = MU


class Pieces(NamedTuple):
  """Uniform vessel pieces, each (piece,), SI: reference radius, length, Eh/r₀."""

  radius_m: jax.Array
  length_m: jax.Array
  eh_over_r_pa: jax.Array


class Terminals(NamedTuple):
  """R₁–C–R₂ loads in the order of `ArterialNetwork.terminal`, each (terminal,), SI."""

  r1: jax.Array
  r2: jax.Array
  c: jax.Array


class Response(NamedTuple):
  """Response of a network to a unit flow at its root, by frequency.

  Attributes:
    z_in_k: (frequency,) input impedance [Pa·s/m³]; at ω = 0 the resistance from root to terminals' outlet.
    h_pk: (site, frequency) pressure at each site over the pressure at the root.
    y_pk: (site, frequency) flow through each site, downstream, over the pressure at the root [m³/(s·Pa)]; only from a
      network with flows.
  """

  z_in_k: jax.Array
  h_pk: jax.Array
  y_pk: jax.Array | None = None


@functools.cache
def _friction_table() -> np.ndarray:
  """Returns K(α) at α = α_max (i/(n−1))², complex64; denser where K bends."""
  alpha = _ALPHA_MAX * np.linspace(0, 1, _TABLE_SIZE) ** 2
  alpha[0] = 1e-3
  z = alpha * np.exp(0.75j * np.pi)
  f10 = 2 * scipy.special.jve(1, z) / (z * scipy.special.jve(0, z))
  return (1j * alpha**2 * f10 / (1 - f10)).astype(np.complex64)


def womersley_friction(alpha: jax.Array) -> jax.Array:
  """Returns K(α), linear in a table over √α; beyond the table (α > 300) continued along its last chord."""
  place = jnp.sqrt(jnp.maximum(alpha, 1e-6) / _ALPHA_MAX) * (_TABLE_SIZE - 1)
  left = jnp.clip(jax.lax.stop_gradient(place).astype(jnp.int32), 0, _TABLE_SIZE - 2)
  table = jnp.asarray(_friction_table())
  share = place - left
  return table[left] * (1 - share) + table[left + 1] * share


def cosh_sinhc(h2: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns cosh(h) and sinh(h)/h as functions of h², by Taylor series at h/4 and two doublings. |h|² up to 30."""
  u2 = h2 / 16
  s = 1 + u2 / 6 * (1 + u2 / 20 * (1 + u2 / 42 * (1 + u2 / 72 * (1 + u2 / 110))))
  c = 1 + u2 / 2 * (1 + u2 / 12 * (1 + u2 / 30 * (1 + u2 / 56 * (1 + u2 / 90))))
  for _ in range(2):
    c, s, u2 = 1 + 2 * u2 * s * s, s * c, 4 * u2
  return c, s


def pi_sections(
  physics: Physics, pieces: Pieces, transmural_pa: jax.Array, omega_k: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns the series and shunt admittances [m³/(s·Pa)] of the pieces, each (piece, frequency).

  Args:
    physics: options.
    pieces: geometry and stiffness.
    transmural_pa: steady P − P_ext at which the tube law is linearised, scalar or (piece,).
    omega_k: (frequency,) angular frequencies [rad/s], 0 allowed.
  """
  area = wall.operating_area(pieces.radius_m, pieces.eh_over_r_pa, transmural_pa)
  compliance = wall.compliance(pieces.radius_m, pieces.eh_over_r_pa, area)
  tau = wall.relaxation_time(pieces.radius_m, compliance, area) * physics.viscosity
  r2 = area / jnp.pi
  jw = 1j * omega_k[None, :]
  # the root is clamped: its derivative at ω = 0 would be infinite
  alpha = jnp.sqrt(jnp.maximum(r2[:, None] * omega_k[None, :] * (physics.rho / physics.mu), 1e-6))
  friction = _POISEUILLE + physics.womersley * (womersley_friction(alpha) - _POISEUILLE)
  z_per_m = (jw * physics.rho + (physics.mu / r2)[:, None] * friction) / area[:, None]
  y_per_m = jw * compliance[:, None] * reciprocal(1 + jw * tau[:, None])
  length = pieces.length_m[:, None]
  c, s = cosh_sinhc(z_per_m * y_per_m * (length / 2) ** 2)
  return reciprocal(z_per_m * length * s * c), y_per_m * (length / 2) * s * reciprocal(c)


def terminal_admittance(terminals: Terminals, omega_k: jax.Array) -> jax.Array:
  """Returns the admittance of R₁ + R₂/(1 + jωR₂C), (terminal, frequency) [m³/(s·Pa)].

  Args:
    terminals: the loads.
    omega_k: (frequency,) angular frequencies [rad/s].
  """
  jw = 1j * omega_k[None, :]
  r1, r2, c = (x[:, None] for x in terminals)
  return 1 / (r1 + r2 / (1 + jw * r2 * c))


def poiseuille_resistance(physics: Physics, pieces: Pieces, transmural_pa: jax.Array) -> jax.Array:
  """Returns 8πμl/A² at the operating area, (piece,) [Pa·s/m³].

  Args:
    physics: options.
    pieces: geometry and stiffness.
    transmural_pa: operating P − P_ext, scalar or (piece,).
  """
  area = wall.operating_area(pieces.radius_m, pieces.eh_over_r_pa, transmural_pa)
  return _POISEUILLE * jnp.pi * physics.mu * pieces.length_m / area**2


def characteristic_impedance(radius_m: jax.Array, eh_over_r_pa: jax.Array, rho: jax.Array | float) -> jax.Array:
  """Returns Z₀ = ρ c₀/A₀ [Pa·s/m³] at the reference state.

  Args:
    radius_m: reference radius r₀ [m].
    eh_over_r_pa: Eh/r₀ [Pa].
    rho: blood density [kg/m³].
  """
  return jnp.sqrt(2 / 3 * eh_over_r_pa * rho) / (jnp.pi * radius_m**2)


def _in_halves(function: Callable[[Any], Any], tree: Any) -> Any:
  """Maps `function` over the leading axis in a loop of two iterations.

  Without the loop, XLA fuses the π-sections into every gather that reads them and computes them some twenty times.
  """
  size = jax.tree.leaves(tree)[0].shape[0]
  half = -(-size // 2)
  padded = jax.tree.map(lambda x: jnp.concatenate([x, x[: 2 * half - size]]).reshape(2, half, *x.shape[1:]), tree)
  return jax.tree.map(lambda x: x.reshape(2 * half, *x.shape[2:])[:size], jax.lax.map(function, padded))


def respond(
  net: network.ArterialNetwork,
  physics: Physics,
  pieces: Pieces,
  terminals: Terminals,
  transmural_pa: jax.Array,
  omega_k: jax.Array,
) -> Response:
  """Solves the network for a unit flow at the root.

  It takes one subject; use `vmap` for more.

  Args:
    net: topology.
    physics: options.
    pieces, terminals: the subject's parameters.
    transmural_pa: operating P − P_ext, scalar or (piece,).
    omega_k: (frequency,) angular frequencies [rad/s], 0 allowed.
  """
  transmural_p = jnp.broadcast_to(transmural_pa, pieces.radius_m.shape)
  series_pk, shunt_pk = _in_halves(lambda part: pi_sections(physics, part[0], part[1], omega_k), (pieces, transmural_p))
  y_wk = terminal_admittance(terminals, omega_k)
  ground_admittances = jnp.concatenate([shunt_pk, shunt_pk, y_wk, jnp.zeros_like(y_wk[:1])])
  ground_nk = ground_admittances[net.ground_parts].sum(1)
  y_ek = _SCALE * jnp.concatenate([series_pk, ground_nk])
  y_root_k, v_pk = elimination.solve(net.schedule, y_ek)
  sites = len(net.sites)
  h_pk, other_pk, end_wk = v_pk[:sites], v_pk[sites : 2 * sites], v_pk[2 * sites :]
  if not other_pk.shape[0]:
    return Response(_SCALE / y_root_k, h_pk)
  # the flow at the end of a piece is y (v_a − v_b) less that of its shunt; at its beginning it includes that of the
  # shunt
  sign = np.where(net.site_at_end, 1.0, -1.0)[:, None].astype(np.float32)
  y_pk = sign * (series_pk[net.site_piece] * (other_pk - h_pk) - shunt_pk[net.site_piece] * h_pk)
  # in the large arteries the pressure difference of steady flow is too small for single precision: the flow there is
  # the sum of those of their terminals
  behind_p = net.downstream.astype(np.float32) @ (y_wk * end_wk)
  steady = jnp.asarray(net.downstream.any(axis=1))[:, None] & (omega_k == 0)[None, :]
  return Response(_SCALE / y_root_k, h_pk, jnp.where(steady, behind_p, y_pk))


def piece_values(net: network.ArterialNetwork, at_inlet: jax.Array, at_outlet: jax.Array) -> jax.Array:
  """Returns a quantity that is linear along each artery, at the middle of each piece, (piece,).

  Args:
    net: topology.
    at_inlet, at_outlet: (artery,) values at both ends.
  """
  middle = ((net.start + net.end) / 2).astype(np.float32)
  return at_inlet[net.artery] * (1 - middle) + at_outlet[net.artery] * middle


def piece_lengths(net: network.ArterialNetwork, length_m: jax.Array) -> jax.Array:
  """Returns the lengths of the pieces, (piece,), from those of the arteries, (artery,)."""
  return length_m[net.artery] * (net.end - net.start).astype(np.float32)


def periodic(response_k: jax.Array, spectrum_k: jax.Array, samples: int) -> jax.Array:
  """Returns one period of a response to a periodic source, (samples,).

  Args:
    response_k: (harmonic,) response at the harmonics 0…K.
    spectrum_k: (harmonic,) coefficients c_k of Σ c_k e^{jkω₀t}, k ≥ 0, of the real source.
    samples: per period.
  """
  product = response_k * spectrum_k
  return jnp.fft.irfft(product * samples, n=samples)
