"""Rebuilds the aortic pressure wave of a record: a CSV file, or a WFDB record.

  python -m experiments.reconstruct --checkpoint=DIR/checkpoint --input=wave.csv --site=radial --output=out.csv
  python -m experiments.reconstruct --checkpoint=DIR/checkpoint --input=DIR/041s --signal=ABP --site=radial --output=out.csv

Writes out.csv (time_s, aortic_root_pressure_mmhg on the input's clock; empty in gaps), out.png and out.json (per beat).
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator

import pandas
from absl import flags

from cap_jax.data import DATASETS, recordings, wfdb_record
from cap_jax.inference import reconstruct
from cap_jax.report import figures
from cap_jax.train import checkpoint
from cap_jax.types import InputError
from experiments import common

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "folder of the trained network")
_INPUT = flags.DEFINE_string("input", None, "CSV file with time_s and <site>_pressure_mmhg, or a WFDB record")
_SITE = flags.DEFINE_string("site", "radial", "where the pressure was measured")
_SIGNAL = flags.DEFINE_string("signal", "ABP", "name of the signal in a WFDB record")
_OUTPUT = flags.DEFINE_string("output", None, "CSV file to write; .png and .json lie beside it")
_SAID = 10


def _check_flags() -> None:
  if not _CHECKPOINT.value:
    raise InputError(
      "--checkpoint is missing; make one with: python -m experiments.pretrain --workdir=DIR, and give DIR/checkpoint"
    )
  for name, flag in (("--input", _INPUT), ("--output", _OUTPUT)):
    if not flag.value:
      raise InputError(f"{name} is missing; give {name}=FILE.csv")
  recordings.check_pressure_site(_SITE.value)
  if not _OUTPUT.value.endswith(".csv"):
    raise InputError(f"--output={_OUTPUT.value}: must end in .csv; the picture and the JSON get its name")
  if os.path.abspath(_OUTPUT.value) == os.path.abspath(_INPUT.value):
    raise InputError(f"--output={_OUTPUT.value}: is the input itself; choose another name")
  folder = os.path.dirname(os.path.abspath(_OUTPUT.value))
  if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
    raise InputError(f"--output={_OUTPUT.value}: {folder} is no folder that can be written to")


def _read() -> recordings.Recording:
  if wfdb_record.exists(_INPUT.value):
    return DATASETS["wfdb"](_INPUT.value, _SITE.value, _SIGNAL.value)
  return DATASETS["csv"](_INPUT.value, _SITE.value)


@contextlib.contextmanager
def _together(*paths: str) -> Iterator[list[str]]:
  """Names to write to; they take the names of `paths` when all are written, or none does."""
  partial = [f"{path}.partial" for path in paths]
  try:
    yield partial
    for written, path in zip(partial, paths, strict=True):
      os.replace(written, path)
  finally:
    for written in partial:
      with contextlib.suppress(FileNotFoundError):
        os.remove(written)


def main() -> None:
  _check_flags()
  trained = checkpoint.load(_CHECKPOINT.value)
  made = reconstruct.reconstruct(trained, _read())
  numbers = reconstruct.summary(made.beats)
  content = {
    "note": "research software, no medical device; network trained on virtual subjects",
    "input": os.path.basename(_INPUT.value),
    "site": _SITE.value,
    "training": trained.about,
    "summary": numbers,
    "gaps": [dataclasses.asdict(gap) for gap in made.gaps],
    "beats": [{k: round(v, 3) for k, v in dataclasses.asdict(beat).items()} for beat in made.beats],
  }
  stem = _OUTPUT.value[: -len(".csv")]
  paths = (_OUTPUT.value, f"{stem}.png", f"{stem}.json")
  with _together(*paths) as (csv_path, png_path, json_path):
    table = pandas.DataFrame({"time_s": made.time_s, "aortic_root_pressure_mmhg": made.aortic_mmhg.round(3)})
    table.to_csv(csv_path, index=False)
    shaded = [(gap.start_s, gap.end_s, gap.reason) for gap in made.gaps]
    figure = figures.reconstruction(made.time_s, made.peripheral_mmhg, made.aortic_mmhg, _SITE.value, shaded)
    with open(png_path, "wb") as file:
      file.write(figures.to_png(figure))
    with open(json_path, "w", encoding="utf-8") as text:
      json.dump(content, text, indent=1)
  for gap in made.gaps[:_SAID]:
    print(f"gap {gap.start_s:.2f}–{gap.end_s:.2f} s: {gap.reason}")
  if len(made.gaps) > _SAID:
    print(f"… and {len(made.gaps) - _SAID} more gaps, all in {paths[2]}")
  if numbers:
    parts = [f"{label} {numbers[name]['mean']:.1f}" for label, name in _SHOWN]
    print(f"{len(made.beats)} beats; means: {', '.join(parts)}")
  print("\n".join(paths))


_SHOWN = (
  ("cSBP", "csbp_mmhg"),
  ("cDBP", "cdbp_mmhg"),
  ("cPP", "cpp_mmhg"),
  ("MAP", "cmap_mmhg"),
  ("peripheral SBP", "peripheral_sbp_mmhg"),
  ("peripheral PP", "peripheral_pp_mmhg"),
  ("peripheral MAP", "peripheral_map_mmhg"),
  ("HR", "hr_bpm"),
)

if __name__ == "__main__":
  common.launch(main)
