"""The network of the package: it loads, it is small, and it does what its card says."""

import re

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches, datasets
from cap_jax.data.sources import nonlinear
from cap_jax.inference import pretrained, reconstruct
from cap_jax.train import checkpoint, prediction
from cap_jax.types import InputError

CARD = (pretrained.FOLDER.parent / "README.md").read_text(encoding="utf-8")


def test_it_is_small_and_read_whole(tmp_path):
  assert sum(path.stat().st_size for path in pretrained.FOLDER.rglob("*") if path.is_file()) < 3e6
  trained = checkpoint.load(pretrained.place("pretrained"))
  assert (trained.site, trained.task, trained.reference) == ("radial", "waveform", "aortic_root")
  assert trained.model.covariates == ()
  assert trained.calibration == config.Calibration()
  assert trained.uncertainty_calibration is not None
  assert trained.about["source"] == "patients"
  assert checkpoint.digest(pretrained.FOLDER) in CARD
  assert pretrained.place(tmp_path) == str(tmp_path)
  with pytest.raises(InputError, match=r"x: no checkpoint found; .*; or pass pretrained for the packaged network"):
    pretrained.place(tmp_path / "x")


def reported():
  """The radial waves of a nonlinear solver, of the subjects by whom nothing was chosen."""
  recordings = [datasets.read(entry) for entry in nonlinear.load().entries]
  return [recording for recording in recordings if recording.covariates["reported"]]


def rmse_of(recordings):
  """RMSE of each record [mmHg]."""
  trained, rmse = pretrained.load(), []
  for recording in recordings:
    output = reconstruct.reconstruct(trained, recording)
    off = output.aortic_mmhg - recording.signals["aortic_root"]
    rmse.append(np.sqrt(np.nanmean(np.square(off))))
  return rmse


def test_it_reconstructs_waves_of_the_other_solver():
  """Whose aortic waves it never saw."""
  rmse = rmse_of(reported()[::8])
  assert len(rmse) == 8
  assert np.mean(rmse) < 1.0  # mmHg; the FIR transfer function has 2


@pytest.mark.slow
def test_it_meets_the_other_solver_as_its_card_says():
  result = reported()
  assert len(result) == 64
  rmse = rmse_of(result)
  said = float(re.search(r"64 subjects of the nonlinear solver[^|]*\| ([\d.]+) ", CARD).group(1))
  assert abs(np.mean(rmse) - said) < 0.02
  assert np.mean(rmse) < 1.0  # mmHg; the FIR transfer function has 2


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
