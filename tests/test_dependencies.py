"""The lock holds what the requirements ask for, with the sums of all files; and the licences of all of it are listed."""

import pathlib
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.quick
ROOT = pathlib.Path(__file__).resolve().parents[1]


def locked():
  """Name → (requirement, number of sums) of each entry."""
  result = {}
  for entry in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(encoding="utf-8")):
    requirement = Requirement(entry.split("\\")[0].strip())
    result.setdefault(canonicalize_name(requirement.name), []).append((requirement, entry.count("--hash=sha256:")))
  return result


def test_the_lock_keeps_the_bounds():
  entries = locked()
  for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
    if line and not line.startswith("#"):
      requested = Requirement(line)
      for given, _ in entries[canonicalize_name(requested.name)]:
        (pin,) = given.specifier
        assert pin.operator == "==", given
        assert requested.specifier.contains(pin.version), (line, pin)
  assert all(sums for result in entries.values() for _, sums in result)


def test_every_licence_is_listed():
  text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
  rows = {canonicalize_name(name): licence for name, licence in re.findall(r"^\| (\S+) \| (.+) \|$", text, re.M)}
  everywhere = {
    name
    for name, result in locked().items()
    if any("win32" not in str(one.marker) or "!=" in str(one.marker) for one, _ in result)
  }
  assert everywhere <= rows.keys()
  lines = (ROOT / "requirements-docs.txt").read_text(encoding="utf-8").splitlines()
  assert {canonicalize_name(Requirement(line).name) for line in lines if line[0] not in "#-"} <= rows.keys()
  assert all(licence.strip() and licence != "UNKNOWN" for licence in rows.values())
