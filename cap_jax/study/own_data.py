"""Evaluation of a trained network on a user's data set.

Errors are computed where an aortic wave was measured; waves and indices are reconstructed for every subject.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from cap_jax import config
from cap_jax.baselines import systolic
from cap_jax.data import batches, calibrate, conditioning, datasets, duplicates, recordings
from cap_jax.haemodynamics import indices
from cap_jax.inference import reconstruct as reconstruction
from cap_jax.inference import uncertainty
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import calibration as scales
from cap_jax.study import run_study, study_runner
from cap_jax.study.study_results import Key
from cap_jax.train import checkpoint
from cap_jax.types import DataError, InputError

_LEAST_COMPARED, _OUTLYING, _NOTABLE_MMHG = 5, 3.5, 3.0
REPORTED_INDICES = ("csbp", "cdbp", "cpp", "map", "aix", "form_factor", "ejection", "sevr", "hr")


@dataclasses.dataclass(frozen=True)
class UserWindows:
  """Windows of a data set, without overlap.

  Attributes:
    paired: windows with the reference, of the subjects that have it; None if nobody has.
    all_windows: windows of all subjects.
    lost: why records were left out.
    notes: of the readers.
  """

  paired: batches.Pairs | None
  all_windows: batches.Waves
  lost: tuple[DataError, ...]
  notes: tuple[str, ...] = ()


def _read_entry(
  entry: datasets.Entry, trained: checkpoint.Checkpoint, site: str, synchronise: bool
) -> recordings.Recording:
  """Reads the recording of an entry, conditioned and calibrated.

  Raises:
    DataError: the entry cannot be read, has no wave of the site, or lacks what the network or its calibration needs.
  """
  spec = config.Conditioning(fs_hz=trained.windows.fs_hz, synchronise=synchronise)
  _, recording, _ = conditioning.read(entry, spec)
  if site not in recording.signals:
    raise DataError(
      entry.where,
      f"contains no {site} (found: {', '.join(recording.sites)})",
      "map a channel to it with --channels",
      entry.subject,
    )
  lacking = [name for name in trained.model.covariates if not np.isfinite(recording.covariates.get(name, np.nan))]
  if lacking:
    raise DataError(
      entry.where,
      f"the network needs {', '.join(lacking)}",
      "add it to the covariates of the records, such as a column of subjects.csv",
      entry.subject,
    )
  try:
    if set(scales.CUFF) & set(trained.model.covariates):
      scales.check_reading(recording.covariates, recording.subject)
    return calibrate.calibrate(recording, site, scales.without_errors(trained.calibration), trained.scaling.unitless)
  except DataError:
    raise
  except InputError as error:
    raise DataError(entry.where, str(error), "correct the record, or omit it", entry.subject) from error


def gather(
  entries: Iterable[datasets.Entry], trained: checkpoint.Checkpoint, synchronise: bool, strict: bool = False
) -> UserWindows:
  """Reads and conditions all records of a data set.

  Args:
    entries: of the data set.
    trained: the network, whose site and calibration the data must have.
    synchronise: whether a monitor's constant delay is removed.
    strict: whether the first bad record raises; otherwise it is left out.

  Returns:
    The windows.

  Raises:
    InputError: the data set has no record.
    DataError: a record cannot be used, with `strict` or if none can.
  """
  usable, measured, lost = [], [], []
  notes: list[str] = []
  spec = dataclasses.replace(trained.windows, hop_s=trained.windows.seconds)
  for entry in entries:
    try:
      recording = _read_entry(entry, trained, trained.site, synchronise)
      _check_windows(entry, recording, trained.site, trained.site, spec)
      usable.append(recording)
      notes += recording.notes
      if trained.reference in recording.signals:
        _check_unseen(entry, trained)
        _check_windows(entry, recording, trained.site, trained.reference, spec)
        measured.append(recording)
    except DataError as error:
      if strict:
        raise
      lost.append(error)
  if not usable:
    raise lost[0] if lost else InputError("--path: contains no record; check the path")
  notes += duplicates.check_records("the data set", usable)
  all_windows = batches.make_pairs(usable, trained.site, spec, trained.site, gaps=True).unlabelled()
  paired = batches.make_pairs(measured, trained.site, spec, trained.reference, gaps=True) if measured else None
  return UserWindows(paired, all_windows, tuple(lost), tuple(notes))


def _check_unseen(entry: datasets.Entry, trained: checkpoint.Checkpoint) -> None:
  """Checks that the network has not seen a subject of this name.

  Raises:
    DataError: the network was trained or calibrated on it.
  """
  if trained.has_seen(entry.subject):
    problem = "used for training, selection or calibration of the network, by its name: reconstructed, but excluded from the error statistics"
    raise DataError(
      entry.where,
      problem,
      "evaluate on other subjects; names alone tell them apart, so if another person has this name, give that person another one",
      entry.subject,
    )


def _check_windows(
  entry: datasets.Entry, recording: recordings.Recording, site: str, reference: str, spec: config.Windows
) -> None:
  """Checks that a recording has a whole window of the site and of the reference.

  Raises:
    DataError: it has none.
  """
  try:
    batches.make_pairs([recording], site, spec, reference, gaps=True)
  except batches.NoWindowError as error:
    if reference == site:
      problem, remedy = f"its {site} wave has no {spec.seconds:g} s without a gap", "use a longer record"
    else:
      problem = f"its {reference} wave has no {spec.seconds:g} s without a gap where {site} has none: reconstructed, but excluded from the error statistics"
      remedy = "check the reference with: cap-jax describe"
    raise DataError(entry.where, problem, remedy, entry.subject) from error


@dataclasses.dataclass(frozen=True)
class Evaluated:
  """Errors on paired data.

  Attributes:
    rows: of the network and of the methods without training, with the columns of `study.csv`.
    waves: method → array name → some waves of each subject.
    outliers: subject → how its error or its amplification differs from those of the others.
  """

  rows: list[dict[str, object]]
  waves: dict[str, dict[str, np.ndarray]]
  outliers: dict[str, str]


def outliers(
  paired: batches.Pairs, rmse_mmhg: Sequence[float], spec: config.Windows, unitless: bool = False
) -> dict[str, str]:
  """Finds subjects whose error or amplification stands far from those of the others.

  These are often pairs that are not simultaneous, exchanged or in another unit. The measure is the robust z-score of the
  logarithm, 0.6745 (x − median) / MAD, beyond 3.5 (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers). A
  median deviation of less than 10 % counts as 10 %, and an RMSE of less than 3 mmHg is never far.

  Args:
    paired: windows with the reference.
    rmse_mmhg: error of each subject, in their order.
    spec: margin of the windows.
    unitless: whether the peripheral wave has no unit; its amplification is then not compared.

  Returns:
    Subject → how it differs; empty with fewer than five subjects.
  """
  if len(paired.subjects) < _LEAST_COMPARED:
    return {}
  inner = slice(spec.margin, spec.samples - spec.margin)
  ratio_b = np.ptp(paired.x_bt[:, inner], axis=1) / np.maximum(np.ptp(paired.y_bt[:, inner], axis=1), 1e-3)
  amplification = [float(np.median(ratio_b[paired.subject_b == subject])) for subject in paired.subjects]
  differences: dict[str, list[str]] = {}
  compared = [("waveform RMSE", list(rmse_mmhg), " mmHg", False)]
  if not unitless:
    compared.append(("amplification of the pulse pressure", amplification, "", True))
  for name, values, unit, both in compared:
    log = np.log(np.maximum(values, 1e-3))
    spread = max(float(np.median(np.abs(log - np.median(log)))), np.log(1.1))
    score = 0.6745 * (log - np.median(log)) / spread
    notable = np.asarray(values) > (0 if both else _NOTABLE_MMHG)
    for k in np.flatnonzero(((np.abs(score) if both else score) > _OUTLYING) & notable):
      text = f"{name} {values[k]:.2f}{unit}, median of all {np.median(values):.2f}{unit}"
      differences.setdefault(paired.subjects[k], []).append(text)
  return {subject: "; ".join(texts) for subject, texts in differences.items()}


def method_of(trained: checkpoint.Checkpoint) -> tuple[str, int, int]:
  """Returns the network's method, number of labels and seed."""
  about = trained.about
  return str(about.get("strategy", "source")), int(about.get("n_target", 0)), int(about.get("seed", 0))


def evaluate(
  trained: checkpoint.Checkpoint, paired: batches.Pairs, place: str, packaged: checkpoint.Checkpoint | None = None
) -> Evaluated:
  """Computes the errors of the network, of the unchanged peripheral pressure and of the moving average.

  Args:
    trained: the network.
    paired: windows with the reference.
    place: name of the data set, for the rows.
    packaged: a network of the package for the same windows, to compare with.
  """
  spec, (name, n_target, seed) = trained.windows, method_of(trained)
  unitless = trained.scaling.unitless
  evaluator = waveform_metrics.Evaluator(paired, spec, unitless)
  reading = uncertainty.read(trained, paired)
  errors_of = {} if unitless else {("peripheral", 0): evaluator.errors(paired.x_bt)}
  if trained.site in systolic.FRACTIONS:
    average = systolic.moving_average(paired.x_bt, trained.site, spec)
    errors_of["npma", 0] = evaluator.errors(average, only_systolic=True)
  if packaged is not None:
    errors_of["packaged", 0] = evaluator.errors(uncertainty.read(packaged, paired).y_bt)
  own_errors = evaluator.errors(reading.y_bt)
  if trained.uncertainty_calibration is not None:
    own_errors = [
      waveform_metrics.covered(one, c)
      for one, c in zip(own_errors, uncertainty.coverage(trained, paired, reading), strict=True)
    ]
  errors_of[name, n_target] = own_errors
  rows = [
    run_study.row(Key(place, 0, method, labels, seed), one, {})
    for (method, labels), errors in errors_of.items()
    for one in errors
  ]
  rows_to_show = study_runner.figure_rows(paired)
  truth = {"predicted_bt": paired.x_bt[rows_to_show], "true_bt": paired.y_bt[rows_to_show]}
  truth["subject_b"] = paired.subject_b[rows_to_show].astype(str)
  waves = {"peripheral": truth, name: {"predicted_bt": reading.y_bt[rows_to_show]}}
  return Evaluated(rows, waves, outliers(paired, [one.rmse_mmhg for one in own_errors], spec, unitless))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstructed:
  """Reconstruction of one subject.

  Attributes:
    windows, beats: their numbers.
    values: name in `REPORTED_INDICES` → index of the mean beat.
    half_width_mmhg, csbp_half_width_mmhg: half the mean widths of the wave's and of cSBP's interval.
    ood_fraction: share of windows out of distribution. It and the widths are NaN without a calibration.
    missing: why indices are missing, "" if none is.
    unusual_hr: how the heart rate differs from those of the training, "" if it does not.
  """

  subject: str
  windows: int
  beats: int
  values: dict[str, float]
  half_width_mmhg: float
  csbp_half_width_mmhg: float
  ood_fraction: float
  missing: str
  unusual_hr: str


def reconstruct(trained: checkpoint.Checkpoint, waves: batches.Waves) -> tuple[list[Reconstructed], np.ndarray]:
  """Reconstructs the waves of all subjects and computes their indices.

  Args:
    trained: the network.
    waves: windows of all subjects.

  Returns:
    The indices of each subject, and the waves (window, time) [mmHg].
  """
  intervals, spec = trained.uncertainty_calibration, trained.windows
  reading = uncertainty.read(trained, waves)
  inner = slice(spec.margin, spec.samples - spec.margin)
  outside_b = (
    uncertainty.out_of_distribution(intervals, reading.ood_b) if intervals else np.full(len(reading.ood_b), np.nan)
  )
  results = []
  for subject in waves.subjects:
    rows = np.flatnonzero(waves.subject_b == subject)
    feet = [
      reconstruction.paired_feet(waves.x_bt[k, inner], reading.y_bt[k, inner], spec.fs_hz, trained.site)[1]
      for k in rows
    ]
    beats_kt = np.concatenate([indices.cut(reading.y_bt[k, inner], f) for k, f in zip(rows, feet, strict=True)])
    values, missing = dict.fromkeys(REPORTED_INDICES, float("nan")), "no whole beat"
    if len(beats_kt):
      period = np.concatenate([np.diff(f) for f in feet]).mean() / spec.fs_hz
      mean_beat = indices.of_beats(beats_kt.mean(0)[None], np.array([period]))
      values = {name: float(mean_beat.values[name][0]) for name in REPORTED_INDICES}
      reasons = {name: mean_beat.reasons[name][0] for name in REPORTED_INDICES if name != "hr"}
      missing = "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)
      values |= {"csbp": float(beats_kt.max(1).mean()), "cdbp": float(beats_kt.min(1).mean()), "hr": 60 / period}
      values["cpp"] = values["csbp"] - values["cdbp"]
    half_width = intervals.wave * float(reading.sigma_bt[rows, inner].mean()) if intervals else float("nan")
    csbp_half_width = uncertainty.csbp_half_width(intervals, reading, rows, inner, feet) if intervals else float("nan")
    results.append(
      Reconstructed(
        subject=subject,
        windows=len(rows),
        beats=len(beats_kt),
        values=values,
        half_width_mmhg=half_width,
        csbp_half_width_mmhg=csbp_half_width,
        ood_fraction=float(outside_b[rows].mean()),
        missing=missing,
        unusual_hr=reconstruction.unusual_hr(intervals, values["hr"]),
      )
    )
  return results, reading.y_bt
