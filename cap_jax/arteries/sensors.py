"""Measuring chains: what a transducer and its amplifier make of a pressure. Pure functions of (time,) waves.

A fluid-filled line and its transducer answer like a damped spring,

    H(f) = 1 / (1 − (f/f_n)² + 2jζ f/f_n)

with a natural frequency f_n and damping ζ (Gardner 1981, Anesthesiology 54, 227; measured ranges in Mikhailov 2021).
"""

import jax
import jax.numpy as jnp

from cap_jax import config


def second_order(p_t: jax.Array, fs_hz: float, natural_hz: float, damping: float) -> jax.Array:
  """A pressure seen through a second-order line. The record is taken as one period, as the cohort makes it."""
  ratio = jnp.fft.rfftfreq(p_t.shape[-1], 1 / fs_hz) / natural_hz
  response = 1 / (1 - ratio**2 + 2j * damping * ratio)
  return jnp.fft.irfft(jnp.fft.rfft(p_t) * response, n=p_t.shape[-1])


def measure(key: jax.Array, p_t: jax.Array, fs_hz: float, device: config.Device) -> jax.Array:
  """A pressure as the device reports it: its line if it has one, then white noise."""
  if device.natural_hz is not None:
    p_t = second_order(p_t, fs_hz, device.natural_hz, device.damping)
  return p_t + device.noise_mmhg * jax.random.normal(key, p_t.shape)
