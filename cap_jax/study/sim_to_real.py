"""Two questions to networks of virtual subjects on real records, one record left out at a time (`real` tells what can be said).

radial → aortic        adapted without labels: feature distance, plausibility; no error, as nobody measured the answer
finger PPG → radial    both measured: the error, each record calibrated by its own first seconds
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cap_jax import clinics, config
from cap_jax.baselines import mean_wave, transfer_function
from cap_jax.data import batches, conditioning, recordings
from cap_jax.data.sources import virtual
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import calibration as scales
from cap_jax.study import real, study_config, training
from cap_jax.train import checkpoint, prediction, runs
from cap_jax.types import InputError

RADIAL, PPG = "radial", recordings.PPG
_MOST = 200  # windows of a record that a training sees
_PPG_LABELLED = ("scratch", "fine_tuning")
_CONDITIONING = config.Conditioning(synchronise=False)  # a lag is known from the first seconds alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructedRecord:
  """A method's aortic waves of the record left out.

  distance: of the features, where the method has a network.
  aortic_bt: (window, time), windows one behind the other.
  """

  record: str
  method: str
  distance: real.Distance | None
  plausibility: real.Plausibility
  peripheral_bt: np.ndarray
  aortic_bt: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
  """A method's error against the measured pressure of the record left out."""

  record: str
  method: str
  errors: waveform_metrics.SubjectErrors
  true_bt: np.ndarray
  predicted_bt: np.ndarray


def windows_of(
  found: Sequence[recordings.Recording], site: str, reference: str, spec: config.Windows
) -> dict[str, batches.Pairs]:
  """Subject → windows; a subject without a whole one is left out."""
  pairs = {}
  for subject in dict.fromkeys(recording.subject for recording in found):
    own = [r for r in found if r.subject == subject and {site, reference} <= set(r.signals)]
    try:
      pairs[subject] = batches.make_pairs(own, site, spec, reference, gaps=True)
    except batches.NoWindowError:
      continue
  return pairs


def _apart(spec: config.Windows) -> config.Windows:
  return dataclasses.replace(spec, hop_s=spec.seconds)


def _mean_at_its_level(mean: mean_wave.MeanWave, x_bt: np.ndarray) -> np.ndarray:
  """The mean wave with the mean and the diastole of each peripheral window, which hardly change on the way."""
  made = []
  for x_t in x_bt:
    found = scales.levels(x_t, mean.fs_hz)
    own = mean if found is None else mean.scaled(found.mean, found.diastolic, by_mean=True)
    made.append(own.predict(x_t[None])[0])
  return np.stack(made)


def aortic(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: batches.Pairs, validation: batches.Pairs,
  found: Sequence[recordings.Recording],
) -> Iterator[ReconstructedRecord]:  # fmt: skip
  """Part one, record by record and method by method.

  Args:
    study: its strategies must need no labels.
    trained: the source network, radial → aortic.
    source, validation: windows of its virtual subjects.
    found: real recordings with a radial pressure, conditioned.

  Raises:
    InputError: fewer than three records have a whole window, so that one can be left out.
  """
  spec = study.windows
  overlapping = windows_of(found, RADIAL, RADIAL, spec)
  sparse = windows_of(found, RADIAL, RADIAL, _apart(spec))
  if len(overlapping) < 3:
    raise InputError(
      f"{len(overlapping)} record(s) with a whole window of radial pressure; three are needed to leave one out"
    )
  gtf = transfer_function.fit(source, validation, spec)
  mean = mean_wave.fit(source, spec.fs_hz)
  for name, others in real.leave_one_out(overlapping):
    waves, shown = real.balanced(others, _MOST).unlabelled(), sparse[name].unlabelled()
    for method, predict in (("mean_wave", lambda x_bt: _mean_at_its_level(mean, x_bt)), ("gtf_source", gtf.predict)):
      made = predict(shown.x_bt)
      yield ReconstructedRecord(
        record=name,
        method=method,
        distance=None,
        plausibility=real.plausibility(shown.x_bt, made, spec),
        peripheral_bt=shown.x_bt,
        aortic_bt=made,
      )
    networks = {"source": trained}
    for strategy in study.strategies:
      data = runs.Data(source, waves, site=RADIAL)
      networks[strategy] = training.adapt(study, strategy, trained, data, study.seeds[0]).checkpoint
    for method, network in networks.items():
      made = prediction.predict(network, shown)
      apart = real.distance(network, source, waves, shown)
      yield ReconstructedRecord(
        record=name,
        method=method,
        distance=apart,
        plausibility=real.plausibility(shown.x_bt, made, spec),
        peripheral_bt=shown.x_bt,
        aortic_bt=made,
      )


def ppg_source(study: study_config.Study, subjects: int, seconds: float) -> tuple[batches.Pairs, batches.Pairs]:
  """Training and validation windows of virtual subjects, finger PPG and radial pressure, conditioned and calibrated as real
  records are."""
  scenario = clinics.SOURCES[study.source]
  clinic = clinics.Clinic(
    name="ppg", subjects=subjects, seconds=seconds, population=scenario.population, device=scenario.device, oximeter=clinics.OXIMETER, rhythm=scenario.rhythm,
    fs_hz=study.windows.fs_hz, seed=2 * study.cohort_seed,
  )  # fmt: skip
  drawn = virtual.draw(clinic, (PPG,), RADIAL)
  kept = [conditioning.condition(recording, _CONDITIONING)[0] for recording in drawn]
  read = [rest for r in kept if (rest := real.calibrated_at_first(r, PPG, RADIAL, seconds / 4)) is not None]
  pairs = windows_of(read, PPG, RADIAL, study.windows)
  names = list(pairs)
  first = max(len(names) // 20, 1)
  return real.join([pairs[name] for name in names[first:]]), real.join([pairs[name] for name in names[:first]])


def arterial(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: batches.Pairs, validation: batches.Pairs,
  found: Sequence[recordings.Recording],
) -> Iterator[Measured]:  # fmt: skip
  """Part two, record by record and method by method.

  Args:
    study: of finger PPG and radial pressure; its strategies need no labels.
    trained: the source network, PPG → radial.
    source, validation: windows of its virtual subjects.
    found: real recordings, conditioned; those with both waves count.

  Raises:
    InputError: fewer than three records have both waves.
  """
  spec = study.windows
  read = [
    rest
    for r in found
    if {PPG, RADIAL} <= set(r.signals) and (rest := real.calibrated_at_first(r, PPG, RADIAL)) is not None
  ]
  overlapping, sparse = windows_of(read, PPG, RADIAL, spec), windows_of(read, PPG, RADIAL, _apart(spec))
  if len(overlapping) < 3:
    raise InputError(
      f"{len(overlapping)} record(s) with finger PPG and radial pressure; three are needed to leave one out"
    )
  gtf = transfer_function.fit(source, validation, spec)
  for name, others in real.leave_one_out(overlapping):
    labelled, test = real.balanced(others, _MOST), sparse[name]
    # each method knows the record's reading: the PPG is scaled to it, and so is the mean wave
    sbp, dbp = (float(test.covariates[covariate][0]) for covariate in scales.CUFF[:2])
    plain: Mapping[str, np.ndarray] = {
      "peripheral": test.x_bt,
      "mean_wave": mean_wave.fit(labelled, spec.fs_hz).scaled(sbp, dbp).predict(test.x_bt),
      "gtf_source": gtf.predict(test.x_bt),
      "gtf_target": transfer_function.fit(labelled, labelled, spec).predict(test.x_bt),
      "source": prediction.predict(trained, test),
    }
    evaluator = waveform_metrics.Evaluator(test, spec)
    for method, made in plain.items():
      yield Measured(name, method, evaluator.errors(made)[0], test.y_bt, made)
    free = runs.Data(source, labelled.unlabelled(), site=PPG)
    taught = dataclasses.replace(free, labelled=labelled)
    for method in (*study.strategies, *_PPG_LABELLED):
      data = taught if method in _PPG_LABELLED else free
      made = prediction.predict(training.adapt(study, method, trained, data, study.seeds[0]).checkpoint, test)
      yield Measured(name, method, evaluator.errors(made)[0], test.y_bt, made)
