"""The solver on another network: ADAN56 against openBF's nonlinear solution (INSIGNEO/openBF, Apache-2.0)."""

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from cap_jax.arteries import network, waves


def mean_error(folder, at_map: bool) -> float:
  """Mean over vessels of √mean((Δp/p)²) at both ends, in percent."""
  vessels = yaml.safe_load((folder / "adan56.yaml").read_text())["network"]
  count = len(vessels)
  column = {k: np.array([float(v[k]) for v in vessels]) for k in ("sn", "tn", "L", "E", "Rp")}
  radius = column["Rp"]  # the reference solution has in effect no taper
  table = network.ArteryTable(
    number=np.arange(1, count + 1),
    node_in=column["sn"].astype(int),
    node_out=column["tn"].astype(int),
    length_m=column["L"],
    radius_in_m=radius,
    radius_out_m=radius,
  )
  sites = {f"{k}/{end}": (k + 1, float(end)) for k in range(count) for end in (0, 1)}
  net = network.make_network(table, sites, root=1, pieces=[1] * count)
  # openBF's wall thickness, h = r (a e^{br} + c e^{dr})
  thickness = radius * (0.2802 * np.exp(-505.3 * radius) + 0.1324 * np.exp(-11.14 * radius))
  stiffness = jnp.asarray((column["E"] * thickness / radius)[net.artery])
  pieces = waves.Pieces(jnp.asarray(radius[net.artery]), waves.piece_lengths(net, jnp.asarray(column["L"])), stiffness)
  ends = [vessels[k] for k in net.terminal]
  load = waves.Terminals(*(jnp.array([float(v[k]) for v in ends]) for k in ("R1", "R2", "Cc")))
  physics = waves.Physics(womersley=0.0, viscosity=0.0, mu=0.004)

  inlet = np.loadtxt(folder / "adan56_inlet.dat")
  period, samples = inlet[-1, 0], 2000
  time = np.arange(samples) / samples * period
  q_k = np.fft.rfft(np.interp(time, *inlet.T))[:81] / samples
  omega = jnp.asarray(2 * np.pi / period * np.arange(81))
  respond = jax.jit(lambda transmural, w: waves.respond(net, physics, pieces, load, transmural, w))
  to_waves = jax.jit(jax.vmap(lambda h_k, z_k: waves.periodic(h_k * z_k, q_k, samples), in_axes=(0, None)))
  steady = respond(0.0, omega)
  mean_pa = float(steady.z_in_k[0].real * q_k[0].real)
  transmural = mean_pa - float(vessels[0]["Pext"]) if at_map else 0.0
  response = respond(transmural, omega)
  p_pt = np.asarray(to_waves(response.h_pk, response.z_in_k))

  reference = np.load(folder / "adan56_last_cycle.npz")
  errors = []
  for k, vessel in enumerate(vessels):
    true = reference[f"{vessel['label']}/P"]
    for column_of, row in ((1, 2 * k), (5, 2 * k + 1)):
      ours = np.interp(true[:, 0] % period, time, p_pt[row], period=period)
      errors.append(np.sqrt(np.square(ours / true[:, column_of] - 1).mean()))
  return 100 * float(np.mean(errors))


def test_adan56(reference_data):
  folder = reference_data / "adan56"
  assert mean_error(folder, at_map=True) <= 2.2
  assert mean_error(folder, at_map=False) > 2.2
