// The cells of a table, and their numbers, as pandas.read_csv takes them.

import { InputError, escapedCharacter } from "./recording.js";
import { decoded, stripped } from "./table_text.js";

const SHOWN = 60; // characters of a cell or a name in a message
const [LINE_FEED, SPACE, QUOTATION, MINUS] = [10, 32, 34, 45];
const SHORT_CELL = 64; // bytes
const LARGEST_EXACT = 2 ** 53; // below it, floats have all integers
// exact, as their factors of five fit into a float; so the ratio of the digits and a power is the float nearest to the
// number
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));
const MISSING_WORDS = new Set([
  "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
  "NULL", "NaN", "None", "n/a", "nan", "null",
]);
const TRUTH_WORDS = new Map([["True", 1], ["TRUE", 1], ["true", 1], ["False", 0], ["FALSE", 0], ["false", 0]]);
const UNIT_WORDS = new Set([
  "s", "sec", "ms", "min", "mmhg", "kpa", "torr", "v", "mv", "au", "a.u.", "hz", "ml/s", "m/s", "1", "-",
]);
const DECIMAL_NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const COMMA_DECIMAL = /^[+-]?(?:\d+(?:,\d*)?|,\d+)(?:e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;
const COMMA_IN_NUMBER = /^[+-]?\p{Nd}[\p{Nd}.]*,\p{Nd}+$/u;
const NUMBER_AND_UNIT = /^[+-]?[\p{Nd}.,]*\p{Nd}\s*(\P{Nd}+)$/u;
const OTHER_UNITS = new Set(["ms", "min", "kpa", "torr"]);
const TIME_OF_DAY = /\p{Nd}:\p{Nd}\p{Nd}|\p{Nd}[./-]\p{Nd}{1,2}[./-]\p{Nd}|\p{Nd}[\s\x1c-\x1f\x85]*[AP]M$/iu;
const DIGIT = /\p{Nd}/u;

/** Returns the value of a digit of any script: the digits 0 to 9 of a script follow each other. */
const digitOf = (one) => {
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(one.codePointAt(0) - before - 1))) before++;
  return String(before % 10);
};

/** Returns the number that Python's float() makes of a text, NaN if it makes none, or if the text contains "_". */
export const floatOf = (text) => {
  let word = stripped(text);
  if (/[^\x00-\x7f]/.test(text)) word = word.replace(/\p{Nd}/gu, digitOf);
  else if (/[\x1c-\x1f]/.test(text)) return NaN; // float() takes them for blanks beside other letters than ASCII only
  if (DECIMAL_NUMBER.test(word)) return Number(word);
  if (!INFINITE.test(word)) return NaN;
  return word[0] === "-" ? -Infinity : Infinity;
};

/** Returns the number that pandas makes of a text with a decimal comma, NaN if it makes none. */
const commaFloatOf = (text) => {
  if (INFINITE.test(text)) return floatOf(text);
  const word = stripped(text);
  if (!COMMA_DECIMAL.test(word) || /[^\t-\r -~]/.test(text)) return NaN;
  const value = Number(word.replace(",", "."));
  return value === Infinity ? NaN : value;
};

/** Returns a plain number such as −78.125, which may have spaces after it; NaN for any other cell. */
const plainNumber = (bytes, start, end, mark) => {
  let stop = end;
  while (stop > start && bytes[stop - 1] === SPACE) stop--;
  const first = bytes[start] === MINUS ? start + 1 : start;
  let [value, point] = [0, -1];
  for (let at = first; at < stop; at++) {
    const digit = bytes[at] - 48;
    if (digit >= 0 && digit <= 9) value = 10 * value + digit;
    else if (bytes[at] === mark && point < 0) point = at;
    else return NaN;
  }
  const decimals = point < 0 ? 0 : stop - point - 1;
  if (stop - first - (point < 0 ? 0 : 1) < 1 || value >= LARGEST_EXACT || decimals >= POWERS_OF_TEN.length) return NaN;
  return (first > start ? -value : value) / POWERS_OF_TEN[decimals];
};

/** Finds the cell in quotes at a place; the text of one with doubled quotes, or with text after its quotes, is put
 * together. */
const findQuotedCell = (rows, from, delimiter, cell) => {
  let at = rows.indexOf(QUOTATION, from + 1);
  cell.open = at < 0;
  if (cell.open) return;
  [cell.start, cell.stop] = [from + 1, at++];
  if (at < rows.length && rows[at] !== delimiter && rows[at] !== LINE_FEED) {
    const kept = [];
    let within = true;
    for (at = from + 1; at < rows.length; at++) {
      if (within && rows[at] === QUOTATION && rows[at + 1] !== QUOTATION) within = false;
      else if (!within && (rows[at] === delimiter || rows[at] === LINE_FEED)) break;
      else kept.push(rows[within && rows[at] === QUOTATION ? at++ : at]);
    }
    cell.open = within;
    cell.text = decoded(Uint8Array.from(kept));
  }
  cell.last = at >= rows.length || rows[at] === LINE_FEED;
  cell.next = at + 1;
};

/** Finds the cell at a place: its bytes, or its text if it is not one stretch of bytes, and whether it is the last one
 * of its row. Spaces before it and quotes around it are no part of it. */
const findCell = (rows, from, delimiter, cell) => {
  let at = from;
  cell.text = null;
  while (rows[at] === SPACE) at++;
  if (rows[at] === QUOTATION) {
    findQuotedCell(rows, at, delimiter, cell);
    return;
  }
  cell.start = at;
  while (at < rows.length && rows[at] !== delimiter && rows[at] !== LINE_FEED) at++;
  cell.stop = at;
  cell.last = at >= rows.length || rows[at] === LINE_FEED;
  cell.next = at + 1;
};

const textOfCell = (rows, cell) => {
  if (cell.text !== null) return cell.text;
  const bytes = rows.subarray(cell.start, cell.stop);
  const isShort = bytes.length < SHORT_CELL && bytes.every((byte) => byte < 128);
  return isShort ? String.fromCharCode.apply(null, bytes) : decoded(bytes); // several times as fast
};

/** Calls `visit(k, cell)` for the cells of columns at increasing places, and `endRow(k)` with the number of them that
 * the row has. */
const walkRows = (rows, delimiter, places, visit, endRow) => {
  const cell = { start: 0, stop: 0, text: null, open: false, last: false, next: 0 };
  for (let at = 0, row = 1; at < rows.length; row++) {
    let k = 0;
    cell.last = false;
    for (let place = 0; !cell.last; place++) {
      findCell(rows, at, delimiter, cell);
      if (cell.open) {
        throw new InputError(`data row ${row} has a quote that is not closed`, "remove it, or close it");
      }
      if (place === places[k]) visit(k++, cell);
      at = cell.next;
    }
    endRow(k);
  }
};

/** Returns the number of a cell that is not plain, and notes for its column what is odd about it. */
const numberOfText = (text, column, row, decimal) => {
  if (decimal === "." && DECIMAL_NUMBER.test(text)) return Number(text); // most are such, as 1.5e-03
  if (MISSING_WORDS.has(text)) return NaN;
  if (TRUTH_WORDS.has(text)) {
    column.truth ??= { row, text };
    column.truths++;
    return TRUTH_WORDS.get(text);
  }
  let value = decimal === "," ? commaFloatOf(text) : floatOf(text);
  if (!Number.isNaN(value)) {
    if (decimal === "," && text.includes(",")) column.comma ??= { row, text };
    return value;
  }
  // beside decimal commas a point may part thousands; without them it is a decimal point
  if (text.includes(".")) column.other ??= { row, text };
  value = floatOf(text);
  if (!Number.isNaN(value)) return value;
  column.odd ??= { row, text };
  return 0;
};

/** Refuses a column in which a cell is not a number. Words such as "true" are numbers where all cells are. */
const checkColumn = (column, count) => {
  const { name, values, truth, truths, other, comma } = column;
  let odd = column.odd;
  if (truth && truths < values.subarray(0, count).reduce((filled, value) => filled + (value === value), 0)) {
    odd = odd && odd.row < truth.row ? odd : truth;
  }
  if (comma && other && !(odd && odd.row < other.row)) odd = other;
  if (odd) throw notNumber(name, odd.row, [...stripped(odd.text)].slice(0, SHOWN).join(""), comma);
};

const notNumber = (name, row, cell, comma) => {
  let remedy = "leave missing values empty, and begin a line of text with #";
  if (!row && UNIT_WORDS.has(cell.replace(/^[[\]()]+|[[\]()]+$/g, "").toLowerCase())) {
    remedy = "it is a unit: remove the row of units, and choose the unit";
  } else if (cell === name) {
    remedy = "it is a second header: remove the row";
  } else if (comma && !Number.isNaN(floatOf(cell))) {
    remedy = "it has a decimal point, and other cells have decimal commas: write all alike";
  } else if (!comma && COMMA_IN_NUMBER.test(cell)) {
    remedy = "it has a decimal comma: save the table with semicolons between the columns, or with decimal points";
  } else if (UNIT_WORDS.has(NUMBER_AND_UNIT.exec(cell)?.[1].toLowerCase())) {
    const unit = NUMBER_AND_UNIT.exec(cell)[1];
    remedy = `write the numbers without ${quoted(unit)}${OTHER_UNITS.has(unit.toLowerCase()) ? ", and choose the unit" : ""}`;
  } else if (TIME_OF_DAY.test(cell)) {
    remedy = "it is a time of day or a date: convert the column to seconds";
  }
  return new InputError(`column ${shortName(name)}, data row ${row + 1}: ${quoted(cell)} is not a number`, remedy);
};

/** Returns the first characters of a name for a message. */
export const shortName = (name) => [...name].slice(0, SHOWN).join("");

/** Returns a text in quotes, as Python's repr() writes it. */
export const quoted = (text) => {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escapes = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", [mark]: `\\${mark}` };
  const hidden = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
  const written = [...text].map((one) => escapes[one] ?? (hidden.test(one) ? escapedCharacter(one) : one));
  return `${mark}${written.join("")}${mark}`;
};

/** Returns columns of rows as numbers, without the rows in which all these cells are empty.
 *
 * `rows` are `size` lines of bytes, `columns` [{name, place}, …] in the order of their places. The sign of zero is not
 * kept.
 */
export const readNumbers = (rows, size, columns, delimiter, decimal) => {
  const mark = decimal.charCodeAt(0);
  const found = columns.map(({ name }) => ({
    name, values: new Float64Array(size), truth: null, truths: 0, other: null, odd: null, comma: null,
  }));
  let [count, filled] = [0, false];
  const visit = (k, cell) => {
    const column = found[k];
    let value = cell.text === null ? plainNumber(rows, cell.start, cell.stop, mark) : NaN;
    if (value !== value) value = numberOfText(textOfCell(rows, cell), column, count, decimal);
    else if (decimal === "," && !column.comma && rows.subarray(cell.start, cell.stop).includes(mark)) {
      column.comma = { row: count, text: textOfCell(rows, cell) };
    }
    column.values[count] = value + 0;
    if (value === value) filled = true;
  };
  const endRow = (k) => {
    for (; k < found.length; k++) found[k].values[count] = NaN;
    if (filled) count++;
    filled = false;
  };
  walkRows(rows, delimiter.charCodeAt(0), columns.map(({ place }) => place), visit, endRow);
  for (const column of found) checkColumn(column, count);
  return Object.fromEntries(found.map(({ name, values }) => [name, values.slice(0, count)]));
};

/** Refuses a record in which a column that names a person, one of [{name, place}, …], names several. */
export const checkOnePerson = (rows, columns, delimiter) => {
  const [first, several] = [new Map(), columns.map(() => null)];
  const visit = (k, cell) => {
    const text = textOfCell(rows, cell);
    if (MISSING_WORDS.has(text)) return;
    if (!first.has(columns[k].name)) first.set(columns[k].name, text);
    if (text !== first.get(columns[k].name)) several[k] ??= text;
  };
  walkRows(rows, delimiter.charCodeAt(0), columns.map(({ place }) => place), visit, () => {});
  const k = several.findIndex((text) => text !== null);
  if (k < 0) return;
  const { name } = columns[k];
  const two = [first.get(name), several[k]].map((text) => quoted(shortName(text))).join(" and ");
  throw new InputError(`column ${shortName(name)} has several persons, such as ${two}`, "write one file for each");
};
