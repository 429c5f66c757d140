// The text of a table as bytes of UTF-8 with "\n" between the lines: its header, and the lines of its rows.

import { InputError } from "./recording.js";

const MOST_COLUMNS = 10000;
const LONGEST_LINE = 1000000; // bytes
const END_BYTES = 1 << 16;
const NEW_LINE = 10;
const RETURN = 13;
const QUOTE_MARK = 34;
const SAVE_AS_TEXT = "save it as a table of UTF-8 text";
const TOO_WIDE = [`has more than ${MOST_COLUMNS} columns`, "keep only the clock and the signals"];

/** Returns the text of some bytes of UTF-8. */
export const decoded = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Returns the encoding of a file, by its first bytes, as TextDecoder names it. */
export const encodingOf = (bytes) => {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
};

/** Returns text without the blanks around it that Python's strip() takes away. */
export const stripped = (text) => {
  let [start, stop] = [0, text.length];
  while (start < stop && isBlank(text[start])) start++;
  while (start < stop && isBlank(text[stop - 1])) stop--;
  return text.slice(start, stop);
};

// for JavaScript's trim() a mark of the byte order is a blank, and a separator of records is not
const isBlank = (one) => (/[\s\x1c-\x1f\x85]/.test(one) && one !== "\ufeff");

const sequenceSize = (first) => {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
};

/** Returns whether a byte may be the one at `place` of a character that begins with `first`. */
const continues = (first, byte, place) => {
  const low = place > 1 ? 0x80 : { 0xe0: 0xa0, 0xf0: 0x90 }[first] ?? 0x80;
  const high = place > 1 ? 0xbf : { 0xed: 0x9f, 0xf4: 0x8f }[first] ?? 0xbf;
  return byte >= low && byte <= high;
};

const notUtf8 = (bytes, at, size, reason) => {
  const place = reason.startsWith("unexpected") ? 0 : at; // Python has then forgotten what it read before
  const which = size > 1 ? `bytes in position ${place}-${place + size - 1}`
    : `byte 0x${bytes[at].toString(16).padStart(2, "0")} in position ${place}`;
  return new InputError(`cannot be read ('utf-8' codec can't decode ${which}: ${reason})`, SAVE_AS_TEXT);
};

const checkUtf8 = (bytes) => {
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] < 0x80) {
      at++;
      continue;
    }
    const size = sequenceSize(bytes[at]);
    if (!size) throw notUtf8(bytes, at, 1, "invalid start byte");
    for (let place = 1; place < size; place++) {
      if (at + place >= bytes.length) throw notUtf8(bytes, at, place, "unexpected end of data");
      if (!continues(bytes[at], bytes[at + place], place)) throw notUtf8(bytes, at, place, "invalid continuation byte");
    }
    at += size;
  }
};

const withNewLines = (bytes) => {
  if (bytes.indexOf(RETURN) < 0) return bytes;
  const changed = new Uint8Array(bytes.length);
  let size = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== RETURN) changed[size++] = bytes[at];
    else if (bytes[at + 1] !== NEW_LINE) changed[size++] = NEW_LINE;
  }
  return changed.subarray(0, size);
};

/** Returns the text of a file as bytes of UTF-8 with "\n" between the lines, or refuses what is not text. */
export const tableText = (bytes, encoding) => {
  if (encoding !== "utf-8") {
    try {
      return withNewLines(new TextEncoder().encode(new TextDecoder(encoding, { fatal: true }).decode(bytes)));
    } catch {
      throw new InputError("cannot be read (it is not complete UTF-16 text)", SAVE_AS_TEXT);
    }
  }
  if (bytes.includes(0)) {
    throw new InputError("contains NUL bytes, so it is not a text file", "download the file again");
  }
  const plain = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
  checkUtf8(plain);
  return withNewLines(plain);
};

/** Refuses a file whose last row is incomplete, as after an incomplete download. */
export const checkEnd = (bytes, encoding, delimiter, width) => {
  const last = bytes[bytes.length - 1];
  if (encoding !== "utf-8" || !bytes.length || last === NEW_LINE || last === RETURN) return;
  let marks = 0;
  for (let at = bytes.length - 1; at >= 0 && at >= bytes.length - END_BYTES; at--) {
    if (bytes[at] === NEW_LINE || bytes[at] === RETURN) break;
    if (bytes[at] === delimiter.charCodeAt(0)) marks++;
  }
  if (marks >= width - 1) return;
  throw new InputError("ends in the middle of a row", "download the file again, or remove the row");
};

/** Returns where the line begins that comes after a number of lines. */
export const startOfLine = (text, lines) => {
  let at = 0;
  for (let k = 0; k < lines; k++) {
    const end = text.indexOf(NEW_LINE, at);
    if (end < 0) return text.length;
    at = end + 1;
  }
  return at;
};

const tooLong = () =>
  new InputError(`has a line of more than ${LONGEST_LINE} bytes`, "end each row with a line break");

/** Returns the text of the header that comes after `preamble` lines, and its number of lines: a name in quotes may
 * stand in several. */
export const headerText = (text, preamble) => {
  const start = startOfLine(text, preamble);
  const limit = Math.min(text.length, start + LONGEST_LINE + 1);
  let first = 0;
  let quotes = 0;
  let lines = 0;
  for (let at = start; at <= limit; at++) {
    if (at === limit && limit < text.length) break;
    if (text[at] === QUOTE_MARK) quotes++;
    if (at < limit && text[at] !== NEW_LINE) continue;
    if (at < limit || (at > start && text[at - 1] !== NEW_LINE)) lines++;
    first ||= at;
    if (quotes % 2 === 0) return [decoded(text.subarray(start, at)), Math.max(lines, 1)];
  }
  if (!first) throw tooLong();
  return [decoded(text.subarray(start, first)), 1];
};

/** Returns the cells of the first row of a text, as Python's csv.reader does; none of an empty line. */
export const cellsOf = (text, delimiter, skipSpaces) => {
  const cells = [];
  let cell = "";
  let state = "start";
  for (let k = 0; k < text.length; k++) {
    const one = text[k];
    if (state === "quoted") {
      if (one !== '"') cell += one;
      else if (text[k + 1] === '"') cell += text[k++];
      else state = "plain";
    } else if (one === "\n") break;
    else if (one === delimiter) {
      cells.push(cell);
      [cell, state] = ["", "start"];
    } else if (state === "start" && one === '"') state = "quoted";
    else if (state === "plain" || one !== " " || !skipSpaces) [cell, state] = [cell + one, "plain"];
  }
  return text && text[0] !== "\n" ? [...cells, cell] : [];
};

/** Returns how many cells a line has; empty ones at the end do not count. */
const widthOf = (line, delimiter, most) => {
  const mark = delimiter.charCodeAt(0);
  let last = line.length;
  while (last && (line[last - 1] === mark || line[last - 1] === 32 || line[last - 1] === 9)) last--;
  let quotes = 0;
  let cells = last ? 1 : 0;
  for (let at = 0; at < last; at++) {
    if (line[at] === QUOTE_MARK) quotes++;
    else if (line[at] === mark && quotes % 2 === 0) cells++;
  }
  if (!quotes || (cells <= most && quotes % 2 === 0)) return cells;
  return cellsOf(decoded(line.subarray(0, last)), delimiter, false).length;
};

/** Returns whether a line is a comment; blanks may stand before the sign. */
const isCommentLine = (text, start) => {
  let at = start;
  while (text[at] === 32 || text[at] === 9) at++;
  return text[at] === 35 || text[at] === 37; // # or %
};

const wideRow = (row, cells, width, delimiter) => {
  const remedy = "; if the numbers have decimal commas, save the table with semicolons or with decimal points";
  return new InputError(
    `data row ${row} has ${cells} cells, the header ${width} names`,
    `name every column in the header${delimiter === "," ? remedy : ""}`,
  );
};

/** Refuses a header of too many columns. */
export const checkHeaderWidth = (header, delimiter) => {
  if (header.split(delimiter).length > MOST_COLUMNS) throw new InputError(...TOO_WIDE);
};

/** Returns the lines from `first` on without comments: `rows`, as bytes, `size`, their number, and that of the
 * `comments`. Refuses lines that are too long, and rows with more cells than the header has names. */
export const rowLines = (text, first, width, delimiter) => {
  const mark = delimiter.charCodeAt(0);
  const comments = [];
  let [start, marks, lines, longest, most, wide] = [first, 0, 0, 0, 0, null];
  for (let at = first; at <= text.length; at++) {
    if (text[at] === mark) marks++;
    if (at < text.length ? text[at] !== NEW_LINE : start === at) continue;
    lines++;
    if (at - start > longest) longest = at - start;
    if (isCommentLine(text, start)) comments.push(start, Math.min(at + 1, text.length));
    else if (marks >= width) {
      if (marks > most) most = marks;
      const cells = wide ? 0 : widthOf(text.subarray(start, at), delimiter, width);
      if (cells > width) wide = wideRow(lines, cells, width, delimiter);
    }
    [start, marks] = [at + 1, 0];
  }
  if (longest > LONGEST_LINE) throw tooLong();
  if (most >= MOST_COLUMNS) throw new InputError(...TOO_WIDE);
  if (wide) throw wide;
  return { rows: without(text, first, comments), size: lines - comments.length / 2, comments: comments.length / 2 };
};

/** Returns the bytes from `first` on but for the stretches [start, stop, start, stop, …]. */
const without = (text, first, stretches) => {
  if (!stretches.length) return text.subarray(first);
  const kept = new Uint8Array(text.length - first);
  let size = 0;
  for (let k = -1; k < stretches.length; k += 2) {
    const part = text.subarray(k < 0 ? first : stretches[k], stretches[k + 1] ?? text.length);
    kept.set(part, size);
    size += part.length;
  }
  return kept.subarray(0, size);
};
