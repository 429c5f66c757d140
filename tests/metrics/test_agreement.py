"""Agreement against closed forms and worked examples."""

import numpy as np
import pytest
import scipy.stats

from cap_jax.metrics import agreement

pytestmark = pytest.mark.quick


def test_limits_of_agreement_hold_both_variances():
  """Simulated: σ_between 3, σ_within 2, unequal numbers of beats."""
  rng = np.random.default_rng(0)
  subjects = 3000
  count = rng.integers(5, 40, subjects)
  own = rng.normal(1.5, 3.0, subjects)
  beats = [rng.normal(mean, 2.0, n) for mean, n in zip(own, count, strict=True)]
  mean, sd = np.array([b.mean() for b in beats]), np.array([b.std(ddof=1) for b in beats])
  true = rng.normal(120, 15, subjects)
  result = agreement.bland_altman(true, mean, sd, count)
  assert result.bias == pytest.approx(1.5, abs=0.15)
  assert result.between == pytest.approx(3.0, rel=0.04)
  assert result.within == pytest.approx(2.0, rel=0.02)
  assert result.bias == pytest.approx(mean.mean())  # each subject counts alike
  assert result.limits[1] - result.bias == pytest.approx(1.96 * np.sqrt(13), rel=0.03)
  # differences scatter on means that hold half of them: cov/var = (σ²/2)/(15² + σ²/4)
  assert result.slope == pytest.approx(4.5 / (225 + 9 / 4), abs=4 * result.slope_error)


def test_unequal_numbers_by_hand():
  """Two, two, two and fifty differences: n₀ = (56 − 2512/56)/3 = 26/7, far from their mean of 14."""
  count, mean, sd = np.array([2.0, 2, 2, 50]), np.array([1.0, -2, 4, 0]), np.array([1.0, 2, 1, 0.5])
  grand = (2 - 4 + 8) / 56
  ms_between = (2 * (1 - grand) ** 2 + 2 * (-2 - grand) ** 2 + 2 * (4 - grand) ** 2 + 50 * grand**2) / 3
  ms_within = (1 + 4 + 1 + 49 * 0.25) / 52
  result = agreement.bland_altman(np.full(4, 120.0), mean, sd, count)
  assert result.within == pytest.approx(np.sqrt(ms_within))
  assert result.between == pytest.approx(np.sqrt((ms_between - ms_within) / (26 / 7)))


def test_limits_without_repeats_are_the_usual_ones():
  error = np.array([1.0, -2.0, 3.0, 0.5, -1.5, 2.0])
  result = agreement.bland_altman(np.full(6, 120.0), error)
  assert result.bias == pytest.approx(error.mean())
  assert result.limits[1] == pytest.approx(error.mean() + 1.96 * error.std(ddof=1))
  assert result.within == 0
  with pytest.raises(ValueError, match="at least three"):
    agreement.bland_altman(np.full(2, 120.0), error[:2])


def test_draws_add_their_variance_and_no_certainty():
  """Simulated: bias of a draw N(0, 2²), of a subject N(0, 3²); the mean of the draws alone would show √(9 + 4/50)."""
  rng = np.random.default_rng(2)
  true, own = rng.normal(120, 15, 400), rng.normal(0, 3, 400)
  draws = [agreement.bland_altman(true, own + bias) for bias in rng.normal(0, 2, 50)]
  result = agreement.over_draws(draws)
  assert result.sd == pytest.approx(np.sqrt(13), rel=0.1)
  assert result.bias == pytest.approx(np.mean([one.bias for one in draws]))
  assert result.slope_error == pytest.approx(draws[0].slope_error, rel=0.05)
  assert agreement.over_draws(draws[:1]) == draws[0]


def test_the_spread_of_one_value_is_unknown():
  assert agreement.spread(np.array([1.0, np.nan, 3.0])) == (2.0, pytest.approx(np.sqrt(2)))
  assert agreement.spread(np.array([4.0, np.nan]))[0] == 4
  assert np.isnan(agreement.spread(np.array([4.0, np.nan]))[1])
  assert np.isnan(agreement.spread(np.full(2, np.nan))).all()


def test_proportional_bias_shows_as_a_slope():
  true = np.linspace(90, 170, 40)
  noise = np.random.default_rng(1).normal(0, 0.5, 40)
  result = agreement.bland_altman(true, -0.1 * (true - 130) + noise)
  # differences of −0.1·(t − 130) on means t − 0.05·(t − 130)
  assert result.slope == pytest.approx(-0.1 / 0.95, abs=0.01)
  assert result.slope_p < 1e-10


def test_icc_of_shrout_and_fleiss():
  """Two judges of the six targets of Shrout & Fleiss 1979; expected value from the mean squares by hand."""
  first, second = np.array([9.0, 6, 8, 7, 10, 6]), np.array([2.0, 1, 4, 1, 5, 2])
  table = np.stack([first, second], axis=1)
  grand = table.mean()
  rows = 2 * ((table.mean(1) - grand) ** 2).sum() / 5
  columns = 6 * ((table.mean(0) - grand) ** 2).sum() / 1
  total = ((table - grand) ** 2).sum()
  error = (total - 5 * rows - columns) / 5
  assert agreement.icc(first, second) == pytest.approx((rows - error) / (rows + error + 2 * (columns - error) / 6))
  assert agreement.icc(first, first) == pytest.approx(1)
  assert agreement.icc(first, first + 3) < 0.6 < agreement.pearson(first, first + 3)
  assert np.isnan(agreement.icc(first[:2], second[:2]))


def test_holm_by_hand():
  result = agreement.holm([0.01, 0.04, 0.03, np.nan, 0.005])
  np.testing.assert_allclose(result[[0, 1, 2, 4]], [0.03, 0.06, 0.06, 0.02])
  assert np.isnan(result[3])
  np.testing.assert_allclose(agreement.holm([0.5, 0.9]), [1.0, 1.0])


def test_bootstrap_covers_the_mean():
  """Over 200 draws of 25 subjects the 90 % interval holds the true mean about as often as it says."""
  rng = np.random.default_rng(3)
  hits = 0
  for seed in range(200):
    result = agreement.interval(rng.exponential(2.0, 25), level=0.9, seed=seed)
    assert result.low <= result.mean <= result.high
    hits += result.low <= 2.0 <= result.high
  assert 0.80 <= hits / 200 <= 0.96
  assert np.isnan(agreement.interval(np.array([1.0, 2.0])).low)
  assert agreement.interval(np.array([1.0, np.nan, 2.0, 4.0])).mean == pytest.approx(7 / 3)


def test_the_interval_of_a_skewed_sample_is_not_a_plain_one():
  """Quantiles of an exponential: BCa reaches farther up than the percentile interval, and starts higher."""
  values = -np.log(1 - (np.arange(20) + 0.5) / 20)
  result = agreement.interval(values)
  drawn = np.random.default_rng(1).choice(values, (20_000, 20)).mean(1)
  low, high = np.quantile(drawn, (0.025, 0.975))
  assert result.low > low + 0.02
  assert result.high > high + 0.03
  assert result.high - result.mean > 1.2 * (result.mean - result.low)


def test_pairs_are_tested_subject_by_subject():
  rng = np.random.default_rng(2)
  level = rng.normal(3, 2, 40)
  better = agreement.paired(level - 0.3 + rng.normal(0, 0.2, 40), level)
  assert better.p < 1e-6
  assert better.difference.high < 0
  assert agreement.paired(level, level).p == 1
  assert np.isnan(agreement.paired(level[:5], level[:5] + 1).p)
  a = rng.normal(0, 1, 30)
  assert agreement.paired(a, a[::-1]).p == pytest.approx(scipy.stats.wilcoxon(a - a[::-1]).pvalue)


def test_strata_divide_those_who_are_known():
  age = np.array([25.0, 45, 65, 75, np.nan])
  result = agreement.strata("age", age)
  assert [stratum.label for stratum in result] == ["under 40", "40 to 60", "60 to 70", "70 or more"]
  np.testing.assert_array_equal(sum(stratum.contains(age).astype(int) for stratum in result), [1, 1, 1, 1, 0])
  thirds = agreement.strata("amplification", np.arange(1.0, 10.0))
  assert [int(stratum.contains(np.arange(1.0, 10.0)).sum()) for stratum in thirds] == [3, 3, 3]
  assert agreement.strata("age", np.full(3, np.nan)) == []
