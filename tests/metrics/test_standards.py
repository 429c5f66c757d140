"""Standards: limits by their definitions, and no claim without its preconditions."""

import numpy as np
import pytest

from cap_jax.metrics import standards

pytestmark = pytest.mark.quick
VIRTUAL = standards.Reference(place="in silico", invasive=False)
CATHETER = standards.Reference(place="real records", invasive=True, male_share=0.5)
RNG = np.random.default_rng(0)
PRESSURES = np.concatenate([np.full(10, 95.0), np.linspace(110, 139, 55), np.linspace(141, 175, 35)])


@pytest.mark.parametrize(("bias", "limit"), [(0, 6.95), (1, 6.87), (2, 6.65), (3, 6.25), (4, 5.64), (5, 4.79)])
def test_criterion_2_falls_with_the_bias(bias, limit):
  """The table of ISO 81060-2, whose last entry lies 0.02 under the definition."""
  assert standards.largest_sd(bias) == pytest.approx(limit, abs=0.02)
  assert standards.largest_sd(-bias) == pytest.approx(standards.largest_sd(bias))


def test_near_the_tolerable_error_no_sd_is_small_enough():
  assert standards.largest_sd(9.9) == pytest.approx(0.0965, abs=1e-3)
  for bias in (9.9995, 10.0, 12.0, -9.9995):
    assert np.isnan(standards.largest_sd(bias))
  result = standards.evaluate("csbp", of(PRESSURES, np.full(100, 9.9995) + RNG.normal(0, 1e-9, 100)), CATHETER)[1]
  assert result.figures.endswith("no SD suffices at this bias")
  assert not result.within


def of(true, error):
  """Readings of subjects with one each."""
  percent_within = tuple(float(100 * (np.abs(error) <= limit).mean()) for limit in (5, 10, 15))
  sd = float(error.std(ddof=1))
  return standards.Readings(
    true_s=true,
    bias=float(error.mean()),
    sd=sd,
    sd_of_subjects=sd,
    percent_within=percent_within,
    mad=float(np.abs(error).mean()),
  )


def test_grades_by_their_definitions():
  assert standards.bhs_grade((60, 85, 95)) == "A"
  assert standards.bhs_grade((59, 85, 95)) == "B"
  assert standards.bhs_grade((60, 85, 89.9)) == "C"
  assert standards.bhs_grade((0, 0, 0)) == "D"
  assert [standards.ieee_grade(mad) for mad in (5, 5.5, 6.5, 7.5)] == ["A", "B", "C", "D"]


def claims(verdicts):
  return [v for v in verdicts if "meets" in v.claim or "passes" in v.claim]


def test_nothing_is_claimed_of_virtual_subjects_few_subjects_or_no_catheter():
  error = RNG.normal(0, 1, 100)
  few = error[:60]
  for true, errors, reference, missing in (
    (PRESSURES, error, VIRTUAL, "the subjects are virtual"),
    (PRESSURES, error, standards.Reference("in vitro", False), "the subjects are records of a mock circulatory loop"),
    (PRESSURES[:60], few, CATHETER, "n = 60 < 85"),
    (np.full(100, 120.0), error, CATHETER, "0 % of subjects have a SBP"),
    (PRESSURES, error, standards.Reference("real records", True), "30 % of each sex"),
    (PRESSURES, error, standards.Reference("real records", False, 0.5), "the reference is not invasive"),
  ):
    result = standards.evaluate("csbp", of(true, errors), reference)
    said = [v for v in result if any(missing in why for why in v.unmet_preconditions)]
    assert said, missing
    assert not claims(said)
    assert all(v.position in ("within", "grade A") and v.claim.startswith("no claim: ") for v in said)


def test_a_claim_needs_all_of_it():
  result = standards.evaluate("csbp", of(PRESSURES, RNG.normal(0, 1, 100)), CATHETER)
  iso, artery = ["AAMI/ISO 81060-2 criterion 1", "AAMI/ISO 81060-2 criterion 2"], ["ARTERY 2017"]
  assert [v.standard for v in claims(result)] == iso + artery
  # what recordings cannot show is never claimed
  assert {v.standard: v.unmet_preconditions for v in result if v.unmet_preconditions} == {
    "BHS": ("two observers did not take sequential readings",),
    "IEEE 1708": ("induced pressure changes and repeated measurements are missing",),
  }
  worse = standards.evaluate("csbp", of(PRESSURES, RNG.normal(7, 12, 100)), CATHETER)
  assert not claims(worse)
  assert [v.standard for v in worse if "does not meet" in v.claim] == iso + artery


def test_every_standard_of_central_pressure_needs_a_catheter():
  for true in (PRESSURES, PRESSURES[:30]):
    result = standards.evaluate("csbp", of(true, RNG.normal(0, 1, true.size)), VIRTUAL)
    assert len(result) == 5
    assert all(
      "the reference is not invasive" in v.unmet_preconditions and "the subjects are virtual" in v.unmet_preconditions
      for v in result
    )
    assert all((f"n = {true.size} < 85" in v.unmet_preconditions) == (true.size < 85) for v in result)


def test_what_knows_the_truth_claims_nothing():
  result = standards.evaluate("cdbp", of(PRESSURES - 45, RNG.normal(0, 0.1, 100)), CATHETER, "the true MAP and DBP")
  assert all(
    "the method uses the true MAP and DBP of each subject" in verdict.unmet_preconditions for verdict in result
  )
  assert not claims(result)
