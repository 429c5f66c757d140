// Files that the page offers to save.

const save = (name, blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

const thousandths = (value) => (Number.isFinite(value) ? String(Math.round(value * 1000) / 1000) : "");

const ROWS = 100_000; // of one text

/** Saves rows of a table as CSV, in parts: a day has ten million rows. */
const saveTable = (name, lines, count, row) => {
  const parts = [`${lines.join("\n")}\n`];
  for (let start = 0; start < count; start += ROWS) {
    const rows = [];
    for (let k = start; k < Math.min(start + ROWS, count); k++) rows.push(row(k));
    parts.push(`${rows.join("\n")}\n`);
  }
  save(name, new Blob(parts, { type: "text/csv" }));
};

/** Saves the aortic wave with its interval, as `cap-jax reconstruct` writes it, on the clock of the record. */
export const saveWave = (name, wave, notes) => {
  const hasBand = wave.half_width_mmhg.some(Number.isFinite);
  const comments = [...notes, wave.unknown_level].filter(Boolean).map((text) => `# ${text}`);
  const header = ["time_s", "aortic_root_pressure_mmhg", ...(hasBand ? ["low_mmhg", "high_mmhg"] : [])].join(",");
  saveTable(name, [...comments, header], wave.time_s.length, (k) => {
    const [value, half] = [wave.aortic_mmhg[k], wave.half_width_mmhg[k]];
    const cells = [value, ...(hasBand ? [value - half, value + half] : [])].map(thousandths);
    return `${wave.time_s[k]},${cells.join(",")}`;
  });
};

/** Saves the beats, a row each. */
export const saveBeats = (name, beats, notes) => {
  const names = Object.keys(beats).filter((key) => beats[key].some(Number.isFinite));
  saveTable(name, [...notes.map((note) => `# ${note}`), names.join(",")], beats.time_s.length, (k) => names.map((key) => thousandths(beats[key][k])).join(","));
};

/** Saves a picture: the title, the flag, the main numbers and the plot as it is shown. */
export const savePicture = (name, canvas, lines, colours) => {
  const scale = devicePixelRatio || 1;
  const [size, gap] = [16 * scale, 26 * scale];
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + gap * (lines.length + 1);
  const context = picture.getContext("2d");
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = colours.ink;
  lines.forEach((line, k) => {
    context.font = `${k ? "" : "bold "}${size}px system-ui, sans-serif`;
    context.fillText(line, gap / 2, gap * (k + 1), picture.width - gap);
  });
  context.drawImage(canvas, 0, gap * (lines.length + 0.5));
  picture.toBlob((blob) => save(name, blob), "image/png");
};
