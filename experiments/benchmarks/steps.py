"""Measures a training step: networks against PyTorch, frozen and cached extractors, alignment of domains, machine
rates."""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from cap_jax.types import InputError
from experiments.benchmarks import cases, timing
from experiments.benchmarks.timing import Options, Row

_LARGE = 2048
_AGREE = 1e-4
_SQUARES = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048))
_LARGER_SQUARES = ((4096, 4096, 4096), (8192, 8192, 8192))  # on an accelerator


def against_torch(options: Options, name: str, trainings: Mapping[str, cases.Case]) -> dict[str, timing.Times]:
  """Measures chunks of this project and of PyTorch in turns.

  Args:
    options: of the measurement.
    name: of the progress bar.
    trainings: label → training.

  Returns:
    Label → times of a chunk, ours and PyTorch's at each number of threads.

  Raises:
    ModuleNotFoundError: PyTorch is not installed.
    InputError: the outputs of a network differ between PyTorch and this project.
  """
  from experiments.benchmarks import torch_networks, torch_steps  # only these sections need PyTorch

  times_of = {}
  for label, case in trainings.items():
    training, stack = cases.ours(case, options.steps), cases.batch_of(case, options.steps)
    samples = next(iter(stack.values()))["x"].shape[-1]
    apart = torch_networks.agree(case.model, training.params, samples)
    if not apart < _AGREE:
      raise InputError(
        f"{label}: the output of the PyTorch network differs from ours by {apart:.2g}; the networks must be equal"
      )
    calls = {"ours": cases.our_call(training)}
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
  trainings = {name: cases.Case(model) for name, model in cases.NETWORKS.items()} | {
    "small (two dense layers)": cases.Case(cases.SMALL)
  }
  times_of = against_torch(options, "steps", trainings)
  return [
    _row(section, name, times, options.steps, 10.0 if trainings[name].model is cases.SMALL else 1.0)
    for name, times in times_of.items()
  ]


def alignment(options: Options) -> list[Row]:
  """Measures steps with MMD and DANN between the domains against TLlib's formulas in PyTorch."""
  trainings = {
    "MMD": cases.Case(cases.NETWORKS["token_cnn"], "domain_adaptation/mmd"),
    "DANN": cases.Case(cases.NETWORKS["token_cnn"], "domain_adaptation/dann"),
  }
  times_of = against_torch(options, "alignment", trainings)
  section = "step of domain adaptation, PyTorch's time over ours"
  return [_row(section, name, times, options.steps, None) for name, times in times_of.items()]


def frozen(options: Options) -> list[Row]:
  """Measures a step with a frozen extractor, and one on features computed once, against a full step."""
  rows: list[Row] = []
  for name in ("token_cnn", "tcn", "cnn_bilstm"):
    model = cases.NETWORKS[name]
    trainings = {
      "full": cases.Case(model),
      "frozen": cases.Case(model, freeze=("f",)),
      "cached": cases.Case(model, freeze=("f",), cached=True),
    }
    calls = {label: cases.our_call(cases.ours(case, options.steps)) for label, case in trainings.items()}
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


def flops(case: cases.Case) -> tuple[float, float]:
  """Returns operations and bytes of a step, as XLA counts them in the compiled program."""
  training = cases.ours(case, 1)
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
  section = "operations per second of a step over those of a matrix product"
  token = cases.NETWORKS["token_cnn"]
  own = (cases.BATCH * cases.SAMPLES // token.patch, token.kernel * token.channels, token.channels)
  small = matmul_rate(options, [own])
  rows = [
    Row(section=section, name=f"matrix product, best of {len(squares)} sizes", value=peak / 1e9, unit="GFLOP/s"),
    Row(section=section, name="memory, read and written", value=memory / 1e9, unit="GB/s"),
    Row(
      section=section, name=f"product of token_cnn's own size, {'×'.join(map(str, own))}", value=small / peak, unit="×"
    ),
  ]
  trainings = {name: cases.Case(model) for name, model in cases.NETWORKS.items()}
  if not on_cpu:  # batches of 32 leave an accelerator idle
    trainings |= {
      f"{name}, {_LARGE} windows": cases.Case(model, batch=_LARGE) for name, model in cases.NETWORKS.items()
    }
  for name, case in trainings.items():
    count = max(options.steps * cases.BATCH // case.batch, 1)
    times = timing.in_turns({name: cases.our_call(cases.ours(case, count))}, options.turns, f"rate: {name}")
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
