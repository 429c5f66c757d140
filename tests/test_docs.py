"""The documentation: its reference has every public name with its arguments, and its pages are in the site."""

import ast
import dataclasses
import importlib
import inspect
import re
import sys

import pytest

import cap_jax
from tests.test_readme import PAGES, ROOT

sys.path.insert(0, str(ROOT / "docs"))
reference = importlib.import_module("reference_pages")
sys.path.remove(str(ROOT / "docs"))

pytestmark = pytest.mark.quick
HEADS = ("Attributes", "Args", "Returns", "Raises")


def described(doc, head):
  """The names that a section of a docstring describes."""
  section = re.search(rf"^{head}:\n((?: .*\n?|\n)*)", doc, re.MULTILINE)
  lines = re.findall(r"^  ([*\w][\w, *]*): ", section.group(1), re.MULTILINE) if section else ()
  return {name.strip().lstrip("*") for line in lines for name in line.split(",")}


def members(full):
  """Full name → class or function, for a public name and its public methods and properties."""
  value = reference.resolve(full)
  yield full, value
  for name, member in vars(value).items() if inspect.isclass(value) else ():
    member = getattr(member, "__func__", member)
    if not name.startswith("_") and (isinstance(member, property) or inspect.isfunction(inspect.unwrap(member))):
      yield f"{full}.{name}", member


def faults(value):
  """What the docstring of a class, a function or a property lacks."""
  own = inspect.cleandoc(value.__doc__ or "")
  if not own:
    return ["a docstring"]
  if inspect.isclass(value):
    fields = [one.name for one in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else ()
    inherited = "\n\n".join(inspect.cleandoc(one.__doc__ or "") for one in reversed(value.__mro__))
    known = set().union(
      *(described(part, "Attributes") for part in re.split(r"(?=^Attributes:)", inherited, flags=re.M))
    )
    return [f"Attributes: {name}" for name in (*fields, *getattr(value, "_fields", ())) if name not in known]
  if isinstance(value, property):
    return []
  function = inspect.unwrap(value)
  signature = inspect.signature(function)
  lacking = [f"Args: {name}" for name in signature.parameters if name not in ("self", "cls", *described(own, "Args"))]
  if signature.return_annotation not in (None, "None") and "Returns" not in own:
    lacking.append("Returns")
  if re.search(r"^ +raise ", inspect.getsource(function), re.MULTILINE) and "Raises:" not in own:
    lacking.append("Raises")
  return lacking


@pytest.mark.parametrize("page", reference.PAGES)
def test_every_public_name_is_described_with_its_arguments(page):
  lacking = {
    full: missing
    for name in reference.documented()[page]
    if reference.is_code(reference.resolve(name))
    for full, value in members(name)
    if (missing := faults(value))
  }
  assert not lacking


def test_the_reference_has_the_whole_front_door():
  listed = [name for names in reference.documented().values() for name in names]
  assert len(set(listed)) == len(listed)
  assert {f"cap_jax.{name}" for name in cap_jax._PLACES} <= set(listed)
  whole = [place for page in reference.PAGES.values() for place in page.whole]
  assert set(cap_jax._MODULES.values()) <= set(whole)
  for key, names in reference.documented().items():
    text = reference.source(key)
    assert all(re.search(rf":: {re.escape(name)}$", text, re.MULTILINE) for name in names)
    assert f"]({key}.md)" in reference.index()
    assert all(f"<{name}>" in reference.index() for name in names)


def test_the_reference_has_the_modules_that_pages_import():
  whole = {place for page in reference.PAGES.values() for place in page.whole}
  for page in PAGES:
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
      for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "cap_jax":
          for one in node.names:
            place = f"{node.module}.{one.name}"
            is_module = inspect.ismodule(getattr(importlib.import_module(node.module), one.name))
            assert (place if is_module else node.module) in whole, f"{page.name}: {place}"
