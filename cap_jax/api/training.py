"""Pre-training, transfer and evaluation of networks, and the virtual cohort."""

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas

from cap_jax import clinics, config, extras, html_table
from cap_jax.api import records
from cap_jax.api.network import Network
from cap_jax.data import batches, calibrate, datasets, duplicates, recordings, splits
from cap_jax.data.sources import virtual
from cap_jax.inference import uncertainty, uncertainty_training
from cap_jax.losses import tasks
from cap_jax.metrics import waveform_metrics
from cap_jax.signals import calibration as scales
from cap_jax.strategies import find
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import (
  checkpoint,
  checks,
  domains,
  runs,
  source_training,
  strategy_selection,
  uncertainty_calibration,
)
from cap_jax.types import InputError, suggest

# quantities that a notebook shows first
_FIRST = (
  "rmse_mmhg",
  "csbp_error_mmhg",
  "csbp_mae_mmhg",
  "csbp_frac_within_5mmhg",
  "cpp_error_mmhg",
  "r",
  "ood_fraction",
)
_HELD_OUT = 0.1  # of the subjects, for validation if there are no validation windows


def transfer(
  net: Network,
  strategy: str | Strategy,
  labelled: batches.Pairs | None = None,
  unlabelled: records.Windows | None = None,
  source: batches.Pairs | None = None,
  validation: batches.Pairs | None = None,
  budget: runs.Budget = runs.Budget(),
  site: str | None = None,
) -> Network:
  """Transfers a source network to a target.

  Args:
    net: the source network.
    strategy: a name in `cap_jax.STRATEGIES`, a `Strategy` of your own, or "auto", which chooses one. For a network that reads
      its context at its own site, it takes the strategy that reads it. For others it compares several and uses the
      best; with 0 or 1 labelled subject on source subjects: a tenth of those in `source`, which are then not used for training.
    labelled: windows of labelled target subjects.
    unlabelled: peripheral windows of the target, for strategies that adapt to them.
    source: windows of the source, for strategies that continue to train on it; `Cohort.windows` of people like those that the
      network was trained on.
    validation: windows of other target subjects. They do not affect the training; they calibrate the prediction
      intervals, which need 9 subjects. Without them a trained network has no intervals; one that only reads its context
      keeps those of its source.
    budget: steps, a multiple of 50 and at least 50 for each stage of the strategy; batch and seed.
    site: where the target measures; by default where the source network reads.

  Returns:
    The target network; its `reason` says what was chosen and why.

  Raises:
    InputError: the strategy is unknown, reads windows that are missing, or cannot follow this source; or the windows
      are of another site.
    LeakError: a target subject is also in `source`, or a subject in `validation` is also used for training, or was used
      for that of `net`; or one has the same waves as a subject of another name.
  """
  records.check_kind(net, Network, "net", "pass a network, as `cap_jax.load` returns")
  records.check_kind(strategy, (str, Strategy), "strategy", "pass a name or a Strategy")
  records.check_kind(budget, runs.Budget, "budget", "pass cap_jax.Budget(steps=…)")
  records.check_kind(site, (str, type(None)), "site", "pass the name of an artery, such as radial")
  trained, place = net.checkpoint, site or net.checkpoint.site
  records.check_sites(place, trained.reference)
  _check_windows(
    trained, place, {"labelled": labelled, "unlabelled": unlabelled, "source": source, "validation": validation}
  )
  waves = unlabelled.unlabelled() if isinstance(unlabelled, batches.Pairs) else unlabelled
  data = domains.Data(source, waves, labelled, validation, place)
  reason, blend = "", None
  if strategy == strategy_selection.NAME:
    data, choice = _choose(trained, data, budget)
    strategy, reason, blend = choice.name, strategy_selection.format_ranking(choice), choice.blend
  strategy = find(strategy) if isinstance(strategy, str) else strategy
  checks.check(strategy, checks.wave_model(trained.model), trained.model, trained.task, trained.windows.samples)
  adapted = runs.adapt(strategy, trained, data, budget).blended(blend)
  if strategy.stages and not adapted.fitted.metrics.get("loss", np.zeros(0)).size:
    warnings.warn(f"strategy {strategy.name} trained nothing: {adapted.reason}", stacklevel=2)
  target, lacking = _with_intervals(adapted, trained, data, bool(strategy.stages))
  seen_subject_hashes = {*target.seen_subject_hashes, *checkpoint.digests_of(source.subjects if source else ())}
  target = dataclasses.replace(target, seen_subject_hashes=tuple(sorted(seen_subject_hashes)))
  return Network(target, "; ".join(text for text in (reason, adapted.reason, lacking) if text))


def _check_windows(source: checkpoint.Checkpoint, site: str, windows: Mapping[str, records.Windows | None]) -> None:
  """Checks the site and the windows of a transfer, by the names of its arguments.

  Raises:
    InputError: they have no reference, were measured elsewhere, are not as long as the network's, or are in another unit.
    LeakError: the source network has seen validation subjects, or two parts have the same waves under different names.
  """
  if source.scaling.unitless and site != source.site:
    raise InputError(
      f"site={site}: the network reads a PPG without a unit; for a pressure use a network that reads one, such as cap_jax.load('radial')"
    )
  for name, part in windows.items():
    if part is not None:
      records.check_windows(part, name, labelled=name != "unlabelled")
      records.check_length(part, source.windows, name)
      reference = source.reference if name in ("labelled", "validation") else ""
      records.check_site(part, source.site if name == "source" else site, name, reference)
      records.check_unit(part, source.scaling.unitless, name)
  if (validation := windows["validation"]) is not None:
    source.check_unseen(validation.subjects)
  target = {name: windows[name] for name in ("unlabelled", "labelled")}
  duplicates.check_windows({"validation": validation}, {"source": windows["source"], **target})
  duplicates.check_windows({"source": windows["source"]}, target)


def _with_intervals(
  adapted: runs.Adapted, source: checkpoint.Checkpoint, data: domains.Data, is_trained: bool
) -> tuple[checkpoint.Checkpoint, str]:
  """Returns the target network with intervals that validation subjects calibrate, and why it has none, "" if it has."""
  kept = adapted.checkpoint.uncertainty_calibration is not None
  if data.validation is None:
    return adapted.checkpoint, "" if kept else "no prediction intervals: pass validation= with 9 other target subjects"
  training = data.unlabelled if data.unlabelled is not None else data.labelled
  assert training is not None  # a strategy reads one of the two
  head = uncertainty_training.transferred_head(adapted, source)
  # labels that train a network say more about it than the detector
  detector = uncertainty.inherited_detector(source, labelled=data.labelled is not None and is_trained)
  where = uncertainty_calibration.OF_TARGET
  target = uncertainty.equip(adapted.checkpoint, head, detector, training, data.validation, where)
  assert target.uncertainty_calibration is not None
  if not is_trained and source.uncertainty_calibration is not None:
    intervals = dataclasses.replace(target.uncertainty_calibration, hr_bpm=source.uncertainty_calibration.hr_bpm)
    target = dataclasses.replace(target, uncertainty_calibration=intervals)
  assert target.uncertainty_calibration is not None
  lacking = target.uncertainty_calibration.lacking
  return (adapted.checkpoint, f"{lacking}; those of the source stay") if kept and lacking else (target, lacking)


def _choose(
  source: checkpoint.Checkpoint, data: domains.Data, budget: runs.Budget
) -> tuple[domains.Data, strategy_selection.Choice]:
  """Returns the remaining training data and the strategy that `auto` chooses."""
  people = None
  if data.n_target < 2 and data.source is not None:
    rest, people = _held_out(data.source, budget.seed, "source")
    data = dataclasses.replace(data, source=rest)

  def train(name: str, part: domains.Data, short: runs.Budget) -> runs.Adapted:
    return runs.adapt(find(name), source, part, short)

  without = dataclasses.replace(data, validation=None)  # the choice sees no validation label
  return data, strategy_selection.choose(source, without, people, budget, train)


def _held_out(pairs: batches.Pairs, seed: int, name: str) -> tuple[batches.Pairs, batches.Pairs]:
  """Returns the windows of nine tenths of the subjects, and of the others.

  Raises:
    InputError: there is one subject.
  """
  names = pairs.subjects
  count = max(round(_HELD_OUT * len(names)), 1)
  if len(names) < 2:
    raise InputError(f"{name}: contains only one subject, but validation needs separate subjects; pass two or more")
  subjects = splits.draw(names, {"validation": count, "training": len(names) - count}, seed).subjects
  return pairs.of(subjects["training"]), pairs.of(subjects["validation"])


class Evaluation(NamedTuple):
  """Errors of a network.

  Attributes:
    subjects: a row for each subject.
    summary: a row for each metric: mean over subjects, SD, and the number of subjects in which it is defined.
  """

  subjects: pandas.DataFrame
  summary: pandas.DataFrame

  def __str__(self) -> str:
    return f"{len(self.subjects)} subjects\n{self.summary.round(2)}"

  def plot(self) -> Any:
    """Draws the error of each subject.

    Returns:
      A `matplotlib.figure.Figure`, which a notebook shows as a plot that names the subject under the pointer; needs the extra
      `report`.
    """
    errors = {str(name): float(value) for name, value in self.subjects["rmse_mmhg"].dropna().sort_values().items()}
    figure = extras.load("cap_jax.report.figures").errors_of_subjects(errors)
    labels = (axis.get_text() for axis in (figure.axes[0].xaxis.label, figure.axes[0].yaxis.label))
    figure.page = extras.load("cap_jax.report.page").frame_of_points(errors, *labels)
    return figure

  def _repr_html_(self) -> str:
    rows = [
      (name, f"{mean:.2f}", f"{sd:.2f}" if np.isfinite(sd) else "") for name, mean, sd, _ in self.summary.itertuples()
    ]
    first = [row for row in rows if row[0] in _FIRST]
    head = (f"{len(self.subjects)} subject{'s' * (len(self.subjects) != 1)}", "mean", "SD")
    others = html_table.of(head, [row for row in rows if row[0] not in _FIRST])
    return html_table.of(head, first) + f"<details><summary>all quantities</summary>{others}</details>"


def evaluate(net: Network, pairs: batches.Pairs) -> Evaluation:
  """Evaluates a network on labelled windows.

  Args:
    net: the network.
    pairs: windows of subjects that the network has not seen, preferably without overlap.

  Returns:
    Errors, estimated minus measured; the columns are those of `cap_jax.metrics.waveform_metrics.SubjectErrors`.

  Raises:
    InputError: the network outputs no wave, or reads another site.
    LeakError: the network was trained, chosen or calibrated on one of the subjects.
  """
  records.check_kind(net, Network, "net", "pass a network, as `cap_jax.load` returns")
  records.check_windows(pairs, "pairs", labelled=True)
  trained = net.checkpoint
  if trained.task != "waveform":
    raise InputError(f"net: predicts {trained.task}, not a wave; transfer it first")
  records.check_site(pairs, trained.site, "pairs", trained.reference)
  records.check_length(pairs, trained.windows, "pairs")
  records.check_unit(pairs, trained.scaling.unitless, "pairs")
  trained.check_unseen(pairs.subjects)
  evaluator = waveform_metrics.Evaluator(pairs, trained.windows, trained.scaling.unitless)
  errors = evaluator.errors(net.predict(pairs))
  if trained.uncertainty_calibration is not None:
    coverage = uncertainty.coverage(trained, pairs)
    errors = [waveform_metrics.covered(one, part) for one, part in zip(errors, coverage, strict=True)]
  table = pandas.DataFrame([dataclasses.asdict(one) for one in errors])
  table = table.set_index(records.SUBJECT).dropna(axis=1, how="all")
  with np.errstate(invalid="ignore"):  # the width of an interval may be infinite
    return Evaluation(table, table.agg(["mean", "std", "count"]).T)


@dataclasses.dataclass(frozen=True)
class Cohort:
  """Subjects with simultaneous waves, virtual or measured.

  Attributes:
    recordings: one for each subject.
    origin: which cohort it is, for the provenance of networks trained on it.
    place: "in silico" or "in vitro".
  """

  recordings: Sequence[recordings.Recording]
  origin: Mapping[str, Any]
  place: str = datasets.IN_SILICO

  def __repr__(self) -> str:
    kind = "virtual subjects" if self.place == datasets.IN_SILICO else "records"
    return f"Cohort({len(self.recordings)} {kind} of {self.origin['source']}, {self.place})"

  def windows(
    self,
    site: str = "radial",
    reference: str = "aortic_root",
    hop_s: float = 1.0,
    calibration: config.Calibration = config.Calibration(),
  ) -> batches.Pairs:
    """Cuts the recordings into windows of 4 s without a gap.

    Args:
      site: site of the peripheral wave.
      reference: site of the reference wave.
      hop_s: step from one window to the next [s]; 4 for windows that do not overlap, as for a test.
      calibration: reading of each subject's cuff to which the peripheral wave is scaled.

    Returns:
      `Pairs`: x_bt and y_bt (window, time) [mmHg]; a PPG without a calibration stays in its unit.

    Raises:
      InputError: the cohort has no waves of the site.
    """
    for name, value in (("site", site), ("reference", reference)):
      records.check_kind(value, str, name, "pass the name of an artery, such as radial")
    records.check_kind(calibration, config.Calibration, "calibration", "pass cap_jax.config.Calibration(kind=…)")
    scales.check(calibration)
    unitless = config.Signals(site, calibration=calibration).unitless
    calibrated = [
      calibrate.calibrate(one, site, calibration, unitless) if site in one.signals else one for one in self.recordings
    ]
    spec = config.Windows(hop_s=records.real(hop_s, "hop_s"))
    return batches.make_pairs(calibrated, site, spec, reference, gaps=True)


def cohort(
  name: str = "wide",
  subjects: int = 1000,
  seed: int = 0,
  sites: Sequence[str] = ("radial",),
  device: clinics.Device | None = None,
  seconds: float = 16.0,
) -> Cohort:
  """Draws a virtual cohort from the model of the arteries.

  Args:
    name: name of a source or a target clinic in `cap_jax.clinics`, such as "wide" or "device_population".
    subjects: how many.
    seed: draws subjects, rhythms and devices.
    sites: where peripheral waves are measured; the aortic root is always included.
    device: device that measures pressures, instead of the clinic's own, such as `cap_jax.clinics.TONOMETER`.
    seconds: length of each record [s].

  Returns:
    The recordings at 125 Hz.

  Raises:
    InputError: the clinic or a site is unknown, or a number is out of range.
  """
  records.check_kind(name, str, "name", "pass the name of a clinic")
  if not isinstance(sites, Iterable) or isinstance(sites, str) or not all(isinstance(site, str) for site in sites):
    raise InputError(f"sites={sites!r}: must be a tuple of sites, such as ('radial',)")
  scenes = {**clinics.SOURCES, **clinics.SCENARIOS}
  if name not in scenes:
    raise InputError(f"cohort {name!r} is unknown; {suggest(name, scenes)}")
  if device is not None:
    records.check_kind(device, clinics.Device, "device", "pass a cap_jax.clinics.Device, such as TONOMETER")
  scene = scenes[name]
  scene = dataclasses.replace(scene, device=device or scene.device)
  clinic = scene.clinic(name, int(subjects) if config.is_whole(subjects) else subjects, seconds, seed=seed)
  origin = {"data": "in silico: virtual cohort", "source": name, "cohort_seed": seed}
  if device is not None:
    origin["device"] = dataclasses.asdict(device)
  outside = tuple(dict.fromkeys(site for site in sites if site != "aortic_root"))
  return Cohort(virtual.draw(clinic, outside), origin)


def pretrain(
  people: Cohort | batches.Pairs,
  task: str = "waveform",
  steps: int = 3000,
  site: str = "radial",
  validation: batches.Pairs | None = None,
  model: config.Model = config.Model(),
  seed: int = 0,
  calibration: config.Calibration = config.Calibration(),
) -> Network:
  """Trains a source network.

  Args:
    people: a cohort, or labelled windows.
    task: what the network learns, a name in `cap_jax.losses.tasks.TASKS`.
    steps: steps of the training, a multiple of 50.
    site: where the network reads; "digital_ppg" is finger PPG.
    validation: windows of other subjects; without them a tenth of the subjects is held out.
    model: the network.
    seed: seed of the parameters, the order of windows and the held-out subjects.
    calibration: calibration of the input, as `cap_jax.config.Calibration(kind="sbp_dbp")`. A cohort is calibrated by the
      readings of its cuffs; pass windows of calibrated waves.

  Returns:
    The network. With the task "waveform" it has prediction intervals, calibrated on the validation subjects.

  Raises:
    InputError: the task is unknown, the network cannot read such windows, or there are fewer than two subjects.
    LeakError: a subject is in both training and validation, or has two names there.
  """
  records.check_kind(task, str, "task", "pass the name of a task")
  if task not in tasks.TASKS:
    raise InputError(f"task {task!r} is unknown; {suggest(task, tasks.TASKS)}")
  records.check_kind(model, config.Model, "model", "pass a cap_jax.config.Model")
  records.check_kind(site, str, "site", "pass the name of an artery, such as radial")
  spec = config.Training(steps=steps, learning_rate=2e-2, seed=seed)
  task_reference = tasks.TASKS[task].reference or site
  reference = "aortic_root" if task_reference == tasks.STUDY_REFERENCE else task_reference
  if isinstance(people, Cohort):
    pairs, origin = people.windows(site, reference, calibration=calibration), people.origin
  else:
    records.check_windows(people, "people", labelled=True)
    records.check_site(people, site, "people", reference)
    pairs, origin = people, {}
  if validation is None:
    pairs, validation = _held_out(pairs, seed, "people")
  records.check_windows(validation, "validation", labelled=True)
  records.check_site(validation, site, "validation", reference)
  duplicates.check_windows({"validation": validation}, {"people": pairs})
  signals = config.Signals(site, calibration=calibration)
  for name, part in (("people", pairs), ("validation", validation)):
    records.check_unit(part, signals.unitless, name)
  trained, _ = source_training.pretrain(pairs, validation, task, model, spec, signals, origin)
  return Network(_with_source_intervals(trained, pairs, validation, steps) if task == "waveform" else trained)


def _with_source_intervals(
  trained: checkpoint.Checkpoint, pairs: batches.Pairs, validation: batches.Pairs, steps: int
) -> checkpoint.Checkpoint:
  """Returns a source network with intervals that validation subjects calibrate."""
  head = uncertainty_training.fit_head(trained, pairs)
  conservative = uncertainty_training.fit_fallback(trained, pairs, validation)
  detector = uncertainty.OutlierDetector(
    uncertainty_training.fit_detector(trained, pairs, steps), fallback=conservative
  )
  where = uncertainty_calibration.OF_SOURCE
  return uncertainty.equip(trained, head, detector, pairs, validation, where, adapted=False)
