"""Reconstructs the aortic wave with onnxruntime and NumPy alone.

python reconstruct.py FOLDER wave.csv > aortic.csv

FOLDER is written by `cap-jax export --to=onnx`; wave.csv has a header, then time [s] and pressure [mmHg] at the rate of the network, without
gaps.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

folder = pathlib.Path(sys.argv[1])
about = json.loads((folder / "manifest.json").read_text())
size, hop, margin = (about[f"{name}_samples"] for name in ("window", "hop", "margin"))
time_s, p_mmhg = np.loadtxt(sys.argv[2], delimiter=",", skiprows=1, usecols=(0, 1)).T
if p_mmhg.size < size or not np.isfinite(p_mmhg).all() or abs(np.diff(time_s).mean() * about["fs_hz"] - 1) > 0.01:
  sys.exit(f"{sys.argv[2]}: must have {size} samples or more at {about['fs_hz']:g} Hz, without gaps")
if not 25 <= np.median(p_mmhg) <= 250:
  sys.exit(f"{sys.argv[2]}: a median of {np.median(p_mmhg):g} is no arterial pressure in mmHg")
starts = np.unique(np.append(np.arange(0, p_mmhg.size - size, hop), p_mmhg.size - size))
x = np.stack([p_mmhg[start : start + size] for start in starts]).astype(np.float32)

answer, log_power = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("answer", "log_power"))
(power,) = log_power.run(None, {"peripheral": x})
record = np.broadcast_to(power.mean(0), power.shape)
aortic, sigma, ood = answer.run(None, {"peripheral": x, "log_power": record})

weight = np.full(size, 1e-6)
weight[margin : size - margin] += np.sin(np.pi * (np.arange(size - 2 * margin) + 0.5) / (size - 2 * margin)) ** 2
sums = np.zeros((3, p_mmhg.size))
for start, y, s in zip(starts, aortic, sigma, strict=True):
  sums[:, start : start + size] += weight * [y, s, np.ones(size)]
wave, half = sums[0] / sums[2], about["intervals"]["wave"] * sums[1] / sums[2]

outside = (ood > about["intervals"]["ood_threshold"]).mean()
if outside:
  print(f"WARNING: {100 * outside:.0f} % of the record is out of distribution", file=sys.stderr)
print("time_s,aortic_root_pressure_mmhg,low_mmhg,high_mmhg")
for row in zip(time_s, wave, wave - half, wave + half, strict=True):
  print(",".join(f"{value:.3f}" for value in row))
