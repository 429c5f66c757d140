"""The command `cap-jax NAME --flag=value …`, also `python -m cap_jax NAME …`."""

import importlib
import os
import sys

from cap_jax import __version__

COMMANDS = {
  "reconstruct": "reconstruct the aortic wave of a record",
  "describe": "describe a data set: its records, which of them are unusable, and why",
  "prepare": "convert a data set to a store: conditioned, split by subject, with a manifest",
  "split": "write further splits of a store: k folds, or leave-one-subject-out",
  "pretrain": "train a source network",
  "import": "import a source network that another program trained, from its file of weights",
  "transfer": "transfer a source network to a target clinic",
  "tune": "choose a strategy's learning rate and weight decay on validation subjects",
  "evaluate": "evaluate a trained network on your own data",
  "compare": "compare all strategies in one target clinic, with a report",
  "study": "run a study over methods, clinics, numbers of labels and seeds, with a report",
  "export": "export a network for use without this package: safetensors, ONNX, StableHLO",
  "web": "write a page that reconstructs records in a browser, offline",
  "severity": "measure how artefacts of increasing severity affect a reconstruction",
  "cohort": "generate a virtual cohort",
  "physiology": "compare the virtual cohort with published values by decade",
  "fit": "fit the arterial model to a beat measured at the aortic root",
}


def usage() -> str:
  """Returns the usage text, with one line per command."""
  width = max(map(len, COMMANDS))
  lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
  return "\n".join(["usage: cap-jax COMMAND [--flag=value …]", "", *lines, "", "flags: cap-jax COMMAND --help"])


def main() -> None:
  """Runs the command that the first argument names; an unknown one prints a line to standard error and exits with 2."""
  if not sys.stderr.isatty():
    os.environ.setdefault("TQDM_MININTERVAL", "10")  # seconds between the lines of a progress bar in a log file
  name = sys.argv[1] if len(sys.argv) > 1 else "--help"
  if name in ("--help", "-h"):
    print(usage())
  elif name == "--version":
    print(__version__)
  elif name in COMMANDS:
    sys.argv = [f"cap-jax {name}", *sys.argv[2:]]
    importlib.import_module("cap_jax.cli.launcher").launch_command(name)
  else:
    from cap_jax.types import suggest  # imports jax

    print(f"error: {name!r} is not a command; {suggest(name, COMMANDS)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
  main()
