// Checks of one record: its clock, the unit of its wave, and whether a pressure can be one of an artery.

import { diff, greatest, line, median, medianStep, percentile, runs, spread } from "./arrays.js";

const MMHG_PER_KPA = 7.50062;

/** Unit in lower case → mmHg. */
export const TO_MMHG = { mmhg: 1, torr: 1, kpa: MMHG_PER_KPA, cmh2o: 0.735559, mbar: 0.750062 };

const UNCALIBRATED_UNIT = "uncalibrated"; // of a pressure whose scale and zero are unknown
const PRESSURE_RANGE_MMHG = [25, 250]; // of the median of an arterial pressure
const MOST_NEGATIVE = 0.005; // share of the samples, as a flush or noise around zero leaves some
const READABLE_RANGE_MMHG = [15, 320]; // of a sample; outside are markers of lost samples and open lines
const LEAST_RANGE_MMHG = 4;
const LEAST_PULSES_S = 1.5; // a stretch of plausible pressures lasts at least so long
const RATE_RANGE_HZ = [20, 20000];
// → seconds
const TIME_UNITS = { milliseconds: 1e-3, microseconds: 1e-6, nanoseconds: 1e-9, minutes: 60, hours: 3600, days: 86400 };
const FASTEST_HZ = 10; // no heart beats so often
const MOST_SAMPLES = 2 ** 16; // that tell how often a wave rises
const OVERLAP = 3; // so many rows between those of another block are none that are out of order
const [USUAL_RATE_HZ, SHORTEST_BEAT_S] = [2000, 0.27];
const FEW_DIGITS = 0.05; // a clock with so many repeated times was written with too few digits
const ROUNDED = 0.02; // stamps with few digits make the median step wrong by less
const [RESOLUTION, RATE_KNOWN] = [0.75, 0.002];
// a restart goes back to the first half of the block before it; a packet that was written twice does not
const ANEW = 0.5;
const RESTART = 20; // a step back by so many samples is a restart
const LARGEST_SHARE = 20; // largest ratio of a record's duration to that of its samples

/** Returns the escape of a character that cannot be seen, as Python writes it. */
export const escapedCharacter = (one) => {
  const code = one.codePointAt(0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
};

/** Returns text on one line in which each character can be seen; a message may quote a file. */
const visibleText = (text) =>
  text.replace(/[\t-\r\x1c-\x1f\x85\u2028\u2029]+/g, " ").trim()
    .replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}]/gu, escapedCharacter);

/** The input of the user is invalid: what the problem is, and what to do. */
export class InputError extends Error {
  constructor(problem, remedy) {
    super(`${visibleText(problem)}; ${visibleText(remedy)}`);
    this.name = "InputError";
    this.problem = visibleText(problem);
    this.remedy = visibleText(remedy);
  }
}

/** Returns the first digits of a positive number, rounded half to even as in Python, and its power of ten. */
const roundedDigits = (value, digits) => {
  const [exact, power] = value.toExponential(100).split("e");
  const all = exact.replace(".", "");
  const isTie = /^50*$/.test(all.slice(digits)) && Number(all[digits - 1]) % 2 === 0;
  if (isTie) return [all.slice(0, digits), Number(power)];
  const [rounded, roundedPower] = value.toExponential(digits - 1).split("e");
  return [rounded.replace(".", ""), Number(roundedPower)];
};

/** Returns a number with so many significant digits, as Python's format "g" writes it. */
export const significant = (value, digits = 6) => {
  if (value === 0 || Number.isNaN(value)) return value === 0 ? "0" : "nan";
  const sign = value < 0 ? "-" : "";
  if (!Number.isFinite(value)) return `${sign}inf`;
  const [all, power] = roundedDigits(Math.abs(value), digits);
  const point = power < -4 || power >= digits ? 1 : power + 1; // how many digits come before the point
  const whole = point > 0 ? all.slice(0, point) : "0";
  const rest = (point > 0 ? all.slice(point) : "0".repeat(-point) + all).replace(/0+$/, "");
  const exponent = `${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  return `${sign}${whole}${rest && `.${rest}`}${point === power + 1 ? "" : `e${exponent}`}`;
};

/** Returns how often a clock falls and how often it rises. */
const changesOf = (time_s) => {
  let [falls, rises] = [0, 0];
  for (let k = 1; k < time_s.length; k++) {
    if (time_s[k] < time_s[k - 1]) falls++;
    else if (time_s[k] > time_s[k - 1]) rises++;
  }
  return [falls, rises];
};

/** Returns in how many rows each time of a clock that never falls stands, 0 if not all stand in as many. */
const rowsOfEach = (time_s, rises) => {
  const rows = time_s.length / (rises + 1);
  if (!Number.isInteger(rows)) return 0;
  for (let k = rows; k < time_s.length; k += rows) if (!(time_s[k] > time_s[k - 1])) return 0;
  return rows;
};

/** Returns the step with which the times were written: the least beside a repeated time. */
const resolutionOf = (time_s) => {
  const steps = diff(time_s);
  let [beside_s, least_s] = [Infinity, Infinity];
  for (let k = 0; k < steps.length; k++) {
    if (!(steps[k] > 0)) continue;
    if (steps[k - 1] === 0 || steps[k + 1] === 0) beside_s = Math.min(beside_s, steps[k]);
    least_s = Math.min(least_s, steps[k]);
  }
  return Number.isFinite(beside_s) ? beside_s : least_s;
};

/** Returns an even clock where times repeat because they were written with too few digits, else the times.
 *
 * The times must lie within three quarters of their resolution of a straight line, and their resolution must leave the
 * rate known to 0.2 %. */
export const withDigits = (time_s) => {
  const [falls, rises] = changesOf(time_s);
  const last = time_s.length - 1;
  if (!time_s.every(Number.isFinite) || falls || !rises || rises >= last || rowsOfEach(time_s, rises)) return time_s;
  const resolution_s = resolutionOf(time_s);
  const [step_s, first_s] = line(time_s);
  const even_s = time_s.map((_, k) => first_s + step_s * k);
  const off_s = greatest(even_s.map((at_s, k) => Math.abs(at_s - time_s[k])));
  const fits = off_s <= RESOLUTION * resolution_s && resolution_s <= RATE_KNOWN * (time_s[last] - time_s[0]);
  return fits ? even_s : time_s;
};

/** Refuses a clock that restarts, as where blocks of a recorder were joined. */
const checkRestart = (time_s, falls, usual_s) => {
  const steps = diff(time_s);
  const back = (step_s) => step_s < -RESTART * usual_s;
  const block = Math.max(steps.findIndex(back), 0) + 2;
  const [last_s, first_s] = [time_s[block - 2], time_s[block - 1]];
  const beginsAnew = first_s - time_s[0] < ANEW * (last_s - time_s[0]);
  const restarts = steps.reduce((count, step_s) => count + back(step_s), 0);
  if (!falls || restarts !== falls || !(usual_s > 0) || !beginsAnew) return;
  const gap = significant(last_s + usual_s - first_s, 10);
  throw new InputError(
    `the clock restarts at data row ${block} (${significant(last_s, 10)} s, then ${significant(first_s, 10)} s)`,
    `cut the record there, or add ${gap} s to the times from there on`,
  );
};

/** Refuses a clock that goes back to times that were there before, as one that was set back. */
const checkOverlap = (time_s, steps, usual_s) => {
  const close = diff(time_s.slice().sort((a, b) => a - b)).reduce((count, step_s) => count + (step_s < usual_s / 2), 0);
  if (close < OVERLAP) return;
  const back = steps.findIndex((step_s) => step_s < 0) + 1;
  const gap = significant(time_s[back - 1] + usual_s - time_s[back], 10);
  throw new InputError(
    `the clock goes back at data row ${back + 1} to times that were there before`,
    `if the clock was set back, add ${gap} s to the times from data row ${back + 1} on; ` +
      "if rows were written twice, remove the second",
  );
};

/** Refuses a clock that does not increase; the remedy is that for a restart, for too few digits, or for rows out of
 * order. */
const checkIncrease = (time_s) => {
  const [falls, rises] = changesOf(time_s);
  if (rises === time_s.length - 1) return;
  const steps = diff(time_s);
  const row = steps.findIndex((step_s) => step_s <= 0) + 1;
  const [before_s, at_s] = [significant(time_s[row - 1], 10), significant(time_s[row], 10)];
  const problem = `time does not increase at data row ${row + 1} (${before_s} s, then ${at_s} s)`;
  const rows = falls ? 0 : rowsOfEach(time_s, rises);
  if (rows) {
    throw new InputError(
      `each time stands in ${rows} rows`,
      "give each signal a column of its own, remove rows that stand twice, or write the times with more digits",
    );
  }
  if (!falls && rises + 1 < (1 - FEW_DIGITS) * time_s.length) {
    const remedy = "write a time for each row, with more digits";
    throw new InputError(problem, `the times have too few digits, or stand for packets of rows: ${remedy}`);
  }
  const usual_s = rises ? median(steps.filter((step_s) => step_s > 0)) : 0;
  checkRestart(time_s, falls, usual_s);
  if (falls) checkOverlap(time_s, steps, usual_s);
  throw new InputError(problem, "sort the rows by time and remove duplicates");
};

/** Refuses a rate that no pulse wave has; the remedy names the unit of time in which it would be one. */
const checkRate = (time_s, rate_hz, seconds) => {
  const [low, high] = RATE_RANGE_HZ;
  // no pulse lasts so short, but one does in another unit of time
  if (rate_hz < low && diff(time_s).every((step_s) => step_s === 1)) {
    const remedy = "if the column counts samples, divide it by the sampling rate in Hz";
    const other = "if it is in milliseconds, multiply it by 0.001";
    throw new InputError("the times rise by exactly 1 from row to row", `${remedy}; ${other}`);
  }
  const isPossible = rate_hz >= low && rate_hz <= high;
  const unit = Object.keys(TIME_UNITS).find((name) => {
    const other_hz = rate_hz / TIME_UNITS[name];
    return low <= other_hz && other_hz <= USUAL_RATE_HZ && seconds * TIME_UNITS[name] > 1;
  });
  if (unit && (seconds < SHORTEST_BEAT_S || !isPossible)) {
    throw new InputError(
      `${significant(rate_hz)} samples a second, ${significant(seconds, 2)} s in all`,
      `if the time is in ${unit}, multiply it by ${significant(TIME_UNITS[unit])}`,
    );
  }
  if (!isPossible) {
    const remedy = `a pulse wave needs ${significant(low)} to ${significant(high)} Hz; correct the clock`;
    throw new InputError(`${significant(rate_hz)} samples a second`, remedy);
  }
};

/** Refuses a clock [s] of fewer than two samples, that is not finite and strictly increasing, or of an impossible
 * rate. */
export const checkClock = (time_s) => {
  const size = time_s.length;
  if (size < 2) throw new InputError(`${size} sample(s)`, "use a record of at least one heartbeat");
  const row = time_s.findIndex((at_s) => !Number.isFinite(at_s));
  if (row >= 0) throw new InputError(`time in data row ${row + 1} is not a number`, "fill it in or remove the row");
  checkIncrease(time_s);
  const [rate_hz, seconds] = [1 / medianStep(time_s), time_s[size - 1] - time_s[0]];
  if (seconds * rate_hz > LARGEST_SHARE * size) {
    const problem = `${size} samples at ${significant(rate_hz)} Hz span ${significant(seconds)} s`;
    throw new InputError(problem, "correct the clock, or split the record at its pauses");
  }
  checkRate(time_s, rate_hz, seconds);
};

/** Returns whether a wave has a stretch of that many samples that can be an arterial pressure, as before or after an
 * open line. */
const hasPulses = (wave, samples) => {
  const [lowest, highest] = READABLE_RANGE_MMHG;
  const [low, high] = PRESSURE_RANGE_MMHG;
  const isReadable = Uint8Array.from(wave, (p_mmhg) => p_mmhg >= lowest && p_mmhg <= highest);
  for (const [start, stop] of runs(isReadable)) {
    for (let first = start; first + samples <= stop; first += samples) {
      const stretch = wave.subarray(first, first + samples);
      const middle = median(stretch);
      if (middle >= low && middle <= high && spread(stretch) > LEAST_RANGE_MMHG) return true;
    }
  }
  return false;
};

/** Refuses a wave of pressure [mmHg], NaN where there is no sample, that has no sample or cannot be an arterial
 * pressure. */
export const checkPressure = (wave, fs_hz) => {
  const filled = wave.filter(Number.isFinite);
  if (!filled.length) throw noSamples();
  const [low, high] = PRESSURE_RANGE_MMHG;
  const isPressure = (p_mmhg) => p_mmhg >= low && p_mmhg <= high;
  const middle = median(filled);
  if (isPressure(middle) || hasPulses(wave, Math.trunc(LEAST_PULSES_S * fs_hz))) return;
  let remedy = `convert it to mmHg, with a median of ${low} to ${high}`;
  if (spread(filled) === 0) remedy = "if it was not measured, leave its column empty";
  if (filled.filter((p_mmhg) => p_mmhg < 0).length > MOST_NEGATIVE * filled.length) {
    remedy = "it is negative in part, so its zero is wrong: add what is missing, or leave the record out";
  } else if (isPressure(middle * MMHG_PER_KPA)) {
    remedy = `if it is in kPa, choose kPa as the unit; in mmHg it is too low for an artery (${low} or more)`;
  }
  throw new InputError(`median ${significant(middle)} is not an arterial pressure in mmHg`, remedy);
};

/** Refuses a wave that rises more often than any heart beats, as one does whose times are in minutes. */
const checkRhythm = (wave, rate_hz) => {
  const part = wave.filter(Number.isFinite).subarray(0, MOST_SAMPLES);
  const [low, high] = [percentile(part, 25), percentile(part, 75)];
  let [rises, below] = [0, false];
  for (const value of part) {
    if (value >= high && value > low) {
      rises += below ? 1 : 0;
      below = false;
    } else if (value <= low) below = true;
  }
  const repeats_hz = (rate_hz * rises) / part.length;
  if (!(repeats_hz > FASTEST_HZ)) return;
  const problem = `the wave rises ${repeats_hz.toFixed(0)} times a second, at ${significant(rate_hz)} samples a second`;
  throw new InputError(problem, "if the time is in minutes, multiply it by 60");
};

const noSamples = () => new InputError("contains only NaN", "choose another column");

/** Returns a wave with NaN for infinite samples; a pressure in mmHg, checked. */
const inMmhg = (wave, unit, fs_hz) => {
  const finite = wave.map((value) => (Number.isFinite(value) ? value : NaN));
  if (unit === null || unit === UNCALIBRATED_UNIT) return finite;
  const factor = Object.hasOwn(TO_MMHG, unit.toLowerCase()) ? TO_MMHG[unit.toLowerCase()] : NaN;
  if (!factor) throw new InputError(`the wave is in ${unit}`, `choose one of ${Object.keys(TO_MMHG).join(", ")}`);
  const wave_mmhg = factor === 1 ? finite : finite.map((value) => value * factor);
  checkPressure(wave_mmhg, fs_hz);
  return wave_mmhg;
};

/** Returns a checked record of one wave: its clock, the wave, the sampling rate, and what was changed.
 *
 * The wave is a pressure in `unit`, which becomes mmHg, or (`pressure` false) one of another kind, such as a PPG. */
export const makeRecording = ({ time_s: written_s, wave, unit = "mmHg", pressure = true }) => {
  const time_s = withDigits(written_s);
  checkClock(time_s);
  if (!wave.some(Number.isFinite)) throw noSamples();
  if (wave.length !== time_s.length) {
    const problem = `the wave has ${wave.length} samples, but the clock has ${time_s.length}`;
    throw new InputError(problem, "cut them to the same length");
  }
  const step_s = medianStep(time_s);
  const finite = inMmhg(wave, pressure ? unit : null, 1 / step_s);
  if (1 / step_s > USUAL_RATE_HZ) checkRhythm(finite, 1 / step_s);
  const mean_s = (time_s[time_s.length - 1] - time_s[0]) / (time_s.length - 1);
  const note = `times with too few digits: read as even steps of ${significant(time_s[1] - time_s[0])} s`;
  return {
    time_s,
    wave: finite,
    // over the whole record, or from the median step of a clock with pauses
    fs_hz: 1 / (Math.abs(mean_s / step_s - 1) < ROUNDED ? mean_s : step_s),
    notes: time_s === written_s ? [] : [note],
  };
};
