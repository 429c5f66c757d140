// What a reconstruction says, in words and rows of a table.

import { mean } from "./arrays.js";
import { summary } from "./reconstruct.js";
import { percentText, READINGS, wordsOf } from "./words.js";

const ROWS_OF_BEATS = [
  ["csbp_est_mmhg", "cSBP, aortic systolic", "mmHg", true],
  ["cdbp_est_mmhg", "cDBP, aortic diastolic", "mmHg", true],
  ["cpp_est_mmhg", "cPP, aortic pulse pressure", "mmHg", true],
  ["hr_bpm", "Heart rate", "1/min", true],
  ["cmap_est_mmhg", "Aortic mean", "mmHg", false],
  ["aix_percent", "AIx, augmentation index", "%", false],
  ["sevr_percent", "SEVR, subendocardial viability ratio", "%", false],
  ["peripheral_sbp_mmhg", "Peripheral systolic", "mmHg", false],
  ["peripheral_dbp_mmhg", "Peripheral diastolic", "mmHg", false],
  ["peripheral_pp_mmhg", "Peripheral pulse pressure", "mmHg", false],
];
const IRREGULAR = 0.15; // SD of the heart rate over its mean

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** Returns the most serious flag of a record: its text, and its kind "harm", "caution" or "". */
export const flagOf = (wave, most) => {
  const share = wave.ood_fraction;
  const summary = `${percentText(share)} of the record is unlike the training data; ${wave.outside}.`;
  if (share > most) return { kind: "harm", text: `OUT OF DISTRIBUTION: ${summary}` };
  if (wave.unusual_hr) {
    return { kind: "harm", text: `DO NOT TRUST the pulse pressure and the intervals: ${wave.unusual_hr}.` };
  }
  if (Number.isNaN(share)) return { kind: "caution", text: "This network cannot detect records that are unlike its training data." };
  if (share > 0) return { kind: "caution", text: `Partly out of distribution: ${summary}` };
  return { kind: "", text: "In distribution: 0 % of the record is unlike the training data." };
};

/** Returns how much of a record was reconstructed, in words. */
export const usedText = ({ time_s, aortic_mmhg }) => {
  const known = aortic_mmhg.reduce((count, value) => count + !Number.isNaN(value), 0);
  const whole_s = time_s[time_s.length - 1] - time_s[0];
  const used_s = (whole_s * known) / time_s.length;
  if (known === time_s.length) return `All ${whole_s.toFixed(1)} s were reconstructed.`;
  return `${used_s.toFixed(1)} of ${whole_s.toFixed(1)} s were reconstructed; the rest was left out, see Gaps.`;
};

/** Returns the readings that were used, in words; "" without any. */
export const readingsText = (readings) => {
  const parts = Object.entries(readings).map(([name, value]) => `${READINGS[name] ?? wordsOf(name)}: ${value}`);
  return parts.length ? `Read with ${parts.join("; ")}.` : "";
};

const statistics = (values) => {
  const known = values.filter(Number.isFinite);
  if (!known.length) return null;
  const centre = mean(known);
  return { mean: centre, sd: Math.sqrt(mean(known.map((value) => (value - centre) ** 2))) };
};

const levelText = (network) => (network.intervals ? percentText(network.intervals.level) : "");

const intervalText = (wave, network) => {
  if (wave.lacking) return `No intervals: ${wave.lacking}.`;
  if (!network.intervals) return "The network was never calibrated, so it has no intervals.";
  const { subjects, where } = network.intervals;
  return `Interval: holds the systolic pressure of a beat with ${levelText(network)}, for people like the ${subjects} who calibrated it (${where}).`;
};

const irregularText = ({ hr_bpm }) => {
  const { mean: usual, sd } = statistics(hr_bpm) ?? { mean: NaN, sd: NaN };
  return sd > IRREGULAR * usual ? `The rhythm is irregular: ${usual.toFixed(0)} ± ${sd.toFixed(0)} a minute.` : "";
};

/**
 * Returns what the page shows of a reconstruction: the flag, remarks, rows of numbers, and a sentence on the interval.
 *
 * @param wave what `reconstruct` returns.
 * @param network its network.
 * @param most share of windows beyond which a record is flagged.
 */
export const results = (wave, network, most) => {
  const known = summary(wave.beats);
  const half = statistics(wave.beats.csbp_half_width_mmhg)?.mean;
  const rows = [];
  for (const [key, name, unit, main] of ROWS_OF_BEATS) {
    const one = known[key] ?? statistics(wave.beats[key]);
    if (!one) continue;
    const hasInterval = key === "csbp_est_mmhg" && Number.isFinite(half);
    const interval = hasInterval ? `${(one.mean - half).toFixed(1)} to ${(one.mean + half).toFixed(1)}` : "";
    rows.push({ name, mean: one.mean.toFixed(1), interval, sd: one.sd.toFixed(1), unit, main });
  }
  const flag = flagOf(wave, most);
  const unusual = wave.unusual_hr && !flag.text.includes(wave.unusual_hr)
    ? sentence(`${wave.unusual_hr}; do not trust its pulse pressure and intervals`) : "";
  const level = wave.unknown_level && sentence(wave.unknown_level);
  const notes = wave.notes.map(sentence);
  const remarks = [usedText(wave), level, unusual, irregularText(wave.beats), ...notes].filter(Boolean);
  return { flag, remarks, rows, interval: intervalText(wave, network), level: levelText(network) };
};
