"use strict";
// the theme: as the system has it, until the reader chooses another
const root = document.documentElement;
const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
let theme = 0;
themeButton.addEventListener("click", () => {
  theme = (theme + 1) % themes.length;
  if (theme) root.dataset.theme = themes[theme]; else delete root.dataset.theme;
  themeButton.textContent = `Colours: ${themes[theme]}`;
  document.dispatchEvent(new Event("theme"));
});

function colours() {
  const style = getComputedStyle(root);
  return { ink: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
}

// a browser of beats: one record at a time, one beat or all of it
function browse(box) {
  const records = JSON.parse(box.querySelector("script").textContent);
  const [plot, select, said] = [".plot", "select", "output"].map((name) => box.querySelector(name));
  let beat = -1;
  const record = () => records[select.selectedIndex];

  function look() {
    const { ink, line } = colours();
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink }, margin: { t: 10, r: 10, b: 45, l: 55 },
      hovermode: "x unified", hoverlabel: { bgcolor: getComputedStyle(root).getPropertyValue("--paper").trim() },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: { ...axis, title: { text: "time [s]" }, automargin: true }, yaxis: { ...axis, title: { text: "pressure [mmHg]" } },
    };
  }

  function draw() {
    const { ink } = colours();
    const traces = record().series.map((one) => ({
      x: record().time_s, y: one.values, name: one.name, mode: "lines", connectgaps: false,
      line: { color: one.colour === "ink" ? ink : one.colour, width: one.width, dash: one.dash }, hovertemplate: "%{y:.1f}",
    }));
    Plotly.react(plot, traces, look(), { responsive: true, displayModeBar: false });
    show(-1);
  }

  function show(number) {
    const beats = record().beats;
    beat = Math.max(-1, Math.min(number, beats.length - 1));
    const whole = record().time_s;
    const range = beat < 0 ? [whole[0], whole[whole.length - 1]] : [beats[beat].start_s - 0.1, beats[beat].end_s + 0.1];
    Plotly.relayout(plot, { "xaxis.range": range });
    said.textContent = beat < 0 ? `All ${beats.length} beats of ${record().name}` :
      `Beat ${beat + 1} of ${beats.length}: ${beats[beat].text}`;
  }

  box.querySelector("[data-go=before]").addEventListener("click", () => show(beat - 1));
  box.querySelector("[data-go=after]").addEventListener("click", () => show(beat + 1));
  box.querySelector("[data-go=all]").addEventListener("click", () => show(-1));
  select.addEventListener("change", draw);
  document.addEventListener("theme", () => { const at = beat; draw(); show(at); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { const at = beat; draw(); show(at); });
  draw();
}
document.querySelectorAll(".browser").forEach(browse);
