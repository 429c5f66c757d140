"""Stores whose files were changed and whose hashes were made anew, so that what lies behind the hashes is reached."""

import contextlib
import hashlib
import json
import pathlib

from cap_jax.data import splits, store


def at(content, place):
  """Returns the object or list that holds a place of a JSON value, and its last key: ("a", 0) → (content["a"], 0)."""
  for key in place[:-1]:
    content = content[key]
  return content, place[-1]


def change(file: pathlib.Path, place, value) -> None:
  """Sets a value of a JSON file."""
  content = json.loads(file.read_text())
  holder, key = at(content, place)
  holder[key] = value
  file.write_text(json.dumps(content))


def sign(root: pathlib.Path) -> None:
  """Makes all hashes of a store anew, as far as its files are still of the form that has some."""
  with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError):
    file = root / store.SPLIT
    content = json.loads(file.read_text())
    content["sha256"] = splits.Split({name: tuple(part) for name, part in content["parts"].items()}).digest
    file.write_text(json.dumps(content))
  with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError):
    file = root / store.MANIFEST
    manifest = json.loads(file.read_text())
    manifest["split"] = json.loads((root / store.SPLIT).read_text())["sha256"]
    for entry in manifest["shards"]:
      entry["sha256"] = store.digest(root / entry["name"])
    manifest["sha256"] = hashlib.sha256(json.dumps(manifest["shards"], sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(manifest))
