"""Measures what bfloat16 costs in accuracy and saves in time on this device."""

import dataclasses
import statistics

import jax
import numpy as np

from cap_jax import config
from cap_jax.inference import pretrained
from cap_jax.train import prediction
from experiments.benchmarks import cases, held_out, timing
from experiments.benchmarks.timing import Options, Row

_STEPS, _SEEDS = 1200, (0, 1, 2)


def _rounding(there: held_out.HeldOut) -> Row:
  """Measures the error from rounding in float32 products: small on a CPU, larger on a GPU, which rounds factors to
  TF32."""
  trained = pretrained.load()
  inner = slice(there.windows.margin, there.windows.samples - there.windows.margin)

  def rmse(precision: str) -> float:
    jax.clear_caches()
    with jax.default_matmul_precision(precision):
      reconstructed_bt = prediction.predict(trained, there.pairs)
    return float(np.sqrt(np.square(reconstructed_bt - there.pairs.y_bt)[:, inner].mean()))

  as_is, exact = rmse("default"), rmse("highest")
  detail = f"{as_is:.5f} mmHg with the default matmul precision, {exact:.5f} mmHg with the highest"
  return Row(
    section="float32 products",
    name="increase of waveform RMSE by default rounding, packaged network",
    value=as_is - exact,
    unit="mmHg",
    detail=detail,
  )


def rows(options: Options) -> list[Row]:
  """Compares the same training in both precisions, and the time of a step."""
  there = held_out.load(options)
  whole, section = cases.NETWORKS["token_cnn"], "bfloat16 with parameters in float32"
  half = dataclasses.replace(whole, precision="bfloat16")
  error = {
    name: [
      held_out.here(there, model, config.Training(optimizer="muon", steps=_STEPS, seed=seed)).rmse_mmhg
      for seed in _SEEDS
    ]
    for name, model in (("float32", whole), ("bfloat16", half))
  }
  added = [b - a for a, b in zip(error["float32"], error["bfloat16"], strict=True)]
  calls = {model.precision: cases.our_call(cases.ours(cases.Case(model), options.steps)) for model in (whole, half)}
  times = timing.in_turns(calls, options.turns, "precision")
  errors_text = ", ".join(f"{name} {statistics.mean(values):.3f}" for name, values in error.items())
  spread = f"{min(added):+.3f} to {max(added):+.3f} over {len(_SEEDS)} seeds"
  ms = ", ".join(f"{name} {1e3 * timing.median(values) / options.steps:.2f} ms" for name, values in times.items())
  return [
    Row(
      section=section,
      name=f"increase of waveform RMSE after {_STEPS} steps",
      value=statistics.mean(added),
      unit="mmHg",
      detail=f"{errors_text} mmHg; {spread}",
    ),
    Row(
      section=section,
      name="step over one in float32",
      value=timing.ratio(times["bfloat16"], times["float32"]),
      unit="×",
      detail=ms,
    ),
    _rounding(there),
  ]
