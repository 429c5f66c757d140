"""Makes the tables about subjects: the characteristics of each group, and a list by patient with outliers marked."""

from collections.abc import Mapping

import numpy as np
import pandas

from cap_jax.report import page, reconstruction, study_tables, tables
from cap_jax.study import characteristics, summary

_LEAST = 5  # subjects of which one can be an outlier
_WHISKER = 1.5  # interquartile ranges beyond a quartile (Tukey 1977, Exploratory Data Analysis)
_UNUSUAL = {
  "amplification": ("amplification", "", 2),
  "hr_bpm": ("heart rate", " bpm", 0),
  "age": ("age", " years", 0),
}
_UNKNOWN = "—"
GROUPS = {
  "source_training": "source, training",
  "source_validation": "source, validation",
  "target_labelled": "training (labelled)",
  "target_unlabelled": "training (unlabelled)",
  "target_validation": "validation",
  "target_test": "test",
  "network": "seen by the network",
  "reconstructed": "reconstructed",
  "evaluated": "test (with an aortic wave)",
}
_CHARACTERISTICS = {
  "age": "age [years]",
  "hr_bpm": "heart rate [bpm]",
  "sbp_mmhg": "SBP [mmHg]",
  "dbp_mmhg": "DBP [mmHg]",
  "pp_mmhg": "PP [mmHg]",
  "csbp_mmhg": "central SBP [mmHg]",
  "cdbp_mmhg": "central DBP [mmHg]",
  "cpp_mmhg": "central PP [mmHg]",
}


def _mean_sd(group: characteristics.Group, name: str) -> str:
  if name not in group.values:
    return _UNKNOWN
  n, mean, sd = group.values[name]
  spread = "" if np.isnan(sd) else f" ± {sd:.1f}"
  return f"{mean:.1f}{spread}" + (f" (n = {n})" if n < group.subjects else "")


def characteristics_table(groups: Mapping[str, characteristics.Group]) -> tables.NotedTable:
  """Returns number, mean and SD of each group's characteristics, a group a column.

  Args:
    groups: name in `GROUPS` → its characteristics.
  """
  central = [name for name in characteristics.CENTRAL if any(name in group.values for group in groups.values())]
  rows = [
    ("subjects", *(f"{group.subjects:,}" for group in groups.values())),
    ("windows", *(f"{group.windows:,}" if group.windows else _UNKNOWN for group in groups.values())),
    *(
      (_CHARACTERISTICS[name], *(_mean_sd(group, name) for group in groups.values()))
      for name in (*characteristics.PERIPHERAL, *central)
    ),
  ]
  caption = "Characteristics of the subjects, mean ± SD over subjects"
  note = f"SBP, DBP and PP: of the peripheral wave as recorded. {_UNKNOWN}: unknown."
  return tables.NotedTable(("characteristic", *(GROUPS[name] for name in groups)), rows, caption=caption, note=note)


def characteristics_section(
  groups: Mapping[str, characteristics.Group], name: str, text: str = ""
) -> list[page.Section]:
  """Makes the section on the characteristics of each group; [] if no group is known.

  Args:
    groups: name in `GROUPS` → its characteristics.
    name: of the target, for the file.
    text: above the table.
  """
  if not groups:
    return []
  shows = "Age, heart rate and pressures of each group of subjects, ready for a paper."
  sheets = {f"characteristics_{name}": characteristics_table(groups)}
  return [page.Section(heading="Patient characteristics", shows=shows, text=text, sheets=sheets)]


def limits(values_s: np.ndarray) -> tuple[float, float]:
  """Returns the values beyond which a subject is an outlier; infinite for fewer than five subjects.

  Args:
    values_s: (subject,) values; NaN is left out.
  """
  finite = values_s[np.isfinite(values_s)]
  if finite.size < _LEAST:
    return -np.inf, np.inf
  low, high = np.percentile(finite, [25, 75])
  return float(low - _WHISKER * (high - low)), float(high + _WHISKER * (high - low))


def _unusual(people: pandas.DataFrame) -> dict[str, list[str]]:
  """Returns subject → what differs from the other subjects, besides its error."""
  texts: dict[str, list[str]] = {str(subject): [] for subject in people.index}
  for column, (title, unit, digits) in _UNUSUAL.items():
    values = people[column].to_numpy(float)
    low, high = limits(values)
    for subject, value in zip(people.index, values, strict=True):
      if value < low or value > high:
        half = " to ".join(f"{quartile:.{digits}f}" for quartile in np.nanpercentile(values, [25, 75]))
        texts[str(subject)].append(f"{title} {value:.{digits}f}{unit} (middle half of all: {half})")
  for subject, share in people["ood_fraction"].items():
    if share > reconstruction.MOST_OOD:
      texts[str(subject)].append(f"{100 * share:.0f} % of its windows out of distribution")
  return texts


def patients(rows: pandas.DataFrame, named: Mapping[str, str]) -> tables.NotedTable:
  """Returns a row a subject, the worst first, with outliers marked.

  Args:
    rows: of one method at one number of labels.
    named: subject → why its two waves may not belong together, if that is known.
  """
  people = summary.of_subjects(rows).sort_values("rmse_mmhg", ascending=False)
  people = people[people["rmse_mmhg"].notna()]
  high, unusual = limits(people["rmse_mmhg"].to_numpy(float))[1], _unusual(people)
  cells, marks = [], []
  for subject, one in people.iterrows():
    why = [*([named[str(subject)]] if subject in named else []), *unusual[str(subject)]]
    outlier = bool(one["rmse_mmhg"] > high) or subject in named
    marks.append("certain" if outlier else "")
    number = study_tables.number
    cells.append(
      (
        f"{subject}{' !' * outlier}",
        number(one["rmse_mmhg"]),
        study_tables.spread((one["csbp_error_mmhg"], np.nan)),
        number(one["csbp_true_mmhg"], 0),
        number(one["age"], 0),
        number(one["hr_bpm"], 0),
        number(one["amplification"]),
        number(100 * one["ood_fraction"], 0),
        "; ".join(why) or ("only its error" if outlier else ""),
      )
    )
  header = (
    "subject", "RMSE", "cSBP error", "true cSBP", "age [years]", "heart rate [bpm]", "amplification", "out of distribution [%]", "unusual",
  )  # fmt: skip
  rule = f"! marks an outlier: an RMSE more than {_WHISKER:g} interquartile ranges above the third quartile, beyond {high:.2f} mmHg."
  if not np.isfinite(high):
    rule = f"Fewer than {_LEAST} subjects: no outlier is marked by its RMSE."
  note = (
    f"{rule} Unusual: an amplification, heart rate or age as far from the others, or most windows out of distribution."
  )
  return tables.NotedTable(
    header, cells, marks=marks, caption="Each test subject, the largest error first [mmHg]", note=note
  )


def patients_section(rows: pandas.DataFrame, clinic: str, method: str, named: Mapping[str, str]) -> page.Section:
  """Makes the section that lists the test subjects.

  Args:
    rows: of one method at one number of labels; empty for a method without errors.
    clinic: its name.
    method: name of the method.
    named: subject → why its two waves may not belong together, if that is known.
  """
  shows = "Every test subject, the worst first, with outliers and what is unusual about them."
  if rows.empty:
    return page.Section(heading="List by patient", shows=shows)
  table = patients(rows, named)
  count = sum(map(bool, table.marks))
  outliers = f"{count} of {len(table.rows)} subjects {'is an outlier' if count == 1 else 'are outliers'}."
  text = f"{outliers} Method: {tables.label(method)}."
  return page.Section(heading="List by patient", shows=shows, text=text, sheets={f"patients_{clinic}": table})
