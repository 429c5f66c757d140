"""Writes the functions of a network as StableHLO, compiled by XLA where they run: `jax.export` for CPU, CUDA and TPU.

from jax import export
answer = export.deserialize(open("answer.stablehlo", "rb").read())
aortic, sigma, ood = answer.call(peripheral, log_power)
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from cap_jax import extras
from cap_jax.inference import window_function
from cap_jax.train import checkpoint

ANSWER, LOG_POWER = "answer.stablehlo", "log_power.stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(folder: str, trained: checkpoint.Checkpoint) -> None:
  """Writes the functions of a network for any number of windows.

  Args:
    folder: where.
    trained: the network.

  Raises:
    InputError: see `window_function.of`.
  """
  functions = window_function.of(trained)
  extras.load("flatbuffers")  # in which jax writes
  (batch,) = export.symbolic_shape("batch")
  inputs = [jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for shape in functions.inputs.values()]
  calls: dict[str, tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]] = {ANSWER: (functions.answer, inputs)}
  if functions.log_power is not None:
    calls[LOG_POWER] = (functions.log_power, inputs[:1])
  for name, (function, shapes) in calls.items():
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
    with open(os.path.join(folder, name), "wb") as file:
      file.write(exported.serialize())
