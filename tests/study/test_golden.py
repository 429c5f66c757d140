"""The small study's errors as they were when they were last looked at.

They may change where a change of the method, of the cohort or of a default is meant to change what is learnt; then say so in the commit, and
write the new ones with `CAP_JAX_GOLDEN=write pytest tests/study/test_golden.py`. They may not change with a
refactoring, a faster program or another release of jax by more than the tolerance, which is what other last digits do to 50 steps of training.
"""

import json
import os
import pathlib

import numpy as np
import pytest

from cap_jax.study import run_study

GOLDEN = pathlib.Path(__file__).with_name("golden.json")
TOLERANCE = 0.02  # of a closed form's error last digits change nothing, of a trained network's less than this


def errors(rows):
  """Method, n_target → mean waveform RMSE over the test subjects [mmHg], of methods that give a wave."""
  result = {}
  for row in rows:
    result.setdefault(f"{row['method']}, n_target={row['n_target']}", []).append(float(row["rmse_mmhg"]))
  means = {key: round(float(np.mean(values)), 4) for key, values in sorted(result.items())}
  return {key: value for key, value in means.items() if np.isfinite(value)}


def test_the_small_study_finds_what_it_found(small_study, done_study):
  result = errors(run_study.rows(small_study, str(done_study)))
  if os.environ.get("CAP_JAX_GOLDEN") == "write":
    GOLDEN.write_text(json.dumps(result, indent=1) + "\n")
  golden = json.loads(GOLDEN.read_text())
  assert result.keys() == golden.keys()
  off = {
    key: (golden[key], value) for key, value in result.items() if value != pytest.approx(golden[key], rel=TOLERANCE)
  }
  assert not off, f"RMSE before and now: {off}. {' '.join(__doc__.split())}"
