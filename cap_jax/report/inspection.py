"""Summarises the records of a data set, and draws some of them."""

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cap_jax.data import conditioning, datasets, recordings
from cap_jax.report import figures
from cap_jax.types import counted

_FIGURE_S = 10.0
_NAMED = 8  # unread columns
_FEW = 3  # records that are named beside a fault
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectedRecord:
  """What the summary needs of a record.

  Attributes:
    name: of its subject, and of the record if it differs; unique in a data set.
    units: signal → unit.
    fs_hz: sampling rate.
    covariates: names of the subject's covariates.
    report: of the conditioning.
    notes: of the reader and the conditioning.
    unread: columns or arrays of its file that are no signal.
  """

  name: str
  units: Mapping[str, str]
  fs_hz: float
  covariates: tuple[str, ...]
  report: conditioning.Report
  notes: tuple[str, ...] = ()
  unread: tuple[str, ...] = ()


def look(raw: recordings.Recording, cleaned: recordings.Recording, report: conditioning.Report) -> InspectedRecord:
  """Returns what the summary needs of a record.

  Args:
    raw: the record before conditioning.
    cleaned: the record after it.
    report: of its conditioning.

  Returns:
    The inspected record.
  """
  return InspectedRecord(
    name=raw.subject if raw.record in ("", raw.subject) else f"{raw.subject} {raw.record}",
    units=dict(raw.units),
    fs_hz=raw.fs_hz,
    covariates=tuple(raw.covariates),
    report=report,
    notes=cleaned.notes,
    unread=raw.unread,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalSummary:
  """A signal, summarised over all records that have it. `faults` has reason → record → how often."""

  signal: str
  unit: str
  records: int
  fs_hz: tuple[float, float]
  hours: float
  good_share: float
  beats: int
  faults: Mapping[str, Mapping[str, int]]
  lag: str


def _lag(records: Sequence[InspectedRecord], name: str) -> str:
  syncs = [s.report.sync[name] for s in records if name in s.report.sync]
  if not syncs:
    return ""
  removed = [sync.removed_s for sync in syncs if sync.removed_s]
  lag = f"{np.median([sync.lag_s for sync in syncs]):.3f} s"
  return (
    f"{lag}; removed from {counted(len(removed), 'record')} as the monitor's delay, {np.median(removed):.3f} s"
    if removed
    else lag
  )


def rows(records: Sequence[InspectedRecord]) -> list[SignalSummary]:
  """Returns a summary a signal, in order of their names."""
  summaries = []
  for name in sorted({name for s in records for name in s.units}):
    those = [s for s in records if name in s.units]
    seconds, good = (
      sum(values) for values in zip(*((s.report.seconds, s.report.good_s[name]) for s in those), strict=True)
    )
    faults: dict[str, dict[str, int]] = {}
    for s in those:
      noted = [note for note in s.notes if f": {name}" in note]  # which say more
      for reason, count in s.report.faults[name].items():
        if any(note.endswith(reason) for note in noted):
          continue
        faults.setdefault(reason, {})[s.name] = count
    rates = [s.fs_hz for s in those]
    units = ", ".join(dict.fromkeys(s.units[name] for s in those))
    beats = sum(s.report.beats.get(name, 0) for s in those)
    share = min(good / seconds, 1.0) if seconds else 0.0
    summaries.append(
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
  return summaries


def _fault(reason: str, counts: Mapping[str, int]) -> str:
  """Returns a fault, how often it was found, and in which records, if they are few."""
  where = ", ".join(counts) if len(counts) <= _FEW else f"{len(counts)} records"
  return f"{reason} {sum(counts.values())} ({where})"


def text(dataset: datasets.DataSet, records: Sequence[InspectedRecord]) -> list[str]:
  """Returns the lines to print about a data set.

  Args:
    dataset: the data set.
    records: those of it that were read.

  Returns:
    The lines.
  """
  whose = "" if dataset.subjects_known else " (unknown: each record counts as a subject; splits are by record)"
  lines = [
    f"{dataset.name}: {counted(len(dataset.subjects), 'subject')}{whose}, {counted(len(dataset.entries), 'record')}"
    f"{'' if dataset.place in datasets.PEOPLE else f', {dataset.place}'}",
    f"source: {dataset.source}; licence: {dataset.licence}",
    f"{counted(len(records), 'record')} read:" if records else "no readable record",
  ]
  for row in rows(records):
    low, high = row.fs_hz
    rate = f"{low:g} Hz" if high - low < 1e-3 * low else f"{low:g}–{high:g} Hz"
    lines.append(
      f"  {row.signal} [{row.unit}]: {counted(row.records, 'record')}, {rate}, {3600 * row.hours:.0f} s, {row.beats} beats, "
      f"{100 * row.good_share:.1f} % good"
    )
    if row.faults:
      lines.append("    " + ", ".join(_fault(reason, counts) for reason, counts in sorted(row.faults.items())))
    if row.lag:
      lines.append(f"    delay relative to the first pressure: {row.lag}")
  covariates = sorted({name for s in records for name in s.covariates})
  lines += [f"  covariates: {', '.join(covariates)}"] if covariates else []
  return lines + _missed(records)


def _missed(records: Sequence[InspectedRecord]) -> list[str]:
  """Returns lines on columns that were not read, and on waves that no record has."""
  unread = list(dict.fromkeys(name for one in records for name in one.unread))
  lines = []
  if unread:
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    lines.append(f"  not read: {', '.join(unread[:_NAMED])}{more}; --channels=NAME:SIGNAL reads one as a signal")
  signals = {name for one in records for name in one.units}
  return lines + [f"  {line}" for line in datasets.missing_waves(signals) if records]


Drawn = tuple[recordings.Recording, recordings.Recording]
"""A record before and after conditioning."""


def _start(raw: recordings.Recording, cleaned: recordings.Recording) -> float:
  """Returns where the figure begins [s]: shortly before the first removed sample, or at the start of the record."""
  for wave in cleaned.signals.values():
    lost = np.flatnonzero(~np.isfinite(wave))
    if lost.size:
      return max(float(cleaned.time_s[lost[0]]) - 0.4 * _FIGURE_S, float(raw.time_s[0]))
  return float(raw.time_s[0])


def sheet(drawn: Sequence[Drawn]) -> Figure:
  """Draws ten seconds of each record: samples that conditioning keeps in colour, those that it removes in grey."""
  columns = sorted({name for raw, _ in drawn for name in raw.signals})
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(max(4.0 * len(columns), 6.0), 1.6 * len(drawn) + 0.6), layout="constrained")
    axes = figure.subplots(len(drawn), len(columns), squeeze=False, sharex="row")
    for number, (raw, cleaned) in enumerate(drawn):
      first = _start(raw, cleaned)
      for name, place in zip(columns, axes[number], strict=True):
        if name not in raw.signals:
          place.set_axis_off()
          continue
        for recording, colour, width in ((raw, "#AAAAAA", 1.6), (cleaned, _COLOURS[columns.index(name) % 6], 1.0)):
          visible = (recording.time_s >= first) & (recording.time_s <= first + _FIGURE_S)
          place.plot(recording.time_s[visible], recording.signals[name][visible], color=colour, lw=width)
        place.set_title(f"{raw.subject} {name.replace('_', ' ')} [{raw.units[name]}]", fontsize=8)
        place.margins(x=0)
    for place in axes[-1]:
      place.set_xlabel("time [s]")
  return figure
