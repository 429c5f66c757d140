"""Checkpoints: parameters, model config and scaling together, in a checksummed folder.

The header describes the network that the parameters belong to. `load` restores them against the structure that the
header implies, and refuses parameters that are NaN or infinite.
"""

import base64
import dataclasses
import hashlib
import os
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cap_jax import clinics, config
from cap_jax.data import circumstances, scalings, splits
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.signals import calibration as scales
from cap_jax.strategies import surgery
from cap_jax.train import checksummed, filter_blend
from cap_jax.train.uncertainty_calibration import UncertaintyCalibration, expected_shapes
from cap_jax.types import InputError, Params

FORMAT = 6
_WITH_DETECTOR = 5
# 3: other names, and no heart rates; 3 and 4: pressures only, distances in place of detectors; up to 5: a list of hashes
_READABLE = (3, 4, _WITH_DETECTOR, FORMAT)
_DIGITS = 12  # of a hash
HEADER = checksummed.HEADER
digest = checksummed.digest
_UNCERTAINTY = "uncertainty_calibration"  # beside the blocks of the network
_BLEND = "blend"
REMEDY = "train one with: python -m cap_jax pretrain --workdir=DIR, and pass DIR/checkpoint"


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
    """Whether simulated clinics have taught it what the circumstances of a measurement mean."""
    return self.model.reads_context and self.about.get("source") in clinics.MIXTURES

  def has_seen(self, subject: str) -> bool:
    """Returns whether a subject of this name was used for training, selection, calibration or the fit of the scaling."""
    return digests_of([subject])[0] in self.seen_subject_hashes or subject in self.scaling.fitted_on

  def check_unseen(self, subjects: Iterable[str]) -> None:
    """Checks that the network may be evaluated on subjects.

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
    ValueError: the text is none.
  """
  together = base64.b64decode(text, validate=True).hex()
  if len(together) % _DIGITS:
    raise ValueError("seen_subject_hashes")
  return tuple(together[k : k + _DIGITS] for k in range(0, len(together), _DIGITS))


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
  """Writes a checkpoint to a folder that does not exist yet.

  Args:
    path: the new folder.
    checkpoint: what to write.

  Raises:
    InputError: the folder exists, or a parameter is NaN or infinite.
    OSError: the disk is full or write-protected.
  """
  _check_finite(path, checkpoint.params, "lower the learning rate or check the data")
  around = checkpoint.scaling.context
  content = {
    "format": FORMAT,
    "site": checkpoint.site,
    "task": checkpoint.task,
    "model": dataclasses.asdict(checkpoint.model),
    "windows": dataclasses.asdict(checkpoint.windows),
    "scaling": {
      "mean_mmhg": checkpoint.scaling.mean_mmhg,
      "sd_mmhg": checkpoint.scaling.sd_mmhg,
      "scalars": checkpoint.scaling.scalars,
      "unitless": checkpoint.scaling.unitless,
      "context": None if around is None else around.header,
    },
    "about": checkpoint.about,
    "calibration": dataclasses.asdict(checkpoint.calibration),
    "reference": checkpoint.reference,
    # only digests leave this machine, never the names of patients
    "seen_subject_hashes": _packed({*checkpoint.seen_subject_hashes, *digests_of(checkpoint.scaling.fitted_on)}),
  }
  if checkpoint.blend is not None:
    content[_BLEND] = checkpoint.blend.header
  stored = dict(checkpoint.params)
  if checkpoint.uncertainty_calibration is not None:
    content[_UNCERTAINTY] = checkpoint.uncertainty_calibration.header
    stored[_UNCERTAINTY] = checkpoint.uncertainty_calibration.arrays
  checksummed.write(path, content, stored)


def _check_finite(path: str | os.PathLike[str], params: Params, remedy: str) -> None:
  lost = [leaf for leaf, value in surgery.leaf_paths(params).items() if not np.all(np.isfinite(value))]
  if lost:
    raise InputError(f"{path}: parameter {lost[0]} contains NaN or infinite values; {remedy}")


def load(path: str | os.PathLike[str]) -> Checkpoint:
  """Reads a checkpoint.

  Raises:
    InputError: there is none, it has another format, or its parameters do not match its config.
  """
  content = checksummed.read(path, _READABLE, REMEDY)
  written_format = content["format"]
  header = os.path.join(os.path.abspath(path), HEADER)
  try:
    content = _with_new_names(content) if written_format == 3 else content
    if written_format < _WITH_DETECTOR and _UNCERTAINTY in content:
      content[_UNCERTAINTY] = {**content[_UNCERTAINTY], "detector": False, "ood_threshold": None}
    model = config.Model(**{**content["model"], "covariates": tuple(content["model"]["covariates"])})
    spec = config.Windows(**content["windows"])
    scaling = _restored_scaling(content, model.reads_context)
    task, about = str(content["task"]), dict(content["about"])
    if task not in tasks.TASKS:
      raise ValueError(f"task {task}")
    hashes = (
      tuple(content["seen_subject_hashes"]) if written_format < FORMAT else _unpacked(content["seen_subject_hashes"])
    )
    calibration = config.Calibration(**content["calibration"])
    scales.check(calibration)
    signals = config.Signals(str(content["site"]), str(content["reference"]), spec, calibration)
    blend = filter_blend.FilterBlend.restored(content[_BLEND]) if _BLEND in content else None
    nets.check(model, spec)
    net = nets.make_net(model)
    expected = jax.eval_shape(lambda: net.init(jax.random.key(0), spec.samples))
    uncertainty_header = dict(content[_UNCERTAINTY]) if _UNCERTAINTY in content else None
    intervals = None
    if uncertainty_header is not None:
      intervals = UncertaintyCalibration.restored(uncertainty_header)
      has = (bool(uncertainty_header["head"]), bool(uncertainty_header["detector"]))
      expected = {**expected, _UNCERTAINTY: expected_shapes(net, spec.samples, *has)}
  except InputError as error:
    raise InputError(f"{header}: {error}") from error
  except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
    raise InputError(f"{header}: damaged, or written by another project ({error!r}); {REMEDY}") from error
  if written_format < _WITH_DETECTOR and uncertainty_header is not None:
    params = _restore_older(path, expected, net, spec.samples, written_format)
  else:
    params = checksummed.restore(path, expected, REMEDY)
  _check_finite(path, params, REMEDY)
  arrays = params.pop(_UNCERTAINTY, {})
  if intervals is not None:
    intervals = dataclasses.replace(intervals, head=arrays.get("head"), detector=arrays.get("detector"))
  return Checkpoint(
    params=params,
    model=model,
    scaling=scaling,
    signals=signals,
    task=task,
    about=about,
    uncertainty_calibration=intervals,
    blend=blend,
    seen_subject_hashes=hashes,
  )


def _restored_scaling(content: dict[str, Any], reads_context: bool) -> scalings.Scaling:
  """Returns the scaling from the header of a checkpoint.

  Raises:
    ValueError: it is none.
  """
  of = content["scaling"]
  scalars = tuple((str(name), float(mean), float(sd)) for name, mean, sd in of["scalars"])
  unitless = bool(of["unitless"]) if content["format"] >= _WITH_DETECTOR else False
  around = of.get("context")
  scaling = scalings.Scaling(
    mean_mmhg=of["mean_mmhg"], sd_mmhg=of["sd_mmhg"], scalars=scalars, unitless=unitless,
    context=None if around is None else circumstances.Circumstances.restored(around),
  )  # fmt: skip
  if not all(np.isfinite([scaling.mean_mmhg, scaling.sd_mmhg])) or scaling.sd_mmhg <= 0:
    raise ValueError(f"scaling {scaling.mean_mmhg}, {scaling.sd_mmhg}")
  if (around is not None) != reads_context:
    raise ValueError("circumstances")
  return scaling


def _with_new_names(content: dict[str, Any]) -> dict[str, Any]:
  """Returns the header of a checkpoint of format 3 with the names of format 4."""
  scaling = dict(content["scaling"])
  scaling["scalars"] = scaling.pop("numbers")
  # the first checkpoints of format 3 have no hashes
  renamed = {**content, "scaling": scaling, "seen_subject_hashes": content.get("met", ())}
  if "doubt" in content:
    calibration = dict(content["doubt"])
    renamed[_UNCERTAINTY] = {**calibration, "ood_threshold": calibration["unseen"], "hr_bpm": None}
  return renamed


def _restore_older(path: str | os.PathLike[str], expected: Params, net: nets.Net, samples: int, written: int) -> Params:
  """Restores the arrays of a checkpoint of format 3 or 4, less the mean and the precision of its features.

  Args:
    path: the folder.
    expected: shapes by the names of this format.
    net: the network.
    samples: length of a window.
    written: format of the checkpoint.
  """
  block, moments = ("doubt", "seen") if written == 3 else (_UNCERTAINTY, "features")
  x_bt, c_bq = jnp.zeros((1, samples)), jnp.zeros((1, net.covariates))
  width = jax.eval_shape(net.features, expected["f"], x_bt, c_bq).shape[-1]
  shapes = {
    name: jax.ShapeDtypeStruct(shape, jnp.float32)
    for name, shape in (("mean", (width,)), ("precision", (width, width)))
  }
  older = {name: part for name, part in expected.items() if name != _UNCERTAINTY}
  params = checksummed.restore(path, {**older, block: {**expected[_UNCERTAINTY], moments: shapes}}, REMEDY)
  calibration = params.pop(block)
  return {**params, _UNCERTAINTY: {name: part for name, part in calibration.items() if name != moments}}
