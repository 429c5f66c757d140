// The page: a file, what its columns are, the reconstruction, and what can be saved.

import { fixedText, pause } from "./blocks.js";
import { drawChart, legendOf, showBeat } from "./chart.js";
import { Choices, chosenWords, unitRemark } from "./choices.js";
import { saveBeats, savePicture, saveWave } from "./downloads.js";
import { unpackNetwork } from "./network.js";
import { readingsText, results } from "./results.js";
import { InputError, makeRecording } from "./recording.js";
import { reconstruct } from "./reconstruct.js";
import { readColumns, readHeader } from "./table.js";
import { element, wordsOf } from "./words.js";

const find = (query) => document.querySelector(query);
const KINDS_OF_FILE = [
  ["PK", "is a spreadsheet or an archive", "save it as CSV in the program that made it"],
  ["MATLAB", "is a MATLAB file", "export the record as CSV"],
];

// what belongs to another file or choice must not stay in sight
const clearPage = (status) => {
  ["#result", "#error", "#progress"].forEach((name) => (find(name).hidden = true));
  find("#status").textContent = status;
};

const showError = (error) => {
  clearPage("");
  const known = error instanceof InputError;
  const problem = known ? `This record cannot be reconstructed: ${error.problem}.` : `The page failed: ${error.message}.`;
  const lines = known ? [problem, `What to do: ${error.remedy}. If you change the file, choose it again.`] : [problem];
  find("#error").replaceChildren(...lines.map((line) => element("p", line)));
  find("#error").hidden = false;
};

/** Refuses a file that is no text, and names its kind, which its first bytes show. */
const checkKind = (bytes) => {
  const first = String.fromCharCode(...bytes.subarray(0, 6));
  for (const [mark, problem, remedy] of KINDS_OF_FILE) {
    if (first.startsWith(mark)) throw new InputError(problem, remedy);
  }
};

const bytesOf = async (file) => {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new InputError("the file cannot be read", "choose a file, not a folder, that still exists");
  }
};

/** Refuses a table of which another known column is wrong, as the command does. */
const checkOthers = (columns, others, time_s) => {
  for (const name of others.filter((column) => columns[column].some(Number.isFinite))) {
    const pressure = name.endsWith("_pressure_mmhg");
    try {
      makeRecording({ time_s, wave: columns[name], unit: "mmhg", pressure });
    } catch (error) {
      throw new InputError(`column ${name}: ${error.problem}`, error.remedy);
    }
  }
};

/** Reads the chosen columns of a file as a record; beside a known column, the other known ones are checked too. */
const readRecord = (bytes, header, network, choices, readings, signals) => {
  const isKnown = (name) => Object.hasOwn(signals, name);
  const others = isKnown(choices.wave) ? [...new Set(header.names)].filter((name) => isKnown(name) && name !== choices.wave) : [];
  const names = [choices.time, choices.wave, ...others].filter((name) => name !== null);
  const { columns, notes } = readColumns(bytes, header, names);
  const wave = columns[choices.wave];
  const time_s = choices.time === null ? wave.map((_, k) => k / choices.rate_hz)
    : choices.seconds === 1 ? columns[choices.time] : columns[choices.time].map((time) => time * choices.seconds);
  checkOthers(columns, others, time_s);
  const recording = makeRecording({ time_s, wave, unit: choices.unit, pressure: network.pressure });
  return { ...recording, covariates: readings, notes: [...notes, ...recording.notes] };
};

const showGaps = (gaps) => {
  const list = find("#gap-list");
  if (!gaps.length) return list.replaceChildren(element("p", "No gaps."));
  const table = element("table");
  const row = (tag, cells, attributes) => {
    const made = element("tr");
    made.append(...cells.map((text) => element(tag, text, attributes)));
    return made;
  };
  const times = ({ start_s, end_s }) => `${fixedText(start_s, 2)}–${fixedText(end_s, 2)} s`;
  const rows = gaps.map((gap) => row("td", [times(gap), gap.reason]));
  table.append(row("th", ["Time", "Reason"], { scope: "col" }), ...rows);
  return list.replaceChildren(table);
};

const showNumbers = (shown) => {
  Object.assign(find("#flag"), { textContent: shown.flag.text, className: shown.flag.kind });
  find("#pressures").textContent = `Pressures${shown.flag.kind === "harm" ? " — see the warning above" : ""}`;
  find("#remarks").replaceChildren(...shown.remarks.map((text) => element("li", text)));
  find("#interval-name").textContent = `${shown.level} interval of a beat`.trim();
  find("#numbers").className = shown.flag.kind;
  find("#numbers tbody").replaceChildren(...shown.rows.map(({ name, mean, interval, sd, unit, main }) => {
    const row = element("tr", undefined, main ? { class: "main" } : {});
    row.append(element("th", name, { scope: "row" }), ...[mean, interval, sd, unit].map((text) => element("td", text)));
    return row;
  }));
  find("#interval").textContent = shown.interval;
};

/** Returns what a saved file says of itself, a line each. */
const factsOf = ({ origin, ...wave }, shown, note) => [
  `Aortic pressure reconstructed from ${origin.file}, ${origin.site} wave`,
  shown.flag.text,
  ...shown.remarks,
  ...(shown.interval ? [shown.interval] : []),
  ...wave.gaps.map(({ start_s, end_s, reason }) => `Gap ${fixedText(start_s, 2)} to ${fixedText(end_s, 2)} s: ${reason}.`),
  `Columns: ${origin.chosen}. Made ${origin.made} by ${origin.by}.`,
  `Not for clinical use: ${note}.`,
];

/** What the page shows, and what its controls do. */
class Page {
  constructor(facts) {
    this.facts = facts;
    this.packed = [...document.querySelectorAll("script.network")];
    this.choices = new Choices(find("#choices"), facts);
    this.plot = find(".plot");
    this.run = 0; // counts: what an earlier file or choice still computes is dropped
    this.place = 0; // of the network
    this.wave = null;
  }

  async load(place) {
    if (this.network && place === this.place) return;
    const text = this.packed[place].textContent;
    this.network = await unpackNetwork(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    this.place = place;
    find("#version").textContent = this.madeBy();
  }

  madeBy() {
    return `cap_jax ${this.facts.version}, weights with SHA-256 ${this.network.sha256.slice(0, 12)}…`;
  }

  /** Forgets the result, and whatever is computed. Returns the number of the new run. */
  begin(status) {
    this.wave = null;
    clearPage(status);
    return ++this.run;
  }

  async open(file) {
    const own = this.begin(`Reading ${file.name}…`);
    find("#choices").hidden = true;
    try {
      const bytes = new Uint8Array(await bytesOf(file));
      checkKind(bytes);
      const header = readHeader(bytes, [this.facts.time, ...Object.keys(this.facts.signals)]);
      await this.load(this.choices.networkFor(header, this.place));
      if (own !== this.run) return;
      Object.assign(this, { file: file.name, bytes, header });
      await this.fill();
    } catch (error) {
      if (own === this.run) showError(error);
    }
  }

  async fill() {
    const missing = this.choices.fill(this.header, this.network, this.place);
    if (missing) clearPage(`Give ${missing}, and press Reconstruct.`);
    else await this.reconstruct();
  }

  async reconstruct() {
    const own = this.begin(`Reading ${this.file}…`);
    const [bar, network, file] = [find("#progress"), this.network, this.file];
    try {
      const chosen = this.choices.values(network);
      const readings = this.choices.readings(network);
      await pause(); // a large file is read in one go
      const recording = readRecord(this.bytes, this.header, network, chosen, readings, this.facts.signals);
      bar.hidden = false;
      const wave = await reconstruct(recording, network, (done, total) => {
        if (own !== this.run) throw new Error("replaced by a later choice");
        bar.value = done / total;
      });
      if (own !== this.run) return;
      wave.notes = [unitRemark(chosen).replace(/\.$/, ""), readingsText(readings).replace(/\.$/, ""), ...wave.notes].filter(Boolean);
      wave.origin = {
        file, site: wordsOf(network.site), chosen: chosenWords(chosen), made: new Date().toISOString().slice(0, 16), by: this.madeBy(),
      };
      this.show(wave, network);
    } catch (error) {
      if (own === this.run) showError(error);
    }
  }

  show(wave, network) {
    this.shown = results(wave, network, this.facts.most_ood);
    Object.assign(this, { wave, beat: -1 });
    clearPage(`${wave.origin.file}: ${wave.beats.time_s.length} beats.`);
    showNumbers(this.shown);
    showGaps(wave.gaps);
    find("#result").hidden = false;
    this.draw();
  }

  draw() {
    if (!this.wave) return;
    this.chart?.destroy();
    this.chart = drawChart(this.plot, this.wave, (text) => (find("output").textContent = text));
    this.goTo(this.beat);
  }

  goTo(beat) {
    this.beat = Math.max(-1, Math.min(beat, this.wave.beats.time_s.length - 1));
    find("output").textContent = showBeat(this.chart, this.wave, this.beat);
  }

  save(kind) {
    const { wave, shown } = this;
    const stem = wave.origin.file.replace(/\.[^.]*$/, "");
    const facts = factsOf(wave, shown, this.facts.note);
    if (kind === "wave") saveWave(`${stem}_aortic.csv`, wave, facts);
    else if (kind === "beats") saveBeats(`${stem}_beats.csv`, wave.beats, facts);
    else this.savePicture(`${stem}_aortic.png`, facts);
  }

  /** Saves the plot in light colours, whatever the page has, with the main numbers. */
  savePicture(name, facts) {
    const theme = document.documentElement.dataset.theme;
    const beat = this.beat;
    const number = ({ name: quantity, mean, interval, unit }) => `${quantity} ${mean}${interval ? ` (${interval})` : ""} ${unit}`;
    const lines = [...facts.slice(0, 2), this.shown.rows.filter(({ main }) => main).map(number).join("; "), ...facts.slice(2)];
    document.documentElement.dataset.theme = "light";
    this.draw();
    this.goTo(beat);
    // the chart draws before the next frame
    requestAnimationFrame(() => setTimeout(() => {
      savePicture(name, this.chart.ctx.canvas, lines, legendOf(this.wave));
      if (theme) document.documentElement.dataset.theme = theme;
      else delete document.documentElement.dataset.theme;
      this.draw();
      this.goTo(beat);
    }));
  }
}

const listenToFiles = (page) => {
  const input = find("#file");
  input.addEventListener("click", () => (input.value = "")); // so that a mended file can be chosen again
  input.addEventListener("change", () => input.files[0] && page.open(input.files[0]));
  const over = (event, is) => {
    event.preventDefault();
    find("#input").classList.toggle("over", is);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, false));
  document.addEventListener("drop", (event) => {
    over(event, false);
    if (!event.dataTransfer.files[0]) return;
    input.value = ""; // it would name another file
    page.open(event.dataTransfer.files[0]);
  });
  const example = page.facts.example;
  find("#example").hidden = !example;
  find("#example").addEventListener("click", () => {
    input.value = "";
    page.open(new File([example], "simulated.csv"));
  });
};

const listenToChoices = (page) => {
  const form = find("#choices");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    page.reconstruct();
  });
  form.addEventListener("input", async (event) => {
    const own = page.begin("The choices have changed: press Reconstruct.");
    if (event.target.name === "network") {
      await page.load(Number(event.target.value));
      if (own === page.run) await page.fill();
    } else page.choices.show(page.network);
  });
};

const listenToResult = (page) => {
  const steps = { before: () => page.beat - 1, after: () => page.beat + 1, all: () => -1 };
  for (const [name, beat] of Object.entries(steps)) {
    find(`[data-go=${name}]`).addEventListener("click", () => page.goTo(beat()));
  }
  for (const kind of ["wave", "beats", "picture"]) find(`#save-${kind}`).addEventListener("click", () => page.save(kind));
  const themes = ["auto", "light", "dark"];
  find("#theme").addEventListener("click", (event) => {
    const { dataset } = document.documentElement;
    const theme = themes[(themes.indexOf(dataset.theme ?? "auto") + 1) % themes.length];
    if (theme === "auto") delete dataset.theme;
    else dataset.theme = theme;
    event.target.textContent = `Colours: ${theme}`;
    page.draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.draw());
  new ResizeObserver(() => page.wave && page.chart.setSize({ width: page.plot.clientWidth, height: 400 })).observe(page.plot);
};

const startPage = () => {
  const page = new Page(JSON.parse(find("#facts").textContent));
  [listenToFiles, listenToChoices, listenToResult].forEach((listen) => listen(page));
};

startPage();
