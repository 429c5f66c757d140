"""Plausibility of the reconstructed beats of records of which nobody knows the aortic wave."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tqdm

from cap_jax.data import datasets, recordings
from cap_jax.inference import reconstruct
from cap_jax.metrics import plausibility
from cap_jax.train import checkpoint
from cap_jax.types import InputError

LEAST = 0.95  # share of the beats that a plausible record has


def measure(
  trained: checkpoint.Checkpoint,
  entries: Iterable[datasets.Entry],
  seconds: float,
  refused: Callable[[InputError], None],
) -> dict[str, plausibility.BeatPlausibility]:
  """Reconstructs records one by one and checks their beats.

  Args:
    trained: the network, of a pressure.
    entries: the records.
    seconds: longest part of each record.
    refused: is called with the error of each record that cannot be reconstructed.

  Returns:
    Record → plausibility of its beats.

  Raises:
    InputError: no record can be reconstructed.
  """
  results: dict[str, plausibility.BeatPlausibility] = {}
  for entry in tqdm.tqdm(entries, desc="records", unit="", leave=False):
    try:
      record = _beginning(datasets.read(entry), seconds)
      result = reconstruct.reconstruct(trained, record)
    except InputError as error:
      refused(error)
      continue
    checked = plausibility.of_record(result.peripheral, result.aortic_mmhg, record.fs_hz, trained.site)
    if not checked.beats:
      refused(
        InputError(
          f"{entry.where}: no two beats in a row of {plausibility.SHORTEST_S:g} s or more; use a longer record"
        )
      )
      continue
    name = entry.subject if entry.record in ("", entry.subject) else f"{entry.subject}/{entry.record}"
    results[name] = checked
  if not results:
    raise InputError("no record can be reconstructed; see the reasons above")
  return results


def _beginning(record: recordings.Recording, seconds: float) -> recordings.Recording:
  """Returns the first seconds of a record."""
  part = record.time_s <= record.time_s[0] + seconds
  signals = {site: wave_t[part] for site, wave_t in record.signals.items()}
  return dataclasses.replace(record, time_s=record.time_s[part], signals=signals)


def plausible_fractions(results: dict[str, plausibility.BeatPlausibility]) -> dict[str, tuple[float, int]]:
  """Returns check → share of all beats that pass it, and number of plausible records; "all" for all checks together.

  Args:
    results: of `measure`.
  """
  total = sum(one.beats for one in results.values())
  of: dict[str, tuple[float, int]] = {}
  for name, checks in [*((check, (check,)) for check in plausibility.CHECKS), ("all", plausibility.CHECKS)]:
    each = np.array([one.share(*checks) for one in results.values()])
    beats = np.array([one.beats for one in results.values()])
    of[name] = float(each @ beats / total), int((each >= LEAST).sum())
  return of
