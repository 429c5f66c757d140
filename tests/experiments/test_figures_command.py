"""The script that computes all figures: finished commands are not run again, and commits do not mix."""

import json
import os

import pytest

from cap_jax.types import InputError
from experiments import figures
from tests.experiments import commands
from tests.experiments.commands import ROOT

HELP, WRONG = ("json.tool", "--help"), ("json.tool", "{out}/nothing.json")


@pytest.fixture
def two(monkeypatch):
  monkeypatch.setitem(figures.FIGURES, "one", figures.Figure("README.md", (HELP, WRONG), 90))
  monkeypatch.setitem(figures.FIGURES, "other", figures.Figure("README.md", (("json.tool", "--help", "{loop}"),)))


def test_a_stopped_run_goes_on_after_its_last_finished_command(two, tmp_path):
  with pytest.raises(InputError, match=r"--only=one: .* ended with status \d; read .*log_2.txt, then run the same"):
    figures.run(tmp_path, ["one"], {}, figures.Manifest(tmp_path, "a"))
  (done,) = json.loads((tmp_path / "manifest.json").read_text())["figures"]["one"]
  assert done["command"] == list(HELP)
  (tmp_path / "one" / "nothing.json").write_text("{}")
  log = (tmp_path / "one" / "log_1.txt").read_text()
  assert "usage" in log
  figures.run(tmp_path, ["one"], {}, figures.Manifest(tmp_path, "a"))
  content = json.loads((tmp_path / "manifest.json").read_text())
  assert [one["command"][-1] for one in content["figures"]["one"]] == ["--help", f"{tmp_path}/one/nothing.json"]
  assert (tmp_path / "one" / "log_1.txt").read_text() == log  # not run again
  with pytest.raises(InputError, match="has figures of commit a, not b; check that one out, or choose another"):
    figures.Manifest(tmp_path, "b")


def test_a_run_stopped_before_its_first_command_was_finished_goes_on(tmp_path):
  figures.Manifest(tmp_path, "a")
  assert json.loads((tmp_path / "manifest.json").read_text())["commit"] == "a"
  assert figures.Manifest(tmp_path, "a").content["figures"] == {}


def test_a_figure_that_fails_does_not_stop_the_others(two, tmp_path):
  with pytest.raises(InputError, match=r"^--only=one: .* ended with status"):
    figures.run(tmp_path, ["one", "other"], {"loop": "x"}, figures.Manifest(tmp_path, "a"))
  content = json.loads((tmp_path / "manifest.json").read_text())
  assert [len(done) for done in content["figures"].values()] == [1, 1]


def test_tables_and_printed_lines_are_published_without_bars_and_places(two, tmp_path):
  folder, to = tmp_path / "figures", tmp_path / "docs"
  folder.mkdir()
  values = {"loop": str(tmp_path / "loop"), "records": None}
  figures.run(folder, ["other"], values, figures.Manifest(folder, "a"))
  (folder / "other" / "study" / "tables").mkdir(parents=True)
  (folder / "other" / "study" / "tables" / "clinics.csv").write_text(f"method\n{folder}\n")
  with open(folder / "other" / "log_1.txt", "a") as log:
    log.write(
      f"study:  10%|#   | 1/10 [00:01<00:09, 1.0cell/s]\rstudy: 5 [00:01, 4cell/s]\n\n..WARNING: Location 'file:///index' is ignored\n{os.path.relpath(folder, figures.ROOT)}/five.png\n0.53 mmHg, {folder}/report.html\n"
    )
  figures.publish(folder, to, values)
  assert json.loads((to / "manifest.json").read_text())["figures"]["other"][0]["command"][-1] == "LOOP"
  assert (to / "other" / "study_clinics.csv").read_text() == "method\nruns/figures\n"
  printed = (to / "other" / "printed_1.txt").read_text()
  assert "usage" in printed
  assert printed.endswith("\nruns/figures/five.png\n0.53 mmHg, runs/figures/report.html\n")
  assert "study:" not in printed
  assert "file:" not in printed
  (folder / "other").rename(tmp_path / "moved")  # another machine computes the next figure of the same commit
  (folder / "manifest.json").unlink()
  (folder / "one").mkdir()
  (folder / "one" / "nothing.json").write_text("{}")
  figures.run(folder, ["one"], values, figures.Manifest(folder, "a"))
  figures.publish(folder, to, values)
  assert set(json.loads((to / "manifest.json").read_text())["figures"]) == {"one", "other"}
  assert (to / "other" / "printed_1.txt").read_text() == printed
  (folder / "manifest.json").unlink()
  figures.Manifest(folder, "b").add("other", HELP, 1)
  with pytest.raises(InputError, match="has figures of commit a, not b; remove it, or choose another folder"):
    figures.publish(folder, to, values)


@pytest.mark.quick
def test_what_a_figure_needs_is_named(two):
  assert figures.FIGURES["other"].needs == ("loop",)
  with pytest.raises(InputError, match="--only=other: needs --loop; pass the folder"):
    figures.chosen(["other"], dict.fromkeys(figures.FOLDERS))
  with pytest.raises(InputError, match="--only=headlin: unknown figure; did you mean headline"):
    figures.chosen(["headlin"], {})
  names = figures.chosen([], dict.fromkeys(figures.FOLDERS))
  assert "headline" in names
  assert not {"other", "in_vitro", "plausibility"} & set(names)
  assert "1.5 hours on two cores, besides what is not timed" in figures.table(["one", "other"])


@pytest.mark.quick
def test_all_configs_and_pages_exist():
  for one in figures.FIGURES.values():
    for command in one.commands:
      for word in command:
        if word.startswith("--config=experiments"):
          assert (ROOT / word.removeprefix("--config=").partition(":")[0]).is_file(), word
    for page in one.page.split(", "):
      assert list(ROOT.glob(page.replace("NAME", "*"))), page


def test_it_lists_without_a_folder():
  done = commands.run("figures", "--list")
  assert done.returncode == 0, done.stderr
  assert "headline" in done.stdout


@pytest.mark.quick
def test_pages_name_the_commit_of_their_figures():
  manifest = json.loads((ROOT / "docs" / "figures" / "manifest.json").read_text(encoding="utf-8"))
  assert manifest["figures"]
  for name, done in manifest["figures"].items():
    pages = [page for page in figures.FIGURES[name].page.split(", ") if not page.startswith("cap_jax/pretrained")]
    assert len(done) == len(figures.FIGURES[name].commands), name
    for page in pages:
      assert manifest["commit"][:7] in (ROOT / page).read_text(encoding="utf-8"), (name, page)
