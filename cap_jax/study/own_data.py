"""A trained network on a data set of one's own: errors where an aortic wave was measured, what it reconstructs of everybody."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from cap_jax import config
from cap_jax.baselines import systolic
from cap_jax.data import batches, calibrate, conditioning, datasets, recordings
from cap_jax.haemodynamics import indices
from cap_jax.inference import uncertainty
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import beats
from cap_jax.signals import calibration as scales
from cap_jax.study import run_study, study_runner
from cap_jax.study.study_results import Key
from cap_jax.train import checkpoint
from cap_jax.types import DataError, InputError

SHOWN = ("csbp", "cdbp", "cpp", "map", "aix", "form_factor", "ejection", "sevr", "hr")


@dataclasses.dataclass(frozen=True)
class Own:
  """Windows of a data set that do not overlap: with the reference, of those who have it, and of everybody; and what was left out."""

  paired: batches.Pairs | None
  everybody: batches.Waves
  lost: tuple[DataError, ...]


def _usable(
  entry: datasets.Entry, trained: checkpoint.Checkpoint, site: str, synchronise: bool
) -> recordings.Recording:
  """The conditioned, calibrated recording of an entry.

  Raises:
    DataError: it cannot be read, has no wave of the site, or lacks what the network or its calibration needs.
  """
  spec = config.Conditioning(fs_hz=trained.windows.fs_hz, synchronise=synchronise)
  _, found, _ = conditioning.read(entry, spec)
  if site not in found.signals:
    raise DataError(
      entry.where, f"has no {site}; it has {', '.join(found.sites)}", "name it by --channels", entry.subject
    )
  lacking = [name for name in trained.model.covariates if not np.isfinite(found.covariates.get(name, np.nan))]
  if lacking:
    raise DataError(entry.where, f"the network takes {', '.join(lacking)}", "add it to the covariates", entry.subject)
  try:
    return calibrate.calibrate(found, site, scales.without_errors(trained.calibration))
  except DataError:
    raise
  except InputError as error:
    raise DataError(
      entry.where, str(error), "give the reading that the checkpoint's calibration needs", entry.subject
    ) from error


def gather(
  entries: Iterable[datasets.Entry], trained: checkpoint.Checkpoint, synchronise: bool, strict: bool = False
) -> Own:
  """Reads and conditions all records of a data set.

  Args:
    entries: of the data set.
    trained: the network; its site and calibration are the data's.
    synchronise: whether a monitor's constant delay is taken out.
    strict: whether the first bad record ends it.

  Raises:
    InputError: nobody has a whole window.
    DataError: a record cannot be used, where that ends it.
  """
  found, measured, lost = [], [], []
  apart = dataclasses.replace(trained.windows, hop_s=trained.windows.seconds)
  for entry in entries:
    try:
      recording = _usable(entry, trained, trained.site, synchronise)
      _check_windows(entry, recording, trained.site, trained.site, apart)
      found.append(recording)
      if trained.reference in recording.signals:
        _check_new(entry, trained)
        _check_windows(entry, recording, trained.site, trained.reference, apart)
        measured.append(recording)
    except DataError as error:
      if strict:
        raise
      lost.append(error)
  if not found:
    raise lost[0] if lost else InputError("--path: holds no record")
  everybody = batches.make_pairs(found, trained.site, apart, trained.site, gaps=True).unlabelled()
  paired = batches.make_pairs(measured, trained.site, apart, trained.reference, gaps=True) if measured else None
  return Own(paired, everybody, tuple(lost))


def _check_new(entry: datasets.Entry, trained: checkpoint.Checkpoint) -> None:
  """Raises:
  DataError: the network was trained or calibrated on somebody of this name."""
  if trained.has_seen(entry.subject):
    problem = (
      "the network has seen this subject in its training or calibration: reconstructed, but excluded from the errors"
    )
    raise DataError(
      entry.where, problem, "evaluate it on others; one of the same name by chance is renamed", entry.subject
    )


def _check_windows(
  entry: datasets.Entry, recording: recordings.Recording, site: str, reference: str, spec: config.Windows
) -> None:
  """Raises:
  DataError: there is no whole window of the site, or of it beside the reference."""
  try:
    batches.make_pairs([recording], site, spec, reference, gaps=True)
  except batches.NoWindowError as error:
    if reference == site:
      problem, remedy = f"its {site} wave has no {spec.seconds:g} s without a gap", "give a longer record"
    else:
      problem = f"its {reference} wave has no {spec.seconds:g} s without a gap beside {site}: reconstructed, but excluded from the errors"
      remedy = "look at the reference with: python -m cap_jax describe"
    raise DataError(entry.where, problem, remedy, entry.subject) from error


@dataclasses.dataclass(frozen=True)
class Evaluated:
  """Errors on paired data: `rows` of the network and of what needs no training, as in `study.csv`; `shown`: method → some waves of
  each subject."""

  rows: list[dict[str, object]]
  shown: dict[str, dict[str, np.ndarray]]


def method_of(trained: checkpoint.Checkpoint) -> tuple[str, int, int]:
  """The network's method, number of labels and seed."""
  about = trained.about
  return str(about.get("strategy", "source")), int(about.get("n_target", 0)), int(about.get("seed", 0))


def evaluate(trained: checkpoint.Checkpoint, paired: batches.Pairs, place: str) -> Evaluated:
  """Errors of the network, of the peripheral wave as it is and of the moving average."""
  spec, (name, n_target, seed) = trained.windows, method_of(trained)
  evaluator = waveform_metrics.Evaluator(paired, spec)
  made = uncertainty.read(
    trained, trained.uncertainty_calibration.head if trained.uncertainty_calibration else None, paired
  )
  found = {("peripheral", 0): evaluator.errors(paired.x_bt)}
  if trained.site in systolic.FRACTIONS:
    average = systolic.moving_average(paired.x_bt, trained.site, spec)
    found["npma", 0] = evaluator.errors(average, only_systolic=True)
  own = evaluator.errors(made.y_bt)
  if trained.uncertainty_calibration is not None:
    own = [
      waveform_metrics.covered(one, c) for one, c in zip(own, uncertainty.coverage(trained, paired, made), strict=True)
    ]
  found[name, n_target] = own
  rows = [
    run_study.row(Key(place, 0, method, labels, seed), one, {})
    for (method, labels), part in found.items()
    for one in part
  ]
  few = study_runner.shown_rows(paired)
  truth = {"predicted_bt": paired.x_bt[few], "true_bt": paired.y_bt[few]}
  truth["subject_b"] = paired.subject_b[few].astype(str)
  return Evaluated(rows, {"peripheral": truth, name: {"predicted_bt": made.y_bt[few]}})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstructed:
  """What a network makes of one subject: windows, beats, indices of the mean beat by `SHOWN`; half the mean widths of the wave's interval
  and of cSBP's, and the share of windows out of distribution, NaN of a network that was never calibrated; why indices are missing."""

  subject: str
  windows: int
  beats: int
  values: dict[str, float]
  half_width_mmhg: float
  csbp_half_width_mmhg: float
  ood_fraction: float
  missing: str


def reconstruct(trained: checkpoint.Checkpoint, waves: batches.Waves) -> tuple[list[Reconstructed], np.ndarray]:
  """Every subject's indices, and the waves (window, time) [mmHg]."""
  intervals, spec = trained.uncertainty_calibration, trained.windows
  made = uncertainty.read(trained, intervals.head if intervals else None, waves)
  inner = slice(spec.margin, spec.samples - spec.margin)
  apart = uncertainty.out_of_distribution(intervals, made.h_bd) if intervals else np.full(len(made.h_bd), np.nan)
  found = []
  for subject in waves.subjects:
    rows = np.flatnonzero(waves.subject_b == subject)
    feet = [beats.find_feet(made.y_bt[k, inner], spec.fs_hz) for k in rows]
    cut = np.concatenate([indices.cut(made.y_bt[k, inner], f) for k, f in zip(rows, feet, strict=True)])
    values, missing = dict.fromkeys(SHOWN, float("nan")), "no whole beat"
    if len(cut):
      period = np.concatenate([np.diff(f) for f in feet]).mean() / spec.fs_hz
      mean_beat = indices.of_beats(cut.mean(0)[None], np.array([period]))
      values = {name: float(mean_beat.values[name][0]) for name in SHOWN}
      missing = "; ".join(f"{name}: {why[0]}" for name in SHOWN if (why := mean_beat.reasons[name])[0])
      values |= {"csbp": float(cut.max(1).mean()), "cdbp": float(cut.min(1).mean())}
      values["cpp"] = values["csbp"] - values["cdbp"]
    width = intervals.wave * float(made.sigma_bt[rows, inner].mean()) if intervals else float("nan")
    systolic = uncertainty.csbp_half_width(intervals, made, rows, inner, feet) if intervals else float("nan")
    found.append(
      Reconstructed(
        subject=subject,
        windows=len(rows),
        beats=len(cut),
        values=values,
        half_width_mmhg=width,
        csbp_half_width_mmhg=systolic,
        ood_fraction=float(apart[rows].mean()),
        missing=missing,
      )
    )
  return found, made.y_bt
