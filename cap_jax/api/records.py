"""Converts a user's arrays and tables to recordings and windows. Anything unreadable is an `InputError` that names it."""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from cap_jax import config
from cap_jax.data import batches, conditioning, duplicates, recordings, remarks, signal_names
from cap_jax.signals import calibration as scales
from cap_jax.types import LONGEST_NAME, DataError, InputError, is_visible

SUBJECT = "subject"
Windows = batches.Pairs | batches.Waves
_MOST_WARNED = 5
_LARGEST_ASPECT = 10  # more records than that many times the samples are an array that is transposed


def read_array(values: Any, name: str) -> np.ndarray:
  """Reads an array of real numbers; masked values become NaN.

  Args:
    values: what `numpy.asarray` takes.
    name: name of the argument, for messages.

  Raises:
    InputError: it contains something else.
  """
  try:
    masked = isinstance(values, np.ma.MaskedArray)
    array = values.astype(float).filled(np.nan) if masked else np.asarray(values)
    if array.dtype.kind not in "biufO":
      raise TypeError(f"values of type {array.dtype}")
    return array.astype(float)
  except (TypeError, ValueError, OverflowError) as error:
    raise InputError(f"{name}: must be an array of real numbers ({error})") from error


def real(value: Any, name: str) -> float:
  """Reads a finite number.

  Args:
    value: the number.
    name: name of the argument, for messages.

  Raises:
    InputError: it is not a finite number.
  """
  if isinstance(value, bool | str | bytes):
    raise InputError(f"{name}={value!r}: must be a number")
  array = read_array(value, name)
  if array.ndim or not np.isfinite(array):
    raise InputError(f"{name}={value}: must be one finite number")
  return float(array)


def warn(texts: Iterable[str]) -> None:
  """Warns of what a user should look at, each once, and of the first of many only."""
  found = list(dict.fromkeys(texts))
  for text in found[:_MOST_WARNED]:
    warnings.warn(text, stacklevel=3)
  if len(found) > _MOST_WARNED:
    warnings.warn(f"… and {len(found) - _MOST_WARNED} more remarks on records", stacklevel=3)


def recording(
  signals: Mapping[str, Any],
  fs_hz: Any = None,
  time_s: Any = None,
  subject: str = "record",
  covariates: Mapping[str, float] | None = None,
  place: str = "",
) -> recordings.Recording:
  """Makes a recording from the arrays of one record.

  Args:
    signals: name → (time,) wave.
    fs_hz: sampling rate [Hz].
    time_s: (time,) strictly increasing clock [s], instead of a rate.
    subject: whose record it is.
    covariates: further known values of the subject.
    place: names the record in messages; the subject if it is empty.

  Raises:
    InputError: it has neither a rate nor a clock, or both; or a wave contains no number, or is not (time,).
  """
  place = place or subject
  waves = {name: read_array(wave, f"{place}: {name}") for name, wave in signals.items()}
  for name, wave in waves.items():
    if wave.ndim != 1:
      raise InputError(f"{place}: {name} has shape {wave.shape}; pass one record, an array (time,)")
    if not np.isfinite(wave).any():
      raise InputError(f"{place}: {name} contains {'only NaN' if wave.size else 'no sample'}; omit the record")
  sizes = {name: wave.size for name, wave in waves.items()}
  if len(set(sizes.values())) > 1:
    lengths = ", ".join(f"{name} has {size} samples" for name, size in sizes.items())
    raise InputError(f"{place}: {lengths}; pass waves of one length")
  if fs_hz is None and time_s is None:
    raise InputError(f"{place}: neither a rate nor a clock; pass fs_hz=, or a clock in seconds as time_s=")
  if fs_hz is not None and time_s is not None:
    raise InputError(f"{place}: has both a rate and a clock; pass either fs_hz or time_s")
  if fs_hz is not None:
    rate = real(fs_hz, "fs_hz")
    if rate <= 0:
      raise InputError(f"fs_hz={fs_hz}: must be positive")
    clock = np.arange(next(iter(waves.values())).size) / rate
  else:
    clock = read_array(time_s, f"{place}: time_s")
    if clock.ndim != 1:
      raise InputError(f"{place}: time_s has shape {clock.shape}; pass an array (time,)")
  if covariates is not None and not isinstance(covariates, Mapping):
    raise InputError(f"covariates={covariates}: must map names to numbers, such as {{'age': 70}}")
  values = {str(name): real(value, f"covariate {name}") for name, value in (covariates or {}).items()}
  return recordings.make(subject, "", place, clock, waves, covariates=values)


def windows(
  x: Any,
  y: Any = None,
  fs_hz: float | None = None,
  subject: Any = None,
  site: str = "radial",
  reference: str = "aortic_root",
  hop_s: float = 1.0,
  covariates: Any = None,
) -> Windows:
  """Cuts records into windows of 4 s at 125 Hz.

  Records are conditioned first: resampled, without faulty beats and without a monitor's delay. A record must contain
  at least one stretch of 4 s without a gap.

  Args:
    x: peripheral pressure [mmHg], or finger PPG in any unit: an array (time,), an array (record, time), or a list of
      arrays of any length. Or a DataFrame with the columns `<site>_pressure_mmhg` or `digital_ppg`,
      `<reference>_pressure_mmhg` and optionally `subject` and `time_s`.
    y: aortic pressure [mmHg] on the same clock, in the same form; without it the windows are unlabelled.
    fs_hz: sampling rate [Hz]; a DataFrame may have a clock instead.
    subject: name of each record, or one name for all. Without it each record is a subject of its own, with a name
      derived from its samples; equal records are one subject, with a warning.
    site: where x was measured.
    reference: where y was measured.
    hop_s: step from one window to the next [s]; 4 for windows that do not overlap, as for a test.
    covariates: name → a number for each record, or one number for all, for networks that read covariates. Of a
      DataFrame, the names of columns with one number for each subject.

  Returns:
    `Pairs` with x_bt and y_bt, or `Waves` with x_bt alone, (window, time) [mmHg]; a PPG stays in its unit.

  Raises:
    InputError: arrays do not fit together, a name is missing, or no record has a whole window.
    LeakError: records of two subjects have the same wave.
  """
  check_sites(site, reference)
  spec = config.Windows(hop_s=real(hop_s, "hop_s"))
  if isinstance(x, pandas.DataFrame):
    if y is not None or subject is not None:
      raise InputError("x is a DataFrame, whose columns contain the reference and the subjects; omit y and subject")
    records = _of_table(x, fs_hz, site, reference, _column_names(covariates))
  else:
    if fs_hz is None:
      raise InputError("fs_hz: is missing; pass the sampling rate [Hz], or a DataFrame with the column time_s")
    records = _with_covariates(_of_arrays(x, y, fs_hz, subject, site, reference), covariates)
  if not records:
    raise InputError("x: contains no record")
  for remark in duplicates.check_records("subject", records):
    warnings.warn(remark, stacklevel=2)
  conditioned = [conditioning.condition(one, config.Conditioning(fs_hz=spec.fs_hz))[0] for one in records]
  warn(note for one in conditioned for note in one.notes if not note.endswith(remarks.SHORT))
  labelled = all(reference in one.signals for one in conditioned)
  pairs = batches.make_pairs(conditioned, site, spec, reference if labelled else site, gaps=True)
  if short := sorted({one.subject for one in conditioned} - set(pairs.subjects)):
    warnings.warn(f"left out, without a stretch of 4 s without a gap: {', '.join(short)}", stacklevel=2)
  return pairs if labelled else pairs.unlabelled()


def calibrate(x: Any, fs_hz: float, sbp_mmhg: float, dbp_mmhg: float) -> np.ndarray:
  """Scales a wave to the reading of a cuff: its systoles have SBP and its diastoles DBP at the median.

  Networks that were trained with a calibration read windows of such waves. `Network.reconstruct` calibrates by itself.

  Args:
    x: (time,) a wave in any unit, such as a PPG; NaN where it is missing.
    fs_hz: sampling rate [Hz].
    sbp_mmhg, dbp_mmhg: the reading [mmHg].

  Returns:
    (time,) the wave in mmHg.

  Raises:
    InputError: it has no whole beat, or the reading is impossible.
  """
  wave_t, rate = read_array(x, "x"), real(fs_hz, "fs_hz")
  if wave_t.ndim != 1:
    raise InputError(f"x has shape {wave_t.shape}; pass one wave (time,)")
  recordings.check_clock(np.arange(wave_t.size) / rate if rate > 0 else np.zeros(1), f"fs_hz={fs_hz}")
  cuff = dict(zip(scales.CUFF[:2], (real(sbp_mmhg, "sbp_mmhg"), real(dbp_mmhg, "dbp_mmhg")), strict=True))
  levels = scales.levels(wave_t, rate) if np.isfinite(wave_t).any() else None
  scales.check_reading(cuff, "x")
  gain, offset = scales.affine(config.Calibration(kind="sbp_dbp"), levels, cuff, "x")
  return gain * wave_t + offset


def _with_covariates(records: list[recordings.Recording], covariates: Any) -> list[recordings.Recording]:
  """Returns records with their covariates.

  Raises:
    InputError: they are no mapping from names to a number for each record.
  """
  remedy = "pass a mapping of names to a number for each record, such as {'age': [63, 71]}"
  if covariates is None:
    return records
  check_kind(covariates, Mapping, "covariates", remedy)
  columns = {}
  for name, values in covariates.items():
    column = read_array(values, f"covariates[{name!r}]")
    if column.shape not in ((), (len(records),)):
      raise InputError(f"covariates[{name!r}]: has shape {column.shape} for {len(records)} records; {remedy}")
    columns[str(name)] = np.broadcast_to(column, (len(records),))
  return [
    dataclasses.replace(one, covariates={name: float(column[k]) for name, column in columns.items()})
    for k, one in enumerate(records)
  ]


def _column_names(covariates: Any) -> tuple[str, ...]:
  """Returns the names of the columns of a DataFrame that are covariates.

  Raises:
    InputError: they are no names.
  """
  names = covariates if covariates is None or isinstance(covariates, Iterable) else (covariates,)
  if isinstance(names, str | bytes | Mapping) or not all(isinstance(name, str) for name in names or ()):
    raise InputError(f"covariates={covariates!r}: x is a DataFrame; pass the names of its columns, such as ('age',)")
  return tuple(covariates or ())


def check_sites(site: str, reference: str) -> None:
  """Checks that a wave is peripheral and its reference another one.

  Args:
    site: where the wave was measured.
    reference: where its reference was measured.

  Raises:
    InputError: a name is unknown, or the wave is its own reference.
  """
  for name, value in (("site", site), ("reference", reference)):
    check_kind(value, str, name, "pass the name of an artery, such as radial")
  signal_names.check_site(site, "site")
  signal_names.check_site(reference, "reference")
  if site == "aortic_root" or site == reference:
    raise InputError(f"site={site}, reference={reference}: x must be a peripheral wave, and y another one")


def _records(waves: Any, name: str) -> list[Any]:
  """Returns an array (time,), an array (record, time) or a list of arrays as a list of records."""
  if hasattr(waves, "ndim") or not isinstance(waves, Sequence) or isinstance(waves, str | bytes):
    array = waves if isinstance(waves, np.ma.MaskedArray) else np.asarray(waves)
    if array.ndim not in (1, 2):
      raise InputError(f"{name}: must be an array (time,) or (record, time), or a list of arrays (time,)")
    if array.ndim == 2 and array.shape[0] > _LARGEST_ASPECT * array.shape[1]:
      count, samples = array.shape
      raise InputError(f"{name}: has {count} records of {samples} samples; pass an array (record, time)")
    return list(array) if array.ndim == 2 or array.dtype.kind == "O" else [array]
  try:
    return list(waves) if waves and np.ndim(waves[0]) else [np.asarray(waves)] if waves else []
  except ValueError as error:
    raise InputError(f"{name}: must be a list of arrays (time,), one per record ({error})") from error


def _of_arrays(
  x: Any, y: Any, fs_hz: float | None, subject: Any, site: str, reference: str
) -> list[recordings.Recording]:
  outside, inside = _records(x, "x"), None if y is None else _records(y, "y")
  if subject is None:
    names = [f"record-{hashlib.sha256(read_array(wave, 'x').tobytes()).hexdigest()[:8]}" for wave in outside]
  else:
    names = _names([subject] * len(outside) if isinstance(subject, str | int) else subject)
  if len(names) != len(outside) or (inside is not None and len(inside) != len(outside)):
    y_count = "" if inside is None else f", y has {len(inside)}"
    name_count = "" if subject is None else f", subject has {len(names)} names"
    raise InputError(f"x has {len(outside)} records{y_count}{name_count}; pass one of each per record")
  return [
    dataclasses.replace(
      recording(
        {site: wave} if inside is None else {site: wave, reference: inside[k]},
        fs_hz,
        subject=name,
        place=f"record {k}" if subject is None else name,
      ),
      record=f"record {k}",
    )
    for k, (wave, name) in enumerate(zip(outside, names, strict=True))
  ]


def _names(subjects: Any) -> list[str]:
  """Returns names of subjects, without surrounding spaces.

  Raises:
    InputError: one is missing.
  """
  remedy = "must be a name or a whole number, or a list of them, one per record"
  if isinstance(subjects, set | frozenset | Mapping | str | bytes) or not hasattr(subjects, "__iter__"):
    raise InputError(f"subject={subjects!r}: {remedy}")
  names = []
  for name in subjects:
    if isinstance(name, np.ndarray) and not name.ndim:
      name = name.item()
    missing = name is None or name is pandas.NA or name is pandas.NaT or (isinstance(name, float) and np.isnan(name))
    if isinstance(name, float | np.floating) and not missing and float(name).is_integer():
      name = int(name)  # a column of whole numbers in which one was missing
    if not missing and (isinstance(name, bool | np.bool_) or not isinstance(name, str | int | np.integer)):
      raise InputError(f"subject={name!r}: {remedy}")
    names.append("" if missing else str(name).strip())
  if "" in names:
    raise InputError(f"subject: record {names.index('')} has no name; pass a name for each record")
  for name in names:
    if len(name) > LONGEST_NAME or not is_visible(name):
      raise InputError(f"subject={name!r}: must have {LONGEST_NAME} characters at most, and no control characters")
  return names


def _of_table(
  table: pandas.DataFrame, fs_hz: float | None, site: str, reference: str, covariates: tuple[str, ...]
) -> list[recordings.Recording]:
  columns = {name: signal_names.column_of(name) for name in (site, reference)}
  if columns[site] not in table:
    raise InputError(
      f"x: column {columns[site]} is missing (found: {', '.join(map(str, table.columns))}); rename the column"
    )
  twice = table.columns[table.columns.duplicated()]
  if len(twice):
    raise InputError(f"x: duplicate column {twice[0]}; remove one")
  if fs_hz is not None and signal_names.TIME in table:
    raise InputError(f"x: has a clock, {signal_names.TIME}; omit fs_hz")
  if SUBJECT in table and table[SUBJECT].isna().any():
    raise InputError(f"x: {int(table[SUBJECT].isna().sum())} rows have no {SUBJECT}; fill it in or remove the rows")
  for name in (SUBJECT, signal_names.TIME, *columns.values()):
    if alike := [other for other in table if str(other).strip().lower() == name and other != name]:
      raise InputError(f"x: the column {alike[0]!r} must be called {name!r}; rename it")
  if signal_names.TIME not in table:
    _check_rows(table)
  present = [name for name in columns if columns[name] in table]
  groups = list(table.groupby(SUBJECT, sort=False, observed=True)) if SUBJECT in table else [("record", table)]
  names = _names([name for name, _ in groups])
  return [
    recording(
      {one: part[columns[one]] for one in present},
      fs_hz,
      part.get(signal_names.TIME),
      name,
      {one: _constant(part, one, name) for one in covariates},
    )
    for name, (_, part) in zip(names, groups, strict=True)
  ]


def _constant(part: pandas.DataFrame, column: str, subject: str) -> Any:
  """Returns the one value of a covariate's column in the rows of a subject.

  Raises:
    InputError: there is no such column, or it has several values.
  """
  if column not in part:
    raise InputError(f"x: column {column} is missing (found: {', '.join(map(str, part.columns))}); rename the column")
  values = part[column].dropna().unique()
  if len(values) != 1:
    raise InputError(f"x: {column} has {len(values)} values in the rows of {subject}; a covariate has one")
  return values[0]


def _check_rows(table: pandas.DataFrame) -> None:
  """Checks that the rows of each subject of a table without a clock follow one another.

  Raises:
    InputError: they do not.
  """
  remedy = "add a column time_s, or pass a list of arrays, one per record"
  if not table.index.is_unique:
    raise InputError(f"x: its index repeats, as after pandas.concat, so records would be joined; {remedy}")
  if SUBJECT in table:
    starts = table[SUBJECT] != table[SUBJECT].shift()
    repeated = table[SUBJECT][starts][table[SUBJECT][starts].duplicated()]
    if len(repeated):
      raise InputError(f"x: the rows of {repeated.iloc[0]} do not follow one another; {remedy}")


def check_kind(value: Any, kind: type | tuple[type, ...], name: str, remedy: str) -> None:
  """Checks the type of an argument.

  Args:
    value: the argument.
    kind: its expected type.
    name: name of the argument, for messages.
    remedy: what to pass instead.

  Raises:
    InputError: it has another type.
  """
  if not isinstance(value, kind):
    raise InputError(f"{name}: is of type {type(value).__name__}; {remedy}")


def check_site(windows: Windows, site: str, name: str, reference: str = "") -> None:
  """Checks that windows were measured where the network reads and predicts, as far as they record it.

  Args:
    windows: the windows.
    site: where the network reads.
    name: name of the argument, for messages.
    reference: where the wave that it predicts is measured; "" for windows whose reference is not used.

  Raises:
    InputError: they were measured elsewhere.
  """
  if windows.site not in ("", site):
    raise InputError(f"{name}: measured at the {windows.site}, but the network is to read the {site}")
  if reference and isinstance(windows, batches.Pairs) and windows.reference not in ("", reference):
    raise InputError(f"{name}: their reference is the {windows.reference}, but the network predicts the {reference}")


def check_length(windows: Windows, spec: config.Windows, name: str) -> None:
  """Checks that windows are as long as those that a network reads.

  Args:
    windows: the windows.
    spec: windows of the network.
    name: name of the argument, for messages.

  Raises:
    InputError: they have another number of samples, as windows of another rate have.
  """
  samples = windows.x_bt.shape[1]
  if samples != spec.samples:
    raise InputError(
      f"{name}: windows of {samples} samples, but the network reads {spec.samples}, {spec.seconds:g} s at {spec.fs_hz:g} Hz; use the "
      f"commands for it, with a store of that rate (prepare --fs_hz={spec.fs_hz:g})"
    )


def check_unit(windows: Windows, unitless: bool, name: str) -> None:
  """Checks that PPG windows are in mmHg where a network reads mmHg.

  Args:
    windows: the windows.
    unitless: whether the network reads waves without a unit.
    name: name of the argument, for messages.

  Raises:
    InputError: their median is not that of an arterial pressure.
  """
  if unitless or windows.site != signal_names.PPG:
    return
  try:
    recordings.check_pressure(windows.x_bt.ravel(), name)
  except DataError as error:
    raise InputError(
      f"{name}: the network reads a PPG in mmHg, but {error.problem}; pass waves that `cap_jax.calibrate` has scaled to a cuff, "
      "or use a network of the PPG itself: cap_jax.pretrain(…, site='digital_ppg')"
    ) from error


def check_path(path: Any) -> str:
  """Returns a path as text.

  Raises:
    InputError: it is no path.
  """
  try:
    name = os.fsdecode(path)
    if "\0" in name:
      raise ValueError("it contains a null character")
    return name
  except (TypeError, ValueError) as error:
    raise InputError(f"{path!r}: must be a name or a path") from error


def check_windows(value: Any, name: str, labelled: bool = False) -> None:
  """Checks that an argument is windows.

  Args:
    value: the argument.
    name: name of the argument, for messages.
    labelled: whether they need references.

  Raises:
    InputError: it contains no windows, or none with a reference where that is needed.
  """
  remedy = "pass what `cap_jax.windows` returns" + (" for x and y" if labelled else "")
  check_kind(value, batches.Pairs if labelled else (batches.Pairs, batches.Waves), name, remedy)
  if not len(value.x_bt):
    raise InputError(f"{name}: contains no window; {remedy}")
  waves = (value.x_bt, value.y_bt) if isinstance(value, batches.Pairs) else (value.x_bt,)
  if not all(np.isfinite(wave_bt).all() for wave_bt in waves):
    raise InputError(f"{name}: contains samples that are no numbers; {remedy}")
