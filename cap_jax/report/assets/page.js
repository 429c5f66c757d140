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
  new ResizeObserver(() => plot.chart.setSize(size())).observe(plot);
  draw();
}
document.querySelectorAll(".browser").forEach(browse);
