"""Says in JSON how to use the files of an exported network."""

import json
import math
import os
from typing import Any

from cap_jax import __version__, files
from cap_jax.data import recordings
from cap_jax.inference import window_function
from cap_jax.report.reconstruction import NOTE
from cap_jax.train import checkpoint

NAME = "manifest.json"
_STEPS = (
  "Resample the record to fs_hz. Cut it into windows of window_samples, one every hop_samples; leave out those with missing samples.",
  "If there is an input log_power: compute it for each window, and pass its mean over all windows of the record with every window.",
  "Compute aortic, sigma and ood of each window.",
  "Blend overlapping windows: weigh sample j of a window by 1e-6 + sin²(π (j − margin_samples + ½)/(window_samples − 2 margin_samples)), and by "
  "1e-6 within margin_samples of its ends; divide by the sum of the weights.",
  "The prediction interval of the wave is aortic ± intervals.wave · sigma; that of the systolic pressure of a beat uses intervals.csbp and sigma at "
  "its peak.",
  "A window is out of distribution if ood is above intervals.ood_threshold: say so, large. The intervals are wide there.",
)


def write(folder: str, trained: checkpoint.Checkpoint) -> None:
  """Writes the manifest of the files in a folder.

  Args:
    folder: where.
    trained: the network.
  """
  with open(os.path.join(folder, NAME), "w", encoding="utf-8") as file:
    json.dump(content(folder, trained), file, indent=1)


def content(folder: str, trained: checkpoint.Checkpoint) -> dict[str, Any]:
  """Returns the manifest of the files in a folder.

  Args:
    folder: where they are.
    trained: the network.

  Raises:
    InputError: see `window_function.of`.
  """
  spec, functions = trained.windows, window_function.of(trained)
  _, has_no_unit = recordings.split_signal(trained.site)
  meaning = {
    "peripheral": ("any" if has_no_unit else "mmHg", f"windows of the {trained.site} wave"),
    "log_power": ("1", "mean over the record of the output log_power"),
    "covariates": ("", f"of the subject: {', '.join(trained.model.covariates)}"),
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
      {"name": "aortic", "shape": ["batch", spec.samples], "unit": "mmHg", "meaning": "aortic wave"},
      {"name": "sigma", "shape": ["batch", spec.samples], "unit": "mmHg", "meaning": "scale of its error"},
      {
        "name": "ood",
        "shape": ["batch"],
        "unit": "1",
        "meaning": "logit of the detector of windows out of distribution",
      },
    ],
    "steps": list(_STEPS),
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
