"""Builds the networks of this project in PyTorch, with its own layers: `Conv1d`, `LSTM`, fused attention.

`TorchNetwork` copies the parameters, so that both networks compute the same wave; `agree` measures the difference.
Array names follow `cap_jax.types`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from cap_jax import config
from cap_jax.models import cnn, context, waveform_head
from cap_jax.models import net as nets
from cap_jax.types import Params

_HEADS = 4
_EPSILON = 1e-6


def _tensor(array: Any) -> nn.Parameter:
  return nn.Parameter(torch.from_numpy(np.array(array, dtype=np.float32, order="C")))


def _gelu(x: torch.Tensor) -> torch.Tensor:
  return F.gelu(x, approximate="tanh")


def _dense(theta: Params) -> nn.Linear:
  """Returns a linear layer; W of flax is (in, out)."""
  kernel = np.asarray(theta["kernel"])
  layer = nn.Linear(*kernel.shape, bias="bias" in theta)
  layer.weight = _tensor(kernel.T)
  if "bias" in theta:
    layer.bias = _tensor(theta["bias"])
  return layer


def _norm(theta: Params) -> nn.LayerNorm:
  layer = nn.LayerNorm(len(theta["scale"]), eps=_EPSILON)
  layer.weight, layer.bias = _tensor(theta["scale"]), _tensor(theta["bias"])
  return layer


class _Conv(nn.Module):
  """A "same" convolution over tokens of (batch, token, feature)."""

  def __init__(self, theta: Params, kernel: int, dilation: int = 1):
    super().__init__()
    matrix = np.asarray(theta["matrix"]["kernel"])
    features = matrix.shape[0] // kernel
    self.conv = nn.Conv1d(features, matrix.shape[1], kernel, padding=kernel // 2 * dilation, dilation=dilation)
    self.conv.weight = _tensor(matrix.reshape(kernel, features, -1).transpose(2, 1, 0))
    self.conv.bias = _tensor(theta["matrix"]["bias"])

  def forward(self, h_bnd: torch.Tensor) -> torch.Tensor:
    return self.conv(h_bnd.transpose(1, 2)).transpose(1, 2)


class _LevelContext(nn.Module):
  """h + W context."""

  def __init__(self, theta: Params):
    super().__init__()
    self.level = _dense(theta)

  def forward(self, h_bnd: torch.Tensor, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    values_bq = torch.cat([x_bt.mean(1, keepdim=True), c_bq], 1)
    return h_bnd + self.level(context.LEVEL_LIMIT * torch.tanh(values_bq / context.LEVEL_LIMIT))[:, None]


def _patches(x_bt: torch.Tensor, patch: int) -> torch.Tensor:
  return (x_bt - x_bt.mean(1, keepdim=True)).unflatten(1, (-1, patch))


class _Residual(nn.Module):
  def __init__(self, theta: Params, model: config.Model, k: int):
    super().__init__()
    self.norm, self.context = _norm(theta["norm"]), _dense(theta["context"])
    self.conv, self.mix = _Conv(theta["conv"], model.kernel, 2 ** (k % 3)), _dense(theta["mix"])

  def forward(self, h_bnd: torch.Tensor) -> torch.Tensor:
    g = self.norm(h_bnd)
    return h_bnd + self.mix(_gelu(self.conv(g) + self.context(g.mean(1, keepdim=True))))


def _layers(theta: Params, kind: str) -> list[str]:
  return sorted((name for name in theta if name.startswith(kind)), key=lambda name: int(name.split("_")[-1]))


class _TokenCNN(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    self.patch = model.patch
    self.embed, self.level, self.norm = _Conv(theta["embed"], 3), _LevelContext(theta["level"]), _norm(theta["norm"])
    self.layers = nn.Sequential(*(_Residual(theta[n], model, k) for k, n in enumerate(_layers(theta, "layer_"))))

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    return self.norm(self.layers(self.level(self.embed(_patches(x_bt, self.patch)), x_bt, c_bq)))


class _CNN(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    names = _layers(theta, "layer_")
    self.convs = nn.ModuleList(_Conv(theta[name], model.kernel) for name in names)
    self.norms = nn.ModuleList()
    for k in range(len(names)):
      scale = theta[f"norm_{k}"]["scale"]
      layer = nn.GroupNorm(len(scale) // min(4, len(scale)), len(scale), eps=_EPSILON)
      layer.weight, layer.bias = _tensor(scale), _tensor(theta[f"norm_{k}"]["bias"])
      self.norms.append(layer)
    self.factors = cnn.prime_factors(model.patch)
    self.level, self.mix, self.norm = _LevelContext(theta["level"]), _Conv(theta["mix"], 3), _norm(theta["norm"])

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    h_bdn = (x_bt - x_bt.mean(1, keepdim=True))[:, None]
    for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
      h_bdn = _gelu(norm(conv.conv(h_bdn)))
      if k < len(self.factors):
        h_bdn = F.avg_pool1d(h_bdn, self.factors[k])
    return self.norm(self.mix(self.level(h_bdn.transpose(1, 2), x_bt, c_bq)))


class _DilatedBlock(nn.Module):
  def __init__(self, theta: Params, kernel: int, dilation: int):
    super().__init__()
    self.norm, self.mix = _norm(theta["norm"]), _dense(theta["mix"])
    self.conv = _Conv(theta["conv"], kernel, dilation)

  def forward(self, h_bnd: torch.Tensor) -> torch.Tensor:
    return h_bnd + self.mix(_gelu(self.conv(self.norm(h_bnd))))


class _TCN(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    self.embed, self.level, self.norm = (
      _Conv(theta["embed"], model.kernel),
      _LevelContext(theta["level"]),
      _norm(theta["norm"]),
    )
    names = _layers(theta, "layer_")
    self.layers = nn.Sequential(*(_DilatedBlock(theta[n], model.kernel, 2**k) for k, n in enumerate(names)))

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    return self.norm(self.layers(self.level(self.embed((x_bt - x_bt.mean(1, keepdim=True))[..., None]), x_bt, c_bq)))


class _BiLSTM(nn.Module):
  """`nn.LSTM` in both directions. It has two biases where one is enough; the other starts at zero."""

  def __init__(self, theta: Params):
    super().__init__()
    features, half = np.asarray(theta["forward"]["input"]["kernel"]).shape[0], len(theta["forward"]["state"])
    self.lstm = nn.LSTM(features, half, batch_first=True, bidirectional=True)
    for name, end in (("forward", ""), ("backward", "_reverse")):
      cell = theta[name]
      arrays = {
        "weight_ih_l0": np.asarray(cell["input"]["kernel"]).T,
        "weight_hh_l0": np.asarray(cell["state"]).T,
        "bias_hh_l0": np.asarray(cell["input"]["bias"]),
        "bias_ih_l0": np.zeros(4 * half),
      }
      for key, array in arrays.items():
        setattr(self.lstm, key + end, _tensor(array))
    self.norm = _norm(theta["norm"])

  def forward(self, h_bnd: torch.Tensor) -> torch.Tensor:
    return self.norm(self.lstm(h_bnd)[0])


class _LSTM(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    self.patch, self.embed, self.level = model.patch, _dense(theta["embed"]), _LevelContext(theta["level"])
    self.layers = nn.Sequential(*(_BiLSTM(theta[name]) for name in _layers(theta, "lstm_")))

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    return self.layers(self.level(self.embed(_patches(x_bt, self.patch)), x_bt, c_bq))


class _Attention(nn.Module):
  def __init__(self, theta: Params):
    super().__init__()
    flat = {
      name: {"kernel": np.asarray(part["kernel"]), "bias": np.asarray(part["bias"]).reshape(-1)}
      for name, part in theta.items()
    }
    width = flat["out"]["kernel"].shape[-1]
    for name, part in flat.items():
      part["kernel"] = part["kernel"].reshape(-1, width) if name == "out" else part["kernel"].reshape(width, -1)
    self.query, self.key, self.value, self.out = (_dense(flat[name]) for name in ("query", "key", "value", "out"))

  def forward(self, h_bnd: torch.Tensor) -> torch.Tensor:
    q, k, v = (layer(h_bnd).unflatten(-1, (_HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
    return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _CNNBiLSTM(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    self.patch, self.embed, self.level = model.patch, _dense(theta["embed"]), _LevelContext(theta["level"])
    names = _layers(theta, "layer_")
    self.layers = nn.Sequential(*(_Residual(theta[n], model, k) for k, n in enumerate(names)))
    self.lstm, self.attention, self.norm = (
      _BiLSTM(theta["lstm_0"]),
      _Attention(theta["attention"]),
      _norm(theta["norm"]),
    )

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    h = self.lstm(self.layers(self.level(self.embed(_patches(x_bt, self.patch)), x_bt, c_bq)))
    return self.norm(h + self.attention(h))


class _MLP(nn.Module):
  def __init__(self, theta: Params, model: config.Model):
    super().__init__()
    del model
    self.layers = nn.ModuleList(_dense(theta[name]) for name in _layers(theta, "layer_"))

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    del c_bq
    h = x_bt
    for layer in self.layers:
      h = torch.relu(layer(h))
    return h[:, None]


class _WaveformHead(nn.Module):
  def __init__(self, theta: Params, model: config.Model, tokens: int):
    super().__init__()
    self.patch = model.patch
    self.conv, self.wave = _Conv(theta["conv"], 3), _dense(theta["wave"])
    self.register_buffer("basis_jp", torch.from_numpy(waveform_head.cosine_basis(2 * model.patch, model.cosines)))
    weight = np.sin(np.pi * (np.arange(2 * model.patch) + 0.5) / (2 * model.patch)) ** 2
    weight_np = np.tile(weight.astype(np.float32), (tokens, 1))
    weight_np[0, : model.patch] = weight_np[-1, model.patch :] = 1
    self.register_buffer("weight_np", torch.from_numpy(weight_np))

  def forward(self, h_bnd: torch.Tensor, x_bt: torch.Tensor) -> torch.Tensor:
    patch, time = self.patch, x_bt.shape[1]
    padded = F.pad(x_bt[:, None], (patch // 2, patch - patch // 2), mode="replicate")[:, 0]
    pieces = torch.cat([padded[:, :time].unflatten(1, (-1, patch)), padded[:, patch:].unflatten(1, (-1, patch))], -1)
    coefficients_bnj = pieces @ self.basis_jp.T + self.wave(_gelu(self.conv(h_bnd)))
    weighted = F.pad(coefficients_bnj @ self.basis_jp * self.weight_np, (0, 0, 1, 1))
    summed = weighted[:, 1:, :patch].flatten(1) + weighted[:, :-1, patch:].flatten(1)
    return summed[:, patch // 2 : patch // 2 + time]


class _SampleHead(nn.Module):
  def __init__(self, theta: Params, model: config.Model, tokens: int):
    super().__init__()
    del model, tokens
    self.hidden, self.wave = _dense(theta["hidden"]), _dense(theta["wave"])

  def forward(self, h_bnd: torch.Tensor, x_bt: torch.Tensor) -> torch.Tensor:
    return x_bt + self.wave(_gelu(self.hidden(h_bnd)))[..., 0]


class _NumberHead(nn.Module):
  def __init__(self, theta: Params, model: config.Model, tokens: int):
    super().__init__()
    del model, tokens
    self.hidden, self.numbers = _dense(theta["hidden"]), _dense(theta["numbers"])

  def forward(self, h_bnd: torch.Tensor, x_bt: torch.Tensor) -> torch.Tensor:
    del x_bt
    return self.numbers(_gelu(self.hidden(h_bnd.mean(1))))


_EXTRACTORS: Mapping[str, Callable[[Params, config.Model], nn.Module]] = {
  "token_cnn": _TokenCNN,
  "cnn": _CNN,
  "tcn": _TCN,
  "lstm": _LSTM,
  "cnn_bilstm": _CNNBiLSTM,
  "mlp": _MLP,
}
_WRITERS: Mapping[str, Callable[[Params, config.Model, int], nn.Module]] = {
  "waveform": _WaveformHead,
  "sample": _SampleHead,
  "numbers": _NumberHead,
}


class TorchNetwork(nn.Module):
  """y = r(f(x; θ_f), x; θ_r)."""

  def __init__(self, theta: Params, model: config.Model, samples: int):
    super().__init__()
    self.f = _EXTRACTORS[model.extractor](theta["f"], model)
    self.r = _WRITERS[model.head](theta["r"], model, samples // model.patch)
    self.to(device())

  def forward(self, x_bt: torch.Tensor, c_bq: torch.Tensor) -> torch.Tensor:
    return self.r(self.f(x_bt, c_bq), x_bt)


def device() -> str:
  """Returns the device of PyTorch: the GPU if jax has one."""
  return "cuda" if jax.default_backend() == "gpu" else "cpu"


def moved(array: np.ndarray) -> torch.Tensor:
  """Returns an array as a tensor on the device."""
  return torch.from_numpy(array).to(device())


def finish() -> None:
  """Waits for the GPU."""
  if device() == "cuda":
    torch.cuda.synchronize()


def round_products(like_jax: bool) -> None:
  """Sets whether a GPU rounds the factors of products to TF32, as jax does by default."""
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = like_jax


round_products(True)


def agree(model: config.Model, theta: Params, samples: int) -> float:
  """Compares the outputs of the two networks on white noise, without TF32 rounding.

  Args:
    model: of the network.
    theta: parameters.
    samples: of a window.

  Returns:
    The largest difference, relative to the root mean square of the outputs.
  """
  rng = np.random.default_rng(0)
  x_bt = rng.normal(size=(4, samples)).astype(np.float32)
  c_bq = rng.normal(size=(4, len(model.covariates))).astype(np.float32)
  with jax.default_matmul_precision("highest"):
    ours = np.asarray(jax.jit(nets.make_net(model).apply)(theta, x_bt, c_bq))
  round_products(False)
  with torch.no_grad():
    theirs = TorchNetwork(theta, model, samples)(moved(x_bt), moved(c_bq)).cpu().numpy()
  round_products(True)
  return float(np.abs(ours - theirs).max() / math.sqrt(np.square(ours).mean()))
