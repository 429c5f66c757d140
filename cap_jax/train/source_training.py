"""The training of a source network on its task."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from cap_jax import config
from cap_jax.data import batches, scalings, splits
from cap_jax.data import stream as streaming
from cap_jax.losses import tasks, terms, waveform
from cap_jax.models import net as nets
from cap_jax.strategies import pretraining
from cap_jax.train import checkpoint, collapse, domains, loop, prediction
from cap_jax.types import InputError, LossFn

_MODEL, _SPEC, _SIGNALS = config.Model(), config.Training(learning_rate=2e-2), config.Signals()


def pretrain(
  training: batches.Pairs | streaming.Stream,
  validation: batches.Pairs,
  task: str = "waveform",
  model: config.Model = _MODEL,
  spec: config.Training = _SPEC,
  signals: config.Signals = _SIGNALS,
  origin: Mapping[str, Any] = MappingProxyType({}),
  recorder: loop.Recorder = loop.NOWHERE,
) -> tuple[checkpoint.Checkpoint, loop.FitResult]:
  """Trains a source network on its task. The checkpoint records its validation error.

  Args:
    training: windows in memory, or streamed from a store.
    validation: windows of other subjects.
    task: name in `tasks.TASKS`.
    model: the network; the task chooses its head.
    spec: steps, batch, rates and seed.
    signals: kind of the windows.
    origin: provenance of the data, for the checkpoint.
    recorder: where its states and metrics go.

  Returns:
    The checkpoint, and the result of the training.

  Raises:
    splits.LeakError: a subject is in both training and validation.
    InputError: `spec` wants the RMSE of a task that is no wave.
  """
  splits.Split({"training": training.subjects, "validation": validation.subjects})
  of_task = tasks.TASKS[task]
  model = of_task.model(model)
  numerics = of_task.numerics or ()
  scaling = scalings.fit(training, (*model.covariates, *numerics), signals.unitless, model.reads_context)
  nets.check(model, signals.windows)
  net = nets.make_net(model)
  source_loss = of_task.make_loss(net, signals.windows.margin)
  trained_loss = _trained_loss(net, signals.windows.margin, task, spec.loss)
  loss = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, trained_loss, trained_loss))
  fresh = net.init(jax.random.key(spec.seed), signals.windows.samples)
  plans = loop.plan_stages(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  stream, subjects = _source_stream(training, scaling, model, numerics)
  watch = loop.Watch("pre-training", subjects=subjects, recorder=recorder)
  fitted = loop.fit(net, loss, plans, fresh, {"source": stream}, spec, watch)
  validation_arrays = domains.arrays(scaling, validation, model, numerics)
  error = prediction.evaluate(source_loss, fitted.params, validation_arrays)
  flat = collapse.warning(net, fitted.params, validation_arrays) if of_task.numerics is None else ""
  about = {
    **origin,
    "source_subjects": len(training.subjects),
    "steps": spec.steps,
    **_validation_error(error, scaling, task),
    "train_s": round(fitted.train_s, 1),
    **({"warning": flat} if flat else {}),
  }
  source = checkpoint.Checkpoint(
    params=fitted.params, model=model, scaling=scaling, signals=signals, task=task, about=about,
    seen_subject_hashes=checkpoint.digests_of(training.subjects, validation.subjects),
  )  # fmt: skip
  return source, fitted


def _source_stream(
  training: batches.Pairs | streaming.Stream, scaling: scalings.Scaling, model: config.Model, numerics: Sequence[str]
) -> tuple[batches.Stream, dict[str, np.ndarray]]:
  """Returns the scaled windows of the source, and whose they are where they lie in memory."""
  if isinstance(training, batches.Pairs):
    return domains.arrays(scaling, training, model, numerics), {"source": training.subject_b}
  return streaming.Scaled(training, scaling, model.covariates, numerics), {}


def _trained_loss(net: nets.Net, margin: int, task: str, loss: str) -> LossFn:
  """Returns the loss of a pre-training.

  Raises:
    InputError: it is the RMSE of a task that is no wave.
  """
  make = tasks.TASKS[task].make_loss
  if loss == "mse":
    return make(net, margin)
  if make is not waveform.make_waveform:
    raise InputError(f"Training.loss={loss}: is the error of a wave, but the task is {task}; use mse")
  return waveform.make_rmse(net, margin)


def outputs_pressure(scaling: scalings.Scaling, task: str) -> bool:
  """Returns whether a network learns a pressure, not the PPG that it reads.

  Args:
    scaling: scaling of its windows.
    task: name in `tasks.TASKS`.
  """
  return not scaling.unitless or tasks.TASKS[task].reference is not None


def _validation_error(error: float, scaling: scalings.Scaling, task: str) -> dict[str, float]:
  """Returns the error of a source network under a name with its unit; standardised numerics count like pressures."""
  if outputs_pressure(scaling, task):
    return {"validation_rmse_mmhg": round(scaling.sd_mmhg * error, 3)}
  return {"validation_rmse_sd": round(error, 3)}
