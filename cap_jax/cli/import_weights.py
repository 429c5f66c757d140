"""Imports a source network that another program trained, from its file of weights. Nothing in the file is executed.

  python -m pip install --no-deps pyvital
  python -m experiments.import_weights --from=pyvital:hpi --output=CHECKPOINT
  python -m experiments.import_weights --from=pyvital:apconet --output=CHECKPOINT
  python -m experiments.transfer --strategy=feature_transfer --source=CHECKPOINT --n_target=5 --workdir=DIR

Weights of your own, for a network of this project that --config.model describes:

  python -m experiments.import_weights --from=net.safetensors --map=map.json --scaling=92,17 --config.model.channels=32 --output=CHECKPOINT
"""

import dataclasses
import hashlib
import os

from absl import flags

from cap_jax import config, files
from cap_jax.cli import launcher, output_folders, study_flags
from cap_jax.data import scalings
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.strategies import surgery
from cap_jax.study import study_config
from cap_jax.train import checkpoint, pyvital, weight_files, weight_import
from cap_jax.types import InputError

_CONFIG = study_flags.define_study("site, reference, windows and, for weights of your own, model and task")
_FROM = flags.DEFINE_string(
  "from",
  None,
  f"{', '.join(pyvital.PREFIX + name for name in pyvital.NETWORKS)}, or a file of weights: .safetensors, .pt, .pth",
)
_MAP = flags.DEFINE_string(
  "map", None, "map of the names in a file: JSON, CSV, or pyvital:NAME for a copy of those weights"
)
_SCALING = flags.DEFINE_list(
  "scaling", None, "mean and SD in mmHg: the network reads (p − mean)/SD; for weights of your own"
)
_OUTPUT = flags.DEFINE_string("output", None, "folder of the checkpoint to create")
_SET_BY_NETWORK = ("model", "task", "windows.fs_hz")


@dataclasses.dataclass(frozen=True)
class _Source:
  """A file of weights, and the network that it fits."""

  path: str
  weight_map: weight_import.WeightMap
  model: config.Model
  scaling: scalings.Scaling
  about: dict[str, str]


def _published(name: str, path: str, version: str) -> _Source:
  """Returns a network of pyvital.

  Args:
    name: of the network.
    path: its file; empty for that of the installed package.
    version: of the package; empty for a copy of the file.

  Raises:
    InputError: a flag contradicts the network.
  """
  weights = pyvital.network(name)
  for override in study_flags.read_overrides(_CONFIG):
    if override.startswith(_SET_BY_NETWORK):
      raise InputError(f"--config.{override}: {name} sets it; omit the flag")
  if _SCALING.value is not None:
    raise InputError(f"--scaling: {name} sets it; omit the flag")
  about = {"network": name, "trained_for": weights.trained_for, "licence": weights.licence}
  return _Source(
    path, weights.weight_map, weights.model, weights.scaling, about | ({"version": version} if version else {})
  )


def _own(path: str, study: study_config.Study) -> _Source:
  """Returns weights of the user's own, for the network of the study."""
  try:
    mean, sd = (float(value) for value in _SCALING.value or ())
    valid = sd > 0 and all(map(config.is_real, (mean, sd)))
  except ValueError:
    valid = False
  if not valid:
    raise InputError("--scaling: must be mean and SD in mmHg, such as 92,17: the network reads (p − mean)/SD")
  model = tasks.TASKS[study.task].model(study.model)
  numbers = (*model.covariates, *(tasks.TASKS[study.task].numerics or ()))
  if numbers:
    raise InputError(
      f"{path}: a file of weights has no scaling of {', '.join(numbers)}; import a network that reads and predicts waves alone"
    )
  return _Source(
    path, weight_import.read_map(_MAP.value or ""), model, scalings.Scaling(mean_mmhg=mean, sd_mmhg=sd), {}
  )


def _source(study: study_config.Study) -> _Source:
  name = launcher.required(_FROM, "pyvital:hpi")
  if name.startswith(pyvital.PREFIX):
    if _MAP.value is not None:
      raise InputError(f"--map: {name} has its own; omit the flag")
    return _published(name, *pyvital.locate(pyvital.network(name)))
  launcher.required(_MAP, "map.json")
  return _published(_MAP.value or "", name, "") if (_MAP.value or "").startswith(pyvital.PREFIX) else _own(name, study)


def main() -> None:
  output = launcher.required(_OUTPUT, "CHECKPOINT")
  output_folders.check_absent(output, "--output")
  study = study_flags.read_study(_CONFIG)
  if study.signals.unitless:
    raise InputError(
      f"--config.site={study.site}: an imported network reads mmHg, but a PPG has no unit; add "
      "--config.calibration.kind=sbp_dbp, which scales the PPG to a reading"
    )
  source = _source(study)
  rate = {"fs_hz": pyvital.FS_HZ} if "network" in source.about else {}
  signals = dataclasses.replace(study.signals, windows=dataclasses.replace(study.windows, **rate))
  nets.check(source.model, signals.windows)
  arrays = weight_files.read(source.path)
  imported = weight_import.load(
    arrays, source.weight_map, nets.make_net(source.model), signals.windows.samples, source.path
  )
  is_whole = "r" in imported.blocks and "network" not in source.about
  with open(files.regular(source.path), "rb") as file:
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
  about = {"data": "imported", "file": os.path.basename(source.path), "sha256": sha256, **source.about}
  checkpoint.save(
    output,
    checkpoint.Checkpoint(
      params=imported.params, model=source.model, scaling=source.scaling, signals=signals,
      task=study.task if is_whole else tasks.IMPORTED, about=about,
    ),
  )  # fmt: skip
  fates = [leaf.fate for leaf in imported.report]
  print(f"{surgery.MergeReport(imported.report)}\n")
  print(
    f"{source.path}: {len(arrays)} arrays: {len(arrays) - len(imported.statistics) - fates.count('left behind')} transferred, "
    f"{len(imported.statistics)} of running statistics folded into them, {fates.count('left behind')} left behind"
  )
  spec, scaling = signals.windows, source.scaling
  print(
    f"reads {signals.site} at {spec.fs_hz:g} Hz, {spec.seconds:g} s, (p − {scaling.mean_mmhg:g})/{scaling.sd_mmhg:g}"
  )
  if "licence" in source.about:
    print(f"licence of the weights: {source.about['licence']}")
  print(output)
