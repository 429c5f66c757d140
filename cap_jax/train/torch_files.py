"""Reads the tensors of a state dict that PyTorch saved, without PyTorch and without executing anything.

`torch.save` writes a pickle, a program that can call any function, and the bytes of the tensors. Here a stack machine
interprets the few opcodes of which a state dict consists. It knows the names of storages and of tensors, calls nothing,
imports nothing and sets no attribute. Any other opcode or name is an error.

Both layouts are read: the zip archive of PyTorch 1.6 and later, and the older sequence of pickles.
"""

import functools
import io
import os
import pathlib
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from cap_jax.data.sources import archives, folders
from cap_jax.types import InputError

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first pickle of the older layout
_ORDERED, _TENSOR, _PARAMETER = (
  "collections OrderedDict",
  "torch._utils _rebuild_tensor_v2",
  "torch._utils _rebuild_parameter",
)
_STORAGES = {
  f"torch {name}Storage": np.dtype(dtype)
  for name, dtype in {
    "Float": np.float32, "Double": np.float64, "Half": np.float16, "BFloat16": jnp.bfloat16, "Long": np.int64,
    "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8, "Bool": np.bool_,
  }.items()
}  # fmt: skip
_VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
_PUT, _GET = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MOST_PROGRAM = 1 << 20  # bytes of a pickle, some 5000 tensors
_MOST_AXES = 16
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# what the readers of zip archives, of pickles and of arrays raise besides ValueError
_DAMAGE = (
  zipfile.BadZipFile, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RuntimeError, struct.error,
)  # fmt: skip


class _Name(NamedTuple):
  """A name that a pickle refers to, in place of the object itself."""

  text: str


class _Storage(NamedTuple):
  """A block of numbers of one type."""

  dtype: np.dtype[Any]
  key: str
  length: int


class _View(NamedTuple):
  """A tensor: a view of a storage. Offset and strides count numbers."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def _name(text: str) -> _Name:
  if text not in (_ORDERED, _TENSOR, _PARAMETER, *_STORAGES):
    raise ValueError(f"its pickle refers to {text.replace(' ', '.')}, which is not part of a state dict")
  return _Name(text)


def _storage(words: Any) -> _Storage:
  """Returns the storage that a pickle names: "storage", its type, its key, its device, its size."""
  kind, dtype, key, _, count, *view = words
  if kind != "storage" or not isinstance(dtype, _Name) or any(part is not None for part in view):
    raise ValueError("its pickle refers to something that is not a storage of its own")
  if not isinstance(key, str | int) or not isinstance(count, int):
    raise ValueError("its pickle is damaged")
  return _Storage(_STORAGES[dtype.text], str(key), count)


def _axes(numbers: Any) -> tuple[int, ...]:
  """Returns the shape or the strides of a tensor.

  Raises:
    ValueError: they are no few whole numbers.
  """
  if (
    type(numbers) is not tuple
    or len(numbers) > _MOST_AXES
    or not all(type(n) is int and abs(n) < 1 << 63 for n in numbers)
  ):
    raise ValueError("its pickle is damaged")
  return numbers


def _reduce(what: Any, arguments: Any) -> Any:
  """Returns what a call would make: an empty dict, a tensor or a parameter."""
  text = what.text if isinstance(what, _Name) else ""
  if text == _ORDERED and arguments == ():
    return {}
  if text == _TENSOR:
    storage, offset, shape, strides, *_ = arguments
    if isinstance(storage, _Storage) and type(offset) is int:
      return _View(storage, offset, _axes(shape), _axes(strides))
  if text == _PARAMETER and isinstance(arguments[0], _View):
    return arguments[0]
  raise ValueError(f"its pickle calls {text.replace(' ', '.') or 'an object'} in an unknown way")


class _Machine:
  """Interprets one pickle."""

  def __init__(self) -> None:
    self._stack: list[Any] = []
    self._marks: list[int] = []
    self._memo: dict[int, Any] = {}

  def run(self, stream: BinaryIO) -> Any:
    """Returns the value of a pickle, and leaves the stream behind it.

    Raises:
      ValueError: it contains an opcode or a name that is not part of a state dict.
    """
    for opcode, argument, _ in pickletools.genops(stream):
      self._step(opcode.name, argument)
    return self._stack.pop()

  def _since_mark(self) -> list[Any]:
    start = self._marks.pop()
    items = self._stack[start:]
    del self._stack[start:]
    return items

  def _pop(self, count: int) -> list[Any]:
    """Returns the last values, first below."""
    if count > len(self._stack) - (self._marks[-1] if self._marks else 0):
      raise ValueError("its pickle is damaged")
    items = self._stack[len(self._stack) - count :]
    del self._stack[len(self._stack) - count :]
    return items

  def _step(self, name: str, argument: Any) -> None:
    stack = self._stack
    if name in _VALUES:
      stack.append(argument)
    elif name in _CONSTANTS:
      stack.append(_CONSTANTS[name])
    elif name in _TUPLES:
      stack.append(tuple(self._pop(_TUPLES[name])))
    elif name == "TUPLE":
      stack.append(tuple(self._since_mark()))
    elif name == "MARK":
      self._marks.append(len(stack))
    elif name in _PUT:
      self._memo[argument] = stack[-1]
    elif name == "MEMOIZE":
      self._memo[len(self._memo)] = stack[-1]
    elif name in _GET:
      stack.append(self._memo[argument])
    else:
      self._build(name, argument)

  def _build(self, name: str, argument: Any) -> None:
    stack = self._stack
    if name in ("EMPTY_DICT", "EMPTY_LIST"):
      stack.append({} if name == "EMPTY_DICT" else [])
    elif name in ("SETITEM", "SETITEMS"):
      items = self._pop(2) if name == "SETITEM" else self._since_mark()
      # a tuple as a key takes for ever where it holds itself many times over
      if type(stack[-1]) is not dict or not all(isinstance(key, str | int) for key in items[::2]):
        raise ValueError("its pickle is damaged")
      stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name in ("APPEND", "APPENDS"):
      items = self._pop(1) if name == "APPEND" else self._since_mark()
      if type(stack[-1]) is not list:
        raise ValueError("its pickle is damaged")
      stack[-1].extend(items)
    elif name == "GLOBAL":
      stack.append(_name(argument))
    elif name == "STACK_GLOBAL":
      module, attribute = self._pop(2)
      if not isinstance(module, str) or not isinstance(attribute, str):
        raise ValueError("its pickle is damaged")
      stack.append(_name(f"{module} {attribute}"))
    elif name == "REDUCE":
      stack.append(_reduce(*self._pop(2)))
    elif name == "BINPERSID":
      stack.append(_storage(*self._pop(1)))
    elif name == "BUILD":
      self._pop(1)  # attributes of the dict, such as the versions of layers, which are of no use here
    elif name not in ("PROTO", "FRAME", "STOP"):
      raise ValueError(f"its pickle contains {name}, which is not part of a state dict")


def _array(view: _View, content: bytes | memoryview) -> np.ndarray:
  """Returns the numbers of a tensor, as a view of its storage."""
  numbers = np.frombuffer(content, view.storage.dtype.newbyteorder("<"))
  size = int(np.prod(view.shape, dtype=object)) if view.shape else 1
  reach = view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True)) if size else 0
  if min(view.offset, size, *view.shape, *view.strides) < 0 or reach >= max(numbers.size, 1) or size > numbers.size:
    raise ValueError(f"a tensor {view.shape} lies outside its storage of {numbers.size} numbers")
  strides = tuple(step * numbers.itemsize for step in view.strides)
  return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides, writeable=False)


def _views(content: Any) -> dict[str, _View]:
  """Returns the tensors of a state dict by name."""
  if type(content) is not dict:
    raise ValueError(f"contains a {type(content).__name__}, not a state dict")
  for name, value in content.items():
    if not isinstance(name, str) or not isinstance(value, _View):
      raise ValueError(f"entry {name!r} is a {type(value).__name__}, not a tensor")
  return content


def _arrays(
  views: Mapping[str, _View], content: Callable[[str], bytes | memoryview], where: str
) -> dict[str, np.ndarray]:
  """Returns the arrays of tensors by name.

  Args:
    views: the tensors, which may share storages.
    content: key of a storage → its bytes.
    where: the file, for messages.

  Raises:
    DataError: the arrays are too large.
  """
  arrays: dict[str, np.ndarray] = {}
  size = 0
  for name, view in views.items():
    whole, expected = content(view.storage.key), view.storage.length * view.storage.dtype.itemsize
    if len(whole) != expected:
      raise ValueError(f"tensor {name}: its storage has {len(whole)} bytes, not {expected}")
    numbers = _array(view, whole)
    size += numbers.nbytes
    folders.check_size(where, size, "tensors")
    arrays[name] = numbers.astype(view.storage.dtype, order="C", copy=True)
  return arrays


def _read_zip(path: str, file: io.BytesIO) -> dict[str, np.ndarray]:
  archives.check_zip(path, _PACKINGS)
  with zipfile.ZipFile(file) as archive:
    programs = [item for item in archive.infolist() if item.filename.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1 or any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
      raise ValueError("is not an archive of torch.save")
    if programs[0].file_size > _MOST_PROGRAM:
      raise ValueError(f"its pickle has more than {_MOST_PROGRAM / 1e6:.0f} MB")
    folder = programs[0].filename.removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
      raise ValueError("was written on a big-endian machine")
    views = _views(_Machine().run(io.BytesIO(archive.read(programs[0]))))
    return _arrays(views, functools.cache(lambda key: archive.read(f"{folder}data/{key}")), path)


def _read_sequence(path: str, file: io.BytesIO) -> dict[str, np.ndarray]:
  """Reads the older layout: magic number, version, machine, state dict, keys of the storages, storages."""
  head = io.BytesIO(file.read(_MOST_PROGRAM))
  try:
    _, _, machine, content, keys = (_Machine().run(head) for _ in range(5))
  except ValueError as error:
    if head.tell() < _MOST_PROGRAM:
      raise
    raise ValueError(f"its pickles have more than {_MOST_PROGRAM / 1e6:.0f} MB") from error
  if not machine["little_endian"]:
    raise ValueError("was written on a big-endian machine")
  views = _views(content)
  bytes_of = {view.storage.key: view.storage.dtype.itemsize for view in views.values()}
  rest, start = file.getbuffer()[head.tell() :], 0
  storages: dict[str, memoryview] = {}
  for key in keys:
    (length,) = struct.unpack_from("<q", rest, start)
    end = start + 8 + length * bytes_of[str(key) if isinstance(key, str | int) else ""]
    if not start + 8 <= end <= len(rest):
      raise ValueError("is cut off")
    storages[str(key)], start = rest[start + 8 : end], end
  return _arrays(views, storages.__getitem__, path)


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the tensors of a state dict by name, in its order.

  Args:
    path: a file of `torch.save`.

  Raises:
    ValueError: it is not a state dict of tensors alone, or it is damaged.
    OSError: there is no such file, or it cannot be reached.
    DataError: it is no regular file, or too large.
  """
  place = folders.check_file(path)
  # from memory, where a read of more than there is costs nothing
  file = io.BytesIO(pathlib.Path(place).read_bytes())
  try:
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    return _read_zip(place, file) if is_zip else _read_sequence(place, file)
  except InputError:
    raise
  except _DAMAGE as error:
    raise ValueError(f"is damaged ({error!r})") from error
