"""Draws the figures of a study."""

import collections
from collections.abc import Collection, Mapping, Sequence

import matplotlib
import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cap_jax.metrics import agreement
from cap_jax.report import figures, tables
from cap_jax.study import summary
from cap_jax.study.methods import BASELINES
from cap_jax.study.study_results import Cell

_LEVELS = ("--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2)), (0, (1, 2)), (0, (5, 1, 1, 1)), (0, (8, 2, 2, 2)))
_MARKERS = "o^vDPX<>*hpds"
_SIGNS = dict(zip(_MARKERS, "●▲▼◆✚✖◀▶★⬢⬟◊■", strict=True))  # for a legend as text
_FEATURES = ("features_source", "features_target")
_UNCHANGED = ("source", "source_affine")  # drawn with the strategies, which start from it
_MEASURE = "fine_tuning"  # drawn with the baselines too


def colour(method: str) -> str:
  """Returns the colour of a method; variants of a strategy share it, and so do a baseline's fits on source and
  target."""
  kind = method.partition("/")[0]
  if kind not in figures.COLOURS:
    kind = kind.removesuffix("_source").removesuffix("_target")
  return figures.COLOURS.get(kind, "#8C8C8C" if method in BASELINES else "#A0522D")


def shade(method: str, beside: Collection[str]) -> str:
  """Returns the colour of a method in a figure: the source network is grey only beside networks that came from it.

  Args:
    method: name of the method.
    beside: names of all methods in the figure.
  """
  alone = method == "source" and all(name in BASELINES for name in beside)
  return colour(_MEASURE if alone else method)


def _by_subject(rows: pandas.DataFrame, names: Sequence[str]) -> dict[str, pandas.DataFrame]:
  """Returns method → means over the rows of each subject."""
  return {name: summary.of_subjects(rows[rows["method"] == name]) for name in names}


def ranked(rows: pandas.DataFrame, ranked_by: str) -> dict[str, str]:
  """Returns the best, the median and the worst subject of a method by RMSE; of one or two subjects, each once.

  Args:
    rows: of one clinic.
    ranked_by: the method.

  Returns:
    "best", "median" and "worst" → the subject; "only" for one, without "median" for two.
  """
  order = summary.of_subjects(rows[rows["method"] == ranked_by])["rmse_mmhg"].sort_values().index
  if len(order) < 3:
    return dict(zip(("best", "worst") if len(order) == 2 else ("only",), map(str, order), strict=True))
  return {"best": str(order[0]), "median": str(order[len(order) // 2]), "worst": str(order[-1])}


def waves(
  rows: pandas.DataFrame,
  outputs: Mapping[str, Mapping[str, np.ndarray]],
  ranked_by: str,
  site: str,
  fs_hz: float,
  unitless: bool = False,
  people: Sequence[str] = (),
) -> Figure:
  """Draws reconstructed waves over true ones for the best, the median and the worst test subject of a method.

  Args:
    rows: of one clinic at the first seed.
    outputs: method → its stored waves (window, time) [mmHg], drawn in this order; "peripheral" has the measured and the
      true wave.
    ranked_by: the method whose RMSE selects the subjects.
    site: of the peripheral wave.
    fs_hz: sampling rate.
    unitless: whether the peripheral wave has no unit; it is then drawn to fit.
    people: which of `ranked` are drawn, all by default; one of several is drawn without a legend.

  Returns:
    The figure, a panel a subject.
  """
  rmse = summary.of_subjects(rows[rows["method"] == ranked_by])["rmse_mmhg"]
  truth, subjects = outputs["peripheral"], ranked(rows, ranked_by)
  drawn = people or tuple(subjects)
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(
      figsize=(10, 3.4) if len(drawn) > 1 else (6, 3.4) if not people else (3.9, 2.5), layout="constrained"
    )
    for axes, word in zip(figure.subplots(1, len(drawn), squeeze=False).ravel(), drawn, strict=True):
      row = int(np.flatnonzero(truth["subject_b"] == subjects[word])[0])
      part = slice(round(0.5 * fs_hz), round(2.5 * fs_hz))
      time_s = np.arange(truth["true_bt"].shape[1])[part] / fs_hz
      peripheral_t, label = truth["predicted_bt"][row, part], figures.peripheral_label(site, unitless)
      if unitless:
        peripheral_t = figures.beside(peripheral_t, truth["true_bt"][row, part])
      axes.plot(time_s, peripheral_t, color=figures.COLOURS["peripheral"], lw=1, label=label)
      axes.plot(time_s, truth["true_bt"][row, part], color="#000000", lw=2.2, label="aortic root, true")
      for method, output in outputs.items():
        if method != "peripheral":
          axes.plot(
            time_s,
            output["predicted_bt"][row, part],
            color=shade(method, outputs),
            lw=1.3,
            label=tables.label(method),
          )
      who = f"subject {subjects[word]}" if word == "only" else f"{word} subject"
      axes.set_title(f"{who}: {rmse[subjects[word]]:.2f} mmHg")
      axes.set_xlabel("time [s]")
    figure.axes[0].set_ylabel("pressure [mmHg]")
    if not people:
      handles, labels = figure.axes[0].get_legend_handles_labels()
      figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
  return figure


def _sign(line: Line2D) -> str:
  """Returns the sign of a line's points, or a broken line for a level one."""
  return "┄" if np.array_equal(np.asarray(line.get_xdata()), [0, 1]) else _SIGNS.get(str(line.get_marker()), "")


def keys(figure: Figure) -> dict[str, str]:
  """Returns label → colour of the lines in the first panel of a figure; where lines share one, a label begins with its sign."""
  handles, labels = figure.axes[0].get_legend_handles_labels()
  lines = {name: line for line, name in zip(handles, labels, strict=True) if isinstance(line, Line2D)}
  shared = collections.Counter(str(line.get_color()) for line in lines.values())
  return {
    f"{_sign(line)} {name}".strip() if shared[str(line.get_color())] > 1 else name: str(line.get_color())
    for name, line in lines.items()
  }


def curve(summaries: Sequence[summary.MethodSummary], names: Sequence[str], place: str, legend: bool = True) -> Figure:
  """Draws the waveform RMSE of a few methods against the number of labelled subjects, in one panel.

  Args:
    summaries: a method at a number of labels each, of one clinic.
    names: methods to draw, in this order.
    place: where the errors come from, such as "in silico".
    legend: whether it has one.

  Returns:
    The figure, with bootstrap intervals.
  """
  drawn = [one for name in names for one in summaries if one.method == name and np.isfinite(one.rmse.mean)]
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(4.7, 4.4) if legend else (4.1, 3.2), layout="constrained")
    axes = figure.subplots()
    _shots(axes, drawn)
    axes.set(xlabel="labelled target subjects", ylabel=f"waveform RMSE [mmHg], {place}")
    figures.plain_numbers(axes)
    if legend:
      figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7.5, columnspacing=1.0)
  return figure


def few_shot(summaries: Sequence[summary.MethodSummary], place: str) -> Figure:
  """Draws the waveform RMSE against the number of labelled subjects, strategies and baselines in a panel each.

  Methods that use no labels are level lines, with their intervals at the right edge.

  Args:
    summaries: a method at a number of labels each, of one clinic.
    place: where the errors come from, such as "in silico".

  Returns:
    The figure, with bootstrap intervals.
  """
  summaries = [result for result in summaries if np.isfinite(result.rmse.mean)]
  strategies = [result for result in summaries if result.method not in BASELINES or result.method in _UNCHANGED]
  others = [result for result in summaries if result.method in BASELINES and result.method not in _UNCHANGED]
  if others:
    others += [result for result in strategies if result.method == _MEASURE]
  panel_lines = {title: part for title, part in (("strategies", strategies), ("baselines", others)) if part}
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(5.6 * max(len(panel_lines), 1), 6.2), layout="constrained")
    panels = figure.subplots(1, max(len(panel_lines), 1), sharey=True, squeeze=False).ravel()
    for axes, (title, part) in zip(panels, panel_lines.items(), strict=False):
      _shots(axes, part)
      axes.set(title=title, xlabel="labelled target subjects")
      axes.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    panels[0].set_ylabel(f"waveform RMSE [mmHg], {place}")
    figures.plain_numbers(panels[0])
  return figure


def clinics(summaries: Sequence[summary.MethodSummary], names: Sequence[str], place: str) -> Figure:
  """Draws the waveform RMSE against the number of labelled subjects, a panel a clinic.

  Args:
    summaries: of all clinics.
    names: methods to draw, in this order.
    place: where the errors come from, such as "in silico".

  Returns:
    The figure.
  """
  summaries = [result for result in summaries if result.method in names and np.isfinite(result.rmse.mean)]
  scenarios = list(dict.fromkeys(result.scenario for result in summaries))
  with matplotlib.rc_context(figures.STYLE):
    across = len(scenarios) if len(scenarios) <= 3 else 2
    down = -(-len(scenarios) // across)
    figure = Figure(figsize=((5.0 if across < 3 else 3.9) * across, 3.3 * down + 0.6), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for axes, scenario in zip(panels, scenarios, strict=False):
      _shots(
        axes,
        sorted((result for result in summaries if result.scenario == scenario), key=lambda x: names.index(x.method)),
      )
      axes.set_title(scenario)
    for axes in panels[len(scenarios) :]:
      axes.set_axis_off()
    for axes in panels[max(len(scenarios) - across, 0) : len(scenarios)]:
      axes.set_xlabel("labelled target subjects")
    for axes in panels[::across]:
      axes.set_ylabel(f"waveform RMSE [mmHg],\n{place}")
    figures.plain_numbers(panels[0])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
  return figure


def _shots(axes: Axes, summaries: Sequence[summary.MethodSummary]) -> None:
  """Draws the curves of one panel."""
  names = list(dict.fromkeys(result.method for result in summaries))
  ends = sorted({result.n_target for result in summaries if result.n_target > 0}) or [1]
  edge, places = ends[-1] * 1.15, {n: float(n) for n in ends}
  drawn = collections.Counter[tuple[str, bool]]()
  for number, method in enumerate(names):
    points = [result for result in summaries if result.method == method]
    shade, label, level = colour(method), tables.label(method), all(point.n_target == 0 for point in points)
    which = drawn[shade, level]
    drawn[shade, level] += 1
    if level:
      rmse = points[0].rmse
      style, marker = _LEVELS[which % len(_LEVELS)], _MARKERS[which % len(_MARKERS)]
      line = axes.axhline(rmse.mean, color=shade, lw=1.2, ls=style, label=label, clip_on=False)
      line.set(marker=marker, markersize=5, markevery=[1])
      edge *= 1.06
      axes.vlines(edge, rmse.low, rmse.high, color=shade, lw=2.5, alpha=0.8)
      continue
    shift = 1.02 ** (number - len(names) / 2)  # draws the intervals side by side
    places |= {0: ends[0] / 3} if points[0].n_target == 0 else {}  # with labels and without
    labels, means = np.array([places[p.n_target] for p in points]) * shift, [p.rmse.mean for p in points]
    marker, style = _MARKERS[which % len(_MARKERS)], ":" if method in BASELINES else "-"
    axes.plot(labels, means, ls=style, marker=marker, color=shade, label=label)
    axes.vlines(labels, [p.rmse.low for p in points], [p.rmse.high for p in points], color=shade, lw=1, alpha=0.6)
  axes.set(xscale="log", yscale="log")
  axes.set_xticks(list(places.values()), [str(n) for n in places])
  axes.set_xticks([], minor=True)


def bland_altman(rows: pandas.DataFrame, names: Sequence[str], quantity: str, place: str) -> Figure | None:
  """Draws differences against means for each subject and seed, with bias and limits of agreement, a panel a method.

  Args:
    rows: of one clinic.
    names: methods to draw.
    quantity: such as "csbp".
    place: where the errors come from, such as "in silico".

  Returns:
    The figure; None if every method has fewer than three subjects.
  """
  rows_of = {name: rows[rows["method"] == name] for name in names}
  agreements = {
    name: limits for name, part in rows_of.items() if (limits := summary.limits(part, quantity)) is not None
  }
  if not agreements:
    return None
  with matplotlib.rc_context(figures.STYLE):
    across = min(3, len(agreements))
    down = -(-len(agreements) // across)
    figure = Figure(figsize=(3.4 * across, 2.9 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for axes, (name, agreed) in zip(panels, agreements.items(), strict=False):
      for people in summary.of_seeds(rows_of[name]):
        true, error = (people[f"{quantity}{end}_mmhg"].to_numpy(float) for end in ("_true", "_error"))
        axes.scatter(true + error / 2, error, s=8, color=shade(name, names), alpha=0.6)
      low, high = agreed.limits
      axes.axhline(agreed.bias, color="#000000", lw=1)
      for limit in (low, high):
        axes.axhline(limit, color="#000000", lw=1, ls="--")
      axes.set_title(f"{tables.label(name)}\n{agreed.bias:+.1f}, limits {low:+.1f} to {high:+.1f}", fontsize=9)
      axes.set_xlabel(f"mean of both [mmHg], {place}")
    for axes in panels[len(agreements) :]:
      axes.set_axis_off()
    for axes in panels[::across]:
      axes.set_ylabel("estimated − true [mmHg]")
  return figure


def strata(rows: pandas.DataFrame, names: Sequence[str], place: str) -> Figure:
  """Draws the RMSE by age, heart rate and amplification, with bootstrap intervals.

  Args:
    rows: of one clinic.
    names: methods to draw.
    place: where the errors come from, such as "in silico".

  Returns:
    The figure, a panel a covariate.
  """
  titles = {"age": "age [years]", "hr_bpm": "heart rate [bpm]", "amplification": "amplification"}
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    all_windows = summary.of_subjects(rows)
    for axes, (covariate, title) in zip(figure.subplots(1, 3, sharey=True), titles.items(), strict=True):
      groups = agreement.strata(covariate, all_windows[covariate].to_numpy(float))
      for number, (name, people) in enumerate(_by_subject(rows, names).items()):
        values = people[covariate].to_numpy(float)
        rmse = [agreement.interval(people["rmse_mmhg"].to_numpy(float)[s.contains(values)]) for s in groups]
        at = np.arange(len(groups)) + 0.12 * (number - (len(names) - 1) / 2)
        axes.vlines(at, [r.low for r in rmse], [r.high for r in rmse], color=shade(name, names), lw=1)
        axes.plot(at, [r.mean for r in rmse], "o", ms=4, color=shade(name, names), label=tables.label(name))
      axes.set_xticks(range(len(groups)), [s.label for s in groups], fontsize=7)
      axes.set_xlabel(title)
    figure.axes[0].set_ylabel(f"waveform RMSE [mmHg], {place}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
  return figure


def training(source: Sequence[float], per_point: int, trained: Sequence[Cell]) -> Figure:
  """Draws the training loss of the source network, and the RMSE on validation subjects along the training of each
  strategy.

  Args:
    source: the training loss; empty if the study did not train the source network.
    per_point: steps of training that each value of `source` is the mean of.
    trained: cells of the strategies.

  Returns:
    The figure.
  """
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(10 if len(source) else 6.5, 3.4), layout="constrained")
    *before, right = figure.subplots(1, 1 + (len(source) > 0), squeeze=False).ravel()
    for left in before:
      left.semilogy(per_point * (1 + np.arange(len(source))), source, color="#777777")
      left.set(xlabel="step", ylabel="training RMSE [mmHg]", title="source network")
      figures.plain_numbers(left)
    used = collections.Counter[str]()
    for cell in trained:
      shade = colour(cell.key.method)
      style = ("-", *_LEVELS)[used[shade] % (1 + len(_LEVELS))]
      used[shade] += 1
      steps, rmse = [point.steps for point in cell.validation], [point.rmse_mmhg for point in cell.validation]
      right.semilogy(steps, rmse, color=shade, ls=style, label=tables.label(cell.key.method))
    right.set(xlabel="step", ylabel="RMSE on validation subjects [mmHg]", title="target networks")
    figures.plain_numbers(right)
    if trained:
      right.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
  return figure


def distances(outputs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
  """Returns the distance between the mean features of source and target for each method.

  The unit is the root mean square distance of the source's features from their mean.

  Args:
    outputs: method → stored arrays, with pooled features (window, feature) of source and target where it has any.

  Returns:
    Method → distance.
  """
  distance_of = {}
  for name, output in outputs.items():
    if _FEATURES[0] in output:
      source, target = (output[part] for part in _FEATURES)
      spread = np.sqrt(np.square(source - source.mean(0)).sum(1).mean())
      distance_of[name] = float(np.linalg.norm(source.mean(0) - target.mean(0)) / max(spread, 1e-9))
  return distance_of


def feature_map(outputs: Mapping[str, Mapping[str, np.ndarray]]) -> Figure | None:
  """Draws pooled features of source and target windows before and after each adaptation.

  The axes are the two directions of largest variance of the unadapted network.

  Args:
    outputs: method → stored arrays, with pooled features (window, feature) of source and target where it has any.

  Returns:
    The figure; None without features.
  """
  features = {
    name: tuple(output[part] for part in _FEATURES) for name, output in outputs.items() if _FEATURES[0] in output
  }
  if "source" not in features or len(features) < 2:
    return None
  before = np.concatenate(features["source"])
  mean = before.mean(0)
  axes_2d = np.linalg.svd(before - mean, full_matrices=False)[2][:2].T
  with matplotlib.rc_context(figures.STYLE):
    figure = Figure(figsize=(3.3 * min(len(features), 4), 3.2 * -(-len(features) // 4)), layout="constrained")
    panels = figure.subplots(
      -(-len(features) // 4), min(len(features), 4), squeeze=False, sharex=True, sharey=True
    ).ravel()
    for axes, (name, domains) in zip(panels, features.items(), strict=False):
      for part, shade, marker, label in zip(domains, ("#0072B2", "#D55E00"), "o^", ("source", "target"), strict=True):
        at = (part - mean) @ axes_2d
        axes.scatter(*at.T, s=7, color=shade, marker=marker, alpha=0.5, label=label, linewidths=0)
      axes.set_title("before" if name == "source" else f"after {tables.label(name)}", fontsize=8)
      axes.set_xlabel("first component")
    for axes in panels[len(features) :]:
      axes.set_axis_off()
    panels[0].set_ylabel("second component")
    panels[0].legend(frameon=False, fontsize=8)
  return figure
