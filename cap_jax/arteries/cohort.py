"""The virtual cohort: subjects → simultaneous waves at every site.

`beats` repeats one heart beat for ever and samples one period, the classical periodic solution. `records` are
aperiodic: respiration and heart rate variability move the beats, and the pressures follow from the same transfer
functions on the time base of the whole record. These functions are smooth in frequency, so they are computed at about a
hundred nodes and interpolated: a minute of record costs little more than a beat.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate

from cap_jax import clinics
from cap_jax.arteries import heart, network, population, rhythm, steepening, terminals, wall, waves
from cap_jax.types import InputError

MMHG_PA = terminals.MMHG_PA
ML_M3 = 1e-6
PPG = "digital_ppg"
_FLOW_FS_HZ = 250.0  # the inflow's corners need more than the output's rate
_MAX_HZ = 40.0
_SHORTEST_S = 4.0  # one breath
_LOWEST_HZ = 10.0


class Transfer(NamedTuple):
  """Transfer functions of one subject.

  Attributes:
    z_pk: (site, frequency) pressure over inflow [mmHg·s/ml].
    ppg_k: (frequency,) stored volume of the finger's terminal over inflow [s].
    early_p: (site,) lead of a level over the mean along its path [s/mmHg].
  """

  z_pk: jax.Array
  ppg_k: jax.Array
  early_p: jax.Array


class ArterialModel(NamedTuple):
  """Parameters of the wave equations for one subject.

  Attributes:
    physics: constants of the wave equations.
    pieces: the pieces of the arteries.
    load: the terminals.
    transmural_pa: operating pressure across the wall [Pa].
    k3_pa: stiffness parameter of the wall [Pa].
  """

  physics: waves.Physics
  pieces: waves.Pieces
  load: waves.Terminals
  transmural_pa: jax.Array
  k3_pa: jax.Array


def make_model(net: network.ArterialNetwork, subject: population.Subject) -> ArterialModel:
  """Computes geometry, wall, terminals and operating point of one subject.

  Args:
    net: topology of the 116 arteries.
    subject: scalars.

  Returns:
    The parameters of the wave equations.
  """
  physics = waves.Physics(subject.womersley, subject.viscosity_scale)
  rest, now = population.resting_geometry(subject), population.geometry(subject)
  k3 = wall.solve_k3(rest.radius_in_m, rest.radius_out_m, rest.length_m, subject.pwv_m_s, physics.rho)
  stiffness = wall.stiffness(waves.piece_values(net, rest.radius_in_m, rest.radius_out_m), k3)
  pieces = waves.Pieces(
    waves.piece_values(net, now.radius_in_m, now.radius_out_m),
    waves.piece_lengths(net, now.length_m),
    stiffness * now.stiffness_scale[net.artery],
  )
  transmural = (subject.map_mmhg - subject.p_ext_mmhg + subject.operating_mmhg) * MMHG_PA
  inside = terminals.network_resistance(net, physics, pieces, transmural) * (ML_M3 / MMHG_PA)
  total = (subject.map_mmhg - subject.p_out_mmhg) / (subject.sv_ml * subject.hr_bpm / 60)
  at_outlet = wall.stiffness(rest.radius_out_m, k3) * now.stiffness_scale
  load = terminals.make_terminals(
    net, now.radius_out_m, at_outlet, total - inside, subject.compliance_scale, subject.reflection, physics.rho
  )
  return ArterialModel(physics, pieces, load, transmural, k3)


_DIAMETERS = {
  "ascending_aorta": 1,
  "thoracic_aorta": 18,
  "abdominal_aorta": 39,
  "carotid": 15,
  "brachial": 21,
  "radial": 22,
}


@jax.jit
def derived(subjects: population.Subject) -> dict[str, jax.Array]:
  """Computes derived quantities of (subject,) parameters, for the tables of a cohort.

  Args:
    subjects: parameters, (subject,) each.

  Returns:
    co_l_min: cardiac output.
    resistance_mmhg_s_ml: (MAP − P_out)/CO.
    k3_pa: stiffness parameter.
    compliance_ml_mmhg: of arteries and terminals together, at the operating pressure.
    diameter_<artery>_mm: at the inlet, at the operating pressure.
  """

  def one(subject: population.Subject) -> dict[str, jax.Array]:
    net = network.reference_network()
    model = make_model(net, subject)
    rest, now = population.resting_geometry(subject), population.geometry(subject)
    pieces = model.pieces
    area = wall.operating_area(pieces.radius_m, pieces.eh_over_r_pa, model.transmural_pa)
    compliance = (
      wall.compliance(pieces.radius_m, pieces.eh_over_r_pa, area) * pieces.length_m
    ).sum() + model.load.c.sum()
    columns = {
      "co_l_min": subject.sv_ml * subject.hr_bpm / 1000,
      "resistance_mmhg_s_ml": (subject.map_mmhg - subject.p_out_mmhg) / (subject.sv_ml * subject.hr_bpm / 60),
      "k3_pa": model.k3_pa,
      "compliance_ml_mmhg": compliance * MMHG_PA / ML_M3,
    }
    for name, artery in _DIAMETERS.items():
      row = network.read_table().rows([artery])[0]
      stiffness = wall.stiffness(rest.radius_in_m[row], model.k3_pa) * now.stiffness_scale[row]
      at_inlet = wall.operating_area(now.radius_in_m[row], stiffness, model.transmural_pa)
      columns[f"diameter_{name}_mm"] = 2e3 * jnp.sqrt(at_inlet / jnp.pi)
    return columns

  return jax.lax.map(one, subjects, batch_size=64)


def respond(subject: population.Subject, omega_k: jax.Array) -> Transfer:
  """Computes the pressure at the sites of `network.SITES` and the finger volume for a unit inflow.

  It takes one subject; use `vmap` for more.

  Args:
    subject: scalars.
    omega_k: (frequency,) angular frequencies [rad/s].

  Returns:
    The transfer functions, (frequency,) each.
  """
  net = network.reference_network()
  model = make_model(net, subject)
  load = model.load
  response = waves.respond(net, model.physics, model.pieces, load, model.transmural_pa, omega_k)
  z_pk = response.z_in_k[None] * response.h_pk * (ML_M3 / MMHG_PA)
  # PPG (Charlton 2019): V = ∫ (q − p/R) dt with q the flow into the terminal and R its resistance
  finger_row = network.read_table().rows([network.SITES["digital"][0]])[0]
  finger = int(np.flatnonzero(net.terminal == finger_row)[0])
  y_finger = waves.terminal_admittance(load, omega_k)[finger]
  resistance = load.r1[finger] + load.r2[finger]
  jw = 1j * jnp.maximum(omega_k, 1e-3)
  volume = (y_finger - 1 / resistance) / jw * (MMHG_PA / ML_M3)
  early_p = subject.steepening * steepening.earliness(net, model.physics, model.pieces, model.transmural_pa) * MMHG_PA
  return Transfer(z_pk, z_pk[net.sites.index("digital")] * volume, early_p)


def _over_subjects(function: Callable[..., Any], arguments: Any, chunk: int) -> Any:
  """Maps `function` over the leading axis, `chunk` at a time, with the chunks distributed over all devices.

  The last chunk is padded with the first subjects, because a smaller one would be compiled a second time.
  """
  count = jax.tree.leaves(arguments)[0].shape[0]
  devices = jax.local_device_count()  # each of several processes computes the whole cohort
  chunk = min(chunk, -(-count // devices))
  size = -(-count // (chunk * devices)) * chunk * devices
  filled = jax.tree.map(lambda x: x[np.arange(size) % count], arguments)

  def part(args: Any) -> Any:
    return jax.lax.map(lambda one: function(*one), args, batch_size=chunk)

  if devices > 1:
    mesh = jax.make_mesh(
      (devices,), ("subject",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.local_devices()
    )
    rows = jax.sharding.PartitionSpec("subject")
    part = jax.shard_map(part, mesh=mesh, in_specs=rows, out_specs=rows)
  return jax.tree.map(lambda x: x[:count], part(filled))


def check(subjects: population.Subject, samples: int = 256, harmonics: int = 40, chunk: int = 32) -> None:
  """Checks the subjects and the settings of `beats`.

  Args:
    subjects: (subject,) parameters.
    samples: per period.
    harmonics: of the heart rate.
    chunk: subjects computed together on each device.

  Raises:
    InputError: a parameter is outside `population.LIMITS`, or a setting of `beats` is impossible.
  """
  if chunk < 1:
    raise InputError(f"chunk={chunk}: must be 1 or more")
  if not 1 <= harmonics < samples / 2:
    raise InputError(f"samples={samples}: must be more than twice the number of harmonics, {harmonics}")
  shapes = {jnp.shape(leaf) for leaf in subjects}
  if len(shapes) > 1 or len(shape := shapes.pop()) != 1 or shape[0] < 1:
    raise InputError("subjects: every parameter must have shape (subject,), with at least one subject")
  if not any(isinstance(leaf, jax.core.Tracer) for leaf in subjects):  # values are unknown inside a transformation
    population.check(subjects)


def beats(
  subjects: population.Subject, samples: int = 256, harmonics: int = 40, chunk: int = 32
) -> dict[str, jax.Array]:
  """Computes one period at each site.

  Args:
    subjects: (subject,) parameters.
    samples: per period; more than twice the harmonics.
    harmonics: of the heart rate.
    chunk: subjects computed together on each device; bounds the memory.

  Returns:
    site → (subject, samples) pressure [mmHg], and "digital_ppg", min–max normalised.

  Raises:
    InputError: a parameter is outside `population.LIMITS`, or too few samples for the harmonics.
  """
  check(subjects, samples, harmonics, chunk)
  return _beats(subjects, samples, harmonics, chunk)


def inflow_shape(subject: population.Subject, sv_ml: jax.Array) -> tuple[jax.Array, ...]:
  """Returns the arguments of `heart.ejection` after the time.

  Args:
    subject: scalars.
    sv_ml: stroke volume [ml].
  """
  return sv_ml, subject.rfv_ml, subject.lvet_s, subject.t_peak_s, subject.fall_exponent, subject.closure_s


@functools.partial(jax.jit, static_argnames=("samples", "harmonics", "chunk"))
def _beats(subjects: population.Subject, samples: int, harmonics: int, chunk: int) -> dict[str, jax.Array]:
  def one(subject: population.Subject) -> dict[str, jax.Array]:
    omega_k = 2 * jnp.pi * subject.hr_bpm / 60 * jnp.arange(harmonics + 1)
    transfer = respond(subject, omega_k)
    q_k = heart.periodic_spectrum(60 / subject.hr_bpm, inflow_shape(subject, subject.sv_ml), harmonics)
    p_pt = jax.vmap(lambda z_k: waves.periodic(z_k, q_k, samples))(transfer.z_pk) + subject.p_out_mmhg
    p_pt = steepening.steepen(p_pt, transfer.early_p, samples * subject.hr_bpm / 60)
    ppg_t = waves.periodic(transfer.ppg_k.at[0].set(0.0), q_k, samples)
    return _name(p_pt, ppg_t)

  return _over_subjects(one, (subjects,), chunk)


def _name(p_pt: jax.Array, ppg_t: jax.Array) -> dict[str, jax.Array]:
  low, high = ppg_t.min(), ppg_t.max()
  sites = network.reference_network().sites
  return {**dict(zip(sites, p_pt, strict=True)), PPG: (ppg_t - low) / (high - low)}


@functools.cache
def frequency_nodes_hz() -> np.ndarray:
  """Returns the frequencies of a record's transfer functions, dense near 0, where the terminals' time constant acts."""
  share = np.linspace(0, 1, 112)
  return _MAX_HZ * np.sinh(share * np.arcsinh(60)) / 60


@functools.lru_cache(maxsize=8)
def _interpolation(bins: int, step_hz: float) -> np.ndarray:
  """Returns the (node, bin) cubic spline from the nodes to the bins 0, step, 2·step … Hz, times the spectral taper.

  The last quarter of the band ends in a raised cosine, so that the cut-off causes no ringing.
  """
  nodes = frequency_nodes_hz()
  spline = scipy.interpolate.CubicSpline(nodes, np.eye(len(nodes)), bc_type="not-a-knot")(np.arange(bins) * step_hz)
  end = np.clip(4 * np.arange(bins) / bins - 3, 0, 1)
  return (spline * (0.5 + 0.5 * np.cos(np.pi * end))[:, None]).T.astype(np.float32)


def _record(
  subject: population.Subject,
  transfer: Transfer,
  key: jax.Array,
  seconds: float,
  fs_hz: float,
  spec: clinics.Rhythm,
) -> dict[str, jax.Array]:
  samples = round(seconds * _FLOW_FS_HZ)
  time_s = jnp.arange(samples) / _FLOW_FS_HZ
  rhythm_key, baseline_key = jax.random.split(key)
  beats_n = rhythm.draw(rhythm_key, subject.hr_bpm, seconds, spec)
  beat = jnp.searchsorted(beats_n.onset_s, time_s, side="right") - 1
  shape = inflow_shape(subject, subject.sv_ml * beats_n.sv_scale[beat])
  flow_t = heart.ejection(time_s - beats_n.onset_s[beat], *shape)
  bins = int(min(_MAX_HZ, fs_hz / 2) * seconds) + 1
  # the mean flow sets the mean pressure, so it is the subject's own for any rhythm
  q_k = jnp.fft.rfft(flow_t)[:bins] / samples
  q_k = q_k.at[0].set(subject.sv_ml * subject.hr_bpm / 60)
  interpolation_kb = _interpolation(bins, 1 / seconds)
  z_pk = jnp.concatenate([transfer.z_pk, transfer.ppg_k[None].at[:, 0].set(0.0)])
  z_pk = (z_pk.real @ interpolation_kb) + 1j * (z_pk.imag @ interpolation_kb)
  out = round(seconds * fs_hz)
  p_pt = jax.vmap(lambda z_k: waves.periodic(z_k, q_k, out))(z_pk)
  # respiration moves the pressure of the chest and with it all arteries together
  swing = beats_n.swing_mmhg * jnp.sin(
    2 * jnp.pi * beats_n.breathing_hz * jnp.arange(out) / fs_hz + jax.random.uniform(baseline_key, maxval=2 * jnp.pi)
  )
  steep_pt = steepening.steepen(p_pt[:-1], transfer.early_p, fs_hz)
  return _name(steep_pt + subject.p_out_mmhg + swing[None], p_pt[-1])


def records(
  key: jax.Array,
  subjects: population.Subject,
  seconds: float,
  fs_hz: float,
  rhythm_spec: clinics.Rhythm,
  chunk: int = 16,
) -> dict[str, jax.Array]:
  """Computes aperiodic records of all sites on one clock.

  Args:
    key: typed PRNG key of the rhythms.
    subjects: (subject,) parameters.
    seconds: length; a whole number of samples at `fs_hz`.
    fs_hz: sampling rate [Hz] of the result. The waves fade out between 30 and 40 Hz, or below half a lower rate.
    rhythm_spec: respiration and variability.
    chunk: subjects computed together on each device; bounds the memory.

  Returns:
    site → (subject, time) pressure [mmHg], and "digital_ppg", min–max normalised over the record.

  Raises:
    InputError: a parameter is outside `population.LIMITS`, or the length is not a whole number of samples.
  """
  check(subjects, chunk=chunk)
  samples = seconds * fs_hz
  is_whole = np.isfinite(samples) and abs(samples - round(samples)) < 1e-6
  if not (is_whole and fs_hz >= _LOWEST_HZ and seconds >= _SHORTEST_S):
    raise InputError(
      f"seconds={seconds}, fs_hz={fs_hz}: must be at least {_SHORTEST_S:g} s at {_LOWEST_HZ:g} Hz or more, "
      "and a whole number of samples"
    )
  return _records(key, subjects, _at_nodes(subjects, chunk), float(seconds), float(fs_hz), rhythm_spec, chunk)


@functools.partial(jax.jit, static_argnames="chunk")
def _at_nodes(subjects: population.Subject, chunk: int) -> Transfer:
  """Computes the transfer functions at the nodes, in a program that serves records of every length and rhythm."""
  omega_k = 2 * jnp.pi * jnp.asarray(frequency_nodes_hz(), dtype=jnp.float32)
  return _over_subjects(lambda subject: respond(subject, omega_k), (subjects,), chunk)


@functools.partial(jax.jit, static_argnames=("seconds", "fs_hz", "rhythm_spec", "chunk"))
def _records(
  key: jax.Array,
  subjects: population.Subject,
  transfers: Transfer,
  seconds: float,
  fs_hz: float,
  rhythm_spec: clinics.Rhythm,
  chunk: int,
) -> dict[str, jax.Array]:
  keys = jax.random.split(key, subjects.age.shape[0])

  def one(subject: population.Subject, transfer: Transfer, subject_key: jax.Array) -> dict[str, jax.Array]:
    return _record(subject, transfer, subject_key, seconds, fs_hz, rhythm_spec)

  return _over_subjects(one, (subjects, transfers, keys), chunk)
