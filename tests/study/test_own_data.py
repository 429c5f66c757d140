"""Evaluation of records of the user's own: subjects that stand far from the others, and beats of the measured wave."""

import dataclasses
import types

import numpy as np
import pytest

from cap_jax import config
from cap_jax.cli import dataset_flags
from cap_jax.data import batches, scalings
from cap_jax.inference import uncertainty
from cap_jax.report import own_report
from cap_jax.study import own_data
from cap_jax.train import checkpoint
from cap_jax.types import DataError
from tests.train import people

pytestmark = pytest.mark.quick

SPEC = config.Windows()


def beat_wave(period_s=0.8, phase=0.0):
  t = (np.arange(SPEC.samples) / SPEC.fs_hz + phase) % period_s
  return (70 + 45 * np.exp(-((t - 0.25) ** 2) / 0.006)).astype(np.float32)


def pairs(amplification):
  """A subject of two windows for each amplification of the pulse."""
  x = [beat_wave(phase=0.1 * k) for k in range(2 * len(amplification))]
  y = [70 + (wave - 70) / amplification[k // 2] for k, wave in enumerate(x)]
  names = np.repeat([f"P{k}" for k in range(len(amplification))], 2)
  return batches.Pairs(np.stack(x), np.stack(y), names)


def test_a_subject_far_from_the_others_is_named():
  usual, errors = [1.3, 1.4, 1.5, 1.35, 1.45, 1.4], [2.0, 2.5, 1.5, 2.2, 1.8, 2.1]
  assert own_data.outliers(pairs(usual), errors, SPEC) == {}
  far = own_data.outliers(pairs([*usual[:-1], 0.6]), [*errors[:-1], 14.1], SPEC)
  assert set(far) == {"P5"}
  assert far["P5"].startswith(
    "waveform RMSE 14.10 mmHg, median of all 2.10 mmHg; amplification of the pulse pressure 0.60"
  )
  small = own_data.outliers(pairs(usual), [*errors[:-1], 0.1], SPEC)  # a small error is none
  assert small == {}
  assert own_data.outliers(pairs(usual), [0.5, 0.6, 0.5, 0.6, 0.5, 2.9], SPEC) == {}  # less than 3 mmHg is never far
  assert own_data.outliers(pairs(usual[:4]), [1, 1, 1, 50], SPEC) == {}  # too few to compare


def test_beats_are_counted_on_the_measured_wave(tiny_model, monkeypatch):
  """A network that flattens the pulse: its wave has no upstroke to count."""
  trained = checkpoint.Checkpoint(
    params=people.drawn(tiny_model), model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0)
  )
  waves = batches.Waves(np.stack([beat_wave(0.6), beat_wave(0.6, 0.2)]), np.array(["P0", "P0"]), {}, "radial")
  flattened = 90 + 1e-3 * (waves.x_bt - 90)
  reading = uncertainty.Reading(flattened[:, ::-1], np.ones_like(flattened), np.zeros((2, 1), np.float32))
  monkeypatch.setattr(uncertainty, "read", lambda *_: reading)
  (subject,), _ = own_data.reconstruct(trained, waves)
  assert subject.values["hr"] == pytest.approx(100.0, abs=2.5)
  assert subject.beats >= 8


def test_records_with_the_same_problem_share_a_line():
  seen = [DataError(f"P{k:02d}.csv", "used for training", "evaluate on other subjects", f"P{k:02d}") for k in range(30)]
  lines = dataset_flags.describe_lost([*seen, DataError("Q.csv", "is empty", "add rows", "Q")], 40)
  assert lines == [
    "excluded: 31 of 40 records",
    "  P00.csv: used for training; evaluate on other subjects (30 records: P00, P01, P02, P03, P04, P05, P06, P07, P08, P09, P10, P11, … 18 more)",
    "  Q.csv: is empty; add rows",
  ]


def test_windows_out_of_distribution_are_said_for_the_whole_data_set():
  subject = own_data.Reconstructed(
    subject="P0", windows=4, beats=20, values={}, half_width_mmhg=1.0, csbp_half_width_mmhg=1.0, ood_fraction=0.75,
    missing="", unusual_hr="",
  )  # fmt: skip
  other = dataclasses.replace(
    subject, subject="P1", ood_fraction=0.5, unusual_hr="the heart rate of 150/min is outside"
  )
  network = types.SimpleNamespace(unknown_level="", uncertainty_calibration=types.SimpleNamespace(outside="so what"))
  ood, unusual = own_report.warnings({}, [subject, other], network)
  assert ood == "WARNING: 62 % of the windows are out of distribution; so what"
  assert unusual.startswith(
    "WARNING: unusual heart rate in 1 of 2 subjects (P1): the heart rate of 150/min is outside; do not"
  )
  both = [dataclasses.replace(other, subject=name) for name in ("P1", "P2")]
  assert ": P1: the heart rate of 150/min is outside; " in own_report.warnings({}, both, network)[-1]
  assert own_report.warnings({}, [dataclasses.replace(subject, ood_fraction=0.1)], network) == []
  usual = [dataclasses.replace(subject, subject=f"Q{k}", ood_fraction=0.0) for k in range(4)]
  (one,) = own_report.warnings({}, [subject, *usual], network)
  assert one == (
    "WARNING: most windows of 1 of 5 subjects (P0) are out of distribution; check the site, the unit and the sign of their waves"
  )
