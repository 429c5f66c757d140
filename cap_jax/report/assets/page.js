"use strict";
// the theme: as the system has it, until the reader chooses another
const root = document.documentElement;
const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
let theme = 0;
themeButton?.addEventListener("click", () => {
  theme = (theme + 1) % themes.length;
  if (theme) root.dataset.theme = themes[theme]; else delete root.dataset.theme;
  themeButton.textContent = `Colours: ${themes[theme]}`;
  document.dispatchEvent(new Event("theme"));
});

function colour(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }

// what page.py has packed: whole numbers of two bytes, of which the least is a gap
function unpack({ step, int16 }) {
  const bytes = Uint8Array.from(atob(int16), (letter) => letter.charCodeAt(0));
  return Array.from(new Int16Array(bytes.buffer), (whole) => (whole === -32768 ? null : whole * step));
}

function clock(record) {
  let now = record.start_s;
  return [now, ...unpack(record.steps_s).map((step) => (now += step))];
}

// parts are closed until a link, the printer or the reader opens them; waves are drawn when they come into sight
const waiting = new Set();
function whenOpen(box, draw) {
  const parts = [];
  for (let part = box.closest("details:not([open])"); part; part = part.parentElement.closest("details:not([open])")) parts.push(part);
  if (!parts.length) return draw();
  const once = () => { if (waiting.delete(once)) draw(); };
  waiting.add(once);
  parts[parts.length - 1].addEventListener("toggle", once, { once: true });
}

function reveal(hash) {
  const part = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)))?.closest("details");
  if (part) { part.open = true; part.scrollIntoView(); }
}
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) reveal(link.hash);
});
addEventListener("hashchange", () => reveal(location.hash));

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((part) => { part.open = true; });
  waiting.forEach((draw) => draw());
});
addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));

// a browser of beats: one record at a time, one beat or all of it
function browse(box) {
  const records = JSON.parse(box.querySelector("script").textContent);
  const [plot, select, said] = [".plot", "select", "output"].map((name) => box.querySelector(name));
  let beat = -1;
  const record = () => records[select.selectedIndex];
  const size = () => ({ width: plot.clientWidth, height: 400 });

  function draw() {
    plot.chart?.destroy();
    const ink = colour("--ink");
    const axis = { stroke: ink, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const series = record().series.map((one) => ({
      label: one.name, stroke: one.colour === "ink" ? ink : one.colour, width: one.width, dash: one.dash === "dash" ? [6, 4] : [],
      points: { show: false }, value: (chart, value) => (value === null ? "" : value.toFixed(1)),
    }));
    plot.chart = new uPlot({
      ...size(), scales: { x: { time: false } }, cursor: { points: { size: 6 } },
      axes: [{ ...axis, label: "time [s]" }, { ...axis, label: "pressure [mmHg]", size: 60 }],
      series: [{ label: "time [s]", value: (chart, value) => (value === null ? "" : value.toFixed(3)) }, ...series],
    }, [clock(record()), ...record().series.map((one) => unpack(one.values))], plot);
    show(-1);
  }

  function show(number) {
    const beats = record().beats;
    beat = Math.max(-1, Math.min(number, beats.length - 1));
    const time = plot.chart.data[0];
    const [min, max] = beat < 0 ? [time[0], time[time.length - 1]] : [beats[beat].start_s - 0.1, beats[beat].end_s + 0.1];
    plot.chart.setScale("x", { min, max });
    said.textContent = beat < 0 ? `All ${beats.length} beats of ${record().name}` :
      `Beat ${beat + 1} of ${beats.length}: ${beats[beat].text}`;
  }

  function redraw() {
    const at = beat;
    draw();
    show(at);
  }

  box.querySelector("[data-go=before]").addEventListener("click", () => show(beat - 1));
  box.querySelector("[data-go=after]").addEventListener("click", () => show(beat + 1));
  box.querySelector("[data-go=all]").addEventListener("click", () => show(-1));
  select.addEventListener("change", draw);
  document.addEventListener("theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => { if (plot.clientWidth) plot.chart.setSize(size()); }).observe(plot);
  draw();
}
document.querySelectorAll(".browser").forEach((box) => whenOpen(box, () => browse(box)));

// one point a subject; the text below names the one under the pointer, or the one that the arrow keys reach
function scatter(box) {
  const { names, values, x_label, y_label } = JSON.parse(box.querySelector("script").textContent);
  const [plot, said] = [".plot", "output"].map((name) => box.querySelector(name));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const numbers = names.map((name, k) => k + 1);
  const size = () => ({ width: plot.clientWidth, height: 400 });
  let at = -1;

  function tell(number) {
    at = number;
    said.textContent = names[at] === undefined ? `${names.length} subjects, mean ${mean.toFixed(2)}` : `${names[at]}: ${values[at].toFixed(2)}`;
  }

  function draw() {
    plot.chart?.destroy();
    const ink = colour("--ink");
    const axis = { stroke: ink, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const text = (chart, value) => (value === null ? "" : value.toFixed(2));
    plot.chart = new uPlot({
      ...size(), scales: { x: { time: false, range: (chart, low, high) => [low - 0.5, high + 0.5] } },
      axes: [{ ...axis, label: x_label }, { ...axis, label: y_label, size: 60 }],
      series: [
        { label: x_label, value: (chart, value) => (value === null ? "" : String(value)) },
        { label: y_label, stroke: colour("--mark"), fill: colour("--mark"), paths: () => null, points: { show: true, size: 7 }, value: text },
        { label: "mean", stroke: ink, width: 1, dash: [6, 4], points: { show: false }, value: text },
      ],
      hooks: { setCursor: [(chart) => tell(chart.cursor.idx ?? -1)] },
    }, [numbers, values, values.map(() => mean)], plot);
    tell(-1);
  }

  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) tell(Math.max(0, Math.min(at + step, names.length - 1)));
  });
  document.addEventListener("theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => plot.chart.setSize(size())).observe(plot);
  draw();
}
document.querySelectorAll(".scatter").forEach(scatter);
reveal(location.hash);
