"""The network in blocks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cap_jax import config
from cap_jax.models import adaptor, convolution, lstm, net, waveform_head
from cap_jax.train import checks
from tests import tiers


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (3, 2), (3, 4)])
def test_shifted_matrix_is_a_convolution(kernel, dilation):
  h = jax.random.normal(jax.random.key(0), (2, 20, 3))
  layer = convolution.ShiftedConv(4, kernel, dilation)
  params = jax.jit(layer.init)(jax.random.key(1), h)
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
  c = jnp.zeros((3, 0))
  y = network.apply(params, x, c)
  assert y.shape == x.shape
  h = network.features(params["f"], x, c)
  assert h.shape == (3, 50, 8)
  np.testing.assert_array_equal(network.reconstruct(params["r"], h, x), y)


def test_a_level_far_outside_training_passes_through(tiny_model):
  network = net.make_net(tiny_model)
  params = network.init(jax.random.key(0), 500)
  x = jax.random.normal(jax.random.key(1), (2, 500))
  c = jnp.zeros((2, 0))
  low, lower = network.apply(params, x - 20, c), network.apply(params, x - 40, c)
  np.testing.assert_allclose(low - 20, lower, atol=2e-3)  # the level feature has saturated


@pytest.mark.quick
def test_default_net_is_of_the_size_that_its_budget_was_measured_for():
  count = sum(leaf.size for leaf in jax.tree.leaves(shapes(config.Model())))
  assert 90_000 < count < 120_000


def shapes(model, samples=500):
  """Of the parameters, without compiling what draws them."""
  return jax.eval_shape(lambda: net.make_net(model).init(jax.random.key(0), samples))


@pytest.mark.quick
def test_bad_names_and_windows_are_refused(tiny_model):
  with pytest.raises(
    ValueError,
    match="extractor 'rnn' is unknown; choose one of apconet, cnn, cnn_bilstm, context_cnn, hpi, lstm, mlp, tcn, token_cnn",
  ):
    net.make_net(config.Model(extractor="rnn"))
  with pytest.raises(ValueError, match="head 'x' is unknown"):
    net.make_net(config.Model(head="x"))
  with pytest.raises(ValueError, match="not a whole number of patches"):
    shapes(tiny_model, 503)
  with pytest.raises(ValueError, match="500 tokens for 500 samples: the head `waveform` needs one token per 10"):
    shapes(config.Model(extractor="tcn"))
  with pytest.raises(ValueError, match="50 tokens for 500 samples: the head `sample`"):
    shapes(config.Model(head="sample"))
  with pytest.raises(ValueError, match="1 layers are too few for a patch of 10, which needs 2 pooling layers"):
    shapes(config.Model(extractor="cnn", layers=1))


@pytest.mark.quick
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


ARCHITECTURES = {
  "token_cnn": config.Model(channels=8, layers=2),
  "context_cnn": config.Model(extractor="context_cnn", channels=8, layers=2),
  "cnn": config.Model(extractor="cnn", channels=8, layers=3),
  "tcn": config.Model(extractor="tcn", head="sample", channels=8, layers=3),
  "lstm": config.Model(extractor="lstm", channels=8, layers=2),
  "cnn_bilstm": config.Model(extractor="cnn_bilstm", channels=8, layers=1),
  "mlp": config.Model(extractor="mlp", head="numbers", channels=8, layers=2),
  "hpi": config.Model(extractor="hpi", patch=4, cosines=4, channels=8),
  "apconet": config.Model(extractor="apconet", patch=4, cosines=4, channels=8),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", net.EXTRACTORS)
def test_every_architecture_is_in_named_blocks(name):
  network = net.make_net(ARCHITECTURES[name])
  params = jax.eval_shape(lambda: network.init(jax.random.key(0), 100))
  wave = jax.eval_shape(network.apply, params, jnp.zeros((3, 100)), jnp.zeros((3, network.covariates)))
  assert wave.shape == ((3, 3) if name == "mlp" else (3, 100))
  assert {f"{block}/{child}" for block in params for child in params[block]} == set(network.layers(100))


@pytest.mark.parametrize("name", tiers.sample(net.EXTRACTORS, "token_cnn", "lstm"))
def test_every_architecture_learns_from_all_of_its_blocks(name):
  network = net.make_net(ARCHITECTURES[name])
  params = network.init(jax.random.key(0), 100)
  x, c = jax.random.normal(jax.random.key(1), (3, 100)), jnp.zeros((3, network.covariates))
  gradient = jax.jit(jax.grad(lambda p: jnp.square(network.apply(p, x, c) - 1).sum()))(params)
  for layer in network.layers(100):
    block, child = layer.split("/")
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient[block][child])), layer


@pytest.mark.parametrize("name", tiers.sample(["token_cnn", "cnn", "tcn", "lstm", "cnn_bilstm"], "token_cnn"))
def test_covariates_are_optional_and_matter_where_they_are_given(name):
  network = net.make_net(dataclasses.replace(ARCHITECTURES[name], covariates=("age", "hr_bpm")))
  params = network.init(jax.random.key(0), 100)
  x = jax.random.normal(jax.random.key(1), (2, 100))
  young, old = (network.apply(params, x, jnp.full((2, 2), value)) for value in (-1.0, 1.0))
  assert jnp.abs(young - old).max() > 1e-3
  far, farther = (network.apply(params, x, jnp.full((2, 2), value)) for value in (30.0, 60.0))
  np.testing.assert_allclose(far, farther, atol=1e-4)  # bounded: an impossible age cannot drive the features


@pytest.mark.parametrize("name", tiers.sample(["token_cnn", "cnn", "tcn", "lstm", "cnn_bilstm"], "token_cnn"))
def test_half_precision_computes_so_and_keeps_parameters_and_wave_whole(name):
  half = net.make_net(dataclasses.replace(ARCHITECTURES[name], precision="bfloat16"))
  whole = net.make_net(ARCHITECTURES[name])
  params = half.init(jax.random.key(0), 100)
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
  for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(whole.init(jax.random.key(0), 100)), strict=True):
    np.testing.assert_array_equal(a, b)
  x, c = jax.random.normal(jax.random.key(1), (3, 100)), jnp.zeros((3, 0))
  assert jax.eval_shape(half.features, params["f"], x, c).dtype == jnp.bfloat16
  wave, right = half.apply(params, x, c), whole.apply(params, x, c)
  assert wave.dtype == jnp.float32
  wave, right, x = (np.asarray(value) for value in (wave, right, x))
  apart = float(np.sqrt(np.square(wave - right).mean()) / np.sqrt(np.square(right - x).mean()))
  assert 1e-5 < apart < 0.05  # of the correction: eight bits of it
  gradient = jax.eval_shape(jax.grad(lambda p: jnp.square(half.apply(p, x, c) - 1).mean()), params)
  assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


@pytest.mark.quick
def test_a_precision_that_is_not_there_is_refused():
  with pytest.raises(ValueError, match="precision 'float16' is unknown; did you mean bfloat16 or float32"):
    net.make_net(config.Model(precision="float16"))


@pytest.mark.parametrize("name", tiers.sample(["lstm", "cnn_bilstm"], "lstm"))
def test_a_recurrent_token_sees_both_directions(name):
  network = net.make_net(ARCHITECTURES[name])
  params = network.init(jax.random.key(0), 100)
  x, c = jax.random.normal(jax.random.key(1), (1, 100)), jnp.zeros((1, 0))
  slope = np.asarray(jax.jit(jax.grad(lambda x: network.features(params["f"], x, c)[0, 5].sum()))(x)[0])
  assert np.abs(slope[:10]).max() > 0
  assert np.abs(slope[-10:]).max() > 0


def test_the_two_directions_are_the_equations_of_an_lstm():
  h = jax.random.normal(jax.random.key(0), (3, 12, 6))
  layer = lstm.BiLSTM(8)
  params = jax.jit(layer.init)(jax.random.key(1), h)["params"]
  result = jax.jit(layer.apply)({"params": params}, h)
  run = jax.jit(lambda cell, tokens: nn.RNN(nn.OptimizedLSTMCell(4)).apply({"params": {"cell": cell}}, tokens))
  params, h = jax.tree.map(np.asarray, (params, h))
  sides = []
  for name, tokens in (("forward", h), ("backward", h[:, ::-1])):
    theta, half = params[name], 4
    gates = {
      gate: {
        "i": {"kernel": theta["input"]["kernel"][:, k * half : (k + 1) * half]},
        "h": {
          "kernel": theta["state"][:, k * half : (k + 1) * half],
          "bias": theta["input"]["bias"][k * half : (k + 1) * half],
        },
      }
      for k, gate in enumerate("ifgo")
    }
    cell = {side + gate: gates[gate][side] for gate in gates for side in "ih"}
    sides.append(np.asarray(run(cell, tokens)))
  both = np.concatenate([sides[0], sides[1][:, ::-1]], -1)
  np.testing.assert_allclose(result, nn.LayerNorm().apply({"params": params["norm"]}, both), atol=1e-5)


@pytest.mark.quick
def test_layers_come_from_the_input_to_the_output():
  model = config.Model(channels=8, layers=2, head_channels=8, adaptor="fir")
  assert net.make_net(model).layers(500) == (
    "a/taps", "f/embed", "f/level", "f/layer_0", "f/layer_1", "f/norm", "r/conv", "r/wave"
  )  # fmt: skip


def test_the_section_undoes_a_second_order_line():
  """A wave of known frequencies through a line of 9 Hz, ζ 0.2, comes back with the line's own two parameters."""
  fs_hz, natural_hz, damping = 125.0, 9.0, 0.2
  t = np.arange(1000) / fs_hz
  f = np.array([1.2, 2.4, 3.6, 6.0, 8.4])
  line = 1 / (1 - (f / natural_hz) ** 2 + 2j * damping * f / natural_hz)
  size = np.array([1, 0.6, 0.3, 0.1, 0.05])
  true = (size * np.exp(2j * np.pi * f * t[:, None])).real.sum(1)
  displayed = (line * size * np.exp(2j * np.pi * f * t[:, None])).real.sum(1)
  omega = 2 * np.pi * natural_hz / fs_hz  # per sample
  c = jnp.array([2 * damping / omega / adaptor._UNIT_1, 1 / omega**2 / adaptor._UNIT_2])
  section = adaptor.SecondOrderSection()
  back = section.apply({"params": {"response": c}}, jnp.asarray(displayed, jnp.float32)[None])[0]
  inner = slice(20, -20)
  assert np.abs(displayed[inner] - true[inner]).max() > 0.3
  assert np.abs(back[inner] - true[inner]).max() < 0.06


@pytest.mark.quick
def test_the_filter_convolves_and_keeps_the_mean():
  x = np.random.default_rng(0).normal(size=100)
  taps = np.array([0.1, 0.5, -0.2, 0.3, 0.3])
  result = adaptor.filtered(jnp.asarray(x, jnp.float32)[None], jnp.asarray(taps, jnp.float32))[0]
  np.testing.assert_allclose(result[2:-2], np.convolve(x, taps, mode="valid"), atol=1e-5)
  fir = adaptor.FIR(5)
  params = {"params": {"taps": jnp.array([0.3, -0.1, 0.0, 0.2, 0.5])}}
  np.testing.assert_allclose(fir.apply(params, jnp.full((1, 50), 2.0)), 2.0, atol=1e-5)
  ramp = jnp.arange(50.0)[None]
  np.testing.assert_allclose(fir.apply(params, ramp)[:, 2:-2], ramp[:, 2:-2], atol=1e-4)  # slow waves come in time


def test_the_section_begins_near_the_identity_and_undoes_a_delay_only():
  """Spectra cannot tell a delay from an advance, so a line's sign is built in: it delays, the section advances."""
  x = 10 * jnp.sin(jnp.arange(500.0) / 20)[None]
  section = adaptor.SecondOrderSection()
  params = section.init(jax.random.key(0), x)
  np.testing.assert_allclose(section.apply(params, x)[:, 10:-10], x[:, 10:-10], atol=0.1)
  for response in ([1.0, 0.5], [-1.0, 0.5], [-1.0, -0.5]):
    ahead = section.apply({"params": {"response": jnp.array(response)}}, x)[0, 10:-10]
    np.testing.assert_allclose(ahead, 10 * np.sin(np.arange(11, 491) / 20), atol=0.12)


@pytest.mark.quick
def test_a_network_of_samples_gets_a_head_for_samples():
  output = checks.wave_model(dataclasses.replace(ARCHITECTURES["tcn"], head="numbers"))
  assert output.head == "sample"
  network = net.make_net(output)
  x, c = jnp.zeros((2, 100)), jnp.zeros((2, 0))
  wave = jax.eval_shape(lambda: network.apply(network.init(jax.random.key(0), 100), x, c))
  assert wave.shape == (2, 100)
