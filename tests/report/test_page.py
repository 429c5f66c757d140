"""The page: one file, nothing fetched, names escaped; opened and clicked through in Chromium."""

import html.parser
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from cap_jax.metrics import standards
from cap_jax.report import answer, methods_text, page, participants, study_report, tables
from cap_jax.study import run_study as studies
from cap_jax.study import study_config, summary

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def sections(small_study, done_study):
  """The opening, then the closed parts."""
  rows = summary.frame(studies.rows(small_study, str(done_study)))
  (clinic,) = study_report.open_clinics(small_study, str(done_study), rows)
  loss = study_report.source_loss(str(done_study))
  reference = standards.Reference(place="in silico", invasive=False)
  return [
    answer.opening([clinic], "in silico", "All subjects are virtual."),
    *study_report.sections(clinic, loss, "in silico", reference),
    *participants.characteristics_section(clinic.groups, clinic.name),
    methods_text.section(methods_text.of_study(clinic, None)),
  ]


@pytest.fixture(scope="module")
def written(sections, tmp_path_factory):
  path = tmp_path_factory.mktemp("page") / "report.html"
  page.write(path, sections[0], sections[1:], {"command": "a <b>"})
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
  assert names == {"waves", "few_labels", "few_shot", "bland_altman", "strata", "training", "features"}
  sheets = {name.removesuffix("_device") for section in sections for name in section.sheets}
  assert sheets == {
    "answer", "methods", "contrasts", "shape", "patients", "agreement", "intervals", "standards", "strata", "budget", "merge",
    "characteristics",
  }  # fmt: skip
  parser = Links()
  parser.feed(written.read_text(encoding="utf-8"))
  pictures = [attrs for _, attrs in parser.tags if attrs.get("role") == "img"]
  assert len(pictures) == 7
  assert all(len(picture["aria-label"]) > 20 for picture in pictures)
  assert ("html", {"lang": "en"}) in parser.tags
  assert all("scope" in attrs for tag, attrs in parser.tags if tag == "th")


def test_figures_and_tables_for_a_paper(sections, tmp_path):
  page.write_figures_and_tables(str(tmp_path), sections)
  starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
  for name in ("waves", "few_labels", "few_shot", "bland_altman", "strata", "training", "features"):
    for ending, start in starts.items():
      assert (tmp_path / "figures" / f"{name}_device.{ending}").read_bytes().startswith(start)
  tex = (tmp_path / "tables" / "methods_device.tex").read_text(encoding="utf-8")
  assert tex.count("\\\\") == 1 + len(next(iter(sections[1].sheets.values())).rows)
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
  drawn = [
    page.Drawn("evil", figure, EVIL, EVIL),
    page.Drawn("evils", figure, EVIL, EVIL, page.Panels([figure], {EVIL: "#000000"})),
  ]
  section = page.Section(
    heading=EVIL, shows=EVIL, text=EVIL, drawn=drawn, browser=browser, sheets={"evil": table, "more": table},
    terms={EVIL: EVIL}, warnings=[EVIL],
  )  # fmt: skip
  path = tmp_path / "evil.html"
  page.write(path, section, [section], {EVIL: EVIL})
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


def open_parts(tab):
  tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")


def shown_range(tab):
  return tab.evaluate("(({ min, max }) => [min, max])(document.querySelector('.plot').chart.scales.x)")


def test_a_reader_clicks_through(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  assert tab.locator(".browser .plot canvas").count() == 0  # what is closed is not drawn
  tab.locator("details", has=tab.locator(".browser")).locator("summary").first.click()
  tab.wait_for_selector(".browser .plot canvas")
  tab.locator(".browser").scroll_into_view_if_needed()
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
def test_the_page_opens_with_the_answer_and_the_rest_is_closed(opened, written, sections):
  tab, _ = opened
  tab.goto(written.as_uri())
  assert tab.locator("h1").inner_text().replace("\xa0", " ") == sections[0].heading
  assert tab.locator("details[open]").count() == 0
  assert tab.locator("table:visible").count() == 1
  assert 1 < tab.locator("table:visible tbody tr").count() <= answer.MOST_ROWS
  assert tab.locator("table:visible tr.own").count() == 1
  assert tab.locator("table:visible b").count() >= 3
  assert tab.locator(".panels svg:visible").count() == 4  # three subjects, and the curve
  parts = tab.locator("details.part")
  assert parts.count() == len(sections)  # with the provenance
  for part, section in zip(parts.all(), sections[1:], strict=False):
    assert len(section.shows.split()) >= 5
    assert section.shows in part.locator("summary").first.inner_text()


def test_no_column_that_a_reader_sees_tells_no_rows_apart(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  tables = tab.evaluate(
    "[...document.querySelectorAll('table:not(.facts)')].map(t => [...t.rows].map(r => [...r.cells].map(c => c.textContent)))"
  )
  assert len(tables) >= 12
  for head, *rows in tables:
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    assert len(columns) == len(head)
    assert not [name for name, cells in columns.items() if not any(cells) or (len(rows) > 1 and len(set(cells)) == 1)]


@pytest.mark.slow
def test_links_open_the_parts_that_they_lead_to(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  links = tab.locator("nav a").all()
  assert len(links) == tab.locator("details.part").count()
  for link in links:
    target = tab.locator(f"[id='{link.get_attribute('href')[1:]}']")
    assert target.count() == 1
    assert not target.is_visible()
    link.click()
    assert target.is_visible()
    target.evaluate("part => { part.closest('details').open = false; }")
    link.click()  # once more, though the address stays
    assert target.is_visible()
  tab.goto("about:blank")
  tab.goto(f"{written.as_uri()}#patient-characteristics")
  assert tab.locator("#patient-characteristics table").is_visible()
  assert (
    tab.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == tab.locator("[id]").count()
  )


@pytest.mark.slow
def test_the_printer_sees_everything(opened, written):
  tab, _ = opened
  tab.goto(written.as_uri())
  tab.evaluate("dispatchEvent(new Event('beforeprint'))")
  assert tab.locator("details:not([open])").count() == 0
  assert tab.locator(".browser .plot canvas").count() == 1
  tab.evaluate("dispatchEvent(new Event('afterprint'))")
  assert tab.locator("details[open]").count() == 0
  tab.emulate_media(media="print")
  assert tab.locator("table:visible").count() == tab.locator("table").count()  # also without a script


@pytest.mark.slow
def test_on_a_phone_nothing_sticks_out(chromium, written):
  context = chromium.new_context(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
  tab = context.new_page()
  tab.goto(written.as_uri())
  assert tab.evaluate("document.documentElement.scrollWidth") <= 390
  open_parts(tab)
  tab.wait_for_selector(".browser .plot canvas")
  assert tab.evaluate("document.documentElement.scrollWidth") <= 390
  # a figure keeps its size and moves in its frame; the panels and the plot of beats fit
  width = "e => e.getBoundingClientRect().width"
  assert tab.locator("figure .scroll > svg").first.evaluate(width) > 500
  assert all(300 < svg.evaluate(width) <= 390 for svg in tab.locator(".panels svg").all())
  # the names stay in sight while the numbers move, and leave room for two of them
  frame = tab.locator("#all-methods .scroll:has(table)").first
  frame.evaluate("e => { e.scrollLeft = 300; }")
  names = frame.locator("tbody th").all()
  assert frame.evaluate("e => e.scrollLeft") == 300
  assert all(0 <= name.bounding_box()["x"] < 30 and name.bounding_box()["width"] < 160 for name in names)
  assert all(svg.evaluate(width) <= 390 for svg in tab.locator(".browser svg").all())
  context.close()


def test_a_script_in_a_name_is_text(opened, evil):
  tab, _ = opened
  tab.goto(evil.as_uri())
  open_parts(tab)
  tab.wait_for_selector(".browser .plot canvas")
  assert tab.locator("h1").inner_text() == EVIL
  tab.get_by_role("button", name="Next beat").first.click()
  assert EVIL in tab.locator(".browser output").first.inner_text()


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
  page.write(path, page.Section(heading="a", browser=page.Browser([one], "e")), [], {})
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
