"""The documentation: its reference has every public name with its arguments, and its pages are in the site."""

import ast
import dataclasses
import importlib
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import cap_jax
from cap_jax import __main__ as command
from cap_jax.models import net
from tests.test_readme import PAGES, ROOT

sys.path.insert(0, str(ROOT / "docs"))
reference = importlib.import_module("reference_pages")
sys.path.remove(str(ROOT / "docs"))

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


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=lambda page: page.stem)
def test_every_page_is_in_the_site(page):
  start = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
  assert page.stem == "index" or re.search(rf"^(.* <)?{page.stem}>?$", start, re.MULTILINE)


SHORT = [page for page in PAGES if "<!-- run" in page.read_text(encoding="utf-8")]


def blocks(page):
  """The blocks of a page that run, in order: whether it is slow, its language and its code."""
  text = page.read_text(encoding="utf-8")
  found = re.findall(r"<!-- run( slow)? -->\s*```(python|bash)\n(.*?)```", text, re.DOTALL)
  return [(bool(slow), language, code) for slow, language, code in found]


@pytest.mark.quick
@pytest.mark.parametrize("page", SHORT, ids=lambda page: page.stem)
def test_pages_with_steps_are_short_and_use_what_there_is(page):
  """Each Python block runs in one of the tests below; each command and flag exists."""
  text = page.read_text(encoding="utf-8")
  assert page.stem == "index" or len(text.splitlines()) <= 60
  assert len(re.findall("```python", text)) == sum(language == "python" for _, language, _ in blocks(page))
  flags = {
    name
    for path in (ROOT / "cap_jax" / "cli").glob("*.py")
    for name in re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
  }
  for name, line in re.findall(r"cap-jax (\w+)([^`\n]*)", text):
    assert name in command.COMMANDS
    for flag in re.findall(r"--([\w.]+)", line):
      assert flag in flags or flag.startswith("config"), f"{page.name}: --{flag}"


def run(page, folder, with_slow):
  """Runs blocks in one folder: those of Python in one namespace, those of the shell with the package's command."""
  (folder / "bin").mkdir()
  (folder / "bin" / "cap-jax").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cap_jax "$@"\n', encoding="utf-8")
  (folder / "bin" / "cap-jax").chmod(0o755)
  shutil.copytree(ROOT / "examples" / "five_patients", folder / "examples" / "five_patients")
  path = os.pathsep.join((str(folder / "bin"), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]))
  environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
  space, outputs = {}, []
  for slow, language, code in blocks(page):
    if slow and not with_slow:
      continue
    if language == "python":
      exec(compile(code, page.name, "exec"), space)
    else:
      argv = ["bash", "-euo", "pipefail", "-c", code]
      done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
      assert done.returncode == 0, done.stderr[-3000:]
      outputs.append(done.stdout)
  return outputs


@pytest.fixture
def extractors(monkeypatch):
  """The registry of extractors, of which nothing stays that a page registers."""
  monkeypatch.setattr(net, "EXTRACTORS", dict(net.EXTRACTORS))


@pytest.mark.usefixtures("extractors")
@pytest.mark.parametrize(
  "page", [page for page in SHORT if not all(slow for slow, *_ in blocks(page))], ids=lambda page: page.stem
)
def test_the_steps_of_a_page_run(page, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  outputs = run(page, tmp_path, with_slow=False)
  assert len(outputs) == sum(language != "python" and not slow for slow, language, _ in blocks(page))


@pytest.mark.slow
@pytest.mark.usefixtures("extractors")
@pytest.mark.parametrize(
  "page", [page for page in SHORT if any(slow for slow, *_ in blocks(page))], ids=lambda page: page.stem
)
def test_all_steps_of_a_page_run(page, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  outputs = "\n".join(run(page, tmp_path, with_slow=True))
  if page.stem == "patients":
    unchanged, chosen, scratch = map(
      float, re.findall(r"(?:unchanged|context|scratch) +([\d.]+)$", outputs, re.MULTILINE)
    )
    assert chosen < unchanged < scratch


@pytest.mark.quick
def test_the_five_patients_are_small_and_said_to_be_virtual():
  folder = ROOT / "examples" / "five_patients"
  assert sum(path.stat().st_size for path in folder.iterdir()) <= 400_000
  assert "in silico" in (folder / "README.md").read_text(encoding="utf-8")
  assert len(list(folder.glob("P*.csv"))) == 5


def test_the_page_of_commands_has_each_with_its_usage_and_its_flags():
  """In a process of its own, since commands define flags of the same names."""
  code = "import command_page; print(command_page.text())"
  environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'docs'}", "JAX_PLATFORMS": "cpu"}
  done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
  sections = dict(re.findall(r"^## `([a-z]+)`\n(.*?)(?=^## )", done.stdout, re.MULTILINE | re.DOTALL))
  assert list(sections) == list(command.COMMANDS)
  assert all(f"cap-jax {name}" in text for name, text in sections.items())
  assert "experiments.prepare" not in sections["describe"]
  for name, flags in {
    "prepare": ("split", "output", "format"),
    "study": ("source", "workdir", "config"),
    "describe": ("records",),
  }.items():
    assert all(f"| `--{flag}` |" in sections[name] for flag in flags), name
  assert "--records" not in sections["prepare"]
  assert "\\<site>_pressure_mmhg" in sections["reconstruct"]  # no tag
