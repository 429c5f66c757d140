"""The networks of the package: they load, they are small, and they do what their cards say."""

import pathlib
import re

import numpy as np
import pytest

import cap_jax as cj
from cap_jax import config
from cap_jax.data import batches, datasets
from cap_jax.data.sources import nonlinear
from cap_jax.inference import pretrained, reconstruct
from cap_jax.study import model_card
from cap_jax.train import checkpoint, prediction
from cap_jax.types import InputError

SITES = {
  "radial": "radial", "brachial": "brachial", "femoral": "femoral", "carotid": "carotid", "finger": "digital", "finger_ppg": "digital_ppg"
}  # fmt: skip


ROOT = pathlib.Path(__file__).parents[2]


def card(name):
  return (pretrained.FOLDER / name / "README.md").read_text(encoding="utf-8")


def test_there_is_one_for_each_site():
  assert set(pretrained.names()) == set(SITES)


@pytest.mark.parametrize("name", SITES)
def test_each_is_small_and_read_whole(name):
  place = pretrained.place(name)
  assert sum(path.stat().st_size for path in (pretrained.FOLDER / name).rglob("*") if path.is_file()) < 1e6
  trained = pretrained.load(name)
  assert (trained.site, trained.task, trained.reference) == (SITES[name], "waveform", "aortic_root")
  assert trained.model.reads_context
  assert not trained.scaling.context.clinic  # of an unknown clinic
  assert trained.calibration == config.Calibration()
  assert trained.uncertainty_calibration is not None
  assert trained.about["source"] == ("oximeters" if name == "finger_ppg" else "clinics")
  assert checkpoint.digest(place) in card(name)
  assert np.isfinite(trained.uncertainty_calibration.wave)


def test_what_is_no_network_is_refused(tmp_path):
  assert pretrained.place(tmp_path) == str(tmp_path)
  with pytest.raises(InputError, match=r"x: no checkpoint found; .*, or a packaged network: brachial, carotid, "):
    pretrained.place(tmp_path / "x")
  (tmp_path / "checkpoint").mkdir()
  with pytest.raises(InputError, match="this is a run folder; pass"):
    pretrained.place(tmp_path)


def solved(site):
  """The waves of a nonlinear solver, of the subjects by whom nothing was chosen."""
  recordings = [datasets.read(entry) for entry in nonlinear.load(channels={site: site}).entries]
  return [recording for recording in recordings if recording.covariates["reported"]]


@pytest.mark.parametrize("name", ["radial", "brachial", "femoral", "carotid", "finger"])
def test_each_reconstructs_waves_of_the_other_solver(name):
  """Whose aortic waves it never saw; better than the wave as it is."""
  trained, own, unchanged = pretrained.load(name), [], []
  for recording in solved(SITES[name])[::8]:
    output = reconstruct.reconstruct(trained, recording)
    true_t = recording.signals["aortic_root"]
    own.append(np.sqrt(np.nanmean(np.square(output.aortic_mmhg - true_t))))
    unchanged.append(np.sqrt(np.nanmean(np.square(recording.signals[SITES[name]] - true_t))))
  assert len(own) == 8
  assert np.mean(own) < 1.3  # mmHg
  assert np.mean(own) < 0.5 * np.mean(unchanged)


def test_a_finger_ppg_needs_a_cuff():
  network, time_s = cj.load("finger_ppg"), np.arange(1250) / 125
  beat_t = time_s % 0.8
  ppg_t = np.exp(-(((beat_t - 0.2) / 0.08) ** 2)) + 0.4 * np.exp(-(((beat_t - 0.45) / 0.1) ** 2))
  with pytest.raises(InputError, match="cuff_sbp_mmhg"):
    network.reconstruct(ppg_t, fs_hz=125)
  for sbp, dbp in ((80, 120), (16, 10.6), (0, 0), (1e9, 1e8), (120, 115), (-120, -160)):  # the second in kPa
    with pytest.raises(InputError, match="impossible cuff reading"):
      network.reconstruct(ppg_t, fs_hz=125, covariates={"cuff_sbp_mmhg": sbp, "cuff_dbp_mmhg": dbp})
  levels = [
    np.nanmean(
      network.reconstruct(ppg_t, fs_hz=125, covariates={"cuff_sbp_mmhg": sbp, "cuff_dbp_mmhg": dbp}).aortic_mmhg
    )
    for sbp, dbp in ((110, 70), (150, 95))
  ]
  assert levels[1] - levels[0] > 15


def rows_of(name):
  """The rows of a card, split into cells, by the name of the condition."""
  return {match[1]: line.split("|") for line in card(name).splitlines() if (match := re.search(r"\(`(\w+)`, \*", line))}


def test_the_table_of_the_docs_is_that_of_the_cards():
  text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
  lines = text.split("## The networks of the package")[1].split("\n## ")[0].splitlines()
  table = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
  assert set(table[0][1:]) == set(SITES)
  for number, name in enumerate(table[0][1:], 1):
    printed = {row[0].split("`")[0]: row[number] for row in table[2:] if row[number]}
    for condition, cells in rows_of(name).items():
      known = cells[7].split()
      expected = "; ".join([cells[3].split()[0], *known[:1]])
      assert printed[condition] == expected, (name, condition)


@pytest.mark.slow
@pytest.mark.parametrize("name", SITES)
def test_each_does_what_its_card_says(name):
  """The errors of the card, measured again."""
  rows = rows_of(name)
  measured = list(model_card.conditions(pretrained.load(name)))
  assert {one.name for one in measured} == set(rows)
  for one in measured:
    for cell, reading in ((rows[one.name][3], one.alone), (rows[one.name][7], one.in_clinic)):
      if reading is not None:
        assert float(cell.split()[0]) == pytest.approx(reading.rmse.mean, abs=0.03), one.name


def test_noise_harms_little():
  trained = pretrained.load()
  rng = np.random.default_rng(0)
  beat = datasets.read(nonlinear.load().entries[1])
  time_s = np.arange(500) / 125
  period_s = 60 / beat.covariates["hr_bpm"]
  x_t, y_t = (nonlinear.at_times(beat.signals[site], period_s, time_s) for site in ("radial", "aortic_root"))
  clean, noisy = (
    prediction.predict(
      trained, batches.Waves((x_t + sd * rng.standard_normal((20, 500))).astype(np.float32), np.repeat("a", 20))
    )
    for sd in (0.0, 0.5)
  )
  errors = [np.sqrt(np.square(p - y_t)[:, 31:-31].mean()) for p in (clean, noisy)]
  assert errors[1] < errors[0] + 0.25
