"""The commands as a user types them.

`run` gives each a process of its own, forked from one in which the libraries are imported already, which takes longer than most of what
these commands do. `run_here` runs one in the process of the test: for what simulates or trains, whose programs would be traced anew.
"""

import contextlib
import io
import multiprocessing
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings

import jax
import numpy as np
import pytest
from absl import app, flags, logging

import cap_jax
from cap_jax import config

ROOT = pathlib.Path(__file__).resolve().parents[2]
# the sizes of the fixture small_study, whose compiled programs then serve the commands too
SMALL = [
  f"--config.{name}={value}"
  for name, value in {
    "n_target": "0,1,2", "source_subjects": 24, "source_seconds": 8.0, "labelled_subjects": 3, "validation_subjects": 2,
    "unlabelled_subjects": 3, "test_subjects": 4, "target_seconds": 8.0, "pretrain.steps": 100, "steps": 50,
    "pretrain.learning_rate": config.Training().learning_rate,
    "model.channels": 8, "model.layers": 1, "model.head_channels": 8,
  }.items()
]  # fmt: skip
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
  [f"cap_jax.{name}" for name in ("study.run_study", "study.own_data", "report.study_report", "data.preparation")]
)


def _main(name, arguments, out, err, read):
  for stream, path in ((1, out), (2, err)):
    with open(path, "wb") as file:
      os.dup2(file.fileno(), stream)
  if not read:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
  os.chdir(ROOT)
  os.environ |= {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}  # for processes of its own
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_default_matmul_precision", "highest")  # as in the tests, whose compiled programs it finds
  warnings.simplefilter("ignore")
  sys.argv = [name, *arguments]
  runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)


def run(name, *arguments, timeout=1800, read=True):
  """`python -m experiments.NAME ARGUMENTS` in the project's root: its status and what it printed. Not `read`: its output goes to a pipe
  that nobody reads."""
  text = list(map(str, arguments))
  with tempfile.TemporaryDirectory() as folder:
    out, err = (pathlib.Path(folder, stream) for stream in ("out", "err"))
    started = _SERVER.Process(target=_main, args=(name, text, str(out), str(err), read))
    started.start()
    started.join(timeout)
    if started.is_alive():
      started.kill()
      raise subprocess.TimeoutExpired([name, *text], timeout)
    said = (path.read_text(encoding="utf-8") for path in (out, err))
    return subprocess.CompletedProcess([name, *text], started.exitcode, *said)


@contextlib.contextmanager
def _fresh():
  """Within it the commands are as in a new process: not imported yet, their flags not defined. After it all is as it was before."""

  def commands():
    return [name for name in sys.modules if f"{name}.".startswith(("cap_jax.cli.", "experiments."))]

  def theirs():
    # absl calls a module that runs as __main__ by its file; the last own the overrides of a config
    owners = ("cap_jax.cli", "experiments.", str(ROOT / "experiments"), "ml_collections", "absl.flags._flag")
    result = flags.FLAGS.flags_by_module_dict()
    return [(module, flag) for module in result if module.startswith(owners) for flag in result[module]]

  def drop():
    for name in commands():
      del sys.modules[name]
    for name in {flag.name for _, flag in theirs()}:
      delattr(flags.FLAGS, name)

  modules = {name: sys.modules[name] for name in commands()}
  before = theirs()
  handler, level = signal.getsignal(signal.SIGTERM), logging.get_verbosity()
  environment = dict(os.environ)
  drop()
  try:
    yield
  finally:
    drop()
    sys.modules |= modules
    if "cap_jax.cli" in modules:
      cap_jax.cli = modules["cap_jax.cli"]
    for module, flag in before:
      flags.FLAGS[flag.name] = flag
      flags.FLAGS.register_flag_by_module(module, flag)
    for name in os.environ.keys() - environment:
      del os.environ[name]
    os.environ |= environment
    signal.signal(signal.SIGTERM, handler)
    logging.set_verbosity(level)


def run_here(name, *arguments):
  """As `run`, but in the process of the test, where the programs of other tests are compiled already."""
  text = list(map(str, arguments))
  out, err = io.StringIO(), io.StringIO()
  with (
    _fresh(), pytest.MonkeyPatch.context() as patched, contextlib.chdir(ROOT), warnings.catch_warnings(),
    contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
  ):  # fmt: skip
    warnings.simplefilter("ignore")
    patched.setattr(sys, "argv", [name, *text])
    patched.setattr(app, "run", lambda main, flags_parser: main(flags_parser(sys.argv)))  # which sets up absl for good
    try:
      runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
      status = 0
    except SystemExit as end:
      status = end.code or 0
  return subprocess.CompletedProcess([name, *text], status, out.getvalue(), err.getvalue())


def wave(seconds, fs):
  t = np.arange(int(seconds * fs)) / fs
  u = t % 0.8
  return t, 70 + 45 * np.exp(-((u - 0.25) ** 2) / 0.006) + 12 * np.exp(-((u - 0.5) ** 2) / 0.01)


def write_csv(path, t, p, column="radial_pressure_mmhg"):
  lines = [f"time_s,{column}", *(f"{a:.4f},{b:.3f}" for a, b in zip(t, p, strict=True))]
  path.write_text("\n".join(lines) + "\n")
  return path
