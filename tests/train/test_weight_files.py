"""Files of weights: what is in them comes out, and nothing in them is executed."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors import numpy as safe

from cap_jax.train import torch_files, weight_files
from cap_jax.types import InputError
from tests.train import torch_writer as write

pytestmark = pytest.mark.quick
WRITERS = {"zip": write.write_zip, "sequence": write.write_sequence}


def arrays():
  rng = np.random.default_rng(0)
  return {
    "conv.weight": rng.normal(size=(4, 2, 3)).astype(np.float32),
    "conv.bias": rng.normal(size=4).astype(np.float32),
    "norm.num_batches_tracked": np.array(12),
    "half": np.array([0.5, -2], np.float16),
    "double": rng.normal(size=(2, 2)),
  }


@pytest.mark.parametrize("kind", WRITERS)
def test_a_state_dict_comes_out_as_it_was_written(kind, tmp_path):
  result = weight_files.read(WRITERS[kind](tmp_path / "net.pt", arrays()))
  assert list(result) == list(arrays())
  for name, array in arrays().items():
    np.testing.assert_array_equal(result[name], array.astype(np.float32) if array.dtype.kind == "f" else array)
  assert {array.dtype for array in result.values()} == {np.dtype("float32"), np.dtype("int64")}


def test_a_tensor_may_be_a_transposed_part_of_its_storage(tmp_path):
  whole = np.arange(12, dtype=np.float32)
  program = write.pickled(
    write.EMPTY + write.text("w") + write.tensor(np.empty((3, 2), np.float32), "0", 2, (1, 4), 12) + b"s"
  )
  result = torch_files.read(write.write_zip(tmp_path / "net.pt", {"w": whole}, program))
  np.testing.assert_array_equal(result["w"], [[2, 6], [3, 7], [4, 8]])


def test_safetensors_come_out_as_they_were_written(tmp_path):
  safe.save_file(arrays(), tmp_path / "net.safetensors")
  result = weight_files.read(tmp_path / "net.safetensors")
  for name, array in arrays().items():
    np.testing.assert_array_equal(result[name], array.astype(np.float32) if array.dtype.kind == "f" else array)


def test_complex_numbers_are_refused(tmp_path):
  safe.save_file({"a": np.ones(3, np.complex64)}, tmp_path / "net.safetensors")
  with pytest.raises(InputError, match="'a' has complex numbers"):
    weight_files.read(tmp_path / "net.safetensors")


class Touch:
  """When unpickled, it creates a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_refused_and_not_executed(kind, protocol, tmp_path):
  victim = tmp_path / "executed"
  program = pickle.dumps({"conv.weight": Touch(victim)}, protocol)
  path = WRITERS[kind](tmp_path / "net.pt", {}, program)
  with pytest.raises(
    InputError, match=r"net.pt: its pickle refers to (posix|nt).mkdir, which .*; nothing was executed"
  ):
    weight_files.read(path)
  assert not victim.exists()
  pickle.loads(program)
  assert victim.exists()  # the test's program is one


CODE = {
  "eval": write.name("builtins", "eval") + write.text("1") + b"\x85R",
  "a name of torch": write.name("torch.hub", "load") + b")R",
  "attributes of a class": write.name("collections", "OrderedDict") + b"}b",
  "an object": b"(" + write.name("collections", "OrderedDict") + b"o",
  "a class by its place": b"(icollections\nOrderedDict\n",
  "an extension": b"\x82\x01",
  "arguments": write.name("collections", "OrderedDict") + write.text("a") + b"\x85R",
  "a call of a number": write.number(3) + b")R",
}  # fmt: skip


@pytest.mark.parametrize("what", CODE)
def test_whatever_else_a_pickle_can_do_is_refused(what, tmp_path):
  program = write.pickled(b"}" + write.text("w") + CODE[what] + b"s")
  path = write.write_zip(tmp_path / "net.pt", {}, program)
  with pytest.raises(InputError) as caught:
    weight_files.read(path)
  assert str(caught.value).startswith(f"{path}: ")
  assert "\n" not in str(caught.value)


def test_a_tensor_outside_its_storage_is_refused(tmp_path):
  small = np.zeros(4, np.float32)
  for offset, strides, shape in ((2, (1,), (4,)), (-1, (1,), (2,)), (0, (-1,), (4,)), (0, (0,), (1 << 40,))):
    view = np.lib.stride_tricks.as_strided(small, shape, (0,) * len(shape))
    if shape[0] > 4:
      body = write.tensor(small, "0").replace(
        write.whole_numbers((4,)), b"(\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"t", 1
      )
    else:
      body = write.tensor(view, "0", offset, strides, 4)
    path = write.write_zip(tmp_path / "net.pt", {"w": small}, write.pickled(b"}" + write.text("w") + body + b"s"))
    with pytest.raises(InputError, match="lies outside its storage of 4 numbers"):
      weight_files.read(path)


def test_what_is_no_state_dict_is_one_line(tmp_path):
  cases = {
    "a number": (write.pickled(write.number(3)), "contains a int, not a state dict"),
    "nested": (write.pickled(b"}" + write.text("model") + write.EMPTY + b"s"), "entry 'model' is a dict, not a tensor"),
    "cut off": (write.state_dict(arrays())[:50], "net.pt: "),
    "empty": (b"", "net.pt: "),
    "stack": (write.pickled(b"0"), "its pickle contains POP"),
    "no dict": (write.pickled(b"]" + write.text("a") + write.text("b") + b"s"), "its pickle is damaged"),
  }
  for program, message in cases.values():
    with pytest.raises(InputError, match=message) as caught:
      weight_files.read(write.write_zip(tmp_path / "net.pt", arrays(), program))
    assert "\n" not in str(caught.value)
  with pytest.raises(InputError, match="written on a big-endian machine"):
    weight_files.read(write.write_zip(tmp_path / "net.pt", arrays(), byteorder=b"big"))


def test_damage_is_one_line(tmp_path):
  path = write.write_sequence(tmp_path / "net.pth", arrays())
  content = path.read_bytes()
  for damaged in (content[:-8], content[:300], b"not a pickle", b""):
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"net\.pth: ") as caught:
      weight_files.read(path)
    assert "\n" not in str(caught.value)
  packed = tmp_path / "packed.pt"
  with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("archive/data.pkl", write.state_dict({}))
  with pytest.raises(InputError, match=r"is not an archive of torch\.save"):
    weight_files.read(packed)
  broken = tmp_path / "net.safetensors"
  broken.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
  with pytest.raises(InputError, match=r"net\.safetensors: cannot be read"):
    weight_files.read(broken)


def test_other_files_are_refused(tmp_path):
  with pytest.raises(InputError, match=r"net\.bin: must end in \.safetensors, \.pt, \.pth"):
    weight_files.read(tmp_path / "net.bin")
  with pytest.raises(InputError, match=r"net\.pt: no such file; check the path"):
    weight_files.read(tmp_path / "net.pt")


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_pytorch_itself_are_read(zipped, tmp_path):
  torch = pytest.importorskip("torch", reason="needs torch: pip install -r requirements-bench.txt")
  layers = torch.nn.Sequential(torch.nn.Conv1d(1, 3, 5), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
  state = {
    **layers.state_dict(),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "half": torch.ones(2, dtype=torch.bfloat16),
  }
  state["parameter"] = torch.nn.Parameter(torch.ones(2))
  torch.save(state, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
  result = weight_files.read(tmp_path / "net.pt")
  assert list(result) == list(state)
  for name, value in state.items():
    np.testing.assert_array_equal(result[name], value.detach().float().numpy())
