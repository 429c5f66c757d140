"""Reconstructs records of which nobody knows the aortic wave, and says in how many beats it is plausible.

  python -m experiments.plausibility --format=csv --path=FOLDER
  python -m experiments.plausibility --format=wfdb --path=FOLDER --checkpoint=DIR/checkpoint

Prints the share of the beats of each record that pass each check (`cap_jax.metrics.plausibility`), and the transfer function from
the aortic to the peripheral wave. The records are measured; what the bounds say of the reconstruction is no error.
"""

import numpy as np
from absl import flags

from cap_jax.cli import dataset_flags, launcher
from cap_jax.inference import pretrained
from cap_jax.metrics import plausibility
from cap_jax.report import tables
from cap_jax.study import plausible_records
from cap_jax.types import InputError

_CHECKPOINT = flags.DEFINE_string("checkpoint", pretrained.DEFAULT, "checkpoint folder, or a packaged network")
_SECONDS = flags.DEFINE_float("seconds", 120.0, "longest part of each record", lower_bound=4.0)


def _refused(error: InputError) -> None:
  if dataset_flags.STRICT.value:
    raise error
  print(f"excluded: {error}")


def beats_table(results: dict[str, plausibility.BeatPlausibility]) -> tables.Table:
  """Returns the share of plausible beats of each record, and of all."""
  names = [*plausibility.CHECKS]
  rows = [
    (name, str(one.beats), *(f"{100 * one.share(check):.0f}" for check in names), f"{100 * one.share(*names):.0f}")
    for name, one in results.items()
  ]
  of = plausible_records.plausible_fractions(results)
  total = sum(one.beats for one in results.values())
  rows.append(("all beats", str(total), *(f"{100 * share:.1f}" for share, _ in of.values())))
  least = f"records with {100 * plausible_records.LEAST:.0f} % or more"
  rows.append((least, str(len(results)), *(str(records) for _, records in of.values())))
  caption = "Share of the beats [%] that pass each check, and all of them; measured records, reconstructed"
  return tables.Table(("record", "beats", *of), rows, caption=caption)


def gain_table(results: dict[str, plausibility.BeatPlausibility]) -> tables.Table:
  """Returns the transfer function from the aortic to the peripheral wave over records."""
  gain_rf = np.array([one.gain_f for one in results.values() if np.isfinite(one.gain_f).all()])
  rows = [
    (f"{frequency:g}", *(f"{value:.2f}" for value in np.quantile(gain_rf[:, k], (0.05, 0.5, 0.95))))
    for k, frequency in enumerate(plausibility.FREQUENCIES_HZ if len(gain_rf) else ())
  ]
  caption = "Gain from the reconstructed aortic to the measured wave, quantiles over records"
  return tables.Table(("Hz", "5 %", "median", "95 %"), rows, caption=caption)


def main() -> None:
  trained = pretrained.load(_CHECKPOINT.value)
  if trained.scaling.unitless:
    raise InputError(
      f"--checkpoint={_CHECKPOINT.value}: reads a PPG without a unit, which has no pressures to compare with"
    )
  if not np.isfinite(_SECONDS.value):
    raise InputError(f"--seconds={_SECONDS.value}: must be a number; omit it for 120")
  entries = dataset_flags.open_dataset().entries
  results = plausible_records.measure(trained, entries, _SECONDS.value, _refused)
  for table in (beats_table(results), gain_table(results)):
    print(f"{table.caption}\n\n{tables.to_markdown(table)}")


if __name__ == "__main__":
  launcher.launch(main)
