"""What a long or broken record looks like, and methods beside each other."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from cap_jax.inference import uncertainty
from cap_jax.metrics import agreement
from cap_jax.report import figures, study_figures
from cap_jax.strategies import STRATEGIES
from cap_jax.study import summary

pytestmark = pytest.mark.quick


def test_thinning_keeps_the_extremes_the_gaps_and_the_end():
  t = np.arange(100_003) / 125
  p = np.sin(t)
  p[50_000], p[-1], p[20_000:21_000] = 9.0, 7.0, np.nan
  time, wave = figures._thin(t, p)
  assert len(time) == len(wave) < 7000
  assert np.nanmax(wave) == 9
  assert np.nanmax(wave[-4:]) == 7
  assert t[-1] - time[-1] < 0.4
  assert np.isnan(wave[(time > 161) & (time < 167)]).all()
  short = figures._thin(t[:500], p[:500])
  np.testing.assert_array_equal(short[1], p[:500])


def test_no_line_is_drawn_across_a_pause():
  t = np.array([0, 0.01, 0.02, 5.0, 5.01])
  time, wave = figures._broken(t, np.ones(5))
  np.testing.assert_array_equal(time, [0, 0.01, 0.02, 5.0, 5.0, 5.01])
  np.testing.assert_array_equal(np.isnan(wave), [False, False, False, True, False, False])


def line(name, n_target):
  nan, one = float("nan"), agreement.Interval(1.0, 0.9, 1.1)
  frozen = uncertainty.Coverage(*[nan] * 5)
  return summary.MethodSummary(
    scenario="device",
    method=name,
    n_target=n_target,
    subjects=9,
    seeds=1,
    rmse=one,
    lag_free_mmhg=nan,
    nrmse_percent=nan,
    r=nan,
    error={},
    defined={},
    train_s=nan,
    steps=0,
    settings=1,
    steps_to_scratch=nan,
    s_to_scratch=nan,
    coverage=frozen,
    cell_count=1,
    diverged=0,
  )


def test_every_method_of_a_study_differs_from_the_others():
  free = [
    "peripheral",
    "gtf_source",
    "source",
    "individual_tf_source",
    *[n for n in STRATEGIES if n.startswith("domain_adaptation")][:3],
  ]
  trained = [
    "mean_wave_target",
    "gtf_target",
    "gtf_arx_target",
    *(n for n in STRATEGIES if n.partition("/")[0] in ("fine_tuning", "combination")),
  ]
  lines = [line(name, 0) for name in free] + [line(name, n) for name in trained for n in (1, 5)]
  strategies, baselines = (axes.lines for axes in study_figures.few_shot(lines, "in silico").axes)
  for drawn in (strategies, baselines):
    looks = {(line.get_color(), str(line._unscaled_dash_pattern), line.get_marker()) for line in drawn}
    assert len(looks) == len(drawn)
  # fine-tuning is drawn beside the baselines too
  assert len(strategies) + len(baselines) == len(free) + len(trained) + 1


def test_strategies_have_colours_of_their_own():
  names = {name.partition("/")[0] for name in STRATEGIES}
  assert len({study_figures.colour(name) for name in names}) == len(names)
  assert study_figures.colour("mine").startswith("#")  # one that nobody gave a colour is drawn too


def test_a_name_with_two_dollars_is_text():
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure()
    figure.subplots().set_title("$a_b^c^d$")
    assert figures.to_png(figure).startswith(b"\x89PNG")
