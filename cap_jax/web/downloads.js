// Files that the page offers to save. Each says by itself what it is, of what, and how far it can be trusted.

const save = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

const thousandths = (value) => (Number.isFinite(value) ? String(Math.round(value * 1000) / 1000) : "");

const ROWS_OF_TEXT = 100_000;

/** Saves rows of a table as CSV, in parts: a day has ten million rows. */
const saveTable = (name, facts, header, count, row) => {
  const comments = facts.map((line) => `# ${line.replace(/\s+/g, " ")}`);
  const parts = [`${[...comments, header.join(",")].join("\n")}\n`];
  for (let start = 0; start < count; start += ROWS_OF_TEXT) {
    const rows = [];
    for (let k = start; k < Math.min(start + ROWS_OF_TEXT, count); k++) rows.push(row(k));
    parts.push(`${rows.join("\n")}\n`);
  }
  save(name, new Blob(parts, { type: "text/csv" }));
};

/** Saves the aortic wave with its interval, as `cap-jax reconstruct` writes it, on the clock of the record. */
export const saveWave = (name, wave, facts) => {
  const hasBand = wave.half_width_mmhg.some(Number.isFinite);
  const header = ["time_s", "aortic_root_pressure_mmhg", ...(hasBand ? ["low_mmhg", "high_mmhg"] : [])];
  saveTable(name, facts, header, wave.time_s.length, (k) => {
    const [value, half] = [wave.aortic_mmhg[k], wave.half_width_mmhg[k]];
    const cells = [value, ...(hasBand ? [value - half, value + half] : [])].map(thousandths);
    return `${wave.time_s[k]},${cells.join(",")}`;
  });
};

/** Saves the beats, a row each, without columns of which no beat has a value. */
export const saveBeats = (name, beats, facts) => {
  const names = Object.keys(beats).filter((key) => !beats[key].length || beats[key].some(Number.isFinite));
  const row = (k) => names.map((key) => thousandths(beats[key][k])).join(",");
  saveTable(name, facts, names, beats.time_s.length, row);
};

const wrapped = (context, text, width) => {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && context.measureText(longer).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
};

/**
 * Saves a picture: lines of text, a legend, and the plot as it is shown.
 *
 * @param name of the file.
 * @param canvas of the plot.
 * @param lines of text, of which the first is bold.
 * @param legend [colour, dash, words] of each series.
 */
export const savePicture = (name, canvas, lines, legend) => {
  const scale = devicePixelRatio || 1;
  const [size, gap] = [15 * scale, 24 * scale];
  const picture = document.createElement("canvas");
  const context = picture.getContext("2d");
  picture.width = Math.max(canvas.width, 700 * scale);
  const font = (bold) => (context.font = `${bold ? "bold " : ""}${size}px system-ui, sans-serif`);
  font(true);
  const rows = lines.flatMap((line, k) => wrapped(context, line, picture.width - 2 * gap).map((text) => [text, !k]));
  picture.height = canvas.height + gap * (rows.length + 2.5);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = "#1b1f24";
  rows.forEach(([text, bold], k) => {
    font(bold);
    context.fillText(text, gap, gap * (k + 1.2));
  });
  font(false);
  let left = gap;
  const level = gap * (rows.length + 1.5);
  for (const [colour, dash, words] of legend) {
    Object.assign(context, { strokeStyle: colour, lineWidth: 3 * scale });
    context.setLineDash(dash.map((step) => step * scale));
    context.beginPath();
    context.moveTo(left, level - size / 3);
    context.lineTo(left + 1.5 * gap, level - size / 3);
    context.stroke();
    context.fillText(words, left + 1.8 * gap, level);
    left += 2.6 * gap + context.measureText(words).width;
  }
  context.drawImage(canvas, 0, gap * (rows.length + 2.2));
  picture.toBlob((blob) => save(name, blob), "image/png");
};
