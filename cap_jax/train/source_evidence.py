"""How much the labelled subjects of a target speak for the system of the source,

    λ = min(1, max(q₉₅(e_s), e_f)² / mean e_t²)

e_t is the RMSE of the source network on a labelled target subject, e_s that on a subject of the source whose windows
were recorded through the target's transducers, and e_f what the best linear filter of the labelled subjects leaves of
their waves. A target of the same system errs like some of the source's own subjects, λ = 1. Other people than the source's
err more, but a linear filter explains them no better than the network; in another system it does. There, the source's
windows are samples whose error has the variance mean e_t²; least squares weighs samples by the inverse of their
variance, so methods that rehearse the source multiply its loss by λ.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from cap_jax.data import batches
from cap_jax.strategies import transducer_response
from cap_jax.train import checkpoint, domains, filter_blend, prediction
from cap_jax.types import UnfitError

QUANTILE = 0.95
VALIDATION_RMSE = "validation_rmse_mmhg"  # in what a network says of its training
_TAIL = 2.0  # of the RMSEs of subjects, their 95 % quantile over their root mean square; 1.7 to 1.9 for the packaged radial network
_MOST, _MOST_LABELLED = 512, 128  # windows of the source, and of the labelled subjects for the filter


class SourceEvidence(NamedTuple):
  """The evidence for the system of the source.

  Attributes:
    weight: λ.
    target_mmhg: √(mean e_t²) [mmHg].
    source_mmhg: q₉₅(e_s) [mmHg].
    filter_mmhg: e_f [mmHg]; 0 without a filter.
  """

  weight: float = 1.0
  target_mmhg: float = float("nan")
  source_mmhg: float = float("nan")
  filter_mmhg: float = 0.0

  def __str__(self) -> str:
    if self.weight == 1:
      return ""
    return (
      f"the source counts {self.weight:.2g}: its network errs by {self.target_mmhg:.1f} mmHg on the labelled subjects, but by at most "
      f"{self.source_mmhg:.1f} on {100 * QUANTILE:.0f} % of its own, and a linear filter by {self.filter_mmhg:.1f}"
    )


def assess(
  network: checkpoint.Checkpoint, people: batches.Pairs | None, there: checkpoint.Checkpoint, labelled: batches.Pairs
) -> SourceEvidence:
  """Computes λ.

  Args:
    network: the source network.
    people: windows of the source, which the source network reads; some of them are used. None for none: then q₉₅(e_s) is taken to
      be twice the RMSE on the validation subjects, which the network knows of its training.
    there: the source network in the context of the target's clinic.
    labelled: windows of the labelled target subjects.
  """
  target = float(np.sqrt(np.square(_errors(there, labelled, np.arange(len(labelled.x_bt)))).mean()))
  if people is None:
    source = _TAIL * float(network.about[VALIDATION_RMSE])
  else:
    rows = np.unique(np.linspace(0, len(people.x_bt) - 1, min(_MOST, len(people.x_bt))).astype(int))
    source = float(np.quantile(_errors(network, people, rows), QUANTILE))
  linear = 0.0 if network.scaling.unitless else _filter_error(labelled, network)
  return SourceEvidence(min(1.0, (max(source, linear) / max(target, 1e-6)) ** 2), target, source, linear)


def _errors(network: checkpoint.Checkpoint, windows: batches.Pairs, rows: np.ndarray) -> np.ndarray:
  """Returns the RMSE of a network on each subject of some windows [mmHg], all of which show their clinics."""
  some = windows.at(rows)
  square_b = prediction.square_error(prediction.predict(network, windows, rows), some, network.windows)
  return np.array(list(prediction.rmse_of_each(square_b, some.subject_b).values()))


def _filter_error(labelled: batches.Pairs, network: checkpoint.Checkpoint) -> float:
  """Returns e_f [mmHg]; 0 if no filter is stable."""
  rows = np.unique(np.linspace(0, len(labelled.x_bt) - 1, min(_MOST_LABELLED, len(labelled.x_bt))).astype(int))
  some = labelled.at(rows)
  try:
    own = filter_blend.fit_filter(some, network.windows)
  except UnfitError:
    return 0.0
  return float(np.sqrt(prediction.square_error(own.predict(some.x_bt), some, network.windows).mean()))


def assess_clinic(
  source: checkpoint.Checkpoint,
  data: domains.Data,
  people: batches.Pairs | None,
  labelled: batches.Pairs,
  transducers: transducer_response.TransducerMixture | None,
  seed: int,
) -> SourceEvidence:
  """Returns the evidence that the labelled subjects are of the system of the source.

  Args:
    source: the source network.
    data: windows of the target, which show its clinic to a network that reads the context.
    people: windows of the source; None for none.
    labelled: windows of the labelled subjects.
    transducers: those of the target, through which the people are recorded; None for people as they are.
    seed: draws a transducer for each window.
  """
  clinic = data.unlabelled if data.unlabelled is not None else labelled
  there = dataclasses.replace(source, scaling=source.scaling.at_clinic(clinic))
  if people is None or transducers is None or not transducers.has_transducers:
    elsewhere = dataclasses.replace(source, scaling=source.scaling.without_clinic())
    return assess(elsewhere, people, there, labelled)
  people = domains.simulate_recording(transducers, people, source.scaling, source.windows.fs_hz, seed)
  return assess(there, people, there, labelled)
