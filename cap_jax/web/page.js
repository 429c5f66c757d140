// The page: a file, what its columns are, the reconstruction, and what can be saved.

import { drawChart, showBeat } from "./chart.js";
import { saveBeats, savePicture, saveWave } from "./downloads.js";
import { unpackNetwork } from "./network.js";
import { results, flagOf } from "./results.js";
import { InputError, makeRecording, TO_MMHG } from "./recording.js";
import { reconstruct } from "./reconstruct.js";
import { guessColumns, readColumns, readHeader } from "./table.js";

const READINGS = {
  age: "Age, in years", cuff_sbp_mmhg: "Cuff: systolic, in mmHg", cuff_dbp_mmhg: "Cuff: diastolic, in mmHg", cuff_map_mmhg: "Cuff: mean, in mmHg",
  invasive_map_mmhg: "Catheter: mean, in mmHg", invasive_dbp_mmhg: "Catheter: diastolic, in mmHg",
};
const CHOOSE = "choose…";

const wordsOf = (name) => name.replaceAll("_", " ").replace(/\bppg\b/, "PPG");

const element = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
};

const fillSelect = (select, values, chosen, words = (value) => value) => {
  select.replaceChildren(...values.map((value) => {
    const option = element("option", words(value), { value });
    option.selected = value === chosen;
    return option;
  }));
};

const startPage = () => {
  const find = (query) => document.querySelector(query);
  const facts = JSON.parse(find("#facts").textContent);
  const packed = [...document.querySelectorAll("script.network")];
  const form = find("#choices");
  const [plot, said] = [find(".plot"), find(".controls output")];
  // what the page shows: the file, its header, the network, and the last reconstruction
  const now = { file: null, bytes: null, header: null, network: null, wave: null, chart: null, beat: -1, run: 0 };

  const madeBy = () => `cap_jax ${facts.version}, weights with SHA-256 ${now.network.sha256.slice(0, 12)}…`;

  const networkOf = async (place) => {
    const text = packed[place].textContent;
    return unpackNetwork(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  };

  // what belongs to another file or choice must not stay in sight
  const clear = (status) => {
    ["#result", "#error", "#progress"].forEach((name) => (find(name).hidden = true));
    find("#status").textContent = status;
  };

  const showError = (error) => {
    clear("");
    const box = find("#error");
    const known = error instanceof InputError;
    const problem = known ? error.problem : `The page failed: ${error.message}.`;
    box.replaceChildren(element("p", known ? `This record cannot be reconstructed: ${problem}.` : problem));
    if (known) box.append(element("p", `What to do: ${error.remedy}.`));
    box.hidden = false;
  };

  const showChoices = () => {
    const { header, network } = now;
    find("#version").textContent = madeBy();
    const columnOfSite = Object.keys(facts.signals).find((column) => facts.signals[column] === network.site);
    const guess = guessColumns(header.names, facts.time, columnOfSite);
    const names = [...new Set(header.names.filter((name) => name))];
    fillSelect(form.elements.network, facts.sites.map((site, place) => String(place)), form.elements.network.value || "0",
      (place) => wordsOf(facts.sites[place]));
    fillSelect(form.elements.time, ["", ...names], guess.time ?? "", (name) => name || CHOOSE);
    fillSelect(form.elements.wave, ["", ...names], guess.wave ?? "", (name) => name || CHOOSE);
    const units = Object.keys(TO_MMHG);
    const named = units.find((unit) => unit !== "mmhg" && (guess.wave ?? "").toLowerCase().includes(unit));
    fillSelect(form.elements.unit, units, named ?? "mmhg", (unit) => ({ mmhg: "mmHg", kpa: "kPa", cmh2o: "cmH2O" })[unit] ?? unit);
    form.querySelector("[data-choice=network]").hidden = facts.sites.length < 2;
    form.querySelector("[data-choice=unit]").hidden = !network.pressure;
    const known = Object.fromEntries([...form.querySelectorAll("[data-reading]")].map((one) => [one.dataset.reading, one.value]));
    const wanted = [...network.readings, ...network.optional];
    form.querySelector("[data-choice=readings]").replaceChildren(...wanted.map((name) => {
      const optional = network.readings.includes(name) ? "" : " (optional)";
      const label = element("label", (READINGS[name] ?? wordsOf(name)) + optional);
      label.append(element("input", undefined, { type: "number", step: "any", "data-reading": name, value: known[name] ?? "" }));
      return label;
    }));
    form.hidden = false;
    return guess.time && guess.wave && !network.readings.length;
  };

  const covariatesOf = () => {
    const covariates = {};
    for (const input of form.querySelectorAll("[data-reading]")) {
      const value = input.valueAsNumber;
      if (Number.isFinite(value)) covariates[input.dataset.reading] = value;
      else if (now.network.readings.includes(input.dataset.reading)) {
        throw new InputError(`${READINGS[input.dataset.reading] ?? input.dataset.reading}: no number`, "type in the reading");
      }
    }
    return covariates;
  };

  const readRecord = () => {
    const { bytes, header, network } = now;
    const [time, column, unit] = ["time", "wave", "unit"].map((name) => form.elements[name].value);
    if (!time || !column) throw new InputError(`no ${time ? "wave" : "time"} column is chosen`, "choose it above");
    if (time === column) throw new InputError("the time and the wave are the same column", "choose another wave column");
    const signal = facts.signals[column];
    if (signal && signal !== network.site) {
      const remedy = `choose the column of a ${wordsOf(network.site)} wave, or use the page of a network for ${wordsOf(signal)} waves`;
      throw new InputError(`column ${column} holds a ${wordsOf(signal)} wave, but the network reads ${wordsOf(network.site)} ones`, remedy);
    }
    const { columns, notes } = readColumns(bytes, header, [time, column]);
    const recording = makeRecording({ time_s: columns[time], wave: columns[column], unit, pressure: network.pressure });
    return { ...recording, covariates: covariatesOf(), notes: [...notes, ...recording.notes] };
  };

  const redraw = () => {
    if (!now.wave) return;
    now.chart?.destroy();
    now.chart = drawChart(plot, now.wave, wordsOf(now.network.site));
    said.textContent = showBeat(now.chart, now.wave, now.beat);
  };

  const showGaps = (gaps) => {
    const list = find("#gap-list");
    if (!gaps.length) return list.replaceChildren(element("p", "No gaps."));
    const table = element("table");
    const rows = gaps.map(({ start_s, end_s, reason }) => {
      const row = element("tr");
      row.append(element("td", `${start_s.toFixed(2)}–${end_s.toFixed(2)} s`), element("td", reason));
      return row;
    });
    const head = element("tr");
    head.append(element("th", "Time", { scope: "col" }), element("th", "Reason", { scope: "col" }));
    table.append(head, ...rows);
    return list.replaceChildren(table);
  };

  const showResult = (wave) => {
    const { flag, remarks, rows, interval } = results(wave, now.network, facts.most_ood);
    Object.assign(find("#flag"), { textContent: flag.text, className: flag.kind });
    find("#remarks").replaceChildren(...remarks.map((text) => element("li", text)));
    find("#numbers tbody").replaceChildren(...rows.map(({ name, mean, sd, unit, main }) => {
      const row = element("tr", undefined, main ? { class: "main" } : {});
      row.append(element("th", name, { scope: "row" }), ...[mean, sd, unit].map((text) => element("td", text)));
      return row;
    }));
    find("#interval").textContent = interval;
    showGaps(wave.gaps);
    find("#result").hidden = false;
    redraw();
  };

  const run = async () => {
    const own = ++now.run; // a later choice replaces this one
    const bar = find("#progress");
    clear(`Reading ${now.file}…`);
    try {
      const recording = readRecord();
      bar.hidden = false;
      const wave = await reconstruct(recording, now.network, (done, total) => (bar.value = done / total));
      if (own !== now.run) return;
      Object.assign(now, { wave, beat: -1 });
      clear(`${now.file}: ${wave.beats.time_s.length} beats.`);
      showResult(wave);
    } catch (error) {
      if (own === now.run) showError(error);
    }
  };

  const open = async (file) => {
    now.run++;
    clear(`Reading ${file.name}…`);
    form.hidden = true;
    try {
      Object.assign(now, { file: file.name, wave: null, bytes: new Uint8Array(await file.arrayBuffer()) });
      now.network ??= await networkOf(0);
      now.header = readHeader(now.bytes, [facts.time, ...Object.keys(facts.signals)]);
      if (showChoices()) await run();
      else clear("Choose the columns, and press Reconstruct.");
    } catch (error) {
      showError(error);
    }
  };

  find("#file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
  const zone = document.body;
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    find("#input").classList.add("over");
  });
  zone.addEventListener("dragleave", () => find("#input").classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    find("#input").classList.remove("over");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.elements.network.addEventListener("change", async (event) => {
    now.network = await networkOf(Number(event.target.value));
    if (showChoices()) await run();
  });
  const goTo = (beat) => {
    now.beat = Math.max(-1, Math.min(beat, now.wave.beats.time_s.length - 1));
    said.textContent = showBeat(now.chart, now.wave, now.beat);
  };
  find("[data-go=before]").addEventListener("click", () => goTo(now.beat - 1));
  find("[data-go=after]").addEventListener("click", () => goTo(now.beat + 1));
  find("[data-go=all]").addEventListener("click", () => goTo(-1));
  const stem = () => now.file.replace(/\.[^.]*$/, "");
  find("#save-csv").addEventListener("click", () => saveWave(`${stem()}_aortic.csv`, now.wave, [facts.note, madeBy()]));
  find("#save-beats").addEventListener("click", () => saveBeats(`${stem()}_beats.csv`, now.wave.beats, [facts.note, madeBy()]));
  find("#save-png").addEventListener("click", () => {
    const main = results(now.wave, now.network, facts.most_ood).rows.slice(0, 4).map(({ name, mean, unit }) => `${name} ${mean} ${unit}`);
    const colours = Object.fromEntries(["paper", "ink"].map((name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)]));
    const lines = [`Aortic pressure of ${now.file}`, flagOf(now.wave, facts.most_ood).text, main.join(", "), `Not for clinical use: ${facts.note}. ${madeBy()}`];
    savePicture(`${stem()}_aortic.png`, now.chart.ctx.canvas, lines, colours);
  });

  const themes = ["auto", "light", "dark"];
  find("#theme").addEventListener("click", (event) => {
    const theme = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % themes.length];
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    event.target.textContent = `Colours: ${theme}`;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => now.chart?.setSize({ width: plot.clientWidth, height: 400 })).observe(plot);
};

startPage();
