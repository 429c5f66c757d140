"""A detector taught on examples of both kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.losses import outlier_exposure
from cap_jax.models import detector
from cap_jax.models import net as nets
from cap_jax.train import loop

pytestmark = pytest.mark.quick


def test_without_knowledge_it_costs_two_bits():
  theta = jax.tree.map(jnp.zeros_like, detector.init(500, jax.random.key(0)))
  batch = {name: {"x": jnp.ones((4, 500))} for name in ("source", "outliers")}
  loss, metrics = outlier_exposure.make_outlier_exposure(0.0)({"o": theta}, batch, jax.random.key(1))
  assert float(loss) == pytest.approx(2 * np.log(2))
  assert float(metrics["detected"]) == 0


def test_loss_by_hand():
  """softplus(s) of a window inside and softplus(−s) of one outside."""
  theta = detector.init(500, jax.random.key(0))
  x = jax.random.normal(jax.random.key(2), (2, 500))
  s_in, s_out = (float(s) for s in detector.logits(theta, x))
  batch = {"source": {"x": x[:1]}, "outliers": {"x": x[1:]}}
  loss, _ = outlier_exposure.make_outlier_exposure(0.0)({"o": theta}, batch, jax.random.key(1))
  assert float(loss) == pytest.approx(np.log1p(np.exp(s_in)) + np.log1p(np.exp(-s_out)), rel=1e-4)


@pytest.mark.parametrize("samples", [500, 256, 499])
def test_windows_of_any_length(samples):
  theta = detector.init(samples, jax.random.key(0))
  assert detector.logits(theta, jnp.zeros((3, samples))).shape == (3,)


@pytest.mark.slow
def test_it_learns_to_tell_waves_apart(tiny_model):
  rng = np.random.default_rng(0)
  turn = 2 * np.pi * (rng.uniform(0.9, 1.6, (400, 1)) * np.arange(500) / 125 + rng.random((400, 1)))
  rising = sum(np.sin(k * turn) / k for k in range(1, 6)).astype(np.float32)  # rises slowly and falls fast
  c = np.zeros((200, 0), np.float32)
  streams = {"source": {"x": rising[:200], "c": c}, "outliers": {"x": -rising[200:], "c": c}}
  net = nets.make_net(tiny_model)
  fitted = loop.fit(
    net, outlier_exposure.make_outlier_exposure(0.1), [loop.Plan(steps=150, rate=3e-3, freeze=())],
    {"o": detector.init(500, jax.random.key(0))}, streams, config.Training(batch=16), loop.Watch("detector"),
  )  # fmt: skip
  new = sum(np.sin(k * 2 * np.pi * (1.23 * np.arange(500) / 125)) / k for k in range(1, 6))[None]
  inside, outside = (float(detector.logits(fitted.params["o"], jnp.asarray(x, jnp.float32))[0]) for x in (new, -new))
  assert inside < -1 < 1 < outside
  assert fitted.metrics["detected"][-20:].mean() > 0.95
