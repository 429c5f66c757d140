"""Writes a page that reconstructs the aortic wave of a CSV in a browser, offline.

  python -m experiments.web --output=radial.html                                       the packaged radial network
  python -m experiments.web --checkpoint=radial,DIR/checkpoint --output=page.html      several networks, of other sites

The page is one file. It works without this package, sends nothing, and can be passed on as it is.
"""

import os

from absl import flags

from cap_jax.cli import launcher
from cap_jax.export import web_page
from cap_jax.inference import pretrained
from cap_jax.types import InputError

_CHECKPOINT = flags.DEFINE_list(
  "checkpoint", [pretrained.DEFAULT], f"checkpoint folders, or packaged networks: {', '.join(pretrained.names())}"
)
_OUTPUT = flags.DEFINE_string("output", None, "HTML file to write")


def main() -> None:
  output = launcher.required(_OUTPUT, "FILE.html")
  if not output.endswith(".html"):
    raise InputError(f"--output={output}: must end in .html, so that browsers open it")
  if not os.path.isdir(os.path.dirname(os.path.abspath(output))):
    raise InputError(f"--output={output}: its folder does not exist; make it, or choose another")
  web_page.write(output, [pretrained.load(name) for name in _CHECKPOINT.value])
  print(f"{output}: {os.path.getsize(output) / 1e6:.2f} MB; open it in a browser")
