"""What is in a data set: sums over its records, and pictures of some."""

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax.data import conditioning, datasets, recordings
from cap_jax.report import figures

_SHOWN_S = 10.0
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


@dataclasses.dataclass(frozen=True)
class InspectedRecord:
  """What is kept of a record that was looked at: unit and rate of its signals, what is known of the subject, and the report."""

  units: Mapping[str, str]
  fs_hz: float
  covariates: tuple[str, ...]
  report: conditioning.Report


def look(raw: recordings.Recording, report: conditioning.Report) -> InspectedRecord:
  """Of a record as it was found, and the report of its conditioning."""
  return InspectedRecord(dict(raw.units), raw.fs_hz, tuple(raw.covariates), report)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalSummary:
  """A signal over all records that have it."""

  signal: str
  unit: str
  records: int
  fs_hz: tuple[float, float]
  hours: float
  good_share: float
  beats: int
  faults: Mapping[str, int]
  lag: str


def _lag(seen: Sequence[InspectedRecord], name: str) -> str:
  found = [s.report.sync[name] for s in seen if name in s.report.sync]
  if not found:
    return ""
  removed = [sync.removed_s for sync in found if sync.removed_s]
  said = f"{np.median([sync.lag_s for sync in found]):.3f} s"
  return f"{said}; taken out of {len(removed)} as a monitor's delay, {np.median(removed):.3f} s" if removed else said


def rows(seen: Sequence[InspectedRecord]) -> list[SignalSummary]:
  """A row a signal, in order of their names."""
  found = []
  for name in sorted({name for s in seen for name in s.units}):
    those = [s for s in seen if name in s.units]
    seconds, good = (
      sum(values) for values in zip(*((s.report.seconds, s.report.good_s[name]) for s in those), strict=True)
    )
    faults: dict[str, int] = {}
    for s in those:
      for reason, count in s.report.faults[name].items():
        faults[reason] = faults.get(reason, 0) + count
    rates = [s.fs_hz for s in those]
    units = ", ".join(dict.fromkeys(s.units[name] for s in those))
    beats = sum(s.report.beats.get(name, 0) for s in those)
    share = min(good / seconds, 1.0) if seconds else 0.0
    found.append(
      SignalSummary(
        signal=name,
        unit=units,
        records=len(those),
        fs_hz=(min(rates), max(rates)),
        hours=seconds / 3600,
        good_share=share,
        beats=beats,
        faults=faults,
        lag=_lag(those, name),
      )
    )
  return found


def text(dataset: datasets.DataSet, seen: Sequence[InspectedRecord]) -> list[str]:
  """What is printed of a data set."""
  whose = (
    "subjects"
    if dataset.subjects_known
    else "records whose subjects are not known (each counts as one; splits are by record)"
  )
  lines = [
    f"{dataset.name}: {len(dataset.subjects)} {whose}, {len(dataset.entries)} records"
    f"{', in silico' if dataset.in_silico else ''}",
    f"source: {dataset.source}; licence: {dataset.licence}",
    *(f"note: {note}" for note in dataset.notes),
    f"{len(seen)} records read:" if seen else "no record could be read",
  ]
  for row in rows(seen):
    low, high = row.fs_hz
    rate = f"{low:g} Hz" if high - low < 1e-3 * low else f"{low:g}–{high:g} Hz"
    lines.append(
      f"  {row.signal} [{row.unit}]: {row.records} records, {rate}, {3600 * row.hours:.0f} s, {row.beats} beats, "
      f"{100 * row.good_share:.1f} % good"
    )
    if row.faults:
      lines.append("    " + ", ".join(f"{reason} {count}" for reason, count in sorted(row.faults.items())))
    if row.lag:
      lines.append(f"    behind the first pressure: {row.lag}")
  known = sorted({name for s in seen for name in s.covariates})
  return lines + ([f"  known of subjects: {', '.join(known)}"] if known else [])


Drawn = tuple[recordings.Recording, recordings.Recording]
"""A record as it was found, and what conditioning left of it."""


def _start(raw: recordings.Recording, kept: recordings.Recording) -> float:
  """Where the picture begins: a little before the first sample that is taken out, or the record's begin."""
  for wave in kept.signals.values():
    lost = np.flatnonzero(~np.isfinite(wave))
    if lost.size:
      return max(float(kept.time_s[lost[0]]) - 0.4 * _SHOWN_S, float(raw.time_s[0]))
  return float(raw.time_s[0])


def sheet(drawn: Sequence[Drawn]) -> Figure:
  """Ten seconds of each record: what is kept in colour, what is taken out in grey."""
  columns = sorted({name for raw, _ in drawn for name in raw.signals})
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(max(4.0 * len(columns), 6.0), 1.6 * len(drawn) + 0.6), layout="constrained")
    axes = figure.subplots(len(drawn), len(columns), squeeze=False, sharex="row")
    for number, (raw, kept) in enumerate(drawn):
      first = _start(raw, kept)
      for name, place in zip(columns, axes[number], strict=True):
        if name not in raw.signals:
          place.set_axis_off()
          continue
        for found, colour, width in ((raw, "#AAAAAA", 1.6), (kept, _COLOURS[columns.index(name) % 6], 1.0)):
          shown = (found.time_s >= first) & (found.time_s <= first + _SHOWN_S)
          place.plot(found.time_s[shown], found.signals[name][shown], color=colour, lw=width)
        place.set_title(f"{raw.subject} {name.replace('_', ' ')} [{raw.units[name]}]", fontsize=8)
        place.margins(x=0)
    for place in axes[-1]:
      place.set_xlabel("time [s]")
  return figure
