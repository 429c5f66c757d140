"""Checkpoints whose header was changed and whose checksums were made anew, so that what lies behind them is reached."""

import json
import pathlib

from cap_jax.train import checksummed
from tests.data import signed_store


def sign(folder: pathlib.Path, arrays: bool = False) -> None:
  """Makes the checksum of the header anew, and those of the arrays."""
  header = folder / checksummed.HEADER
  content = json.loads(header.read_text())
  sums = checksummed._digests(str(folder / checksummed.ARRAYS)) if arrays else content["sha256"]
  content["sha256"] = {**sums, checksummed.HEADER: checksummed._digest_of(content)}
  header.write_text(json.dumps(content))


def change(folder: pathlib.Path, place, value) -> None:
  """Sets a value of the header, as if it had been written so."""
  signed_store.change(folder / checksummed.HEADER, place, value)
  sign(folder)
