// Reads columns of numbers from a table of text in CSV, in any of its dialects, or says why it cannot.

import { InputError } from "./recording.js";
import { checkOnePerson, floatOf, readNumbers, shortName } from "./table_cells.js";
import { cellsOf, checkEnd, checkHeaderWidth, decoded, encodingOf, headerText } from "./table_text.js";
import { rowLines, startOfLine, stripped, tableText } from "./table_text.js";

const HEAD_BYTES = 1 << 16;
const DELIMITERS = [",", ";", "\t"];
const ROWS_OF_DIALECT = 39;
const DECIMAL_COMMA = /^[+-]?\p{Nd}+,\p{Nd}+$/u;
const PERSON = /^(?:subject|patient|participant|case)(?:_id|id)?$/;
const TIME_NAME = /^(?:t|time|timestamps?|seconds?|zeit)(?:[\s_]*[[(]?(?:s|sec|seconds|ms|msec|milliseconds|min|minutes|h|hours)[\])]?)?$/i;
const PRESSURE_NAME = /(?:^|[^a-z])(?:abp|art|ibp|i?bp\d*|p\d*)(?:[^a-z]|$)|press|druck/i;
const OTHER_KIND = /velocity|flow|area/i;
const OTHER_SITE = /aort|carot|femor|brachi|radial|digital|finger|tibial|iliac|cerebral|temporal|central/i;
const PPG_NAME = /ppg|pleth/i;

const isComment = (row) => /^[#%]/.test(stripped(row));

const splitNames = (row) =>
  row.replace(/^[#%]+/, "").split(/[,;\t]/).map((cell) => stripped(cell).replace(/^"+|"+$/g, "").toLowerCase());

/** Returns the delimiter of which a line has most. */
const mostFrequent = (row) => {
  const counts = DELIMITERS.map((delimiter) => row.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
};

/** Returns how many cells of a line are numbers. */
const countNumbers = (row, delimiter) =>
  row.split(delimiter).filter((cell) => {
    const text = stripped(stripped(cell).replace(/^"|"$/g, ""));
    return !Number.isNaN(floatOf(text)) || (delimiter !== "," && DECIMAL_COMMA.test(text));
  }).length;

/** Returns the line of the first row of numbers and its delimiter, null if there is none.
 *
 * It has at least two numbers, and so has the next line, if there is one; or it is the one number of a table of one
 * column. */
const findFirstRow = (lines) => {
  const rows = lines.map((row, place) => ({ row, place })).filter(({ row }) => stripped(row) && !isComment(row));
  for (let k = 0; k < rows.length; k++) {
    const next = (rows[k + 1] ?? rows[k]).row;
    const isRow = (delimiter) => countNumbers(rows[k].row, delimiter) > 1 && countNumbers(next, delimiter) > 1;
    const delimiter = ["\t", ";", ","].find(isRow); // commas may be decimal marks
    if (delimiter) return { place: rows[k].place, delimiter };
  }
  const single = rows.find(({ row }) => !/[,;\t]/.test(row) && countNumbers(row, ",") === 1);
  return single ? { place: single.place, delimiter: "," } : null;
};

/** Guesses the header of a table in which no line has a known name: the last line of text before the first row of
 * numbers, if it has as many cells. */
const guessHeader = (lines) => {
  const first = findFirstRow(lines);
  if (!first) return { preamble: 0, header: 1, delimiter: lines[0] ? mostFrequent(lines[0]) : "," };
  const { place, delimiter } = first;
  const before = lines.slice(0, place).findLastIndex((row) => stripped(row));
  const width = (row) => row.split(delimiter).length;
  const rowWidth = width(lines[place].replace(new RegExp(`[${delimiter}\\s]+$`), ""));
  if (before < 0 || width(lines[before]) < rowWidth) return { preamble: place, header: 0, delimiter };
  return { preamble: before, header: 1, delimiter };
};

/** Returns the dialect of a table, from its first lines; the header is the first of the lines with most known names. */
const dialectOf = (bytes, known) => {
  const encoding = encodingOf(bytes);
  const lines = new TextDecoder(encoding).decode(bytes.subarray(0, HEAD_BYTES)).split(/\r\n|\r|\n/);
  const knownNames = new Set(known.map((name) => name.toLowerCase()));
  const counts = lines.map((row) => new Set(splitNames(row).filter((name) => knownNames.has(name))).size);
  const most = Math.max(...counts);
  const preamble = counts.indexOf(most);
  const found = most ? { preamble, header: 1, delimiter: mostFrequent(lines[preamble]) } : guessHeader(lines);
  const start = found.preamble + found.header;
  const rows = lines.slice(start, start + ROWS_OF_DIALECT).filter((row) => !isComment(row));
  const cells = rows.flatMap((row) => row.split(found.delimiter));
  const hasCommas = found.delimiter !== "," && cells.some((cell) => DECIMAL_COMMA.test(stripped(cell)));
  return { encoding, ...found, decimal: hasCommas ? "," : "." };
};

/** Reads the header of a table in the bytes of a file: {names, dialect}.
 *
 * The header is the first of the lines with most of the `known` names. Where no line has one, `python -m cap_jax`
 * refuses the file; here the header is guessed, as a page lets its user choose the columns. Without a header,
 * `dialect.header` is 0 and the names are "column 1", "column 2", …
 */
export const readHeader = (bytes, known) => {
  const dialect = dialectOf(bytes, known);
  const text = tableText(bytes, dialect.encoding);
  if (!dialect.header) {
    const [start, stop] = [startOfLine(text, dialect.preamble), startOfLine(text, dialect.preamble + 1)];
    const row = decoded(text.subarray(start, stop));
    checkHeaderWidth(row, dialect.delimiter);
    return { names: cellsOf(row, dialect.delimiter, true).map((_, k) => `column ${k + 1}`), dialect };
  }
  const [header, size] = headerText(text, dialect.preamble);
  checkHeaderWidth(header, dialect.delimiter);
  if (header.split('"').length % 2 === 0) {
    throw new InputError("the header has a quote that is not closed", "remove it, or close it");
  }
  const names = cellsOf(header, dialect.delimiter, true).map(stripped);
  if (!names.length) throw new InputError("the file is empty", "add a header such as time_s,…");
  names[0] = stripped(names[0].replace(/^[#%\ufeff]+/, ""));
  return { names, dialect: { ...dialect, header: size } };
};

/** Guesses which columns hold the time and the wave of a site, whose known column is `columnOfSite`; null where none
 * seems to. */
export const guessColumns = (names, knownTime, columnOfSite) => {
  const time = names.includes(knownTime) ? knownTime : (names.find((name) => TIME_NAME.test(name)) ?? null);
  const site = columnOfSite.replace(/_(?:pressure_mmhg|ppg)$/, "").toLowerCase();
  const isPpg = columnOfSite.endsWith("_ppg");
  const others = names.filter((name) => name !== time && PPG_NAME.test(name) === isPpg && !OTHER_KIND.test(name));
  const unplaced = others.filter((name) => !OTHER_SITE.test(name));
  const wave = [columnOfSite].find((name) => names.includes(name))
    ?? others.find((name) => name.toLowerCase().includes(site))
    ?? unplaced.find((name) => (isPpg ? PPG_NAME : PRESSURE_NAME).test(name));
  return { time, wave: wave ?? null };
};

/** Returns columns of a header, [{name, place}, …] in the order of their places. */
const placesOf = (names, columns) => {
  const found = [...new Set(columns)].map((name) => {
    if (names.indexOf(name) !== names.lastIndexOf(name)) {
      throw new InputError(`duplicate column ${name} in the header`, "remove one");
    }
    if (names.includes(name)) return { name, place: names.indexOf(name) };
    const shown = names.slice(0, 8).map(shortName).join(", ");
    throw new InputError(`column ${name} is missing (found: ${shown})`, "rename the column, or choose another one");
  });
  return found.sort((a, b) => a.place - b.place);
};

const skipped = (count, what) => (count ? [`skipped ${count} line${count === 1 ? "" : "s"} ${what}`] : []);

/** Reads columns of a table as numbers, NaN for an empty cell, without the rows in which all these cells are empty.
 *
 * Returns {columns: {name: Float64Array}, notes}: what of the file was skipped. */
export const readColumns = (bytes, { names, dialect }, columns) => {
  const { encoding, delimiter, decimal, preamble, header } = dialect;
  const places = placesOf(names, columns);
  checkEnd(bytes, encoding, delimiter, names.length);
  const text = tableText(bytes, encoding);
  const { rows, size, comments } = rowLines(text, startOfLine(text, preamble + header), names.length, delimiter);
  const persons = names.map((name, place) => ({ name, place })).filter(({ name }) => PERSON.test(name.toLowerCase()));
  if (persons.length) checkOnePerson(rows, persons, delimiter);
  if (!size) throw new InputError("the file contains a header but no rows", "add a row for each sample");
  const before = header ? "before the header" : "before the first row";
  return {
    columns: readNumbers(rows, size, places, delimiter, decimal),
    notes: [...skipped(preamble, before), ...skipped(comments, "of comments")],
  };
};
