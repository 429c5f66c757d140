// Reads tables as the page does, for a comparison with Python: `node table_driver.mjs TASKS.json ANSWERS.json`.
//
// A task is {file, known, time, required, pressures, units}: names that mark the header; the column of the clock;
// columns that must be there; column → whether it is a pressure, of all that are read if they are there; column → unit.
// Or it is {file, known, site}, for the header, the guessed columns of a site, and the numbers of all columns.

import { readFileSync, writeFileSync } from "node:fs";

import { makeRecording } from "../../cap_jax/web/recording.js";
import { guessColumns, readColumns, readHeader } from "../../cap_jax/web/table.js";

// JSON has no NaN and no infinity
const written = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : String(value)));

const guessFor = ({ file, known, site }) => {
  const bytes = new Uint8Array(readFileSync(file));
  const { names, dialect } = readHeader(bytes, known);
  const { columns } = readColumns(bytes, { names, dialect }, names);
  return { names, guess: guessColumns(names, "time_s", site), columns: Object.values(columns).map(written) };
};

const answerTo = ({ file, known, time, required, pressures, units }) => {
  const bytes = new Uint8Array(readFileSync(file));
  const header = readHeader(bytes, known);
  const waves = [...new Set([...required, ...header.names.filter((name) => Object.hasOwn(pressures, name))])];
  const { columns, notes } = readColumns(bytes, header, [time, ...waves]);
  const filled = waves.filter((name) => columns[name].some(Number.isFinite));
  const answer = { names: header.names, waves: {} };
  for (const name of filled.length ? filled : waves) {
    const [wave, unit, pressure] = [columns[name], units[name] ?? "mmHg", pressures[name]];
    const recording = makeRecording({ time_s: columns[time], wave, unit, pressure });
    answer.waves[name] = written(recording.wave);
    answer.time_s = written(recording.time_s);
    answer.fs_hz = recording.fs_hz;
    answer.notes = [...notes, ...recording.notes];
  }
  return answer;
};

const tasks = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const answers = tasks.map((task) => {
  try {
    return task.site ? guessFor(task) : answerTo(task);
  } catch (error) {
    return { problem: error.problem ?? error.stack, remedy: error.remedy ?? "" };
  }
});
writeFileSync(process.argv[3], JSON.stringify(answers));
