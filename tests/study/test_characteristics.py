"""Characteristics of groups of subjects: computed from windows, kept as numbers of a group."""

import dataclasses

import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import batches
from cap_jax.study import characteristics
from cap_jax.types import DataError

pytestmark = pytest.mark.quick
SPEC = config.Windows()


def pulse(low, high, period_s):
  t = np.arange(SPEC.samples) / SPEC.fs_hz
  return low + (high - low) * np.exp(-(((t % period_s) - 0.3) ** 2) / 0.006)


def windows(sites=("radial", "aortic_root")):
  """Two subjects, of 75 and 60 beats a minute; the first has an age and two windows, which do not stand together."""
  first, second = (pulse(80, 130, 0.8), pulse(85, 115, 0.8)), (pulse(70, 110, 1.0), pulse(72, 100, 1.0))
  x, y = (np.stack([first[k], second[k], first[k]]) for k in range(2))
  return batches.Pairs(x, y, np.array(["A", "B", "A"]), {"age": np.array([50.0, np.nan, 50.0])}, sites)


def test_each_subject_counts_once():
  group = characteristics.of(windows(), SPEC)
  assert (group.subjects, group.windows) == (2, 3)
  assert group.values["age"][:2] == (1, 50.0)
  assert np.isnan(group.values["age"].sd)
  expected = {
    "hr_bpm": (75, 60),
    "sbp_mmhg": (130, 110),
    "dbp_mmhg": (80, 70),
    "pp_mmhg": (50, 40),
    "csbp_mmhg": (115, 100),
  }
  for name, both in expected.items():
    n, mean, sd = group.values[name]
    assert (n, mean, sd) == (2, pytest.approx(np.mean(both), abs=0.3), pytest.approx(np.std(both, ddof=1), abs=0.3)), (
      name
    )


def test_without_a_unit_or_a_reference_there_is_no_pressure():
  assert set(characteristics.of(windows(("digital_ppg", "aortic_root")), SPEC).values) == {
    "age", "hr_bpm", "csbp_mmhg", "cdbp_mmhg", "cpp_mmhg",
  }  # fmt: skip
  assert set(characteristics.of(windows().unlabelled(), SPEC).values) == {
    "age", "hr_bpm", "sbp_mmhg", "dbp_mmhg", "pp_mmhg",
  }  # fmt: skip


def test_a_window_without_a_beat_gives_no_value():
  flat = windows()
  flat = dataclasses.replace(
    flat, x_bt=np.full_like(flat.x_bt, 90.0), y_bt=np.full_like(flat.y_bt, 90.0), covariates={}
  )
  assert characteristics.of(flat, SPEC).values == {}


def test_groups_come_back_and_damage_is_named(tmp_path):
  groups = {"target_test": characteristics.of(windows(), SPEC)}
  path = tmp_path / "subjects_here.json"
  characteristics.save(path, groups)
  assert repr(characteristics.load(path)) == repr(groups)
  assert "A" not in path.read_text().replace("NaN", "")  # no subject is named
  assert characteristics.load(tmp_path / "absent.json") == {}
  for text in ("{", "[]", '{"test": {"subjects": 3}}', '{"test": 3}'):
    path.write_text(text)
    with pytest.raises(DataError, match="contains no groups of subjects"):
      characteristics.load(path)
