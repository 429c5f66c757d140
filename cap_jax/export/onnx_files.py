"""Writes the functions of a network as ONNX, for other languages and for browsers.

The converter, `jax2onnx`, needs an older orbax than this package. So it has an environment of its own (`_ENVIRONMENT`).
"""

import importlib
import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

from cap_jax.inference import window_function
from cap_jax.train import checkpoint
from cap_jax.types import InputError

ANSWER, LOG_POWER = "answer.onnx", "log_power.onnx"
_ENVIRONMENT = (
  "python -m venv onnx && onnx/bin/pip install jax2onnx safetensors scipy absl-py ml-collections pandas matplotlib tqdm && "
  "onnx/bin/pip install --no-deps cap_jax"
)
_OPSET = 18  # which the runtimes of 2023 know


def write(folder: str, trained: checkpoint.Checkpoint) -> None:
  """Writes the functions of a network for any number of windows.

  Args:
    folder: where.
    trained: the network.

  Raises:
    InputError: see `window_function.of`; or the package jax2onnx is not installed.
  """
  functions = window_function.of(trained)
  try:
    to_onnx = importlib.import_module("jax2onnx").to_onnx
  except ModuleNotFoundError as error:
    if error.name != "jax2onnx":
      raise
    raise InputError(
      f"jax2onnx is not installed; it needs an older orbax, so install it in an environment of its own: {_ENVIRONMENT}"
    ) from error
  inputs = [("batch", *shape) for shape in functions.inputs.values()]
  calls: dict[str, tuple[Callable[..., Any], list[tuple[object, ...]], list[str], list[str]]] = {
    ANSWER: (functions.answer, inputs, list(functions.inputs), list(functions.outputs))
  }
  if functions.log_power is not None:
    calls[LOG_POWER] = (functions.log_power, inputs[:1], ["peripheral"], ["log_power"])
  logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)  # it notes shapes that it does not need
  for name, (function, shapes, input_names, output_names) in calls.items():
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      to_onnx(
        function, inputs=shapes, model_name=name.removesuffix(".onnx"), opset=_OPSET, return_mode="file", export_mode="web",
        output_path=os.path.join(folder, name), input_names=input_names, output_names=output_names,
      )  # fmt: skip
