"""Tables and figures of measured beside virtual waves, from values that are known."""

import numpy as np
import pytest

from cap_jax.haemodynamics import wave_shape
from cap_jax.metrics import realism
from cap_jax.report import figures
from cap_jax.report import realism as sheets

pytestmark = pytest.mark.quick


@pytest.fixture
def clinic():
  rng = np.random.default_rng(0)
  measured, virtual = ({name: rng.normal(size=200) + 5 for name in wave_shape.UNITS} for _ in range(2))
  measured["map_mmhg"] = np.repeat([-9.0, 5.0], [150, 50])
  return measured, sheets.ClinicComparison(
    "icu",
    virtual,
    realism.compare(measured, virtual),
    realism.joint(measured, virtual),
    realism.joint(measured, virtual, realism.SHAPE),
  )


def test_tables_state_shares_and_sides(clinic):
  _, comparison = clinic
  table = sheets.feature_table([comparison])
  assert table.header == ("feature", "measured", "icu", "inside [%]")
  assert len(table.rows) == len(wave_shape.UNITS)
  row = next(row for row in table.rows if row[0] == "map_mmhg [mmHg]")
  assert (row[1], row[3]) == ("-9 / -9 / 5", "25 (75 below)")
  network = realism.NetworkDistance(np.array([-3.0, 0.5, 2.0, 9.0]), 1.0)
  distances = sheets.distance_table([comparison], network).rows
  assert distances[0][0] == "fifth nearest window of icu (among themselves)"
  assert distances[1][0] == "fifth nearest window of icu, shape alone (among themselves)"
  assert float(distances[0][2]) < 30 < 90 < float(distances[1][2])  # three of four are too low
  assert distances[2] == ("logit of the network's detector", "1.2 (threshold 1.0)", "50")


def test_without_a_network_its_row_is_missing(clinic):
  assert len(sheets.distance_table([clinic[1]], None).rows) == 2


def test_exchanges_are_rows():
  table = sheets.change_table([sheets.ChangeResult("heart rate", (7.44, 0.01), (-3.0, 0.465))], "wide")
  assert table.rows == [("heart rate", "7.4", "1", "-3.0", "46")]
  assert "wide" in table.header[1]


def test_figures_have_a_panel_for_each_feature_and_set(clinic):
  measured, comparison = clinic
  drawn = sheets.feature_figure(measured, [comparison])
  assert [axes.get_xlabel() for axes in drawn.axes if axes.get_visible()][:2] == ["hr_bpm [bpm]", "map_mmhg [mmHg]"]
  assert sum(axes.get_visible() for axes in drawn.axes) == len(wave_shape.UNITS)
  t = np.arange(1500) / 125
  wave = 80 + 40 * np.interp(t % 0.8, [0, 0.12, 0.8], [0, 1, 0])
  cut = realism.cut([("a", wave), ("b", wave)], 125.0, 12.0, 1)
  shapes = sheets.mean_beats(cut)
  assert shapes.shape == (2, 256)
  assert (shapes.min(), shapes.max()) == (0, 1)
  beats = sheets.beat_figure({"measured": cut, "icu": cut})
  assert [axes.get_title() for axes in beats.axes] == ["measured", "icu"]
  assert figures.to_png(beats)[:4] == b"\x89PNG"
