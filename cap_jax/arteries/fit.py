"""Fit of a subject to a measured beat at the aortic root, by gradient descent through the arteries."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cap_jax.arteries import cohort, heart, population, waves
from cap_jax.types import InputError

# Free parameters with a measured inflow, and with an inflow that is fitted too.
WITH_FLOW = ("pwv_m_s", "map_mmhg", "compliance_scale", "body_scale")
WITHOUT_FLOW = (*WITH_FLOW, "sv_ml", "lvet_s", "t_peak_s", "fall_exponent")
_HARMONICS = 40
_LEAST_PULSE_MMHG = 5.0
_STARTS_M_S = (5.0, 8.0, 12.0)  # the misfit has local minima in the wave speed


class Fit(NamedTuple):
  """Result of a fit.

  Attributes:
    subject: its parameters.
    p_t: (time,) pressure of the model [mmHg].
    rms_mmhg: root mean square of the misfit.
    loss: (step,) mean squares.
  """

  subject: population.Subject
  p_t: np.ndarray
  rms_mmhg: float
  loss: np.ndarray


def _to_unbounded(name: str, value: jax.Array) -> jax.Array:
  """Maps a parameter within its limits to an unlimited number: the logit of its position between them."""
  low, high = population.LIMITS[name]
  share = jnp.clip((value - low) / (high - low), 0.01, 0.99)  # at a limit there is no gradient
  return jnp.log(share / (1 - share))


def _from_unbounded(name: str, x: jax.Array) -> jax.Array:
  low, high = population.LIMITS[name]
  return low + (high - low) * jax.nn.sigmoid(x)


def _root(subject: population.Subject, flow_k: jax.Array | None, samples: int) -> jax.Array:
  omega_k = 2 * jnp.pi * subject.hr_bpm / 60 * jnp.arange(_HARMONICS + 1)
  z_k = cohort.respond(subject, omega_k).z_pk[0]
  if flow_k is None:
    shape = cohort.inflow_shape(subject, subject.sv_ml)
    flow_k = heart.periodic_spectrum(60 / subject.hr_bpm, shape, _HARMONICS)
  return waves.periodic(z_k, flow_k, samples) + subject.p_out_mmhg


@functools.partial(jax.jit, static_argnames=("free", "steps", "rate"))
def _descend(
  start: population.Subject, p_t: jax.Array, flow_k: jax.Array, free: tuple[str, ...], steps: int, rate: float
) -> Any:
  def subject_of(unbounded: Mapping[str, jax.Array]) -> population.Subject:
    return start._replace(**{name: _from_unbounded(name, x) for name, x in unbounded.items()})

  def loss(unbounded: Mapping[str, jax.Array]) -> jax.Array:
    return jnp.mean((_root(subject_of(unbounded), flow_k, p_t.shape[0]) - p_t) ** 2)

  tx = optax.adam(optax.cosine_decay_schedule(rate, steps))

  def step(carry: Any, _: None) -> Any:
    unbounded, state = carry
    value, gradient = jax.value_and_grad(loss)(unbounded)
    update, state = tx.update(gradient, state)
    return (optax.apply_updates(unbounded, update), state), value

  unbounded = {name: _to_unbounded(name, getattr(start, name)) for name in free}
  (unbounded, _), losses = jax.lax.scan(step, (unbounded, tx.init(unbounded)), length=steps)
  fitted = subject_of(unbounded)
  return fitted, _root(fitted, flow_k, p_t.shape[0]), losses


def fit(
  p_t: np.ndarray,
  flow_t: np.ndarray | None,
  period_s: float,
  start: population.Subject,
  free: Sequence[str] | None = None,
  steps: int = 400,
  rate: float = 0.05,
) -> Fit:
  """Fits the parameters `free` so that the model reproduces a beat of pressure at the aortic root.

  It runs Adam on the mean square of the misfit from three wave speeds and returns the best result. Parameters stay
  within `population.LIMITS`.

  Args:
    p_t: (time,) one period of pressure [mmHg], evenly sampled, more than 82 samples.
    flow_t: (time,) inflow at the same times [ml/s], or None: then the parametric ejection is fitted too.
    period_s: length of the beat.
    start: all parameters; those that are not in `free` stay. Its heart rate, and its stroke volume where the flow is
      measured, come from the data, and the pressure of its reference radii is the beat's least.
    free: names of the parameters; by default `WITH_FLOW` or `WITHOUT_FLOW`. One that starts at a limit starts a
      hundredth of its range inside.
    steps, rate: number of steps and learning rate.

  Raises:
    InputError: too few samples, a value that is not finite, or an unknown parameter.
  """
  names = tuple(free or (WITHOUT_FLOW if flow_t is None else WITH_FLOW))
  unknown = sorted(set(names) - set(population.LIMITS))
  if unknown:
    raise InputError(f"free={unknown}: not subject parameters; choose from {', '.join(population.LIMITS)}")
  if p_t.size <= 2 * _HARMONICS + 1:
    raise InputError(f"the beat has {p_t.size} samples; more than {2 * _HARMONICS + 1} are needed: resample it")
  if not np.isfinite(p_t).all() or (flow_t is not None and not np.isfinite(flow_t).all()):
    raise InputError("the beat contains NaN or infinite values; pass a beat without gaps")
  if np.ptp(p_t) < _LEAST_PULSE_MMHG:
    raise InputError(
      f"pulse pressure {np.ptp(p_t):.3g} mmHg: must be {_LEAST_PULSE_MMHG:g} or more; pass a pressure beat in mmHg"
    )
  hr = 60 / period_s
  measured = {"hr_bpm": hr, "p_ext_mmhg": p_t.min(), "map_mmhg": p_t.mean()}
  flow_k = None
  if flow_t is not None:
    flow_k = jnp.asarray(np.fft.rfft(flow_t)[: _HARMONICS + 1] / flow_t.size, dtype=jnp.complex64)
    measured["sv_ml"] = flow_t.mean() * period_s
  start = start._replace(**{name: jnp.float32(value) for name, value in measured.items()})
  population.check(start)
  fits: list[Fit] = []
  for speed in _STARTS_M_S if "pwv_m_s" in names else (float(start.pwv_m_s),):
    initial = jax.tree.map(lambda x: jnp.asarray(x, dtype=jnp.float32), start._replace(pwv_m_s=jnp.float32(speed)))
    subject, model_t, losses = _descend(initial, jnp.asarray(p_t, dtype=jnp.float32), flow_k, names, steps, rate)
    rms = float(np.sqrt(np.mean((np.asarray(model_t) - p_t) ** 2)))
    fits.append(Fit(jax.tree.map(float, subject), np.asarray(model_t), rms, np.asarray(losses)))
  return min(fits, key=lambda candidate: candidate.rms_mmhg if np.isfinite(candidate.rms_mmhg) else np.inf)
