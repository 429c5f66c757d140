"""Folds of the target's subjects into labelled, validation and test subjects."""

import dataclasses
from collections.abc import Mapping

from cap_jax.data import splits, store, subject_partition
from cap_jax.signals import calibration as scales
from cap_jax.study import study_config
from cap_jax.types import InputError


def target_subjects(study: study_config.Study, opened: store.Store) -> Mapping[str, tuple[str, ...]]:
  """Returns part → subjects of the target's store, by the study's split if it names one.

  Args:
    study: of the target.
    opened: its store, whose own split is used otherwise.
  """
  return splits.load(study.target_split).subjects if study.target_split else opened.split.subjects


def left_out_values(study: study_config.Study) -> tuple[study_config.Study, ...]:
  """Returns a study for each value of the covariate that is left out; the study itself without one.

  Args:
    study: of the target.

  Raises:
    InputError: the store's subjects do not have two values of the covariate, or not the named one.
  """
  if not study.leave_out:
    return (study,)
  name, _, value = study.leave_out.partition(":")
  opened = store.open_store(study.target_data)
  values = {record.covariates.get(name) for shard in opened.shards for record in shard.records}
  texts = [f"{number:g}" for number in sorted(number for number in values if number is not None)]
  if len(texts) < 2 or (value and value not in texts):
    raise InputError(
      f"leave_out={study.leave_out}: the values of {name!r} in {study.target_data} are {', '.join(texts) or 'missing'}; name a "
      "covariate with two or more values"
    )
  return tuple(dataclasses.replace(study, leave_out=f"{name}:{text}") for text in ([value] if value else texts))


def _has_value(study: study_config.Study, opened: store.Store) -> set[str]:
  """Returns the subjects with the value of the covariate that the study leaves out.

  Raises:
    InputError: the study names no value.
  """
  name, _, value = study.leave_out.partition(":")
  if not value:
    choices = ", ".join(one.leave_out for one in left_out_values(study))
    raise InputError(f"leave_out={name}: names several values; choose one of {choices}")
  records = (record for shard in opened.shards for record in shard.records)
  return {record.subject for record in records if f"{record.covariates.get(name, float('nan')):g}" == value}


def with_possible_labels(study: study_config.Study) -> study_config.Study:
  """Returns a study of a store with the default numbers of labels that a fold of it can provide, and the most that it can.

  Numbers that the user chose stay, and are checked by `check` and `check_labelled`.
  """
  if not study.target_data or study.n_target != study_config.Study.n_target:
    return study
  if study.folds == 1:
    available = min(labelled_available(one) for one in left_out_values(study))
  else:
    sizes = _group_sizes(study)
    available = sum(sizes) - -(-sum(sizes) // count(study)) - sizes[1]
  possible = {n for n in study.n_target if n <= available} | {min(available, max(study.n_target))}
  return dataclasses.replace(study, n_target=tuple(sorted(possible)))


def check_labelled(study: study_config.Study) -> None:
  """Checks before long work that a store has as many labelled subjects for training as the study needs, without folds.

  Raises:
    InputError: it has fewer.
  """
  if not study.target_data or study.folds != 1:
    return
  available = labelled_available(study)
  if available < max(study.n_target):
    raise InputError(
      f"n_target={max(study.n_target)}: {study.target_data} has only {available} labelled subjects for training; use fewer"
    )


def labelled_available(study: study_config.Study) -> int:
  """Returns how many subjects of the target's store can be labelled for training."""
  opened = store.open_store(study.target_data)
  untestable = _untestable(study, opened)
  return sum(name not in untestable for name in candidates(study, opened)[0])


def _untestable(study: study_config.Study, opened: store.Store) -> dict[str, str]:
  """Returns subject → reason, for the subjects of a store that cannot be tested.

  They have no whole window of both waves, or lack the reading that the calibration needs.
  """
  whole = opened.usable((study.site, study.reference), study.windows.samples)
  reason_of = {}
  for record in (record for shard in opened.shards for record in shard.records):
    if record.subject not in whole:
      reason_of[record.subject] = f"no {study.windows.seconds:g} s of {study.site} and {study.reference} without a gap"
    elif study.calibration.kind != "none":
      try:
        scales.reading(study.calibration, record.covariates, record.subject)
      except InputError as error:
        reason_of[record.subject] = str(error)
  return reason_of


def candidates(
  study: study_config.Study, opened: store.Store
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
  """Returns the labelled, validation and test subjects of a store.

  With folds, every subject is tested once, so subjects that cannot be tested are left out. Those with the value of the
  covariate that the study leaves out are tested, and no others.

  Args:
    study: of the target.
    opened: its store.
  """
  subjects_of = target_subjects(study, opened)
  untestable = _untestable(study, opened) if study.folds != 1 or study.leave_out else {}
  labelled, validation, test = (
    tuple(name for name in subjects_of.get(part, ()) if name not in untestable)
    for part in (subject_partition.TRAINING, subject_partition.VALIDATION, study.test_part)
  )
  if not study.leave_out:
    return labelled, validation, test
  left_out = _has_value(study, opened)
  return (
    tuple(name for name in (*labelled, *test) if name not in left_out),
    tuple(name for name in validation if name not in left_out),
    tuple(name for name in (*labelled, *validation, *test) if name in left_out),
  )


def untested(study: study_config.Study) -> list[str]:
  """Returns the subjects of the target's store that no fold tests, each with the reason."""
  if not study.target_data or (study.folds == 1 and not study.leave_out):
    return []
  opened = store.open_store(study.target_data)
  subjects_of, reason_of = target_subjects(study, opened), _untestable(study, opened)
  names = [
    name
    for part in (subject_partition.TRAINING, subject_partition.VALIDATION, study.test_part)
    for name in subjects_of.get(part, ())
  ]
  return [f"{name}: {reason_of[name]}" for name in names if name in reason_of]


def _group_sizes(study: study_config.Study) -> list[int]:
  """Returns the numbers of labelled, validation and test subjects with a reference."""
  if study.target_data:
    return [len(names) for names in candidates(study, store.open_store(study.target_data))]
  return [study.labelled_subjects, study.validation_subjects, study.test_subjects]


def count(study: study_config.Study) -> int:
  """Returns the number of folds of the target's subjects.

  Raises:
    InputError: there are fewer subjects than folds.
  """
  if study.folds == 1:
    return 1
  subjects = sum(_group_sizes(study))
  if study.folds > subjects:
    raise InputError(
      f"folds={study.folds}: {study.target_name} has only {subjects} subjects with a reference; use fewer folds"
    )
  return study.folds or subjects


def check(study: study_config.Study) -> None:
  """Checks that a fold leaves as many subjects to label as the study needs.

  Raises:
    InputError: it leaves fewer.
  """
  number = count(study)
  if number == 1:
    return
  sizes = _group_sizes(study)
  left = sum(sizes) - -(-sum(sizes) // number) - sizes[1]
  if left < max(study.n_target):
    raise InputError(
      f"folds={study.folds}, n_target={study.n_target}: of the {sum(sizes)} subjects of {study.target_name} with a reference, "
      f"a fold leaves {max(left, 0)} to label besides its test and {sizes[1]} validation subjects; use fewer labels or more folds"
    )


def of_fold(
  groups: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], study: study_config.Study, fold: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
  """Returns the labelled, validation and test subjects of a fold.

  The number of validation subjects stays. All others that are not tested can be labelled.

  Args:
    groups: labelled, validation and test subjects of the whole target.
    study: whose folds are drawn.
    fold: 0 to `count(study)` − 1.
  """
  if study.folds == 1:
    return groups
  labelled, validation, test = groups
  everyone = (*labelled, *validation, *test)
  parts = splits.k_fold(everyone, count(study), study.cohort_seed)[fold].subjects
  rest = parts["training"]
  return rest[len(validation) :], rest[: len(validation)], parts["test"]
