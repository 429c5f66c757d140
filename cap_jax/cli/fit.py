"""Fits the arterial model to a beat measured at the aortic root: wave speed, resistance, compliance, size.

python -m experiments.fit --input=beat.csv --output=DIR

The CSV file has the columns `time_s`, `aortic_root_pressure_mmhg` and, optionally, `aortic_root_flow_ml_s`. Without a flow
the ejection is fitted too. All beats are averaged. Writes fit.json, fit.csv and fit.png to DIR.
"""

import json
import os

import jax
import numpy as np
import pandas
from absl import flags

from cap_jax import clinics, files
from cap_jax.arteries import fit, population
from cap_jax.cli import launcher, output_folders
from cap_jax.data import datasets, signal_names
from cap_jax.data.sources import DATASETS
from cap_jax.haemodynamics import timing
from cap_jax.report import cohort as sheets
from cap_jax.report import figures
from cap_jax.signals import beats
from cap_jax.types import InputError

_INPUT = flags.DEFINE_string("input", None, "CSV file with the measured beats")
_OUTPUT = flags.DEFINE_string("output", None, "folder to create")
_AGE = flags.DEFINE_float("age", 50.0, "age in years, which sets the parameters that are not fitted")
_STEPS = flags.DEFINE_integer("steps", 400, "number of optimisation steps", lower_bound=1)
_PRESSURE, _FLOW = "aortic_root", "aortic_root_flow"
_SAMPLES = 256


def _mean_subject(age: float) -> population.Subject:
  """Returns the mean subject of this age, drawn from a population without spread."""
  low, high = population.LIMITS["age"]
  if not low <= age < high:
    raise InputError(f"--age={age:g}: must be {low:g} to {high:g} years")
  spec = clinics.Population(age_min=age, age_max=age + 1e-3, spread=0.0)
  return jax.tree.map(lambda x: np.float32(x[0]), population.draw(jax.random.key(0), spec, 1))


def _aligned(p_t: np.ndarray, q_t: np.ndarray, period_s: float) -> tuple[np.ndarray, float]:
  """Returns the flow, shifted to begin with the pressure, and the delay that was removed [s].

  Pressure and flow begin together at one place. A flow can be late because of its meter's filter, but not early.
  """
  period = np.array([period_s])
  late_s = float((timing.foot_times(q_t[None], period) - timing.foot_times(p_t[None], period))[0])
  late_s = max((late_s + period_s / 2) % period_s - period_s / 2, 0.0)
  shift = 2j * np.pi * np.arange(_SAMPLES // 2 + 1) * late_s / period_s
  return np.fft.irfft(np.fft.rfft(q_t) * np.exp(shift), n=_SAMPLES), late_s


def main() -> None:
  path = launcher.required(_INPUT, "beat.csv")
  if os.path.isdir(path):
    raise InputError(f"{path}: is a folder; pass a CSV file")
  recording = datasets.read(DATASETS["csv"](path).entries[0])
  if _PRESSURE not in recording.signals:
    raise InputError(f"{path}: column {signal_names.column_of(_PRESSURE)} is missing; rename the column")
  pressure, flow = recording.signals[_PRESSURE], recording.signals.get(_FLOW)
  if not np.isfinite(pressure).all() or (flow is not None and not np.isfinite(flow).all()):
    raise InputError(f"{path}: contains missing values; cut the record to beats without gaps")
  feet = beats.whole_beats(pressure, recording.fs_hz)
  if len(feet) < 2:
    raise InputError(
      f"{path}: no beat of {beats.SHORTEST_S:g} s or more in {pressure.size} rows; use a longer record, with time in s and pressure in mmHg"
    )
  period_s = float(np.diff(feet).mean()) / recording.fs_hz
  p_t = beats.ensemble(pressure, feet, _SAMPLES)
  facts: dict[str, float | str] = {"input": os.path.basename(path), "beats": len(feet) - 1}
  facts["period_s"] = round(period_s, 4)
  q_t = None
  if flow is not None:
    stroke_ml = float(flow.mean()) * period_s
    low, high = population.LIMITS["sv_ml"]
    if not low <= stroke_ml <= high:
      raise InputError(
        f"{path}: column {signal_names.column_of(_FLOW)} implies a stroke volume of {stroke_ml:.3g} ml; must be {low:g} to {high:g}: convert the flow to ml/s"
      )
    q_t, late_s = _aligned(p_t, beats.ensemble(flow, feet, _SAMPLES), period_s)
    facts["flow_behind_pressure_s"] = round(late_s, 4)
  with output_folders.whole_folder(launcher.required(_OUTPUT, "fitted"), "--output") as folder:
    beat_fit = fit.fit(p_t, q_t, period_s, _mean_subject(_AGE.value), steps=_STEPS.value)
    time_s = np.arange(_SAMPLES) / _SAMPLES * period_s
    table = {"time_s": time_s, "measured_mmhg": p_t, "model_mmhg": beat_fit.p_t}
    table |= {} if q_t is None else {"flow_ml_s": q_t}
    with files.write_atomically(os.path.join(folder, "fit.csv")) as (partial,):
      pandas.DataFrame(table).round(4).to_csv(partial, index=False)
    resistance = (beat_fit.subject.map_mmhg - beat_fit.subject.p_out_mmhg) / (
      beat_fit.subject.sv_ml * beat_fit.subject.hr_bpm / 60
    )
    facts |= {"rms_mmhg": round(beat_fit.rms_mmhg, 3), "resistance_mmhg_s_ml": round(float(resistance), 4)}
    subject = {name: round(float(value), 5) for name, value in beat_fit.subject._asdict().items()}
    with (
      files.write_atomically(os.path.join(folder, "fit.json")) as (partial,),
      open(partial, "w", encoding="utf-8") as file,
    ):
      json.dump({**facts, "subject": subject}, file, indent=2)
    with files.write_atomically(os.path.join(folder, "fit.png")) as (partial,), open(partial, "wb") as image:
      image.write(figures.to_png(sheets.fitted(time_s, p_t, beat_fit.p_t, q_t)))
  fitted = ", ".join(f"{name} {subject[name]:.4g}" for name in (fit.WITHOUT_FLOW if q_t is None else fit.WITH_FLOW))
  print("\n".join(f"{name}: {value}" for name, value in facts.items()))
  print(f"fitted: {fitted}\n{_OUTPUT.value}")
