"""Writes one page that reconstructs the aortic wave of a CSV in a browser: offline, without this package, and without sending anything.

The page contains the networks as programs (`export.program`), the signal processing in JavaScript (`cap_jax/web`), and uPlot, which draws
the waves. Its content security policy forbids every connection, and every script but its own.
"""

import base64
import functools
import hashlib
import html
import importlib.resources
import json
import math
import os
import re
import zlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from cap_jax import __version__, files
from cap_jax.data import signal_names
from cap_jax.export import program
from cap_jax.inference import window_function
from cap_jax.report.reconstruction import MOST_OOD, NOTE
from cap_jax.signals import calibration
from cap_jax.train import checkpoint
from cap_jax.types import InputError

_WEB = importlib.resources.files("cap_jax") / "web"
_UPLOT = importlib.resources.files("cap_jax.report") / "assets"
_SUBJECT, _EXAMPLE_S, _EXAMPLE_HZ = 12, 12.0, 125.0  # of the example
_FIRST = "<!doctype html>\n<!-- cap-jax web -->\n"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+\.js)";$', re.MULTILINE)
_MARK = re.compile(r"\{\{(\w+)\}\}")
_EXPORT = re.compile(r"^export ((?:async )?(?:const|function|class) (\w+))", re.MULTILINE)


@functools.cache
def _asset(name: str) -> str:
  return (_WEB / name).read_text(encoding="utf-8")


def script(root: str = "page.js") -> str:
  """Returns a module and those that it imports as one script, each after those that it needs and in a scope of its own.

  Args:
    root: the module.
  """
  order: dict[str, None] = {}

  def visit(name: str) -> None:
    for _, other in _IMPORT.findall(_asset(name)):
      if other not in order:
        visit(other)
    order[name] = None

  visit(root)
  return '"use strict";\nconst modules = {};\n' + "\n".join(map(_scope, order))


def _scope(name: str) -> str:
  """Returns a module as a function that is called at once, and returns what it exports."""
  text = _asset(name)
  exported = ", ".join(own for _, own in _EXPORT.findall(text))
  text = _EXPORT.sub(r"\1", _IMPORT.sub(r'const \1 = modules["\2"];', text))
  return f'modules["{name}"] = (() => {{\n{text}\nreturn {{ {exported} }};\n}})();'


def network(trained: checkpoint.Checkpoint) -> bytes:
  """Returns a network for the page, compressed: the size of its header, the header in JSON, and its constants.

  The bytes of each constant are sorted by significance, as weights of few digits then compress to half. Nothing is rounded.

  Args:
    trained: the network.

  Raises:
    InputError: it does not output the aortic wave alone.
  """
  if trained.reference != "aortic_root":
    raise InputError(
      f"the network predicts the {trained.reference} wave, not the aortic one; pass one of the aortic root"
    )
  functions = window_function.of(trained)
  programs = {"answer": program.of(functions.answer, *((1, *shape) for shape in functions.inputs.values()))}
  if functions.log_power is not None:
    programs["log_power"] = program.of(functions.log_power, (1, trained.windows.samples))
  blob, described = [], {}
  for key, one in programs.items():
    described[key] = {**one.header, "constants": [[n, c.dtype.str[1], c.size] for n, c in one.constants.items()]}
    blob += [np.frombuffer(c.tobytes(), np.uint8).reshape(c.size, -1).T.tobytes() for c in one.constants.values()]
  header = json.dumps({**_about(trained, functions), "programs": described}, default=int, separators=(",", ":"))
  text = header.encode()
  return zlib.compress(len(text).to_bytes(4, "little") + text + b"".join(blob), 9)


def _about(trained: checkpoint.Checkpoint, functions: window_function.WindowFunction) -> dict[str, Any]:
  """Returns what the page must know of a network besides its programs."""
  intervals, spec = trained.uncertainty_calibration, trained.windows
  level = (
    {} if intervals is None else {key: getattr(intervals, key) for key in ("level", "wave", "csbp", "ood_threshold")}
  )
  weights = jax.tree.leaves((trained.params, {} if intervals is None else intervals.arrays))
  return {
    "site": trained.site,
    "sha256": hashlib.sha256(b"".join(np.asarray(one).tobytes() for one in weights)).hexdigest(),
    "pressure": signal_names.is_pressure(trained.site),
    "unitless": trained.scaling.unitless,
    "fs_hz": spec.fs_hz,
    "samples": spec.samples,
    "margin": spec.margin,
    "inputs": list(functions.inputs),
    "outputs": list(functions.outputs),
    "covariates": list(trained.model.covariates),
    "readings": list(dict.fromkeys((*trained.model.covariates, *calibration.needs(trained.calibration)))),
    "optional": list(calibration.may_have(trained.calibration)),
    "calibration": {"kind": trained.calibration.kind, "form": trained.calibration.form},
    "unknown_level": trained.unknown_level,
    "intervals": intervals and {
      # JSON has no infinity: a factor that is null stands for an infinite interval
      **{key: value if math.isfinite(value) else None for key, value in level.items()},
      "hr_bpm": intervals.hr_bpm, "outside": intervals.outside, "lacking": intervals.lacking, "where": intervals.where,
      "subjects": intervals.subjects,
    },
  }  # fmt: skip


def page(networks: Sequence[checkpoint.Checkpoint]) -> str:
  """Returns the page.

  Args:
    networks: each of another site; the page first shows the first.

  Raises:
    InputError: there is none, one has no aortic wave alone, or two read the same site.
  """
  if not networks:
    raise InputError("no network is named; pass one")
  sites = [trained.site for trained in networks]
  twice = next((site for site in sites if sites.count(site) > 1), None)
  if twice is not None:
    raise InputError(f"two of the networks read the {twice} wave; pass one for each site")
  packed = [base64.b64encode(network(trained)).decode("ascii") for trained in networks]
  facts = {
    "version": __version__, "note": NOTE, "most_ood": MOST_OOD, "signals": dict(signal_names.COLUMNS), "time": signal_names.TIME, "sites": sites,
    "example": _example(sites[0]),
  }  # fmt: skip
  scripts = [(_UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8"), script()]
  styles = [(_UPLOT / "uPlot.min.css").read_text(encoding="utf-8"), _asset("page.css")]
  parts = {
    "policy": f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; base-uri 'none'; form-action 'none'",
    "title": html.escape(f"Aortic pressure from {' or '.join(_site_name(site) for site in sites)} waves"),
    "note": html.escape(NOTE),
    "waves": html.escape(" or ".join(_needed(trained) for trained in networks)),
    "style": "".join(f"<style>{one}</style>" for one in styles),
    # without "<" the data cannot end the element that contains them
    "facts": json.dumps(facts).replace("<", "\\u003c"),
    "networks": "".join(f'<script type="text/plain" class="network">{one}</script>' for one in packed),
    "script": "".join(f"<script>{one}</script>" for one in scripts),
  }
  return _FIRST + _MARK.sub(lambda mark: parts[mark[1]], _asset("page.html"))


def _site_name(site: str) -> str:
  """Returns the name of a site for a reader: digital_ppg is a finger PPG."""
  where, kind = signal_names.split_signal(site)
  return " ".join([where.replace("digital", "finger").replace("_", " "), *([kind.upper()] if kind else [])])


def _needed(trained: checkpoint.Checkpoint) -> str:
  """Returns which wave a network reads, in words."""
  kind = "pressure" if signal_names.is_pressure(trained.site) else "in any unit"
  readings = ", and needs the reading of a cuff" * bool(set(trained.model.covariates) & set(calibration.CUFF))
  return f"{_site_name(trained.site)}{', ' if kind != 'pressure' else ' '}{kind}{readings}"


def _example(site: str) -> str:
  """Returns a record of a simulated subject in CSV, "" for a site that has none."""
  with (importlib.resources.files("cap_jax.arteries") / "data" / "nonlinear_dev.npz").open("rb") as file:
    data = np.load(file)
    if site not in data:
      return ""
    beat, hr_bpm = data[site][_SUBJECT], float(data["hr"][_SUBJECT])
  at_s = np.arange(int(_EXAMPLE_S * _EXAMPLE_HZ)) / _EXAMPLE_HZ
  turn = at_s * hr_bpm / 60 % 1 * beat.size
  wave = np.interp(turn, np.arange(beat.size + 1), np.append(beat, beat[0]))
  rows = (f"{time:.3f},{p:.1f}" for time, p in zip(at_s, wave, strict=True))
  return "\n".join([f"{signal_names.TIME},{signal_names.column_of(site)}", *rows, ""])


def _hashes(texts: list[str]) -> str:
  """Returns the sources of a content security policy that allow exactly these texts."""
  sums = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts)
  return " ".join(f"'sha256-{one}'" for one in sums)


def write(path: str | os.PathLike[str], networks: Sequence[checkpoint.Checkpoint]) -> None:
  """Writes the page; it replaces an earlier one, and no other file.

  Args:
    path: of the file.
    networks: see `page`.

  Raises:
    InputError: something else is there; see `page`.
  """
  path = os.fspath(path)
  if os.path.lexists(path) and not _is_own(path):
    raise InputError(f"{path}: was not written by this command; move it elsewhere, or choose another name")
  content = page(networks)
  with files.write_atomically(path) as (partial,), open(partial, "w", encoding="utf-8") as file:
    file.write(content)


def _is_own(path: str) -> bool:
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  with open(files.regular(path), encoding="utf-8", errors="replace") as file:
    return file.read(len(_FIRST)) == _FIRST
