"""The cohort against published values: the targets, and what is stated to miss them."""

import numpy as np
import pytest

from cap_jax.haemodynamics import physiology
from cap_jax.report import physiology as page


@pytest.fixture(scope="module")
def compared():
  return physiology.compare(2500, seed=1)


@pytest.fixture(scope="module")
def few():
  """As many as are drawn at once, so that a program serves others' draws too; whoever they are, which the rule does not ask."""
  return physiology.compare(256, 1, physiology.VARIANTS["no plausibility filter"])


@pytest.mark.slow
def test_reference_population_meets_mceniery_and_mattace_raso(compared):
  rows, form_factors = compared
  assert [row.name for row in rows] == list(physiology.LABELS)
  misses = [miss for row in rows for miss in row.misses()]
  # the published SD of 13 % at 30 to 39 holds a share of the error of the method; stated in docs/physiology.md
  assert all("augmentation index [%], 30–39 years: SD" in miss for miss in misses), misses
  assert 0.48 <= form_factors["aortic_root"] <= 0.60
  assert form_factors["brachial"] == pytest.approx(0.45, abs=0.03)
  assert form_factors["radial"] == pytest.approx(0.40, abs=0.02)


def test_imposed_form_factor_is_the_waves_own(few):
  _, form_factors = few
  # the rule runs from 0.44 at 35 to 0.49 at 75; a uniform 25 to 80 has its middle at 52
  assert form_factors["brachial"] == pytest.approx(0.44 + 0.05 * 17.5 / 40, abs=0.015)


@pytest.mark.quick
def test_a_miss_is_found_and_said():
  five = np.full(5, 1.0)
  row = physiology.DecadeStatistics(
    "aix", 20 * five, 9 * five, np.array([20, 26, 20, 20, 20.0]), np.array([9, 9, 9, 4, 9.0])
  )
  assert row.misses() == [
    "augmentation index [%], 40–49 years: mean 20, published 26",
    "augmentation index [%], 60–69 years: SD 9, published 4",
  ]
  text = page.markdown([row], {"radial": 0.4}, 10, 0, "command")
  assert "- augmentation index [%], 40–49 years: mean 20, published 26" in text
  assert "20 (9) \\| 26 (9)" in text
