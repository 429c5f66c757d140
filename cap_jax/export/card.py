"""The model card of an exported network, with the front matter that hubs of models read."""

import json
import os

from cap_jax import __version__
from cap_jax.data import signal_names
from cap_jax.inference import window_function
from cap_jax.report.reconstruction import NOTE
from cap_jax.train import checkpoint

NAME = "README.md"


def write(folder: str, trained: checkpoint.Checkpoint) -> None:
  """Writes the card into a folder.

  Args:
    folder: where.
    trained: the network.
  """
  with open(os.path.join(folder, NAME), "w", encoding="utf-8") as file:
    file.write(text(trained, os.path.exists(os.path.join(folder, checkpoint.HEADER))))


def text(trained: checkpoint.Checkpoint, loadable: bool = True) -> str:
  """Returns the card of a network.

  Args:
    trained: the network.
    loadable: whether `cap_jax.load` reads its folder.
  """
  spec, intervals = trained.windows, trained.uncertainty_calibration
  _, has_no_unit = signal_names.split_signal(trained.site)
  rows = {
    "input": f"{trained.site} wave, {'any unit' if has_no_unit else 'mmHg'}, {spec.samples} samples at {spec.fs_hz:g} Hz ({spec.seconds:g} s)",
    "output": f"{trained.reference} pressure wave, mmHg, on the same clock",
    "covariates": ", ".join(trained.model.covariates) or "none",
    "network": f"`{trained.model.extractor}`, {trained.model.channels} channels, {trained.model.layers} layers",
    "intervals": "none"
    if intervals is None
    else f"{100 * intervals.level:g} %, calibrated on {intervals.subjects} {intervals.where}",
    "cap_jax": __version__,
  }
  readings = ", ".join(f'"{name}": …' for name in trained.model.covariates)
  readings = f", covariates={{{readings}}}" if readings else ""
  exists = window_function.exists(trained)
  without = "\n`manifest.json` says how to use the files without this package.\n" if exists else ""
  loading = f"""```python
import cap_jax

net = cap_jax.load("PATH OF THIS FOLDER")
out = net.reconstruct(wave, fs_hz=125{readings})
```
"""
  table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
  return f"""---
license: apache-2.0
library_name: cap_jax
tags:
- central-aortic-pressure
- arterial-pressure
- jax
---

# Aortic pressure from the {trained.site} wave

A network of cap_jax that predicts the pressure wave at the {trained.reference.replace("_", " ")} from the {trained.site} wave.

**{NOTE[0].upper()}{NOTE[1:]}.** Do not use it for diagnosis or treatment.

| | |
|---|---|
{table}

{loading if loadable else ""}{without}

## Training

```json
{json.dumps(trained.about, indent=1)}
```
"""
