// Words of the page, and elements that show them.

import { fixedText } from "./blocks.js";

export const READINGS = {
  age: "Age, in years",
  cuff_sbp_mmhg: "Cuff: systolic, in mmHg",
  cuff_dbp_mmhg: "Cuff: diastolic, in mmHg",
  cuff_map_mmhg: "Cuff: mean, in mmHg",
  invasive_map_mmhg: "Catheter: mean, in mmHg",
  invasive_dbp_mmhg: "Catheter: diastolic, in mmHg",
};

/** Returns the words for a site or a column: `digital_ppg` is a finger PPG. */
export const wordsOf = (name) => name.replaceAll("_", " ").replace(/\bppg\b/, "PPG").replace(/\bdigital\b/, "finger");

export const percentText = (share) => `${fixedText(100 * share, 0)} %`;

/** Returns a new element with a text and attributes. */
export const element = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
};

/** Fills a select with options, of which one is chosen. */
export const fillSelect = (select, values, chosen, words = (value) => value) => {
  select.replaceChildren(...values.map((value) => {
    const option = element("option", words(value), { value });
    option.selected = value === chosen;
    return option;
  }));
};
