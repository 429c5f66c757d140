"""The order of the rooms: imports go down only."""

import ast
import pathlib

import pytest

pytestmark = pytest.mark.quick
ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYERS = (
  ("types", "config", "clinics", "files", "own_files", "executors", "extras", "html_table", "__version__"),
  ("signals", "models", "arteries"),
  ("losses", "data", "haemodynamics"),
  ("baselines", "strategies"),
  ("train",),
  ("inference",),
  ("metrics",),
  ("study",),
  ("report",),
  ("export",),
  ("api",),
  ("cli",),
  ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
SEPARATE = {("models", "data"), ("data", "models"), ("arteries", "signals"), ("signals", "arteries")}
ONLY_IN = {"flax": {"models"}, "orbax": {"train"}, "matplotlib": {"report"}, "absl": {"cli"}, "ml_collections": {"cli"}}


def imports(path):
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_go_down_only():
  observed = set()
  for path in sorted((ROOT / "cap_jax").rglob("*.py")):
    room = path.relative_to(ROOT / "cap_jax").parts[0].removesuffix(".py")
    if room == "__init__":
      continue
    for name in imports(path):
      pieces = name.split(".")
      assert pieces[0] not in ONLY_IN or room in ONLY_IN[pieces[0]], f"{path}: {pieces[0]} does not belong in {room}"
      assert pieces[0] != "experiments", f"{path} imports {name}"
      if pieces[0] == "cap_jax" and len(pieces) > 1 and pieces[1] != room:
        other = pieces[1]
        observed.add((room, other))
        assert RANK[other] <= RANK[room], f"{path}: {room} imports {other}, which lies above it"
        assert (room, other) not in SEPARATE, f"{path}: {room} and {other} do not know each other"
  assert ("train", "strategies") in observed
  assert ("study", "train") in observed


MOST_ARGUMENTS, MOST_LINES, MOST_FIELDS = 8, 60, 5


def sources():
  return sorted(path for folder in ("cap_jax", "experiments") for path in (ROOT / folder).rglob("*.py"))


def test_functions_are_short_and_take_few_arguments():
  long = []
  for path in (*sources(), *(ROOT / "tests").rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
      if isinstance(node, ast.FunctionDef):
        arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count, lines = len(set(arguments) - {"self", "cls"}), node.end_lineno - node.lineno + 1
        if count > MOST_ARGUMENTS or lines > MOST_LINES:
          long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {count} arguments, {lines} lines")
  assert long == []


def test_a_class_name_stands_once_and_large_dataclasses_take_keywords():
  places, positional = {}, []
  for path in sources():
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
      if isinstance(node, ast.ClassDef):
        places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
        decorators = " ".join(map(ast.unparse, node.decorator_list))
        fields = [
          one for one in node.body if isinstance(one, ast.AnnAssign) and "ClassVar" not in ast.unparse(one.annotation)
        ]
        if "dataclass" in decorators and len(fields) > MOST_FIELDS and "kw_only=True" not in decorators:
          positional.append(node.name)
  assert {name: result for name, result in places.items() if len(result) > 1} == {}
  assert positional == []


def modules():
  return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in sources()}


def test_no_modules_import_one_another():
  """Imports within functions count too."""
  paths = modules()
  imported = {}
  for module, path in paths.items():
    names = {name if name in paths else name.rpartition(".")[0] for name in imports(path)}
    imported[module] = {name for name in names if name in paths and name != module and paths[name].stem != "__init__"}
  assert imported["experiments.benchmarks.steps"] >= {"experiments.benchmarks.cases"}
  remaining = dict(imported)
  while ends := [module for module, names in remaining.items() if not names & remaining.keys()]:
    for module in ends:
      del remaining[module]
  assert remaining == {}
