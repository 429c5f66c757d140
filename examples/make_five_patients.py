"""Writes the five patients of `five_patients`, a folder as a clinic may have one: *in silico*.

    python examples/make_five_patients.py

The patients are virtual: hypertensive people of 60 to 80 years, measured through one under-damped, fluid-filled
transducer. The seed is fixed, so the command writes the same files again.
"""

import csv
import pathlib

import numpy as np

import cap_jax as cj

FOLDER = pathlib.Path(__file__).parent / "five_patients"
SUBJECTS, SECONDS, SEED, FS_HZ = 5, 12.0, 11, 125.0
COLUMNS = {"radial": "radial_pressure_mmhg", "aortic_root": "aortic_root_pressure_mmhg"}
COVARIATES = ("age", "cuff_sbp_mmhg", "cuff_dbp_mmhg")


def write_table(path: pathlib.Path, header: tuple[str, ...], rows: list[list[str]]) -> None:
  """Writes a CSV file.

  Args:
    path: the file.
    header: names of its columns.
    rows: cells of each row.
  """
  with path.open("w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def main() -> None:
  people = cj.cohort("device_population", subjects=SUBJECTS, seed=SEED, seconds=SECONDS).recordings
  names = [f"P{number:02d}" for number in range(1, SUBJECTS + 1)]
  for name, person in zip(names, people, strict=True):
    waves = [person.signals[site] for site in COLUMNS]
    rows = [
      [f"{k / FS_HZ:.3f}", *(f"{value:.1f}" for value in values)]
      for k, values in enumerate(np.stack(waves, axis=1).tolist())
    ]
    write_table(FOLDER / f"{name}.csv", ("time_s", *COLUMNS.values()), rows)
  rows = [
    [name, *(f"{person.covariates[covariate]:.0f}" for covariate in COVARIATES)]
    for name, person in zip(names, people, strict=True)
  ]
  write_table(FOLDER / "subjects.csv", ("subject", *COVARIATES), rows)


if __name__ == "__main__":
  main()
