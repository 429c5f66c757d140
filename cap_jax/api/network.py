"""A trained network and what it reconstructs."""

import base64
import copy
import dataclasses
import html
import importlib.util
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas

from cap_jax import export, extras, html_table
from cap_jax.api import records
from cap_jax.data import remarks
from cap_jax.haemodynamics import indices
from cap_jax.inference import pretrained, reconstruct, uncertainty
from cap_jax.report.reconstruction import NOTE
from cap_jax.signals import beats
from cap_jax.train import checkpoint
from cap_jax.types import InputError, Params, leaf_paths

_MOST_SAMPLES = 500_000  # of a page in a notebook, some megabytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction:
  """The aortic wave of a record.

  Attributes:
    time_s: (time,) clock of the input [s].
    peripheral: (time,) the wave that was read [mmHg], a PPG in its own unit; NaN in the gaps.
    aortic_mmhg: (time,) the reconstructed wave; NaN in the gaps.
    interval: (time, 2) its 90 % prediction interval [mmHg]; NaN for a network without intervals, infinite if the
      network was calibrated on too few subjects.
    beats: a row for each beat: time, heart rate, central and peripheral pressures, half the width of cSBP's interval.
    ood_fraction: share of the windows that are out of distribution; NaN if the network was never calibrated.
    unusual_hr: how the heart rate differs from those of the training, "" if it does not or they are unknown.
    unknown_level: that the pressure level is unknown, as from a PPG without a cuff; "" if the input contains it.
    gaps: a row for each stretch without a reconstruction: start, end and reason.
    fs_hz: sampling rate [Hz].
    site: where the peripheral wave was measured.
    unitless: whether that wave has no unit.
  """

  time_s: np.ndarray
  peripheral: np.ndarray
  aortic_mmhg: np.ndarray
  interval: np.ndarray
  beats: pandas.DataFrame
  ood_fraction: float
  unusual_hr: str
  unknown_level: str
  gaps: pandas.DataFrame
  fs_hz: float
  site: str
  unitless: bool

  def __repr__(self) -> str:
    seconds = self.time_s[-1] - self.time_s[0]
    text = f"{seconds:.1f} s at {self.fs_hz:g} Hz, {len(self.beats)} beats, {len(self.gaps)} gaps"
    warnings = "".join(f", {text}" for text in (self.unusual_hr, self.unknown_level) if text)
    return f"Reconstruction({text}{self._distribution()}{warnings})"

  def _repr_html_(self) -> str:
    """Returns what a notebook shows: warnings first, then the figure, where matplotlib is installed, and the means over the beats."""
    warnings = [
      f"{100 * self.ood_fraction:.0f} % of the record is out of distribution" if self.ood_fraction > 0 else "",
      self.unusual_hr, self.unknown_level,
    ]  # fmt: skip
    parts = [f"<p><strong>⚠ {html.escape(text)}</strong></p>" for text in warnings if text]
    if importlib.util.find_spec("matplotlib") is not None:
      figures = extras.load("cap_jax.report.figures")
      picture = base64.b64encode(figures.to_png(self.plot(), dpi=90)).decode()
      parts.append(f'<img alt="peripheral and aortic wave" src="data:image/png;base64,{picture}">')
    means = self.beats.drop(columns="time_s").mean().dropna()
    parts.append(html_table.of(("mean over beats", ""), ((name, f"{value:.1f}") for name, value in means.items())))
    extent = f"{len(self.beats)} beats, {len(self.gaps)} gaps, {self.gaps['end_s'].sub(self.gaps['start_s']).sum():.1f} s long in all"
    return "\n".join([*parts, f"<p>{html.escape(extent)}; {html.escape(NOTE)}</p>"])

  def _distribution(self) -> str:
    """Returns what share of the record is out of distribution, "" if none or unknown."""
    return f", {100 * self.ood_fraction:.0f} % out of distribution" if self.ood_fraction > 0 else ""

  def indices(self) -> pandas.DataFrame:
    """Computes the haemodynamic indices of `cap_jax.haemodynamics.indices`.

    They are those of beats without the drift between their feet, so their pressures differ from those of `beats` by a
    millimetre or two where the mean pressure swings.

    Returns:
      One row per whole beat of the reconstructed wave, with the time of its foot, and one column per index with its
      unit; NaN where an index is undefined.
    """
    tables = []
    for part in np.ma.clump_unmasked(np.ma.masked_invalid(self.aortic_mmhg)):
      peripheral = None if self.unitless else self.peripheral[part]
      values = indices.of_wave(self.aortic_mmhg[part], self.fs_hz, peripheral).values
      feet = beats.find_feet(self.aortic_mmhg[part], self.fs_hz)[:-1]
      columns = {f"{name}{_unit(name)}": value for name, value in values.items()}
      tables.append(pandas.DataFrame({"time_s": self.time_s[part][feet], **columns}))
    return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame()

  def plot(self) -> Any:
    """Draws both waves, the interval and the gaps.

    Returns:
      A `matplotlib.figure.Figure`, which a notebook shows as a page to zoom and to go from beat to beat, for records of up to
      half a million samples; needs the extra `report`.
    """
    figures = extras.load("cap_jax.report.figures")  # needs matplotlib, an optional dependency
    gaps = list(self.gaps[["start_s", "end_s"]].itertuples(index=False, name=None))
    half_t = (self.interval[:, 1] - self.interval[:, 0]) / 2
    figure = figures.reconstruction(
      self.time_s, self.peripheral, self.aortic_mmhg, self.site, gaps, half_t, self.unitless, self.unknown_level
    )
    title = figure.axes[0].get_title()
    figure.axes[0].set_title(f"{title}{self._distribution()}")
    if self.time_s.size <= _MOST_SAMPLES:
      caption = f"Reconstruction of the aortic wave{self._distribution()}. {NOTE[0].upper()}{NOTE[1:]}."
      figure.page = extras.load("cap_jax.report.page").frame(self._browser(caption))
    return figure

  def _browser(self, caption: str) -> Any:
    """Returns the record for a page: the waves, the interval, and the pressures of each beat."""
    figures, page = extras.load("cap_jax.report.figures"), extras.load("cap_jax.report.page")
    peripheral = figures.beside(self.peripheral, self.aortic_mmhg) if self.unitless else self.peripheral
    shade = figures.COLOURS["fine_tuning"]
    waves = [
      (figures.peripheral_label(self.site, self.unitless), figures.COLOURS["peripheral"], 1.0, "solid", peripheral),
      ("aortic root, reconstructed", shade, 1.6, "solid", self.aortic_mmhg),
      ("interval, low", shade, 0.6, "dash", self.interval[:, 0]),
      ("interval, high", shade, 0.6, "dash", self.interval[:, 1]),
    ]
    series = [
      {"name": name, "colour": colour, "width": width, "dash": dash, "values": values}
      for name, colour, width, dash, values in waves
      if np.isfinite(values).any()
    ]
    names = ("time_s", "hr_bpm", "csbp_est_mmhg", "csbp_half_width_mmhg", "cdbp_est_mmhg", "cpp_est_mmhg")
    entries = []
    for start_s, hr_bpm, csbp, half, cdbp, cpp in self.beats[list(names)].to_numpy(float).tolist():
      within = f" ± {half:.1f}" if np.isfinite(half) else ""
      text = f"cSBP {csbp:.1f}{within}, cDBP {cdbp:.1f}, cPP {cpp:.1f} mmHg, {hr_bpm:.0f}/min"
      entries.append({"start_s": start_s, "end_s": start_s + 60 / hr_bpm, "text": text})
    return page.Browser([{"name": self.site, "time_s": self.time_s, "series": series, "beats": entries}], caption)


def _unit(index: str) -> str:
  unit = indices.UNITS[index].replace("%", "percent").replace("/", "_per_").replace(" ", "_").lower()
  return f"_{unit}" if unit else ""


@dataclasses.dataclass(frozen=True)
class Network:
  """A trained network with everything that its use needs. `load`, `pretrain` and `transfer` make one.

  Attributes:
    checkpoint: parameters, architecture, scaling and provenance.
    reason: what a transfer chose or noticed, "" for nothing.
  """

  checkpoint: checkpoint.Checkpoint
  reason: str = ""

  def __repr__(self) -> str:
    merged = "merged" if "params_of" in self.about else ""
    steps = f"{self.about['steps']} steps" if "steps" in self.about else ""
    provenance = [self.about.get("strategy"), f"source {self.about.get('source', 'unknown')}", steps, merged]
    return f"Network({', '.join([self.checkpoint.site, self.checkpoint.task, *filter(None, provenance)])})"

  def _repr_html_(self) -> str:
    """Returns what a notebook shows: what the network reads, and where it comes from."""
    trained, intervals = self.checkpoint, self.checkpoint.uncertainty_calibration
    spec, count = trained.windows, sum(leaf.size for leaf in jax.tree.leaves(trained.params))
    rows: dict[str, object] = {
      "reads": f"{trained.site}, windows of {spec.seconds:g} s at {spec.fs_hz:g} Hz",
      "predicts": trained.reference if trained.task == "waveform" else trained.task,
      "covariates": ", ".join(trained.model.covariates) or "none",
      "network": f"{trained.model.extractor}, {count:,} parameters",
      "intervals": f"{100 * intervals.level:g} %, {intervals.subjects} {intervals.where}" if intervals else "none",
      **{name: value for name, value in self.about.items() if isinstance(value, str | int | float)},
    }
    return html_table.of((), rows.items()) + (f"<p>{html.escape(self.reason)}</p>" if self.reason else "")

  @property
  def params(self) -> Params:
    """The parameters by block, {"f": θ_f, "r": θ_r}."""
    return jax.tree.map(lambda leaf: leaf, self.checkpoint.params)  # a tree of its own

  @property
  def about(self) -> Mapping[str, Any]:
    """The provenance, with source, strategy, steps, seeds and validation error."""
    return MappingProxyType(copy.deepcopy(self.checkpoint.about))

  def reconstruct(
    self, p_mmhg: Any, fs_hz: float | None = None, time_s: Any = None, covariates: Mapping[str, float] | None = None
  ) -> Reconstruction:
    """Reconstructs the aortic wave of a record.

    Args:
      p_mmhg: (time,) peripheral pressure [mmHg], or a PPG in any unit, at the site that the network reads, of one beat
        or more; NaN where it is missing.
      fs_hz: sampling rate [Hz].
      time_s: (time,) strictly increasing clock [s], instead of a rate.
      covariates: further inputs of the network and the readings of its calibration, as {"age": 70}.

    Returns:
      The aortic wave on the clock of the input.

    Raises:
      InputError: the record cannot be read, or no stretch of a beat or more is usable.
    """
    site = self.checkpoint.site
    recording = records.recording({site: p_mmhg}, fs_hz, time_s, "record", covariates)
    wave = reconstruct.reconstruct(self.checkpoint, recording)
    records.warn([*remarks.of_covariates(recording.covariates), *wave.notes])
    half_t = wave.half_width_mmhg
    columns = [field.name for field in dataclasses.fields(reconstruct.Beat)]
    gaps = [(gap.start_s, gap.end_s, gap.reason) for gap in wave.gaps]
    return Reconstruction(
      time_s=wave.time_s,
      peripheral=wave.peripheral,
      aortic_mmhg=wave.aortic_mmhg,
      interval=np.stack([wave.aortic_mmhg - half_t, wave.aortic_mmhg + half_t], axis=1),
      beats=pandas.DataFrame([dataclasses.astuple(beat) for beat in wave.beats], columns=columns),
      ood_fraction=wave.ood_fraction,
      unusual_hr=wave.unusual_hr,
      unknown_level=wave.unknown_level,
      gaps=pandas.DataFrame(gaps, columns=["start_s", "end_s", "reason"]),
      fs_hz=recording.fs_hz if fs_hz is None else float(fs_hz),
      site=site,
      unitless=wave.unitless,
    )

  def with_params(self, params: Params, of: "Network | Sequence[Network]") -> "Network":
    """Returns the network with a copy of other parameters, as `merge` makes them, without its intervals and its filter.

    Args:
      params: parameters of the same structure and shapes.
      of: the networks that the parameters come from, () for none. Subjects that these have seen count as seen.

    Returns:
      The network; its `reason` says if another network scales its windows differently.

    Raises:
      InputError: a parameter is missing, has another shape, or is not a finite real number.
    """
    copied = _checked_params(self.checkpoint.params, params)
    others = [of] if isinstance(of, Network) else list(of) if isinstance(of, tuple | list) else [of]
    for one in others:
      records.check_kind(one, Network, "of", "pass the networks that the parameters come from, or ()")
    seen_subject_hashes = {hash_ for one in (self, *others) for hash_ in one.checkpoint.seen_subject_hashes}
    sources = dict.fromkeys(str(one.about.get("source", "unknown")) for one in (self, *others))
    scalings = dict.fromkeys(
      (one.checkpoint.scaling.mean_mmhg, one.checkpoint.scaling.sd_mmhg, one.checkpoint.scaling.unitless)
      for one in (self, *others)
    )
    reason = ""
    if len(scalings) > 1:
      pairs = ", ".join(
        f"mean {mean:.1f}, SD {sd:.1f} mmHg{' of a wave without a unit' * unitless}" for mean, sd, unitless in scalings
      )
      reason = f"the networks scale their windows differently ({pairs}); this one keeps the first: train it on"
    merged = dataclasses.replace(
      self.checkpoint,
      params=copied,
      uncertainty_calibration=None,
      blend=None,
      seen_subject_hashes=tuple(sorted(seen_subject_hashes)),
      about={"source": " + ".join(sources), "params_of": [dict(one.about) for one in (self, *others)]},
    )
    return Network(merged, reason)

  def predict(self, pairs: records.Windows) -> np.ndarray:
    """Predicts the reference windows of peripheral windows.

    Args:
      pairs: windows of the site that the network reads, such as those of `cap_jax.windows`; a reference in them is
        not read.

    Returns:
      (window, time) reference waves [mmHg].

    Raises:
      InputError: the windows were measured at another site than the network reads, are of another length, or in another unit.
    """
    records.check_windows(pairs, "pairs")
    records.check_site(pairs, self.checkpoint.site, "pairs")
    records.check_length(pairs, self.checkpoint.windows, "pairs")
    records.check_unit(pairs, self.checkpoint.scaling.unitless, "pairs")
    return uncertainty.read(self.checkpoint, pairs).y_bt

  def save(self, path: str | os.PathLike[str]) -> None:
    """Saves the network in a folder that does not exist yet; `load` and all commands read it.

    Args:
      path: the new folder.

    Raises:
      InputError: the folder exists or cannot be made, or a parameter is NaN or infinite.
    """
    name = records.check_path(path)
    try:
      checkpoint.save(name, self.checkpoint)
    except OSError as error:
      raise InputError(f"{name}: cannot be written ({error.strerror or error}); choose another folder") from error

  def save_pretrained(self, path: str | os.PathLike[str]) -> None:
    """Saves the network in a folder that does not exist yet, as a hub of models expects it: `config.json`, `model.safetensors`, and a
    model card in `README.md`.

    `load` and all commands read it.

    Args:
      path: the new folder.

    Raises:
      InputError: see `save`; or the package safetensors is not installed.
    """
    name = records.check_path(path)
    try:
      export.write(name, self.checkpoint, ("safetensors",))
    except OSError as error:
      raise InputError(f"{name}: cannot be written ({error.strerror or error}); choose another folder") from error


def _checked_params(own: Params, params: Any) -> Params:
  """Returns a copy of parameters that fit a network.

  Raises:
    InputError: one is missing, has another shape, or is not a finite real number.
  """
  remedy = "pass a tree of parameters; `merge` returns it with a report"
  records.check_kind(params, dict, "params", remedy)
  expected = leaf_paths(own)
  try:
    leaves = leaf_paths(params)
  except AttributeError as error:  # a list or a tuple in the tree
    raise InputError(f"params: must be a tree of dicts; {remedy}") from error
  if other := sorted(expected.keys() ^ leaves.keys()):
    raise InputError(
      f"params: {', '.join(other[:5])} exist in only one of the two trees; pass a tree with the structure of network.params"
    )
  for path, leaf in leaves.items():
    array = np.asarray(leaf)
    if array.dtype.kind != "f" and array.dtype != expected[path].dtype:
      raise InputError(f"params: {path} is of type {array.dtype}, not of real numbers")
    if array.shape != expected[path].shape:
      raise InputError(f"params: {path} has the shape {array.shape}, the network's own {expected[path].shape}")
    with np.errstate(over="ignore"):
      if not np.isfinite(array.astype(np.float32)).all():
        raise InputError(f"params: {path} contains NaN or infinite values; train again with a lower learning rate")
  return jax.tree.map(lambda leaf, like: jnp.array(leaf, like.dtype), params, own)


def load(name: str | os.PathLike[str]) -> Network:
  """Loads a network.

  Args:
    name: name of a network of the package, such as "radial", or the folder of a checkpoint.

  Returns:
    The network.

  Raises:
    InputError: there is none, or it is damaged.
  """
  return Network(pretrained.load(records.check_path(name)))
