"""Checkpoints: parameters, model config and scaling together, in a checksummed folder.

The header describes the network that the parameters belong to. `load` restores them against the structure that the
header implies, and refuses parameters that are NaN or infinite.
"""

import base64
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import clinics, config
from cap_jax.data import scalings, schema, splits
from cap_jax.models import net as nets
from cap_jax.signals import calibration as scales
from cap_jax.train import archive, checkpoint_schema, checksummed, filter_blend
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration, expected_shapes
from cap_jax.types import InputError, Params, leaf_paths

FORMAT = 6
_WITH_OTHER_NAMES, _WITH_DETECTOR = 3, 5
# 3: other names, and no heart rates; 3 and 4: pressures only, distances in place of detectors; up to 5: a list of hashes
_READABLE = (_WITH_OTHER_NAMES, 4, _WITH_DETECTOR, FORMAT)
_DIGITS = 12  # of a hash
HEADER = checksummed.HEADER
digest = checksummed.digest
_UNCERTAINTY = "uncertainty_calibration"  # beside the blocks of the network
_UNCERTAINTY_3 = "doubt"  # in format 3
_BLEND = "blend"
REMEDY = "train one with the command `cap-jax pretrain`, and pass its folder checkpoint"
_DAMAGED = f"the header is damaged, or written by another project: copy the checkpoint again, or {REMEDY}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
  """A trained network with everything that its use needs.

  Attributes:
    params: {"f": θ_f, "r": θ_r}, and {"a": θ_a} of an adaptor.
    model: its architecture.
    scaling: scaling of input and output, fitted on the training subjects.
    signals: its input and output.
    task: what the network was trained for, a name in `tasks.TASKS`.
    about: provenance for the reader: training, errors, seeds.
    uncertainty_calibration: calibration of the prediction intervals; None if the network was never calibrated.
    blend: linear filter that its wave is blended with; None for the wave of the network alone.
    seen_subject_hashes: digests of the names of all subjects used for training, selection or calibration, see
      `digests_of`.
  """

  params: Params
  model: config.Model
  scaling: scalings.Scaling
  signals: config.Signals = dataclasses.field(default_factory=config.Signals)
  task: str = "waveform"
  about: dict[str, Any] = dataclasses.field(default_factory=dict)
  uncertainty_calibration: UncertaintyCalibration | None = None
  blend: filter_blend.FilterBlend | None = None
  seen_subject_hashes: tuple[str, ...] = ()

  @property
  def site(self) -> str:
    """The peripheral site that the network reads."""
    return self.signals.site

  @property
  def reference(self) -> str:
    """The site of the output wave, where the task is a wave."""
    return self.signals.reference

  @property
  def windows(self) -> config.Windows:
    """Rate, length and margin of its windows."""
    return self.signals.windows

  @property
  def calibration(self) -> config.Calibration:
    """Calibration of the input waves."""
    return self.signals.calibration

  @property
  def unknown_level(self) -> str:
    """That the pressure level of its reconstructions is unknown, "" if its input contains the level."""
    return scales.unknown_level(self.scaling.unitless, self.model.covariates)

  @property
  def net(self) -> nets.Net:
    """The network of its model config."""
    return nets.make_net(self.model)

  def blended(self, network_bt: np.ndarray, x_bt: np.ndarray) -> np.ndarray:
    """Returns the waves (window, time) [mmHg]: those of the network, blended with the filter if there is one.

    Args:
      network_bt: (window, time) waves of the network [mmHg].
      x_bt: (window, time) peripheral waves [mmHg].
    """
    return network_bt if self.blend is None else self.blend.mix(network_bt, x_bt)

  @property
  def knows_clinics(self) -> bool:
    """Whether simulated clinics have taught it what the context of a measurement means."""
    return self.model.reads_context and self.about.get("source") in clinics.MIXTURES

  def has_seen(self, subject: str) -> bool:
    """Returns whether a subject of this name was used for training, selection, calibration or the fit of the scaling.

    Args:
      subject: name of the subject.
    """
    return digests_of([subject])[0] in self.seen_subject_hashes or subject in self.scaling.fitted_on

  def check_unseen(self, subjects: Iterable[str]) -> None:
    """Checks that the network may be evaluated on subjects.

    Args:
      subjects: their names.

    Raises:
      splits.LeakError: the network has seen one of them.
    """
    seen_subjects = [subject for subject in subjects if self.has_seen(subject)]
    if seen_subjects:
      names = ", ".join(seen_subjects[:5]) + (", …" if len(seen_subjects) > 5 else "")
      raise splits.LeakError(
        f"the network was trained, selected or calibrated on {len(seen_subjects)} of these subjects ({names}); "
        "evaluate it on unseen subjects"
      )


def digests_of(*subjects: Iterable[str]) -> tuple[str, ...]:
  """Returns the sorted first 12 digits of the SHA-256 of each name.

  They suffice to recognise a subject without a list of patients.

  Args:
    *subjects: groups of names.
  """
  names = {name for group in subjects for name in group}
  return tuple(sorted(hashlib.sha256(str(name).encode()).hexdigest()[:_DIGITS] for name in names))


def _packed(hashes: Iterable[str]) -> str:
  """Returns hashes as one text, half as long as a list of them: a network may have seen many subjects."""
  return base64.b64encode(bytes.fromhex("".join(sorted(hashes)))).decode()


def _unpacked(text: str) -> tuple[str, ...]:
  """Returns the hashes of `_packed`.

  Raises:
    ValueError: the text is none: hashes that rise.
  """
  together = base64.b64decode(text, validate=True).hex()
  hashes = tuple(together[k : k + _DIGITS] for k in range(0, len(together), _DIGITS))
  if len(together) % _DIGITS or list(hashes) != sorted(set(hashes)):
    raise ValueError("seen_subject_hashes")
  return hashes


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
  """Writes a checkpoint to a folder that does not exist yet.

  Args:
    path: the new folder.
    checkpoint: what to write.

  Raises:
    InputError: the folder exists, a parameter is NaN or infinite, or `load` would refuse a value of the header.
    OSError: the disk is full or write-protected.
  """
  checksummed.write(path, *_contents(path, checkpoint))


def fill(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
  """Writes a checkpoint into an empty folder as an `archive`, which `load` reads too.

  Args:
    folder: an empty folder.
    checkpoint: what to write.

  Raises:
    InputError: see `save`; or the package safetensors is not installed.
    OSError: see `save`.
  """
  archive.fill(folder, *_contents(folder, checkpoint))


def check(name: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
  """Checks that a checkpoint could be written and read again.

  Args:
    name: of what is to be written, for messages.
    checkpoint: the checkpoint.

  Raises:
    InputError: see `save`.
  """
  _contents(name, checkpoint)


def _contents(path: str | os.PathLike[str], checkpoint: Checkpoint) -> tuple[dict[str, Any], Params]:
  """Returns the header and the arrays of a checkpoint, after checking them.

  Raises:
    InputError: see `save`.
  """
  stored = dict(checkpoint.params)
  if checkpoint.uncertainty_calibration is not None:
    stored[_UNCERTAINTY] = checkpoint.uncertainty_calibration.arrays
  _check_finite(path, stored, "lower the learning rate or check the data")
  content = header_of(checkpoint)
  _check_header(content, os.fspath(path), "change the setting or the data that it follows from")
  return content, stored


def header_of(checkpoint: Checkpoint) -> dict[str, Any]:
  """Returns the header that `save` writes, as plain values.

  Args:
    checkpoint: what to save.
  """
  scaling = checkpoint.scaling
  # those that the network reads come first, in its order
  rank = {name: k for k, name in enumerate(checkpoint.model.covariates)}
  content = {
    "format": FORMAT,
    "site": checkpoint.site,
    "task": checkpoint.task,
    "model": dataclasses.asdict(checkpoint.model),
    "windows": dataclasses.asdict(checkpoint.windows),
    "scaling": {
      "mean_mmhg": scaling.mean_mmhg,
      "sd_mmhg": scaling.sd_mmhg,
      "scalars": sorted(scaling.scalars, key=lambda scalar: rank.get(scalar[0], len(rank))),
      "unitless": scaling.unitless,
      "context": None if scaling.context is None else scaling.context.header,
    },
    "about": checkpoint.about,
    "calibration": dataclasses.asdict(checkpoint.calibration),
    "reference": checkpoint.reference,
    # only digests leave this machine, never the names of patients
    "seen_subject_hashes": _packed({*checkpoint.seen_subject_hashes, *digests_of(scaling.fitted_on)}),
  }
  if checkpoint.blend is not None:
    content[_BLEND] = checkpoint.blend.header
  if checkpoint.uncertainty_calibration is not None:
    content[_UNCERTAINTY] = checkpoint.uncertainty_calibration.header
  return cast(dict[str, Any], schema.cleaned(json.loads(json.dumps(content))))


def _check_header(content: dict[str, Any], where: str, remedy: str) -> None:
  """Checks the values of a header, each by itself and with the others.

  Raises:
    DataError: one is out of its range, or they do not agree.
  """
  schema.check(checkpoint_schema.HEADERS[content["format"]], content, where, remedy)
  schema.refuse(checkpoint_schema.fault_of(_with_new_names(content)), where, remedy)


def _check_finite(path: str | os.PathLike[str], params: Params, remedy: str) -> None:
  lost = [leaf for leaf, value in leaf_paths(params).items() if not np.all(np.isfinite(value))]
  if lost:
    raise InputError(f"{path}: parameter {lost[0]} contains NaN or infinite values; {remedy}")


def load(path: str | os.PathLike[str]) -> Checkpoint:
  """Reads a checkpoint.

  Args:
    path: folder of the checkpoint.

  Returns:
    The checkpoint.

  Raises:
    InputError: there is none, it has another format, a value in its header is out of its range, or its parameters do not
      match its config.
  """
  content = checksummed.read_header(path, _READABLE, REMEDY)
  header = os.path.join(os.path.abspath(path), HEADER)
  own = {name: value for name, value in content.items() if name != checksummed.SUMS}
  _check_header(own, header, _DAMAGED)
  own = _with_new_names(own)
  try:
    described = _described(own)
    expected = _expected(described, own)
  except InputError as error:
    raise InputError(f"{header}: {error}") from error
  except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
    raise InputError(f"{header}: damaged, or written by another project ({error!r}); {REMEDY}") from error
  if archive.is_of(content):
    params = archive.restore(path, content, expected, REMEDY)
  else:
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(expected))
    checksummed.check_files(path, content, REMEDY, size)
    params = checksummed.restore(path, expected, REMEDY)
  _check_finite(path, params, REMEDY)
  arrays = params.pop(_UNCERTAINTY, params.pop(_UNCERTAINTY_3, {}))
  intervals = described.uncertainty_calibration
  if intervals is not None:
    intervals = dataclasses.replace(intervals, head=arrays.get("head"), detector=arrays.get("detector"))
  return dataclasses.replace(described, params=params, uncertainty_calibration=intervals)


def _described(content: dict[str, Any]) -> Checkpoint:
  """Returns the checkpoint of a checked header, without parameters.

  Raises:
    InputError: a name of the network is unknown, or a size is impossible.
    ValueError: the hashes are none.
  """
  model = config.Model(**{**content["model"], "covariates": tuple(content["model"]["covariates"])})
  spec = config.Windows(**content["windows"])
  calibration = config.Calibration(**content["calibration"])
  nets.check(model, spec)
  hashes = content.get("seen_subject_hashes", ())
  return Checkpoint(
    params={},
    model=model,
    scaling=scalings.Scaling.restored(content["scaling"]),
    signals=config.Signals(content["site"], content["reference"], spec, calibration),
    task=content["task"],
    about=content["about"],
    uncertainty_calibration=(
      UncertaintyCalibration.restored(content[_UNCERTAINTY]) if _UNCERTAINTY in content else None
    ),
    blend=filter_blend.FilterBlend.restored(content[_BLEND]) if _BLEND in content else None,
    seen_subject_hashes=_unpacked(hashes) if isinstance(hashes, str) else tuple(hashes),
  )


def _expected(described: Checkpoint, content: dict[str, Any]) -> Params:
  """Returns the shapes of all arrays of a checkpoint.

  Args:
    described: the checkpoint without parameters.
    content: its header, with the names of the current format.
  """
  net, samples = described.net, described.windows.samples
  expected = jax.eval_shape(lambda: net.init(jax.random.key(0), samples))
  if _UNCERTAINTY not in content:
    return cast(Params, expected)
  calibration, written = content[_UNCERTAINTY], content["format"]
  shapes = expected_shapes(net, samples, calibration["head"], calibration["detector"])
  if written >= _WITH_DETECTOR:
    return {**expected, _UNCERTAINTY: shapes}
  # mean and precision of the features, which a detector has replaced
  x_bt, c_bq = jnp.zeros((1, samples)), jnp.zeros((1, net.covariates))
  width = jax.eval_shape(net.features, expected["f"], x_bt, c_bq).shape[-1]
  moments = {
    name: jax.ShapeDtypeStruct(shape, jnp.float32)
    for name, shape in (("mean", (width,)), ("precision", (width, width)))
  }
  block, name = (_UNCERTAINTY_3, "seen") if written == _WITH_OTHER_NAMES else (_UNCERTAINTY, "features")
  return {**expected, block: {**shapes, name: moments}}


def _with_new_names(content: dict[str, Any]) -> dict[str, Any]:
  """Returns a header of sound fields with the names of the current format.

  Up to format 4 there was no detector, so that nothing is out of distribution.
  """
  if content["format"] >= _WITH_DETECTOR:
    return content
  renamed = dict(content)
  if content["format"] == _WITH_OTHER_NAMES:
    scaling = dict(content["scaling"])
    scaling["scalars"] = scaling.pop("numbers")
    renamed |= {"scaling": scaling, "seen_subject_hashes": renamed.pop("met", [])}
    if "doubt" in renamed:
      calibration = dict(renamed.pop("doubt"))
      del calibration["unseen"]
      renamed[_UNCERTAINTY] = {**calibration, "hr_bpm": None}
  if _UNCERTAINTY in renamed:
    renamed[_UNCERTAINTY] = {**renamed[_UNCERTAINTY], "detector": False, "ood_threshold": None}
  return renamed
