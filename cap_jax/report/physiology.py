"""Writes the page that compares the virtual cohort with published values."""

from collections.abc import Mapping, Sequence

from cap_jax.haemodynamics import physiology


def _cell(mean: float, sd: float, digits: int) -> str:
  return f"{mean:.{digits}f}" if sd != sd else f"{mean:.{digits}f} ({sd:.{digits}f})"


def markdown(
  rows: Sequence[physiology.DecadeStatistics], form_factors: Mapping[str, float], subjects: int, seed: int, command: str
) -> str:
  """Returns the page: means (SD) by decade, model | published, and the means that lie outside the limits.

  Args:
    rows: a quantity each.
    form_factors: site → (MAP − DBP)/PP.
    subjects: number of virtual subjects.
    seed: of the cohort.
    command: that writes the page.

  Returns:
    The page in Markdown.
  """
  head = " | ".join(f"{d}–{d + 9}" for d in physiology.DECADES)
  lines = [
    "# The virtual cohort beside published values",
    "",
    f"*In silico.* {subjects} virtual subjects of 25 to 80 years (seed {seed}), as `{command}` writes this page.",
    "",
    "Each cell: model | published, mean (SD). Published: men in McEniery et al. 2005 (J. Am. Coll. Cardiol. 46, 1753,",
    "Table 1); pulse wave velocity: Mattace-Raso et al. 2010 (Eur. Heart J. 31, 2338) at the age and the cuff's mean",
    "pressure of the decade. The subjects have passed the plausibility filter (all pressures within 2.575 published SD).",
    "",
    f"| age | {head} |",
    "|---" * (1 + len(physiology.DECADES)) + "|",
  ]
  for row in rows:
    digits = 2 if row.name == "amplification" else 1 if row.name == physiology.PWV else 0
    cells = [
      f"{_cell(m, s if ps == ps else ps, digits)} \\| {_cell(p, ps, digits)}"
      for m, s, p, ps in zip(row.mean, row.sd, row.published_mean, row.published_sd, strict=True)
    ]
    lines.append(f"| {physiology.LABELS[row.name]} | {' | '.join(cells)} |")
  factors = ", ".join(f"{site.replace('_', ' ')} {value:.2f}" for site, value in form_factors.items())
  lines += ["", f"Form factors (MAP − DBP)/PP: {factors}.", ""]
  limits = ", ".join(f"{physiology.LABELS[name].split(' [')[0]} {limit:g}" for name, limit in physiology.LIMITS.items())
  lines += [f"Limits for the means: {limits}; for their SDs a third of the published one.", ""]
  misses = [miss for row in rows for miss in row.misses()]
  lines += ["Outside the limits:" if misses else "All lie within the limits.", *([""] if misses else [])]
  return "\n".join([*lines, *(f"- {miss}" for miss in misses)]) + "\n"


def causes(variants: Mapping[str, Sequence[physiology.DecadeStatistics]]) -> str:
  """Returns a table of model minus published, means over the decades, for each variant of the cohort."""
  quantities = [name for name in physiology.LABELS if name in physiology.LIMITS]
  heads = [physiology.LABELS[name].split(" [")[0].replace(", brachial/central", "") for name in quantities]
  lines = [
    "",
    "## What each part of the model does",
    "",
    "Model less published, mean over the five decades (in brackets: the decade that is furthest off), with one thing changed.",
    "",
    f"| variant | {' | '.join(heads)} |",
    "|---" * (1 + len(quantities)) + "|",
  ]
  for label, rows in variants.items():
    by_name = {row.name: row.mean - row.published_mean for row in rows}
    cells = []
    for name in quantities:
      off, digits = by_name[name], 2 if name == "amplification" else 1
      furthest = off[abs(off).argmax()]
      cells.append(f"{off.mean():+.{digits}f} ({furthest:+.{digits}f})")
    lines.append(f"| {label} | {' | '.join(cells)} |")
  return "\n".join(lines) + "\n"
