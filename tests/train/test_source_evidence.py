"""How much labelled subjects speak for the system of the source."""

import numpy as np
import pytest

from cap_jax.data import batches
from cap_jax.strategies import find
from cap_jax.train import domains, filter_blend, prediction, runs, source_evidence
from tests.train import people

pytestmark = pytest.mark.quick


@pytest.fixture
def ground(tiny_model, monkeypatch):
  """Source subjects of errors 1 to 20 mmHg, so that 95 % err by at most 19.05; labelled ones of a chosen error."""
  _, trained, data = people.ground(tiny_model, 50)
  source = people.pairs([f"s{k}" for k in range(1, 21)], 2, 0)

  def offsets(error_of):
    def predict(network, windows, rows):
      return (windows.y_bt + np.array([error_of(name) for name in windows.subject_b])[:, None])[rows]

    monkeypatch.setattr(prediction, "predict", predict)

  return trained, source, data, offsets


def test_a_target_of_the_same_system_leaves_the_source_its_weight(ground):
  trained, source, data, offsets = ground
  offsets(lambda name: float(name[1:]) if name[0] == "s" else 15.0)
  result = source_evidence.assess(trained, source, trained, data.labelled)
  assert result.weight == 1
  assert str(result) == ""


def test_another_system_counts_by_the_ratio_of_the_variances(ground):
  trained, source, data, offsets = ground
  offsets(lambda name: float(name[1:]) if name[0] == "s" else 190.5)
  result = source_evidence.assess(trained, source, trained, data.labelled)
  assert result.source_mmhg == pytest.approx(19.05, rel=1e-4)
  assert result.weight == pytest.approx(0.01, rel=1e-3)
  assert str(result).startswith(
    "the source counts 0.01: its network errs by 190.5 mmHg on the labelled subjects, but by at"
  )


def test_other_people_whom_no_filter_explains_either_are_no_other_system(ground, monkeypatch):
  trained, source, data, offsets = ground
  offsets(lambda name: float(name[1:]) if name[0] == "s" else 60.0)

  class Filter:
    def predict(self, x_bt):
      return data.labelled.y_bt[: len(x_bt)] + 45.0

  monkeypatch.setattr(filter_blend, "fit_filter", lambda windows, spec: Filter())
  result = source_evidence.assess(trained, source, trained, data.labelled)
  assert result.filter_mmhg == pytest.approx(45.0, rel=1e-4)
  assert result.weight == pytest.approx(0.75**2, rel=1e-3)
  assert str(result).endswith("on 95 % of its own, and a linear filter by 45.0")


def test_rehearsal_weighs_the_windows_of_the_source(ground):
  trained, source, data, offsets = ground
  offsets(lambda name: 10.0 if name[0] == "s" else 20.0)
  data = domains.Data(source, data.unlabelled, data.labelled)
  prepared = runs.prepare(find("multi_task/rehearsal"), trained, data, runs.Budget(50, 8))
  assert prepared.source_weight == pytest.approx(0.25, rel=1e-4)
  np.testing.assert_allclose(prepared.fed["source"]["w"], 0.25, rtol=1e-4)
  assert "the source counts 0.25" in prepared.reason
  same = runs.prepare(find("fine_tuning/all"), trained, data, runs.Budget(50, 8))
  assert same.source_weight == 1
  offsets(lambda name: 1.0)
  plain = runs.prepare(find("multi_task/rehearsal"), trained, data, runs.Budget(50, 8))
  assert "w" not in plain.fed["source"]


def test_at_another_site_nothing_is_computed(ground, monkeypatch):
  trained, source, data, _ = ground
  monkeypatch.setattr(prediction, "predict", lambda *_: pytest.fail("computed"))
  elsewhere = domains.Data(source, data.unlabelled, data.labelled, site="brachial")
  assert runs.prepare(find("multi_task/heads"), trained, elsewhere, runs.Budget(50, 8)).source_weight == 1


def test_many_windows_of_the_source_are_thinned(ground, monkeypatch):
  trained, source, data, _ = ground
  sizes = []

  def predict(network, windows, rows):
    sizes.append((len(windows.x_bt), len(rows)))
    return windows.y_bt[rows] + 1

  monkeypatch.setattr(prediction, "predict", predict)
  many = batches.Pairs(*(np.concatenate([part] * 20) for part in (source.x_bt, source.y_bt, source.subject_b)))
  source_evidence.assess(trained, many, trained, data.labelled)
  assert sizes == [(len(data.labelled.x_bt), len(data.labelled.x_bt)), (800, 512)]
