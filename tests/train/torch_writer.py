"""Files as `torch.save` writes them, without PyTorch: opcode by opcode."""

import struct
import zipfile

import numpy as np

from cap_jax.train import torch_files

_KINDS = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "bool": "Bool", "uint8": "Byte"}


def text(value):
  return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
  return b"J" + struct.pack("<i", value)


def whole_numbers(values):
  return b"(" + b"".join(map(number, values)) + b"t"


def name(module, attribute):
  return b"c" + f"{module}\n{attribute}\n".encode()


EMPTY = name("collections", "OrderedDict") + b")R"


def tensor(array, key, offset=0, strides=None, count=None):
  """The call that makes a tensor from a storage."""
  strides = [step // array.itemsize for step in array.strides] if strides is None else strides
  kind = _KINDS[array.dtype.name]
  storage = text("storage") + name("torch", f"{kind}Storage") + text(key) + text("cpu")
  storage = b"((" + storage + number(array.size if count is None else count) + b"tQ"
  view = number(offset) + whole_numbers(array.shape) + whole_numbers(strides) + b"\x89" + EMPTY + b"t"
  return name("torch._utils", "_rebuild_tensor_v2") + storage + view + b"R"


def pickled(body):
  return b"\x80\x02" + body + b"."


def state_dict(arrays, **changes):
  """The pickle of a state dict whose storages are named "0", "1", …, with the attributes that PyTorch gives it."""
  items = b"".join(text(key) + tensor(array, str(k), **changes) for k, (key, array) in enumerate(arrays.items()))
  attributes = b"}" + text("_metadata") + EMPTY + b"s"
  return pickled(EMPTY + b"(" + items + b"u" + attributes + b"b")


def write_zip(path, arrays, program=None, **more):
  """The archive of PyTorch 1.6 and later."""
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", state_dict(arrays) if program is None else program)
    archive.writestr("archive/byteorder", more.pop("byteorder", b"little"))
    for k, array in enumerate(arrays.values()):
      archive.writestr(f"archive/data/{k}", np.ascontiguousarray(array).tobytes())
    archive.writestr("archive/version", b"3\n")
  return path


def write_sequence(path, arrays, program=None):
  """The sequence of pickles of older versions."""
  machine = b"}" + text("little_endian") + b"\x88s"
  keys = b"](" + b"".join(text(str(k)) for k in range(len(arrays))) + b"e"
  content = torch_files.MAGIC + pickled(number(1001)) + pickled(machine)
  content += (state_dict(arrays) if program is None else program) + pickled(keys)
  for array in arrays.values():
    content += struct.pack("<q", array.size) + np.ascontiguousarray(array).tobytes()
  path.write_bytes(content)
  return path
