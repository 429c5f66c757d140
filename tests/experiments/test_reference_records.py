"""Folders of CSV files made from public collections of measured waves."""

import numpy as np

from tests.experiments.commands import run_here


def test_a_missing_collection_is_named(tmp_path):
  done = run_here("reference_records", f"--data={tmp_path}", f"--output={tmp_path / 'records'}")
  assert done.returncode == 2
  assert f"--data={tmp_path}" in done.stderr
  assert "abp_125hz_tenths.npz is missing" in done.stderr


def test_the_records_come_back_as_they_were_measured(reference_data, tmp_path):
  done = run_here("reference_records", f"--data={reference_data}", f"--output={tmp_path / 'records'}")
  assert done.returncode == 0, done.stderr
  folders = [sorted((tmp_path / "records" / name).iterdir()) for name in ("radial", "aortic")]
  assert [len(files) for files in folders] == [42, 14]
  written = np.loadtxt(tmp_path / "records" / "radial" / "pt18_closed_chest_post_fluid.csv", delimiter=",", skiprows=1)
  with np.load(reference_data / "thoracotomy_abp" / "abp_125hz_tenths.npz") as lines:
    measured = lines["pt18/closed_chest_post_fluid"][:15_000] / 10
  np.testing.assert_allclose(written[:, 0], np.arange(15_000) / 125, atol=1e-6)
  np.testing.assert_allclose(written[:, 1], measured, atol=1e-6)
