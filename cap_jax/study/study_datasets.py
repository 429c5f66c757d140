"""Data of a study: a source and a target, cut into windows and split by subject.

They are drawn from virtual clinics or read from prepared stores.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cap_jax import clinics, config
from cap_jax.data import (
  batches,
  calibrate,
  conditioning,
  datasets,
  duplicates,
  recordings,
  simulated_clinics,
  splits,
  store,
  stream,
  subject_partition,
)
from cap_jax.data.sources import virtual
from cap_jax.losses import tasks
from cap_jax.signals import calibration as scales
from cap_jax.study import folds, study_config
from cap_jax.train import domains
from cap_jax.types import InputError

_LEAST_SUBJECTS = 3  # of a store
_MAX_SOURCE_WINDOWS = 20_000  # in memory
_TARGET_FIELDS = ("labelled", "unlabelled", "validation", "test")
_MAX_TARGET_WINDOWS = 100_000  # of a part in memory, evenly from its recordings
_SUBJECTS_PER_CLINIC, _WINDOWS_OF_MEMBER = 2, 3  # of simulated clinics: a subject is in about eight of them
_PLAIN_PEOPLE = 2000  # enough for a transfer function
_ANOTHER_POOL = 2_000_006  # even, between the seeds of people
_CONDITIONING = config.Conditioning(synchronise=False)  # a delay that nobody has removed is part of a scenario


@dataclasses.dataclass(frozen=True)
class Source:
  """Windows of the source, with the reference of its task.

  Attributes:
    training, validation: windows of these subjects.
    origin: where the data are from.
    left_out: why records were left out.
  """

  training: batches.Pairs | stream.Stream
  validation: batches.Pairs
  origin: Mapping[str, Any]
  left_out: tuple[str, ...] = ()

  @functools.cached_property
  def in_memory(self) -> batches.Pairs:
    """Training windows in memory, for strategies that need all of them at once; of a store a sample."""
    return self.training if isinstance(self.training, batches.Pairs) else self.training.sample(_MAX_SOURCE_WINDOWS)


@dataclasses.dataclass(frozen=True)
class Target:
  """Windows of the target clinic: labelled, unlabelled, validation and test subjects, and its peripheral site."""

  labelled: batches.Pairs
  unlabelled: batches.Waves
  validation: batches.Pairs
  test: batches.Pairs
  site: str

  def draw(self, n_target: int, seed: int) -> batches.Pairs | None:
    """Returns the windows of `n_target` labelled subjects.

    Args:
      n_target: number of subjects.
      seed: of the draw. A larger draw with the same seed contains the smaller ones.

    Returns:
      The windows, None if `n_target` is 0.
    """
    if n_target == 0:
      return None
    return self.labelled.of(splits.few_shot(self.labelled.subjects, n_target, seed))

  def data(self, source: Source, n_target: int, seed: int) -> domains.Data:
    """Returns the data that a strategy may use at `n_target` labelled subjects.

    Args:
      source: of the study.
      n_target: number of labelled subjects.
      seed: that draws them.
    """
    return domains.Data(source.in_memory, self.unlabelled, self.draw(n_target, seed), site=self.site)


def plain_source(study: study_config.Study, source: Source) -> Source:
  """Returns the people of a source without distorting lines: those of `patients` where it simulates clinics, otherwise itself."""
  if study.source not in clinics.MIXTURES or study.source_data:
    return source
  people = min(study.source_subjects, _PLAIN_PEOPLE)
  return load_source(dataclasses.replace(study, source="patients", uncertainty_source="", source_subjects=people))


def without_labels(source: Source) -> Source:
  """Returns a source whose simulated clinics have no labelled subject, for a network that reads its context."""

  def unlabelled(windows: batches.Pairs) -> batches.Pairs:
    if not isinstance(windows, batches.ClinicPairs):
      return windows
    nobody_b = np.zeros_like(windows.membership.labelled_b)
    return dataclasses.replace(windows, membership=windows.membership._replace(labelled_b=nobody_b))

  training = source.training
  return dataclasses.replace(
    source,
    training=unlabelled(training) if isinstance(training, batches.Pairs) else training,
    validation=unlabelled(source.validation),
  )


def source_clinic(study: study_config.Study) -> clinics.Clinic:
  """Returns the clinic of the source.

  Its seed is even and a target's odd, so that no subject is in both, whatever the cohort seeds.
  """
  subjects = study.source_subjects + study.validation_subjects
  scenario = clinics.SOURCES[study.source]
  return scenario.clinic("source", subjects, study.source_seconds, study.windows.fs_hz, 2 * study.cohort_seed)


def target_clinic(study: study_config.Study) -> clinics.Clinic:
  """Returns the clinic of the study's scenario."""
  subjects = study.labelled_subjects + study.unlabelled_subjects + study.validation_subjects + study.test_subjects
  scenario = clinics.SCENARIOS[study.scenario]
  return scenario.clinic("target", subjects, study.target_seconds, study.windows.fs_hz, 2 * study.cohort_seed + 1)


def target_site(study: study_config.Study) -> str:
  """Returns the peripheral site of the target: the scenario's own if it has one, otherwise the study's."""
  if study.target_data:
    return study.site
  return clinics.SCENARIOS[study.scenario].site or study.site


def reference_of(study: study_config.Study) -> str:
  """Returns the reference wave of the source's task."""
  reference = tasks.TASKS[study.task].reference or study.site
  return study.reference if reference == tasks.STUDY_REFERENCE else reference


def _place_of(path: str) -> tuple[str, str]:
  """Returns where the records of a store come from, and its source unless they are virtual."""
  opened = store.open_store(path) if path else None
  if opened is None or opened.place == datasets.IN_SILICO:
    return datasets.IN_SILICO, ""
  return opened.place, str(opened.manifest["source"])


def place(study: study_config.Study) -> str:
  """Returns where the test subjects come from, one of `datasets.PLACES`, whatever the source network was trained on."""
  return _place_of(study.target_data)[0]


def describe(study: study_config.Study) -> str:
  """Describes in a sentence whether the subjects are virtual.

  Raises:
    DataError: a store cannot be opened.
  """
  (_, source), (where, target) = _place_of(study.source_data), _place_of(study.target_data)
  if target:
    kind = f"With {where}" if where in datasets.PEOPLE else where.capitalize()
    return f"{kind}: {target}." + ("" if source else " The source is virtual.")
  return (
    f"In silico: all test subjects are virtual. Source: {source}." if source else "In silico: all subjects are virtual."
  )


def check_stores(study: study_config.Study) -> None:
  """Checks that the stores of a study exist.

  Raises:
    InputError: there is no store at a path.
    DataError: a store is damaged.
  """
  for path in (study.source_data, study.target_data):
    if path:
      store.open_store(path)


def check_rates(study: study_config.Study) -> None:
  """Checks before long work that the stores of a study have the rate of its windows, which is that of its source network.

  Raises:
    InputError: a store has another rate.
  """
  for path in filter(None, (study.source_data, study.target_data)):
    rate, needed = store.open_store(path).fs_hz, study.windows.fs_hz
    if abs(rate / needed - 1) > 1e-3:
      raise InputError(
        f"{path}: sampled at {rate:g} Hz, but the network reads {needed:g} Hz; prepare the data again with --fs_hz={needed:g}"
      )


def store_hashes(study: study_config.Study) -> dict[str, str]:
  """Returns path → SHA-256 of the stores of a study and of their division into parts, and of the target's own division."""
  opened = {path: store.open_store(path) for path in (study.source_data, study.target_data) if path}
  hashes = {path: f"{one.manifest['sha256']} {one.split.digest}" for path, one in opened.items()}
  return hashes | ({study.target_split: splits.load(study.target_split).digest} if study.target_split else {})


def unknown_level(study: study_config.Study) -> str:
  """Returns that the study's networks do not know the pressure level, "" if they do."""
  return scales.unknown_level(study.signals.unitless, study.model_of_target.covariates)


def _calibrated(study: study_config.Study, recording: recordings.Recording, site: str) -> recordings.Recording:
  """Returns a recording with the wave of a site as the study's networks read it."""
  return calibrate.calibrate(recording, site, study.calibration, study.signals.unitless)


def load_source(study: study_config.Study) -> Source:
  """Draws the source cohort or opens its store, with the reference wave of its task.

  Raises:
    InputError: the store lacks a signal, a part of its split, or windows.
  """
  if study.source_data:
    return _load_stored_source(study)
  if study.source in clinics.MIXTURES:
    return _simulated_source(study)
  reference = reference_of(study)
  cohort = virtual.draw(source_clinic(study), (study.site,), reference)
  sizes = {"training": study.source_subjects, "validation": study.validation_subjects}
  split = splits.draw([r.subject for r in cohort], sizes, study.cohort_seed)
  cohort = [_calibrated(study, recording, study.site) for recording in cohort]
  pairs = batches.make_pairs(cohort, study.site, study.windows, reference)
  origin = {"data": "in silico: virtual cohort", "source": study.source}
  return Source(pairs.of(split.subjects["training"]), pairs.of(split.subjects["validation"]), origin)


def _simulated_source(study: study_config.Study) -> Source:
  """Draws the people of a mixture of clinics, and simulates clinics of the training and of the validation subjects."""
  mixture, reference = clinics.MIXTURES[study.source], reference_of(study)
  sizes = {"training": study.source_subjects, "validation": study.validation_subjects}
  pools: dict[str, list[simulated_clinics.People]] = {part: [] for part in sizes}
  for number, (setup, share) in enumerate(mixture.people):
    counts = {part: max(round(share * size), 1) for part, size in sizes.items()}
    scenario = clinics.Scenario(setup.population, setup.device, setup.oximeter, setup.rhythm)
    seed = (2 * study.cohort_seed + _ANOTHER_POOL * number) % 2**32
    clinic = scenario.clinic(f"source{number}", sum(counts.values()), study.source_seconds, study.windows.fs_hz, seed)
    cohort = [_calibrated(study, one, study.site) for one in virtual.draw(clinic, (study.site,), reference)]
    split = splits.draw([one.subject for one in cohort], counts, study.cohort_seed)
    everyone = simulated_clinics.people(cohort, study.site, reference, virtual.COVARIATES)
    for part, names in split.subjects.items():
      pools[part].append(everyone.at(np.flatnonzero(np.isin(everyone.subject_s, names))))
  training, validation = (
    dataclasses.replace(
      simulated_clinics.simulate(
        pools[part], mixture, study.windows, max(sizes[part] // _SUBJECTS_PER_CLINIC, 1), _WINDOWS_OF_MEMBER, seed
      ),
      sites=(study.site, reference),
    )
    for part, seed in (("training", study.cohort_seed), ("validation", study.cohort_seed + 1))
  )
  return Source(training, validation, {"data": "in silico: simulated clinics", "source": study.source})


def _load_stored_source(study: study_config.Study) -> Source:
  opened = store.open_store(study.source_data)
  signals = (study.site, reference_of(study))
  training = stream.Stream(
    opened, opened.split.subjects.get(subject_partition.TRAINING, ()), signals, study.windows, study.calibration,
    jax.process_index(), jax.process_count(),
  )  # fmt: skip
  names = opened.split.subjects.get(subject_partition.VALIDATION, ())
  validation = _load_pairs(
    opened, names, signals, study, _without_overlap(study), subject_partition.VALIDATION, _MAX_SOURCE_WINDOWS
  )
  data = f"{opened.place}: {opened.manifest['source']}, {opened.manifest['sha256'][:12]}"
  origin = {"data": data, "source": study.source, "source_data": os.path.abspath(study.source_data)}
  return Source(training, validation, origin, training.left_out)


def _load_pairs(
  opened: store.Store, subjects: tuple[str, ...], signals: tuple[str, str], study: study_config.Study, spec: config.Windows,
  part: str, most: int,
) -> batches.Pairs:  # fmt: skip
  """Loads about `most` windows of a part of a store into memory, evenly from all its recordings if there are more.

  Subjects without a whole window, or without the reading that the calibration needs, are left out.

  Raises:
    InputError: no subject is left.
  """
  usable = opened.usable(signals, spec.samples)
  names = [name for name in subjects if name in usable]
  count = sum(usable[name] * spec.samples // spec.hop for name in names)
  calibrated, problem = [], ""
  for recording in opened.recordings(names, signals):
    if set(signals) <= set(recording.signals):
      try:
        calibrated.append(_calibrated(study, recording, signals[0]))
      except InputError as error:
        problem = f" ({error})"
  if not calibrated:
    who = f"{len(subjects)} subject(s), none with a usable window{problem}" if subjects else "no subjects"
    waves = " and ".join(dict.fromkeys(signals))
    remedy = f"a window needs {spec.seconds:g} s in one piece: leave out shorter records and prepare the store again, or choose another --split or site"
    if not subjects and len({record.subject for shard in opened.shards for record in shard.records}) < _LEAST_SUBJECTS:
      remedy = f"a transfer needs {_LEAST_SUBJECTS} subjects or more: one each for training, validation and test"
    raise InputError(f"{opened.path}: part {part!r} of its split contains {who} of {waves}; {remedy}")
  share = max(most // len(calibrated), 1) if count > most else None
  return batches.make_pairs(calibrated, signals[0], spec, signals[1], gaps=True, most=share)


def _check_labelled(study: study_config.Study, available: int, where: str) -> None:
  """Checks that as many subjects can be labelled as the study needs.

  Raises:
    InputError: there are fewer.
  """
  if available < max(study.n_target):
    raise InputError(
      f"n_target={study.n_target}: {where} has only {available} labelled subjects for training; use fewer"
    )


def load_target(study: study_config.Study, fold: int = 0) -> Target:
  """Draws the target clinic or opens its store. Drawn records are conditioned like measured ones, but not synchronised.

  Test and validation windows do not overlap, so that no sample counts twice.

  Args:
    study: of one target clinic.
    fold: which subjects are tested, 0 to `folds.count(study)` − 1.

  Raises:
    InputError: the store lacks a signal, a part of its split, or enough labelled subjects.
    splits.LeakError: the stores of source and target have the same wave under two names.
  """
  if study.target_data:
    return _load_stored_target(study, fold)
  site = target_site(study)
  spec = dataclasses.replace(_CONDITIONING, fs_hz=study.windows.fs_hz)
  drawn = virtual.draw(target_clinic(study), (site,), study.reference)
  cohort = [_calibrated(study, conditioning.condition(recording, spec)[0], site) for recording in drawn]
  sizes = {
    "labelled": study.labelled_subjects,
    "validation": study.validation_subjects,
    "test": study.test_subjects,
    "unlabelled": study.unlabelled_subjects,
  }
  split = splits.draw([r.subject for r in cohort], sizes, study.cohort_seed)
  labelled, validation, test = folds.of_fold(
    (split.subjects["labelled"], split.subjects["validation"], split.subjects["test"]), study, fold
  )
  _check_labelled(study, len(labelled), "a fold" if study.folds != 1 else "the clinic")
  whole, sparse = (
    batches.make_pairs(cohort, site, windows, study.reference, gaps=True)
    for windows in (study.windows, _without_overlap(study))
  )
  return Target(
    _usable(whole, labelled),
    _usable(whole, split.subjects["unlabelled"]).unlabelled(),
    _usable(sparse, validation),
    _usable(sparse, test),
    site,
  )


def _usable(windows: batches.Pairs, names: Sequence[str]) -> batches.Pairs:
  """Returns the windows of those of some subjects who have any without a gap."""
  return windows.at(np.isin(windows.subject_b, list(names)))


def _without_overlap(study: study_config.Study) -> config.Windows:
  """Returns the study's windows, but without overlap."""
  return dataclasses.replace(study.windows, hop_s=study.windows.seconds)


def _load_stored_target(study: study_config.Study, fold: int) -> Target:
  opened = store.open_store(study.target_data)
  if study.source_data:
    parts = subject_partition.TRAINING, subject_partition.VALIDATION
    duplicates.check_stores(store.open_store(study.source_data), parts, opened)
  subjects_of = folds.target_subjects(study, opened)
  signals, peripheral_only = (study.site, study.reference), (study.site, study.site)
  pool, validation_names, test_names = folds.of_fold(folds.candidates(study, opened), study, fold)
  labelled_names = pool[: max(study.labelled_subjects, *study.n_target)]
  labelled = _load_pairs(
    opened, labelled_names, signals, study, study.windows, subject_partition.TRAINING, _MAX_TARGET_WINDOWS
  )
  _check_labelled(study, len(labelled.subjects), str(opened.path))
  unlabelled_names = subjects_of.get(subject_partition.UNLABELLED, ())[: study.unlabelled_subjects]
  # without unlabelled subjects, the waves of the labelled pool are used without their labels
  unlabelled = (
    _load_pairs(
      opened, unlabelled_names, peripheral_only, study, study.windows, subject_partition.UNLABELLED, _MAX_TARGET_WINDOWS
    )
    if unlabelled_names
    else labelled
  )
  validation, test = (
    _load_pairs(opened, names, signals, study, _without_overlap(study), part, _MAX_TARGET_WINDOWS)
    for names, part in ((validation_names, subject_partition.VALIDATION), (test_names, study.test_part))
  )
  return Target(labelled, unlabelled.unlabelled(), validation, test, study.site)


def split_of(source: Source, target: Target | None = None) -> splits.Split:
  """Returns the subjects of all parts, and checks that they are disjoint.

  Args:
    source: of the study.
    target: of the study, None for the source alone.

  Raises:
    splits.LeakError: a subject is in two parts.
  """
  subjects_of = {"source_training": source.training.subjects, "source_validation": source.validation.subjects}
  if target is not None:
    subjects_of |= {f"target_{name}": getattr(target, name).subjects for name in _TARGET_FIELDS}
    if subjects_of["target_unlabelled"] == subjects_of["target_labelled"]:  # the same subjects, without their labels
      del subjects_of["target_unlabelled"]
  return splits.Split(subjects_of)


def digests(source: Source, target: Target) -> dict[str, str]:
  """Returns part → SHA-256 of its windows, or of its store for a source that is streamed.

  Args:
    source: of the study.
    target: of the study.
  """
  return {
    "source_training": source.training.digest,
    "source_validation": source.validation.digest,
    **{f"target_{name}": getattr(target, name).digest for name in _TARGET_FIELDS},
  }
