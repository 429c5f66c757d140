"""The layout of the Pulse Wave Database, read back as its users do."""

import numpy as np
import pandas as pd
import pytest

from cap_jax.data.sources import pwdb_writer

pytestmark = pytest.mark.quick
SITES = ["AorticRoot", "Radial"]


def wave(turn, harmonics=6):
  return sum(np.cos(2 * np.pi * k * turn - 0.4 * k) / k for k in range(1, harmonics))


def test_resample_begins_at_the_foot_and_ends_with_the_beat():
  samples, period = 128, 0.83
  turn = np.arange(samples) / samples
  rows = pwdb_writer.resample(wave(turn)[None], np.array([0.2]), period, 500)
  assert np.isfinite(rows[0]).sum() == int(np.ceil(period * 500))
  time = np.arange(int(np.ceil(period * 500))) / 500
  np.testing.assert_allclose(rows[0, : time.size], wave((0.2 + time) / period), atol=1e-9)


@pytest.fixture
def folder(tmp_path):
  turn, period = np.arange(128) / 128, np.array([0.83, 0.61, 0.9])
  waves = {
    signal: np.stack([[wave(turn - 0.01 * number), wave(turn - 0.1)]] * 3) + 3
    for number, signal in enumerate(pwdb_writer.SIGNALS)
  }
  feet = np.full((3, 2), 0.05) + np.array([0.0, 0.07])
  with pwdb_writer.Writer(str(tmp_path), SITES, 450) as writer:
    for part, age in ((slice(0, 2), [40.0, 50.0]), (slice(2, 3), [60.0])):
      some = {k: v[part] for k, v in waves.items()}
      writer.write(some, feet[part], period[part], {"age [years]": np.array(age), "HR [bpm]": 60 / period[part]})
  return tmp_path


def test_files_have_the_names_and_headers_of_pwdb(folder):
  names = {f"PWs_{site}_{signal}.csv" for site in SITES for signal in pwdb_writer.SIGNALS}
  assert {p.name for p in (folder / "PWs" / "csv").iterdir()} == names
  header = (folder / "PWs" / "csv" / "PWs_Radial_P.csv").read_text().splitlines()[0]
  assert header.startswith("Subject Number, pt1, pt2, pt3")
  assert header.endswith(", pt450")
  first = (folder / "pwdb_haemod_params.csv").read_text().splitlines()[0]
  assert first == "Subject Number, age [years], HR [bpm]"
  onsets = (folder / "pwdb_onset_times.csv").read_text().splitlines()[0]
  assert onsets == "Subject Number, " + ", ".join(
    f"{site}_{signal}" for site in SITES for signal in pwdb_writer.SIGNALS
  )


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


def read(folder, site, signal):
  table = pd.read_csv(folder / "PWs" / "csv" / f"PWs_{site}_{signal}.csv", skipinitialspace=True)
  return table.iloc[0, 1:].to_numpy(dtype=float)


def test_pressure_velocity_and_area_of_a_site_share_one_clock(folder):
  time = np.arange(415) / 500
  for number, signal in enumerate(("P", "U", "A")):
    # from the foot of the pressure on, whatever the signal's own
    np.testing.assert_allclose(
      read(folder, "AorticRoot", signal)[:415], wave((0.05 + time) / 0.83 - 0.01 * number) + 3, atol=1e-4
    )
  ppg = read(folder, "AorticRoot", "PPG")
  assert np.nanargmin(ppg) in (0, 414)  # a PPG from its own least value


def test_onsets_are_relative_to_the_root(folder):
  table = pd.read_csv(folder / "pwdb_onset_times.csv", skipinitialspace=True, index_col=0)
  for signal in ("P", "U", "A"):
    np.testing.assert_allclose(table[f"AorticRoot_{signal}"], 0, atol=1e-9)
    np.testing.assert_allclose(table[f"Radial_{signal}"], 0.07, atol=1e-6)
  assert (table["Radial_PPG"] >= 0).all()
  assert (table["Radial_PPG"] != 0.07).all()
