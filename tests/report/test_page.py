"""The page: one file, nothing fetched, names escaped; opened and clicked through in Chromium."""

import html.parser
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from cap_jax.metrics import standards
from cap_jax.report import page, study_report, study_tables, tables
from cap_jax.study import run_study as studies
from cap_jax.study import study_config, summary

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def sections(small_study, done_study):
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  (clinic,) = study_report.open_clinics(small_study, str(done_study), rows)
  loss = study_report.source_loss(str(done_study))
  return study_report.sections(clinic, loss, "in silico", standards.Reference(place="in silico", invasive=False))


@pytest.fixture(scope="module")
def written(sections, tmp_path_factory):
  path = tmp_path_factory.mktemp("page") / "report.html"
  page.write(path, "Title", "in silico", study_tables.EXPLAINED, sections, {"command": "a <b>"})
  return path


class Links(html.parser.HTMLParser):
  """Everything that a page would fetch."""

  def __init__(self):
    super().__init__()
    self.found, self.tags, self.stack = [], [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    for name, value in attrs:
      outside = name in ("src", "srcset", "data", "action") or (
        name in ("href", "xlink:href") and not str(value).startswith("#")
      )
      if outside and not str(value).startswith("data:"):
        self.found.append((tag, name, value))


def test_nothing_is_fetched(written):
  parser = Links()
  text = written.read_text(encoding="utf-8")
  parser.feed(text)
  assert parser.found == []
  styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
  assert not any("@import" in style or "url(http" in style for style in styles)
  assert len(text) < 1_300_000


def test_the_page_has_all_its_parts(sections, written):
  names = {drawn.name.removesuffix("_device") for section in sections for drawn in section.drawn}
  assert names == {"waves", "few_shot", "bland_altman", "strata", "training", "features"}
  sheets = {name.removesuffix("_device") for section in sections for name in section.sheets}
  assert sheets == {"methods", "contrasts", "shape", "agreement", "intervals", "standards", "strata", "budget", "merge"}
  parser = Links()
  parser.feed(written.read_text(encoding="utf-8"))
  pictures = [attrs for tag, attrs in parser.tags if tag == "svg"]
  assert len(pictures) == 6
  assert all(p["role"] == "img" and len(p["aria-label"]) > 20 for p in pictures)
  assert ("html", {"lang": "en"}) in parser.tags
  assert all("scope" in attrs for tag, attrs in parser.tags if tag == "th")


def test_figures_and_tables_for_a_paper(sections, tmp_path):
  page.write_figures_and_tables(str(tmp_path), sections)
  starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
  for name in ("waves", "few_shot", "bland_altman", "strata", "training", "features"):
    for ending, start in starts.items():
      assert (tmp_path / "figures" / f"{name}_device.{ending}").read_bytes().startswith(start)
  tex = (tmp_path / "tables" / "methods_device.tex").read_text(encoding="utf-8")
  assert tex.count("\\\\") == 1 + len(next(iter(sections[0].sheets.values())).rows)
  assert len(list((tmp_path / "tables").iterdir())) == 2 * sum(len(section.sheets) for section in sections)


def record(name):
  return {
    "name": name,
    "time_s": [0.0, 0.5, 1.0],
    "series": [{"name": EVIL, "colour": "ink", "width": 1, "values": [80, 120, 80]}],
    "beats": [{"start_s": 0.0, "end_s": 1.0, "text": EVIL}],
  }


@pytest.fixture
def evil(tmp_path):
  table = tables.Table((EVIL, "x"), [(EVIL, EVIL)], caption=EVIL)
  browser = page.Browser([record(EVIL)], EVIL)
  figure = evil_figure()
  section = page.Section(EVIL, EVIL, [page.Drawn("evil", figure, EVIL, EVIL)], browser, {"evil": table})
  path = tmp_path / "evil.html"
  page.write(path, EVIL, EVIL, EVIL, [section], {EVIL: EVIL})
  return path


def evil_figure():
  figure = Figure()
  figure.subplots().set_title(EVIL)
  return figure


@pytest.mark.quick
def test_names_are_escaped(evil):
  text = evil.read_text(encoding="utf-8")
  assert EVIL not in text
  assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.quick
def test_a_record_of_beats(small_study):
  """Outer quarter seconds are left empty; a beat is told in words."""
  study = study_config.Study(windows=small_study.windows)
  t = np.arange(500) / 125
  wave = (75 + 40 * np.exp(-(((t % 0.8) - 0.25) ** 2) / 0.006))[None].repeat(2, 0)
  output = study_report.record("best: p1", {"true": wave, "scratch": wave + 2}, wave + 5, study)
  values = output["series"][1]["values"]
  margin = study.windows.margin
  assert np.isnan(values[:margin]).all()
  assert np.isnan(values[500 - margin : 500]).all()
  assert output["time_s"][500] == 4.0
  assert output["beats"][0]["text"].startswith("aortic root, true cSBP 115.0, cDBP ")
  assert "network from scratch cSBP 117.0" in output["beats"][0]["text"]
  assert all(a["end_s"] > a["start_s"] for a in output["beats"])


def background(tab):
  return tab.evaluate("getComputedStyle(document.body).backgroundColor")


def shown_range(tab):
  return tab.evaluate("(({ min, max }) => [min, max])(document.querySelector('.plot').chart.scales.x)")


def test_a_reader_clicks_through(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  tab.wait_for_selector(".browser .plot canvas")
  tab.locator(".browser").scroll_into_view_if_needed()  # what is out of sight is not drawn
  tab.wait_for_function("document.querySelector('.browser output').innerText.startsWith('All')")
  said = tab.locator(".browser output")
  whole = shown_range(tab)
  # beat by beat
  tab.get_by_role("button", name="Next beat").click()
  assert said.inner_text().startswith("Beat 1 of ")
  assert "cSBP" in said.inner_text()
  first = shown_range(tab)
  assert first[1] - first[0] < 2 < whole[1] - whole[0]
  tab.get_by_role("button", name="Next beat").click()
  assert shown_range(tab)[0] > first[0]
  tab.get_by_role("button", name="Previous beat").click()
  assert shown_range(tab) == first
  # hover tells the values, a drag zooms
  plot = tab.locator(".browser .plot").bounding_box()
  middle = plot["y"] + plot["height"] * 0.4
  tab.mouse.move(plot["x"] + plot["width"] * 0.5, middle)
  legend = tab.locator(".browser .u-legend")
  tab.wait_for_function("() => /true\\s*\\d+\\.\\d/.test(document.querySelector('.browser .u-legend').innerText)")
  assert legend.locator("tr").count() == 1 + len(json.loads(tab.locator(".browser script").inner_text())[0]["series"])
  tab.mouse.move(plot["x"] + plot["width"] * 0.4, middle)
  tab.mouse.down()
  tab.mouse.move(plot["x"] + plot["width"] * 0.6, middle + 5, steps=5)
  tab.mouse.up()
  tab.wait_for_function(
    f"() => {{ const r = document.querySelector('.plot').chart.scales.x; return r.max - r.min < {first[1] - first[0]} }}"
  )
  # another record
  choice = tab.get_by_label("Record")
  names = choice.locator("option").all_inner_texts()
  assert [name.split(":")[0] for name in names] == ["best", "median", "worst"]
  choice.select_option(index=2)
  assert names[2] in said.inner_text()
  assert shown_range(tab) == whole


@pytest.mark.slow
def test_light_and_dark(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  light = background(tab)
  button = tab.get_by_role("button", name="Colours")
  button.click()
  assert button.inner_text() == "Colours: light"
  assert background(tab) == light
  button.click()
  assert button.inner_text() == "Colours: dark"
  dark = background(tab)
  assert dark != light
  button.click()
  tab.emulate_media(color_scheme="dark")
  assert background(tab) == dark


@pytest.mark.slow
def test_tables_unfold_and_links_lead_somewhere(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  folded = tab.locator("details")
  assert folded.count() >= 4
  folded.first.locator("summary").click()
  assert folded.first.locator("table").is_visible()
  for link in tab.locator("nav a").all():
    target = link.get_attribute("href")
    assert tab.locator(f"[id='{target[1:]}']").count() == 1
  assert (
    tab.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == tab.locator("[id]").count()
  )


@pytest.mark.slow
def test_on_a_phone_nothing_sticks_out(chromium, written):
  context = chromium.new_context(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
  tab = context.new_page()
  tab.goto(written.as_uri())
  tab.wait_for_selector(".browser .plot canvas")
  assert tab.evaluate("document.documentElement.scrollWidth") <= 390
  # a figure keeps its size and moves in its frame; the plot of beats fits
  width = "e => e.getBoundingClientRect().width"
  assert tab.locator("figure .scroll > svg").first.evaluate(width) > 500
  assert all(svg.evaluate(width) <= 390 for svg in tab.locator(".browser svg").all())
  context.close()


def test_a_script_in_a_name_is_text(opened, evil):
  tab, _ = opened
  tab.goto(evil.as_uri())
  tab.wait_for_selector(".browser .plot canvas")
  assert tab.locator("h1").inner_text() == EVIL
  tab.get_by_role("button", name="Next beat").click()
  assert EVIL in tab.locator(".browser output").inner_text()


@pytest.mark.parametrize("largest", [120.0, 900.0])
def test_packed_waves_are_those_of_the_record(opened, tmp_path, largest):
  """Also on a clock with a gap, and a wave too large for steps of 0.01."""
  tab, _ = opened
  t = np.concatenate([np.arange(500), np.arange(900, 1500)]) / 125
  wave = largest * np.sin(t)
  wave[100:120] = np.nan
  one = {
    "name": "a", "time_s": t, "series": [{"name": "w", "colour": "ink", "width": 1, "values": wave}],
    "beats": [{"start_s": 0.0, "end_s": 1.0, "text": "first"}],
  }  # fmt: skip
  path = tmp_path / "one.html"
  page.write(path, "a", "b", "c", [page.Section("d", browser=page.Browser([one], "e"))], {})
  tab.goto(path.as_uri())
  clock, shown = tab.evaluate("document.querySelector('.plot').chart.data")
  np.testing.assert_allclose(clock, t, rtol=0, atol=1e-9)
  shown = np.array([np.nan if value is None else value for value in shown])
  np.testing.assert_allclose(shown, wave, rtol=0, atol=0.0051 if largest < 300 else 0.015)


def test_a_plot_in_a_notebook_names_the_subject_under_the_pointer(opened):
  tab, _ = opened
  tab.set_content(
    page.frame_of_points({"</script>P01": 1.0, "P02": 2.5, "P03": 4.0}, "subjects, by their error", "RMSE [mmHg]")
  )
  inside = tab.frame_locator("iframe")
  said = inside.locator("output")
  assert said.inner_text() == "3 subjects, mean 2.50"
  plot = inside.locator(".u-over").bounding_box()
  tab.mouse.move(plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 2)
  assert said.inner_text() == "P02: 2.50"
  inside.locator(".plot").focus()
  tab.keyboard.press("ArrowLeft")
  assert said.inner_text() == "</script>P01: 1.00"
