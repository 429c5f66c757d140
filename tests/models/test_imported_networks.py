"""HPI and APCONet compute what their originals compute, from weights in PyTorch's names and layouts."""

import dataclasses
import importlib.util
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax.models import apconet, frozen_norm, net
from cap_jax.train import pyvital, weight_files, weight_import
from tests.models import published

PERSON = (71.0, 0.0, 58.0, 160.0)


def imported(name, weights, channels, samples):
  of = pyvital.NETWORKS[name]
  network = net.make_net(dataclasses.replace(of.model, channels=channels))
  return network, weight_import.load(weights, of.weight_map, network, samples, "file").params


def test_hpi_is_its_layers_one_by_one():
  weights, p = published.hpi_weights(8), published.pressures(2, 400)
  network, params = imported("hpi", weights, 8, 400)
  x, c = pyvital.NETWORKS["hpi"].scaling.scale(p), jnp.zeros((2, 0))
  h, y = network.features(params["f"], x, c), network.apply(params, x, c)
  assert h.shape == (2, 100, 8)
  for k in range(2):
    features, probability = published.hpi(weights, p[k].astype(float))
    np.testing.assert_allclose(h[k, 2:-2].T, features, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(y[k], probability, atol=1e-5)


@pytest.mark.slow
def test_apconet_is_its_layers_one_by_one():
  weights, p = published.apconet_weights(8), published.pressures(2, 400)
  network, params = imported("apconet", weights, 8, 400)
  network = dataclasses.replace(network, r=apconet.StrokeVolumeHead(person=PERSON))
  x, c = pyvital.NETWORKS["apconet"].scaling.scale(p), jnp.zeros((2, 0))
  h, y = network.features(params["f"], x, c), network.apply(params, x, c)
  assert h.shape == (2, 100, 8)
  for k in range(2):
    features, volume = published.apconet(weights, p[k].astype(float), PERSON)
    np.testing.assert_allclose(h[k].T, features, atol=1e-5 * np.abs(features).max())
    np.testing.assert_allclose(y[k], volume, rtol=1e-5, atol=1e-5)


@pytest.mark.quick
def test_a_frozen_norm_begins_as_the_identity_and_has_no_statistics():
  h = jax.random.normal(jax.random.key(0), (2, 5, 3))
  variables = frozen_norm.FrozenNorm().init(jax.random.key(1), h)
  assert set(variables) == {"params"}
  np.testing.assert_array_equal(frozen_norm.FrozenNorm().apply(variables, h), h)


@pytest.mark.quick
def test_an_odd_token_is_dropped_as_in_pytorch():
  h = jnp.arange(10.0).reshape(1, 5, 2)
  np.testing.assert_array_equal(frozen_norm.max_pool(h)[0], [[2, 3], [6, 7]])


@pytest.mark.quick
@pytest.mark.parametrize("name", pyvital.NETWORKS)
def test_tokens_are_40_ms_and_the_window_is_a_whole_number_of_them(name):
  of = pyvital.NETWORKS[name]
  network = net.make_net(of.model)
  shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), 400))
  h = jax.eval_shape(network.features, shapes["f"], jnp.zeros((1, 400)), jnp.zeros((1, 0)))
  assert h.shape == (1, 100, of.model.channels)
  assert of.model.patch / pyvital.FS_HZ == pytest.approx(0.04)
  with pytest.raises(ValueError, match="a window of 402 samples is not a whole number of patches of 4"):
    jax.eval_shape(lambda: network.init(jax.random.key(0), 402))


def test_a_token_of_hpi_lies_on_its_own_samples():
  """What moves a token are the samples about its patch, as many before as behind within one."""
  network, params = imported("hpi", published.hpi_weights(8), 8, 400)
  x = jnp.asarray(pyvital.NETWORKS["hpi"].scaling.scale(published.pressures(1, 400)))
  slope = jax.jacobian(lambda x: network.features(params["f"], x, jnp.zeros((1, 0)))[0, 50])(x)
  moved = np.flatnonzero(np.abs(slope[:, 0]).sum(0))
  assert 192 <= moved.min() <= 200
  assert 200 < moved.max() <= 209


def original(filters, module, names):
  """Classes of a module of pyvital, loaded by its path: the package itself needs TensorFlow."""
  spec = importlib.util.spec_from_file_location(f"original_{module}", filters / f"{module}.py")
  loaded = importlib.util.module_from_spec(spec)
  before = sys.modules.get("pyvital")
  sys.modules["pyvital"] = types.ModuleType("pyvital")
  try:
    spec.loader.exec_module(loaded)
  finally:
    if before is None:
      del sys.modules["pyvital"]
    else:
      sys.modules["pyvital"] = before
  return getattr(loaded, names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", pyvital.NETWORKS)
def test_outputs_are_those_of_pytorch(name):
  """With the published weights, of which nothing is stored here. The environment: requirements-bench.txt."""
  torch = pytest.importorskip("torch", reason="needs torch: pip install -r requirements-bench.txt")
  spec = importlib.util.find_spec("pyvital")
  if spec is None:
    pytest.skip("needs pyvital: pip install --no-deps pyvital")
  of, p = pyvital.NETWORKS[name], published.pressures(3, 2000)
  path, _ = pyvital.locate(of)
  weights = weight_files.read(path)
  expected = torch.load(path, weights_only=True)
  assert list(weights) == list(expected)
  filters = importlib.util.find_spec("pyvital").submodule_search_locations[0]
  folder = __import__("pathlib").Path(filters) / "filters"
  x = pyvital.NETWORKS[name].scaling.scale(p)
  tensor = torch.tensor(x)[:, None]
  if name == "hpi":
    model = original(folder, "abp_hpi", "Net")()
    inputs = tensor
  else:
    model = original(folder, "sv_dlapco", "Inception1DNet_NL_compact_dilated")(15, 32)
    inputs = [torch.tensor([apconet.TYPICAL] * 3), tensor]
  model.load_state_dict(expected)
  with torch.no_grad():
    right = model.eval()(inputs).numpy()
  network, params = imported(name, weights, of.model.channels, 2000)
  np.testing.assert_allclose(network.apply(params, x, jnp.zeros((3, 0))), right, rtol=1e-5, atol=1e-5)
