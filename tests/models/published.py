"""The two networks of pyvital in numpy, after the documentation of PyTorch's layers, and random weights for them.

Arrays are (feature, time), as in PyTorch; no code is shared with the package.
"""

import numpy as np

BLOCKS = (0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 21, 23)
# of a path: place of its convolution and of its normalisation, taps, dilation
PATHS = {
  "path0": [(0, 1, 1, 1)], "path1": [(0, 1, 1, 1), (3, 4, 3, 5)], "path2": [(0, 1, 1, 1), (3, 4, 5, 7)],
  "path3": [(1, 2, 1, 1)],
}  # fmt: skip


def conv(w, name, x, pad=0, dilation=1):
  """Cross-correlation of (input, time) with weight (output, input, tap)."""
  weight = w[f"{name}.weight"].astype(float)
  taps = weight.shape[2]
  x = np.pad(x, ((0, 0), (pad, pad)))
  length = x.shape[1] - dilation * (taps - 1)
  y = sum(weight[:, :, k] @ x[:, k * dilation : k * dilation + length] for k in range(taps))
  return y + w[f"{name}.bias"].astype(float)[:, None] if f"{name}.bias" in w else y


def norm(w, name, x):
  """Batch normalisation with its running statistics, over the first axis."""
  shape = (-1,) + (1,) * (x.ndim - 1)
  scale, shift, mean, variance = (
    w[f"{name}.{part}"].astype(float).reshape(shape) for part in ("weight", "bias", "running_mean", "running_var")
  )
  return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def dense(w, name, x):
  return w[f"{name}.weight"].astype(float) @ x + w[f"{name}.bias"].astype(float)


def relu(x):
  return np.maximum(x, 0)


def in_pairs(x):
  return x[:, : x.shape[1] // 2 * 2].reshape(len(x), -1, 2)


def hpi(w, p_mmhg):
  """Features ahead of the third pool, and the probability."""
  h, after = ((p_mmhg - 65) / 65)[None], []
  for k in range(5):
    after.append(norm(w, "batchnorm", relu(conv(w, f"conv{k + 1}", h))))
    h = in_pairs(after[k]).max(2)
  return after[2], 1 / (1 + np.exp(-dense(w, "fc2", relu(dense(w, "fc1", h.mean(1))))))


def inception(w, name, x):
  padded = np.pad(x, ((0, 0), (1, 1)), constant_values=-np.inf)
  pooled = np.max([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=0)
  paths = []
  for path, layers in PATHS.items():
    h = pooled if path == "path3" else x
    for place, after, taps, dilation in layers:
      h = conv(w, f"{name}.{path}.{place}", h, (taps - 1) * dilation // 2, dilation)
      h = relu(norm(w, f"{name}.{path}.{after}", h))
    paths.append(h)
  return np.concatenate(paths)


def attention(w, name, x):
  t, p, g = (conv(w, f"{name}.{part}", x) for part in "tpg")
  scores = t.T @ p
  weight = np.exp(scores - scores.max(0))
  weight /= weight.sum(0)  # over the first axis
  return norm(w, f"{name}.bn", conv(w, f"{name}.z", (weight @ g.T).T)) + x


def apconet(w, p_mmhg, person):
  """Features ahead of the third pool, and the stroke volume."""
  h = norm(w, "stem.1", conv(w, "stem.0", (p_mmhg / 100)[None], 1))
  h, after = norm(w, "stem.3", conv(w, "stem.2", h, 1)), []
  for k, place in enumerate(BLOCKS):
    h = attention(w, f"Inception.{place - 1}", h) if k > 12 else h
    after.append(inception(w, f"Inception.{place}", h))
    h = in_pairs(after[k]).mean(2) if k % 2 == 0 else after[k]
  h = np.concatenate([relu(dense(w, "fnn.0", np.array(person))), h.mean(1)])
  return after[4], dense(w, "regressor.4", norm(w, "regressor.2", relu(dense(w, "regressor.0", h))))


def _layer(rng, name, shape, bias=True):
  fan_in = int(np.prod(shape[1:]))
  yield f"{name}.weight", rng.normal(size=shape) * np.sqrt(2 / fan_in)
  if bias:
    yield f"{name}.bias", 0.1 * rng.normal(size=shape[0])


def _statistics(rng, name, width):
  for part, value in (
    ("weight", rng.uniform(0.5, 1.5, width)), ("bias", 0.2 * rng.normal(size=width)),
    ("running_mean", 0.3 * rng.normal(size=width)), ("running_var", rng.uniform(0.2, 2, width)),
  ):  # fmt: skip
    yield f"{name}.{part}", value
  yield f"{name}.num_batches_tracked", np.array(7)


def _as_file(pairs):
  return {name: np.asarray(value, np.int64 if value.dtype.kind == "i" else np.float32) for name, value in pairs}


def hpi_weights(width, seed=0):
  """A state dict as that of HPI, with fewer channels and random numbers."""
  rng, pairs = np.random.default_rng(seed), []
  for k in range(5):
    pairs += _layer(rng, f"conv{k + 1}", (width, width if k else 1, 3))
  pairs += [*_statistics(rng, "batchnorm", width), *_layer(rng, "fc1", (16, width)), *_layer(rng, "fc2", (1, 16))]
  return _as_file(pairs)


def apconet_weights(width, seed=0):
  """A state dict as that of APCONet, with fewer channels and random numbers."""
  rng, quarter = np.random.default_rng(seed), width // 4
  pairs = [*_layer(rng, "stem.0", (quarter, 1, 3)), *_statistics(rng, "stem.1", quarter)]
  pairs += [*_layer(rng, "stem.2", (width, quarter, 3)), *_statistics(rng, "stem.3", width)]
  for place in BLOCKS:
    for path, layers in PATHS.items():
      for at, after, taps, _ in layers:
        inputs = quarter if at == 3 else width
        pairs += _layer(rng, f"Inception.{place}.{path}.{at}", (quarter, inputs, taps))
        pairs += _statistics(rng, f"Inception.{place}.{path}.{after}", quarter)
  for place in (20, 22):
    for part in "tpgz":
      pairs += [
        (name, 0.3 * value) for name, value in _layer(rng, f"Inception.{place}.{part}", (width, width, 1), False)
      ]
    pairs += _statistics(rng, f"Inception.{place}.bn", width)
  pairs += [*_layer(rng, "fnn.0", (4, 4)), *_layer(rng, "regressor.0", (64, width + 4))]
  pairs += [*_statistics(rng, "regressor.2", 64), *_layer(rng, "regressor.4", (1, 64))]
  return _as_file(pairs)


def pressures(count, samples, seed=0):
  """Noisy pulse-like waves [mmHg], (window, time) at 100 Hz."""
  rng, t = np.random.default_rng(seed), np.arange(samples) / 100
  waves = [
    90 + 25 * np.sin(2 * np.pi * f * t) + 8 * np.sin(4 * np.pi * f * t + 1) for f in rng.uniform(0.9, 1.8, count)
  ]
  return (np.array(waves) + rng.normal(size=(count, samples))).astype(np.float32)
