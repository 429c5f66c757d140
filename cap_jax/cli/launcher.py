"""Launches commands: defines common flags, prints errors on one line, profiles a run, collects provenance."""

import ast
import atexit
import contextlib
import errno
import gc
import importlib.metadata
import io
import os
import pathlib
import platform
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

import jax
from absl import app, flags, logging

from cap_jax import extras, files
from cap_jax.cli import arguments, output_folders, program_cache
from cap_jax.train import metrics_writer, sigterm
from cap_jax.train.clock import DivergedError
from cap_jax.types import InputError, UnfitError, escape, message_of

MODULES = {"import": "import_weights"}  # of commands whose names are keywords of Python
_SOME_FILE, _QUOTED_PATH = "a file that this run writes", re.compile(r'"(/[^"]*)"')
_PERMISSION = "check the permissions of the file and of its folder, or choose another folder"
_MOVED = "if it was moved or removed while the command ran, put its folder back, or run the command with a new one"
_REMEDIES = {
  **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE), _MOVED),
  **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PERMISSION),
  errno.ENAMETOOLONG: "use a shorter name",
}
_CURSOR = re.compile(r"(\x1b\[A|[\r\n])*")  # what moves the cursor between several progress bars
_STOPPED = "stopped; run the same command again to resume"
_PROFILE = flags.DEFINE_string(
  "profile", None, "folder to create for a trace of the whole run, for TensorBoard or Perfetto"
)
_CPU_DEVICES = flags.DEFINE_integer(
  "cpu_devices",
  None,
  "number of virtual CPU devices that share each batch; results differ in the last digits",
  lower_bound=1,
)
_DEBUG = flags.DEFINE_bool("debug", False, "print the traceback of an error")
_METRICS = flags.DEFINE_list(
  "metrics", [], f"write metrics during training, as any of: {', '.join(metrics_writer.KINDS)}"
)


def metrics() -> tuple[str, ...]:
  """Returns the kinds of metrics files that the flag `--metrics` names.

  Raises:
    InputError: a kind is unknown.
  """
  metrics_writer.check(_METRICS.value)
  return tuple(_METRICS.value)


def required(holder: flags.FlagHolder[Any], example: str) -> str:
  """Returns the value of a flag that must be given.

  Args:
    holder: of the flag.
    example: a value for the message of the error.

  Returns:
    The value.

  Raises:
    InputError: the flag is missing.
  """
  if not holder.value:
    raise InputError(f"--{holder.name} is missing; pass --{holder.name}={example}")
  return holder.value


def launch_command(name: str) -> None:
  """Runs the module `cap_jax.cli.NAME`, or that of `MODULES`, with the flags on the command line; see `launch`."""
  _check_settings(sys.argv)  # which some flags read when they are defined
  try:
    with _uncollected():
      command = extras.load(f"cap_jax.cli.{MODULES.get(name, name)}")
  except InputError as error:
    if _asks_for_help(sys.argv):
      print(usage_of(name))
    fail(str(error))
    raise AssertionError from error
  sys.modules["__main__"].__doc__ = usage_of(name)  # what --help begins with
  launch(command.main)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
  """Spares the garbage collector what a block imports, here, later and when the program ends: a second of a short command."""
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    gc.enable()
  atexit.register(gc.freeze)


def _asks_for_help(argv: list[str]) -> bool:
  return any(word in ("--help", "-help", "-h") for word in argv[1:])


def usage_of(name: str) -> str:
  """Returns the docstring of a command, with the command line by which it was launched. Imports nothing optional."""
  module = MODULES.get(name, name)
  text = pathlib.Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
  usage = ast.get_docstring(ast.parse(text)) or ""
  if not sys.argv[0].startswith("cap-jax"):
    return usage
  own = usage.replace(f"python -m experiments.{module} ", f"cap-jax {name} ")
  return re.sub(r"(python -m )?experiments\.(?=[a-z])", "cap-jax ", own)


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; prints all of the project's for --help, and one line for what is wrong."""
  for module, module_flags in flags.FLAGS.flags_by_module_dict().items():
    if module.startswith((__package__, "experiments.")):  # whichever module defines it, --help shows it
      for flag in module_flags:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
  if _asks_for_help(argv):  # absl ends it with status 1
    app.usage(shorthelp=True, writeto_stdout=True)
    sys.exit(0)
  for word in argv:
    if word.encode("utf-8", "backslashreplace").decode() != word:
      fail(f"{word}: is not UTF-8 text; rename the file or the folder")
  try:
    return flags.FLAGS(arguments.normalised(argv))
  except flags.Error as error:
    fail(str(error).strip().splitlines()[0] + _hint(error))
    raise AssertionError from error
  except Exception as error:  # a config file is a program, which may raise anything
    fail(f"--config: cannot load the file: {last_line(error)}")
    raise AssertionError from error


def _hint(error: flags.Error) -> str:
  """Returns the remedy for a flag that is a field of the command's config, "" for other errors."""
  if not isinstance(error, flags.UnrecognizedFlagError) or "config" not in flags.FLAGS:
    return ""
  if error.flagname not in (flags.FLAGS["config"].value or {}):
    return ""
  return (
    f"; write --config.{error.flagname}={error.flagvalue.partition('=')[2] or 'VALUE'}"  # the value is the whole word
  )


def launch(main: Callable[[], None]) -> None:
  """Runs a program.

  Invalid input and invalid flags are one line on standard error and exit status 2. On SIGTERM the program exits with status
  `sigterm.EXIT_STOPPED`. The same command then resumes, or starts again where no training state was saved.
  """

  def guarded(argv: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)  # a user need not read the notes of libraries
    if len(argv) > 1:
      fail(f"{argv[1]!r} is not a flag; write --flag=value")
    sigterm.install()
    program_cache.begin()
    if _CPU_DEVICES.value:
      jax.config.update("jax_num_cpu_devices", _CPU_DEVICES.value)
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
      if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    with (
      contextlib.redirect_stdout(_visible(sys.stdout, "\n\t")),
      contextlib.redirect_stderr(_visible(sys.stderr, "\n\t\r")),
    ):
      _run(main)

  _check_settings(sys.argv)
  app.run(guarded, flags_parser=_parse)


def _check_settings(argv: list[str]) -> None:
  """Checks that files of settings, which libraries open, are regular; a pipe would block the program."""
  for word in argv:
    name, _, path = word.partition("=")
    if name.lstrip("-") in ("config", "flagfile") and os.path.lexists(path):
      try:
        files.regular(path)
      except (InputError, OSError) as error:
        fail(f"{name}: {error}")


def _run(main: Callable[[], None]) -> None:
  """Runs a program, and ends the process with a line on standard error if it fails."""
  try:
    with _traced():
      main()
    sys.stdout.flush()
  except output_folders.FinishedError as finished:
    print(finished)
  except (InputError, DivergedError) as error:
    fail(str(error))
  except UnfitError as error:
    fail(f"{error}; change the settings or add data")
  except MemoryError:
    fail("out of memory; use fewer subjects, shorter windows or smaller batches")
  except KeyboardInterrupt:
    print(f"\n{_STOPPED}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(130)  # the threads of XLA may still compute, and can crash while Python ends
  except sigterm.StopRequested:
    sys.stdout.flush()
    print(f"\n{_STOPPED}", file=sys.stderr)
    sys.exit(sigterm.EXIT_STOPPED)
  except BrokenPipeError:  # the reader of the output has closed it
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
  except OSError as error:  # a full disk, a folder that may not be written to, a name too long
    fail(_describe(error))
  except (ValueError, RuntimeError) as error:  # a library reports errors of the system as its own
    quoted = _QUOTED_PATH.search(str(error))
    try:
      with files.translate_os_errors(quoted.group(1) if quoted else _SOME_FILE):
        raise
    except OSError as cause:
      fail(_describe(cause))


def _describe(error: OSError) -> str:
  """Returns the message of an error of the system: a full disk, a folder that may not be written to or is gone."""
  remedy = _REMEDIES.get(error.errno or 0, "free disk space, check the permissions or choose another folder")
  return f"{error.filename or _SOME_FILE}: {error.strerror or error}; {remedy}"


class _VisibleText:
  """A stream of text that writes control characters as escapes, because files and their names may contain some."""

  def __init__(self, stream: TextIO, kept: str):
    self._stream, self._kept = stream, kept

  def write(self, text: str) -> int:
    return self._stream.write(text if _CURSOR.fullmatch(text) else escape(text, self._kept))

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)


def _visible(stream: TextIO, kept: str) -> TextIO:
  """Returns a stream that writes control characters other than those of `kept` as escapes."""
  return cast(TextIO, _VisibleText(stream, kept))


@contextlib.contextmanager
def _traced() -> Iterator[None]:
  """Writes a trace of the device and the host to the folder of `--profile`, if one is given.

  Raises:
    InputError: the folder is not empty, or cannot be made.
  """
  if _PROFILE.value is None:
    yield
    return
  path = output_folders.new_folder(_PROFILE.value, "--profile")
  with jax.profiler.trace(path, create_perfetto_trace=True):
    yield
  print(f"{path}: open it with TensorBoard, or its perfetto_trace.json.gz at https://ui.perfetto.dev")


def fail(message: str) -> None:
  """Prints an error as one line on standard error and exits with status 2."""
  sys.stdout.flush()
  if flags.FLAGS.is_parsed() and _DEBUG.value and sys.exc_info()[0] is not None:
    traceback.print_exc()
  print(f"error: {message_of(message)}", file=sys.stderr)
  sys.exit(2)


def last_line(error: Exception) -> str:
  """Returns the last line of an error's message, or the name of its class."""
  return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def provenance(**facts: str) -> dict[str, str]:
  """Returns the command, versions and machine, and the facts of the caller."""
  packages = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")
  versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
  module = sys.modules["__main__"].__spec__
  # `cap-jax` and `python -m cap_jax` put the name of the command into sys.argv[0]
  program = sys.argv[0] if module is None or module.name.endswith("__main__") else f"python -m {module.name}"
  return {
    "command": f"{program} {shlex.join(sys.argv[1:])}".strip(),
    **facts,
    "versions": f"Python {platform.python_version()}, {versions}",
    "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
  }
