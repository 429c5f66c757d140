"""The network in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.models import convolution, net, waveform_head


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (3, 2), (3, 4)])
def test_shifted_matrix_is_a_convolution(kernel, dilation):
  h = jax.random.normal(jax.random.key(0), (2, 20, 3))
  layer = convolution.ShiftedConv(4, kernel, dilation)
  params = layer.init(jax.random.key(1), h)
  weights = params["params"]["matrix"]["kernel"].reshape(kernel, 3, 4)
  expected = jax.lax.conv_general_dilated(
    h, weights, (1,), "SAME", rhs_dilation=(dilation,), dimension_numbers=("NWC", "WIO", "NWC")
  )
  np.testing.assert_allclose(layer.apply(params, h), expected, atol=1e-5)


def test_parameters_are_blocks_and_the_wave_keeps_its_clock(tiny_model):
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  assert set(params) == {"f", "r"}
  x = jax.random.normal(jax.random.key(1), (3, 500))
  y = network.apply(params, x)
  assert y.shape == x.shape
  h = network.features(params["f"], x)
  assert h.shape == (3, 50, 8)
  np.testing.assert_array_equal(network.reconstruct(params["r"], h, x), y)


def test_a_level_far_outside_training_passes_through(tiny_model):
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  x = jax.random.normal(jax.random.key(1), (2, 500))
  low, lower = network.apply(params, x - 20), network.apply(params, x - 40)
  np.testing.assert_allclose(low - 20, lower, atol=2e-3)  # the level feature has saturated


def test_default_net_is_of_the_size_that_its_budget_was_measured_for():
  params = net.make_net(config.Model()).init(jax.random.key(0), 500)
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert 90_000 < count < 120_000


def test_bad_names_and_windows_are_refused(tiny_model):
  with pytest.raises(ValueError, match="extractor 'rnn' is unknown; choose one of token_cnn"):
    net.make_net(config.Model(extractor="rnn"))
  with pytest.raises(ValueError, match="head 'x' is unknown"):
    net.make_net(config.Model(head="x"))
  with pytest.raises(ValueError, match="not a whole number of patches"):
    net.make_net(tiny_model).init(jax.random.key(0), 503)


def test_one_net_per_config(tiny_model):
  assert net.make_net(tiny_model) is net.make_net(config.Model(channels=8, layers=1, head_channels=8))


def test_the_basis_keeps_what_is_slow_and_drops_what_is_fast():
  t = np.arange(500) / 125
  basis = waveform_head.cosine_basis(20, 8)
  np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-6)

  def through(wave):
    pieces = waveform_head.cut_pieces(jnp.asarray(wave, jnp.float32)[None], 10)
    return np.asarray(waveform_head.overlap_add(pieces @ basis.T @ basis))[0, 31:-31]

  slow, fast = 3 + np.sin(2 * np.pi * 8 * t), np.sin(2 * np.pi * 45 * t)
  assert np.abs(through(slow) - slow[31:-31]).max() < 0.05
  assert np.abs(through(fast)).max() < 0.15


def test_overlapping_pieces_add_up_to_one():
  np.testing.assert_allclose(waveform_head.overlap_add(jnp.ones((1, 6, 20)))[0], 1, atol=1e-6)
  # a piece is centred on its token: the third of six tokens of ten samples covers samples 15 to 35
  one = waveform_head.overlap_add(jnp.zeros((1, 6, 20)).at[0, 2].set(1.0))[0]
  assert (one[15:35] > 0).all()
  assert (one[:15] == 0).all()
  assert (one[35:] == 0).all()
