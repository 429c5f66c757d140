// What a reconstruction says, in words and rows of a table.

import { mean } from "./arrays.js";
import { summary } from "./reconstruct.js";

const ROWS_OF_BEATS = [
  ["csbp_est_mmhg", "cSBP, aortic systolic", "mmHg", true],
  ["cdbp_est_mmhg", "cDBP, aortic diastolic", "mmHg", true],
  ["cpp_est_mmhg", "cPP, aortic pulse", "mmHg", true],
  ["hr_bpm", "Heart rate", "1/min", true],
  ["cmap_est_mmhg", "Aortic mean", "mmHg", false],
  ["aix_percent", "AIx, augmentation index", "%", false],
  ["sevr_percent", "SEVR, subendocardial viability ratio", "%", false],
  ["peripheral_sbp_mmhg", "Peripheral systolic", "mmHg", false],
  ["peripheral_dbp_mmhg", "Peripheral diastolic", "mmHg", false],
  ["peripheral_pp_mmhg", "Peripheral pulse", "mmHg", false],
];

/** Returns the flag of a record out of distribution: its text, and its kind "harm", "doubt" or "". */
export const flagOf = (wave, most) => {
  const share = wave.ood_fraction;
  const percent = `${Math.round(100 * share)} %`;
  if (Number.isNaN(share)) return { kind: "doubt", text: "This network cannot tell whether a record is unlike its training." };
  if (share > most) return { kind: "harm", text: `OUT OF DISTRIBUTION: ${percent} of the record is unlike the training data; ${wave.outside}.` };
  if (share > 0) return { kind: "doubt", text: `Partly out of distribution: ${percent} of the record is unlike the training data; ${wave.outside}.` };
  return { kind: "", text: "In distribution: 0 % of the record is unlike the training data." };
};

const statistics = (values) => {
  const known = values.filter(Number.isFinite);
  if (!known.length) return null;
  const centre = mean(known);
  return { mean: centre, sd: Math.sqrt(mean(known.map((value) => (value - centre) ** 2))) };
};

const intervalText = (wave, network) => {
  const half = statistics(wave.beats.csbp_half_width_mmhg);
  if (wave.lacking) return `No intervals: ${wave.lacking}.`;
  if (!network.intervals || !half) return "";
  const percent = `${Math.round(100 * network.intervals.level)} %`;
  return `Prediction interval of the cSBP of one beat: ± ${half.mean.toFixed(1)} mmHg (${percent}, in silico: ${network.intervals.where}).`;
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
  const rows = [];
  for (const [key, name, unit, main] of ROWS_OF_BEATS) {
    const one = known[key] ?? statistics(wave.beats[key]);
    if (one) rows.push({ name, mean: one.mean.toFixed(1), sd: one.sd.toFixed(1), unit, main });
  }
  const unusual = wave.unusual_hr && `${wave.unusual_hr}; do not trust its pulse pressure and intervals`;
  const remarks = [wave.unknown_level, unusual, ...wave.notes].filter(Boolean);
  return { flag: flagOf(wave, most), remarks, rows, interval: intervalText(wave, network) };
};
