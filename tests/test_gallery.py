"""The examples of the gallery have the form of sphinx-gallery, and each runs and draws a figure."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "gallery"
SCRIPTS = sorted(FOLDER.glob("plot_*.py"))
LONGEST = 70  # lines
# the package, its dependencies, and that of its extra `report`
IMPORTS = {"cap_jax", "jax", "matplotlib", "numpy", "optax", "pandas", "scipy", *sys.stdlib_module_names}
RUN = "import runpy, sys; import matplotlib.pyplot as plt; runpy.run_path(sys.argv[1]); assert plt.get_fignums(), 'no figure'"


def calls(tree: ast.AST) -> set[str]:
  """The names of all that a script calls, such as `plt.subplots`."""
  return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.quick
def test_there_is_a_gallery():
  assert len(SCRIPTS) >= 10
  assert [int(path.name[5:7]) for path in SCRIPTS] == list(range(1, len(SCRIPTS) + 1))
  title, underline = (FOLDER / "GALLERY_HEADER.rst").read_text(encoding="utf-8").splitlines()[:2]
  assert underline == "=" * len(title)


@pytest.mark.quick
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_the_form_of_the_gallery(path):
  text = path.read_text(encoding="utf-8")
  tree = ast.parse(text)
  _, title, underline, empty, *question = (ast.get_docstring(tree, clean=False) or "").splitlines()
  assert underline == "=" * len(title)
  assert not empty
  assert "?" in question[0]
  assert re.search(r"\(\*in (silico|vitro)\*\)", " ".join(question))
  assert len(text.splitlines()) <= LONGEST
  assert re.search(r"^# %%\n# \S", text, re.MULTILINE)
  assert {"plt.subplots", "plt.subplot_mosaic"} & calls(tree)
  modules = [
    name
    for node in ast.walk(tree)
    if isinstance(node, ast.Import | ast.ImportFrom)
    for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module])
  ]
  assert {name.split(".")[0] for name in modules} <= IMPORTS
  printed = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and "print" in calls(node)]
  assert any(re.search(r"\(in (silico|vitro)\)", text) for text in printed)


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_and_draws_a_figure(path, tmp_path):
  """In a process of its own, in an empty folder."""
  environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "MPLBACKEND": "Agg"}
  done = subprocess.run(
    [sys.executable, "-c", RUN, str(path)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  assert re.search(r"\d.*\(in (silico|vitro)\)", done.stdout)
  assert not list(tmp_path.iterdir())
