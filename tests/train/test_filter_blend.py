"""A network's wave blended with a linear filter: the best weight, and that every reader of a network sees the blend."""

import dataclasses
import json

import numpy as np
import pytest

from cap_jax import config
from cap_jax.baselines import arx
from cap_jax.data import batches
from cap_jax.inference import streaming, uncertainty
from cap_jax.train import checkpoint, checksummed, filter_blend, prediction
from cap_jax.types import InputError
from tests.train import people

pytestmark = pytest.mark.quick
SPEC = config.Windows()
FILTER = arx.Arx(np.array([0.9]), np.array([0.06, 0.04]), 0.0, 2, SPEC.fs_hz)


def test_weight_is_that_of_the_least_square():
  rng = np.random.default_rng(0)
  network, other = 2 * rng.standard_normal((200, 500)), rng.standard_normal((200, 500))
  # independent errors: w = σ_net² / (σ_net² + σ_filter²)
  weight = filter_blend.best_weight(network, other)
  assert weight == pytest.approx(4 / 5, abs=0.01)
  errors = [np.square((1 - w) * network + w * other).mean() for w in (weight - 0.05, weight, weight + 0.05)]
  assert errors[1] == min(errors)
  assert filter_blend.best_weight(network, 3 * network) == 0  # an error of the same kind, but larger
  assert filter_blend.best_weight(3 * network, network) == 1
  assert filter_blend.best_weight(network, network) == 0


def test_filter_of_labelled_subjects_recovers_a_linear_system():
  rng = np.random.default_rng(1)
  x = np.cumsum(rng.standard_normal((6, 900)), axis=1)
  x_bt = x[:, 300:800] - x[:, 300:800].mean(1, keepdims=True) + 90
  y_bt = np.stack([FILTER.run([x_t], SPEC.samples)[0] for x_t in arx.lengthen(x_bt, SPEC.fs_hz)])
  labelled = batches.Pairs(x_bt, y_bt, np.array(["a", "a", "b", "b", "c", "c"]))
  fitted = filter_blend.fit_filter(labelled, SPEC)
  inner = slice(SPEC.margin, SPEC.samples - SPEC.margin)
  error = fitted.predict(x_bt) - y_bt
  assert np.sqrt(np.square(error[:, inner]).mean()) < 0.02 * y_bt.std()


@pytest.fixture
def blended(tiny_model):
  """A network that has learnt nothing, half of whose wave is a filter's."""
  budget, trained, data = people.ground(tiny_model, 50)
  del budget
  return dataclasses.replace(trained, blend=filter_blend.FilterBlend(FILTER, 0.5)), data.labelled


def test_every_reader_sees_the_blend(blended):
  network, windows = blended
  bare = prediction.predict(dataclasses.replace(network, blend=None), windows)
  expected = 0.5 * bare + 0.5 * FILTER.predict(windows.x_bt)
  np.testing.assert_allclose(prediction.predict(network, windows), expected, atol=1e-3)
  np.testing.assert_allclose(uncertainty.read(network, windows).y_bt, expected, atol=1e-3)
  own = windows.x_bt[0, 100:200].astype(float)
  beat = {}
  for name, one in (("blend", network), ("network", dataclasses.replace(network, blend=None))):
    stream = streaming.StreamingNetwork(one, SPEC.fs_hz)
    beat[name] = stream(stream.begin(), own)[1].aortic_mmhg
  assert np.abs(beat["blend"] - beat["network"]).max() > 0.1


def test_checkpoint_keeps_the_filter(blended, tmp_path):
  network, windows = blended
  checkpoint.save(tmp_path / "one", network)
  loaded = checkpoint.load(tmp_path / "one")
  np.testing.assert_array_equal(loaded.blend.filter.a, FILTER.a)
  assert loaded.blend.weight == 0.5
  np.testing.assert_array_equal(prediction.predict(loaded, windows), prediction.predict(network, windows))


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    ({"weight": 1.5}, r"blend\.weight is 1\.5, must be a number from 0 to 1"),
    ({"a": [1.01]}, "blend: the filter is unstable or amplifies"),
    ({"a": [1.0]}, "blend: the filter is unstable or amplifies"),
    ({"a": [0.998], "c": 100.0}, r"constant gain 50 and level 5e\+04 mmHg"),
    ({"c": 1e5}, r"constant gain 1 and level 1e\+06 mmHg"),
    ({"b": [0.06, 30.0]}, "constant gain 301 and level 0 mmHg"),
    ({"a": [float("nan")]}, r"blend\.a\[0\] is NaN, must be a number"),
    ({"b": [1.0]}, r"blend\.b has 1 values"),
    ({"b": [0.02, 0.03, 0.05]}, r"blend\.b has 3 values, must have 2, one more than a"),
    ({"a": [0.9] * 11}, r"blend\.a has 11 values, must have 1 to 10"),
    ({"lead": -1}, r"blend\.lead is -1, must be a whole number"),
    ({"lead": 21}, r"blend\.lead is 21, must be at most 20 samples, 0\.16 s"),
    ({"lead": 10**9}, r"blend\.lead is 1000000000, must be a whole number from 0"),
    ({"fs_hz": 0}, r"blend\.fs_hz is 0, must be a number from 60"),
    ({"fs_hz": 250.0}, r"blend\.fs_hz is 250, but windows\.fs_hz is 125"),
    ({"c": None}, r"blend\.c is null, must be a number"),
  ],
)
def test_a_damaged_filter_is_refused(blended, tmp_path, damage, message):
  checkpoint.save(tmp_path / "one", blended[0])
  header = tmp_path / "one" / checkpoint.HEADER
  content = json.loads(header.read_text())
  content["blend"] |= damage
  content["sha256"][checkpoint.HEADER] = checksummed._digest_of(content)  # as if written so
  header.write_text(json.dumps(content))
  with pytest.raises(InputError, match=rf"config\.json: .*{message}"):
    checkpoint.load(tmp_path / "one")
