"""Records of hours: the result does not depend on how much is computed at once, and little memory is needed beside them."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from cap_jax.data import batches, recordings, scalings
from cap_jax.inference import pretrained, reconstruct, uncertainty
from cap_jax.report import number_text, reconstruction
from cap_jax.signals import blocks
from cap_jax.train import checkpoint
from tests.signals import test_blocks
from tests.train import people

MB = 1e6
# Linux counts the memory of the process that starts another as the other's own until then: a small one stands between
_SMALL = """
import os, sys
process = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def recording(t, p):
  return recordings.Recording(subject="r", time_s=t, signals={"radial": p}, units={"radial": "mmHg"})


def day(hours, fs_hz=250.0, faults=True, seed=0):
  """A radial pressure of hours, in 0.01 mmHg: rate, pulse and level change; a loss, an open line and a flush each 15 minutes."""
  rng, size = np.random.default_rng(seed), int(hours * 3600 * fs_hz)
  t, p = np.arange(size) / fs_hz, np.empty(size)
  turn_k = np.cumsum(1.15 + 0.2 * np.sin(np.arange(size // 100 + 2) / 900)) * 100 / fs_hz
  for start, stop in blocks.cut(size):
    s = t[start:stop]
    u = np.interp(np.arange(start, stop), np.arange(turn_k.size) * 100, turn_k) % 1
    pulse = np.exp(-((u - 0.2) ** 2) / 0.006) + 0.35 * np.exp(-((u - 0.45) ** 2) / 0.01) - 0.05 * u
    level = 72 + 6 * np.sin(s / 1700) + 2.5 * np.sin(2 * np.pi * 0.23 * s)
    p[start:stop] = level + (46 + 6 * np.sin(s / 800)) * pulse + rng.normal(0, 0.25, s.size)
  p = p.round(2)
  for at in np.arange(200, hours * 3600 - 60, 900) if faults else ():
    first = int(at * fs_hz)
    p[first : first + 1000], p[first + 5000 : first + 5700], p[first + 9000 : first + 9600] = np.nan, 78.0, 291.0
    p[first + 12000 : first + 12010] = -32768.0
  return t, p


def alike(one, other, atol):
  for name in ("peripheral", "aortic_mmhg", "half_width_mmhg"):
    np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=atol)
  assert one.gaps == other.gaps
  assert one.ood_fraction == pytest.approx(other.ood_fraction, nan_ok=True)
  assert len(one.beats) == len(other.beats)
  for name, column in one.beats.columns.items():
    np.testing.assert_allclose(column, other.beats.columns[name], rtol=0, atol=atol)


@pytest.fixture(scope="module")
def identity_network(tiny_model):
  """A network whose answer is its input."""
  params = people.drawn(tiny_model)
  params["r"]["wave"] = {name: np.zeros_like(leaf) for name, leaf in params["r"]["wave"].items()}
  return checkpoint.Checkpoint(params=params, model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0))


@pytest.mark.parametrize("fs_hz", [250.0, 60.0])
def test_the_result_does_not_depend_on_how_much_is_computed_at_once(monkeypatch, fs_hz):
  """Of a network that knows the spectrum of the whole record."""
  network = pretrained.load("radial")
  assert network.model.reads_context
  record = recording(*test_blocks.record(150, fs_hz, top=300.0))
  whole = reconstruct.reconstruct(network, record)
  assert len(whole.gaps) > 3
  assert len(whole.beats) > 100
  monkeypatch.setattr(blocks, "SAMPLES", 999)
  monkeypatch.setattr(reconstruct, "_WINDOWS", 5)
  alike(reconstruct.reconstruct(network, record), whole, 1e-4)


def test_windows_that_are_read_in_groups_share_their_context():
  network = pretrained.load("radial")
  _, p = test_blocks.record(120)
  x_bt = np.lib.stride_tricks.sliding_window_view(np.clip(p, 60, 130)[np.isfinite(p)], 500)[:5000:250]
  windows = batches.Waves(x_bt, np.full(len(x_bt), "r"))
  whole = uncertainty.read(network, windows)
  parts = uncertainty.read_in_groups(
    network, len(x_bt), lambda rows: batches.Waves(x_bt[rows], windows.subject_b[rows]), 7
  )
  for name, together in zip(uncertainty.Reading._fields, zip(*parts, strict=True), strict=True):
    np.testing.assert_allclose(np.concatenate(together), getattr(whole, name), rtol=0, atol=2e-4)


def test_a_part_is_that_part_of_the_whole(identity_network):
  t, p = test_blocks.record(60, 250.0)
  wave = reconstruct.reconstruct(identity_network, recording(t, p))
  for start, stop in ((0, t.size), (0, 1), (1490, 1530), (4400, 9000), (t.size - 3, t.size), (700, 700)):
    for part, whole in zip(
      wave.part(start, stop), (wave.peripheral, wave.aortic_mmhg, wave.half_width_mmhg), strict=True
    ):
      np.testing.assert_allclose(part, whole[start:stop], rtol=0, atol=1e-9)


def test_the_files_of_a_record_in_parts_are_those_of_the_whole(identity_network, monkeypatch, tmp_path):
  t, p = test_blocks.record(100, 250.0)
  wave = reconstruct.reconstruct(identity_network, recording(t, p))
  written = {}
  for size in (blocks.SAMPLES, 1234):
    monkeypatch.setattr(blocks, "SAMPLES", size)
    monkeypatch.setattr(reconstruction, "_BEATS", 10)
    paths = reconstruction.write(str(tmp_path / f"{size}.csv"), wave, "radial", {"input": "a"})
    written[size] = [pathlib.Path(path).read_bytes() for path in paths]
  table, content, picture = written[1234]
  assert [table, content] == written[blocks.SAMPLES][:2] == written[max(written)][:2]
  assert picture == written[max(written)][2]
  rows = number_text.rows([number_text.exact(t), number_text.rounded(wave.aortic_mmhg)])
  assert table == b"time_s,aortic_root_pressure_mmhg\n" + rows
  expected = [
    {name: None if value != value else round(value, 3) for name, value in dataclasses.asdict(beat).items()}
    for beat in wave.beats
  ]
  assert json.loads(content)["beats"] == expected
  assert json.loads(content)["gaps"] == [dataclasses.asdict(gap) for gap in wave.gaps]


def peak_growth(function):
  """Returns how many bytes more than before a function needs at most."""

  def memory(name):
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

  pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
  before = memory("VmRSS")
  function()
  return memory("VmHWM") - before


def two_hours(network, folder, faults):
  """Returns the number of beats in a record of two hours, and how many bytes its reconstruction and its files need at most."""
  t, p = day(2, faults=faults)

  def run(samples):
    wave = reconstruct.reconstruct(network, recording(t[:samples], p[:samples]))
    reconstruction.write(str(pathlib.Path(folder, "out.csv")), wave, "radial", {})
    return len(wave.beats)

  run(60_000)  # imports and compiles what the record needs
  beats = []
  grown = peak_growth(lambda: beats.append(run(t.size)))
  return beats[0], grown


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's peak of memory")
@pytest.mark.parametrize("faults", [True, False])
def test_two_hours_need_little_memory_beside_the_record(identity_network, tmp_path, faults):
  """The record takes 29 MB and its results 43; all blocks at once would take more than 200 together with them. In a process of its own:
  what other tests have left in the heap decides where arrays find room."""
  with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
    count, grown = pool.submit(two_hours, identity_network, str(tmp_path), faults).result()
  print(f"{grown / MB:.0f} MB")
  assert count > 7000
  assert grown < 120 * MB


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "faults"), [("csv", True), ("csv", False), ("npz", True)])
def test_a_day_at_250_hz_takes_a_minute_and_a_gigabyte(tmp_path, suffix, faults):
  t, p = day(24, faults=faults)
  given = tmp_path / f"day.{suffix}"
  if suffix == "npz":
    np.savez(given, time_s=t, radial_pressure_mmhg=p)
  else:
    with open(given, "wb") as file:
      file.write(b"time_s,radial_pressure_mmhg\n")
      for start, stop in blocks.cut(t.size):
        file.write(number_text.rows([number_text.exact(t[start:stop]), number_text.rounded(p[start:stop])]))
  del t, p
  began = time.monotonic()
  command = ["-m", "experiments.reconstruct", f"--input={given}", f"--output={tmp_path / 'out.csv'}"]
  done = subprocess.run([sys.executable, "-c", _SMALL, *command], capture_output=True, text=True, check=False)
  seconds = time.monotonic() - began
  assert done.returncode == 0, done.stderr[-500:]
  peak = 1024 * int(done.stdout.splitlines()[-1])
  print(f"24 h at 250 Hz from {suffix}: {seconds:.0f} s, {peak / MB:.0f} MB")
  assert len(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["beats"]) > 90_000
  assert peak < 1000 * MB
  assert seconds < 60
