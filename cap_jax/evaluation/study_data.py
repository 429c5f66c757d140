"""The data of a study: a source clinic and a target clinic, drawn, cut into windows and split by subject."""

import dataclasses

import numpy as np

from cap_jax import clinics, config
from cap_jax.data import batches, splits, virtual
from cap_jax.losses import tasks
from cap_jax.train import runs


@dataclasses.dataclass(frozen=True)
class Source:
  """The source cohort in windows, with the reference of its task: `training` and `validation` subjects."""

  training: batches.Pairs
  validation: batches.Pairs


@dataclasses.dataclass(frozen=True)
class Target:
  """The target clinic in windows: labelled, unlabelled, validation and test subjects."""

  labelled: batches.Pairs
  unlabelled: batches.Waves
  validation: batches.Pairs
  test: batches.Pairs

  def draw(self, n_target: int, seed: int) -> batches.Pairs | None:
    """The windows of `n_target` labelled subjects, None of none; a larger draw of one seed holds the smaller ones."""
    if n_target == 0:
      return None
    order = np.random.default_rng(seed).permutation(len(self.labelled.subjects))
    return self.labelled.of([self.labelled.subjects[k] for k in order[:n_target]])

  def data(self, source: Source, n_target: int, seed: int) -> runs.Data:
    """What a strategy may use at `n_target` labelled subjects."""
    return runs.Data(source.training, self.unlabelled, self.draw(n_target, seed))


def _clinic(name: str, scenario: clinics.Scenario, subjects: int, seconds: float, fs_hz: float, seed: int):
  return clinics.Clinic(
    name, subjects, seconds, scenario.population, scenario.device, scenario.oximeter, scenario.rhythm, fs_hz, seed
  )


def source_clinic(study: config.Study) -> clinics.Clinic:
  """The clinic of the source. Its seed is even, a target's odd: whatever the cohort seeds, nobody is seen in both
  roles."""
  subjects = study.source_subjects + study.validation_subjects
  scenario = clinics.SOURCES[study.source]
  return _clinic("source", scenario, subjects, study.source_seconds, study.windows.fs_hz, 2 * study.cohort_seed)


def target_clinic(study: config.Study) -> clinics.Clinic:
  """The clinic of the scenario."""
  subjects = study.labelled_subjects + study.unlabelled_subjects + study.validation_subjects + study.test_subjects
  scenario = clinics.SCENARIOS[study.scenario]
  return _clinic("target", scenario, subjects, study.target_seconds, study.windows.fs_hz, 2 * study.cohort_seed + 1)


def target_site(study: config.Study) -> str:
  """Where the target clinic measures: the source's site, or the scenario's own."""
  return clinics.SCENARIOS[study.scenario].site or study.site


def load_source(study: config.Study) -> Source:
  """Draws the source cohort with the reference wave of its task."""
  reference = tasks.TASKS[study.task].reference or study.site
  found = virtual.draw(source_clinic(study), (study.site,), reference)
  sizes = {"training": study.source_subjects, "validation": study.validation_subjects}
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  pairs = batches.make_pairs(found, study.site, study.windows, reference)
  return Source(pairs.of(split.parts["training"]), pairs.of(split.parts["validation"]))


def load_target(study: config.Study) -> Target:
  """Draws the target clinic. Test and validation windows do not overlap: no sample counts twice."""
  site = target_site(study)
  found = virtual.draw(target_clinic(study), (site,))
  sizes = {
    "labelled": study.labelled_subjects,
    "validation": study.validation_subjects,
    "test": study.test_subjects,
    "unlabelled": study.unlabelled_subjects,
  }
  split = splits.draw([r.subject for r in found], sizes, study.cohort_seed)
  apart = dataclasses.replace(study.windows, hop_s=study.windows.seconds)
  whole = batches.make_pairs(found, site, study.windows)
  sparse = batches.make_pairs(found, site, apart)
  return Target(
    whole.of(split.parts["labelled"]),
    whole.of(split.parts["unlabelled"]).unlabelled(),
    sparse.of(split.parts["validation"]),
    sparse.of(split.parts["test"]),
  )


def split_of(source: Source, target: Target | None = None) -> splits.Split:
  """Who is in which part, disjoint by construction.

  Raises:
    splits.LeakError: a subject stands in two parts.
  """
  parts = {"source_training": source.training.subjects, "source_validation": source.validation.subjects}
  if target is not None:
    parts |= {
      f"target_{name}": getattr(target, name).subjects for name in ("labelled", "unlabelled", "validation", "test")
    }
  return splits.Split(parts)
