"""Exports a network for use without this package.

  python -m experiments.export --checkpoint=radial --to=safetensors,stablehlo --output=DIR
  python -m experiments.export --checkpoint=DIR/checkpoint --to=onnx --output=DIR2

Writes a folder: manifest.json, which says how to use the files; README.md, a model card; and for safetensors config.json and
model.safetensors, for onnx answer.onnx and log_power.onnx, for stablehlo answer.stablehlo and log_power.stablehlo.
"""

import os

from absl import flags

from cap_jax import export
from cap_jax.cli import launcher
from cap_jax.inference import pretrained

_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", pretrained.DEFAULT, f"checkpoint folder, or a packaged network: {', '.join(pretrained.names())}"
)
_TO = flags.DEFINE_list("to", ["safetensors"], f"formats: {', '.join(export.FORMATS)}")
_OUTPUT = flags.DEFINE_string("output", None, "folder to create")


def main() -> None:
  output = launcher.required(_OUTPUT, "DIR")
  trained = pretrained.load(_CHECKPOINT.value)
  for name in export.write(output, trained, _TO.value):
    print(os.path.join(output, name))
