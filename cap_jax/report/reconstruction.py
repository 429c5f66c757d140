"""Writes a reconstruction: the wave as CSV, a figure, and the beats as JSON."""

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from cap_jax import files
from cap_jax.inference.reconstruct import summary
from cap_jax.inference.reconstructed_wave import BeatTable, ReconstructedWave
from cap_jax.report import number_text
from cap_jax.signals import blocks
from cap_jax.types import InputError

NOTE = "research software, not a medical device; the error on subjects unlike those of the training data is unknown"
_MOST_GAPS = 10
_BEATS = 4096  # written at once
MOST_OOD = 0.5  # share of windows beyond which a record is flagged
_PRINTED_MEANS = (
  ("cSBP", "csbp_est_mmhg"),
  ("cDBP", "cdbp_est_mmhg"),
  ("cPP", "cpp_est_mmhg"),
  ("MAP", "cmap_est_mmhg"),
  ("peripheral SBP", "peripheral_sbp_mmhg"),
  ("peripheral PP", "peripheral_pp_mmhg"),
  ("peripheral MAP", "peripheral_map_mmhg"),
  ("HR", "hr_bpm"),
)

_FIRST = json.dumps({"note": NOTE}, indent=1)[:40]  # of the JSON file


def paths(output: str) -> tuple[str, ...]:
  """Returns the names of the files that `write` writes: CSV, JSON and, where matplotlib is installed, PNG."""
  stem = output.removesuffix(".csv")
  picture = (f"{stem}.png",) if importlib.util.find_spec("matplotlib") is not None else ()
  return (output, f"{stem}.json", *picture)


def check_replaceable(output: str) -> None:
  """Checks that nothing has the names of the files of a reconstruction, or an earlier one that may be replaced.

  Args:
    output: name of the CSV file.

  Raises:
    InputError: a file of another origin, a link, a pipe or a folder has one of the names.
  """
  there = [path for path in paths(output) if os.path.lexists(path)]
  _, about, *_ = paths(output)
  own = os.path.isfile(about)
  if own:
    with open(files.regular(about), encoding="utf-8", errors="replace") as text:
      own = text.read(len(_FIRST)) == _FIRST
  for path in there:
    if not own or os.path.islink(path) or not os.path.isfile(path):
      raise InputError(f"{path}: was not written by reconstruct; move it elsewhere, or choose another --output")


def write(output: str, wave: ReconstructedWave, site: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
  """Writes all files, or none. The figure needs matplotlib and is skipped without it.

  Args:
    output: name of the CSV file, ending in ".csv"; the others lie beside it.
    wave: the reconstruction.
    site: of the peripheral wave.
    facts: more for the JSON: input, training.

  Returns:
    The names of the files: CSV, JSON and, if it was drawn, PNG.
  """
  content = {
    "note": NOTE,
    **facts,
    "intervals": _intervals(wave),
    "warnings": warnings(wave),
    "summary": summary(wave.beats),
    "gaps": [dataclasses.asdict(gap) for gap in wave.gaps],
  }
  with files.write_atomically(*(written := paths(output))) as (csv_path, json_path, *png_path):
    _write_table(csv_path, wave)
    _write_beats(json_path, content, wave.beats)
    for path in png_path:
      with open(path, "wb") as image:
        image.write(_picture(wave, site))
  return written


def _write_table(path: str, wave: ReconstructedWave) -> None:
  """Writes the wave and, if it has any, its intervals as CSV."""
  names = ["time_s", "aortic_root_pressure_mmhg"] + ["low_mmhg", "high_mmhg"] * wave.has_intervals
  with open(path, "wb") as table:
    table.write(f"# {wave.unknown_level}\n".encode() if wave.unknown_level else b"")
    table.write(f"{','.join(names)}\n".encode())
    for start, stop in blocks.cut(wave.time_s.size):
      part = wave.part(start, stop)
      columns = [number_text.exact(wave.time_s[start:stop]), number_text.rounded(part.aortic_mmhg)]
      if wave.has_intervals:
        columns += [number_text.rounded(part.aortic_mmhg + sign * part.half_width_mmhg) for sign in (-1, 1)]
      table.write(number_text.rows(columns))


def _write_beats(path: str, content: Mapping[str, Any], beats: BeatTable) -> None:
  """Writes JSON: some content, and the beats, one in a line."""
  with open(path, "w", encoding="utf-8") as text:
    text.write(json.dumps(dict(content), indent=1).removesuffix("\n}") + ',\n "beats": [')
    for start in range(0, len(beats), _BEATS):
      columns = beats[start : start + _BEATS].columns
      rounded = [[round(v, 3) if math.isfinite(v) else None for v in values.tolist()] for values in columns.values()]
      lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*rounded, strict=True)]
      text.write(",\n  "[not start :] + ",\n  ".join(lines))
    text.write("\n ]\n}" if len(beats) else "]\n}")


def _picture(wave: ReconstructedWave, site: str) -> bytes:
  from cap_jax.report import figures  # needs matplotlib, an optional dependency

  shaded = [(gap.start_s, gap.end_s) for gap in wave.gaps]
  return figures.to_png(figures.of_parts(wave.time_s, wave.part, site, shaded, wave.unitless, wave.unknown_level))


def _intervals(wave: ReconstructedWave) -> dict[str, Any] | None:
  """Returns whether the intervals of the wave apply; None for a network that was never calibrated."""
  if wave.lacking:
    return {"lacking": wave.lacking}
  if not math.isfinite(wave.ood_fraction):
    return None
  return {
    "ood_fraction": round(wave.ood_fraction, 3),
    "out_of_distribution": wave.ood_fraction > MOST_OOD,
  }


def warnings(wave: ReconstructedWave) -> list[str]:
  """Returns what a reader of the reconstruction must not miss."""
  texts = [wave.unknown_level] if wave.unknown_level else []
  if wave.ood_fraction > MOST_OOD:
    texts.append(
      f"{100 * wave.ood_fraction:.0f} % of the record is out of distribution; check its site, its unit and its sign: {wave.outside}"
    )
  if wave.unusual_hr:
    texts.append(f"{wave.unusual_hr}; do not trust its pulse pressure and intervals")
  return texts


def format_summary(wave: ReconstructedWave) -> str:
  """Returns the gaps and the mean pressures as text for a terminal."""
  lines = [f"gap {gap.start_s:.2f}–{gap.end_s:.2f} s: {gap.reason}" for gap in wave.gaps[:_MOST_GAPS]]
  if len(wave.gaps) > _MOST_GAPS:
    lines.append(f"… and {len(wave.gaps) - _MOST_GAPS} more gaps; the JSON file lists all")
  lines += [f"WARNING: {text}" for text in warnings(wave)]
  if wave.lacking:
    lines.append(f"no intervals: {wave.lacking}")
  statistics = summary(wave.beats)
  means = ", ".join(f"{label} {statistics[name]['mean']:.1f}" for label, name in _PRINTED_MEANS if name in statistics)
  return "\n".join(
    [*lines, f"{len(wave.beats)} beat{'' if len(wave.beats) == 1 else 's'}" + (f"; means: {means}" if means else "")]
  )
