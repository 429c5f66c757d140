"""Measures a training step: networks against PyTorch, frozen and cached extractors, alignment of domains, machine
rates."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import config
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import find
from cap_jax.train import prediction, sharding, step
from cap_jax.types import Batch, InputError, Params
from experiments.benchmarks import timing
from experiments.benchmarks.timing import Options, Row

SAMPLES, BATCH, MARGIN = 500, 32, 31
_LARGE = 2048
NETWORKS = {
  "token_cnn": config.Model(),
  "cnn": config.Model(extractor="cnn"),
  "tcn": config.Model(extractor="tcn", head="sample", channels=48, layers=5, kernel=5),
  "lstm": config.Model(extractor="lstm", layers=2),
  "cnn_bilstm": config.Model(extractor="cnn_bilstm", layers=2),
}
# a small network, as in the examples of domain adaptation libraries
SMALL = config.Model(extractor="mlp", head="numbers", channels=100, layers=2, head_channels=32, outputs=1)
_AGREE = 1e-4
_SQUARES = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048))
_LARGER_SQUARES = ((4096, 4096, 4096), (8192, 8192, 8192))  # on an accelerator


class Case(NamedTuple):
  """A training to measure.

  Attributes:
    model: of the network.
    strategy: name.
    freeze: paths of frozen parameters.
    cached: whether the features are computed once, before the steps.
    samples: of a window.
    batch: windows of a batch.
  """

  model: config.Model
  strategy: str = "scratch"
  freeze: tuple[str, ...] = ()
  cached: bool = False
  samples: int = SAMPLES
  batch: int = BATCH


def batch_of(case: Case, count: int) -> dict[str, dict[str, np.ndarray]]:
  """Draws batches of white noise for all streams that the strategy reads.

  Args:
    case: the training.
    count: number of batches.

  Returns:
    Stream → array name → (batch, window, value).
  """
  rng = np.random.default_rng(0)
  coordinates = 2 if case.model.extractor == "mlp" else case.samples
  outputs = case.model.outputs if case.model.head == "numbers" else coordinates

  def part() -> dict[str, np.ndarray]:
    shapes = {"x": coordinates, "c": len(case.model.covariates), "y": outputs}
    return {name: rng.normal(size=(count, case.batch, size)).astype(np.float32) for name, size in shapes.items()}

  return {stream: part() for stream in find(case.strategy).streams}


def _loss_of(net: nets.Net, model: config.Model) -> Any:
  if model.head != "numbers":
    return tasks.TASKS["waveform"].make_loss(net, MARGIN)

  def loss(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, dict]:
    del key
    return jnp.square(net.reconstruct(params["r"], part["h"], part["x"]) - part["y"]).mean(), {}

  return loss


class Ours(NamedTuple):
  """A training of this project, ready to run."""

  params: Params
  trainer: step.Trainer
  state: step.TrainState
  stack: Any


def ours(case: Case, steps: int, shared: bool = False) -> Ours:
  """Prepares a training of this project.

  Args:
    case: the training.
    steps: of a chunk.
    shared: whether batches are shared among all devices instead of placed on one.

  Returns:
    The training.
  """
  net, strategy = nets.make_net(case.model), find(case.strategy)
  loss = _loss_of(net, case.model)
  context = terms.Context(net, loss, loss)
  total = terms.make_total(strategy.loss, strategy.combine, context)
  stack = batch_of(case, steps)
  samples = next(iter(stack.values()))["x"].shape[-1]
  source = net.init(jax.random.key(1), samples)
  params, _ = strategy.start(source, net, net, samples, jax.random.key(0))
  trainer = step.make_trainer(total, case.freeze)
  if case.cached:
    for part in stack.values():
      flat = part["x"].reshape(-1, samples), part["c"].reshape(steps * case.batch, -1)
      h = prediction.features(net, params, *flat)
      part["h"] = h.reshape(steps, case.batch, *h.shape[1:])
  state = trainer.init(params, 10**6, 1e-4)
  if shared:
    return Ours(params, trainer, sharding.replicated(state, case.batch), sharding.spread(stack, case.batch))
  return Ours(params, trainer, state, jax.device_put(stack))


def our_call(training: Ours) -> Callable[[], Any]:
  """Returns a function that runs one chunk, each from the state of the last."""
  state, key = training.state, jax.random.key(0)

  def call() -> Any:
    nonlocal state
    state, metrics = training.trainer.run(state, training.stack, key)
    return metrics

  return call


def against_torch(options: Options, name: str, cases: Mapping[str, Case]) -> dict[str, timing.Times]:
  """Measures chunks of this project and of PyTorch in turns.

  Args:
    options: of the measurement.
    name: of the progress bar.
    cases: label → training.

  Returns:
    Label → times of a chunk, ours and PyTorch's at each number of threads.

  Raises:
    ModuleNotFoundError: PyTorch is not installed.
    InputError: the outputs of a network differ between PyTorch and this project.
  """
  from experiments.benchmarks import torch_networks, torch_steps  # only these sections need PyTorch

  times_of = {}
  for label, case in cases.items():
    training, stack = ours(case, options.steps), batch_of(case, options.steps)
    samples = next(iter(stack.values()))["x"].shape[-1]
    apart = torch_networks.agree(case.model, training.params, samples)
    if not apart < _AGREE:
      raise InputError(
        f"{label}: PyTorch's network differs by {apart:.2g} of its output from ours; they are not the same"
      )
    calls = {"ours": our_call(training)}
    for threads in options.threads:
      calls[f"PyTorch, {threads}"] = torch_steps.make(case, training.params, stack, samples, threads)
    times_of[label] = timing.in_turns(calls, options.turns, f"{name}: {label}")
  return times_of


def _row(section: str, label: str, times: timing.Times, steps: int, target: float | None) -> Row:
  theirs = timing.fastest(times, [name for name in times if name != "ours"])
  own, other = (1e3 * timing.median(times[name]) / steps for name in ("ours", theirs))
  detail = f"{own:.2f} ms here, {other:.2f} ms {theirs} thread(s)"
  return Row(
    section=section,
    name=label,
    value=timing.ratio(times[theirs], times["ours"]),
    unit="×",
    target=target,
    at_least=True,
    detail=detail,
  )


def networks(options: Options) -> list[Row]:
  """Measures a training step of every network against PyTorch."""
  section = "train step, PyTorch's time over ours"
  cases = {name: Case(model) for name, model in NETWORKS.items()} | {"small (two dense layers)": Case(SMALL)}
  times_of = against_torch(options, "steps", cases)
  return [
    _row(section, name, times, options.steps, 10.0 if cases[name].model is SMALL else 1.0)
    for name, times in times_of.items()
  ]


def alignment(options: Options) -> list[Row]:
  """Measures steps with MMD and DANN between the domains against TLlib's formulas in PyTorch."""
  cases = {
    "MMD": Case(NETWORKS["token_cnn"], "domain_adaptation/mmd"),
    "DANN": Case(NETWORKS["token_cnn"], "domain_adaptation/dann"),
  }
  times_of = against_torch(options, "alignment", cases)
  section = "step of domain adaptation, PyTorch's time over ours"
  return [_row(section, name, times, options.steps, None) for name, times in times_of.items()]


def frozen(options: Options) -> list[Row]:
  """Measures a step with a frozen extractor, and one on features computed once, against a full step."""
  rows: list[Row] = []
  for name in ("token_cnn", "tcn", "cnn_bilstm"):
    model = NETWORKS[name]
    cases = {
      "full": Case(model),
      "frozen": Case(model, freeze=("f",)),
      "cached": Case(model, freeze=("f",), cached=True),
    }
    calls = {label: our_call(ours(case, options.steps)) for label, case in cases.items()}
    times = timing.in_turns(calls, options.turns, f"frozen: {name}")
    ms = {label: 1e3 * timing.median(seconds) / options.steps for label, seconds in times.items()}
    section = "step with a frozen extractor over a full step"
    for label, target in (("frozen", 0.5), ("cached", 0.05)):
      what = "features computed once" if label == "cached" else "extractor computed, not trained"
      detail = f"{ms[label]:.2f} of {ms['full']:.2f} ms"
      rows.append(
        Row(
          section=section,
          name=f"{name}, {what}",
          value=timing.ratio(times[label], times["full"]),
          unit="×",
          target=target,
          at_least=False,
          detail=detail,
        )
      )
  return rows


def flops(case: Case) -> tuple[float, float]:
  """Returns operations and bytes of a step, as XLA counts them in the compiled program."""
  training = ours(case, 1)
  one = jax.tree.map(lambda array: array[0], training.stack)
  compiled = jax.jit(training.trainer.step).lower(training.state, one, jax.random.key(0)).compile()
  analysis = compiled.cost_analysis()
  assert analysis is not None
  return float(analysis["flops"]), float(analysis["bytes accessed"])


def matmul_rate(options: Options, sizes: Sequence[tuple[int, int, int]]) -> float:
  """Measures the machine's best rate of matrix products.

  Args:
    options: of the measurement.
    sizes: (m, k, n) of products of (m, k) and (k, n) matrices.

  Returns:
    The rate [operations/s].
  """
  rates = []
  for m, k, n in sizes:
    a, b = (jax.random.normal(jax.random.key(0), shape) for shape in ((m, k), (k, n)))
    multiply = jax.jit(jnp.matmul)
    times = timing.in_turns(
      {"product": functools.partial(multiply, a, b)}, max(options.turns, 5), f"product {m}×{k}×{n}"
    )
    rates.append(2 * m * k * n / min(times["product"]))
  return max(rates)


def memory_rate(options: Options, count: int = 1 << 26, repeats: int = 8) -> float:
  """Measures the rate at which `x + 1` reads and writes an array larger than any cache.

  Args:
    options: of the measurement.
    count: number of float32 values.
    repeats: of the sum in one call.

  Returns:
    The rate [bytes/s].
  """
  add = jax.jit(lambda x: jax.lax.fori_loop(0, repeats, lambda _, x: x + 1, x), donate_argnums=0)
  x = jnp.zeros(count)

  def call() -> jax.Array:
    nonlocal x
    x = add(x)  # in place, since new pages would take time too
    return x

  times = timing.in_turns({"sum": call}, max(options.turns, 5), "memory")
  return 2 * repeats * x.nbytes / min(times["sum"])


def rate(options: Options) -> list[Row]:
  """Measures the share of the matrix-product rate that training steps reach, and their memory traffic."""
  on_cpu = jax.default_backend() == "cpu"
  squares = _SQUARES if on_cpu else _SQUARES + _LARGER_SQUARES
  peak, memory = matmul_rate(options, squares), memory_rate(options)
  section = "operations a second of a step over those of a matrix product"
  token = NETWORKS["token_cnn"]
  own = (BATCH * SAMPLES // token.patch, token.kernel * token.channels, token.channels)
  small = matmul_rate(options, [own])
  rows = [
    Row(section=section, name=f"matrix product, the best of {len(squares)} sizes", value=peak / 1e9, unit="GFLOP/s"),
    Row(section=section, name="memory, read and written", value=memory / 1e9, unit="GB/s"),
    Row(
      section=section, name=f"product of token_cnn's own size, {'×'.join(map(str, own))}", value=small / peak, unit="×"
    ),
  ]
  cases = {name: Case(model) for name, model in NETWORKS.items()}
  if not on_cpu:  # batches of 32 leave an accelerator idle
    cases |= {f"{name}, {_LARGE} windows": Case(model, batch=_LARGE) for name, model in NETWORKS.items()}
  for name, case in cases.items():
    count = max(options.steps * BATCH // case.batch, 1)
    times = timing.in_turns({name: our_call(ours(case, count))}, options.turns, f"rate: {name}")
    operations, moved = flops(case)
    seconds = timing.median(times[name]) / count
    detail = (
      f"{operations / 1e9:.3f} GFLOP and {moved / 1e6:.0f} MB in {1e3 * seconds:.2f} ms, "
      f"{moved / seconds / memory:.2f} of the memory's rate"
    )
    rows.append(
      Row(
        section=section,
        name=name,
        value=operations / seconds / peak,
        unit="×",
        target=0.5,
        at_least=True,
        detail=detail,
      )
    )
  return rows
