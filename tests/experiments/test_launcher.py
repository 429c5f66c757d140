"""What all experiments share: configs from flags, a given source, covariates."""

import contextlib
import dataclasses
import errno
import io
import os
import subprocess
import sys
import types

import pytest
import tqdm
from ml_collections import ConfigDict

from cap_jax import config
from cap_jax.cli import arguments, launcher, reconstruct, study_flags
from cap_jax.data import scalings
from cap_jax.study import study_config
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from tests import config_page
from tests.experiments.commands import ROOT, wave, write_csv

pytestmark = pytest.mark.quick


def test_a_study_goes_through_a_config_dict_unchanged():
  study = study_config.Study(n_target=(0, 3), custom={"scratch": {"learning_rate": 1e-3}})
  assert study_flags.from_config_dict(study_config.Study, study_flags.to_config_dict(study)) == study


@pytest.mark.parametrize("given", ["scratch,fine_tuning", ("scratch,fine_tuning",), ("scratch", "fine_tuning")])
def test_names_of_one_flag_are_parted_at_commas(given):
  result = study_flags.from_config_dict(study_config.Study, ConfigDict({"strategies": given, "seeds": (0, 1)}))
  assert result.strategies == ("scratch", "fine_tuning")
  assert result.seeds == (0, 1)


def trained(**about):
  scaling = scalings.Scaling(mean_mmhg=90.0, sd_mmhg=20.0)
  return checkpoint.Checkpoint(
    params={},
    model=config.Model(channels=8),
    scaling=scaling,
    task="waveform",
    about=about,
    signals=config.Signals(site="brachial"),
  )


def test_a_study_follows_its_source_network():
  study = study_flags.follow(study_config.Study(), trained(source="icu", history={"source": "healthy"}))
  assert (study.source, study.site, study.model.channels) == ("icu", "brachial", 8)
  assert dataclasses.replace(study, source="healthy", site="radial", model=config.Model()) == study_config.Study()


@pytest.mark.parametrize("about", [{}, {"source": {"source": "healthy"}}, {"source": "mars"}])
def test_a_source_of_an_unknown_clinic_is_refused(about):
  with pytest.raises(InputError, match=r"has the unknown source .*; pretrain a network on one of healthy"):
    study_flags.follow(study_config.Study(), trained(**about))


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ([], "the checkpoint reads age, hr_bpm; passed: none"),
    (["age=70"], "passed: age"),
    (["age=70", "hr_bpm=60", "height=1.8"], "passed: age, hr_bpm, height"),
    (["age=old", "hr_bpm=60"], "--covariates=age=old: must be NAME=NUMBER"),
    (["age=nan", "hr_bpm=60"], "--covariates=age=nan: must be NAME=NUMBER"),
    (["age=70", "age=30", "hr_bpm=60"], "--covariates=age=30: .* each name once"),
  ],
)
def test_covariates_are_those_that_the_network_takes(monkeypatch, given, message):
  monkeypatch.setattr(reconstruct, "_COVARIATES", types.SimpleNamespace(value=given))
  with pytest.raises(InputError, match=message):
    reconstruct._covariates(("age", "hr_bpm"), ())
  monkeypatch.setattr(reconstruct, "_COVARIATES", types.SimpleNamespace(value=["hr_bpm=60", "age=70"]))
  assert reconstruct._covariates(("age", "hr_bpm"), ()) == {"age": 70.0, "hr_bpm": 60.0}


def test_the_page_of_the_configuration_fields_is_up_to_date():
  assert config_page.PAGE.read_text(encoding="utf-8") == config_page.text(), "run python -m tests.config_page"


@pytest.mark.parametrize(
  ("word", "expected"),
  [
    ("--config.steps=1e3", "--config.steps=1000"),
    ("--steps=1.5e2", "--steps=150"),
    ("--rate=1e-3", "--rate=1e-3"),
    ("--config.steps=1.23e1", "--config.steps=1.23e1"),  # no whole number: refused where it is parsed
    ("--path=1e3", "--path=1e3"),
    ("--config.target_data=1e3", "--config.target_data=1e3"),
    ("--config.pretrain.steps=5e3", "--config.pretrain.steps=5000"),
    ("--config.custom.fine_tuning.learning_rate=1e-3", "--config.custom['fine_tuning'].learning_rate=1e-3"),
    ("--config.custom.multi_task/transducer.low_rank=4", "--config.custom['multi_task/transducer'].low_rank=4"),
    ("--config.custom['scratch'].optimizer=muon", "--config.custom['scratch'].optimizer=muon"),
    ("--workdir=runs/1e3", "--workdir=runs/1e3"),
  ],
)
def test_arguments_that_absl_cannot_parse_are_rewritten(word, expected):
  assert arguments.normalised(["program", word]) == ["program", expected]


def test_a_field_of_a_strategy_is_a_flag():
  """Each strategy has its own fields: one is changed, the others stay."""
  values = study_flags.to_config_dict(study_config.Study(custom={"scratch": {"learning_rate": 1e-3}}))
  values.custom["multi_task/transducer"].learning_rate = 4e-3
  values.custom["fine_tuning"].init_from_source = ("f,r",)
  study = study_flags.study_of(values)
  assert study.custom == {
    "scratch": {"learning_rate": 1e-3},
    "multi_task/transducer": {"learning_rate": 4e-3},
    "fine_tuning": {"init_from_source": ("f", "r")},
  }


@pytest.fixture
def no_profile(monkeypatch):
  monkeypatch.setattr(launcher, "_PROFILE", types.SimpleNamespace(value=None))


def ended(capsys, main):
  """What the program `main` printed to standard error before it ended with status 2."""
  with pytest.raises(SystemExit, match="2"):
    launcher._run(main)
  return capsys.readouterr().err


def raising(error):
  def main():
    raise error

  return main


@pytest.mark.parametrize(
  ("text", "place", "said"),
  [
    (
      'FAILED_PRECONDITION: Error writing local file "/data/store/shard-00000.partial/radial/zarr.json": Failed to open: Not a directory '
      "[os_error_code='20']",
      "/data/store/shard-00000.partial/radial/zarr.json",
      os.strerror(errno.ENOTDIR),
    ),
    ("cannot rename a to b: No such file or directory", "a file that this run writes", os.strerror(errno.ENOENT)),
  ],
)
@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
@pytest.mark.usefixtures("no_profile")
def test_a_library_that_lost_its_folder_is_one_line_with_a_remedy(capsys, kind, text, place, said):
  assert ended(capsys, raising(kind(text))) == (
    f"error: {place}: {said}; if it was moved or removed while the command ran, put its folder back, or run the command with a new one\n"
  )


@pytest.mark.usefixtures("no_profile")
def test_mistakes_are_raised_as_they_are():
  with pytest.raises(ValueError, match="shapes do not match"):
    launcher._run(raising(ValueError("shapes do not match")))


@pytest.mark.usefixtures("no_profile")
def test_a_folder_that_is_gone_and_a_full_disk_have_their_own_remedies(capsys):
  gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/data/runs/split.json.partial-1")
  assert "put its folder back" in ended(capsys, raising(gone))
  full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/runs/x")
  assert ended(capsys, raising(full)).endswith("free disk space, check the permissions or choose another folder\n")


@pytest.mark.usefixtures("no_profile")
def test_an_error_of_any_kind_is_one_short_line(capsys):
  hostile = "x\x1b[2J\u202e\n" * 50_000
  for error in (
    config_error(hostile),
    OSError(5, "bad", hostile),
    launcher.UnfitError(hostile),
  ):
    line = ended(capsys, raising(error))
    assert line.startswith("error: x")
    assert line[:-1].isprintable()
    assert len(line) < 520


def config_error(text):
  return InputError(f"x: {text} is unknown; choose another")


def test_control_characters_are_printed_as_escapes():
  out = io.StringIO()
  with contextlib.redirect_stdout(launcher._visible(out, "\n\t")):
    print("a\tb\nnote: P\x1b[31m1 \u202e \x9b \r é")
    sys.stdout.flush()
  assert out.getvalue() == "a\tb\nnote: P\\x1b[31m1 \\u202e \\x9b \\r é\n"


def test_progress_bars_stay_as_they_are_and_print_no_control_characters_of_names():
  plain, seen = io.StringIO(), io.StringIO()
  for stream in (plain, launcher._visible(seen, "\n\t\r")):
    with tqdm.tqdm(total=3, file=stream, desc="records", mininterval=0, ascii=True, bar_format="{desc} {n}") as bar:
      for _ in tqdm.tqdm(range(2), file=stream, desc="windows", mininterval=0, ascii=True, bar_format="{desc} {n}"):
        bar.update()
  assert "\x1b[A" in seen.getvalue()
  assert seen.getvalue() == plain.getvalue()
  named = io.StringIO()
  with tqdm.tqdm(total=1, file=launcher._visible(named, "\n\t\r"), desc="P\x1b[2J"):
    pass
  assert "P\\x1b[2J" in named.getvalue()
  assert "\x1b[2J" not in named.getvalue()


def test_an_argument_that_is_no_text_is_refused(capsys):
  with pytest.raises(SystemExit, match="2"):
    launcher._parse(["program", "--output=folder/\udcff"])
  assert capsys.readouterr().err == "error: --output=folder/\\udcff: is not UTF-8 text; rename the file or the folder\n"


@pytest.mark.usefixtures("no_profile")
@pytest.mark.parametrize(
  ("code", "remedy"),
  [
    (errno.EACCES, "check the permissions of the file and of its folder, or choose another folder"),
    (errno.ENAMETOOLONG, "use a shorter name"),
  ],
)
def test_errors_of_the_system_have_remedies_of_their_own(capsys, code, remedy):
  error = OSError(code, os.strerror(code), "/data/x.csv")
  assert ended(capsys, raising(error)) == f"error: /data/x.csv: {os.strerror(code)}; {remedy}\n"


def test_a_short_command_imports_only_what_it_needs(tmp_path):
  """Each of these packages takes as long to import as a short record to read."""
  write_csv(tmp_path / "wave.csv", *wave(10, 125))
  program = (
    "import sys; from cap_jax.cli import launcher; import atexit\n"
    f"sys.argv = ['cap-jax describe', '--format=csv', '--path={tmp_path}/wave.csv', '--output={tmp_path}/look.png']\n"
    "atexit.register(lambda: print('imported:', *sys.modules.keys() & {'pandas', 'flax', 'optax', 'orbax', 'scipy'}))\n"
    "launcher.launch_command('describe')"
  )
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
  assert "1 record read" in done.stdout
  assert done.stdout.splitlines()[-1] == "imported: scipy"
