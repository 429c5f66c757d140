"""The layout of the Pulse Wave Database, read back as its users do."""

import numpy as np
import pandas as pd
import pytest

from cap_jax.data import pwdb

SITES = ["AorticRoot", "Radial"]


def wave(turn, harmonics=6):
  return sum(np.cos(2 * np.pi * k * turn - 0.4 * k) / k for k in range(1, harmonics))


def test_resample_begins_at_the_foot_and_ends_with_the_beat():
  samples, period = 128, 0.83
  turn = np.arange(samples) / samples
  rows = pwdb.resample(wave(turn)[None], np.array([0.2]), period, 500)
  assert np.isfinite(rows[0]).sum() == int(np.ceil(period * 500))
  time = np.arange(int(np.ceil(period * 500))) / 500
  np.testing.assert_allclose(rows[0, : time.size], wave((0.2 + time) / period), atol=1e-9)


@pytest.fixture
def folder(tmp_path):
  turn, period = np.arange(128) / 128, np.array([0.83, 0.61, 0.9])
  waves, feet = {}, {}
  for number, signal in enumerate(pwdb.SIGNALS):
    waves[signal] = np.stack([[wave(turn - 0.01 * number), wave(turn - 0.1)]] * 3) + 3
    feet[signal] = np.full((3, 2), 0.05) + np.array([0.0, 0.07])
  feet["U"][:, 0] -= 0.002  # the velocity leads the pressure a little
  with pwdb.Writer(str(tmp_path), SITES, 450) as writer:
    parts = ({k: v[:2] for k, v in waves.items()}, {k: v[:2] for k, v in feet.items()})
    writer.write(*parts, period[:2], {"age [years]": np.array([40.0, 50.0]), "HR [bpm]": 60 / period[:2]})
    parts = ({k: v[2:] for k, v in waves.items()}, {k: v[2:] for k, v in feet.items()})
    writer.write(*parts, period[2:], {"age [years]": np.array([60.0]), "HR [bpm]": 60 / period[2:]})
  return tmp_path


def test_files_have_the_names_and_headers_of_pwdb(folder):
  names = {f"PWs_{site}_{signal}.csv" for site in SITES for signal in pwdb.SIGNALS}
  assert {p.name for p in (folder / "PWs" / "csv").iterdir()} == names
  header = (folder / "PWs" / "csv" / "PWs_Radial_P.csv").read_text().splitlines()[0]
  assert header.startswith("Subject Number, pt1, pt2, pt3")
  assert header.endswith(", pt450")
  first = (folder / "pwdb_haemod_params.csv").read_text().splitlines()[0]
  assert first == "Subject Number, age [years], HR [bpm]"
  onsets = (folder / "pwdb_onset_times.csv").read_text().splitlines()[0]
  assert onsets == "Subject Number, " + ", ".join(f"{site}_{signal}" for site in SITES for signal in pwdb.SIGNALS)


def test_values_are_read_back_subject_by_subject(folder):
  table = pd.read_csv(folder / "PWs" / "csv" / "PWs_Radial_P.csv", skipinitialspace=True)
  assert table["Subject Number"].tolist() == [1, 2, 3]
  beat = table.iloc[1, 1:].to_numpy(dtype=float)
  beat = beat[np.isfinite(beat)]
  assert beat.size == 305
  time = np.arange(305) / 500
  np.testing.assert_allclose(beat, wave((0.12 + time) / 0.61 - 0.1) + 3, atol=1e-4)
  ppg = pd.read_csv(folder / "PWs" / "csv" / "PWs_AorticRoot_PPG.csv", skipinitialspace=True).iloc[:, 1:].to_numpy()
  np.testing.assert_allclose(np.nanmin(ppg, axis=1), 0, atol=1e-9)
  np.testing.assert_allclose(np.nanmax(ppg, axis=1), 1, atol=1e-9)


def test_onsets_are_relative_to_the_root_and_may_lead_it(folder):
  table = pd.read_csv(folder / "pwdb_onset_times.csv", skipinitialspace=True, index_col=0)
  np.testing.assert_allclose(table["AorticRoot_P"], 0, atol=1e-9)
  np.testing.assert_allclose(table["Radial_P"], 0.07, atol=1e-6)
  np.testing.assert_allclose(table["AorticRoot_U"], -0.002, atol=1e-6)
