"""The two networks that the package pyvital brings along, trained on arterial pressure of VitalDB (Lee et al. 2022).

Their weights are read from the user's own installation of pyvital. They are not part of this project.
"""

import dataclasses
import importlib.metadata
import importlib.util
import os

from cap_jax import config
from cap_jax.data import scalings
from cap_jax.train.weight_import import WeightMap
from cap_jax.types import InputError, suggest

PREFIX = "pyvital:"
FS_HZ = 100.0
_PACKAGE = "pyvital"
_ATTENTION = {"t": "t/kernel", "p": "p/kernel", "g": "g/kernel", "z": "z/kernel"}
# indices of the fifteen blocks and the two attentions in the sequence of APCONet, which counts its pools too
_BLOCKS = (0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 21, 23)
_NON_LOCAL = {13: 20, 14: 22}
_EARLY = 5
# path of a block → indices of its convolution and of its normalisation
_PATHS = {
  "path_0": ("path0", 0, 1),
  "path_1_in": ("path1", 0, 1),
  "path_1": ("path1", 3, 4),
  "path_2_in": ("path2", 0, 1),
  "path_2": ("path2", 3, 4),
  "path_3": ("path3", 1, 2),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedWeights:
  """A network of pyvital.

  Attributes:
    file: its file in the package.
    model: its architecture in this project.
    scaling: scaling of its input.
    weight_map: which array of the file becomes which leaf.
    trained_for: what it predicts.
    licence: conditions of its authors.
  """

  file: str
  model: config.Model
  scaling: scalings.Scaling
  weight_map: WeightMap
  trained_for: str
  licence: str


def _matrix(name: str, path: str) -> dict[str, str]:
  """Returns the entries of a convolution or a dense layer."""
  return {f"{name}.weight": f"{path}/kernel", f"{name}.bias": f"{path}/bias"}


def _norm(name: str, path: str) -> dict[str, str]:
  """Returns the entries of a batch normalisation."""
  return {f"{name}.weight": f"{path}/scale", f"{name}.bias": f"{path}/bias"}


def _hpi_map() -> WeightMap:
  entries: dict[str, tuple[str, ...]] = {}
  for k in range(5):
    block = "f" if k < 3 else "r"
    entries |= {name: (path,) for name, path in _matrix(f"conv{k + 1}", f"{block}/layer_{k}/matrix").items()}
  for name, path in (_matrix("fc1", "r/hidden") | _matrix("fc2", "r/probability")).items():
    entries[name] = (path,)
  # one normalisation for all layers, in both blocks
  entries |= {name: (f"f/{path}", f"r/{path}") for name, path in _norm("batchnorm", "norm").items()}
  return entries


def _apconet_map() -> WeightMap:
  entries: dict[str, str] = {}
  for k in range(2):
    entries |= _matrix(f"stem.{2 * k}", f"f/stem_{k}/conv/matrix") | _norm(f"stem.{2 * k + 1}", f"f/stem_{k}/norm")
  for k, index in enumerate(_BLOCKS):
    place, name = f"{'f' if k < _EARLY else 'r'}/layer_{k}", f"Inception.{index}"
    for path, (branch, conv, norm) in _PATHS.items():
      entries |= _matrix(f"{name}.{branch}.{conv}", f"{place}/{path}/conv/matrix")
      entries |= _norm(f"{name}.{branch}.{norm}", f"{place}/{path}/norm")
  for k, index in _NON_LOCAL.items():
    place, name = f"r/attention_{k}", f"Inception.{index}"
    entries |= {f"{name}.{one}.weight": f"{place}/{path}" for one, path in _ATTENTION.items()}
    entries |= _norm(f"{name}.bn", f"{place}/norm")
  entries |= _matrix("fnn.0", "r/person") | _matrix("regressor.0", "r/hidden") | _norm("regressor.2", "r/norm")
  entries |= _matrix("regressor.4", "r/stroke_volume")
  return {name: (path,) for name, path in entries.items()}


def _model(extractor: str, head: str, channels: int) -> config.Model:
  # four cosines per two patches of 40 ms reach 19 Hz, about as far as the default's eight per two of 80 ms
  return config.Model(extractor=extractor, head=head, patch=4, channels=channels, cosines=4)


NETWORKS: dict[str, PublishedWeights] = {
  "hpi": PublishedWeights(
    file="model_hpi_state_dict_v1.pth",
    model=_model("hpi", "hypotension", 64),
    scaling=scalings.Scaling(mean_mmhg=65.0, sd_mmhg=65.0),
    weight_map=_hpi_map(),
    trained_for="hypotension within the next five minutes",
    licence="MIT",
  ),
  "apconet": PublishedWeights(
    file="model_dlapco_v1.pth",
    model=_model("apconet", "stroke_volume", 128),
    scaling=scalings.Scaling(mean_mmhg=0.0, sd_mmhg=100.0),
    weight_map=_apconet_map(),
    trained_for="stroke volume",
    licence="MIT; the authors of APCONet ask for permission for commercial use",
  ),
}


def network(name: str) -> PublishedWeights:
  """Returns a network by name, as in `pyvital:hpi`.

  Raises:
    InputError: the name is unknown.
  """
  short = name.removeprefix(PREFIX)
  if short not in NETWORKS:
    raise InputError(f"{name}: unknown; {suggest(name, [PREFIX + one for one in NETWORKS])}")
  return NETWORKS[short]


def locate(weights: PublishedWeights) -> tuple[str, str]:
  """Returns the file of a network in the installed pyvital, and the version of pyvital. Does not import pyvital.

  Raises:
    InputError: pyvital is not installed, or lacks the file.
  """
  remedy = f"install it without its dependencies: python -m pip install --no-deps {_PACKAGE}"
  spec = importlib.util.find_spec(_PACKAGE)
  if spec is None or not spec.submodule_search_locations:
    raise InputError(f"{_PACKAGE} is not installed; {remedy}")
  path = os.path.join(spec.submodule_search_locations[0], "filters", weights.file)
  if not os.path.isfile(path):
    raise InputError(f"{path}: no such file in this version of {_PACKAGE}; {remedy}==0.6.0")
  try:
    return path, importlib.metadata.version(_PACKAGE)
  except importlib.metadata.PackageNotFoundError as error:
    raise InputError(f"{path}: {_PACKAGE} was copied, not installed; {remedy}") from error
