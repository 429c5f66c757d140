"""Trains on exactly measured virtual subjects of 25 to 80 years, and evaluates on held-out ones."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from cap_jax import config
from cap_jax.data import batches, scalings
from cap_jax.losses import tasks, terms
from cap_jax.models import net as nets
from cap_jax.strategies import pretraining
from cap_jax.study import study_config, study_datasets
from cap_jax.train import domains, loop, prediction, step
from experiments.benchmarks.timing import Options


class Trained(NamedTuple):
  """A finished training.

  Attributes:
    seconds: of the training.
    rmse_mmhg: error of the network on held-out subjects.
  """

  seconds: float
  rmse_mmhg: float


class HeldOut(NamedTuple):
  """The data of the trainings.

  Attributes:
    study: whose clinic this is.
    scaling: of the windows.
    training: array name → scaled training windows.
    pairs: held-out subjects for the evaluation.
  """

  study: study_config.Study
  scaling: scalings.Scaling
  training: dict[str, np.ndarray]
  pairs: batches.Pairs

  @property
  def windows(self) -> config.Windows:
    return self.study.windows


def load(options: Options) -> HeldOut:
  """Returns the data."""
  study = study_config.Study(source="exact", source_subjects=options.subjects, validation_subjects=100)
  source = study_datasets.load_source(study)
  assert isinstance(source.training, batches.Pairs)
  scaling = scalings.fit(source.training)
  return HeldOut(study, scaling, domains.arrays(scaling, source.training, study.model), source.validation)


def error(there: HeldOut, apply: Callable[[np.ndarray], np.ndarray]) -> float:
  """Returns the error on the held-out subjects.

  Args:
    there: the data.
    apply: scaled peripheral windows (window, time) → scaled aortic windows.

  Returns:
    Mean over subjects of the RMSE of their windows without margins [mmHg].
  """
  inner = slice(there.windows.margin, there.windows.samples - there.windows.margin)
  reconstructed_bt = there.scaling.unscale(apply(there.scaling.scale(there.pairs.x_bt)))
  square_b = np.square(reconstructed_bt - there.pairs.y_bt)[:, inner].mean(1)
  names, subject_b = np.unique(there.pairs.subject_b, return_inverse=True)
  return float(np.sqrt(np.bincount(subject_b, square_b) / np.bincount(subject_b)).sum() / len(names))


def stacks(there: HeldOut, batch: int, count: int) -> Any:
  """Returns the batches of a training, `config.CHUNK` of them stacked.

  Args:
    there: the data.
    batch: windows of a batch.
    count: number of batches.

  Returns:
    An iterator of stacks.
  """
  return batches.stacks({"source": there.training}, batch, count, config.CHUNK, 0)


def here(there: HeldOut, model: config.Model, spec: config.Training) -> Trained:
  """Trains with this project, compilation included.

  Args:
    there: the data.
    model: of the network.
    spec: of the training.

  Returns:
    Seconds and error.
  """
  jax.clear_caches()
  step.make_trainer.cache_clear()
  net = nets.make_net(model)
  began = time.perf_counter()
  loss = tasks.TASKS["waveform"].make_loss(net, there.windows.margin)
  total = terms.make_total(pretraining.STRATEGY.loss, "sum", terms.Context(net, loss, loss))
  fresh = net.init(jax.random.key(spec.seed), there.windows.samples)
  plans = loop.plan_stages(pretraining.STRATEGY, spec.steps, spec.learning_rate, [()], ())
  fitted = loop.fit(net, total, plans, fresh, {"source": there.training}, spec, loop.Watch("accuracy"))
  seconds = time.perf_counter() - began
  no_covariate = np.zeros((len(there.pairs.x_bt), 0), np.float32)
  return Trained(seconds, error(there, lambda x_bt: prediction.apply(net, fitted.params, x_bt, no_covariate)))
