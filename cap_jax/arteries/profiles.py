"""Pressure, velocity, area and PPG of one beat at the sites of the Pulse Wave Database."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax.arteries import cohort, heart, network, population, wall, waves
from cap_jax.arteries.terminals import MMHG_PA

ML_M3 = cohort.ML_M3


class Profiles(NamedTuple):
  """One period at `network.PWDB_SITES` from the onset of ejection, each (subject, site, time).

  Attributes:
    p_mmhg: pressure.
    u_m_s: velocity, mean over the section.
    a_m2: area.
    ppg: stored volume, between 0 and 1.
  """

  p_mmhg: jax.Array
  u_m_s: jax.Array
  a_m2: jax.Array
  ppg: jax.Array


def _one(subject: population.Subject, samples: int, harmonics: int) -> Profiles:
  net = network.pwdb_network()
  model = cohort.make_model(net, subject)
  omega_k = 2 * jnp.pi * subject.hr_bpm / 60 * jnp.arange(harmonics + 1)
  response = waves.respond(net, model.physics, model.pieces, model.load, model.transmural_pa, omega_k)
  inflow_k = heart.periodic_spectrum(60 / subject.hr_bpm, cohort.inflow_shape(subject, subject.sv_ml), harmonics)
  root_k = (response.z_in_k * inflow_k * ML_M3)[None, :]
  assert response.y_pk is not None  # the network has flows
  p_pk, q_pk = response.h_pk * root_k, response.y_pk * root_k

  rest, now = population.resting_geometry(subject), population.geometry(subject)
  rows = net.artery[net.site_piece]
  fraction = np.array([along for _, along in network.PWDB_SITES.values()], dtype=np.float32)

  def at_sites(inlet: jax.Array, outlet: jax.Array) -> jax.Array:
    return inlet[rows] * (1 - fraction) + outlet[rows] * fraction

  radius = at_sites(now.radius_in_m, now.radius_out_m)
  stiffness = wall.stiffness(at_sites(rest.radius_in_m, rest.radius_out_m), model.k3_pa) * now.stiffness_scale[rows]
  area = wall.operating_area(radius, stiffness, model.transmural_pa)
  compliance = wall.compliance(radius, stiffness, area)
  tau = wall.relaxation_time(radius, compliance, area) * model.physics.viscosity
  # the operating area belongs to the operating pressure, from which the mean at a site differs a little
  off_pk = p_pk.at[:, 0].add(subject.p_out_mmhg * MMHG_PA - subject.p_ext_mmhg * MMHG_PA - model.transmural_pa)
  a_pk = compliance[:, None] / (1 + 1j * omega_k[None, :] * tau[:, None]) * off_pk

  def wave(x_pk: jax.Array) -> jax.Array:
    return jax.vmap(lambda x_k: waves.periodic(jnp.ones_like(x_k), x_k, samples))(x_pk)

  a_pt, q_pt = area[:, None] + wave(a_pk), wave(q_pk)
  # Charlton 2019: V = ∫ (q − p/R) dt, R the steady resistance downstream of the site
  conductance = (q_pk[:, :1] / p_pk[:, :1]).real
  stored_pk = (q_pk - conductance * p_pk) / (1j * jnp.maximum(omega_k[None, :], 1e-3))
  v_pt = wave(stored_pk.at[:, 0].set(0.0))
  low, high = v_pt.min(1, keepdims=True), v_pt.max(1, keepdims=True)
  p_pt = wave(p_pk) / MMHG_PA + subject.p_out_mmhg
  return Profiles(p_pt, q_pt / a_pt, a_pt, (v_pt - low) / (high - low))


@functools.partial(jax.jit, static_argnames=("samples", "harmonics", "chunk"))
def _profiles(subjects: population.Subject, samples: int, harmonics: int, chunk: int) -> Profiles:
  return jax.lax.map(lambda subject: _one(subject, samples, harmonics), subjects, batch_size=chunk)


def profiles(subjects: population.Subject, samples: int = 256, harmonics: int = 40, chunk: int = 32) -> Profiles:
  """Computes the waves of (subject,) parameters.

  Args:
    subjects: (subject,) parameters.
    samples: per period; more than twice the harmonics.
    harmonics: of the heart rate.
    chunk: subjects computed together; bounds the memory.

  Raises:
    InputError: a parameter is outside `population.LIMITS`, or too few samples for the harmonics.
  """
  cohort.check(subjects, samples, harmonics, chunk)
  return _profiles(subjects, samples, harmonics, chunk)
