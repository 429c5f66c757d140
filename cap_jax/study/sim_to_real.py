"""Two experiments with networks of virtual subjects on real records, one record left out at a time (see `real`).

radial → aortic        adapted without labels: feature distance and plausibility, no error, since the aortic wave was not measured
finger PPG → radial    both measured: the error, with each record calibrated by its own first seconds
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cap_jax import clinics, config
from cap_jax.baselines import mean_wave, transfer_function
from cap_jax.data import batches, conditioning, recordings, signal_names
from cap_jax.data.sources import virtual
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import calibration as scales
from cap_jax.study import real, study_config, training
from cap_jax.train import checkpoint, domains, prediction
from cap_jax.types import InputError, suggest

RADIAL, PPG = "radial", signal_names.PPG
_MOST = 200  # windows of a record in a training
_PPG_LABELLED = ("scratch", "fine_tuning")
_CONDITIONING = config.Conditioning(synchronise=False)  # the lag may be estimated from the first seconds only


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructedRecord:
  """A method's aortic waves of the record left out.

  Attributes:
    distance: of the features, None of a method without a network.
    peripheral_bt: (window, time) measured waves [mmHg], consecutive windows.
    aortic_bt: (window, time) reconstructed waves [mmHg].
  """

  record: str
  method: str
  distance: real.Distance | None
  plausibility: real.Plausibility
  peripheral_bt: np.ndarray
  aortic_bt: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
  """A method's errors against the measured pressure of the record left out, with both waves (window, time) [mmHg]."""

  record: str
  method: str
  errors: waveform_metrics.SubjectErrors
  true_bt: np.ndarray
  predicted_bt: np.ndarray


def windows_of(
  records: Sequence[recordings.Recording], site: str, reference: str, spec: config.Windows
) -> dict[str, batches.Pairs]:
  """Returns subject → windows, without the subjects that have no whole window.

  Args:
    records: of several subjects.
    site: of the network's input.
    reference: the wave that it reconstructs.
    spec: of the windows.
  """
  pairs = {}
  for subject in dict.fromkeys(recording.subject for recording in records):
    own_records = [r for r in records if r.subject == subject and {site, reference} <= set(r.signals)]
    try:
      pairs[subject] = batches.make_pairs(own_records, site, spec, reference, gaps=True)
    except batches.NoWindowError:
      continue
  return pairs


def _apart(spec: config.Windows) -> config.Windows:
  return dataclasses.replace(spec, hop_s=spec.seconds)


def _mean_at_its_level(mean: mean_wave.MeanWave, x_bt: np.ndarray) -> np.ndarray:
  """Scales the mean wave to the mean and diastole of each peripheral window, which hardly change along arteries."""
  waves = []
  for x_t in x_bt:
    levels = scales.levels(x_t, mean.fs_hz)
    own = mean if levels is None else mean.scaled(levels.mean, levels.diastolic, by_mean=True)
    waves.append(own.predict(x_t[None])[0])
  return np.stack(waves)


def aortic(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: batches.Pairs, validation: batches.Pairs,
  records: Sequence[recordings.Recording],
) -> Iterator[ReconstructedRecord]:  # fmt: skip
  """Reconstructs the aortic waves of each record with every method, for the experiment radial → aortic.

  Args:
    study: whose strategies need no labels.
    trained: the source network, radial → aortic.
    source, validation: windows of its virtual subjects.
    records: real recordings with a radial pressure, conditioned.

  Yields:
    The waves of each record and method.

  Raises:
    InputError: fewer than three records have a whole window, so that one can be left out.
  """
  spec = study.windows
  overlapping = windows_of(records, RADIAL, RADIAL, spec)
  sparse = windows_of(records, RADIAL, RADIAL, _apart(spec))
  if len(overlapping) < 3:
    raise InputError(
      f"{len(overlapping)} record(s) with a whole window of radial pressure, but at least three are needed; add records"
    )
  gtf = transfer_function.fit(source, validation, spec)
  mean = mean_wave.fit(source, spec.fs_hz)
  for name, others in real.leave_one_out(overlapping):
    waves, test = real.balanced(others, _MOST).unlabelled(), sparse[name].unlabelled()
    for method, predict in (("mean_wave", lambda x_bt: _mean_at_its_level(mean, x_bt)), ("gtf_source", gtf.predict)):
      aortic_bt = predict(test.x_bt)
      yield ReconstructedRecord(
        record=name,
        method=method,
        distance=None,
        plausibility=real.plausibility(test.x_bt, aortic_bt, spec),
        peripheral_bt=test.x_bt,
        aortic_bt=aortic_bt,
      )
    networks = {"source": trained}
    for strategy in study.strategies:
      data = domains.Data(source, waves, site=RADIAL)
      networks[strategy] = training.adapt(study, strategy, trained, data, study.seeds[0]).checkpoint
    for method, network in networks.items():
      aortic_bt = prediction.predict(network, test)
      distance = real.distance(network, source, waves, test)
      yield ReconstructedRecord(
        record=name,
        method=method,
        distance=distance,
        plausibility=real.plausibility(test.x_bt, aortic_bt, spec),
        peripheral_bt=test.x_bt,
        aortic_bt=aortic_bt,
      )


def ppg_source(study: study_config.Study, subjects: int, seconds: float) -> tuple[batches.Pairs, batches.Pairs]:
  """Draws virtual subjects with finger PPG and radial pressure, conditioned and calibrated like real records.

  Args:
    study: whose source, windows and cohort seed are used.
    subjects: number of them.
    seconds: of record for each.

  Returns:
    Training and validation windows.

  Raises:
    InputError: the source is a mixture of clinics, which has no PPG.
  """
  if study.source not in clinics.SOURCES:
    raise InputError(
      f"source={study.source}: a mixture of clinics, which has no PPG; {suggest(study.source, clinics.SOURCES)}"
    )
  scenario = dataclasses.replace(clinics.SOURCES[study.source], oximeter=clinics.DELAYED_OXIMETER)
  clinic = scenario.clinic("ppg", subjects, seconds, study.windows.fs_hz, 2 * study.cohort_seed)
  cohort = virtual.draw(clinic, (PPG,), RADIAL)
  conditioned = [conditioning.condition(recording, _CONDITIONING)[0] for recording in cohort]
  calibrated = [
    rest for r in conditioned if (rest := real.calibrated_at_first(r, PPG, RADIAL, seconds / 4)) is not None
  ]
  pairs = windows_of(calibrated, PPG, RADIAL, study.windows)
  names = list(pairs)
  first = max(len(names) // 20, 1)
  return real.join([pairs[name] for name in names[first:]]), real.join([pairs[name] for name in names[:first]])


def arterial(
  study: study_config.Study, trained: checkpoint.Checkpoint, source: batches.Pairs, validation: batches.Pairs,
  records: Sequence[recordings.Recording],
) -> Iterator[Measured]:  # fmt: skip
  """Computes the errors of every method on each record, for the experiment finger PPG → radial.

  Args:
    study: of finger PPG and radial pressure, whose strategies need no labels.
    trained: the source network, PPG → radial.
    source, validation: windows of its virtual subjects.
    records: real recordings, conditioned. Those without both waves are skipped.

  Yields:
    The errors of each record and method.

  Raises:
    InputError: fewer than three records have both waves.
  """
  spec = study.windows
  calibrated = [
    rest
    for r in records
    if {PPG, RADIAL} <= set(r.signals) and (rest := real.calibrated_at_first(r, PPG, RADIAL)) is not None
  ]
  overlapping, sparse = windows_of(calibrated, PPG, RADIAL, spec), windows_of(calibrated, PPG, RADIAL, _apart(spec))
  if len(overlapping) < 3:
    raise InputError(
      f"{len(overlapping)} record(s) with finger PPG and radial pressure, but at least three are needed; add records"
    )
  gtf = transfer_function.fit(source, validation, spec)
  for name, others in real.leave_one_out(overlapping):
    labelled, test = real.balanced(others, _MOST), sparse[name]
    # each method may use the record's reading, to which the PPG and the mean wave are scaled
    sbp, dbp = (float(test.covariates[covariate][0]) for covariate in scales.CUFF[:2])
    predictions: Mapping[str, np.ndarray] = {
      "peripheral": test.x_bt,
      "mean_wave": mean_wave.fit(labelled, spec.fs_hz).scaled(sbp, dbp).predict(test.x_bt),
      "gtf_source": gtf.predict(test.x_bt),
      "gtf_target": transfer_function.fit(labelled, labelled, spec).predict(test.x_bt),
      "source": prediction.predict(trained, test),
    }
    evaluator = waveform_metrics.Evaluator(test, spec)
    for method, predicted_bt in predictions.items():
      yield Measured(name, method, evaluator.errors(predicted_bt)[0], test.y_bt, predicted_bt)
    without_labels = domains.Data(source, labelled.unlabelled(), site=PPG)
    with_labels = dataclasses.replace(without_labels, labelled=labelled)
    for method in (*study.strategies, *_PPG_LABELLED):
      data = with_labels if method in _PPG_LABELLED else without_labels
      predicted_bt = prediction.predict(training.adapt(study, method, trained, data, study.seeds[0]).checkpoint, test)
      yield Measured(name, method, evaluator.errors(predicted_bt)[0], test.y_bt, predicted_bt)
