"""The virtual cohort: subjects → simultaneous waves at every site.

Two forms. `beats` repeats one heart beat for ever and samples one period, the classical periodic solution. `records`
are aperiodic: respiration and heart rate variability move the beats, and the pressures follow from the same transfer
functions on the time base of the whole record. These are smooth in frequency, so they are computed at about a hundred
nodes and interpolated: a minute of record costs little more than a beat.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate

from cap_jax import config
from cap_jax.arteries import heart, network, population, terminals, wall, waves

MMHG_PA = terminals.MMHG_PA
ML_M3 = 1e-6
PPG = "ppg"
_FLOW_FS_HZ = 250.0  # the inflow's corners need more than the output's rate
_MAX_HZ = 30.0
_TAPER_FROM_HZ = 22.0  # raised-cosine end of the spectrum, so that the cut rings nowhere


class Transfer(NamedTuple):
  """Responses of one subject. z_pk: (site, frequency) pressure over inflow [mmHg·s/ml]; ppg_k: stored volume of the
  finger's terminal over inflow [s]."""

  z_pk: jax.Array
  ppg_k: jax.Array


def respond(subject: population.Subject, omega_k: jax.Array, physics: waves.Physics) -> Transfer:
  """Pressure at the sites of `network.SITES` and finger volume for a unit inflow. One subject; `vmap` for more.

  Args:
    subject: scalars.
    omega_k: (frequency,) angular frequencies [rad/s].
    physics: options.
  """
  net = network.reference_network()
  radius_in, radius_out, length = population.geometry(subject)
  k3 = wall.solve_k3(radius_in, radius_out, length, subject.pwv_m_s, physics.rho)
  radius = waves.piece_values(net, radius_in, radius_out)
  pieces = waves.Pieces(radius, waves.piece_lengths(net, length), wall.stiffness(radius, k3))
  cardiac_output = subject.sv_ml * subject.hr_bpm / 60
  fall = subject.map_mmhg - population.P_OUT_MMHG - terminals.NETWORK_FALL_MMHG
  load = terminals.make_terminals(net, radius_out, k3, fall / cardiac_output, subject.compliance_scale, physics.rho)
  transmural = (subject.map_mmhg - subject.p_ext_mmhg) * MMHG_PA
  response = waves.respond(net, physics, pieces, load, transmural, omega_k)
  z_pk = response.z_in_k[None] * response.h_pk * (ML_M3 / MMHG_PA)
  # PPG (Charlton 2019): V = ∫ (q − p/R) dt with q the flow into the terminal and R its resistance
  finger_row = network.read_table().rows([network.SITES["digital"][0]])[0]
  finger = int(np.flatnonzero(net.terminal == finger_row)[0])
  y_finger = waves.terminal_admittance(load, omega_k)[finger]
  resistance = load.r1[finger] + load.r2[finger]
  jw = 1j * jnp.maximum(omega_k, 1e-3)
  volume = (y_finger - 1 / resistance) / jw * (MMHG_PA / ML_M3)
  return Transfer(z_pk, z_pk[net.sites.index("digital")] * volume)


def _in_chunks(function, arguments, chunk: int):
  return jax.lax.map(lambda args: function(*args), arguments, batch_size=chunk)


@functools.partial(jax.jit, static_argnames=("samples", "harmonics", "physics", "chunk"))
def beats(
  subjects: population.Subject,
  samples: int = 256,
  harmonics: int = 40,
  physics: waves.Physics = waves.DEFAULT,
  chunk: int = 32,
) -> dict[str, jax.Array]:
  """One period at each site.

  Args:
    subjects: (subject,) parameters.
    samples: per period; more than twice the harmonics.
    harmonics: of the heart rate.
    physics: options.
    chunk: subjects computed together; bounds the memory.

  Returns:
    site → (subject, samples) pressure [mmHg], and "ppg", min–max normalised.
  """

  def one(subject: population.Subject) -> dict[str, jax.Array]:
    omega_k = 2 * jnp.pi * subject.hr_bpm / 60 * jnp.arange(harmonics + 1)
    transfer = respond(subject, omega_k, physics)
    q_k = heart.periodic_spectrum(
      60 / subject.hr_bpm, subject.sv_ml, subject.rfv_ml, subject.lvet_s, subject.t_peak_s, harmonics
    )
    p_pt = jax.vmap(lambda z_k: waves.periodic(z_k, q_k, samples))(transfer.z_pk) + population.P_OUT_MMHG
    ppg_t = waves.periodic(transfer.ppg_k.at[0].set(0.0), q_k, samples)
    return _name(p_pt, ppg_t)

  return _in_chunks(one, (subjects,), chunk)


def _name(p_pt: jax.Array, ppg_t: jax.Array) -> dict[str, jax.Array]:
  low, high = ppg_t.min(), ppg_t.max()
  sites = network.reference_network().sites
  return {**dict(zip(sites, p_pt, strict=True)), PPG: (ppg_t - low) / (high - low)}


@functools.cache
def frequency_nodes_hz() -> np.ndarray:
  """Where a record's transfer functions are computed: dense near 0, where the terminals' time constant bends them."""
  share = np.linspace(0, 1, 112)
  return _MAX_HZ * np.sinh(share * np.arcsinh(60)) / 60


@functools.lru_cache(maxsize=8)
def _interpolation(bins: int, step_hz: float) -> np.ndarray:
  """(node, bin) cubic spline from the nodes to the bins 0, step, 2·step … Hz, times the spectral taper."""
  nodes = frequency_nodes_hz()
  f_hz = np.arange(bins) * step_hz
  spline = scipy.interpolate.CubicSpline(nodes, np.eye(len(nodes)), bc_type="not-a-knot")(f_hz)
  end = np.clip((f_hz - _TAPER_FROM_HZ) / (_MAX_HZ - _TAPER_FROM_HZ), 0, 1)
  return (spline * (0.5 + 0.5 * np.cos(np.pi * end))[:, None]).T.astype(np.float32)


def rhythm(
  key: jax.Array, hr_bpm: jax.Array, seconds: float, spec: config.Rhythm
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Onsets of the beats, relative stroke volumes, and the breathing phase at each onset.

  The RR interval and the stroke volume swing with respiration and with the 0.1 Hz rhythm. The record closes on
  itself (its last beat runs into the first), so that its spectrum needs no window.

  Returns:
    onset_s: (beat,) padded beyond the end of the record with onsets at +inf.
    sv_scale: (beat,).
    breathing_hz: scalar.
  """
  rate_key, phase_key, slow_key, noise_key = jax.random.split(key, 4)
  turns = jnp.round(seconds * jax.random.uniform(rate_key, minval=spec.breathing_min_hz, maxval=spec.breathing_max_hz))
  breathing_hz = turns / seconds
  phase = jax.random.uniform(phase_key, maxval=2 * jnp.pi)
  slow_phase = jax.random.uniform(slow_key, maxval=2 * jnp.pi)
  count = jnp.round(seconds * hr_bpm / 60)
  size = int(np.ceil(seconds * 3.0))
  index = jnp.arange(size)
  time_s = index / count * seconds
  breath = jnp.sin(2 * jnp.pi * breathing_hz * time_s + phase)
  slow_hz = jnp.maximum(jnp.round(0.1 * seconds), 1.0) / seconds
  slow = jnp.sin(2 * jnp.pi * slow_hz * time_s + slow_phase)
  rr = 1 + spec.rr_breathing * breath + spec.rr_slow * slow
  rr = jnp.where(index < count, rr, 0.0)
  onset_s = (jnp.cumsum(rr) - rr) / rr.sum() * seconds
  onset_s = jnp.where(index < count, onset_s, jnp.inf)
  noise = jax.random.normal(noise_key, (size,))
  sv_scale = 1 + spec.sv_breathing * jnp.sin(2 * jnp.pi * breathing_hz * time_s + phase + 1.0) + spec.sv_noise * noise
  return onset_s, sv_scale, breathing_hz


def _record(
  subject: population.Subject, key: jax.Array, seconds: float, fs_hz: float, spec: config.Rhythm, physics: waves.Physics
) -> dict[str, jax.Array]:
  samples = round(seconds * _FLOW_FS_HZ)
  time_s = jnp.arange(samples) / _FLOW_FS_HZ
  rhythm_key, baseline_key = jax.random.split(key)
  onset_s, sv_scale, breathing_hz = rhythm(rhythm_key, subject.hr_bpm, seconds, spec)
  beat = jnp.searchsorted(onset_s, time_s, side="right") - 1
  flow_t = heart.ejection(
    time_s - onset_s[beat], subject.sv_ml * sv_scale[beat], subject.rfv_ml, subject.lvet_s, subject.t_peak_s
  )
  bins = int(_MAX_HZ * seconds) + 1
  # the mean flow sets the mean pressure: the subject's own, whatever the rhythm drew
  q_k = jnp.fft.rfft(flow_t)[:bins] / samples
  q_k = q_k.at[0].set(subject.sv_ml * subject.hr_bpm / 60)
  transfer = respond(subject, 2 * jnp.pi * jnp.asarray(frequency_nodes_hz(), dtype=jnp.float32), physics)
  spread = _interpolation(bins, 1 / seconds)
  z_pk = jnp.concatenate([transfer.z_pk, transfer.ppg_k[None].at[:, 0].set(0.0)])
  z_pk = (z_pk.real @ spread) + 1j * (z_pk.imag @ spread)
  out = round(seconds * fs_hz)
  p_pt = jax.vmap(lambda z_k: waves.periodic(z_k, q_k, out))(z_pk)
  # respiration moves the pressure of the chest and with it all arteries together
  swing = spec.pressure_swing_mmhg * jnp.sin(
    2 * jnp.pi * breathing_hz * jnp.arange(out) / fs_hz + jax.random.uniform(baseline_key, maxval=2 * jnp.pi)
  )
  return _name(p_pt[:-1] + population.P_OUT_MMHG + swing[None], p_pt[-1])


@functools.partial(jax.jit, static_argnames=("seconds", "fs_hz", "rhythm_spec", "physics", "chunk"))
def records(
  key: jax.Array,
  subjects: population.Subject,
  seconds: float,
  fs_hz: float,
  rhythm_spec: config.Rhythm,
  physics: waves.Physics = waves.DEFAULT,
  chunk: int = 16,
) -> dict[str, jax.Array]:
  """Aperiodic records of all sites on one clock.

  Args:
    key: typed PRNG key of the rhythms.
    subjects: (subject,) parameters.
    seconds: length; a whole number of samples at `fs_hz`.
    fs_hz: sampling rate of the result, above 60 Hz.
    rhythm_spec: respiration and variability.
    physics: options.
    chunk: subjects computed together; bounds the memory.

  Returns:
    site → (subject, time) pressure [mmHg], and "ppg", min–max normalised over the record.
  """
  keys = jax.random.split(key, subjects.age.shape[0])

  def one(subject: population.Subject, subject_key: jax.Array) -> dict[str, jax.Array]:
    return _record(subject, subject_key, seconds, fs_hz, rhythm_spec, physics)

  return _in_chunks(one, (subjects, keys), chunk)
