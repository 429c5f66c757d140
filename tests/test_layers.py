"""The order of the rooms: imports go down only."""

import ast
import pathlib

import pytest

pytestmark = pytest.mark.quick
ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYERS = (
  ("types", "config", "clinics", "files", "worker_processes", "extras", "__version__"),
  ("signals", "models", "arteries"),
  ("losses", "data", "haemodynamics"),
  ("baselines", "strategies"),
  ("train",),
  ("inference",),
  ("metrics",),
  ("study",),
  ("report",),
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
  seen = set()
  for path in sorted((ROOT / "cap_jax").rglob("*.py")):
    room = path.relative_to(ROOT / "cap_jax").parts[0].removesuffix(".py")
    if room == "__init__":
      continue
    for name in imports(path):
      parts = name.split(".")
      assert parts[0] not in ONLY_IN or room in ONLY_IN[parts[0]], f"{path}: {parts[0]} does not belong in {room}"
      assert parts[0] != "experiments", f"{path} imports {name}"
      if parts[0] == "cap_jax" and len(parts) > 1 and parts[1] != room:
        other = parts[1]
        seen.add((room, other))
        assert RANK[other] <= RANK[room], f"{path}: {room} imports {other}, which lies above it"
        assert (room, other) not in SEPARATE, f"{path}: {room} and {other} do not know each other"
  assert ("train", "strategies") in seen
  assert ("study", "train") in seen
