"""The page's conditioning of a record against that of the package: the same gaps, beats and waves."""

import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess
import types
from importlib import resources

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from cap_jax import config
from cap_jax.data import datasets, recordings, signal_names
from cap_jax.data.sources import csv_file
from cap_jax.inference import pieces, reconstruct, uncertainty
from cap_jax.signals import beat_quality, beats, calibration, clocks, filters, quality, synchrony, windows
from cap_jax.types import InputError

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node on the PATH")
DRIVER = pathlib.Path(__file__).with_name("signals_driver.mjs")
SPEC = config.Windows()
WINDOWS = {"fs_hz": SPEC.fs_hz, "samples": SPEC.samples, "margin": SPEC.margin}
RATES_HZ = (62.5, 100.0, 124.945, 125.0, 200.0, 250.0, 500.0, 1000.0)


@dataclasses.dataclass
class Job:
  """A call of a function of the page; `kind` is its name in the driver."""

  kind: str
  label: str
  arrays: list
  options: dict


def run_node(jobs, folder):
  """Returns what the page's functions return, job by job: {"value": …} or {"problem": …}."""
  arrays, places, size = [], [], 0
  for job in jobs:
    places.append([])
    for array in job.arrays:
      arrays.append(np.asarray(array, dtype=np.float64))
      places[-1].append([size, arrays[-1].size])
      size += arrays[-1].size
  calls = [{"kind": job.kind, "arrays": own, "options": job.options} for job, own in zip(jobs, places, strict=True)]
  (folder / "jobs.json").write_text(json.dumps(calls), encoding="utf-8")
  (folder / "arrays.bin").write_bytes(np.concatenate([np.zeros(0), *arrays]).tobytes())
  done = subprocess.run(["node", str(DRIVER), str(folder)], capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  numbers = np.fromfile(folder / "results.bin")

  def restored(value):
    return numbers[value["from"] : value["from"] + value["size"]] if value.keys() == {"from", "size"} else value

  return json.loads((folder / "results.json").read_text(encoding="utf-8"), object_hook=restored)


# What the package returns for a job, in the form of the driver.


def spans_of(spans):
  return [{"start": span.start, "stop": span.stop, "reason": span.reason} for span in spans]


def gaps_of(gaps):
  return [dataclasses.asdict(gap) for gap in gaps]


def find_spans(arrays, options):
  good, gaps = (quality.find_spans if options["pressure"] else quality.find_finite)(*arrays)
  return {"good": spans_of(good), "gaps": spans_of(gaps)}


def find_rails(arrays, options):
  valid_t = quality.is_plausible(arrays[0]) if options["pressure"] else None
  return beat_quality.at_rails(arrays[0], options["fs_hz"], valid_t).astype(int).tolist()


def assess(arrays, options):
  rails = [np.isin(np.arange(x.size), places) for x, places in zip(arrays, options["rails"], strict=True)]
  assessed = beat_quality.assess_pieces(arrays, options["fs_hz"], options["pressure"], rails)
  return [
    {
      "feet": own.feet.tolist(),
      "faults": {name: bad_k.astype(int).tolist() for name, bad_k in own.faults.items()},
      "flushedEnds": [bool(end) for end in own.flushed_ends],
    }
    for own in assessed
  ]


def cut(arrays, options):
  found, waves, gaps = pieces.cut(*arrays, options["pressure"], SPEC)
  return {
    "gaps": gaps_of(gaps),
    "pieces": [
      {
        "span": [piece.span.start, piece.span.stop],
        "feet": piece.feet.tolist(),
        "own": [piece.own.start, piece.own.stop],
        "starts": piece.starts.tolist(),
        "steps_s": list(piece.steps_s),
        "clock": dataclasses.asdict(piece.clock),
      }
      for piece in found
    ],
    "waves": waves,
    "pressures": [values for piece in found for values in vars(piece.pressures).values()],
  }


def affine(arrays, options):
  kind = config.Calibration(**options["calibration"])
  levels = calibration.levels(arrays[0], options["fs_hz"])
  return list(calibration.affine(kind, levels, options["covariates"], "r"))


def answer(x_bt, log_power_k, covariate):
  """The made-up network of the driver."""
  x_bt = x_bt.astype(np.float32).astype(float)
  padded_bt = 0.9 * np.pad(x_bt, ((0, 0), (2, 2)), mode="edge") + 5
  size = x_bt.shape[1]
  shift = 0.01 * float(log_power_k[0]) + covariate / 100
  y_bt = sum(padded_bt[:, k : k + size] for k in range(5)) / 5 + shift + 1e-3 * np.arange(size)  # without ties
  sigma_bt = np.abs(x_bt - x_bt.mean(1, keepdims=True)) / 10 + 1
  ood_b = x_bt[:, 0] - 100
  return uncertainty.Reading(y_bt.astype(np.float32), sigma_bt.astype(np.float32), ood_b.astype(np.float32))


def read_in_groups(trained, count, windows_of, group):
  rows = [slice(start, min(start + group, count)) for start in range(0, count, group)]
  waves = [windows_of(part) for part in rows]
  x_bt = np.concatenate([part.x_bt for part in waves]).astype(np.float32).astype(float)
  powers_bk = np.stack([x_bt.mean(1), np.square(x_bt).mean(1)], axis=1).astype(np.float32)
  log_power_k = powers_bk.mean(0, dtype=float).astype(np.float32)
  for part in waves:
    covariate = np.float32(part.covariates["age"][0]) if trained.model.covariates else 0.0
    yield answer(part.x_bt, log_power_k, float(covariate))


def trained_of(options):
  """A checkpoint that has no more than a reconstruction uses."""
  own = options["network"]
  intervals = own["intervals"] and types.SimpleNamespace(**own["intervals"])
  return types.SimpleNamespace(
    task="waveform",
    reference="aortic_root",
    site=own["site"],
    windows=SPEC,
    model=types.SimpleNamespace(covariates=tuple(own["covariates"])),
    scaling=types.SimpleNamespace(unitless=own["unitless"]),
    calibration=config.Calibration(**own["calibration"]),
    uncertainty_calibration=intervals,
    unknown_level="",
  )


def reconstructed(arrays, options):
  site = options["network"]["site"]
  time_s, wave = arrays
  units = {site: "mmHg" if options["network"]["pressure"] else "1"}
  recording = recordings.Recording(
    subject="r", time_s=time_s, signals={site: wave}, units=units, covariates=options["covariates"]
  )
  result = reconstruct.reconstruct(trained_of(options), recording)
  return {
    "waves": [result.peripheral, result.aortic_mmhg, result.half_width_mmhg],
    "beats": dict(result.beats.columns),
    "gaps": gaps_of(result.gaps),
    "ood_fraction": [None if math.isnan(result.ood_fraction) else result.ood_fraction],
    "unusual_hr": result.unusual_hr,
    "summary": reconstruct.summary(result.beats),
  }


def filter_of(function, **fixed):
  return lambda arrays, options: function(arrays[0], **options, **fixed)


WANTED = {
  "gaussian": filter_of(scipy.ndimage.gaussian_filter1d),
  "median_filter": filter_of(scipy.ndimage.median_filter, mode="nearest"),
  "percentile_filter": lambda a, o: scipy.ndimage.percentile_filter(a[0], o["percent"], o["size"], mode="reflect"),
  "maximum": filter_of(scipy.ndimage.maximum_filter1d),
  "minimum": filter_of(scipy.ndimage.minimum_filter1d),
  "closing": lambda a, o: scipy.ndimage.binary_closing(a[0] > 0, np.ones(o["size"], dtype=bool)),
  "opening": lambda a, o: scipy.ndimage.binary_opening(a[0] > 0, np.ones(o["size"], dtype=bool)),
  "lowpass": filter_of(filters.lowpass),
  "lowpass_part": filter_of(filters.lowpass_part),
  "resample": lambda a, o: filters.resample(*a),
  "reach": lambda a, o: filters.reach(*o["steps_s"]),
  "percentiles": lambda a, o: np.percentile(a[0], o["percents"]).tolist(),
  "median": lambda a, o: float(np.median(a[0])),
  "peaks": lambda a, o: scipy.signal.find_peaks(a[0], height=0)[0].tolist(),
  "feet": lambda a, o: beats.find_feet(a[0], **o).tolist(),
  "whole_beats": lambda a, o: beats.whole_beats(a[0], **o).tolist(),
  "heart_rate": lambda a, o: np.array([beats.heart_rate(a[0], **o)]),
  "rails": find_rails,
  "spans": find_spans,
  "clock": lambda a, o: quality.regular_clock(a[0]),
  "polarity": lambda a, o: synchrony.polarity(a[0], **o),
  "extend": lambda a, o: windows.extend_periodically(a[0], **o),
  "assess": assess,
  "cut": cut,
  "affine": affine,
  "reconstruct": reconstructed,
}
PLACES = {"feet", "whole_beats", "assess", "rails", "spans", "peaks", "reach", "polarity"}  # of which all is exact


def differences(got, want, where=""):
  """Yields where two results differ."""
  if isinstance(want, dict):
    if not isinstance(got, dict) or got.keys() != want.keys():
      yield f"{where}: {got} != {want}"
      return
    for name, value in want.items():
      yield from differences(got[name], value, f"{where}/{name}")
  elif isinstance(want, (list, tuple)):
    if not isinstance(got, list) or len(got) != len(want):
      yield f"{where}: {got} != {want}"
      return
    for place, (one, other) in enumerate(zip(got, want, strict=True)):
      yield from differences(one, other, f"{where}/{place}")
  elif isinstance(want, np.ndarray):
    if got.shape != want.shape or not np.array_equal(np.isnan(got), np.isnan(want)):
      yield f"{where}: {got.shape} {np.isnan(got).sum()} NaN != {want.shape} {np.isnan(want).sum()} NaN"
    elif want.size and np.isfinite(want).any():
      off = np.nanmax(np.abs(got - want) / np.maximum(np.abs(want), 1))
      if off > 1e-6:
        yield f"{where}: relative difference {off:.3g} at {int(np.nanargmax(np.abs(got - want)))}"
  elif isinstance(want, float) and isinstance(got, (int, float)):
    if abs(got - want) > (1e-5 if "/summary" in where else 1e-6) * max(abs(want), 1):
      yield f"{where}: {got!r} != {want!r}"
  elif got != want:
    yield f"{where}: {got!r} != {want!r}"


def compare(job, result):
  """Returns how the page's result differs from the package's."""
  try:
    with np.errstate(invalid="ignore"):
      want = WANTED[job.kind](job.arrays, job.options)
  except InputError as error:
    message = str(error)
    problem = result.get("problem")
    same = problem is not None and message.startswith((f"r: {problem}; ", f"{problem}; "))
    return [] if same else [f"{job.kind} {job.label}: {result.get('problem')!r} != {message!r}"]
  if "value" not in result:
    return [f"{job.kind} {job.label}: only the page refuses: {result['problem']}"]
  want = want.astype(float) if isinstance(want, np.ndarray) else want
  return [f"{job.kind} {job.label}{text}" for text in differences(result["value"], want)]


# Records.


def beat_at(own, turn):
  """A periodic beat at phases."""
  return np.interp(turn % 1, np.arange(own.size + 1) / own.size, np.append(own, own[0]))


def pulse_wave(rng, time_s, own, rate_bpm, pattern):
  """A wave of beats of varying length; in alternans every other one is weak, in bigeminy early too."""
  count = int((time_s[-1] - time_s[0]) * rate_bpm / 60 * 1.5) + 8
  lengths = 60 / rate_bpm * (1 + 0.03 * rng.standard_normal(count))
  rises = 1 + 0.04 * rng.standard_normal(count)
  if pattern == "alternans":
    rises[::2] *= 0.4
  if pattern == "bigeminy":
    lengths[::2] *= 0.7
    lengths[1::2] *= 1.3
    rises[1::2] *= 0.35
  if pattern == "premature":
    early = rng.integers(1, count, max(count // 10, 1))
    lengths[early] *= 0.6
  onsets = time_s[0] + np.cumsum(lengths) - 2 * lengths[0]
  phase = np.interp(time_s, onsets, np.arange(count))
  low = own.min()
  return low + (beat_at(own, phase) - low) * np.interp(phase, np.arange(count) + 0.5, rises)


def clock_of(rng, fs_hz, seconds):
  """A clock, regular or not."""
  size = int(seconds * fs_hz)
  time_s = np.arange(size) / fs_hz
  kind = rng.choice(["even", "even", "even", "late", "jitter", "pause", "lost", "packets", "unix", "digits"])
  if kind == "late":
    time_s = time_s + rng.uniform(0, 100)
  if kind == "jitter":
    time_s = np.cumsum(rng.uniform(0.6, 1.4, size)) / fs_hz
  if kind == "pause":
    for _ in range(rng.integers(1, 4)):
      time_s[rng.integers(1, size) :] += rng.choice([0.05, 0.125, 0.3, 1.0, 7.0])
  if kind == "lost":
    kept = np.ones(size, dtype=bool)
    for start in rng.integers(1, size - 10, rng.integers(1, 8)):
      kept[start : start + rng.integers(1, 9)] = False
    time_s = time_s[kept]
  if kind == "packets":
    packet = int(rng.integers(4, 40))
    late_s = np.repeat(np.abs(0.004 * rng.standard_normal(size // packet + 1)), packet)[:size]
    time_s = np.maximum.accumulate(time_s + late_s)
    time_s = time_s + 1e-6 * np.arange(size) / size
  if kind == "unix":
    time_s = 1.7e9 + time_s
  if kind == "digits":
    time_s = np.unique(np.round(time_s, 3))
  return time_s, str(kind)


def lose(rng, x_t, fs_hz, value, longest_s=4.0):
  start = int(rng.integers(0, x_t.size))
  x_t[start : start + int(rng.uniform(0.01, longest_s) * fs_hz)] = value


def distort(rng, time_s, x_t, kind, pressure):
  """Harms a wave in one way."""
  if not np.isfinite(x_t).any():
    return
  fs_hz, span = 1 / clocks.median_step(time_s), float(np.ptp(x_t[np.isfinite(x_t)]))
  start = int(rng.integers(0, x_t.size))
  part = slice(start, start + int(rng.uniform(0.5, 8) * fs_hz))
  if kind == "noise":
    x_t += rng.choice([0.002, 0.01, 0.05]) * span * rng.standard_normal(x_t.size)
  elif kind == "gap":
    lose(rng, x_t, fs_hz, np.nan)
  elif kind == "marker":
    lose(rng, x_t, fs_hz, rng.choice([-999.0, 0.0, 400.0, -32768.0] if pressure else [np.nan, 0.0]))
  elif kind == "flat":
    lose(rng, x_t, fs_hz, x_t[start])
  elif kind == "dropouts":
    for _ in range(5):
      lose(rng, x_t, fs_hz, np.nan, 0.15)
  elif kind == "clipped":
    x_t[:] = np.minimum(x_t, np.nanpercentile(x_t, rng.uniform(75, 97)))
  elif kind == "floor":
    x_t[part] = np.maximum(x_t[part], np.nanpercentile(x_t, rng.uniform(3, 25)))
  elif kind == "spikes":
    x_t[rng.integers(0, x_t.size, 5)] += span * rng.uniform(-2, 2, 5)
  elif kind == "flush":
    x_t[part] = 200 + 90 * rng.uniform() + rng.standard_normal(x_t[part].size) if pressure else 2 * span
  elif kind == "damped" and x_t[part].size > 20 and np.isfinite(x_t[part]).all():
    x_t[part] = filters.lowpass(x_t[part], fs_hz, rng.uniform(1, 3))
  elif kind == "motion":
    x_t[part] += 0.5 * span * np.sin(np.arange(x_t[part].size) / fs_hz * rng.uniform(5, 60))
  elif kind == "drift":
    x_t += 0.3 * span * np.sin(time_s * rng.uniform(0.3, 2))
  elif kind == "whole":
    step = rng.choice([1.0, 0.1, 2.0]) if pressure else span / rng.choice([30, 255, 4095])
    x_t[:] = np.round(x_t / step) * step
  elif kind == "wrapped":
    top = np.nanpercentile(x_t, 90)
    x_t[x_t > top] -= top - np.nanmin(x_t)
  elif kind == "step":
    x_t[start:] += rng.uniform(-0.8, 0.8) * span


KINDS = (
  "noise", "gap", "marker", "flat", "dropouts", "clipped", "floor", "spikes", "flush", "damped", "motion", "drift",
  "whole", "wrapped", "step",
)  # fmt: skip


def make_record(seed, subjects):
  """Returns a label, the clock, the wave and whether it is a pressure."""
  rng = np.random.default_rng([20, seed])
  pressure = bool(rng.uniform() < 0.75)
  fs_hz = float(rng.choice(RATES_HZ))
  seconds = float(rng.choice([0.9, 2.5, 6.0, 12.0, 25.0], p=[0.06, 0.08, 0.2, 0.4, 0.26])) * (0.4 if fs_hz > 300 else 1)
  time_s, clock = clock_of(rng, fs_hz, seconds)
  site = str(rng.choice(["radial", "brachial", "digital"]))
  subject = int(rng.integers(0, len(subjects[site])))
  pattern = str(rng.choice(["", "", "", "alternans", "bigeminy", "premature"]))
  rate_bpm = float(rng.choice([subjects["hr"][subject], rng.uniform(40, 200)]))
  x_t = pulse_wave(rng, time_s - time_s[0], subjects[site][subject], rate_bpm, pattern)
  if not pressure:
    x_t = (x_t - x_t.min()) / np.ptp(x_t) * rng.choice([1.0, 4095.0, -1.0, 1e-3]) + rng.choice([0.0, 5.0])
  harms = [str(kind) for kind in rng.choice(KINDS, int(rng.integers(0, 4)), replace=False)]
  for kind in harms:
    distort(rng, time_s, x_t, kind, pressure)
  if not np.isfinite(x_t).any():
    x_t[0] = 80.0
  label = f"{seed}: {fs_hz:g} Hz {clock} {pattern} {'+'.join(harms)} {'' if pressure else 'PPG'}"
  return label, time_s, x_t, pressure


def network_of(rng, pressure):
  intervals = {
    "wave": 1.7,
    "csbp": 1.3,
    "ood_threshold": -20.0,
    "hr_bpm": [50.0, 95.0],
    "outside": "",
    "lacking": "",
  }
  kinds = ["none", "none", "none", "sbp_dbp", "map_dbp", "invasive"]
  return {
    **WINDOWS,
    "site": "radial" if pressure else "digital_ppg",
    "pressure": pressure,
    "unitless": not pressure,
    "covariates": ["age"] if rng.uniform() < 0.3 else [],
    "calibration": {"kind": str(rng.choice(kinds)), "form": str(rng.choice(list(calibration.FORMS)))},
    "intervals": intervals if rng.uniform() < 0.8 else None,
    "unknown_level": "",
  }


def jobs_of_record(label, time_s, x_t, pressure, rng, parts=True):
  """All jobs of one record."""
  fs_hz = 1 / clocks.median_step(time_s)
  covariates = {"age": 60.0, "cuff_sbp_mmhg": 131.0, "cuff_dbp_mmhg": 72.0}
  covariates |= {"invasive_map_mmhg": 93.0, "invasive_dbp_mmhg": 71.0} if rng.uniform() < 0.8 else {}
  covariates |= {"cuff_map_mmhg": 95.0} if rng.uniform() < 0.5 else {}
  whole = {"covariates": covariates, "network": network_of(rng, pressure)}
  jobs = [Job("reconstruct", label, [time_s, x_t], whole)]
  if not parts:
    return jobs
  jobs += [
    Job("spans", label, [time_s, x_t], {"pressure": pressure}),
    Job("cut", label, [time_s, x_t], {"pressure": pressure, "windows": WINDOWS}),
    Job("clock", label, [time_s], {}),
    Job("rails", label, [x_t], {"fs_hz": fs_hz, "pressure": pressure}),
    Job("polarity", label, [x_t], {"fs_hz": fs_hz}),
  ]
  good = (quality.find_spans if pressure else quality.find_finite)(time_s, x_t)[0]
  clean = [x_t[span.start : span.stop] for span in good]
  rails = [np.flatnonzero(rng.uniform(size=x.size) < 0.002).tolist() for x in clean]
  jobs += [Job("assess", label, clean, {"fs_hz": fs_hz, "pressure": pressure, "rails": rails})] if clean else []
  jobs += [Job(kind, label, [x], {"fs_hz": fs_hz}) for x in clean for kind in ("feet", "whole_beats", "heart_rate")]
  jobs += [
    Job("extend", label, [x], {"fs_hz": fs_hz, "before": 300, "after": 451}) for x in clean if x.size > 0.3 * fs_hz
  ]
  kinds = {"kind": str(rng.choice(calibration.KINDS)), "form": "0.4"}
  return [*jobs, Job("affine", label, [x_t], {"fs_hz": fs_hz, "calibration": kinds, "covariates": covariates})]


def unit_jobs():
  rng = np.random.default_rng(0)
  jobs = []
  for size in (1, 2, 3, 5, 13, 60, 701):
    x_t, mask_t = rng.standard_normal(size), (rng.uniform(size=size) < 0.4).astype(float)
    tied_t = np.round(2 * x_t)
    jobs += [
      Job("gaussian", f"{size}", [x_t], {"sigma": sigma, "order": order})
      for sigma in (1.0, 2.0, 7.3)
      for order in range(3)
    ]
    for width in (1, 2, 3, 8, 31):
      masks = [Job(kind, f"{size} {width}", [mask_t], {"size": width}) for kind in ("closing", "opening")]
      extremes = [
        Job(kind, f"{size} {width}", [x], {"size": width}) for kind in ("maximum", "minimum") for x in (x_t, tied_t)
      ]
      jobs += masks + extremes
      if width <= size:
        jobs += [Job("median_filter", f"{size} {width}", [x], {"size": width}) for x in (x_t, tied_t)]
        jobs.append(Job("percentile_filter", f"{size} {width}", [x_t], {"size": width, "percent": 75}))
    jobs += [
      Job("percentiles", f"{size}", [x_t], {"percents": [5, 50, 97, 0, 100, 33.3]}),
      Job("median", f"{size}", [x_t], {}),
    ]
    jobs.append(Job("peaks", f"{size}", [tied_t], {}))
  wave_t = np.cumsum(rng.standard_normal(3000))
  for size in (4, 5, 12, 13, 40, 3000):
    for fs_hz, cutoff_hz in ((125.0, 16.0), (62.5, 40.0), (1000.0, 50.0), (124.945, 10.0), (35.0, 16.0)):
      own = {"fs_hz": fs_hz, "cutoff_hz": cutoff_hz}
      jobs.append(Job("lowpass", f"{size} {fs_hz}", [wave_t[:size]], own))
      jobs.append(
        Job("lowpass_part", f"{size} {fs_hz}", [wave_t[:size]], {**own, "start": 1, "stop": size - 1, "fill": 1.0})
      )
    for ratio in (0.1, 0.5, 0.97, 1.0, 2.1):
      time_s = np.cumsum(rng.uniform(0.5, 1.5, size)) / 125
      at_s = np.arange(time_s[0], time_s[-1], ratio / 125)
      if at_s.size > 1:
        jobs.append(Job("resample", f"{size} {ratio}", [time_s, wave_t[:size], at_s], {}))
      jobs.append(Job("reach", f"{ratio}", [], {"steps_s": [0.008, 0.008 * ratio]}))
  many_t = np.round(rng.standard_normal(300_000), 3)  # more than is sorted at once
  return [
    *jobs,
    Job("percentiles", "many", [many_t], {"percents": [95, 5, 50, 0, 100]}),
    Job("median", "many", [many_t], {}),
  ]


def load_subjects():
  path = resources.files("cap_jax.arteries").joinpath("data/nonlinear_dev.npz")
  with path.open("rb") as file, np.load(file) as data:
    return {name: data[name] for name in ("hr", "radial", "brachial", "digital")}


def case_records(folder):
  """Records of users' files, for which the package needs no names of columns."""
  for path in sorted(folder.glob("*.csv")):
    try:
      recording = datasets.read(next(iter(csv_file.load(path).entries)))
    except InputError:
      continue
    for name, x_t in recording.signals.items():
      if signal_names.split_signal(name)[1] in ("", "ppg"):
        yield f"{path.name} {name}", recording.time_s, x_t, signal_names.is_pressure(name)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
  """Differences by kind of job."""
  jobs, rng, subjects = unit_jobs(), np.random.default_rng(1), load_subjects()
  for seed in range(50):
    jobs += jobs_of_record(*make_record(seed, subjects), rng)
  data = os.environ.get("CAP_JAX_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared" / "data")
  cases = pathlib.Path(data).parent / "cases"
  for record in case_records(cases) if cases.is_dir() else ():
    jobs += jobs_of_record(*record, rng)
  results = run_node(jobs, tmp_path_factory.mktemp("signals"))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(uncertainty, "read_in_groups", read_in_groups)
    found = {}
    for job, result in zip(jobs, results, strict=True):
      found.setdefault(job.kind, []).append(compare(job, result))
  return found


@pytest.mark.parametrize("kind", WANTED)
def test_the_page_computes_what_the_package_does(compared, kind):
  assert compared[kind], "no job of this kind"
  assert [text for texts in compared[kind] for text in texts][:10] == []
