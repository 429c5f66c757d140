"""Imported weights: every array of the file and every leaf of the tree is accounted for."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from cap_jax import config
from cap_jax.losses import tasks
from cap_jax.models import net as nets
from cap_jax.strategies import STRATEGIES, find, surgery
from cap_jax.train import checkpoint, checks, domains, prediction, pyvital, runs, weight_import
from cap_jax.types import InputError, leaf_paths
from tests.models import published
from tests.train import people

SAMPLES = 100
MODEL = config.Model(channels=4, layers=1, head_channels=4)


def hpi():
  return nets.make_net(dataclasses.replace(pyvital.NETWORKS["hpi"].model, channels=8))


def load(arrays, weight_map=pyvital.NETWORKS["hpi"].weight_map, network=None):
  return weight_import.load(arrays, weight_map, network or hpi(), SAMPLES, "net.pth")


@pytest.mark.quick
def test_every_array_and_every_leaf_is_in_the_report():
  weights = published.hpi_weights(8)
  output = load(weights)
  assert output.blocks == ("f", "r")
  assert {leaf.fate for leaf in output.report} == {"transferred"}
  assert {leaf.path for leaf in output.report} == set(leaf_paths(output.params))
  assert {leaf.note for leaf in output.report} | set(output.statistics) == set(weights)
  assert not {leaf.note for leaf in output.report} & set(output.statistics)
  w = weights["conv2.weight"]  # (output, input, tap)
  kernel = output.params["f"]["layer_1"]["matrix"]["kernel"].reshape(3, 8, 8)  # tap, input, output
  np.testing.assert_array_equal(kernel[2, 1, 5], w[5, 1, 2])
  np.testing.assert_array_equal(output.params["r"]["hidden"]["kernel"], weights["fc1.weight"].T)
  np.testing.assert_array_equal(output.params["f"]["norm"]["scale"], output.params["r"]["norm"]["scale"])


@pytest.mark.quick
def test_running_statistics_become_an_affine_map():
  arrays = {
    "n.weight": np.array([2.0, 1.0]), "n.bias": np.array([1.0, 0.0]), "n.running_mean": np.array([3.0, -1.0]),
    "n.running_var": np.array([4.0 - 1e-5, 0.25 - 1e-5]), "n.num_batches_tracked": np.array(9), "other": np.zeros(1),
  }  # fmt: skip
  folded = weight_import.fold_statistics(arrays)
  assert set(folded.arrays) == {"n.weight", "n.bias", "other"}
  np.testing.assert_allclose(folded.arrays["n.weight"], [1, 2])
  np.testing.assert_allclose(folded.arrays["n.bias"], [-2, 2])
  for missing in ("n.running_mean", "n.running_var", "n.weight"):
    with pytest.raises(InputError, match=r"batch normalisation needs n\.running_mean, n\.running_var, weight"):
      weight_import.fold_statistics({name: array for name, array in arrays.items() if name != missing})


def without(mapping, *names):
  return {name: value for name, value in mapping.items() if name not in names}


WEIGHTS, MAP = published.hpi_weights(8), pyvital.NETWORKS["hpi"].weight_map
FAULTS = {
  "missing": (without(WEIGHTS, "conv4.bias"), MAP, r"conv4.bias is in the map, but not in the file; did you mean conv"),
  "extra": (WEIGHTS | {"fc3.bias": np.zeros(2)}, MAP, r"fc3.bias \(2,\) is in the file, but not in the map; add it, or map"),
  "wrong shape": (
    WEIGHTS | {"conv1.weight": np.zeros((8, 1, 5), np.float32)}, MAP,
    r"f/layer_0/matrix/kernel, from conv1.weight: source \(5, 8\) float32, target \(3, 8\) float32",
  ),
  "whole numbers": (
    WEIGHTS | {"conv1.bias": np.zeros(8, np.int64)}, MAP,
    r"f/layer_0/matrix/bias, from conv1.bias: source \(8,\) int64, target \(8,\) float32",
  ),
  "no leaf": (WEIGHTS, {**MAP, "conv1.bias": ("f/layer_0/matrix/bia",)}, r"f/layer_0/matrix/bia is not a leaf .*did you mean f/"),
  "leaf without an array": (
    WEIGHTS, {**MAP, "conv1.bias": ()},
    r"f/layer_0/matrix/bias, from no entry of the map: \(8,\) in the target, missing in the source",
  ),
  "two for one": (WEIGHTS, {**MAP, "conv1.bias": ("f/norm/bias",)}, "f/norm/bias has several arrays in the map; keep one"),
  "not finite": (
    WEIGHTS | {"conv1.bias": np.full(8, np.nan, np.float32)}, MAP, "conv1.bias contains NaN or infinite values; write"
  ),
  "negative variance": (
    WEIGHTS | {"batchnorm.running_var": np.full(8, -1.0)}, MAP, "batchnorm.running_var: contains negative values; write"
  ),
  "statistics": (WEIGHTS, {**MAP, "batchnorm.running_mean": ()}, "batchnorm.running_mean is folded into the weight and bias"),
  "nothing of f": (
    WEIGHTS, {name: tuple(path for path in paths if path[0] == "r") for name, paths in MAP.items()},
    "the map has no path in f",
  ),
}  # fmt: skip


@pytest.mark.quick
@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_match_is_one_line_that_names_both_sides(fault):
  arrays, weight_map, message = FAULTS[fault]
  with pytest.raises(surgery.MergeError, match=message) as caught:
    load(arrays, weight_map)
  assert str(caught.value).startswith("net.pth: ")
  assert "\n" not in str(caught.value)


@pytest.mark.quick
def test_of_many_faults_some_are_listed():
  with pytest.raises(surgery.MergeError, match=r"^net\.pth: conv1\.weight is in the map.*; and \d+ more$"):
    load({})


@pytest.mark.quick
def test_arrays_can_be_left_behind_and_a_head_stays_fresh():
  only_f = {name: tuple(path for path in paths if path.startswith("f")) for name, paths in MAP.items()}
  output = load(WEIGHTS, only_f)
  assert output.blocks == ("f",)
  fates = {leaf.path: leaf.fate for leaf in output.report}
  assert fates["r/hidden/kernel"] == "fresh"
  assert fates["fc1.weight"] == "left behind"
  fresh = hpi().init(jax.random.key(0), SAMPLES)
  np.testing.assert_array_equal(output.params["r"]["hidden"]["kernel"], fresh["r"]["hidden"]["kernel"])


@pytest.mark.quick
@pytest.mark.parametrize("name", pyvital.NETWORKS)
def test_the_maps_of_pyvital_reach_every_leaf_once(name):
  of = pyvital.NETWORKS[name]
  shapes = jax.eval_shape(lambda: nets.make_net(of.model).init(jax.random.key(0), 400))
  paths = [path for several in of.weight_map.values() for path in several]
  assert sorted(paths) == sorted(leaf_paths(shapes))
  make = {"hpi": published.hpi_weights, "apconet": published.apconet_weights}[name]
  assert set(of.weight_map) == set(weight_import.fold_statistics(make(8)).arrays)


def own(params):
  """A file and a map of a network of the registry: names of its own, matrices as in PyTorch."""
  arrays, weight_map = {}, {}
  for path, leaf in leaf_paths(params).items():
    name = path.replace("/", ".")
    array = np.asarray(leaf)
    if path.endswith("kernel"):
      name, array = name.removesuffix("kernel") + "weight", array.T
    arrays[name], weight_map[name] = array, (path,)
  return arrays, weight_map


@pytest.mark.parametrize(
  "model", [MODEL, config.Model(extractor="tcn", head="sample", channels=4, layers=1, head_channels=4)], ids=str
)
def test_a_network_of_the_registry_comes_back(model):
  network = nets.make_net(model)
  params = network.init(jax.random.key(3), SAMPLES)
  output = load(*own(params), network)
  jax.tree.map(np.testing.assert_array_equal, output.params, params)


@pytest.mark.quick
def test_maps_are_read_from_json_and_csv(tmp_path):
  (tmp_path / "a.json").write_text(json.dumps({"a": "f/x", "b": ["f/y", "r/y"], "c": None}))
  (tmp_path / "a.csv").write_text("name,path\na,f/x\nb,f/y\nb,r/y\nc,\n")
  for name in ("a.json", "a.csv"):
    assert weight_import.read_map(tmp_path / name) == {"a": ("f/x",), "b": ("f/y", "r/y"), "c": ()}


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("a.json", "{", "is no map"),
    ("a.json", "[]", "not an object with entries"),
    ("a.json", "{}", "not an object with entries"),
    ("a.json", '{"a": 1}', "a: must be a path, a list of paths or null"),
    ("a.json", '{"a": [""]}', "a: must be a path, a list of paths or null"),
    ("a.json", '{"a": "f/x", "a": "f/y"}', "name 'a' occurs twice"),
    ("a.csv", "", "no rows"),
    ("a.csv", "name,place\na,f/x\n", r"'path'"),
    ("b.json", None, "No such file"),
  ],
)
def test_a_file_that_is_no_map_is_one_line(name, text, message, tmp_path):
  if text is not None:
    (tmp_path / name).write_text(text)
  with pytest.raises(InputError, match=message) as caught:
    weight_import.read_map(tmp_path / name)
  assert str(caught.value).startswith(f"{tmp_path / name}: is no map")
  assert "\n" not in str(caught.value)


@pytest.mark.quick
def test_pyvital_is_found_and_not_imported(tmp_path, monkeypatch):
  weights = pyvital.NETWORKS["hpi"]
  monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
  (tmp_path / "pyvital" / "filters").mkdir(parents=True)
  (tmp_path / "pyvital" / "__init__.py").write_text("raise SystemExit('executed')\n")
  (tmp_path / "pyvital-0.6.0.dist-info").mkdir()
  (tmp_path / "pyvital-0.6.0.dist-info" / "METADATA").write_text(
    "Metadata-Version: 2.1\nName: pyvital\nVersion: 0.6.0\n"
  )
  with pytest.raises(
    InputError, match=r"no such file in this version of pyvital; install .*--no-deps pyvital==0\.6\.0"
  ):
    pyvital.locate(weights)
  (tmp_path / "pyvital" / "filters" / weights.file).write_bytes(b"")
  assert pyvital.locate(weights) == (str(tmp_path / "pyvital" / "filters" / weights.file), "0.6.0")
  (tmp_path / "pyvital-0.6.0.dist-info").rename(tmp_path / "elsewhere")
  monkeypatch.setattr(sys, "path", [str(tmp_path)])
  with pytest.raises(InputError, match="pyvital was copied, not installed"):
    pyvital.locate(weights)
  monkeypatch.setattr(pyvital.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match=r"pyvital is not installed; install it .*--no-deps pyvital"):
    pyvital.locate(weights)
  with pytest.raises(InputError, match=r"pyvital:hp: unknown; did you mean pyvital:hpi"):
    pyvital.network("pyvital:hp")


@pytest.mark.quick
def test_an_imported_source_offers_its_features_only():
  model = pyvital.NETWORKS["hpi"].model
  wave = checks.wave_model(model)
  assert (wave.head, wave.extractor) == ("waveform", "hpi")

  def check(name):
    checks.check(STRATEGIES[name], wave, model, tasks.IMPORTED, SAMPLES)

  for name in ("scratch", "feature_transfer", "feature_transfer/released", "feature_transfer/random"):
    check(name)
  refused = [
    name for name in STRATEGIES if name not in ("scratch", *(n for n in STRATEGIES if n.startswith("feature")))
  ]
  for name in refused:
    with pytest.raises(InputError, match=r"is imported|matches no source parameter"):
      check(name)
  with pytest.raises(InputError, match="task imported: another program trained it"):
    tasks.TASKS[tasks.IMPORTED].make_loss(hpi(), 1)({}, {}, jax.random.key(0))


def test_imported_features_stay_frozen_under_a_new_head():
  """Neither weights nor what came from running statistics move, and the windows keep the network's own scaling."""
  of = pyvital.NETWORKS["hpi"]
  model = dataclasses.replace(of.model, channels=8)
  params = weight_import.load(WEIGHTS, MAP, nets.make_net(model), people.SAMPLES, "net.pth").params
  source = checkpoint.Checkpoint(params=params, model=model, scaling=of.scaling, task=tasks.IMPORTED)
  labelled = people.pairs(["a", "b"], 8, 0)
  adapted = runs.adapt(find("feature_transfer"), source, domains.Data(labelled=labelled), runs.Budget(steps=100))
  output = adapted.checkpoint
  jax.tree.map(np.testing.assert_array_equal, output.params["f"], params["f"])
  assert output.scaling == of.scaling
  assert (output.task, output.model.head) == ("waveform", "waveform")
  before, after = (
    np.sqrt(np.mean((wave - labelled.y_bt) ** 2)) for wave in (labelled.x_bt, prediction.predict(output, labelled))
  )
  assert after < 0.3 * before
