"""What a reconstruction leaves behind: the wave as CSV, a picture, and the beats as JSON."""

import dataclasses
import importlib.util
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas

from cap_jax import files
from cap_jax.inference.reconstruct import ReconstructedWave, summary

NOTE = "research software, no medical device; the error of its network on waves of other people than it learnt from is unknown"
_MOST_GAPS = 10
MOST_OOD = 0.5  # share of windows beyond which a record is flagged
_SHOWN = (
  ("cSBP", "csbp_est_mmhg"),
  ("cDBP", "cdbp_est_mmhg"),
  ("cPP", "cpp_est_mmhg"),
  ("MAP", "cmap_est_mmhg"),
  ("peripheral SBP", "peripheral_sbp_mmhg"),
  ("peripheral PP", "peripheral_pp_mmhg"),
  ("peripheral MAP", "peripheral_map_mmhg"),
  ("HR", "hr_bpm"),
)


def write(output: str, made: ReconstructedWave, site: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
  """Writes all files, or none; the picture only where matplotlib is installed.

  Args:
    output: name of the CSV file, ending in ".csv"; the others lie beside it.
    made: the reconstruction.
    site: of the peripheral wave.
    facts: more for the JSON: input, training.

  Returns:
    The names of CSV, JSON and, where it was drawn, PNG.
  """
  stem = output.removesuffix(".csv")
  paths = [output, f"{stem}.json"]
  if importlib.util.find_spec("matplotlib") is not None:
    paths.append(f"{stem}.png")
  content = {
    "note": NOTE,
    **facts,
    "intervals": _intervals(made),
    "summary": summary(made.beats),
    "gaps": [dataclasses.asdict(gap) for gap in made.gaps],
    "beats": [
      {k: round(v, 3) if math.isfinite(v) else None for k, v in dataclasses.asdict(beat).items()} for beat in made.beats
    ],
  }
  with files.write_atomically(*paths) as (csv_path, json_path, *png_path):
    table = pandas.DataFrame({"time_s": made.time_s, "aortic_root_pressure_mmhg": made.aortic_mmhg.round(3)})
    if np.isfinite(made.half_width_mmhg).any():
      table["low_mmhg"] = (made.aortic_mmhg - made.half_width_mmhg).round(3)
      table["high_mmhg"] = (made.aortic_mmhg + made.half_width_mmhg).round(3)
    table.to_csv(csv_path, index=False)
    with open(json_path, "w", encoding="utf-8") as text:
      json.dump(content, text, indent=1)
    for path in png_path:
      with open(path, "wb") as image:
        image.write(_picture(made, site))
  return tuple(paths)


def _picture(made: ReconstructedWave, site: str) -> bytes:
  from cap_jax.report import figures  # needs matplotlib, which not everybody has installed

  shaded = [(gap.start_s, gap.end_s) for gap in made.gaps]
  return figures.to_png(
    figures.reconstruction(made.time_s, made.peripheral_mmhg, made.aortic_mmhg, site, shaded, made.half_width_mmhg)
  )


def _intervals(made: ReconstructedWave) -> dict[str, Any] | None:
  """What is known of the wave's error, None of a network that was never calibrated."""
  if made.lacking:
    return {"lacking": made.lacking}
  if not math.isfinite(made.ood_fraction):
    return None
  return {
    "ood_fraction": round(made.ood_fraction, 3),
    "out_of_distribution": made.ood_fraction > MOST_OOD,
  }


def spoken(made: ReconstructedWave) -> str:
  """The gaps and the mean pressures, for a terminal."""
  lines = [f"gap {gap.start_s:.2f}–{gap.end_s:.2f} s: {gap.reason}" for gap in made.gaps[:_MOST_GAPS]]
  if len(made.gaps) > _MOST_GAPS:
    lines.append(f"… and {len(made.gaps) - _MOST_GAPS} more gaps, all in the JSON file")
  if made.ood_fraction > MOST_OOD:
    lines.append(
      f"WARNING: {100 * made.ood_fraction:.0f} % of the record is out of distribution, unlike what the network was trained on; its intervals do not hold here"
    )
  if made.lacking:
    lines.append(f"no intervals: {made.lacking}")
  numbers = summary(made.beats)
  means = ", ".join(f"{label} {numbers[name]['mean']:.1f}" for label, name in _SHOWN if numbers)
  return "\n".join(
    [*lines, f"{len(made.beats)} beat{'' if len(made.beats) == 1 else 's'}" + (f"; means: {means}" if means else "")]
  )
