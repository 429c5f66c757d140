"""Packages a source network: rounds its parameters to half precision, evaluates it, and writes folder and model card.

  python -m experiments.model_card --checkpoint=runs/radial/checkpoint --output=runs/packaged/radial
  python -m experiments.model_card --checkpoint=DIR/checkpoint --output=DIR2 --format=csv --path=RECORDS

Writes a checkpoint and README.md; move them to cap_jax/pretrained/NAME to ship the network. The card has the errors and the interval coverage of the network in virtual clinics, with the
subjects of another solver and, for the radial artery, on the rig; and how plausible the reconstructions of measured records are, if a
data set of them is named.
"""

import dataclasses
import os
import pathlib

import jax
import numpy as np
from absl import flags

from cap_jax import own_files
from cap_jax.cli import dataset_flags, launcher, output_folders
from cap_jax.data import datasets, signal_names
from cap_jax.inference import pretrained
from cap_jax.metrics import agreement
from cap_jax.report import tables
from cap_jax.study import model_card, plausible_records
from cap_jax.train import checkpoint
from cap_jax.types import InputError, Params

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "checkpoint folder of the network")
_OUTPUT = flags.DEFINE_string("output", None, "folder to create; its name is that of the network")
_SECONDS = 120.0  # of a measured record


def rounded(trained: checkpoint.Checkpoint) -> checkpoint.Checkpoint:
  """Returns a network whose parameters are rounded to half precision, so that they compress to about half the size."""

  def half(params: Params | None) -> Params | None:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float16).astype(np.float32), params)

  calibration = trained.uncertainty_calibration
  if calibration is not None:
    calibration = dataclasses.replace(calibration, head=half(calibration.head), detector=half(calibration.detector))
  params = half(trained.params)
  assert params is not None
  return dataclasses.replace(trained, params=params, uncertainty_calibration=calibration)


def _interval(value: agreement.Interval) -> str:
  return f"{value.mean:.2f} ({value.low:.2f} to {value.high:.2f})"


def _reading(one: model_card.CardErrors | None) -> tuple[str, str, str]:
  """Returns the cells of a reading: error, coverage of wave and cSBP, half the width."""
  if one is None:
    return "", "", ""
  return _interval(one.rmse), f"{100 * one.wave:.0f}, {100 * one.csbp:.0f} %", f"{one.half_width_mmhg:.1f}"


def errors_table(rows: list[model_card.CardRow]) -> tables.Table:
  """Returns errors and coverage in each test condition."""
  header = (
    "subjects", "unchanged wave", "RMSE, clinic unknown", "coverage", "±", "flagged", "RMSE, clinic known", "coverage ", "± "
  )  # fmt: skip
  cells = [
    (
      f"{one.subjects} {one.text} (`{one.name}`, *{one.place}*)",
      f"{one.peripheral_mmhg:.2f}" if np.isfinite(one.peripheral_mmhg) else "",
      *_reading(one.alone),
      f"{100 * one.alone.flagged:.0f} %",
      *_reading(one.in_clinic),
    )
    for one in rows
  ]
  return tables.Table(header, cells)


def _plausible(trained: checkpoint.Checkpoint, dataset: datasets.DataSet) -> str:
  """Returns the section on measured records."""
  results = plausible_records.measure(trained, dataset.entries, _SECONDS, lambda error: print(f"excluded: {error}"))
  of = plausible_records.plausible_fractions(results)
  rows = [(name, f"{100 * share:.1f}", f"{records}") for name, (share, records) in of.items()]
  table = tables.Table(("check", "beats that pass [%]", "records with 95 % or more"), rows)
  beats = sum(one.beats for one in results.values())
  return (
    f"**Plausibility, *{dataset.place}*.** Nobody knows the aortic waves of these {len(results)} records ({beats} beats, the first "
    f"{_SECONDS:.0f} s of each). The checks are those of [evaluation.md](../../../docs/evaluation.md); they are no errors.\n\n"
    f"{tables.to_markdown(table)}\n"
  )


def card(trained: checkpoint.Checkpoint, digest: str, name: str, measured: datasets.DataSet | None) -> str:
  """Returns the model card as Markdown.

  Args:
    trained: the packaged network.
    digest: SHA-256 of its header.
    name: of the network.
    measured: records without an aortic wave, None for none.
  """
  plausible = _plausible(trained, measured) if measured is not None else ""
  count = sum(np.size(leaf) for leaf in jax.tree.leaves(trained.params))
  wave = "finger PPG" if trained.site == signal_names.PPG else f"{trained.site} pressure wave"
  unit = "in any unit" if trained.scaling.unitless else "in mmHg, as measured"
  needs = ", ".join(trained.model.covariates) or "no covariate"
  about = trained.about
  spec = trained.windows
  context = ""
  if trained.model.reads_context:
    context = """ It reads the context of a measurement from
the record itself, from other records of the clinic (`domain_adaptation/context`) and from labelled ones (`fine_tuning/context`), without training."""
  of_records = " --format=csv --path=RECORDS" if measured is not None else ""
  levels = """No wave shows a wrong zero, a wrong gain or
the errors of a cuff. The intervals allow for 2 mmHg and 2 %."""
  if trained.scaling.unitless:
    levels = "The pressure level is that of a cuff, and errs with it."
  rows = list(model_card.conditions(trained))
  return f"""# Model card: {name}

**Description.** A source network that predicts the pressure wave at the aortic root [mmHg] from the {wave} ({unit}), {spec.seconds:g} s at {spec.fs_hz:g} Hz,
with 90 % intervals. It needs {needs}. `{trained.model.extractor}`, {trained.model.channels} channels, {trained.model.layers} layers, {count:,} parameters. The SHA-256 of its header, which
contains those of its files, is `{digest}`.

**Intended use.** To reconstruct a wave, and as θ^S for a transfer to your own clinic.{context}
It is research software and no medical device. Do not use it for diagnosis or treatment.

**Training data.** Only virtual people, {about["source_subjects"]:,} of them (`{about["source"]}` in [clinics.py](../../clinics.py)), {about["steps"]:,} steps.
No record of a real person was used.

**Performance.** RMSE of the wave [mmHg], means over subjects with 95 % bootstrap intervals, {model_card.SECONDS} s a subject in the virtual clinics. *Unknown*: each record alone.
*Known*: with the context of other records of the clinic, unlabelled, {model_card.AROUND} in a virtual clinic and 64 of the solver. *Coverage* is the share of the wave, and of the beats'
cSBP, inside the intervals; ± is half their mean width [mmHg]. *Flagged* is the share of the windows out of distribution.

{tables.to_markdown(errors_table(rows))}
{plausible}**Limitations.** Nobody knows its error on real people: no open data set has both waves *in vivo*. {levels} Licence: Apache-2.0.

```bash
python -m experiments.pretrain --config=experiments/configs/pretrained.py:{name} --workdir=runs/{name}
python -m experiments.model_card --checkpoint=runs/{name}/checkpoint --output=runs/packaged/{name}{of_records}
```
"""


def _check(trained: checkpoint.Checkpoint, measured: datasets.DataSet | None) -> None:
  """Checks that a card can describe a network.

  Raises:
    InputError: it is no source network for the aortic wave with intervals that virtual people have taught, or it reads a PPG and
      there are records, whose plausibility is judged by their pressures.
  """
  about, named = trained.about, f"--checkpoint={_CHECKPOINT.value}"
  if trained.task != "waveform" or trained.reference != "aortic_root":
    raise InputError(f"{named}: predicts {trained.task}, {trained.reference}; pass a network for the aortic wave")
  if (
    trained.uncertainty_calibration is None
    or "strategy" in about
    or not str(about.get("data", "")).startswith(datasets.IN_SILICO)
  ):
    raise InputError(
      f"{named}: is no source network with intervals that virtual people have taught; pass one that pretrain wrote"
    )
  if trained.scaling.unitless and measured is not None:
    raise InputError(f"{named}: reads a PPG without a unit, which has no pressures to compare with; omit --path")


def main() -> None:
  folder = launcher.required(_OUTPUT, "DIR")
  output_folders.check_absent(folder, "--output")
  measured = dataset_flags.open_dataset() if dataset_flags.PATH.value is not None else None
  trained = rounded(pretrained.load(launcher.required(_CHECKPOINT, "DIR/checkpoint")))
  _check(trained, measured)
  with output_folders.whole_folder(folder, "--output") as partial:
    place = os.path.join(partial, "checkpoint")
    checkpoint.save(place, trained)
    text = card(trained, checkpoint.digest(place), os.path.basename(os.path.normpath(folder)), measured)
    own = own_files.begin(partial)
    for part in os.listdir(place):
      own.replace(os.path.join(place, part), os.path.join(partial, part))
    os.rmdir(place)
    pathlib.Path(own_files.claimed(os.path.join(partial, "README.md"))).write_text(text, encoding="utf-8")
  print(f"{folder}/README.md")


if __name__ == "__main__":
  launcher.launch(main)
