"""Checkpoints: parameters, model config and scaling together, written and read whole. The only place with orbax.

A checkpoint is a folder: `config.json` says what the parameters belong to, `params` holds them (orbax). It is written
beside its place and moved there when complete, so that nobody meets half of one. It is restored against the structure
that its config implies, after a check of all files against their sums: a damaged file, a missing, foreign or misshapen
leaf is an error, never a warning.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from cap_jax import config
from cap_jax.data import batches
from cap_jax.models import net as nets
from cap_jax.signals import calibration as scales
from cap_jax.train import doubt as doubts
from cap_jax.transfer import surgery
from cap_jax.types import InputError, Params

FORMAT = 3
HEADER = "config.json"
_DOUBT = "doubt"  # beside the blocks of the network
_REMEDY = "make one with: python -m experiments.pretrain --workdir=DIR, and give DIR/checkpoint"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A trained network with all that its use needs.

  Attributes:
    params: {"f": θ_f, "r": θ_r}, and {"a": θ_a} of an adaptor.
    model: its architecture.
    windows: rate, length and margin of its windows.
    scaling: of its input and output, from the training subjects.
    site: the peripheral site it reads.
    task: what it was trained for, name in `tasks.TASKS`.
    about: plain facts for the reader: training, figures, seeds.
    calibration: of the waves that it reads.
    reference: site of the wave that it gives, where its task is a wave.
    doubt: what it knows of its own errors; None of one that was never calibrated.
    met: digests of the names of all subjects that its training, its choices or its calibration saw, see `digests_of`.
  """

  params: Params
  model: config.Model
  windows: config.Windows
  scaling: batches.Scaling
  site: str
  task: str = "waveform"
  about: dict[str, Any] = dataclasses.field(default_factory=dict)
  calibration: config.Calibration = dataclasses.field(default_factory=config.Calibration)
  reference: str = "aortic_root"
  doubt: doubts.Doubt | None = None
  met: tuple[str, ...] = ()

  @property
  def net(self) -> nets.Net:
    return nets.make_net(self.model)

  def has_met(self, subject: str) -> bool:
    """Whether a subject of this name was among those."""
    return digests_of([subject])[0] in self.met


def digests_of(*subjects: Iterable[str]) -> tuple[str, ...]:
  """The first 12 digits of the SHA-256 of each name, sorted: enough to know somebody again, without a list of patients."""
  names = {name for part in subjects for name in part}
  return tuple(sorted(hashlib.sha256(str(name).encode()).hexdigest()[:12] for name in names))


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
  """Writes a checkpoint to a folder that does not exist yet.

  Raises:
    InputError: the folder exists.
  """
  path = os.path.abspath(path)
  if os.path.exists(path):
    raise InputError(f"{path}: exists already; choose another --workdir or remove it")
  partial = f"{path}.partial-{os.getpid()}"
  shutil.rmtree(partial, ignore_errors=True)
  os.makedirs(partial)
  try:
    content = {
      "format": FORMAT,
      "site": checkpoint.site,
      "task": checkpoint.task,
      "model": dataclasses.asdict(checkpoint.model),
      "windows": dataclasses.asdict(checkpoint.windows),
      "scaling": dataclasses.asdict(checkpoint.scaling),
      "about": checkpoint.about,
      "calibration": dataclasses.asdict(checkpoint.calibration),
      "reference": checkpoint.reference,
      "met": checkpoint.met,
    }
    stored = dict(checkpoint.params)
    if checkpoint.doubt is not None:
      content["doubt"] = checkpoint.doubt.numbers
      stored[_DOUBT] = checkpoint.doubt.arrays
    with _checkpointer() as checkpointer:
      checkpointer.save(os.path.join(partial, "params"), jax.tree.map(np.asarray, stored))
    content["sha256"] = {HEADER: _digest_of(content), **_digests(os.path.join(partial, "params"))}
    with open(os.path.join(partial, HEADER), "w", encoding="utf-8") as file:
      json.dump(content, file, indent=1)
    os.rename(partial, path)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _checkpointer() -> ocp.StandardCheckpointer:
  """Orbax for this process alone: of several hosts each reads and writes for itself, and waits for none."""
  if jax.process_count() == 1:
    return ocp.StandardCheckpointer()
  process = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(process, {process}, f"process_{process}")
  return ocp.StandardCheckpointer(multiprocessing_options=alone)


def digest(path: str | os.PathLike[str]) -> str:
  """SHA-256 of a checkpoint's header, which holds those of all its files."""
  return hashlib.sha256((pathlib.Path(path) / HEADER).read_bytes()).hexdigest()


def _digests(folder: str) -> dict[str, str]:
  """SHA-256 of every file below a folder, by its path from there."""
  files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
  return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _digest_of(content: dict[str, Any]) -> str:
  """SHA-256 of a header without its sums."""
  plain = json.dumps({key: value for key, value in content.items() if key != "sha256"}, sort_keys=True)
  return hashlib.sha256(plain.encode()).hexdigest()


def _check_files(folder: str, content: dict[str, Any]) -> None:
  expected = dict(content["sha256"])
  if expected.pop(HEADER, None) != _digest_of(content):
    raise InputError(f"{os.path.dirname(folder)}/{HEADER}: changed since it was written; {_REMEDY}")
  found = _digests(folder)
  for name, digest in expected.items():
    if found.get(name) != digest:
      fate = "is damaged" if name in found else "is missing"
      raise InputError(f"{folder}/{name}: the file {fate}; copy the checkpoint again, or {_REMEDY}")


def load(path: str | os.PathLike[str]) -> Checkpoint:
  """Reads a checkpoint.

  Raises:
    InputError: there is none, it is of another format, or its parameters are not those that its config implies.
  """
  path = os.path.abspath(path)
  header = os.path.join(path, HEADER)
  if not os.path.isfile(header):
    raise InputError(f"{path}: no checkpoint there; {_REMEDY}")
  try:
    with open(header, encoding="utf-8") as file:
      content = json.load(file)
    if content["format"] != FORMAT:
      raise InputError(f"{header}: format {content['format']}, this version reads format {FORMAT}; {_REMEDY}")
    _check_files(os.path.join(path, "params"), content)
    model = config.Model(**{**content["model"], "covariates": tuple(content["model"]["covariates"])})
    spec = config.Windows(**content["windows"])
    numbers = tuple((str(name), float(mean), float(sd)) for name, mean, sd in content["scaling"]["numbers"])
    scaling = batches.Scaling(**{**content["scaling"], "numbers": numbers})
    site, task, about = content["site"], content["task"], content["about"]
    met = tuple(content.get("met", ()))  # the first checkpoints of this format do not say
    calibration = config.Calibration(**content["calibration"])
    scales.check(calibration)
    net = nets.make_net(model)
    expected = jax.eval_shape(lambda: net.init(jax.random.key(0), spec.samples))
    known = dict(content["doubt"]) if "doubt" in content else None
    if known is not None:
      expected = {**expected, _DOUBT: doubts.expected(net, spec.samples, known.pop("head"))}
  except InputError:
    raise
  except (ValueError, KeyError, TypeError, ArithmeticError) as error:
    raise InputError(f"{header}: damaged or of another project ({error!r}); {_REMEDY}") from None
  params = _restore(os.path.join(path, "params"), expected)
  arrays = params.pop(_DOUBT, None)
  doubt = None
  if known is not None and arrays is not None:
    seen = arrays["seen"]
    levels = {name: known[name] for name in ("unseen", "level", "wave", "csbp")}
    found = {name: float("inf") if value is None else float(value) for name, value in levels.items()}
    doubt = doubts.Doubt(
      arrays.get("head"),
      np.asarray(seen["mean"]),
      np.asarray(seen["precision"]),
      subjects=int(known["subjects"]),
      where=str(known["where"]),
      **found,
    )
  return Checkpoint(
    params,
    model,
    spec,
    scaling,
    site,
    task,
    about,
    calibration,
    str(content["reference"]),
    doubt,
    met,
  )


def _restore(path: str, expected: Params) -> Params:
  with _checkpointer() as checkpointer:
    stored = surgery.leaf_paths(checkpointer.metadata(path).item_metadata.tree)
    wanted = surgery.leaf_paths(expected)
    for leaf in sorted(set(stored) ^ set(wanted)):
      side = "is not stored" if leaf in wanted else "is stored but belongs to no such network"
      raise InputError(f"{path}: parameter {leaf} {side}; config.json and params do not belong together")
    for leaf, shape in wanted.items():
      if tuple(stored[leaf].shape) != shape.shape:
        raise InputError(
          f"{path}: parameter {leaf} has shape {tuple(stored[leaf].shape)}, config.json implies {shape.shape}; "
          "config.json and params do not belong together"
        )
    return checkpointer.restore(path, expected)
