"""Says in JSON how to use the files of an exported network."""

import dataclasses
import json
import math
import os
from typing import Any

from cap_jax import __version__, files
from cap_jax.data import signal_names
from cap_jax.inference import window_function
from cap_jax.report.reconstruction import NOTE
from cap_jax.train import checkpoint

NAME = "manifest.json"


def _steps(trained: checkpoint.Checkpoint, functions: window_function.WindowFunction) -> list[str]:
  """Returns how to reconstruct a record with the functions."""
  kind = trained.calibration.kind
  levels = {"sbp_dbp": "systolic and diastolic", "map_dbp": "mean and diastolic", "invasive": "mean and diastolic"}
  scale = f"Scale the record first, so that its {levels.get(kind)} pressures are those of the reading (calibration.kind is {kind})."
  steps = [
    *([scale] if kind != "none" else []),
    "Resample the record to fs_hz. Cut it into windows of window_samples, one every hop_samples; leave out those with missing samples.",
  ]
  if functions.log_power is not None:
    steps.append(
      "Compute log_power of each window, and pass its mean over all windows of the record with every window."
    )
  steps += [
    f"Compute {', '.join(functions.outputs)} of each window.",
    "Blend overlapping windows: weigh sample j of a window by 1e-6 + sin²(π (j − margin_samples + ½)/(window_samples − 2 margin_samples)), and "
    "by 1e-6 within margin_samples of its ends; divide by the sum of the weights.",
  ]
  if "sigma" in functions.outputs:
    steps.append(
      "The prediction interval of the wave is aortic ± intervals.wave · sigma; that of the systolic pressure of a beat uses intervals.csbp and "
      "sigma at its peak. A factor that is null stands for an infinite interval: too few subjects for the level."
    )
  intervals = trained.uncertainty_calibration
  if intervals is not None and intervals.hr_bpm is not None:
    low, high = intervals.hr_bpm
    steps.append(
      f"The heart rates of the training are {low:g} to {high:g}/min (intervals.hr_bpm): beyond, do not trust pulse pressure and intervals."
    )
  if "ood" in functions.outputs:
    steps.append("A window is out of distribution if ood is above intervals.ood_threshold: say so, large.")
  return steps


def write(folder: str, trained: checkpoint.Checkpoint) -> None:
  """Writes the manifest of the files in a folder.

  Args:
    folder: where.
    trained: the network.
  """
  text = json.dumps(content(folder, trained), indent=1)  # of the files that are there before it
  with open(os.path.join(folder, NAME), "w", encoding="utf-8") as file:
    file.write(text)


def content(folder: str, trained: checkpoint.Checkpoint) -> dict[str, Any]:
  """Returns the manifest of the files in a folder.

  Args:
    folder: where they are.
    trained: the network.

  Raises:
    InputError: see `window_function.of`.
  """
  spec, functions = trained.windows, window_function.of(trained)
  _, has_no_unit = signal_names.split_signal(trained.site)
  meaning = {
    "peripheral": ("any" if has_no_unit else "mmHg", f"windows of the {trained.site} wave"),
    "log_power": ("1", "mean over the record of the output log_power"),
    "covariates": ("mmHg, years, as the names say", f"of the subject: {', '.join(trained.model.covariates)}"),
  }
  return {
    "note": NOTE,
    "licence": "Apache-2.0",
    "site": trained.site,
    "reference": trained.reference,
    "fs_hz": spec.fs_hz,
    "window_samples": spec.samples,
    "margin_samples": spec.margin,
    "hop_samples": spec.samples // 2,
    "inputs": [
      {"name": name, "shape": ["batch", *shape], "unit": meaning[name][0], "meaning": meaning[name][1]}
      for name, shape in functions.inputs.items()
    ],
    "outputs": [
      {"name": name, "shape": ["batch", *shape], "unit": unit, "meaning": what}
      for name, shape, unit, what in (
        ("aortic", (spec.samples,), "mmHg", "aortic wave"),
        ("sigma", (spec.samples,), "mmHg", "scale of its error"),
        ("ood", (), "1", "logit of the detector of windows out of distribution"),
      )
      if name in functions.outputs
    ],
    "steps": _steps(trained, functions),
    "calibration": dataclasses.asdict(trained.calibration),
    "covariates": list(trained.model.covariates),
    "unknown_level": trained.unknown_level,
    "intervals": _intervals(trained),
    "training": trained.about,
    "version": __version__,
    "sha256": {name: files.hash_file(os.path.join(folder, name)).hexdigest() for name in sorted(os.listdir(folder))},
  }


def _intervals(trained: checkpoint.Checkpoint) -> dict[str, Any] | None:
  """Returns what makes intervals of the outputs, None for a network that was never calibrated."""
  intervals = trained.uncertainty_calibration
  if intervals is None:
    return None
  levels = {name: getattr(intervals, name) for name in ("level", "wave", "csbp", "ood_threshold")}
  return {
    **{name: value if math.isfinite(value) else None for name, value in levels.items()},
    "subjects": intervals.subjects,
    "where": intervals.where,
    "hr_bpm": intervals.hr_bpm,
  }
