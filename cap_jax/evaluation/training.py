"""Networks of source and target with what they know of their own errors: a training, then its calibration."""

import dataclasses

from cap_jax import config
from cap_jax.evaluation import study_data
from cap_jax.inference import uncertainty
from cap_jax.train import checkpoint, loop, runs
from cap_jax.types import Params

OF_SOURCE, OF_TARGET = "validation subjects of the source", "validation subjects of the target"


def source_network(study: config.Study, source: study_data.Source) -> tuple[checkpoint.Checkpoint, loop.Fitted]:
  """The source network on its task; where that is the wave, with σ fitted on its training and intervals calibrated on its validation
  subjects.

  Raises:
    splits.LeakError: a subject stands in both.
  """
  trained, fitted = runs.pretrain(study, source.training, source.validation, source.origin)
  if trained.task != "waveform":
    return trained, fitted
  head = uncertainty.fit_head(trained, source.held)
  return calibrated(trained, head, source, None), fitted


def calibrated(
  network: checkpoint.Checkpoint, head: Params | None, source: study_data.Source, target: study_data.Target | None
) -> checkpoint.Checkpoint:
  """A network with its intervals: calibrated on validation subjects of the target, or where it may see no target label on those of
  the source."""
  if target is None:
    return uncertainty.equip(network, head, source.held, source.validation, OF_SOURCE, adapted=False)
  return uncertainty.equip(network, head, target.unlabelled, target.validation, OF_TARGET)


def adapted(
  study: config.Study, name: str, trained: checkpoint.Checkpoint, source: study_data.Source,
  target: study_data.Target, n_target: int, seed: int,
) -> runs.Adapted:  # fmt: skip
  """The training of a strategy with `n_target` labelled subjects; its network knows nothing of its own errors.

  Raises:
    surgery.MergeError: the networks do not fit together as the strategy asks.
    splits.LeakError: a subject stands in two parts of the data.
  """
  data = target.data(source, n_target, seed)
  return runs.adapt(study, name, trained, data, seed, study_data.target_site(study), target.validation)


def with_intervals(
  made: runs.Adapted, trained: checkpoint.Checkpoint, source: study_data.Source, target: study_data.Target,
  n_target: int,
) -> runs.Adapted:  # fmt: skip
  """What a strategy made of the source network `trained`, its network with intervals."""
  # σ comes with the features, where all of them were taken, to a head of the same kind
  own = [leaf for leaf in made.report if leaf.path.startswith("f/")]
  fits = all(leaf.fate == "taken" for leaf in own) and made.checkpoint.net.r == trained.net.r
  head = trained.doubt.head if trained.doubt is not None and fits else None
  if made.clinic is not None and made.clinic.found:
    network, fs_hz = made.checkpoint, made.checkpoint.windows.fs_hz
    sent = [runs.recorded(made.clinic, part, network.scaling, fs_hz, 0) for part in (source.held, source.validation)]
    source = dataclasses.replace(source, training=sent[0], validation=sent[1])
  network = calibrated(made.checkpoint, head, source, target if n_target else None)
  return dataclasses.replace(made, checkpoint=network)
