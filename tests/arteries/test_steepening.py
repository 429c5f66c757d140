"""Pressure travels on pressure, to first order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import clinics
from cap_jax.arteries import cohort, network, population, steepening, wall, waves
from tests.arteries import test_waves

steepen = jax.jit(steepening.steepen)


@pytest.mark.quick
def test_a_level_arrives_early_by_its_height():
  # p = 20 exp(−½(t − 0.5)²/0.05²): the crossing of a level p comes κ(p − mean) sooner
  fs = 500.0
  time = np.arange(500) / fs
  p_pt = (20 * np.exp(-0.5 * ((time - 0.5) / 0.05) ** 2)[None]).astype(np.float32)
  early = 4e-4
  observed = np.asarray(steepen(p_pt, np.array([early], np.float32), fs))[0]
  before = p_pt[0]
  for p in (5.0, 10.0, 15.0):
    up = [np.interp(p, wave[150:250], time[150:250]) for wave in (before, observed)]
    # on the new wave the level p stands where p(t + κ(p' − mean)) = p with p' of the old one there: to first order κ(p − mean)
    assert abs((up[0] - up[1]) - early * (p - before.mean())) < 0.25 * early * p
  assert abs(observed.max() - 20) < 0.05


@pytest.mark.quick
def test_nothing_early_is_nothing_changed():
  p_pt = np.asarray(jax.random.normal(jax.random.key(0), (3, 100)))
  np.testing.assert_array_equal(steepen(p_pt, np.zeros(3, np.float32), 125.0), p_pt)


def test_earliness_of_a_uniform_way_by_hand():
  # κ = 5 L/(4 ρ c³) with the speed of every piece set to c by its stiffness at rest: c² = ⅔ (Eh/r₀)/ρ
  net = network.reference_network()
  table = network.read_table()
  c, rho = 7.0, waves.RHO
  length = waves.piece_lengths(net, jnp.asarray(table.length_m))
  stiff = jnp.full(len(net.artery), 1.5 * rho * c**2)
  pieces = waves.Pieces(jnp.full(len(net.artery), 2e-3), length, stiff)
  result = steepening.earliness(net, waves.Physics(), pieces, jnp.array(0.0))
  # ascending aorta, arch, brachiocephalic, subclavian, brachial, radial
  way = table.length_m[table.rows(list(_way(table, 22)))].sum()
  np.testing.assert_allclose(result[net.sites.index("radial")], 5 * way / (4 * rho * c**3), rtol=1e-4)
  assert result[net.sites.index("aortic_root")] == 0
  np.testing.assert_allclose(
    wall.compliance(pieces.radius_m, stiff, jnp.pi * 4e-6) * rho * c**2, jnp.pi * 4e-6, rtol=1e-4
  )


def _way(table, number):
  """Arteries from the root to one, itself included, by a walk of its own."""
  while True:
    yield number
    above = [
      int(n)
      for n, end in zip(table.number, table.node_out, strict=True)
      if end == table.node_in[table.rows([number])[0]]
    ]
    if not above:
      return
    number = above[0]


def test_it_brings_far_sites_closer_to_the_nonlinear_solver():
  """Waves of 128 subjects of a nonlinear solver; the linear solution with their parameters, steepened by a share of κ."""
  data, linear = test_waves.nonlinear(), test_waves.linear(1.0)
  net = network.make_network(network.read_table(), test_waves.SITES, root=1)

  def early(s):
    radius = waves.piece_values(net, s["radius_in_m"], s["radius_out_m"])
    pieces = waves.Pieces(radius, waves.piece_lengths(net, s["length_m"]), wall.stiffness(radius, s["k3"] * 0.1))
    return steepening.earliness(net, waves.Physics(0.0, 0.0), pieces, s["map_target_pa"] - s["p_ext_pa"])

  names = ("radius_in_m", "radius_out_m", "length_m", "k3", "map_target_pa", "p_ext_pa")
  early_sp = np.asarray(jax.jit(jax.vmap(early))({name: data[name] for name in names})) * np.float32(133.322)
  p_spt = np.stack([linear[site] for site in test_waves.SITES], axis=1)
  fs_s = (200 * data["hr"] / 60).astype(np.float32)
  steepen_all = jax.jit(jax.vmap(steepening.steepen))

  def rms(share):
    observed = np.asarray(steepen_all(p_spt, np.float32(share) * early_sp, fs_s))
    off = [np.sqrt(np.square(observed[:, k] - data[site]).mean(1)).mean() for k, site in enumerate(test_waves.SITES)]
    return dict(zip(test_waves.SITES, off, strict=True))

  none, most = rms(0.0), rms(0.6)
  print(none, most)
  assert most["aortic_root"] == none["aortic_root"]
  for site in ("radial", "digital"):
    assert most[site] < 0.88 * none[site], site


@pytest.mark.slow
def test_only_a_steepening_population_is_steepened():
  plain = population.draw(jax.random.key(3), clinics.Population(), 4)
  steep = population.draw(jax.random.key(3), clinics.Population(steepening_max=1.5), 4)
  assert (plain.steepening == 0).all()
  assert ((steep.steepening > 0) & (steep.steepening <= 1.5)).all()
  for name in population.Subject._fields[:-1]:
    np.testing.assert_array_equal(getattr(plain, name), getattr(steep, name))
  p, q = (cohort.beats(subjects) for subjects in (plain, steep))
  np.testing.assert_array_equal(p["aortic_root"], q["aortic_root"])
  # the upstroke of the radial wave gets steeper
  slope = [np.diff(np.asarray(wave["radial"]), axis=1).max(1) for wave in (p, q)]
  assert (slope[1] > slope[0]).all()
