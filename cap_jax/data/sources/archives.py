"""Checks compressed files before a library unpacks them, which does so as far as they go."""

import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator

from cap_jax import files
from cap_jax.data.sources import folders
from cap_jax.types import DataError

_BLOCK, _PACKED_BLOCK = 1 << 20, 1 << 16  # bytes, unpacked and packed
_MOST_ENTRIES = 10_000
_ENTRY = b"PK\1\2"  # begins an entry in the directory of a zip archive
_MOST_MEMBERS, _LEAST_MEMBER = 10_000, 10_000  # of a gzip file, and bytes of each beyond that number
_MOST_PADDING = 1 << 20  # bytes between them
_MOST_HEADER = 1 << 12  # bytes
_EXTRA, _TEXTS = 4, (8, 16)  # flags of a member that has further fields, a name, a comment
_DAMAGED = "save or download the file again"


def check_zip(path: str | os.PathLike[str], packings: tuple[int, ...]) -> None:
  """Checks number and size of the files in a zip archive before they are listed and read.

  Args:
    path: the archive.
    packings: those of `zipfile` that are allowed; some are unpacked without a limit.

  Raises:
    zipfile.BadZipFile: it is damaged.
    OSError: there is no such file, or it cannot be reached.
    DataError: there are too many, they are too large, or they are packed in another way.
  """
  where, count, end = os.fspath(path), 0, b""
  with open(folders.check_file(path), "rb") as file:
    while block := file.read(_BLOCK):
      count += (end + block).count(_ENTRY)
      end = block[1 - len(_ENTRY) :]
  if count > _MOST_ENTRIES:
    raise DataError(where, f"has {count} parts, more than {_MOST_ENTRIES}", "save only what is needed")
  with zipfile.ZipFile(files.regular(path)) as archive:
    items = archive.infolist()
  folders.check_size(where, sum(item.file_size for item in items), "content")
  if any(item.compress_type not in packings for item in items):
    raise DataError(where, "is packed in an unknown way", _DAMAGED)


def _has_short_header(packed: bytes) -> bool:
  """Returns whether the name and the comment of a gzip member end soon."""
  if len(packed) < 12:
    return True  # cut off
  flags, at = packed[3], 10
  if flags & _EXTRA:
    at += 2 + int.from_bytes(packed[10:12], "little")
  for flag in _TEXTS:
    if flags & flag:
      at = packed.find(b"\0", at, _MOST_HEADER) + 1
      if not at:
        return False
  return True


def unpack_gzip(path: pathlib.Path) -> Iterator[bytes]:
  """Yields the content of a gzip file in blocks; that of one that is cut off ends early.

  Raises:
    zlib.error: it is damaged.
    DataError: it consists of very many parts, or of parts with endless names, which Python's reader goes through letter
      by letter.
  """
  most = max(_MOST_MEMBERS, os.path.getsize(files.regular(path)) // _LEAST_MEMBER)
  members = padding = 0
  with open(files.regular(path), "rb") as file:
    packed = file.read(_PACKED_BLOCK)
    while packed:
      members += 1
      if len(packed) < _MOST_HEADER:
        packed += file.read(_PACKED_BLOCK)
      if members > most or padding > _MOST_PADDING or not _has_short_header(packed):
        raise DataError(str(path), "consists of too many parts, or of parts with endless names", _DAMAGED)
      unpacked = zlib.decompressobj(wbits=31)
      while packed and not unpacked.eof:
        if block := unpacked.decompress(packed, _BLOCK):
          yield block
        packed = unpacked.unused_data or unpacked.unconsumed_tail or file.read(_PACKED_BLOCK)
      while packed.startswith(b"\0"):
        rest = packed.lstrip(b"\0")
        padding += len(packed) - len(rest)
        packed = rest or file.read(_PACKED_BLOCK)
