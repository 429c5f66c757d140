"""The pages of the API reference: which modules each documents. The names come from the code.

`conf.py` writes the pages when the site is built, and the tests compare them with the public surface. Neither needs
Sphinx here.
"""

import functools
import importlib
import inspect
import pydoc
from types import ModuleType
from typing import Any, NamedTuple

import cap_jax


class Page(NamedTuple):
  """A page of the reference.

  Attributes:
    title: its heading.
    text: what its names are for.
    modules: modules of which the front door, `cap_jax`, offers names: these alone are documented.
    whole: modules that are documented as a whole.
  """

  title: str
  text: str
  modules: tuple[str, ...] = ()
  whole: tuple[str, ...] = ()


PAGES: dict[str, Page] = {
  "network": Page(
    "Networks and reconstruction",
    "Load a network, reconstruct the aortic wave of a record, save the network.",
    ("cap_jax.api.network",),
  ),
  "windows": Page(
    "Records and windows",
    "Turn arrays or a DataFrame into windows of 4 s at 125 Hz.",
    ("cap_jax.api.records", "cap_jax.data.batches"),
    ("cap_jax.data.recordings",),
  ),
  "training": Page(
    "Transfer, evaluation and cohorts",
    "Train a source network, transfer it, evaluate it, and draw virtual subjects.",
    ("cap_jax.api.training", "cap_jax.train.runs"),
  ),
  "datasets": Page("Data sets", "Waves that ship with the package.", (), ("cap_jax.api.datasets",)),
  "strategies": Page(
    "Strategies",
    "A strategy is a value: what comes from the source, what is frozen, and the loss.",
    ("cap_jax.strategies", "cap_jax.strategies.strategy"),
    ("cap_jax.strategies",),
  ),
  "surgery": Page(
    "Merging and freezing parameters",
    "The functions that combine, label and cut parameter trees.",
    ("cap_jax.strategies.surgery",),
    ("cap_jax.strategies.surgery",),
  ),
  "losses": Page(
    "Losses and tasks",
    "Terms of a strategy's loss by name, terms of your own, and the tasks of a source network.",
    ("cap_jax.losses.terms",),
    ("cap_jax.losses.terms", "cap_jax.losses.tasks"),
  ),
  "models": Page("Extractors, heads and adaptors", "The blocks of a network.", (), ("cap_jax.models.net",)),
  "clinics": Page(
    "Clinics, populations and devices",
    "Who is measured, by which device, in which rhythm.",
    (),
    ("cap_jax.clinics",),
  ),
  "config": Page("Settings", "All defaults, as frozen dataclasses.", (), ("cap_jax.config",)),
  "errors": Page(
    "Errors",
    "All errors of invalid input are `InputError`. Its message names the input, the place and the remedy.",
    ("cap_jax.types", "cap_jax.data.splits", "cap_jax.strategies.surgery"),
  ),
  "streaming": Page(
    "Beat by beat",
    "Reconstruction of one beat at a time, without later samples.",
    (),
    ("cap_jax.inference.pretrained", "cap_jax.inference.streaming"),
  ),
  "indices": Page(
    "Haemodynamic indices",
    "Indices of an aortic wave, with their units and sources.",
    (),
    ("cap_jax.haemodynamics.indices",),
  ),
  "metrics": Page(
    "Errors of waves", "What `evaluate` computes for each subject.", (), ("cap_jax.metrics.waveform_metrics",)
  ),
  "trainings": Page(
    "Checkpoints and many trainings",
    "What the front door builds on: checkpoints, complete trainings, and many small trainings as one program.",
    (),
    (
      "cap_jax.train.checkpoint",
      "cap_jax.train.domains",
      "cap_jax.train.source_training",
      "cap_jax.train.runs",
      "cap_jax.train.vmapped_training",
    ),
  ),
  "arteries": Page(
    "The model of the arteries",
    "Virtual subjects from the one-dimensional model.",
    (),
    ("cap_jax.arteries.cohort", "cap_jax.arteries.plausibility"),
  ),
}


def front_door(modules: tuple[str, ...]) -> list[str]:
  """Returns the names of `cap_jax` that these modules define, in the order of the front door.

  Args:
    modules: full names of modules.
  """
  return [name for name, module in cap_jax._PLACES.items() if module in modules]


def names_of(module: ModuleType) -> list[str]:
  """Returns the public classes and functions that a module defines, in their order in the file."""
  own = [
    name
    for name, value in vars(module).items()
    if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and is_code(value)
  ]
  return sorted(own, key=lambda name: inspect.getsourcelines(inspect.unwrap(getattr(module, name)))[1])


def registries_of(module: ModuleType) -> dict[str, dict[str, Any]]:
  """Returns the registries of a module: dicts from names to values, in capitals."""
  return {
    name: value
    for name, value in vars(module).items()
    if name.isupper()
    and not name.startswith("_")
    and isinstance(value, dict)
    and all(isinstance(k, str) for k in value)
  }


def values_of(module: ModuleType) -> list[str]:
  """Returns the ready-made values of a module, in capitals: instances of classes that it defines, such as devices."""
  return [
    name
    for name, value in vars(module).items()
    if name.isupper() and not name.startswith("_") and type(value).__module__ == module.__name__
  ]


def is_code(value: Any) -> bool:
  """Returns whether a value is a class or a function, if need be behind a decorator."""
  return inspect.isclass(value) or inspect.isroutine(inspect.unwrap(value))


def resolve(full: str) -> Any:
  """Returns what a full name names.

  Args:
    full: as `documented` lists it.
  """
  return pydoc.locate(full)


@functools.cache
def documented() -> dict[str, list[str]]:
  """Returns page → full names of what it documents, as users write them."""
  public = {place: f"cap_jax.{name}" for name, place in cap_jax._MODULES.items()}
  result: dict[str, list[str]] = {}
  for key, page in PAGES.items():
    names = [f"cap_jax.{name}" for name in front_door(page.modules) if _belongs(name, key)]
    for place in page.whole:
      own = names_of(importlib.import_module(place))
      names += [f"{public.get(place, place)}.{name}" for name in own if cap_jax._PLACES.get(name) != place]
    result[key] = names
  return result


def _belongs(name: str, key: str) -> bool:
  """Returns whether a name of the front door is documented on a page: errors have a page of their own."""
  value = getattr(cap_jax, name)
  return (inspect.isclass(value) and issubclass(value, Exception)) == (key == "errors")


def source(key: str) -> str:
  """Returns the text of a page of the reference, in MyST.

  Args:
    key: its name in `PAGES`.
  """
  page = PAGES[key]
  parts = [f"# {page.title}", page.text]
  front = [name for full in documented()[key] if (name := full.removeprefix("cap_jax.")) != full and "." not in name]
  if front:  # as programs write them, so that a search finds them
    links = ", ".join(f"{{py:obj}}`cj.{name} <cap_jax.{name}>`" for name in front)
    parts.append(f"After `import cap_jax as cj`: {links}.")
  for full in documented()[key]:
    parts.append(f"```{{eval-rst}}\n{_directive(full, resolve(full))}\n```")
  for place in dict.fromkeys((*page.modules, *page.whole)):
    for name, registry in registries_of(importlib.import_module(place)).items():
      if place in page.whole or cap_jax._PLACES.get(name) == place:
        entries = ", ".join(f"`{entry}`" for entry in registry)
        parts.append(f"## `{place}.{name}`\n\nThe registry has the names {entries}.")
  for place in page.whole:
    if values := values_of(importlib.import_module(place)):
      parts.append(f"## Ready-made values of `{place}`\n\n{', '.join(f'`{name}`' for name in values)}.")
  return "\n\n".join(parts) + "\n"


def _directive(full: str, value: Any) -> str:
  """Returns the directive that documents a name."""
  if not is_code(value):
    return f".. py:data:: {full}\n\n   Registry: name → {type(next(iter(value.values()))).__name__}."
  if not inspect.isclass(value):
    return f".. autofunction:: {full}"
  if issubclass(value, Exception):
    return f".. autoexception:: {full}"
  return f".. autoclass:: {full}\n   :members:"


def _short(full: str) -> str:
  """Returns a name as the table shows it: `load` of the front door, `surgery.cut` of a module."""
  place, _, name = full.rpartition(".")
  return name if place == "cap_jax" else f"{place.rpartition('.')[2]}.{name}"


def index() -> str:
  """Returns the start page of the reference: a table of all names, and the list of pages."""
  rows = ["| page | names |", "|---|---|"]
  for key, names in documented().items():
    links = ", ".join(f"{{py:obj}}`{_short(name)} <{name}>`" for name in names)
    rows.append(f"| [{PAGES[key].title}]({key}.md) | {links} |")
  pages = "\n".join(PAGES)
  return (
    "# API reference\n\nEvery public name, by subject. `import cap_jax` offers those under `cap_jax.`; the others are "
    "imported from their modules.\n\n" + "\n".join(rows) + f"\n\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"
  )
