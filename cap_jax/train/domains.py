"""The windows of source and target that a strategy may use, and what of them it is fed."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cap_jax import config
from cap_jax.data import batches, scalings, splits
from cap_jax.losses import tasks
from cap_jax.strategies import domain_distance, importance, transducer_response
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import checkpoint, prediction
from cap_jax.types import InputError

_DESCRIPTIONS = {
  "source": "windows of the source",
  "unlabelled": "unlabelled windows of the target",
  "labelled": "windows of labelled target subjects",
}


@dataclasses.dataclass(frozen=True)
class Data:
  """The windows that a strategy may use.

  Attributes:
    source: windows of the source, for strategies that read them.
    unlabelled: peripheral windows of the target, for strategies that read them.
    labelled: windows of the labelled target subjects, for strategies that read them.
    validation: target windows on which the training is monitored; they choose nothing but `Adapted.best`.
    site: where the target measures.
  """

  source: batches.Pairs | None = None
  unlabelled: batches.Waves | None = None
  labelled: batches.Pairs | None = None
  validation: batches.Pairs | None = None
  site: str = "radial"

  @property
  def n_target(self) -> int:
    """The number of labelled target subjects."""
    return len(self.labelled.subjects) if self.labelled is not None else 0

  def needed(self, part: str, by: str) -> Any:
    """Returns windows that must be present.

    Args:
      part: name of the field.
      by: what reads the windows, for the error.

    Raises:
      InputError: there are none.
    """
    windows = getattr(self, part)
    if windows is None:
      raise InputError(f"{by}: needs {_DESCRIPTIONS[part]}; pass {part}=")
    return windows


def check_apart(data: Data) -> None:
  """Checks that no subject is in two parts. A labelled subject's waves may also serve as unlabelled ones.

  Args:
    data: windows of both domains.

  Raises:
    splits.LeakError: a subject is both of the source and of the target, or both used for training and validated on.
  """
  target = [name for part in (data.unlabelled, data.labelled) if part is not None for name in part.subjects]
  subjects = {"source": data.source.subjects if data.source is not None else (), "target": tuple(dict.fromkeys(target))}
  if data.validation is not None:
    subjects["validation"] = data.validation.subjects
  splits.Split(subjects)


def hash_seen_subjects(data: Data) -> tuple[str, ...]:
  """Returns the hashes of all subjects in the data, which a checkpoint keeps.

  Args:
    data: windows of both domains.
  """
  windows = (data.source, data.unlabelled, data.labelled, data.validation)
  return checkpoint.digests_of(*(part.subjects for part in windows if part is not None))


def arrays(
  scaling: scalings.Scaling, windows: batches.Pairs | batches.Waves, model: config.Model, numerics: Sequence[str] = (),
  of_target: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
  """Returns a stream of a batch: "x", "c", and "y", "m" where there is a reference, all scaled.

  Args:
    scaling: scaling of the windows.
    windows: the windows.
    model: network whose covariates are read.
    numerics: names of the numbers that the task learns.
    of_target: whether these are the labelled windows of the target, whose labels are context of each other.
  """
  if of_target and isinstance(windows, batches.Pairs) and model.reads_context:
    inputs = scaling.labelled_inputs(windows, model)
  else:
    inputs = scaling.inputs(windows, model)
  stream = dict(zip(("x", "c"), inputs, strict=True))
  if isinstance(windows, batches.Pairs):
    stream["y"] = scaling.scale(windows.y_bt)
    stream["m"] = scaling.standardise(windows.covariates, numerics, len(windows.x_bt))
  return stream


def streams(
  strategy: Strategy,
  data: Data,
  scaling: scalings.Scaling,
  model: config.Model,
  source: checkpoint.Checkpoint,
  seed: int,
) -> tuple[dict[str, dict[str, np.ndarray]], transducer_response.TransducerMixture | None]:
  """Returns exactly the streams that a strategy reads, and the target's transducers where it requires them.

  Args:
    strategy: how to transfer.
    data: windows of both domains.
    scaling: scaling of the target network.
    model: config of the target network.
    source: the source network.
    seed: seed of the simulated transducers.

  Raises:
    InputError: the strategy reads windows that are missing.
  """
  by = f"strategy {strategy.name}"
  scaled: dict[str, dict[str, np.ndarray]] = {}
  transducers = None
  if "target" in strategy.streams:
    scaled["target"] = arrays(scaling, data.needed("labelled", by), model, of_target=True)
  if "unlabelled" in strategy.streams:
    scaled["unlabelled"] = arrays(scaling, data.needed("unlabelled", by), model)
  if "source" in strategy.streams:
    numerics = tasks.TASKS[source.task].numerics or ()
    people = data.needed("source", by)
    if strategy.transducer:
      transducers = transducers_of(data, scaling, source.windows.fs_hz, by)
    if transducers is None or not transducers.has_transducers:
      scaled["source"] = arrays(scaling.without_clinic(), people, model, numerics)  # the target's clinic is not theirs
    else:
      recorded = simulate_recording(transducers, people, scaling, source.windows.fs_hz, seed)
      scaled["source"] = arrays(scaling, recorded, model, numerics)
      scaled["source"]["x"] = _simulate_scaled(transducers, people, scaling, source.windows.fs_hz, seed)
    if strategy.reweigh:
      scaled["source"]["w"] = importance.weights(
        scaling.scale_input(people.x_bt), scaling.scale_input(data.needed("unlabelled", by).x_bt)
      )
  return scaled, transducers


def transducers_of(
  data: Data, scaling: scalings.Scaling, fs_hz: float, by: str
) -> transducer_response.TransducerMixture:
  """Estimates the transducers of the target from its unlabelled waves and those of the source.

  Args:
    data: windows of both domains.
    scaling: scaling of the windows.
    fs_hz: sampling rate [Hz] of the windows.
    by: what requires the transducers, for the error.

  Returns:
    The mixture of transducers, or that there is none.

  Raises:
    InputError: one of the two domains has no windows.
  """
  return _fit_transducers(data.needed("source", by), data.needed("unlabelled", by), scaling, fs_hz, data.site)


# cached: the clinic is the same for each number of labels, strategy and fold
@functools.lru_cache(4)
def _fit_transducers(
  source: batches.Pairs, unlabelled: batches.Waves, scaling: scalings.Scaling, fs_hz: float, site: str
) -> transducer_response.TransducerMixture:
  source_bt, target_bt = scaling.scale_input(source.x_bt), scaling.scale_input(unlabelled.x_bt)
  return transducer_response.fit(source_bt, source.subject_b, target_bt, unlabelled.subject_b, fs_hz, site)


@functools.lru_cache(4)
def _simulate_scaled(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: scalings.Scaling,
  fs_hz: float,
  seed: int,
) -> np.ndarray:
  """Simulates scaled windows (window, time) as recorded through a clinic's transducers."""
  return transducer_response.apply(transducers, scaling.scale_input(windows.x_bt), fs_hz, seed)


def simulate_recording(
  transducers: transducer_response.TransducerMixture,
  windows: batches.Pairs,
  scaling: scalings.Scaling,
  fs_hz: float,
  seed: int,
) -> batches.Pairs:
  """Returns windows of the source as the target clinic would have recorded them.

  Args:
    transducers: those of the clinic.
    windows: windows of the source.
    scaling: scaling of the windows.
    fs_hz: sampling rate [Hz] of the windows.
    seed: draws a transducer for each window, and the noise.
  """
  if not transducers.has_transducers:
    return windows
  return dataclasses.replace(
    windows, x_bt=scaling.unscale(_simulate_scaled(transducers, windows, scaling, fs_hz, seed))
  )


def distance(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Returns the proxy A-distance between pooled features of source and target, without labels.

  Args:
    trained: the network.
    data: windows of both domains.

  Raises:
    InputError: one of the two domains has no windows.
  """
  (h_s, subject_s), (h_t, subject_t) = (
    prediction.pooled(trained, data.needed("source", "the distance of the domains"), False),
    prediction.pooled(trained, data.needed("unlabelled", "the distance of the domains"), True),
  )
  return domain_distance.proxy_a_distance(h_s, h_t, subject_s, subject_t)


def distance_if_known(trained: checkpoint.Checkpoint, data: Data) -> float:
  """Returns `distance`, from the labelled subjects' waves without others; NaN if a domain has fewer than two subjects.

  Args:
    trained: the network.
    data: windows of both domains.
  """
  if data.unlabelled is None and data.labelled is not None:
    data = dataclasses.replace(data, unlabelled=data.labelled.unlabelled())
  domains = (data.source, data.unlabelled)
  enough = all(part is not None and len(part.subjects) > 1 for part in domains)
  return distance(trained, data) if enough else math.nan
