"""The page that reconstructs in a browser: what it contains, what it does in Chromium, and that it gives what the command gives."""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import time

import numpy as np
import pytest

import cap_jax
from cap_jax.data import datasets
from cap_jax.data.sources import csv_file
from cap_jax.export import web_page
from cap_jax.haemodynamics import indices
from cap_jax.inference import pretrained, reconstruct
from cap_jax.report.reconstruction import MOST_OOD
from cap_jax.types import InputError
from tests import tiers
from tests.arteries import test_waves
from tests.experiments.commands import ROOT

MOST_MMHG = 0.05
CHANNELS = {"F6b_vitaldb_names": {"Time": "time_s", "SNUADC/ART": "radial"}}


@pytest.fixture(scope="module")
def radial(tmp_path_factory):
  path = tmp_path_factory.mktemp("web") / "radial.html"
  web_page.write(path, [pretrained.load("radial")])
  return path


def test_it_is_one_small_file_that_can_run_its_own_scripts_only(radial):
  content = radial.read_text(encoding="utf-8")
  assert radial.stat().st_size < 1.5e6
  policy = re.search(r'Content-Security-Policy" content="([^"]+)"', content).group(1)
  assert policy.startswith("default-src 'none'; script-src 'sha256-")
  assert "unsafe" not in policy
  scripts = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
  styles = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
  sums = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (*scripts, *styles)}
  assert set(re.findall(r"'sha256-([^']+)'", policy)) == sums
  assert len(sums) == 4
  assert not re.search(
    r"\b(?:src|href)=\"(?!#)|https?://(?!www\.w3\.org)", re.sub(r"<script>.*?</script>", "", content, flags=re.DOTALL)
  )
  assert "not a medical device" in content
  facts = json.loads(re.search(r'id="facts">(.*?)</script>', content, re.DOTALL).group(1))
  assert facts["sites"] == ["radial"]


def test_networks_of_other_sites_share_a_page():
  trained = pretrained.load("radial")
  with pytest.raises(InputError, match="two of the networks read the radial wave"):
    web_page.page([trained, trained])
  with pytest.raises(InputError, match="no network is named"):
    web_page.page([])


def test_it_replaces_a_page_and_nothing_else(tmp_path):
  other = tmp_path / "notes.html"
  other.write_text("<!doctype html>\n")
  with pytest.raises(
    InputError, match=r"notes.html: was not written by this command; move it elsewhere, or choose another name"
  ):
    web_page.write(other, [pretrained.load("radial")])
  assert other.read_text() == "<!doctype html>\n"
  page = tmp_path / "page.html"
  for _ in range(2):
    web_page.write(page, [pretrained.load("radial")])
  assert sorted(os.listdir(tmp_path)) == ["notes.html", "page.html"]


class Page:
  """The page in a browser, as a reader uses it."""

  def __init__(self, tab, path):
    self.tab = tab
    tab.goto(path.as_uri())

  def choose(self, path):
    """Chooses a file as a reader does, in the window that the browser opens."""
    with self.tab.expect_file_chooser() as opened:
      self.tab.locator("#file").click()
    opened.value.set_files(path)

  def read(self, path, clock=None, wave=None):
    """Chooses a file and, where they are given, its columns. Returns the problem, "" without one."""
    tab = self.tab
    self.choose(path)
    if clock is not None:
      tab.locator("#choices:visible").wait_for()
      tab.get_by_label("Time column").select_option(clock)
      tab.get_by_label("Wave column").select_option(wave)
      return self.press()
    return self.outcome()

  def press(self):
    """Presses the button. Returns the problem, "" without one."""
    self.tab.get_by_role("button", name="Reconstruct").click()
    return self.outcome()

  def outcome(self):
    self.tab.locator("#flag:visible, #error:visible").first.wait_for(timeout=120_000)
    return self.tab.locator("#error").inner_text() if self.tab.locator("#error").is_visible() else ""

  def saved(self, button):
    """The rows of a table that the page saves, without its comments, as name → numbers."""
    with self.tab.expect_download() as waited:
      self.tab.get_by_role("button", name=button).click()
    text = pathlib.Path(waited.value.path()).read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO("".join(line for line in text.splitlines(True) if not line.startswith("#")))))
    columns = zip(*rows[1:], strict=True)
    return {
      name: np.array([float(cell or "nan") for cell in cells]) for name, cells in zip(rows[0], columns, strict=True)
    }


@pytest.fixture(scope="module")
def page(chromium, radial):
  context = chromium.new_context(viewport={"width": 1200, "height": 900}, offline=True)
  yield Page(context.new_page(), radial)
  context.close()


@pytest.fixture
def control(reference_data):
  return reference_data.parent / "cases" / "control" / "F0_control.csv"


def test_a_reader_sees_the_aortic_wave_at_once(opened, radial, control, tmp_path):
  tab, _ = opened
  page = Page(tab, radial)
  assert page.read(control) == ""
  assert tab.locator("#flag").inner_text() == "In distribution: 0 % of the record is unlike the training data."
  numbers = {
    row.locator("th").inner_text(): row.locator("td").all_inner_texts()
    for row in tab.locator("#numbers tbody tr").all()
  }
  assert abs(float(numbers["cSBP, aortic systolic"][0]) - 105.4) <= 0.5
  assert numbers["Heart rate"] == ["54.0", "", "0.1", "1/min"]
  low, high = map(float, numbers["cSBP, aortic systolic"][1].split(" to "))
  assert 4 < high - low < 10
  assert {"AIx, augmentation index", "SEVR, subendocardial viability ratio"} < set(numbers)
  assert tab.locator("#gap-list").inner_text() == "No gaps."
  assert "not a medical device" in tab.locator(".disclaimer").inner_text()
  # beat by beat
  tab.get_by_role("button", name="Next beat").click()
  assert re.match(r"Beat 1 of 17: cSBP 105\.\d, cDBP 72\.\d mmHg, 54/min", tab.locator("output").inner_text())
  tab.get_by_role("button", name="Whole record").click()
  assert tab.locator("output").inner_text() == "All 17 beats"
  # what is saved
  wave, beats = page.saved("Wave as CSV"), page.saved("Beats as CSV")
  assert list(wave) == ["time_s", "aortic_root_pressure_mmhg", "low_mmhg", "high_mmhg"]
  assert wave["time_s"].size == 2500
  assert abs(beats["csbp_est_mmhg"].mean() - 105.7) < 0.1
  with tab.expect_download() as waited:
    tab.get_by_role("button", name="Picture as PNG").click()
  assert waited.value.suggested_filename == "F0_control_aortic.png"
  assert pathlib.Path(waited.value.path()).read_bytes().startswith(b"\x89PNG")


def test_with_the_keyboard_alone(opened, radial, control):
  tab, _ = opened
  page = Page(tab, radial)
  page.read(control)
  tab.locator("#file").focus()
  reached = []
  for _ in range(12):
    tab.keyboard.press("Tab")
    reached.append(tab.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
  assert {"time", "wave", "unit", "Reconstruct", "Next beat", "Wave as CSV"} <= set(reached)
  tab.get_by_role("button", name="Next beat").focus()
  tab.keyboard.press("Enter")
  assert tab.locator("output").inner_text().startswith("Beat 1 of 17")


def test_on_a_phone_and_in_the_dark_nothing_sticks_out(chromium, radial, control, tmp_path):
  context = chromium.new_context(
    viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True, color_scheme="dark"
  )
  page = Page(context.new_page(), radial)
  assert page.read(control) == ""
  assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
  long = table(*virtual(3, 8.0), tmp_path / f"{'name_' * 45}.csv", f"time_s,radial_pressure_{'mmhg_' * 9000}")
  assert page.read(long) == ""
  assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
  assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
  with page.tab.expect_download() as waited:  # wide enough for its text, which is wrapped
    page.tab.get_by_role("button", name="Picture as PNG").click()
  width, height = struct.unpack(">II", pathlib.Path(waited.value.path()).read_bytes()[16:24])
  assert width >= 700
  assert height >= 400 + 8 * 24
  page.tab.emulate_media(media="print", color_scheme="light")
  assert page.tab.locator(".disclaimer").evaluate("e => getComputedStyle(e).color") == "rgb(179, 38, 30)"
  context.close()


def table(time_s, p_t, path, header="time_s,radial_pressure_mmhg"):
  rows = [f"{t:.6f},{'' if np.isnan(p) else f'{p:.4f}'}" for t, p in zip(time_s, p_t, strict=True)]
  path.write_text("\n".join([header, *rows]) + "\n")
  return path


def virtual(subject, seconds=20.0, fs_hz=125.0, site="radial"):
  """A simulated wave whose beats differ a little in length, with the noise of a transducer."""
  data, rng = test_waves.nonlinear(), np.random.default_rng(subject)
  beat, size, position = data[site][subject], data[site].shape[1], []
  usual_s, time_s = 60 / float(data["hr"][subject]), 0.0
  while time_s < seconds + 2:
    period_s = usual_s * (1 + 0.03 * rng.normal())
    position.append((time_s, period_s))
    time_s += period_s
  at_s = np.arange(int(seconds * fs_hz)) / fs_hz
  starts = np.array([start for start, _ in position])
  number = np.searchsorted(starts, at_s, side="right") - 1
  phase = (at_s - starts[number]) / np.array([period for _, period in position])[number]
  wave = np.interp(phase * size, np.arange(size + 1), np.append(beat, beat[0]))
  return at_s, wave.astype(float) + rng.normal(0, 0.2, at_s.size)


def test_the_flag_comes_first_and_large(page, tmp_path):
  """A slow line: the command warns too."""
  time_s, p_t = virtual(3)
  slow = np.convolve(np.pad(p_t, 12, mode="edge"), np.ones(25) / 25, "valid")
  assert page.read(table(time_s, slow, tmp_path / "slow.csv")) == ""
  flag = page.tab.locator("#flag")
  assert flag.inner_text().startswith("OUT OF DISTRIBUTION: 100 % of the record is unlike the training data; ")
  assert float(re.sub(r"[^\d.]", "", flag.evaluate("e => getComputedStyle(e).fontSize"))) >= 20
  assert flag.bounding_box()["y"] < page.tab.locator("#numbers").bounding_box()["y"]


def test_columns_and_units_are_chosen_in_the_page(page, tmp_path):
  time_s, p_t = virtual(5)
  path = table(time_s, p_t / 7.50062, tmp_path / "monitor.csv", "Zeit;Druck".replace(";", ","))
  problem = page.read(path, "Zeit", "Druck")
  assert "is not an arterial pressure in mmHg" in problem
  assert "choose kPa" in problem
  page.tab.get_by_label("Unit").select_option("kpa")
  assert page.press() == ""
  assert abs(page.saved("Beats as CSV")["peripheral_sbp_mmhg"].mean() - p_t.max()) < 6


def test_what_belongs_to_another_choice_or_file_is_not_shown(page, tmp_path):
  path = table(*virtual(5), tmp_path / "first.csv")
  assert page.read(path) == ""
  page.tab.get_by_label("Unit").select_option("kpa")
  assert not page.tab.locator("#result").is_visible()
  assert page.tab.locator("#status").inner_text() == "The choices have changed: press Reconstruct."
  # a file that was mended under its name can be chosen again
  path.write_text("time_s,radial_pressure_mmhg\n0,high\n")
  assert "'high' is not a number" in page.read(path)
  table(*virtual(6), path)
  assert page.read(path) == ""


def test_time_in_milliseconds_and_no_time_at_all(page, tmp_path):
  time_s, p_t = virtual(5)
  assert (
    page.read(
      table(time_s * 1000, p_t, tmp_path / "ms.csv", "time_ms,radial_pressure_mmhg"), "time_ms", "radial_pressure_mmhg"
    )
    == ""
  )
  expected = page.saved("Wave as CSV")
  path = tmp_path / "rows.csv"
  path.write_text("radial_pressure_mmhg\n" + "".join(f"{p:.4f}\n" for p in p_t))
  page.choose(path)
  page.tab.get_by_label("Time column").select_option("none: evenly spaced")
  assert "the sampling rate is no number above zero" in page.press()
  page.tab.get_by_label("Samples a second").fill("125")
  assert page.press() == ""
  wave = page.saved("Wave as CSV")
  np.testing.assert_allclose(wave["aortic_root_pressure_mmhg"], expected["aortic_root_pressure_mmhg"], atol=2e-3)


def test_a_spreadsheet_is_told_apart(page, tmp_path):
  (tmp_path / "wave.csv").write_bytes(b"PK\x03\x04" + bytes(100))
  assert "is a spreadsheet or an archive" in page.read(tmp_path / "wave.csv")


def test_a_saved_file_says_what_it_is(page, tmp_path):
  time_s, p_t = virtual(3)
  slow = np.convolve(np.pad(p_t, 12, mode="edge"), np.ones(25) / 25, "valid")
  slow[(9 * 125) : (11 * 125)] = np.nan
  assert page.read(table(time_s, slow, tmp_path / "slow.csv")) == ""
  with page.tab.expect_download() as waited:
    page.tab.get_by_role("button", name="Wave as CSV").click()
  comments = [line for line in pathlib.Path(waited.value.path()).read_text().splitlines() if line.startswith("#")]
  text = "\n".join(comments)
  assert "# Aortic pressure reconstructed from slow.csv, radial wave" in text
  assert "# OUT OF DISTRIBUTION: 100 %" in text
  assert "s were reconstructed; the rest was left out, see Gaps." in text
  assert re.search(r"# Gap \d+\.\d\d to \d+\.\d\d s: no data\.", text)
  assert re.search(
    r"# Columns: time time_s \[s\], wave radial_pressure_mmhg \[mmHg\]\. Made 20\d\d-.* by cap_jax .*SHA-256", text
  )
  assert "not a medical device" in text


def test_the_wave_of_another_site_is_refused(page, tmp_path):
  path = table(*virtual(5), tmp_path / "brachial.csv", "time_s,brachial_pressure_mmhg")
  assert "holds another wave (brachial); the network reads radial ones" in page.read(
    path, "time_s", "brachial_pressure_mmhg"
  )


def test_a_ppg_needs_the_reading_of_a_cuff(chromium, tmp_path):
  """The page of two networks: the one of a PPG asks for what it reads."""
  path = tmp_path / "two.html"
  web_page.write(path, [pretrained.load(name) for name in ("radial", "finger_ppg")])
  context = chromium.new_context()
  page = Page(context.new_page(), path)
  time_s, p_t = virtual(7, site="digital")
  page.choose(table(time_s, p_t / 100, tmp_path / "ppg.csv", "time_s,digital_ppg"))
  page.tab.locator("#choices:visible").wait_for()
  assert page.tab.locator("select[name=network] option:checked").inner_text() == "finger PPG"
  page.tab.get_by_label("Cuff: systolic").fill("128")
  assert "Cuff: diastolic, in mmHg: no number" in page.press()
  page.tab.get_by_label("Cuff: diastolic").fill("76")
  assert page.press() == ""
  wave = page.saved("Wave as CSV")
  entry = csv_file.load(tmp_path / "ppg.csv").entries[0]
  recording = datasets.read(entry)
  recording = recording.__class__(
    **{**recording.__dict__, "covariates": {"cuff_sbp_mmhg": 128.0, "cuff_dbp_mmhg": 76.0}}
  )
  expected = reconstruct.reconstruct(pretrained.load("finger_ppg"), recording)
  assert np.nanmax(np.abs(wave["aortic_root_pressure_mmhg"] - expected.aortic_mmhg)) <= MOST_MMHG
  context.close()


def compare(page, path, channels=None):
  """The page and the command: the same refusal, or the same gaps, beats and waves. Returns the largest difference [mmHg]."""
  listed = csv_file.load(path, channels)
  try:
    expected = reconstruct.reconstruct(pretrained.load("radial"), datasets.read(listed.entries[0]))
  except InputError as error:
    names = {"clock": "time_s", "wave": "radial_pressure_mmhg"} | {
      {"time_s": "clock"}.get(signal, "wave"): name for name, signal in (channels or {}).items()
    }
    problem = page.read(path)
    if not problem and page.tab.locator("#choices").is_visible():
      problem = page.read(path, **names)
    stated = getattr(error, "problem", str(error).partition(": ")[2].rpartition(";")[0])
    assert stated.rpartition(": ")[2] in problem or stated in problem, (stated, problem)
    return 0.0
  assert page.read(path) == "", path
  wave, beats = page.saved("Wave as CSV"), page.saved("Beats as CSV")
  np.testing.assert_array_equal(np.isnan(wave["aortic_root_pressure_mmhg"]), np.isnan(expected.aortic_mmhg))
  np.testing.assert_allclose(beats["time_s"], expected.beats.columns["time_s"], atol=6e-4)
  rows = [row.inner_text().split("\t") for row in page.tab.locator("#gap-list tr").all()[1:]]
  assert [row[1] for row in rows] == [gap.reason for gap in expected.gaps]
  assert [row[0] for row in rows] == [f"{gap.start_s:.2f}–{gap.end_s:.2f} s" for gap in expected.gaps]
  said = page.tab.locator("#flag").inner_text()
  unusual = expected.unusual_hr if expected.ood_fraction <= MOST_OOD else ""
  assert (unusual or f"{100 * expected.ood_fraction:.0f} %") in said
  differences = [
    np.abs(wave["aortic_root_pressure_mmhg"] - expected.aortic_mmhg),
    np.abs(wave["high_mmhg"] - wave["low_mmhg"] - 2 * expected.half_width_mmhg) / 2,
    *(np.abs(beats[name] - values) for name, values in expected.beats.columns.items() if name.endswith("mmhg")),
  ]
  largest = max(float(np.nanmax(one)) for one in differences)
  assert largest <= MOST_MMHG, path
  return largest


def cases(reference_data):
  return sorted(
    path
    for path in (reference_data.parent / "cases").rglob("*.csv")
    if path.stem not in ("subjects",) and "PW" not in path.parent.name
  )


def test_it_gives_what_the_command_gives_for_some_cases(page, reference_data):
  chosen = (
    "F0_control",
    "F10a_clipped",
    "F2_semicolon_decimal_comma",
    "F24_three_rows_lost",
    "F4_six_digits_clock",
    "F6b_vitaldb_names",
  )
  some = [path for path in cases(reference_data) if path.stem in chosen]
  assert len(some) == len(chosen)
  for path in some:
    compare(page, path, CHANNELS.get(path.stem))


@pytest.mark.slow
def test_it_gives_what_the_command_gives_for_all_cases(page, reference_data):
  largest = {path.stem: compare(page, path, CHANNELS.get(path.stem)) for path in cases(reference_data)}
  assert len(largest) >= 20
  assert max(largest.values()) <= MOST_MMHG
  print(f"\n{len(largest)} cases, at most {max(largest.values()):.4f} mmHg")


@pytest.mark.parametrize("subjects", tiers.sample([range(3), range(3, 50)], range(3)))
def test_it_gives_what_the_command_gives_for_virtual_subjects(page, subjects, tmp_path):
  largest = []
  for k in subjects:
    fs_hz = (62.5, 125.0, 200.0, 250.0, 1000.0)[k % 5]
    time_s, p_t = virtual(k, fs_hz=fs_hz)
    if k % 3 == 1:  # a short loss, and a longer one
      p_t[400:405] = p_t[int(9 * fs_hz) : int(11 * fs_hz)] = np.nan
    largest.append(compare(page, table(time_s, p_t, tmp_path / f"V{k}.csv")))
  assert len(largest) == len(subjects)
  assert max(largest) <= MOST_MMHG
  print(f"\n{len(largest)} virtual subjects, at most {max(largest):.4f} mmHg")


def test_indices_are_those_of_the_package(tmp_path):
  """AIx and SEVR of the aortic waves of 128 simulated subjects, and the same without an incisura."""
  data, beats = test_waves.nonlinear()["aortic_root"].astype(float), []
  for k, beat in enumerate(data):
    smooth = np.convolve(np.tile(beat, 3), np.ones(60) / 60, "same")[beat.size : 2 * beat.size]
    beats += [np.roll(beat, 7 * k), smooth][: 1 + (k % 8 == 0)]
  feet = np.cumsum([0, *map(len, beats)])
  wave, fs_hz = np.concatenate(beats), 220.0
  (tmp_path / "wave.json").write_text(json.dumps({"wave": wave.tolist(), "feet": feet.tolist()}))
  code = (
    f'import fs from "node:fs"; import {{ beatIndices }} from "{(ROOT / "cap_jax/web").as_uri()}/indices.js";'
    f'const {{ wave, feet }} = JSON.parse(fs.readFileSync("{tmp_path}/wave.json"));'
    f"const found = beatIndices(Float64Array.from(wave), feet, {fs_hz});"
    "console.log(JSON.stringify(Object.fromEntries(Object.entries(found).map(([k, v]) => [k, Array.from(v)]))));"
  )
  (tmp_path / "run.mjs").write_text(code)
  if shutil.which("node") is None:
    pytest.skip("needs Node.js")
  found = json.loads(
    subprocess.run(["node", str(tmp_path / "run.mjs")], check=True, capture_output=True, text=True).stdout
  )
  expected = indices.of_beats(indices.cut(wave, feet), np.diff(feet) / fs_hz).values
  for name, key in (("aix_percent", "aix"), ("sevr_percent", "sevr"), ("ejection_ms", "ejection")):
    np.testing.assert_allclose(np.array(found[name], float), expected[key], atol=1e-6)
    assert np.isfinite(expected[key]).sum() > 100
  assert np.isnan(expected["sevr"]).any()


@pytest.mark.slow
@pytest.mark.parametrize("fs_hz", [125.0, 1000.0])
def test_a_minute_is_reconstructed_within_two_seconds(chromium, radial, fs_hz, tmp_path):
  """From the choice of the file to the flag, in a page that was just opened."""
  path, seconds = table(*virtual(5, 60.0, fs_hz), tmp_path / "minute.csv"), []
  for _ in range(3):
    context = chromium.new_context()
    page = Page(context.new_page(), radial)
    begun = time.perf_counter()
    assert page.read(path) == ""
    seconds.append(time.perf_counter() - begun)
    context.close()
  print(f"\n60 s at {fs_hz:g} Hz: {', '.join(f'{s:.2f}' for s in seconds)} s")
  assert min(seconds) <= 2


def test_the_file_that_was_chosen_last_counts(chromium, radial, tmp_path):
  """Also where an earlier one is read later, and where an earlier one is being computed, which then ends."""
  context = chromium.new_context()
  tab = Page(context.new_page(), radial).tab
  drop = """([name, text, wait]) => {
    const file = new File([text], name);
    const read = file.arrayBuffer.bind(file);
    file.arrayBuffer = async () => { await new Promise((go) => setTimeout(go, wait)); return read(); };
    const event = new Event("drop", { bubbles: true, cancelable: true });
    event.dataTransfer = { files: [file] };
    document.querySelector("#input").dispatchEvent(event);
  }"""
  texts = [table(*virtual(3, seconds), tmp_path / f"{seconds:g}.csv").read_text() for seconds in (8.0, 600.0)]
  tab.evaluate(drop, ["large.csv", texts[0], 1000])
  tab.evaluate(drop, ["small.csv", texts[0], 0])
  tab.locator("#flag:visible").wait_for()
  tab.wait_for_timeout(2500)
  assert tab.locator("#status").inner_text().startswith("small.csv: ")
  tab.evaluate(drop, ["long.csv", texts[1], 0])
  tab.locator("#progress:visible").wait_for()
  tab.evaluate(drop, ["small.csv", texts[0], 0])
  tab.locator("#flag:visible").wait_for()
  reached = tab.locator("#progress").evaluate("bar => bar.value")
  tab.wait_for_timeout(1000)
  assert tab.locator("#progress").evaluate("bar => bar.value") == reached
  context.close()


def test_a_file_can_be_dropped_beside_the_content(opened, radial):
  """The browser would else open it in place of the page."""
  tab, _ = opened
  Page(tab, radial)
  tab.evaluate(
    """() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([""], "empty.csv"));
      for (const kind of ["dragover", "drop"]) {
        const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer });
        if (document.documentElement.dispatchEvent(event)) throw new Error(`${kind} is left to the browser`);
      }
    }"""
  )
  tab.locator("#error:visible").wait_for()
  assert "the file is empty" in tab.locator("#error").inner_text()


@pytest.mark.parametrize("name", ["constructor", "__proto__", "<img src=x onerror=alert(1)>", "\u202ep"])
def test_a_column_may_have_any_name(opened, radial, name, tmp_path):
  tab, _ = opened
  assert Page(tab, radial).read(table(*virtual(3, 8.0), tmp_path / "any.csv", f"time,{name}"), "time", name) == ""


def test_halves_are_rounded_as_in_python(page, tmp_path):
  """The end of a gap, which lies between two hundredths."""
  time_s, p_t = virtual(4, fs_hz=128.0)
  p_t[1024:1297] = np.nan  # 8 s to 10.125 s
  path = table(time_s, p_t, tmp_path / "halves.csv")
  (gap,) = reconstruct.reconstruct(pretrained.load("radial"), datasets.read(csv_file.load(path).entries[0])).gaps
  assert gap.end_s == 10.125
  assert page.read(path) == ""
  assert f"{gap.start_s:.2f}–{gap.end_s:.2f} s" in page.tab.locator("#gap-list").inner_text()


@pytest.mark.slow
def test_what_is_saved_tells_that_the_level_is_unknown(opened, tiny_model, tmp_path):
  """As of a PPG without the reading of a cuff: the wave, the beats, and the picture."""
  tab, _ = opened
  people = cap_jax.cohort("wide", 4, seconds=8.0, sites=("digital_ppg",))
  trained = cap_jax.pretrain(people, steps=50, site="digital_ppg", model=tiny_model).checkpoint
  web_page.write(tmp_path / "ppg.html", [trained])
  page = Page(tab, tmp_path / "ppg.html")
  tab.evaluate(
    """() => { window.drawn = []; const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) { drawn.push(text); fillText.call(this, text, ...place); }; }"""
  )
  assert page.read(table(*virtual(7, 8.0, site="digital"), tmp_path / "record.csv", "time_s,digital_ppg")) == ""
  assert trained.unknown_level
  texts = []
  for button in ("Wave as CSV", "Beats as CSV", "Picture as PNG"):
    with tab.expect_download() as waited:
      tab.get_by_role("button", name=button).click()
    texts.append(pathlib.Path(waited.value.path()).read_bytes().decode(errors="replace"))
  level = trained.unknown_level[1:]  # begins with a capital on the page
  assert all(level in text for text in texts[:2])
  assert level in tab.evaluate("drawn.join(' ')")
