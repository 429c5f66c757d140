"""Describes a data set before `experiments.prepare`: its records, which of them are unusable and why, and a figure.

python -m experiments.describe --format=wfdb --path=FOLDER --channels=ABP:radial,PLETH:digital_ppg
python -m experiments.describe --format=csv --path=FOLDER --output=look.png
"""

import functools
import os
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import flags

from cap_jax import config, files
from cap_jax.cli import dataset_flags, output_folders
from cap_jax.data import conditioning, datasets, duplicates, recordings, splits
from cap_jax.report import figures, inspection
from cap_jax.types import DataError, InputError, counted

_RECORDS = flags.DEFINE_integer("records", 50, "number of records to read, evenly spaced; 0 reads all", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "PNG figure to write (default: describe_FORMAT.png)")
_DRAWN = 6


def _wave(entry: datasets.Entry, signal: str) -> np.ndarray:
  """Reads a wave of a record again."""
  _, cleaned, _ = conditioning.read(entry, config.Conditioning())
  return cleaned.signals[signal]


def _equal(waves: Sequence[duplicates.Wave], place: str) -> list[str]:
  """Returns lines about equal waves. Those of different subjects, a preparation refuses."""
  try:
    return [f"note: {note}" for note in duplicates.check_waves("the data set", waves, place)]
  except splits.LeakError as error:
    return [f"note: {error}"]


def main() -> None:
  dataset = dataset_flags.open_dataset()
  output = _OUTPUT.value or f"describe_{dataset_flags.FORMAT.value}.png"
  if not output.endswith(".png"):
    raise InputError(f"--output={output}: must end in .png")
  output_folders.check_file(output, "--output", figures.is_own_png)
  total = len(dataset.entries) + len(dataset.lost)
  count = min(_RECORDS.value or len(dataset.entries), len(dataset.entries))
  chosen = np.unique(np.linspace(0, len(dataset.entries) - 1, count).astype(int)).tolist() if count else []
  inspected: list[inspection.InspectedRecord] = []
  drawn: list[tuple[recordings.Recording, recordings.Recording]] = []
  lost: list[DataError] = list(dataset.lost)
  waves: list[duplicates.Wave] = []
  for number in tqdm.tqdm(chosen, desc="records", unit="", leave=False):
    try:
      raw, cleaned, report = conditioning.read(dataset.entries[number], config.Conditioning())
      inspected.append(inspection.look(raw, cleaned, report))
      entry = dataset.entries[number]
      for wave in duplicates.waves_of_records([cleaned]):  # without the samples, which may be many
        waves.append(wave._replace(read=functools.partial(_wave, entry, wave.signal)))
      if len(drawn) < _DRAWN:
        drawn.append((raw, cleaned))
    except DataError as error:
      if dataset_flags.STRICT.value:
        raise
      lost.append(error)
  notes = dataset_flags.describe_notes(dataset, (note for record in inspected for note in record.notes))
  notes += _equal(waves, dataset.place)
  print("\n".join([*inspection.text(dataset, inspected), *notes]))
  print("\n".join(dataset_flags.describe_lost(lost, len(chosen) + len(dataset.lost))))
  if count < len(dataset.entries):
    print(f"read {count} of {counted(total, 'record')}; --records=0 reads all")
  if not inspected and lost:
    raise lost[0]
  if inspected:
    with files.write_atomically(output) as (partial,), open(partial, "wb") as file:
      file.write(figures.to_png(inspection.sheet(drawn)))
    print(os.path.relpath(output))
