"""The functions of `import cap_jax`: arrays in, arrays out.

net = cap_jax.load("radial")
out = net.reconstruct(p_mmhg, fs_hz=200)
pairs = cap_jax.windows(x, y, fs_hz=125, subject=names)
tuned = cap_jax.transfer(net, "fine_tuning", labelled=pairs)
table = cap_jax.evaluate(tuned, test_pairs)
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas

from cap_jax import clinics, config
from cap_jax.data import batches, conditioning, recordings, splits
from cap_jax.data.sources import virtual
from cap_jax.haemodynamics import indices
from cap_jax.inference import pretrained, reconstruct, uncertainty
from cap_jax.losses import tasks
from cap_jax.metrics import waveform_metrics
from cap_jax.strategies import find
from cap_jax.strategies.strategy import Strategy
from cap_jax.train import checkpoint, prediction, runs, strategy_selection
from cap_jax.types import InputError, Params

_SUBJECT = "subject"
_ENDING = "_pressure_mmhg"  # of a column that holds a pressure
_HELD_OUT = 0.1  # of the subjects, for validation where no validation windows are given
Windows = batches.Pairs | batches.Waves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction:
  """The aortic wave of a record.

  Attributes:
    time_s: (time,) clock of the input [s].
    peripheral_mmhg: (time,) the wave that was read; NaN in the gaps.
    aortic_mmhg: (time,) the reconstructed wave; NaN in the gaps.
    interval: (time, 2) its 90 % prediction interval [mmHg]; NaN for a network without one.
    beats: a row a beat: time, heart rate, central and peripheral pressures, half the width of cSBP's interval.
    ood_fraction: share of the windows that are out of distribution; NaN for a network that cannot tell.
    gaps: a row a stretch without a reconstruction: start, end and reason.
    fs_hz: sampling rate.
    site: where the peripheral wave was measured.
  """

  time_s: np.ndarray
  peripheral_mmhg: np.ndarray
  aortic_mmhg: np.ndarray
  interval: np.ndarray
  beats: pandas.DataFrame
  ood_fraction: float
  gaps: pandas.DataFrame
  fs_hz: float
  site: str

  def indices(self) -> pandas.DataFrame:
    """Computes the haemodynamic indices of `cap_jax.haemodynamics.indices`.

    Returns:
      A row a beat, a column an index with its unit; NaN where an index is undefined.
    """
    parts = []
    for part in np.ma.clump_unmasked(np.ma.masked_invalid(self.aortic_mmhg)):
      found = indices.of_wave(self.aortic_mmhg[part], self.fs_hz, self.peripheral_mmhg[part])
      parts.append(pandas.DataFrame({f"{name}{_unit(name)}": value for name, value in found.values.items()}))
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame()

  def plot(self) -> Any:
    """Draws both waves, the interval and the gaps.

    Returns:
      A `matplotlib.figure.Figure`; needs the extra `report`.
    """
    from cap_jax.report import figures  # needs matplotlib, which not everybody has installed

    gaps = list(self.gaps[["start_s", "end_s"]].itertuples(index=False, name=None))
    half_t = (self.interval[:, 1] - self.interval[:, 0]) / 2
    return figures.reconstruction(self.time_s, self.peripheral_mmhg, self.aortic_mmhg, self.site, gaps, half_t)


def _unit(index: str) -> str:
  unit = indices.UNITS[index].replace("%", "percent").replace("/", "_per_").replace(" ", "_").lower()
  return f"_{unit}" if unit else ""


@dataclasses.dataclass(frozen=True)
class Network:
  """A trained network with all that its use needs. `load`, `pretrain` and `transfer` make one.

  Attributes:
    checkpoint: parameters, architecture, scaling and provenance.
    reason: what a transfer chose or noticed, "" for nothing.
  """

  checkpoint: checkpoint.Checkpoint
  reason: str = ""

  @property
  def params(self) -> Params:
    """Parameters by block: {"f": θ_f, "r": θ_r}."""
    return self.checkpoint.params

  @property
  def about(self) -> Mapping[str, Any]:
    """Provenance: source, strategy, steps, seeds and validation error."""
    return MappingProxyType(self.checkpoint.about)

  def reconstruct(
    self, p_mmhg: Any, fs_hz: float | None = None, time_s: Any = None, covariates: Mapping[str, float] | None = None
  ) -> Reconstruction:
    """Reconstructs the aortic wave of a record.

    Args:
      p_mmhg: (time,) peripheral pressure [mmHg] at the site that the network reads, any length from one beat; NaN where it is missing.
      fs_hz: sampling rate [Hz].
      time_s: (time,) strictly increasing clock [s], instead of a rate.
      covariates: what the network takes besides the wave, as {"age": 70}.

    Returns:
      The aortic wave on the clock of the input.

    Raises:
      InputError: the record cannot be read, or no stretch of a beat or more is usable.
    """
    site = self.checkpoint.site
    recording = _recording({site: p_mmhg}, fs_hz, time_s, "record", covariates)
    made = reconstruct.reconstruct(self.checkpoint, recording)
    half_t = made.half_width_mmhg
    columns = [field.name for field in dataclasses.fields(reconstruct.Beat)]
    gaps = [(gap.start_s, gap.end_s, gap.reason) for gap in made.gaps]
    return Reconstruction(
      time_s=made.time_s,
      peripheral_mmhg=made.peripheral_mmhg,
      aortic_mmhg=made.aortic_mmhg,
      interval=np.stack([made.aortic_mmhg - half_t, made.aortic_mmhg + half_t], axis=1),
      beats=pandas.DataFrame([dataclasses.astuple(beat) for beat in made.beats], columns=columns),
      ood_fraction=made.ood_fraction,
      gaps=pandas.DataFrame(gaps, columns=["start_s", "end_s", "reason"]),
      fs_hz=recording.fs_hz,
      site=site,
    )

  def with_params(self, params: Params) -> "Network":
    """Returns the network with other parameters, as `merge` makes them. Its prediction intervals go: they were those of the old ones."""
    return Network(dataclasses.replace(self.checkpoint, params=params, uncertainty_calibration=None))

  def predict(self, pairs: Windows) -> np.ndarray:
    """Predicts the reference windows [mmHg] of peripheral windows, both (window, time)."""
    return prediction.predict(self.checkpoint, pairs)

  def save(self, path: str | os.PathLike[str]) -> None:
    """Saves the network in a folder that does not exist yet; `load` and all commands read it.

    Raises:
      InputError: the folder exists, or a parameter is NaN or infinite.
    """
    checkpoint.save(path, self.checkpoint)


def load(name: str | os.PathLike[str]) -> Network:
  """Loads a network.

  Args:
    name: of a network of the package, such as "radial", or the folder of a checkpoint.

  Raises:
    InputError: there is none, or it is damaged.
  """
  shipped = pretrained.FOLDER.parent / os.fspath(name)
  if os.sep not in os.fspath(name) and (shipped / checkpoint.HEADER).is_file():
    return Network(checkpoint.load(shipped))
  return Network(checkpoint.load(name))


def _recording(
  signals: Mapping[str, Any], fs_hz: float | None, time_s: Any, subject: str, covariates: Mapping[str, float] | None
) -> recordings.Recording:
  """Arrays of one record as a recording.

  Raises:
    InputError: it has neither a rate nor a clock, or both; or arrays differ in shape.
  """
  arrays = {name: np.asarray(wave, dtype=float) for name, wave in signals.items()}
  for name, wave in arrays.items():
    if wave.ndim != 1:
      raise InputError(f"{subject}: {name} has the shape {wave.shape}; give one record, an array (time,)")
  if (fs_hz is None) == (time_s is None):
    raise InputError(f"{subject}: give either fs_hz= or time_s=")
  size = next(iter(arrays.values())).size
  clock = np.arange(size) / fs_hz if fs_hz is not None else np.asarray(time_s, dtype=float)
  return recordings.make(subject, "", subject, clock, arrays, covariates=covariates)


def _records(waves: Any) -> list[Any]:
  """An array (time,), an array (record, time) or a list of arrays as a list of records."""
  if isinstance(waves, np.ndarray) and waves.ndim == 1 and waves.dtype.kind != "O":
    return [waves]
  if isinstance(waves, Sequence) and waves and np.ndim(waves[0]) == 0:
    return [np.asarray(waves)]
  return list(waves)


def windows(
  x: Any,
  y: Any = None,
  fs_hz: float | None = None,
  subject: Any = None,
  site: str = "radial",
  reference: str = "aortic_root",
  hop_s: float = 1.0,
) -> Windows:
  """Cuts records into windows of 4 s at 125 Hz. Records are conditioned first: resampled, without faulty beats and without a monitor's
  delay.

  Args:
    x: peripheral pressure [mmHg]: an array (time,), an array (record, time), or a list of arrays of any length. Or a DataFrame with
      the columns `<site>_pressure_mmhg`, `<reference>_pressure_mmhg` and, where they are known, `subject` and `time_s`.
    y: aortic pressure [mmHg] on the same clock, likewise; without it the windows are unlabelled.
    fs_hz: sampling rate [Hz]; a DataFrame may have a clock instead.
    subject: name of each record, or one name for all; each record is a subject of its own without it.
    site: where x was measured.
    reference: where y was measured.
    hop_s: from one window to the next [s]; 4 for windows that do not overlap, as for a test.

  Returns:
    `Pairs` with x_bt and y_bt, or `Waves` with x_bt alone, (window, time) [mmHg].

  Raises:
    InputError: arrays do not fit together, or no record has a whole window.
  """
  recordings.check_site(site)
  found = (
    _of_table(x, fs_hz, site, reference)
    if isinstance(x, pandas.DataFrame)
    else _of_arrays(x, y, fs_hz, subject, site, reference)
  )
  spec = config.Windows(hop_s=hop_s)
  kept = [conditioning.condition(one, config.Conditioning(fs_hz=spec.fs_hz))[0] for one in found]
  labelled = all(reference in one.signals for one in kept)
  pairs = batches.make_pairs(kept, site, spec, reference if labelled else site, gaps=True)
  return pairs if labelled else pairs.unlabelled()


def _of_arrays(
  x: Any, y: Any, fs_hz: float | None, subject: Any, site: str, reference: str
) -> list[recordings.Recording]:
  outside, inside = _records(x), None if y is None else _records(y)
  names = [f"record-{k:04d}" for k in range(len(outside))] if subject is None else subject
  names = [names] * len(outside) if isinstance(names, str) else [str(name) for name in names]
  if len(names) != len(outside) or (inside is not None and len(inside) != len(outside)):
    given = "" if inside is None else f", y {len(inside)}"
    raise InputError(f"x holds {len(outside)} records{given}, subject {len(names)} names; give one of each a record")
  return [
    _recording({site: wave} if inside is None else {site: wave, reference: inside[k]}, fs_hz, None, name, None)
    for k, (wave, name) in enumerate(zip(outside, names, strict=True))
  ]


def _of_table(table: pandas.DataFrame, fs_hz: float | None, site: str, reference: str) -> list[recordings.Recording]:
  columns = {name: f"{name}{_ENDING}" for name in (site, reference)}
  if columns[site] not in table:
    raise InputError(f"x: no column {columns[site]}; it has {', '.join(map(str, table.columns))}")
  there = [name for name in columns if columns[name] in table]
  groups = table.groupby(_SUBJECT, sort=False) if _SUBJECT in table else [("record-0000", table)]
  return [
    _recording(
      {one: part[columns[one]] for one in there},
      None if recordings.TIME in part else fs_hz,
      part.get(recordings.TIME, None),
      str(name),
      None,
    )
    for name, part in groups
  ]


def transfer(
  net: Network,
  strategy: str | Strategy,
  labelled: batches.Pairs | None = None,
  unlabelled: Windows | None = None,
  source: batches.Pairs | None = None,
  validation: batches.Pairs | None = None,
  budget: runs.Budget = runs.Budget(),
  site: str | None = None,
) -> Network:
  """Transfers a source network to a target.

  Args:
    net: the source network.
    strategy: a name in `cap_jax.STRATEGIES`, a `Strategy` of your own, or "auto", which compares some and takes the best. With 0 or
      1 labelled subject it compares on source subjects, a tenth of those in `source`, which it does not train on.
    labelled: windows of labelled target subjects.
    unlabelled: peripheral windows of the target, for strategies that adapt to them.
    source: windows of the source, for strategies that go on learning from it; `Cohort.windows` of the cohort that the network is from.
    validation: windows of other target subjects. They choose nothing; they calibrate the prediction intervals, which need 9 subjects.
    budget: steps, batch and seed.
    site: where the target measures; where the source network reads without it.

  Returns:
    The target network; its `reason` tells what was chosen and why.

  Raises:
    InputError: the strategy is unknown, or reads windows that were not given.
    LeakError: a subject stands in two parts.
  """
  free = unlabelled.unlabelled() if isinstance(unlabelled, batches.Pairs) else unlabelled
  data = runs.Data(source, free, labelled, validation, site or net.checkpoint.site)
  reason = ""
  if strategy == strategy_selection.NAME:
    data, choice = _choose(net.checkpoint, data, budget)
    strategy, reason = choice.name, strategy_selection.format_ranking(choice)
  strategy = find(strategy) if isinstance(strategy, str) else strategy
  made = runs.adapt(strategy, net.checkpoint, data, budget)
  found = made.checkpoint
  if validation is not None:
    training = free if free is not None else labelled
    assert training is not None  # a strategy reads one of the two
    head = uncertainty.transferred_head(made, net.checkpoint)
    found = uncertainty.equip(found, head, training, validation, "validation subjects of the target")
  return Network(found, "; ".join(text for text in (reason, made.reason) if text))


def _choose(
  source: checkpoint.Checkpoint, data: runs.Data, budget: runs.Budget
) -> tuple[runs.Data, strategy_selection.Choice]:
  """The strategy that `auto` takes, and what is left to train on."""
  people = None
  if data.n_target < 2 and data.source is not None:
    rest, people = _held_out(data.source, budget.seed, "source")
    data = dataclasses.replace(data, source=rest)

  def train(name: str, part: runs.Data, short: runs.Budget) -> runs.Adapted:
    return runs.adapt(find(name), source, part, short)

  without = dataclasses.replace(data, validation=None)  # the choice sees no validation label
  return data, strategy_selection.choose(source, without, people, budget, train)


def _held_out(pairs: batches.Pairs, seed: int, where: str) -> tuple[batches.Pairs, batches.Pairs]:
  """The windows of nine tenths of the subjects, and of the others.

  Raises:
    InputError: there is one subject.
  """
  names = pairs.subjects
  count = max(round(_HELD_OUT * len(names)), 1)
  if len(names) < 2:
    raise InputError(f"{where}: one subject, and some are held out; give two or more")
  parts = splits.draw(names, {"validation": count, "training": len(names) - count}, seed).parts
  return pairs.of(parts["training"]), pairs.of(parts["validation"])


class Evaluation(NamedTuple):
  """Errors of a network: `subjects` has a row a subject, `summary` the mean over subjects and its SD, a row a metric."""

  subjects: pandas.DataFrame
  summary: pandas.DataFrame

  def __str__(self) -> str:
    return f"{len(self.subjects)} subjects\n{self.summary.round(2)}"


def evaluate(net: Network, pairs: batches.Pairs) -> Evaluation:
  """Evaluates a network on labelled windows.

  Args:
    net: the network.
    pairs: windows of subjects whom it has not seen, best without overlap.

  Returns:
    Errors, estimated minus measured; the columns are those of `cap_jax.metrics.waveform_metrics.SubjectErrors`.

  Raises:
    LeakError: the network was trained, chosen or calibrated on one of the subjects.
  """
  net.checkpoint.check_unseen(pairs.subjects)
  found = waveform_metrics.Evaluator(pairs, net.checkpoint.windows).errors(net.predict(pairs))
  if net.checkpoint.uncertainty_calibration is not None:
    held = uncertainty.coverage(net.checkpoint, pairs)
    found = [waveform_metrics.covered(one, part) for one, part in zip(found, held, strict=True)]
  table = pandas.DataFrame([dataclasses.asdict(one) for one in found]).set_index(_SUBJECT).dropna(axis=1, how="all")
  return Evaluation(table, table.agg(["mean", "std"]).T)


@dataclasses.dataclass(frozen=True)
class Cohort:
  """Virtual subjects as a clinic records them: *in silico*.

  Attributes:
    recordings: one a subject.
    origin: which cohort it is, for the provenance of what is trained on it.
  """

  recordings: Sequence[recordings.Recording]
  origin: Mapping[str, Any]

  def windows(self, site: str = "radial", reference: str = "aortic_root") -> batches.Pairs:
    """Cuts the recordings into windows of 4 s.

    Raises:
      InputError: the cohort was not drawn at the site.
    """
    return batches.make_pairs(self.recordings, site, config.Windows(), reference)


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
    name: of a source or a target clinic in `cap_jax.clinics`, such as "wide" or "device_population".
    subjects: how many.
    seed: draws subjects, rhythms and devices.
    sites: where peripheral waves are measured; the aortic root always comes with them.
    device: what measures pressures, instead of the clinic's own.
    seconds: of record a subject.

  Returns:
    The recordings at 125 Hz.

  Raises:
    InputError: the clinic or a site is unknown, or a number cannot be.
  """
  known = {**clinics.SOURCES, **clinics.SCENARIOS}
  if name not in known:
    raise InputError(f"cohort {name!r} is unknown; choose one of {', '.join(known)}")
  scene = known[name]
  clinic = clinics.Clinic(
    name=name,
    subjects=subjects,
    seconds=seconds,
    population=scene.population,
    device=device or scene.device,
    oximeter=scene.oximeter,
    rhythm=scene.rhythm,
    seed=seed,
  )
  origin = {"data": "in silico: virtual cohort", "source": name, "cohort_seed": seed}
  if device is not None:
    origin["device"] = dataclasses.asdict(device)
  wanted = tuple(dict.fromkeys(site for site in sites if site != "aortic_root"))
  return Cohort(virtual.draw(clinic, wanted), origin)


def pretrain(
  people: Cohort | batches.Pairs,
  task: str = "waveform",
  steps: int = 3000,
  site: str = "radial",
  validation: batches.Pairs | None = None,
  model: config.Model = config.Model(),
  seed: int = 0,
) -> Network:
  """Trains a source network.

  Args:
    people: a cohort, or labelled windows.
    task: what it learns, a name in `cap_jax.losses.tasks.TASKS`.
    steps: of the training.
    site: where it reads.
    validation: windows of other subjects; without them a tenth of the subjects is held out.
    model: the network.
    seed: of the parameters, the order of windows and who is held out.

  Returns:
    The network. One of the task "waveform" has prediction intervals, calibrated on the validation subjects.

  Raises:
    InputError: the task is unknown, or there are fewer than two subjects.
    LeakError: a subject stands in both parts.
  """
  if task not in tasks.TASKS:
    raise InputError(f"task {task!r} is unknown; choose one of {', '.join(tasks.TASKS)}")
  asked = tasks.TASKS[task].reference or site
  reference = "aortic_root" if asked == tasks.SOUGHT else asked
  pairs = people.windows(site, reference) if isinstance(people, Cohort) else people
  origin = people.origin if isinstance(people, Cohort) else {}
  if validation is None:
    pairs, validation = _held_out(pairs, seed, "people")
  spec = config.Training(steps=steps, learning_rate=2e-2, seed=seed)
  found, _ = runs.pretrain(pairs, validation, task, model, spec, config.Signals(site), origin)
  if task == "waveform":
    head = uncertainty.fit_head(found, pairs)
    found = uncertainty.equip(found, head, pairs, validation, "validation subjects of the source", adapted=False)
  return Network(found)
