"""Writes measured pressure waves of public collections as folders of CSV files, for figures about *real records*.

  python -m experiments.reference_records --data=FOLDER --output=DIR
  python -m experiments.figures --only=plausibility,realism --records=DIR/radial --workdir=runs/figures
  python -m experiments.figures --only=aortic_realism --aortic=DIR/aortic --workdir=runs/figures

FOLDER has these files. The first 120 s of each record are written:

  thoracotomy_abp/abp_125hz_tenths.npz            arterial lines of 22 patients in surgery (simo094k/DataProject-GAM, no licence)
  icu_ecg_abp_ppg.mat                             intensive care (cliffordlab/PhysioNet-Cardiovascular-Signal-Toolbox, BSD-3)
  intraop_1.npz                                   in theatre (JohannesNE/waveformtools, MIT)
  wfdb/041s.hea, wfdb/mixedsignals.hea            intensive care (MIT-LCP/wfdb-python, MIT)
  aortic_pq/invivo_*, aortic_pq/stergiopulos1999* a pig in vivo, and a human beat that is repeated (hpigot/windkessel-id, MIT)
  pig_conscious_aop_lvp/pig_aop_lvp_1khz.npz      two conscious pigs (hgharahi/ExerciseModel, no licence)
  nhlbi_lv_aorta/lv_aorta_1khz.npz                a subject of unstated species, preload falls (NHLBI-MR/dynamic_pv_loops, no licence)

The arrays have the pressures of these collections in mmHg, those of `thoracotomy_abp` in tenths. None of them has both waves, and
nothing is trained on them.
"""

import os
import pathlib
from collections.abc import Iterator

import numpy as np
import scipy.io
import tqdm
import wfdb
from absl import flags

from cap_jax.cli import launcher, output_folders
from cap_jax.types import InputError

_DATA = flags.DEFINE_string("data", None, "folder of the collections")
_OUTPUT = flags.DEFINE_string("output", None, "new folder; gets the folders radial and aortic")
_LONGEST_S = 120.0
_BEAT_REPEATS = 6  # of 0.8 s: long enough for one window of 4 s
_PIG_HZ = 200.0
_ABP, _AOP = 2, 1  # columns of the ICU record and of the conscious pigs

Record = tuple[str, float, np.ndarray]  # name, sampling rate [Hz], wave [mmHg]


def radial(data: pathlib.Path) -> Iterator[Record]:
  """Yields the arterial lines, whose site is radial as far as it is known."""
  with np.load(data / "thoracotomy_abp" / "abp_125hz_tenths.npz") as lines:
    for name in lines.files:
      yield name.replace("/", "_"), 125.0, lines[name] / 10
  yield "icu", 125.0, scipy.io.loadmat(data / "icu_ecg_abp_ppg.mat")["signal"][:, _ABP]
  with np.load(data / "intraop_1.npz") as theatre:
    yield "intraop_1", 125.0, theatre["abp_mmhg"]
  for name in ("041s", "mixedsignals"):
    record = wfdb.rdrecord(str(data / "wfdb" / name), smooth_frames=False)
    channel = record.sig_name.index("ABP")
    yield name, record.fs * record.samps_per_frame[channel], record.e_p_signal[channel]


def aortic(data: pathlib.Path) -> Iterator[Record]:
  """Yields the waves of catheters in the aorta."""
  folder = data / "aortic_pq"
  for number in range(1, 5):
    path = folder / f"invivo_Ao_baseline1_AoP{number}.csv"
    yield f"pig_in_vivo_{number}", _PIG_HZ, np.loadtxt(path, delimiter=",", skiprows=2, usecols=1)
  beat = np.loadtxt(folder / "stergiopulos1999_apressure.csv", delimiter=",", usecols=1)
  yield "human_beat", 200.0, np.tile(beat, _BEAT_REPEATS)
  with np.load(data / "pig_conscious_aop_lvp" / "pig_aop_lvp_1khz.npz") as pigs:
    for name in pigs.files:
      yield f"pig_{name}", 1000.0, pigs[name][:, _AOP]
  with np.load(data / "nhlbi_lv_aorta" / "lv_aorta_1khz.npz") as falling:
    yield "preload_falls", float(falling["fs_hz"]), falling["aorta_mmhg"]


def write(folder: str, column: str, records: Iterator[Record]) -> None:
  """Writes a CSV file for each record.

  Args:
    folder: new.
    column: of the wave.
    records: whose first two minutes are written.
  """
  os.mkdir(folder)
  for name, fs_hz, wave in tqdm.tqdm(records, desc=os.path.basename(folder), unit="record"):
    wave = wave[: round(_LONGEST_S * fs_hz)]
    rows = np.stack([np.arange(len(wave)) / fs_hz, wave], axis=1)
    np.savetxt(os.path.join(folder, f"{name}.csv"), rows, "%.6f", ",", header=f"time_s,{column}", comments="")


def main() -> None:
  data = pathlib.Path(launcher.required(_DATA, "FOLDER"))
  output = launcher.required(_OUTPUT, "DIR")
  output_folders.new_folder(output, "--output")
  try:
    write(os.path.join(output, "radial"), "radial_pressure_mmhg", radial(data))
    write(os.path.join(output, "aortic"), "aortic_root_pressure_mmhg", aortic(data))
  except FileNotFoundError as error:
    raise InputError(f"--data={data}: {error.filename} is missing; the docstring lists the files") from error


if __name__ == "__main__":
  launcher.launch(main)
