"""The figures of a network's model card: its errors and intervals in each test condition, alone and in its clinic."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from cap_jax.data import batches, datasets
from cap_jax.data.sources import mcl, nonlinear, virtual
from cap_jax.inference import uncertainty
from cap_jax.metrics import agreement, waveform_metrics
from cap_jax.study import own_data
from cap_jax.train import checkpoint

# Conditions in silico: name of the clinic → what it is.
PRESSURE = {
  "exact": "subjects of the reference cohort, measured exactly",
  "reference": "subjects of the reference cohort, with 0.5 mmHg of noise",
  "population": "hypertensive people of 60 to 80 years",
  "device": "healthy people, all through one under-damped transducer of 9 Hz",
  "device_population": "hypertensive people, all through that transducer",
  "subject_device": "hypertensive people, each through a different transducer, zero ± 2 mmHg, gain ± 2 %",
  "clinic": "people on a ward: transducers, flushes, motion, ectopic beats",
  "cuff": "people by tonometer, scaled by a cuff with its errors",
}
PPG = {
  "reference": "subjects of the reference cohort",
  "population": "hypertensive people of 60 to 80 years",
  "clinic": "people on a ward: ectopic beats, vasodilation",
}
AROUND, SECONDS = 100, 20
_TESTED, _SEED = 60, 77


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardErrors:
  """A network in one condition, read in one way.

  Attributes:
    rmse: of the waveform, mean over subjects with its bootstrap interval [mmHg].
    wave, csbp: share of the wave, and of the beats' cSBP, inside the 90 % intervals, means over subjects.
    half_width_mmhg: half the mean width of the wave's interval [mmHg].
    flagged: share of the windows out of distribution.
  """

  rmse: agreement.Interval
  wave: float
  csbp: float
  half_width_mmhg: float
  flagged: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardRow:
  """A row of the card.

  Attributes:
    name: of the clinic or data set.
    text: what it is.
    place: one of `datasets.PLACES`.
    subjects: number of the tested.
    peripheral_mmhg: RMSE of the unchanged peripheral wave; NaN for a wave without a unit.
    alone: each record read as if nobody knew its clinic.
    in_clinic: read with the context of 100 other records of the clinic; None where there are none.
  """

  name: str
  text: str
  place: str
  subjects: int
  peripheral_mmhg: float
  alone: CardErrors
  in_clinic: CardErrors | None


def conditions(trained: checkpoint.Checkpoint) -> Iterator[CardRow]:
  """Evaluates a network in all conditions that its site has.

  Args:
    trained: the network, with intervals.

  Yields:
    The virtual clinics, another solver's subjects, and, for a radial network, each state of the rig.
  """
  site = trained.site
  clinics = PPG if trained.scaling.unitless else PRESSURE
  for name, text in tqdm.tqdm(clinics.items(), desc="conditions", unit="", leave=False):
    path = f"{name},subjects={AROUND + _TESTED},seconds={SECONDS},seed={_SEED}"
    pairs = _pairs(trained, virtual.load(path, {site: site}))
    yield _evaluated(trained, pairs, (name, text, datasets.IN_SILICO), pairs.subjects[:-_TESTED])
  if site in nonlinear.SITES:
    pairs = _pairs(trained, nonlinear.load(channels={site: site}))
    description = ("solver", "subjects of a nonlinear solver, on whom nothing was selected", datasets.IN_SILICO)
    yield _evaluated(trained, pairs, description, pairs.subjects[::2])
  if site in mcl.SIGNALS:
    pairs = _pairs(trained, mcl.load())
    for number, (short, long) in enumerate(mcl.STATES.items()):
      rows = pairs.covariates["state"] == number
      if rows.any():
        text = f"records of a mock circulatory loop, {long.replace('_', ' ')}"
        yield _evaluated(trained, pairs.at(rows), (f"rig_{short}", text, datasets.IN_VITRO), ())


def _pairs(trained: checkpoint.Checkpoint, dataset: datasets.DataSet) -> batches.Pairs:
  """Returns the windows of a data set with both waves, without overlap."""
  own = own_data.gather(dataset.entries, trained, synchronise=False)
  assert own.paired is not None
  return own.paired


def _evaluated(
  trained: checkpoint.Checkpoint, pairs: batches.Pairs, description: tuple[str, str, str], around: Sequence[str]
) -> CardRow:
  """Evaluates a network on windows, less those of the subjects whose waves are the context of the others."""
  test = pairs.of([one for one in pairs.subjects if one not in set(around)])
  evaluator = waveform_metrics.Evaluator(test, trained.windows, trained.scaling.unitless)
  there = None
  if around and trained.scaling.context is not None:
    scaling = trained.scaling.at_clinic(pairs.of(around))
    there = _read(dataclasses.replace(trained, scaling=scaling), test, evaluator)
  unchanged = (
    float("nan") if trained.scaling.unitless else float(np.mean([one.rmse_mmhg for one in evaluator.errors(test.x_bt)]))
  )
  name, text, place = description
  return CardRow(
    name=name, text=text, place=place, subjects=len(test.subjects), peripheral_mmhg=unchanged,
    alone=_read(trained, test, evaluator), in_clinic=there,
  )  # fmt: skip


def _read(trained: checkpoint.Checkpoint, test: batches.Pairs, evaluator: waveform_metrics.Evaluator) -> CardErrors:
  """Returns the errors and the interval coverage of a network."""
  reading = uncertainty.read(trained, test)
  errors, coverages = evaluator.errors(reading.y_bt), uncertainty.coverage(trained, test, reading)
  return CardErrors(
    rmse=agreement.interval(np.array([one.rmse_mmhg for one in errors])),
    wave=float(np.nanmean([one.wave for one in coverages])),
    csbp=float(np.nanmean([one.csbp for one in coverages])),
    half_width_mmhg=float(np.nanmean([one.half_width_mmhg for one in coverages])),
    flagged=float(np.nanmean([one.ood_fraction for one in coverages])),
  )
