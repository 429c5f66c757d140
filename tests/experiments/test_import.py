"""The command `import`: a file of weights becomes a source network that the other commands read."""

import hashlib
import json

import jax
import numpy as np
import pytest
from safetensors import numpy as safe

import cap_jax as cj
from cap_jax import config
from cap_jax.models import net as nets
from cap_jax.train import checkpoint
from tests.experiments.commands import SMALL, run_here, wave
from tests.models import published
from tests.train import torch_writer
from tests.train.test_weight_import import own

SIZES = [f"--config.model.{name}={value}" for name, value in (("channels", 8), ("layers", 1), ("head_channels", 8))]


@pytest.fixture(scope="module")
def hpi(tmp_path_factory):
  """A checkpoint of HPI with random weights."""
  folder = tmp_path_factory.mktemp("imported")
  path = torch_writer.write_zip(folder / "net.pth", published.hpi_weights(64))
  done = run_here("import_weights", f"--from={path}", "--map=pyvital:hpi", f"--output={folder / 'hpi'}")
  assert done.returncode == 0, done.stderr
  return path, folder / "hpi", done.stdout


def test_import_writes_a_checkpoint_and_accounts_for_every_array(hpi):
  path, folder, printed = hpi
  lines = printed.splitlines()
  assert sum(line.split()[1:2] == ["transferred"] for line in lines) == 18
  assert any(line.split()[0] == "f/layer_1/matrix/kernel" and line.endswith("(192, 64) conv2.weight") for line in lines)
  assert f"{path}: 19 arrays: 16 transferred, 3 of running statistics folded into them, 0 left behind" in lines
  assert "reads radial at 100 Hz, 4 s, (p − 65)/65" in lines
  output = checkpoint.load(folder)
  assert (output.task, output.site, output.windows.fs_hz, output.windows.samples) == ("imported", "radial", 100.0, 400)
  assert (output.scaling.mean_mmhg, output.scaling.sd_mmhg) == (65.0, 65.0)
  assert output.about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
  assert output.about["trained_for"] == "hypotension within the next five minutes"
  w = published.hpi_weights(64)["conv3.weight"]
  np.testing.assert_array_equal(
    output.params["f"]["layer_2"]["matrix"]["kernel"], w.transpose(2, 1, 0).reshape(192, 64)
  )


@pytest.mark.slow  # simulates a clinic at a rate that no other test needs
def test_its_features_are_transferred_frozen(hpi, tmp_path):
  _, folder, _ = hpi
  small = [flag for flag in SMALL if ".model." not in flag]
  done = run_here(
    "transfer",
    "--strategy=feature_transfer",
    f"--source={folder}",
    "--n_target=2",
    f"--workdir={tmp_path / 'w'}",
    *small,
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert any(line.split()[:2] == ["f/norm/scale", "transferred"] for line in lines)
  assert any(line.split()[:2] == ["r/wave/kernel", "fresh"] for line in lines)
  assert not any("source network unchanged" in line for line in lines)  # it predicts no wave
  output, source = checkpoint.load(tmp_path / "w" / "checkpoint"), checkpoint.load(folder)
  jax.tree.map(np.testing.assert_array_equal, output.params["f"], source.params["f"])  # nothing has moved
  assert (output.task, output.windows, output.model.head) == ("waveform", source.windows, "waveform")
  assert output.scaling == source.scaling
  net = cj.load(str(tmp_path / "w" / "checkpoint"))
  _, p = wave(12, 125)
  out = net.reconstruct(p, fs_hz=125)
  assert np.isfinite(out.aortic_mmhg).all()
  pairs = cj.windows(p, fs_hz=125, subject="a")
  with pytest.raises(cj.InputError, match="windows of 500 samples, but the network reads 400, 4 s at 100 Hz"):
    net.predict(pairs)


def test_weights_of_ones_own_need_a_map(tmp_path):
  network = nets.make_net(config.Model(channels=8, layers=1, head_channels=8))
  params = network.init(jax.random.key(1), 500)
  arrays, weight_map = own(params)
  safe.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, tmp_path / "net.safetensors")
  (tmp_path / "map.json").write_text(json.dumps({name: paths[0] for name, paths in weight_map.items()}))
  flags = [f"--from={tmp_path / 'net.safetensors'}", f"--map={tmp_path / 'map.json'}", *SIZES]
  done = run_here("import_weights", *flags, "--scaling=92,17", f"--output={tmp_path / 'net'}")
  assert done.returncode == 0, done.stderr
  output = checkpoint.load(tmp_path / "net")
  jax.tree.map(np.testing.assert_array_equal, output.params, params)
  assert (output.task, output.scaling.mean_mmhg, output.scaling.sd_mmhg) == ("waveform", 92.0, 17.0)
  # without its head it offers its features
  features = {name: paths[0] if paths[0].startswith("f/") else None for name, paths in weight_map.items()}
  (tmp_path / "map.json").write_text(json.dumps(features))
  done = run_here("import_weights", *flags, "--scaling=92,17", f"--output={tmp_path / 'features'}")
  assert done.returncode == 0, done.stderr
  assert "4 left behind" in done.stdout
  assert checkpoint.load(tmp_path / "features").task == "imported"


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--from=F"], "--map is missing; pass --map=map.json"),
    (["--map=M"], "--from is missing; pass --from=pyvital:hpi"),
    (["--from=pyvital:bp"], "pyvital:bp: unknown; did you mean pyvital:"),
    (["--from=pyvital:hpi", "--map=M"], "--map: pyvital:hpi has its own; omit the flag"),
    (["--from=F", "--map=pyvital:hpi", "--config.model.channels=8"], "--config.model.channels: pyvital:hpi sets it"),
    (["--from=F", "--map=pyvital:hpi", "--config.windows.fs_hz=125"], "--config.windows.fs_hz: pyvital:hpi sets it"),
    (["--from=F", "--map=pyvital:hpi", "--scaling=1,2"], "--scaling: pyvital:hpi sets it"),
    (["--from=F", "--map=M"], "--scaling: must be mean and SD in mmHg, such as 92,17"),
    (["--from=F", "--map=M", "--scaling=1,0"], "--scaling: must be mean and SD in mmHg, such as 92,17"),
    (["--from=F", "--map=M", "--scaling=92,17"], "is no map"),
    (
      ["--from=F", "--map=M", "--scaling=92,17", "--config.model.covariates=age,"],
      "no scaling of age; import a network",
    ),
    (["--from=F", "--map=pyvital:hpi", "--config.site=digital_ppg"], "reads mmHg, but a PPG has no unit; add --config"),
    (["--from=F", "--map=pyvital:hpi"], "net.pth: conv1.weight is in the map, but not in the file"),
  ],
)
def test_wrong_flags_are_one_line(flags, message, tmp_path):
  path = torch_writer.write_zip(tmp_path / "net.pth", {})
  flags = [{"--from=F": f"--from={path}", "--map=M": f"--map={tmp_path / 'm.json'}"}.get(flag, flag) for flag in flags]
  done = run_here("import_weights", *flags, f"--output={tmp_path / 'out'}")
  assert done.returncode == 2
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith("error: ")
  assert message in line
  assert not (tmp_path / "out").exists()
