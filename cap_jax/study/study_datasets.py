"""The data of a study: a source and a target, drawn from virtual clinics or read from prepared stores, cut into windows and
split by subject."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import jax

from cap_jax import clinics, config
from cap_jax.data import batches, calibrate, splits, store, stream, subject_partition
from cap_jax.data.sources import virtual
from cap_jax.losses import tasks
from cap_jax.study import folds, study_config
from cap_jax.train import runs
from cap_jax.types import InputError

_HELD = 20_000  # windows of the source in memory
_TARGET_PARTS = ("labelled", "unlabelled", "validation", "test")
_MOST = 100_000  # windows of a part of the target in memory, shared by its recordings


@dataclasses.dataclass(frozen=True)
class Source:
  """The source in windows, with the reference of its task: `training` and `validation` subjects, where they are from, and why
  records were left out."""

  training: batches.Pairs | stream.Stream
  validation: batches.Pairs
  origin: Mapping[str, Any]
  left_out: tuple[str, ...] = ()

  @functools.cached_property
  def held(self) -> batches.Pairs:
    """Training windows in memory, for strategies that look at them as a whole: of a store a sample of them."""
    return self.training if isinstance(self.training, batches.Pairs) else self.training.sample(_HELD)


@dataclasses.dataclass(frozen=True)
class Target:
  """The target clinic in windows: labelled, unlabelled, validation and test subjects, and where it measures."""

  labelled: batches.Pairs
  unlabelled: batches.Waves
  validation: batches.Pairs
  test: batches.Pairs
  site: str

  def draw(self, n_target: int, seed: int) -> batches.Pairs | None:
    """The windows of `n_target` labelled subjects, None of none; a larger draw of one seed holds the smaller ones."""
    if n_target == 0:
      return None
    return self.labelled.of(splits.few_shot(self.labelled.subjects, n_target, seed))

  def data(self, source: Source, n_target: int, seed: int) -> runs.Data:
    """What a strategy may use at `n_target` labelled subjects."""
    return runs.Data(source.held, self.unlabelled, self.draw(n_target, seed), site=self.site)


def _clinic(name: str, scenario: clinics.Scenario, subjects: int, seconds: float, fs_hz: float, seed: int):
  return clinics.Clinic(
    name=name,
    subjects=subjects,
    seconds=seconds,
    population=scenario.population,
    device=scenario.device,
    oximeter=scenario.oximeter,
    rhythm=scenario.rhythm,
    fs_hz=fs_hz,
    seed=seed,
  )


def source_clinic(study: study_config.Study) -> clinics.Clinic:
  """The clinic of the source. Its seed is even, a target's odd: whatever the cohort seeds, nobody is seen in both
  roles."""
  subjects = study.source_subjects + study.validation_subjects
  scenario = clinics.SOURCES[study.source]
  return _clinic("source", scenario, subjects, study.source_seconds, study.windows.fs_hz, 2 * study.cohort_seed)


def target_clinic(study: study_config.Study) -> clinics.Clinic:
  """The clinic of the scenario."""
  subjects = study.labelled_subjects + study.unlabelled_subjects + study.validation_subjects + study.test_subjects
  scenario = clinics.SCENARIOS[study.scenario]
  return _clinic("target", scenario, subjects, study.target_seconds, study.windows.fs_hz, 2 * study.cohort_seed + 1)


def target_site(study: study_config.Study) -> str:
  """Where the target clinic measures: the source's site, or the scenario's own; a store has the study's."""
  if study.target_data:
    return study.site
  return clinics.SCENARIOS[study.scenario].site or study.site


def reference_of(study: study_config.Study) -> str:
  """The wave that the source's task asks for."""
  reference = tasks.TASKS[study.task].reference or study.site
  return study.reference if reference == tasks.SOUGHT else reference


def _people(path: str) -> str:
  """The source of a store that holds real records; "" of virtual subjects."""
  opened = store.open_store(path) if path else None
  return "" if opened is None or opened.in_silico else str(opened.manifest["source"])


def is_real(study: study_config.Study) -> bool:
  """Whether the target's subjects are people."""
  return bool(_people(study.target_data))


def place(study: study_config.Study) -> str:
  """Where the errors come from, for an axis: who is tested, whoever taught the source network."""
  return "real records" if is_real(study) else "in silico"


def describe(study: study_config.Study) -> str:
  """Whether the subjects are virtual, for a reader.

  Raises:
    DataError: a store cannot be opened.
  """
  source, target = _people(study.source_data), _people(study.target_data)
  if target:
    return f"With real records: {target}." + ("" if source else " The source is virtual.")
  return (
    f"In silico: all test subjects are virtual. The source: {source}."
    if source
    else "In silico: all subjects are virtual."
  )


def check_stores(study: study_config.Study) -> None:
  """Checks, before long work, that the stores of a study are there.

  Raises:
    InputError: there is none where the study says.
    DataError: one is damaged.
  """
  for path in (study.source_data, study.target_data):
    if path:
      store.open_store(path)


def load_source(study: study_config.Study) -> Source:
  """Draws the source cohort, or opens its store, with the reference wave of its task.

  Raises:
    InputError: the store lacks a signal, a part of its split, or windows.
  """
  if study.source_data:
    return _stored_source(study)
  reference = reference_of(study)
  found = virtual.draw(source_clinic(study), (study.site,), reference)
  sizes = {"training": study.source_subjects, "validation": study.validation_subjects}
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  found = [calibrate.calibrate(recording, study.site, study.calibration) for recording in found]
  pairs = batches.make_pairs(found, study.site, study.windows, reference)
  origin = {"data": "in silico: virtual cohort", "source": study.source}
  return Source(pairs.of(split.parts["training"]), pairs.of(split.parts["validation"]), origin)


def _stored_source(study: study_config.Study) -> Source:
  opened = store.open_store(study.source_data)
  signals = (study.site, reference_of(study))
  training = stream.Stream(
    opened, opened.split.parts.get(subject_partition.TRAINING, ()), signals, study.windows, study.calibration,
    jax.process_index(), jax.process_count(),
  )  # fmt: skip
  seen = opened.split.parts.get(subject_partition.VALIDATION, ())
  validation = _pairs(opened, seen, signals, study, _apart(study), subject_partition.VALIDATION, _HELD)
  kind = "in silico" if opened.in_silico else "real records"
  data = f"{kind}: {opened.manifest['source']}, {opened.manifest['sha256'][:12]}"
  origin = {"data": data, "source": study.source, "source_data": os.path.abspath(study.source_data)}
  return Source(training, validation, origin, training.left_out)


def _pairs(
  opened: store.Store, subjects: tuple[str, ...], signals: tuple[str, str], study: study_config.Study, spec: config.Windows,
  part: str, most: int,
) -> batches.Pairs:  # fmt: skip
  """Up to about `most` windows of a part of a store in memory, evenly from all its recordings where there are more; subjects without a
  whole one, or without the reading that the calibration needs, are left out.

  Raises:
    InputError: nobody is left.
  """
  usable = opened.usable(signals, spec.samples)
  kept = [name for name in subjects if name in usable]
  count = sum(usable[name] * spec.samples // spec.hop for name in kept)
  found, why = [], ""
  for recording in opened.recordings(kept, signals):
    if set(signals) <= set(recording.signals):
      try:
        found.append(calibrate.calibrate(recording, signals[0], study.calibration))
      except InputError as error:
        why = f" ({error})"
  if not found:
    there = f"{len(subjects)} subject(s), none with a usable window{why}" if subjects else "nobody"
    waves = " and ".join(dict.fromkeys(signals))
    raise InputError(
      f"{opened.path}: part {part!r} of its split has {there} of {waves}; choose another --split or site"
    )
  share = max(most // len(found), 1) if count > most else None
  return batches.make_pairs(found, signals[0], spec, signals[1], gaps=True, most=share)


def _check_labelled(study: study_config.Study, there: int, where: str) -> None:
  """Raises:
  InputError: fewer subjects can be labelled than the study asks for."""
  if there < max(study.n_target):
    raise InputError(f"n_target={study.n_target}: {where} has {there} labelled subjects to train on")


def load_target(study: study_config.Study, fold: int = 0) -> Target:
  """Draws the target clinic, or opens its store. Test and validation windows do not overlap: no sample counts twice.

  Args:
    fold: which subjects are tested, 0 to `folds.count(study)` − 1.

  Raises:
    InputError: the store lacks a signal, a part of its split, or enough labelled subjects.
  """
  if study.target_data:
    return _stored_target(study, fold)
  site = target_site(study)
  found = virtual.draw(target_clinic(study), (site,), study.reference)
  found = [calibrate.calibrate(recording, site, study.calibration) for recording in found]
  sizes = {
    "labelled": study.labelled_subjects,
    "validation": study.validation_subjects,
    "test": study.test_subjects,
    "unlabelled": study.unlabelled_subjects,
  }
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  labelled, validation, test = folds.of_fold(
    (split.parts["labelled"], split.parts["validation"], split.parts["test"]), study, fold
  )
  _check_labelled(study, len(labelled), "a fold" if study.folds != 1 else "the clinic")
  whole = batches.make_pairs(found, site, study.windows, study.reference)
  sparse = batches.make_pairs(found, site, _apart(study), study.reference)
  return Target(
    whole.of(labelled),
    whole.of(split.parts["unlabelled"]).unlabelled(),
    sparse.of(validation),
    sparse.of(test),
    site,
  )


def _apart(study: study_config.Study) -> config.Windows:
  """Windows that do not overlap."""
  return dataclasses.replace(study.windows, hop_s=study.windows.seconds)


def _stored_target(study: study_config.Study, fold: int) -> Target:
  opened = store.open_store(study.target_data)
  found = folds.target_parts(study, opened)
  signals, alone = (study.site, study.reference), (study.site, study.site)
  teach, seen, tested = folds.of_fold(folds.candidates(study, opened), study, fold)
  taught = teach[: max(study.labelled_subjects, *study.n_target)]
  labelled = _pairs(opened, taught, signals, study, study.windows, subject_partition.TRAINING, _MOST)
  _check_labelled(study, len(labelled.subjects), str(opened.path))
  free = found.get(subject_partition.UNLABELLED, ())[: study.unlabelled_subjects]
  # without a part of their own, the waves of those who could be labelled serve as unlabelled ones
  unlabelled = (
    _pairs(opened, free, alone, study, study.windows, subject_partition.UNLABELLED, _MOST) if free else labelled
  )
  validation, test = (
    _pairs(opened, names, signals, study, _apart(study), part, _MOST)
    for names, part in ((seen, subject_partition.VALIDATION), (tested, study.test_part))
  )
  return Target(labelled, unlabelled.unlabelled(), validation, test, study.site)


def split_of(source: Source, target: Target | None = None) -> splits.Split:
  """Who is in which part, disjoint by construction.

  Raises:
    splits.LeakError: a subject stands in two parts.
  """
  found = {"source_training": source.training.subjects, "source_validation": source.validation.subjects}
  if target is not None:
    found |= {f"target_{name}": getattr(target, name).subjects for name in _TARGET_PARTS}
    if found["target_unlabelled"] == found["target_labelled"]:  # the same people's waves, without their labels
      del found["target_unlabelled"]
  return splits.Split(found)


def digests(source: Source, target: Target) -> dict[str, str]:
  """Part → SHA-256 of its windows; of a source that is read from its store as it is needed, the store's."""
  return {
    "source_training": source.training.digest,
    "source_validation": source.validation.digest,
    **{f"target_{name}": getattr(target, name).digest for name in _TARGET_PARTS},
  }
