"""Exported networks: files that are read back bit for bit, functions that give the answers of the package."""

import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export as jax_export

import cap_jax
from cap_jax import config, export
from cap_jax.inference import pretrained, window_function
from cap_jax.signals import windows
from cap_jax.train import archive, checkpoint, checksummed
from cap_jax.types import InputError
from tests import tiers
from tests.inference.test_window_function import READINGS, record


def rows(trained, count):
  """Inputs of the functions of a network, by name."""
  samples = trained.windows.samples
  x_bt = np.lib.stride_tricks.sliding_window_view(record(), samples)[::250][-count:].astype(np.float32)
  functions = window_function.of(trained)
  log_power_bk = np.asarray(jax.jit(functions.log_power)(x_bt))
  covariates = np.tile([READINGS[q] for q in trained.model.covariates], (len(x_bt), 1)).astype(np.float32)
  known = {"peripheral": x_bt, "log_power": log_power_bk, "covariates": covariates}
  return functions, {name: known[name] for name in functions.inputs}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp("export") / "radial"
  return folder, export.write(folder, pretrained.load("radial"), ("safetensors", "stablehlo"))


@pytest.mark.parametrize("name", tiers.sample(list(pretrained.names()), "finger_ppg"))
def test_weights_are_read_back_bit_for_bit(name, tmp_path):
  network = cap_jax.load(name)
  network.save_pretrained(tmp_path / "shared")
  assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == [
    "README.md", "config.json", "manifest.json", "model.safetensors"
  ]  # fmt: skip
  again = cap_jax.load(tmp_path / "shared")
  assert checkpoint.header_of(again.checkpoint) == checkpoint.header_of(network.checkpoint)
  arrays = [jax.tree.leaves((one.params, one.checkpoint.uncertainty_calibration.arrays)) for one in (network, again)]
  for one, other in zip(*arrays, strict=True):
    np.testing.assert_array_equal(np.asarray(one).view(np.uint32), np.asarray(other).view(np.uint32))


def test_the_manifest_names_all_files_and_what_makes_an_interval(exported):
  folder, names = exported
  manifest = json.loads((folder / "manifest.json").read_text())
  assert set(names) == {*manifest["sha256"], "manifest.json"}
  for name, sum_of in manifest["sha256"].items():
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sum_of
  intervals = pretrained.load("radial").uncertainty_calibration
  assert manifest["intervals"]["wave"] == intervals.wave
  assert manifest["intervals"]["ood_threshold"] == intervals.ood_threshold
  assert [one["name"] for one in manifest["inputs"]] == ["peripheral", "log_power"]
  card = (folder / "README.md").read_text()
  assert card.startswith("---\nlicense: apache-2.0\n")
  assert "not a medical device" in card


@pytest.mark.parametrize("count", [1, 5])
def test_stablehlo_gives_the_answers_of_the_network_for_any_number_of_windows(exported, count):
  folder, _ = exported
  functions, parts = rows(pretrained.load("radial"), count)
  restored = {
    name: jax_export.deserialize(bytearray((folder / f"{name}.stablehlo").read_bytes()))
    for name in ("answer", "log_power")
  }
  assert restored["answer"].platforms == ("cpu", "cuda", "tpu")
  np.testing.assert_allclose(restored["log_power"].call(parts["peripheral"]), parts["log_power"], atol=1e-4)
  expected = jax.jit(functions.answer)(*parts.values())
  for one, other in zip(restored["answer"].call(*parts.values()), expected, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_damaged_archive_is_refused_and_other_files_are_not(exported, tmp_path):
  folder = tmp_path / "copy"
  folder.mkdir()
  for path in exported[0].iterdir():
    (folder / path.name).write_bytes(path.read_bytes())
  (folder / "notes.txt").write_text("mine")
  assert checkpoint.load(folder).site == "radial"
  weights = folder / archive.ARRAYS
  content = bytearray(weights.read_bytes())
  content[len(content) // 2] ^= 1
  weights.write_bytes(content)
  with pytest.raises(checksummed.DamagedError, match=r"model\.safetensors: the file is damaged"):
    checkpoint.load(folder)
  weights.unlink()
  with pytest.raises(InputError, match=r"model\.safetensors: is missing"):
    checkpoint.load(folder)


def test_weights_of_another_network_are_refused(tmp_path):
  for name in ("radial", "finger_ppg"):
    cap_jax.load(name).save_pretrained(tmp_path / name)
  header = json.loads((tmp_path / "radial" / "config.json").read_text())
  weights = (tmp_path / "finger_ppg" / archive.ARRAYS).read_bytes()
  (tmp_path / "radial" / archive.ARRAYS).write_bytes(weights)
  with pytest.raises(InputError, match="the file is damaged"):
    checkpoint.load(tmp_path / "radial")
  sums = json.loads((tmp_path / "finger_ppg" / "config.json").read_text())["sha256"]
  header["sha256"][archive.ARRAYS] = sums[archive.ARRAYS]
  (tmp_path / "radial" / "config.json").write_text(json.dumps(header))
  with pytest.raises(InputError, match=r"is missing, but config.json implies|, but config.json implies float32"):
    checkpoint.load(tmp_path / "radial")


@pytest.mark.quick
@pytest.mark.parametrize(
  ("formats", "said"),
  [
    (("onxx",), "format 'onxx' is unknown; did you mean onnx"),
    ((), "no format is named; pass safetensors, onnx, stablehlo"),
  ],
)
def test_unknown_formats_are_refused(formats, said, tmp_path):
  with pytest.raises(InputError, match=said):
    export.write(tmp_path / "new", pretrained.load("radial"), formats)
  assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_something_is_or_a_converter_is_missing(tmp_path, monkeypatch):
  (tmp_path / "mine").mkdir()
  trained = pretrained.load("radial")
  with pytest.raises(InputError, match="mine: already exists; choose another folder or remove it"):
    export.write(tmp_path / "mine", trained, ("safetensors",))
  monkeypatch.setitem(sys.modules, "jax2onnx", None)
  with pytest.raises(InputError, match=r"jax2onnx is not installed; .* an environment of its own: python -m venv"):
    export.write(tmp_path / "new", trained, ("safetensors", "onnx"))
  assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_could_not_be_read_again_is_not_written(tmp_path):
  trained = pretrained.load("radial")
  params = jax.tree.map(np.array, trained.params)
  params["f"]["embed"]["matrix"]["bias"][0] = np.nan
  with pytest.raises(InputError, match=f"{tmp_path}/new: parameter f/embed/matrix/bias contains NaN"):
    export.write(tmp_path / "new", dataclasses.replace(trained, params=params), ("stablehlo",))
  checkpoint.save(tmp_path / "own", trained)
  with pytest.raises(InputError, match=r"own/new: would lie in the checkpoint \S+own; choose another folder"):
    export.write(tmp_path / "own" / "new", trained, ("safetensors",))
  (tmp_path / "file").write_text("mine")
  with pytest.raises(InputError, match=r"file: is not a folder; choose another output than"):
    export.write(tmp_path / "file" / "new", trained, ("safetensors",))
  assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "own"]
  (tmp_path / "config.json").write_text("{}")  # of any project
  assert "model.safetensors" in export.write(tmp_path / "new", trained, ("safetensors",))


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path):
  code = (
    "import resource, cap_jax\n"
    "net = cap_jax.load('radial')\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
    f"net.save_pretrained('{tmp_path}/new')"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
  assert "InputError" in done.stderr.splitlines()[-1]
  assert "choose another folder" in done.stderr.splitlines()[-1]
  assert not list(tmp_path.iterdir())


def test_a_network_of_another_task_or_without_intervals_can_be_shared_too(tmp_path):
  trained = dataclasses.replace(pretrained.load("radial"), uncertainty_calibration=None)
  export.write(tmp_path / "bare", trained, ("safetensors",))
  manifest = json.loads((tmp_path / "bare" / "manifest.json").read_text())
  assert [one["name"] for one in manifest["outputs"]] == ["aortic"]
  assert not any("interval" in step for step in manifest["steps"])
  export.write(tmp_path / "masked", dataclasses.replace(trained, task="masked"), ("safetensors",))
  assert not (tmp_path / "masked" / "manifest.json").exists()
  assert checkpoint.load(tmp_path / "masked").task == "masked"
  calibrated = dataclasses.replace(trained.signals, calibration=config.Calibration(kind="sbp_dbp"))
  export.write(tmp_path / "scaled", dataclasses.replace(trained, signals=calibrated), ("safetensors",))
  manifest = json.loads((tmp_path / "scaled" / "manifest.json").read_text())
  assert manifest["steps"][0].startswith("Scale the record first, so that its systolic and diastolic pressures")


_PARITY = """
import json, sys, numpy as np, onnxruntime
folder, inputs = sys.argv[1:]
parts = dict(np.load(inputs))
sessions = {name: onnxruntime.InferenceSession(f"{folder}/{name}.onnx") for name in ("answer", "log_power")}
(log_power,) = sessions["log_power"].run(None, {"peripheral": parts["peripheral"]})
outputs = sessions["answer"].run(None, parts)
np.savez(f"{folder}/outputs.npz", log_power=log_power, **dict(zip(("aortic", "sigma", "ood"), outputs)))
"""


@pytest.fixture(scope="module")
def onnx_python(tmp_path_factory):
  """Python of an environment with the converter to ONNX, whose orbax is older than ours; all else is that of this one."""
  folder = tmp_path_factory.mktemp("onnx") / "environment"
  subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
  (packages,) = folder.glob("lib/python*/site-packages")
  root = str(pathlib.Path(cap_jax.__file__).parents[1])
  (packages / "ours.pth").write_text("\n".join([root, *(path for path in sys.path if path.endswith("site-packages"))]))
  python = str(folder / "bin" / "python")
  subprocess.run([python, "-m", "pip", "install", "-q", "jax2onnx", "onnxruntime"], check=True)
  return python


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_onnx_gives_the_answers_of_the_network(name, onnx_python, tmp_path):
  trained = pretrained.load(name)
  cap_jax.load(name).save_pretrained(tmp_path / "weights")
  command = f"-m cap_jax export --checkpoint={tmp_path}/weights --to=onnx --output={tmp_path}/onnx"
  subprocess.run([onnx_python, *command.split()], check=True, capture_output=True)
  functions, parts = rows(trained, 20)
  np.savez(tmp_path / "inputs.npz", **parts)
  subprocess.run(
    [onnx_python, "-c", _PARITY, f"{tmp_path}/onnx", f"{tmp_path}/inputs.npz"], check=True, capture_output=True
  )
  found = np.load(tmp_path / "onnx" / "outputs.npz")
  np.testing.assert_allclose(found["log_power"], parts["log_power"], atol=1e-3)
  expected = dict(zip(functions.outputs, jax.jit(functions.answer)(*parts.values()), strict=True))
  apart = {output: float(np.abs(found[output] - value).max()) for output, value in expected.items()}
  print(f"{name}: {apart}")
  assert max(apart.values()) < 1e-3


def blended(trained, p):
  """The aortic wave of a record without gaps, from the functions of a network, as the examples compute it."""
  samples, spec = trained.windows.samples, trained.windows
  starts = np.unique(np.append(np.arange(0, p.size - samples, samples // 2), p.size - samples))
  x_bt = np.stack([p[start : start + samples] for start in starts]).astype(np.float32)
  functions = window_function.of(trained)
  power_k = np.asarray(functions.log_power(x_bt)).mean(0)
  y_bt, *_ = jax.jit(functions.answer)(x_bt, np.tile(power_k, (len(x_bt), 1)))
  blend = windows.Blend(starts, samples, spec.margin)
  blend.add(np.asarray(y_bt))
  return blend.wave_t


@pytest.mark.parametrize("patient", tiers.sample([f"P{k:02d}" for k in range(1, 6)], "P01"))
def test_windows_that_begin_elsewhere_change_the_wave_little_but_at_its_ends(patient):
  """The package extends a record by its own beats before it cuts windows; the examples do not."""
  folder = pathlib.Path(__file__).parents[2] / "examples" / "five_patients"
  p = np.loadtxt(folder / f"{patient}.csv", delimiter=",", skiprows=1, usecols=1)
  apart = np.abs(blended(pretrained.load("radial"), p) - cap_jax.load("radial").reconstruct(p, fs_hz=125).aortic_mmhg)
  ends = round(0.25 * 125)
  inner = apart[ends:-ends]
  print(
    f"{patient}: mean {inner.mean():.2f}, largest {inner.max():.1f}; in the first and last 0.25 s {apart.max():.1f} mmHg"
  )
  assert inner.mean() < 0.3
  assert inner.max() < 5


@pytest.mark.slow
def test_the_examples_in_python_and_c_reconstruct_a_record(onnx_python, tmp_path):
  """With onnxruntime and NumPy alone; and in C++, compiled, with OpenVINO."""
  subprocess.run([onnx_python, "-m", "pip", "install", "-q", "openvino"], check=True)
  trained, p = pretrained.load("radial"), record(3000)[:3000].round(3)
  lines = [f"{k / 125:.3f},{value:.3f}" for k, value in enumerate(p)]
  (tmp_path / "wave.csv").write_text("\n".join(["time_s,radial_pressure_mmhg", *lines]) + "\n")
  cap_jax.load("radial").save_pretrained(tmp_path / "weights")
  command = f"-m cap_jax export --checkpoint={tmp_path}/weights --to=onnx --output={tmp_path}/onnx"
  subprocess.run([onnx_python, *command.split()], check=True, capture_output=True)
  examples = pathlib.Path(__file__).parents[2] / "examples" / "onnx"
  found = subprocess.run(
    [onnx_python, "-c", "import openvino; print(openvino.__path__[0])"], check=True, capture_output=True, text=True
  ).stdout.strip()
  (library,) = pathlib.Path(found, "libs").glob("libopenvino.so.*")
  compiled = str(tmp_path / "reconstruct")
  flags = [f"-I{found}/include", f"-L{found}/libs", f"-l:{library.name}", f"-Wl,-rpath,{found}/libs", "-o", compiled]
  subprocess.run(["g++", "-std=c++17", "-O2", str(examples / "reconstruct.cpp"), *flags], check=True)
  expected = blended(trained, p)
  for program in ([onnx_python, str(examples / "reconstruct.py")], [compiled]):
    done = subprocess.run(
      [*program, f"{tmp_path}/onnx", f"{tmp_path}/wave.csv"], check=True, capture_output=True, text=True
    )
    wave = np.array([line.split(",")[1] for line in done.stdout.splitlines()[1:]], float)
    print(f"{pathlib.Path(program[-1]).name}: {np.abs(wave - expected).max():.4f} mmHg")
    np.testing.assert_allclose(wave, expected, atol=2e-3)
