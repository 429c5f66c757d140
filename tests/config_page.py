"""Writes docs/config.md, the page of all `--config.*` fields, from the dataclasses: `python -m tests.config_page`."""

import dataclasses
import inspect
import pathlib
import re
import typing

from cap_jax import clinics
from cap_jax.losses import multi_task, tasks
from cap_jax.models import net
from cap_jax.signals import calibration
from cap_jax.strategies import STRATEGIES
from cap_jax.strategies.strategy import Strategy
from cap_jax.study import methods, study_config
from cap_jax.train import optimizer

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "config.md"
REGISTRIES = {
  "clinics.SOURCES": clinics.SOURCES,
  "clinics.SCENARIOS": clinics.SCENARIOS,
  "clinics.MIXTURES": clinics.MIXTURES,
  "tasks.TASKS": tasks.TASKS,
  "strategies.STRATEGIES": STRATEGIES,
  "methods.BASELINES": methods.BASELINES,
  "net.EXTRACTORS": net.EXTRACTORS,
  "net.HEADS": net.HEADS,
  "net.ADAPTORS": net.ADAPTORS,
  "train.optimizer.OPTIMIZERS": optimizer.OPTIMIZERS,
  "multi_task.MAKERS": multi_task.MAKERS,
  "calibration.FORMS": calibration.FORMS,
}
_INTRODUCTION = """# Configuration fields

The commands `pretrain`, `transfer`, `tune`, `compare`, `study` and `sim_to_real` read a configuration. `--config=FILE.py`
selects a file, such as those in [experiments/configs](../experiments/configs), and `--config.FIELD=VALUE` changes one
field of it. Separate the values of a tuple by commas: `--config.n_target=0,5`. An exponent is allowed in whole numbers:
`--config.steps=1e3`.

`transfer` has flags for the most frequent changes: `--steps`, `--batch`, `--rate`, `--freeze`, `--init_from_source`,
`--loss`, `--n_target`, `--seed`. The flags of a command are listed by `--help`.

This page is generated from the docstrings by `python -m tests.config_page`.
"""


def descriptions(kind: type) -> dict[str, str]:
  """Returns field → description, from the section `Attributes` of a docstring."""
  text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
  found: dict[str, str] = {}
  for part in re.split(r"\n(?=  \w)", text):
    names, _, description = part.strip().partition(": ")
    for name in names.split(", "):
      found[name] = " ".join(description.split())
  return found


def format_default(value: typing.Any) -> str:
  """Returns a default as it is typed after the equals sign."""
  if isinstance(value, tuple):
    value = ",".join(map(str, value)) + ("," if len(value) == 1 else "")
  return f"`{value}`" if value not in ("", {}) else "empty"


def table(instance: typing.Any, prefix: str, without: tuple[str, ...] = ()) -> str:
  """Returns the rows of a dataclass with the values of an instance; nested ones have tables of their own."""
  kind = type(instance)
  texts, rows = descriptions(kind), ["| field | default | meaning |", "|---|---|---|"]
  for field in dataclasses.fields(kind):
    if field.name in without:
      continue
    default = getattr(instance, field.name)
    nested = dataclasses.is_dataclass(default)
    value = f"[below](#{anchor(prefix + field.name)})" if nested else format_default(default)
    meaning = texts[field.name].replace("|", "\\|").replace("<", "&lt;")
    rows.append(f"| `{prefix}{field.name}` | {value} | {meaning[:1].upper()}{meaning[1:]} |")
  return "\n".join(rows)


def anchor(name: str) -> str:
  return "configmodel-and-configtarget_model" if name.endswith("model") else re.sub(r"\.", "", name)


def text() -> str:
  """Returns the page."""
  study = study_config.Study()
  nested = [("config.model and config.target_model", study.model, "config.model.")]
  nested += [
    (f"config.{name}", getattr(study, name), f"config.{name}.") for name in ("windows", "pretrain", "calibration")
  ]
  parts = [_INTRODUCTION, "## The study\n", table(study, "config.") + "\n"]
  for title, instance, prefix in nested:
    parts += [f"## {title}\n", table(instance, prefix) + "\n"]
  parts += [
    "## config.custom\n",
    "`--config.custom.STRATEGY.FIELD=VALUE` changes a field of a strategy in this study, such as "
    "`--config.custom.multi_task/transducer.learning_rate=1e-3`. Stages and losses have nested values: set them in a "
    "configuration file, or with `transfer --freeze` and `--loss`. The defaults are those of a strategy of your own; the "
    "registered strategies set their own values.\n",
    table(Strategy(), "config.custom.STRATEGY.", ("name", "equation", "stages", "loss")) + "\n",
  ]
  parts += ["## Names\n", "| registry | names |", "|---|---|"]
  parts += [f"| `{title}` | {', '.join(f'`{name}`' for name in names)} |" for title, names in REGISTRIES.items()]
  return "\n".join(parts) + "\n"


if __name__ == "__main__":
  PAGE.write_text(text(), encoding="utf-8")
