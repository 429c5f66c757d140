// The form that says what the columns of a file are.

import { InputError, TO_MMHG } from "./recording.js";
import { guessColumns } from "./table.js";
import { shortName } from "./table_cells.js";
import { element, fillSelect, READINGS, wordsOf } from "./words.js";

export const ROWS = "\u0000rows"; // instead of a time column: the samples are evenly spaced
const SECONDS_OF = { s: 1, ms: 1e-3, min: 60, h: 3600 };
const TIME_UNIT = /[([_ ](ms|msec|milliseconds?|min|minutes?|h|hours?)[)\]]?$/i;
const UNIT_WORDS = { mmhg: "mmHg", kpa: "kPa", cmh2o: "cmH2O", mbar: "mbar", torr: "torr" };

const timeUnitOf = (name) => {
  const found = TIME_UNIT.exec(name ?? "")?.[1].toLowerCase() ?? "s";
  return found.startsWith("ms") || found.startsWith("milli") ? "ms" : found.startsWith("min") ? "min" : found[0];
};

const unitIn = (name) => Object.keys(TO_MMHG).find((unit) => name.toLowerCase().includes(unit)) ?? null;

/** Returns the column that is known for a site. */
const columnOf = (facts, site) => Object.keys(facts.signals).find((column) => facts.signals[column] === site);

/** The form. */
export class Choices {
  /** `form` is its element; `facts` are those of the page. */
  constructor(form, facts) {
    this.form = form;
    this.facts = facts;
  }

  /** Returns the number of the network that reads a known column of a header, else `usual`. */
  networkFor(header, usual) {
    const place = this.facts.sites.findIndex((site) => header.names.includes(columnOf(this.facts, site)));
    return place < 0 ? usual : place;
  }

  /** Fills the form for a file. Returns what is left to choose, in words; "" if nothing is. */
  fill(header, network, place) {
    const { elements } = this.form;
    const guess = guessColumns(header.names, this.facts.time, columnOf(this.facts, network.site));
    const names = [...new Set(header.names.filter((name) => name))];
    const choose = (name) => (name === ROWS ? "none: evenly spaced" : shortName(name) || "choose…");
    fillSelect(elements.network, this.facts.sites.map((site, k) => String(k)), String(place),
      (k) => wordsOf(this.facts.sites[k]));
    fillSelect(elements.time, ["", ...names, ROWS], guess.time ?? "", choose);
    fillSelect(elements.timeUnit, Object.keys(SECONDS_OF), timeUnitOf(guess.time));
    fillSelect(elements.wave, ["", ...names], guess.wave ?? "", choose);
    fillSelect(elements.unit, Object.keys(TO_MMHG), unitIn(guess.wave ?? "") ?? "mmhg", (unit) => UNIT_WORDS[unit]);
    elements.rate.value = "";
    this.addReadings(network); // empty: those of the last patient are another's
    this.show(network);
    this.form.hidden = false;
    const missing = [guess.time && guess.wave ? "" : "the columns", network.readings.length ? "the readings" : ""];
    return missing.filter(Boolean).join(" and ");
  }

  addReadings(network) {
    const readings = [...network.readings, ...network.optional];
    this.part("readings").replaceChildren(...readings.map((name) => {
      const optional = network.readings.includes(name) ? "" : " (optional)";
      const label = element("label", (READINGS[name] ?? wordsOf(name)) + optional);
      label.append(element("input", undefined, { type: "number", step: "any", "data-reading": name }));
      return label;
    }));
  }

  part(name) {
    return this.form.querySelector(`[data-choice=${name}]`);
  }

  /** Shows the parts that count for what is chosen. */
  show(network) {
    const isEven = this.form.elements.time.value === ROWS;
    this.part("network").hidden = this.facts.sites.length < 2;
    this.part("unit").hidden = !network.pressure;
    this.part("rate").hidden = !isEven;
    this.part("timeUnit").hidden = isEven;
  }

  /** Returns the readings, name → value. */
  readings(network) {
    const values = {};
    for (const input of this.form.querySelectorAll("[data-reading]")) {
      const name = input.dataset.reading;
      if (Number.isFinite(input.valueAsNumber)) values[name] = input.valueAsNumber;
      else if (network.readings.includes(name)) {
        throw new InputError(`${READINGS[name] ?? wordsOf(name)}: no number`, "type in the reading");
      }
    }
    return values;
  }

  /** Returns what is chosen: the columns (`time` null for even samples), seconds a unit of time, the rate, and the unit. */
  values(network) {
    const { time, timeUnit, rate, wave, unit } = this.form.elements;
    if (!time.value || !wave.value) {
      throw new InputError(`no ${time.value ? "wave" : "time"} column is chosen`, "choose it above");
    }
    if (time.value === wave.value) {
      const remedy = "choose another wave column; a file without times has the time column none";
      throw new InputError("the time and the wave are the same column", remedy);
    }
    const isEven = time.value === ROWS;
    if (isEven && !(rate.valueAsNumber > 0)) {
      throw new InputError("the sampling rate is no number above zero", "type in the samples a second");
    }
    this.checkSite(wave.value, network);
    return {
      time: isEven ? null : time.value,
      timeUnit: timeUnit.value,
      seconds: SECONDS_OF[timeUnit.value],
      rate_hz: isEven ? rate.valueAsNumber : null,
      wave: wave.value,
      unit: network.pressure ? unit.value : null,
      named: network.pressure ? unitIn(wave.value) : null,
    };
  }

  checkSite(column, network) {
    const signal = Object.hasOwn(this.facts.signals, column) && this.facts.signals[column];
    if (!signal || signal === network.site) return;
    const [own, other] = [network.site, signal].map(wordsOf);
    const remedy = `choose the column of a ${own} wave, or use the page of a network for ${other} waves`;
    throw new InputError(`column ${column} holds another wave (${other}); the network reads ${own} ones`, remedy);
  }
}

/** Returns what was chosen, in words for the files that are saved. */
export const chosenWords = ({ time, timeUnit, rate_hz, wave, unit }) => {
  const clock = time === null ? `${rate_hz} samples a second` : `time ${time} [${timeUnit}]`;
  return `${clock}, wave ${wave}${unit ? ` [${UNIT_WORDS[unit]}]` : ""}`;
};

/** Returns that the name of a column contradicts the chosen unit, "" if it does not. */
export const unitRemark = ({ wave, unit, named }) =>
  named && unit && named !== unit ? `The column ${wave} names ${UNIT_WORDS[named]}, but is read as ${UNIT_WORDS[unit]}.` : "";
