"""Folds of the target's subjects: who is labelled, validated on and tested in which."""

from collections.abc import Mapping

from cap_jax.data import splits, store, subject_partition
from cap_jax.signals import calibration as scales
from cap_jax.study import study_config
from cap_jax.types import InputError


def target_parts(study: study_config.Study, opened: store.Store) -> Mapping[str, tuple[str, ...]]:
  """Part → subjects of the target's store, by the split that the study names or its own."""
  return splits.load(study.target_split).parts if study.target_split else opened.split.parts


def _unfit(study: study_config.Study, opened: store.Store) -> dict[str, str]:
  """Who of a store cannot be tested, and why: without a whole window of both waves, or without the reading that the calibration
  needs."""
  whole = opened.usable((study.site, study.reference), study.windows.samples)
  found = {}
  for record in (record for shard in opened.shards for record in shard.records):
    if record.subject not in whole:
      found[record.subject] = f"no {study.windows.seconds:g} s of {study.site} and {study.reference} without a gap"
    elif study.calibration.kind != "none":
      try:
        scales.reading(study.calibration, record.covariates, record.subject)
      except InputError as error:
        found[record.subject] = str(error)
  return found


def candidates(
  study: study_config.Study, opened: store.Store
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
  """Labelled, validation and test subjects of a store; for folds, in which each is tested, only those who can be."""
  found = target_parts(study, opened)
  unfit = _unfit(study, opened) if study.folds != 1 else {}
  labelled, validation, test = (
    tuple(name for name in found.get(part, ()) if name not in unfit)
    for part in (subject_partition.TRAINING, subject_partition.VALIDATION, study.test_part)
  )
  return labelled, validation, test


def left_out(study: study_config.Study) -> list[str]:
  """Subjects of the target's store whom no fold tests, with the reason."""
  if not study.target_data or study.folds == 1:
    return []
  opened = store.open_store(study.target_data)
  found, unfit = target_parts(study, opened), _unfit(study, opened)
  asked = [
    name
    for part in (subject_partition.TRAINING, subject_partition.VALIDATION, study.test_part)
    for name in found.get(part, ())
  ]
  return [f"{name}: {unfit[name]}" for name in asked if name in unfit]


def _paired(study: study_config.Study) -> list[int]:
  """How many subjects with a reference can be labelled, validated on and tested."""
  if study.target_data:
    return [len(names) for names in candidates(study, store.open_store(study.target_data))]
  return [study.labelled_subjects, study.validation_subjects, study.test_subjects]


def count(study: study_config.Study) -> int:
  """Number of folds of the target's subjects.

  Raises:
    InputError: there are fewer subjects than folds.
  """
  if study.folds == 1:
    return 1
  paired = sum(_paired(study))
  if study.folds > paired:
    raise InputError(f"folds={study.folds}: {study.target_name} has {paired} subjects with a reference")
  return study.folds or paired


def check(study: study_config.Study) -> None:
  """Before long work: that a fold leaves as many subjects to label as the study asks for.

  Raises:
    InputError: it does not.
  """
  number = count(study)
  if number == 1:
    return
  paired = _paired(study)
  left = sum(paired) - -(-sum(paired) // number) - paired[1]
  if left < max(study.n_target):
    raise InputError(
      f"folds={study.folds}, n_target={study.n_target}: of the {sum(paired)} subjects of {study.target_name} with a reference, "
      f"a fold leaves {max(left, 0)} to label beside its test and {paired[1]} validation subjects; ask for fewer labels or more folds"
    )


def of_fold(
  found: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], study: study_config.Study, fold: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
  """Who is labelled, validated on and tested in a fold: as many validation subjects as before, and all others to label."""
  if study.folds == 1:
    return found
  labelled, validation, test = found
  everyone = (*labelled, *validation, *test)
  made = splits.k_fold(everyone, count(study), study.cohort_seed)[fold].parts
  rest = made["training"]
  return rest[len(validation) :], rest[: len(validation)], made["test"]
