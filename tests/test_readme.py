"""The code in the README and the pages runs as it stands there."""

import ast
import dataclasses
import importlib
import os
import pathlib
import re
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

import cap_jax as cj
from cap_jax.data import scalings
from cap_jax.losses import terms
from cap_jax.models import net
from cap_jax.train import checkpoint
from tests.train import people

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def block(name):
  """The code of all blocks under a marker."""
  text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
  return "\n".join(re.findall(rf"<!-- {name} -->\s*```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
def test_the_first_steps_of_the_readme_run_as_they_stand(tmp_path):
  """In a process of its own, in an empty folder."""
  (tmp_path / "start.py").write_text(block("start"), encoding="utf-8")
  environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    [sys.executable, "start.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  rmse = [float(text) for text in re.findall(r"^mean +([\d.]+)$", done.stdout, re.MULTILINE)]
  unchanged, tuned, in_context, on_rig, transferred = rmse
  assert max(tuned, in_context) < unchanged < 1
  assert transferred < 0.7 * on_rig
  assert "f/embed/matrix/kernel" in done.stdout  # of the report of the merge


@pytest.mark.quick
def test_it_is_short():
  assert len(README.splitlines()) <= 150
  assert len(README.split()) <= 900


@pytest.mark.quick
def test_the_results_stand_beside_the_command_that_made_them():
  """No page has a gap left to fill."""
  page = ROOT / "docs" / "results.md"
  part = page.read_text(encoding="utf-8").partition("## In silico")[2].partition("\n## ")[0]
  picture = re.search(r"!\[[^\]]{20,}\]\(([\w.]+)\)", part).group(1)
  assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")
  assert "cap-jax study --config=experiments/configs/headline.py" in part
  assert "in silico" in part
  assert (
    len(re.findall(r"^\| [^|]+ \| \d+ \|.*\d\.\d\d", part, re.MULTILINE)) == 15
  )  # ten rows, and five of the packaged networks
  for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"^(?:[A-Z_]{4,}|<!-- \w+ -->\s*\Z)$|# [A-Z_]{6,}$|\bTODO\b|\bTBD\b", text, re.MULTILINE), (
      path.name
    )


def test_two_checkpoints_merge_in_five_lines(tmp_path, monkeypatch, tiny_model):
  monkeypatch.chdir(tmp_path)
  for seed, name in enumerate(("source", "target")):
    params = net.make_net(tiny_model).init(jax.random.key(seed), 500)
    output = checkpoint.Checkpoint(
      params=params, model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0)
    )
    (tmp_path / "runs").mkdir(exist_ok=True)
    checkpoint.save(tmp_path / "runs" / name, output)
  code = block("merge")
  assert len([line for line in code.splitlines() if line.strip() and "import" not in line]) <= 5
  exec(compile(code, "api.md", "exec"), {})
  given = [checkpoint.load(tmp_path / "runs" / name) for name in ("source", "target")]
  merged = checkpoint.load(tmp_path / "runs" / "merged")
  for number, name in enumerate(("f", "r")):
    for a, b in zip(jax.tree.leaves(merged.params[name]), jax.tree.leaves(given[number].params[name]), strict=True):
      np.testing.assert_array_equal(a, b)


def test_a_strategy_of_ones_own_is_a_value(tiny_model):
  space = {"model": tiny_model}
  exec(compile(block("strategy"), "api.md", "exec"), space)
  mine = space["mine"]
  assert mine.streams == ("target", "source", "unlabelled")
  assert mine.stages[0].freeze == ("f/embed", "f/layer_0")


def test_a_loss_term_of_ones_own_is_a_value_and_changes_the_training():
  space, before = {}, dict(terms.TERMS)
  exec(compile(block("term"), "api.md", "exec"), space)
  mine, source = space["mine"], cj.load("radial")
  labelled, budget = people.pairs(["a", "b"], 3, 0), cj.Budget(steps=50)
  plain = dataclasses.replace(mine, loss=(cj.Term("target"),))
  with_term, without = (cj.transfer(source, one, labelled=labelled, budget=budget) for one in (mine, plain))
  assert np.abs(with_term.predict(labelled) - without.predict(labelled)).max() > 0
  assert with_term.about["strategy"] == "with pulse pressure"
  assert before == terms.TERMS  # nothing was registered
  with pytest.raises(cj.InputError, match="a term of your own needs a new name and a Definition"):
    dataclasses.replace(mine, loss=(space["term"]._replace(name="mmd"),))
  with pytest.raises(cj.InputError, match="loss 'pulse' is unknown"):
    dataclasses.replace(mine, loss=(cj.Term("pulse"),))


def test_beats_come_out_as_they_go_in(capsys):
  turn = np.linspace(0, 1, 100, endpoint=False)
  beats = [70 + 45 * np.exp(-(((turn - 0.25) / 0.1) ** 2)) + 10 * np.exp(-(((turn - 0.5) / 0.1) ** 2))] * 3
  exec(compile(block("stream"), "api.md", "exec"), {"beats": beats})
  said = [line.split() for line in capsys.readouterr().out.splitlines()]
  assert len(said) == 3
  assert all(80 < float(csbp) < 125 and 0 < float(width) < 20 for csbp, width, _ in said)


@pytest.mark.quick
@pytest.mark.parametrize(
  "page", [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")], ids=lambda page: page.stem
)
def test_every_name_in_the_code_of_a_page_exists(page):
  """What is imported is there, and so is every attribute of an imported module."""
  for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
    tree, modules = ast.parse(code), {}
    for node in ast.walk(tree):
      if isinstance(node, ast.Import):
        modules |= {one.asname or one.name: importlib.import_module(one.name) for one in node.names}
      elif isinstance(node, ast.ImportFrom):
        importlib.import_module(node.module)
        for one in node.names:
          place = importlib.import_module(node.module)
          if not hasattr(place, one.name):
            importlib.import_module(f"{node.module}.{one.name}")
          modules[one.asname or one.name] = getattr(place, one.name)
    for node in ast.walk(tree):
      if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = modules.get(node.value.id)
        assert not isinstance(owner, types.ModuleType) or hasattr(owner, node.attr), f"{page.name}: {ast.unparse(node)}"
