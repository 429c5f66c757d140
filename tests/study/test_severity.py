"""Artefacts get worse, and what is reconstructed stays right or becomes a gap."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.inference import pretrained
from cap_jax.report import severity as sheets
from cap_jax.report import tables
from cap_jax.study import severity
from tests import tiers


def curve():
  return list(severity.curve(pretrained.load(), 3, 30.0, 0))


@pytest.fixture(scope="module")
def curve_of():
  """The curve_of of an artefact at its least and its greatest severity, computed once."""

  @functools.cache
  def ends(name):
    one = severity.ARTEFACTS[name]
    few = {name: dataclasses.replace(one, severities=one.severities[:: len(one.severities) - 1])}
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(severity, "ARTEFACTS", few)
      return curve()

  def of(name):
    """Of no artefact: those that come with the offset."""
    return [one for one in ends("zero" if name == severity.NONE else name) if one.artefact == name]

  return of


@pytest.mark.slow
def test_every_artefact_at_every_severity():
  curve_of = curve()
  reported = {(one.artefact, one.severity) for one in curve_of}
  assert reported == {
    (severity.NONE, 0.0),
    *((name, s) for name, one in severity.ARTEFACTS.items() for s in one.severities),
  }
  output = sheets.section(curve_of)
  assert len(output.sheets["severity"].rows) == len(curve_of)


def test_without_an_artefact_all_is_reconstructed(curve_of):
  (none,) = curve_of(severity.NONE)
  assert none.reconstructed == 1.0
  assert none.rmse_mmhg < 1.5
  assert none.wrong == 0.0


@pytest.mark.parametrize(
  ("name", "reason"),
  tiers.sample(
    [
      ("flush", "flushed"),
      ("motion", "moved"),
      ("lost samples", "no data"),
      ("clipped", "clipped"),
      ("pause", "flat"),
    ],
    ("flush", "flushed"),
    ("lost samples", "no data"),
    ("clipped", "clipped"),
  ),
)
def test_what_cannot_be_right_is_left_out_with_its_reason(curve_of, name, reason):
  assert curve_of(name)[-1].reconstructed < 0.98
  assert any(one.reconstructed < 0.99 and any(reason in text for text in one.reasons) for one in curve_of(name))


def test_an_offset_cannot_be_seen_and_is_not_a_gap(curve_of):
  for one in curve_of("zero"):
    assert one.reconstructed == 1.0
    assert one.rmse_mmhg == pytest.approx(one.severity, rel=0.4)


def test_artefacts_are_of_the_size_that_they_say():
  p, key = jnp.asarray(90 + 20 * np.sin(np.arange(7500) / 20), jnp.float32), jax.random.key(0)
  make = {name: one.make for name, one in severity.ARTEFACTS.items()}
  assert float((make["noise"](key, p, 125.0, 4.0) - p).std()) == pytest.approx(4.0, rel=0.05)
  assert float((make["drift"](key, p, 125.0, 5.0) - p).std()) == pytest.approx(5.0, rel=0.05)
  assert float(make["clipped"](key, p, 125.0, 0.2).max()) == pytest.approx(110 - 0.2 * 40, abs=0.1)
  assert float(jnp.abs(make["steps"](key, p, 125.0, 4.0) - p).max()) == pytest.approx(2.0, abs=0.01)


def known(wrong):
  """Points of every artefact, given so often though they are wrong."""
  return [
    severity.Point(
      artefact=name, severity=s, unit=one.unit, rmse_mmhg=1.0, reconstructed=0.9, wrong=w, ood_fraction=0.0, reasons={}
    )
    for name, one in severity.ARTEFACTS.items()
    for s, w in zip(one.severities, wrong, strict=False)
  ]


def test_the_part_of_a_report_has_a_row_a_point_and_a_panel_an_artefact(curve_of):
  curve_of = [*curve_of(severity.NONE), *known((0.0, 0.01, 0.02, 0.0, 0.5))]
  output = sheets.section(curve_of)
  assert len(output.sheets["severity"].rows) == len(curve_of)
  assert {axes.get_title() for axes in output.drawn[0].figure.axes} - {""} == set(severity.ARTEFACTS)
  assert [row[0] for row in output.sheets["limits"].rows] == list(severity.ARTEFACTS)


@pytest.mark.quick
def test_a_limit_is_the_last_severity_before_one_per_cent_is_wrong():
  rows = {row[0]: row[1:] for row in sheets.limits(known((0.0, 0.01, 0.02, 0.0, 0.5))).rows}
  assert rows["noise"] == ("1 mmHg", "2 mmHg", "90", "2.0")


@pytest.mark.quick
def test_markdown_keeps_its_columns():
  table = tables.Table(("a", "b"), [("x|y", "1")])
  assert tables.to_markdown(table) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |\n"
