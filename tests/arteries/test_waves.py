"""The linear solution against independent physics: a dense solve, a nonlinear solver, closed forms."""

import functools
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cap_jax import clinics
from cap_jax.arteries import cohort, heart, network, population, terminals, wall, waves
from cap_jax.arteries.terminals import MMHG_PA
from cap_jax.haemodynamics import indices, timing
from tests import tiers
from tests.arteries import people

RHO, MU = 1060.0, 2.5e-3


def exact_line(r, length, eh, transmural, w):
  """Own and mutual admittance of a uniform tube at one frequency: cosh and sinh of the complex propagation constant."""
  beta, a0 = 4 / 3 * np.sqrt(np.pi) * eh, np.pi * r**2
  area = (np.sqrt(a0) + transmural * a0 / beta) ** 2
  if w == 0:
    return area**2 / (8 * np.pi * MU * length), area**2 / (8 * np.pi * MU * length)
  c = 2 * a0 * np.sqrt(area) / beta
  tau = (1e-3 / (2 * r) + 0.4) * c / (a0 * np.sqrt(area))
  alpha = np.sqrt(area / np.pi * w * RHO / MU) * np.exp(0.75j * np.pi)
  f10 = 2 * scipy.special.jve(1, alpha) / (alpha * scipy.special.jve(0, alpha))
  z, y = 1j * w * RHO / (area * (1 - f10)), 1j * w * c / (1 + 1j * w * tau)
  gamma, z0 = np.sqrt(z * y), np.sqrt(z / y)
  return 1 / (z0 * np.tanh(gamma * length)), 1 / (z0 * np.sinh(gamma * length))


def exact_loads(s, table, radius_out, eh, inside):
  """(node, R₁, R₂, C) of each terminal, from the table of beds."""
  loads, bed_r = [], sum(1 / r_bed for _, r_bed, _ in terminals._BEDS)
  factor = ((s["map_mmhg"] - 33.2) / (s["sv_ml"] * s["hr_bpm"] / 60) - inside * 1e-6 / MMHG_PA) * bed_r
  back = (1 + s["reflection"]) / (1 - s["reflection"])
  for arteries, r_bed, c_bed in terminals._BEDS:
    rows = table.rows(arteries)
    for row, share in zip(rows, radius_out[rows] ** 2 / (radius_out[rows] ** 2).sum(), strict=True):
      r, total = radius_out[row], r_bed / share * factor * MMHG_PA * 1e6
      r1 = min(np.sqrt(2 / 3 * eh(r) / r * RHO) / (np.pi * r**2) * back, 0.9 * total)
      loads.append((int(table.node_out[row]), r1, total - r1, c_bed * share * s["compliance_scale"] / (MMHG_PA * 1e6)))
  return loads


solve_k3 = jax.jit(lambda *arguments: wall.solve_k3(*arguments, RHO))


@jax.jit
def resistance(subject):
  """Of the network between the root and its terminals."""
  net = network.reference_network()
  model = cohort.make_model(net, subject)
  return terminals.network_resistance(net, model.physics, model.pieces, model.transmural_pa)


def dense_pressures(subject, harmonics=40):
  """Root, radial and digital spectra [mmHg per ml/s] in complex128, written from the equations alone.

  Nodal analysis of the whole network at each frequency.
  """
  net, table = network.reference_network(), network.read_table()
  s = {k: float(v) for k, v in subject._asdict().items()}
  radius_in, radius_out, length, _ = (np.asarray(x, dtype=float) for x in population.geometry(subject))
  k3 = float(solve_k3(*(x.astype(np.float32) for x in (radius_in, radius_out, length)), subject.pwv_m_s))

  def eh(r):
    return (3e5 * np.exp(-1350 * r) + k3) * r

  inside = float(resistance(subject))
  loads = exact_loads(s, table, radius_out, eh, inside)
  transmural = (s["map_mmhg"] - s["p_ext_mmhg"]) * MMHG_PA
  names = {}

  def node(row, cut):
    ends = {0.0: ("n", int(table.node_in[row])), 1.0: ("n", int(table.node_out[row]))}
    return names.setdefault(ends.get(float(cut), (int(row), float(cut))), len(names))

  lines = []
  for row, a, b in zip(net.artery, net.start, net.end, strict=True):
    r = radius_in[row] + (radius_out[row] - radius_in[row]) * (a + b) / 2
    lines.append((node(row, a), node(row, b), r, length[row] * (b - a)))
  probes = [names["n", k] for k in (1, 23, 106)]
  result = []
  for k in range(harmonics + 1):
    w = 2 * np.pi * s["hr_bpm"] / 60 * k
    y = np.zeros((len(names), len(names)), dtype=complex)
    for i, j, r, length_m in lines:
      own, mutual = exact_line(r, length_m, eh(r), transmural, w)
      y[[i, j], [i, j]] += own
      y[[i, j], [j, i]] -= mutual
    for end, r1, r2, c in loads:
      y[names["n", end], names["n", end]] += 1 / (r1 + r2 / (1 + 1j * w * r2 * c))
    source = np.zeros(len(names), dtype=complex)
    source[probes[0]] = 1
    result.append(np.linalg.solve(y, source)[probes] * 1e-6 / MMHG_PA)
  return np.array(result).T


@pytest.fixture(scope="module")
def three():
  """Three subjects of all ages and their waves."""
  subjects = people.draw(11, clinics.Population(age_min=25, age_max=80, spread=1.0), 3)
  return subjects, people.beats(subjects)


spectrum = jax.jit(lambda period_s, shape: heart.periodic_spectrum(period_s, shape, 40))


@pytest.mark.parametrize("index", tiers.sample([0, 1, 2], 0, 2))
def test_waves_equal_dense_complex128_solve(three, index):
  subject, wave = jax.tree.map(lambda x: x[index], three)
  q_k = np.asarray(spectrum(60 / subject.hr_bpm, cohort.inflow_shape(subject, subject.sv_ml)), dtype=complex)
  for site, z_k in zip(("aortic_root", "radial", "digital"), dense_pressures(subject), strict=True):
    p_t = np.fft.irfft(z_k * q_k * 256, 256) + 33.2
    assert np.abs(p_t - wave[site]).max() < 0.01, site


SITES = {"aortic_root": (1, 0.0), "brachial": (21, 1.0), "radial": (22, 1.0), "digital": (112, 1.0)}


@functools.cache
def nonlinear() -> dict[str, np.ndarray]:
  """Waves and parameters of 128 subjects of a nonlinear solver."""
  with resources.files("cap_jax.arteries").joinpath("data/nonlinear_dev.npz").open("rb") as file:
    return dict(np.load(file))


@functools.cache
def linear_solver():
  """(data of a subject, share of the way from diastole to the mean pressure, mmHg above it) → (site, time) pressures."""
  data = nonlinear()
  net = network.make_network(network.read_table(), SITES, root=1)
  physics = waves.Physics(womersley=0.0, viscosity=0.0)

  def one(s, above_diastole, above_mean_mmhg):
    k3 = s["k3"] * 0.1  # cgs to Pa
    pieces = waves.Pieces(
      radius := waves.piece_values(net, s["radius_in_m"], s["radius_out_m"]),
      waves.piece_lengths(net, s["length_m"]),
      wall.stiffness(radius, k3),
    )
    outlet = s["radius_out_m"][net.terminal]
    z0 = waves.characteristic_impedance(outlet, wall.stiffness(outlet, k3), physics.rho)
    r1 = jnp.minimum(z0, 0.9 * s["r_terminal"])
    load = waves.Terminals(r1, s["r_terminal"] - r1, s["c_terminal"])
    omega = 2 * jnp.pi * s["hr"] / 60 * jnp.arange(41)
    transmural = (s["map_target_pa"] - s["p_ext_pa"]) * above_diastole + above_mean_mmhg * MMHG_PA
    response = waves.respond(net, physics, pieces, load, transmural, omega)
    q_k = jnp.fft.rfft(s["inflow_m3_s"])[:41] / 512
    p_pt = jax.vmap(lambda h_k: waves.periodic(h_k * response.z_in_k, q_k, 200))(response.h_pk)
    return (p_pt + s["p_out_pa"]) / MMHG_PA

  assert (network.read_table().number[net.terminal] == data["terminal_artery"]).all()
  return jax.jit(jax.vmap(one, in_axes=(0, None, None)))


@functools.cache
def linear(above_diastole: float, above_mean_mmhg: float = 0.0) -> dict[str, np.ndarray]:
  """Waves (subject, time) of the linear solution with the nonlinear one's parameters.

  Args:
    above_diastole: where the tube law is linearised: 0 at diastole, 1 at the mean pressure.
    above_mean_mmhg: added to it.
  """
  wave_names = {"aortic_root", "carotid", "brachial", "radial", "digital", "femoral", "terminal_artery"}
  per_subject = {k: jnp.asarray(v) for k, v in nonlinear().items() if k not in wave_names}
  p_spt = np.asarray(linear_solver()(per_subject, np.float32(above_diastole), np.float32(above_mean_mmhg)))
  return {site: p_spt[:, k] for k, site in enumerate(SITES)}


def relative_rms(results: dict[str, np.ndarray]) -> dict[str, float]:
  """Mean over 128 subjects of √mean((Δp/p)²) [%]."""
  true = nonlinear()
  return {site: 100 * np.sqrt(np.square(p / true[site] - 1).mean(1)).mean() for site, p in results.items()}


def test_waves_meet_nonlinear_solutions_of_the_same_network():
  errors = relative_rms(linear(1.0))
  print(errors)
  assert errors["aortic_root"] <= 0.45
  assert errors["radial"] <= 1.2
  assert errors["digital"] <= 1.3


def test_delays_form_factors_and_amplification_meet_the_nonlinear_ones():
  true, results = nonlinear(), linear(1.0)
  period = 60 / true["hr"]

  def delays(p):
    feet = {site: timing.foot_times(p[site].astype(float), period) for site in SITES}
    return {site: (feet[site] - feet["aortic_root"]) % period for site in ("brachial", "radial")}

  for site, late_s in delays(results).items():
    off_ms = 1000 * (late_s - delays(true)[site])
    assert abs(off_ms.mean()) < 6, (site, off_ms.mean())
    assert off_ms.std() < 3, (site, off_ms.std())
  for site in SITES:
    off = indices.form_factor(results[site]) - indices.form_factor(true[site])
    assert np.abs(off).mean() < 0.012, (site, np.abs(off).mean())
  for site in ("brachial", "radial"):
    ours, theirs = (np.ptp(p[site], axis=1) / np.ptp(p["aortic_root"], axis=1) for p in (results, true))
    assert np.abs(ours / theirs - 1).mean() < 0.03, site


def test_linearising_at_diastole_fails_every_bound():
  errors = relative_rms(linear(0.0))
  assert errors["aortic_root"] > 0.45
  assert errors["radial"] > 1.2
  assert errors["digital"] > 1.3


def test_a_higher_operating_pressure_trades_the_root_for_the_wrist():
  """Where the residual at the wrist comes from: a pulse travels on its own pressure, above the mean."""
  at_mean, above = relative_rms(linear(1.0)), relative_rms(linear(1.0, 10.0))
  assert above["radial"] < 0.9 * at_mean["radial"]
  assert above["aortic_root"] > 1.02 * at_mean["aortic_root"]


@pytest.mark.quick
def test_friction_equals_bessel_functions_and_its_limits():
  alpha = np.array([0.3, 1.0, 3.3, 7.7, 25.0, 120.0, 260.0])
  z = alpha * np.exp(0.75j * np.pi)
  f10 = 2 * scipy.special.jve(1, z) / (z * scipy.special.jve(0, z))
  exact = 1j * alpha**2 * f10 / (1 - f10)
  results = jax.jit(waves.womersley_friction)(np.append(alpha, 0.0))
  np.testing.assert_allclose(results[:-1], exact, rtol=2e-3)
  np.testing.assert_allclose(results[-1], 8.0, rtol=1e-3)


@pytest.mark.quick
def test_cosh_and_sinhc_are_entire_functions_of_the_square():
  h2 = np.array([0, 1e-4, 1 + 2j, -9 + 3j, 20j, -25 + 0j])
  h = np.sqrt(h2.astype(complex))
  c, s = jax.jit(waves.cosh_sinhc)(jnp.asarray(h2, jnp.complex64))
  np.testing.assert_allclose(c, np.cosh(h), rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(s[1:], np.sinh(h[1:]) / h[1:], rtol=1e-3, atol=1e-4)


def test_uniform_tube_in_a_matched_load_only_delays():
  # an elastic, nearly frictionless tube in its own characteristic impedance: |H| = 1 and a pure delay l/c
  columns = ("number", "node_in", "node_out", "length_m", "radius_in_m", "radius_out_m")
  values = (1, 1, 2, 0.5, 0.01, 0.01)
  table = network.ArteryTable(**{name: np.array([value]) for name, value in zip(columns, values, strict=True)})
  net = network.make_network(table, {"end": (1, 1.0)}, root=1, pieces=[8])
  physics = waves.Physics(womersley=0.0, viscosity=0.0, mu=1e-9)
  radius, stiff = jnp.full(8, 0.01), jnp.full(8, 1e5)
  pieces = waves.Pieces(radius, waves.piece_lengths(net, jnp.array([0.5])), stiff)
  z0 = waves.characteristic_impedance(radius[:1], stiff[:1], physics.rho)
  load = waves.Terminals(z0 * 0.5, z0 * 0.5, jnp.zeros(1))
  omega = 2 * jnp.pi * jnp.arange(1.0, 20.0)
  response = jax.jit(lambda w: waves.respond(net, physics, pieces, load, 0.0, w))(omega)
  speed = np.sqrt(2 / 3 * 1e5 / 1060)
  np.testing.assert_allclose(response.h_pk[0], np.exp(-1j * np.asarray(omega) * 0.5 / speed), atol=2e-4)
  np.testing.assert_allclose(response.z_in_k, np.full(19, float(z0[0])), rtol=2e-4)
