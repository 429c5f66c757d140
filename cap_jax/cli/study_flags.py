"""Defines the flag `--config` and creates studies from its values: conversion, overrides, source networks, loss terms."""

import dataclasses
import os
import re
import sys
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from cap_jax import clinics
from cap_jax.cli import arguments, launcher
from cap_jax.inference import pretrained
from cap_jax.losses import tasks
from cap_jax.strategies import STRATEGIES
from cap_jax.strategies.strategy import Strategy
from cap_jax.study import study_config, study_datasets
from cap_jax.train import checkpoint
from cap_jax.types import InputError

T = TypeVar("T")
_CONFIGS = os.path.join(os.path.dirname(__file__), "configs")
_FOLLOWED = ("source", "site", "model", "windows", "task", "calibration", "reference")


def to_config_dict(value: Any) -> ConfigDict:
  """Converts a frozen config into a `ConfigDict`, whose fields `--config.field=value` overrides.

  The `custom` of a study gets all fields of all strategies, without a value where the study has none.
  """
  content = dataclasses.asdict(value)
  if isinstance(value, study_config.Study):
    content["custom"] = {name: {**_fields_without_value(), **content["custom"].get(name, {})} for name in STRATEGIES}
  return ConfigDict(content, convert_dict=True)


def _fields_without_value() -> dict[str, Any]:
  """Returns field of a strategy → a missing value of its type."""
  fields = [field for field in dataclasses.fields(Strategy) if field.name not in ("name", "equation")]
  return {field.name: config_dict.placeholder(type(field.default)) for field in fields}


def from_config_dict(kind: type[T], mapping: Mapping[str, Any]) -> T:
  """Converts a `ConfigDict` back into a frozen config, nested ones included.

  Args:
    kind: the dataclass.
    mapping: field → value.

  Returns:
    The config.

  Raises:
    InputError: a value is invalid; the message names the field of the nested config.
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
      value = _split_names(value)
    elif isinstance(value, ConfigDict):
      value = _without_empty(value)
    values[name] = value
  return kind(**values)


def _without_empty(mapping: ConfigDict) -> dict[str, Any]:
  """Returns strategy → field → value, without fields that have no value and strategies without fields."""
  filled = {name: {k: v for k, v in values.items() if v is not None} for name, values in mapping.to_dict().items()}
  for values in filled.values():
    if "init_from_source" in values:
      values["init_from_source"] = _split_names(values["init_from_source"])
  return {name: values for name, values in filled.items() if values}


def _split_names(values: Any) -> tuple[Any, ...]:
  """Returns the tuple of a config; splits names that came as one flag, `--config.strategies=a,b`."""
  values = (values,) if isinstance(values, str) else values
  return tuple(
    part for value in values for part in ([w for w in value.split(",") if w] if isinstance(value, str) else [value])
  )


def follow(study: study_config.Study, source: checkpoint.Checkpoint) -> study_config.Study:
  """Returns the study with the settings of its source network.

  Args:
    study: as its config says.
    source: the source network. The study takes over its site, reference, calibration, model, windows, task, and clinic or
      store. An imported network has no source of this project: the study keeps its own.

  Returns:
    The changed study.

  Raises:
    InputError: the checkpoint does not name the clinic of its source.
  """
  clinic = study.source if source.task == tasks.IMPORTED else source.about.get("source")
  data = source.about.get("source_data", "")
  sources = {**clinics.SOURCES, **clinics.MIXTURES}
  if not isinstance(clinic, str) or clinic not in sources:
    choices = ", ".join(sources)
    raise InputError(f"--source: its header has the unknown source {clinic!r}; pretrain a network on one of {choices}")
  same: dict[str, Any] = {"site": source.site, "model": source.model, "windows": source.windows, "task": source.task}
  same |= {"calibration": source.calibration, "reference": source.reference}
  return dataclasses.replace(study, source=clinic, source_data=study.source_data or data, **same)


def with_source(study: study_config.Study, source: str, overrides: Mapping[str, Any]) -> study_config.Study:
  """Returns the study with its source network, whose site, model and windows it takes over.

  Args:
    study: as its config says.
    source: "train", a network of the package, or the folder of a checkpoint.
    overrides: fields that the command line changed → values, see `read_overrides`.

  Returns:
    The changed study.

  Raises:
    InputError: there is no such checkpoint, or an override contradicts it.
  """
  study = dataclasses.replace(study, source_network=source)
  if source == pretrained.TRAIN:
    return study
  remedy = f"add --source={pretrained.TRAIN} to train a new source network"
  return checked_follow(study, pretrained.load(source), overrides, f"{source!r} ", remedy)


def checked_follow(
  study: study_config.Study, source: checkpoint.Checkpoint, overrides: Mapping[str, Any], name: str, remedy: str
) -> study_config.Study:
  """Returns the study with the settings of its source network, see `follow`, which the command line may not contradict.

  Args:
    study: as its config says.
    source: the source network.
    overrides: fields that the command line changed → values, see `read_overrides`.
    name, remedy: of the source network, and what to do to train another, for the message.

  Raises:
    InputError: an override contradicts the source network.
  """
  followed = follow(study, source)
  for path in overrides:
    field = path.partition(".")[0]
    if field in _FOLLOWED and getattr(study, field) != getattr(followed, field):
      raise InputError(
        f"--config.{path}: the source network {name}was trained with {field}={getattr(followed, field)}; omit the flag, or {remedy}"
      )
  return followed


def read_overrides(holder: flags.FlagHolder[Any]) -> dict[str, Any]:
  """Returns the fields that the command line changed, as `model.channels`, with their values."""
  return config_flags.get_override_values(flags.FLAGS[holder.name])


def define_study(text: str, default: str = "default") -> flags.FlagHolder[Any]:
  """Defines the flag `--config`, a config file whose fields `--config.field=value` overrides.

  The command line is read at once.

  Args:
    text: the help of the flag.
    default: name of a file in `cap_jax/cli/configs`.

  Returns:
    The holder of the flag.
  """
  try:
    path = os.path.join(_CONFIGS, f"{default}.py")
    return config_flags.DEFINE_config_file("config", path, text, sys_argv=arguments.normalised(sys.argv))
  except Exception as error:  # a config file is a program, which may raise anything
    text = str(error).strip() or type(error).__name__
    name = re.sub(r"[\"'\\]", "", text.replace("\\n", "\n")).splitlines()[0]
    near = re.search(r'Did you mean \\?"(.+?)\\?"', str(error))
    hint = f"; did you mean {near.group(1)}?" if near else ""
    launcher.fail(f"--config.FIELD=VALUE: {name!r} is not a field or value of a study{hint}; docs/config.md lists all")
    raise AssertionError from error


def read_study(holder: flags.FlagHolder[Any]) -> study_config.Study:
  """Returns the study that `--config` and its overrides name.

  Raises:
    InputError: the file cannot be loaded, or a value of the study is invalid.
  """
  study = study_of(holder.value)
  study_datasets.check_stores(study)
  return study


def study_of(values: Mapping[str, Any]) -> study_config.Study:
  """Returns the study of a `ConfigDict`.

  Raises:
    InputError: a value is invalid.
  """
  try:
    study = from_config_dict(study_config.Study, values)
  except InputError:
    raise
  except Exception as error:  # a config file is a program, which may raise anything
    raise InputError(f"--config: does not define a study: {launcher.last_line(error)}") from error
  return study


def changed(study: study_config.Study) -> dict[str, Any]:
  """Returns the fields of a study that differ from the defaults."""
  default = study_config.Study()
  names = [field.name for field in dataclasses.fields(study)]
  return {name: getattr(study, name) for name in names if getattr(study, name) != getattr(default, name)}


def read_terms(texts: list[str]) -> tuple[tuple[Any, ...], ...]:
  """Parses terms of a loss, each NAME:WEIGHT[:SCHEDULE] as in the flag `--loss`.

  Raises:
    InputError: a term has too many parts, or its weight is no number.
  """
  terms = []
  for text in texts:
    name, *rest = text.split(":")
    if len(rest) > 2:
      raise InputError(f"--loss={text}: has {len(rest) + 1} parts; a term is NAME:WEIGHT or NAME:WEIGHT:SCHEDULE")
    try:
      terms.append((name, float(rest[0]) if rest else 1.0, *rest[1:]))
    except ValueError as error:
      raise InputError(f"--loss={text}: the weight must be a number, such as mmd:0.1:ramp") from error
  return tuple(terms)
