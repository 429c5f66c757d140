"""What all commands share: launching, configs, work folders, provenance."""

import contextlib
import dataclasses
import importlib.metadata
import io
import os
import platform
import shutil
import sys
import tempfile
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from cap_jax import clinics, extras, files
from cap_jax.inference import pretrained
from cap_jax.study import study_config, study_datasets
from cap_jax.train import checkpoint, metrics_writer, training_state
from cap_jax.train.clock import DivergedError
from cap_jax.types import InputError, UnfitError

T = TypeVar("T")
_CONFIGS = os.path.join(os.path.dirname(__file__), "configs")


def to_config_dict(value: Any) -> ConfigDict:
  """A frozen config as a `ConfigDict`, so that `--config.field=value` overrides it."""
  return ConfigDict(dataclasses.asdict(value), convert_dict=True)


def from_config_dict(kind: type[T], mapping: Mapping[str, Any]) -> T:
  """The frozen config again, nested ones included.

  Raises:
    InputError: a value cannot be; names the field of the config that holds it.
  """
  hints = typing.get_type_hints(kind)
  values = {}
  for name, value in mapping.items():
    if dataclasses.is_dataclass(hints[name]):
      try:
        value = from_config_dict(typing.cast(type, hints[name]), value)
      except InputError as error:
        raise InputError(f"{name}: {error}") from error
    elif typing.get_origin(hints[name]) is tuple:
      value = _words(value)
    elif isinstance(value, ConfigDict):
      value = value.to_dict()
    values[name] = value
  return kind(**values)


def _words(values: Any) -> tuple:
  """A tuple of a config; names that came as one flag, `--config.strategies=a,b`, are parted."""
  values = (values,) if isinstance(values, str) else values
  return tuple(
    part for value in values for part in ([w for w in value.split(",") if w] if isinstance(value, str) else [value])
  )


def follow(study: study_config.Study, source: checkpoint.Checkpoint) -> study_config.Study:
  """The study with the site, the reference, the calibration, the network, the windows, the task and the clinic or store of a
  given source network.

  Raises:
    InputError: the checkpoint does not tell from which clinic its source was.
  """
  clinic, data = source.about.get("source"), source.about.get("source_data", "")
  if not isinstance(clinic, str) or clinic not in clinics.SOURCES:
    known = ", ".join(clinics.SOURCES)
    raise InputError(f"--source: its header names the source {clinic!r}; pre-train one again on one of {known}")
  same: dict[str, Any] = {"site": source.site, "model": source.model, "windows": source.windows, "task": source.task}
  same |= {"calibration": source.calibration, "reference": source.reference}
  return dataclasses.replace(study, source=clinic, source_data=study.source_data or data, **same)


_FOLLOWED = ("source", "site", "model", "windows", "task", "calibration", "reference")


def with_source(study: study_config.Study, source: str, overrides: Mapping[str, Any]) -> study_config.Study:
  """The study with its source network, whose site, model and windows it takes over.

  Args:
    study: as its config says.
    source: "train", "pretrained", or the folder of a checkpoint.
    overrides: fields that the command line changed → values, see `read_overrides`.

  Raises:
    InputError: there is no such checkpoint, or an override contradicts it.
  """
  study = dataclasses.replace(study, source_network=source)
  if source == pretrained.TRAIN:
    return study
  followed = follow(study, checkpoint.load(pretrained.place(source)))
  for name in overrides:
    field = name.partition(".")[0]
    if field in _FOLLOWED and getattr(study, field) != getattr(followed, field):
      raise InputError(
        f"--config.{name}: the source network {source!r} was trained with {field}={getattr(followed, field)}; leave the flag out, or add "
        f"--source={pretrained.TRAIN} to train a source network of your own"
      )
  return followed


def read_overrides(holder: flags.FlagHolder) -> dict[str, Any]:
  """Fields of the study that the command line changed, as `model.channels`, with their values."""
  return config_flags.get_override_values(flags.FLAGS[holder.name])


_PROFILE = flags.DEFINE_string("profile", None, "new folder for a trace of the whole run, for TensorBoard or Perfetto")
_CPU_DEVICES = flags.DEFINE_integer(
  "cpu_devices", None, "share each batch among so many parts of the CPU: faster steps, other last digits", lower_bound=1
)
_DEBUG = flags.DEFINE_bool("debug", False, "show where an error comes from, with its traceback")
_METRICS = flags.DEFINE_list("metrics", [], f"write metrics along each training: {', '.join(metrics_writer.KINDS)}")


def metrics() -> tuple[str, ...]:
  """Kinds of the journals that the flags ask for.

  Raises:
    InputError: one is unknown.
  """
  metrics_writer.check(_METRICS.value)
  return tuple(_METRICS.value)


def define_study(text: str, default: str = "default") -> flags.FlagHolder:
  """The flag `--config`, a config file whose fields `--config.field=value` overrides. It reads the command line at once.

  Args:
    text: what it is for, for `--help`.
    default: name of a file in `cap_jax/cli/configs`.
  """
  try:
    return config_flags.DEFINE_config_file("config", os.path.join(_CONFIGS, f"{default}.py"), text)
  except Exception as error:  # a config file is a program, which may raise anything
    _fail(f"--config.FIELD=VALUE: {_last_line(error)} is no field or value of the study; see cap_jax/config.py")
    raise AssertionError from error


def _last_line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def read_study(holder: flags.FlagHolder) -> study_config.Study:
  """The study that `--config` and its overrides name.

  Raises:
    InputError: the file cannot be loaded, or a value of the study cannot be.
  """
  study = study_of(holder.value)
  study_datasets.check_stores(study)
  return study


def study_of(values: Mapping[str, Any]) -> study_config.Study:
  """The study of a `ConfigDict`.

  Raises:
    InputError: a value of it cannot be.
  """
  try:
    study = from_config_dict(study_config.Study, values)
  except InputError:
    raise
  except Exception as error:  # a config file is a program, which may raise anything
    raise InputError(f"--config: no study can be made of it: {_last_line(error)}") from error
  return study


def read_terms(words: list[str]) -> tuple[tuple, ...]:
  """Terms of a loss, NAME:WEIGHT[:SCHEDULE], as the flag `--loss` names them.

  Raises:
    InputError: a word has other parts, or a weight is no number.
  """
  found = []
  for word in words:
    name, *rest = word.split(":")
    if len(rest) > 2:
      raise InputError(f"--loss={word}: has {len(rest) + 1} parts; a term is NAME:WEIGHT or NAME:WEIGHT:SCHEDULE")
    try:
      found.append((name, float(rest[0]) if rest else 1.0, *rest[1:]))
    except ValueError as error:
      raise InputError(f"--loss={word}: the weight must be a number, as in mmd:0.1:ramp") from error
  return tuple(found)


def required(holder: flags.FlagHolder, example: str) -> str:
  """The value of a flag that must be given.

  Raises:
    InputError: it is not.
  """
  if not holder.value:
    raise InputError(f"--{holder.name} is missing; give --{holder.name}={example}")
  return holder.value


def launch_command(name: str) -> None:
  """Runs a command of the package, the module `cap_jax.cli.NAME`, with the flags on the command line; see `launch`."""
  try:
    command = extras.load(f"cap_jax.cli.{name}")
  except InputError as error:
    _fail(str(error))
    raise AssertionError from error
  sys.modules["__main__"].__doc__ = command.__doc__  # what --help begins with
  launch(command.main)


def launch(main: Callable[[], None]) -> None:
  """Runs a program. Bad input and bad flags are one line on standard error and exit status 2; what was asked to stop (SIGTERM) ends
  with `savepoints.STOPPED`, and the same command goes on, or begins again where nothing is kept."""

  def parse(argv: list[str]) -> list[str]:
    for module, known in flags.FLAGS.flags_by_module_dict().items():
      if module.startswith((__package__, "experiments.")):  # whichever module defines it, --help shows it
        for flag in known:
          flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    if any(word in ("--help", "-help", "-h") for word in argv[1:]):  # absl ends it with status 1
      app.usage(shorthelp=True)
      sys.exit(0)
    try:
      return flags.FLAGS(argv)
    except flags.Error as error:
      _fail(str(error).strip().splitlines()[0])
      raise AssertionError from error
    except Exception as error:  # a config file is a program, which may raise anything
      _fail(f"--config: the file cannot be loaded: {_last_line(error)}")
      raise AssertionError from error

  def guarded(argv: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)  # what libraries say in passing is no concern of the reader
    if len(argv) > 1:
      _fail(f"{argv[1]!r} is no flag; write --flag=value")
    training_state.install_sigterm_handler()
    if _CPU_DEVICES.value:
      jax.config.update("jax_num_cpu_devices", _CPU_DEVICES.value)
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
      if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
      with _traced():
        main()
      sys.stdout.flush()
    except (InputError, DivergedError) as error:
      _fail(str(error))
    except UnfitError as error:
      _fail(f"{error}; take other settings or more data")
    except MemoryError:
      _fail("the memory of this machine is too little for it; take fewer subjects, shorter windows or smaller batches")
    except KeyboardInterrupt:
      print("\nstopped", file=sys.stderr)
      sys.exit(130)
    except training_state.StopRequested:
      sys.stdout.flush()
      print("\nstopped; give the same command again", file=sys.stderr)
      sys.exit(training_state.STOPPED)
    except BrokenPipeError:  # whoever read what is printed has enough
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written to, a name too long
      place = error.filename or "a file of this run"
      _fail(f"{place}: {error.strerror or error}; free it or choose another place")

  app.run(guarded, flags_parser=parse)


@contextlib.contextmanager
def _traced() -> Iterator[None]:
  """What the device and the host did, written to the folder of `--profile`, where one is given.

  Raises:
    InputError: the folder holds something already, or cannot be made.
  """
  if _PROFILE.value is None:
    yield
    return
  path = new_folder(_PROFILE.value, "--profile")
  with jax.profiler.trace(path, create_perfetto_trace=True):
    yield
  print(f"{path}: open it with TensorBoard, or its perfetto_trace.json.gz at https://ui.perfetto.dev")


def _fail(message: str) -> None:
  sys.stdout.flush()
  if flags.FLAGS.is_parsed() and _DEBUG.value and sys.exc_info()[0] is not None:
    traceback.print_exc()
  print(f"error: {message}", file=sys.stderr)
  sys.exit(2)


def new_folder(path: str, flag: str = "--workdir") -> str:
  """Makes a folder, which `flag` names.

  Raises:
    InputError: it holds something already, or cannot be made.
  """
  try:
    os.makedirs(path, exist_ok=True)
    if set(os.listdir(path)) - {files.LOCK}:
      raise InputError(f"{flag}={path}: holds files already; choose another folder or remove it")
  except OSError as error:
    raise InputError(f"{flag}={path}: cannot be used ({error.strerror})") from error
  return path


def open_folder(path: str) -> None:
  """Makes a work folder, or opens one in which a study goes on.

  Raises:
    InputError: it holds something else, or cannot be made.
  """
  try:
    os.makedirs(path, exist_ok=True)
    # of one that was killed at once
    others = [name for name in os.listdir(path) if not name.startswith(("study.json.partial-", files.LOCK))]
    if others and not os.path.exists(os.path.join(path, "study.json")):
      raise InputError(f"--workdir={path}: holds files already, and no study to go on with; choose another folder")
  except OSError as error:
    raise InputError(f"--workdir={path}: cannot be used ({error.strerror})") from error


@contextlib.contextmanager
def whole_folder(path: str, flag: str) -> Iterator[str]:
  """A folder to fill. It takes the name of `path` when the block ends well, and vanishes when it does not.

  Raises:
    InputError: `path` exists already, or cannot be made.
  """
  final = os.path.abspath(path)
  if os.path.lexists(final):
    raise InputError(f"{flag}={path}: exists already; choose another folder or remove it")
  try:
    os.makedirs(os.path.dirname(final), exist_ok=True)
    partial = tempfile.mkdtemp(prefix=f"{os.path.basename(final)}.", dir=os.path.dirname(final))
  except OSError as error:
    raise InputError(f"{flag}={path}: cannot be made ({error.strerror})") from error
  try:
    yield partial
    os.chmod(partial, 0o755)  # mkdtemp keeps it to the owner
    os.rename(partial, final)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def check_file(path: str | None, flag: str) -> None:
  """Before long work: that its result can be written.

  Raises:
    InputError: the file's folder is not there or may not be written to, or the path is a folder.
  """
  if path is None:
    return
  folder = os.path.dirname(os.path.abspath(path))
  if os.path.isdir(path) or path.endswith(os.sep):
    raise InputError(f"{flag}={path}: is a folder; give the name of a file")
  if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
    raise InputError(f"{flag}={path}: {folder} is no folder that can be written to; make it or choose another")


def changed(study: study_config.Study) -> dict[str, Any]:
  """Fields of a study that are not the defaults."""
  default = study_config.Study()
  names = [field.name for field in dataclasses.fields(study)]
  return {name: getattr(study, name) for name in names if getattr(study, name) != getattr(default, name)}


def provenance(**facts: str) -> dict[str, str]:
  """Command, versions and machine, beside the facts given."""
  packages = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")
  versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
  module = sys.modules["__main__"].__spec__
  # `cap-jax` and `python -m cap_jax` put the command's name there
  program = sys.argv[0] if module is None or module.name.endswith("__main__") else f"python -m {module.name}"
  return {
    "command": " ".join([program, *sys.argv[1:]]),
    **facts,
    "versions": f"Python {platform.python_version()}, {versions}",
    "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
  }
