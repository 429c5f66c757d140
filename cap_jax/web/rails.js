// Where a wave was cut off at its highest or lowest value, by its recorder.

import { roundHalfEven } from "./arrays.js";
import { pause, percentilesOf } from "./blocks.js";

const CLIPPED_S = 0.04;
const BEYOND_PERCENT = [20, 80]; // percentiles of all samples
const OFTEN_AT_REST = 4; // times that a wave rests at a rail
// A wave that is cut off lies this far from the rail `ENTRY_S` before and after: in its smallest steps, or as a part of
// its range.
const ENTRY_S = 0.008;
const STEPS_AT_ONCE = 1.5;
const ENTRY = 0.002;
const COARSE_FOOT_S = 0.25; // diastole falls by 10 mmHg a second at its end, so it rests on its last mmHg for 0.1 s
const COARSE_STEPS = 2.5; // a peak in whole mmHg may be reached by two steps at once
const COARSE_MMHG = 0.5;

/** Returns the valid samples, and the smallest difference between neighbours of them that differ, 0 if none do. */
const validSamples = (x, validMask) => {
  const valid = new Float64Array(x.length);
  let count = 0;
  let step = Infinity;
  for (let k = 0; k < x.length; k++) {
    if (!validMask[k]) continue;
    const own = count ? Math.abs(x[k] - valid[count - 1]) : 0;
    if (own > 0 && own < step) step = own;
    valid[count++] = x[k];
  }
  return [valid.subarray(0, count), Number.isFinite(step) ? step : 0];
};

/** Returns the runs of equal samples of so many at least, [[start, stop], …]. */
const longRests = (x, longest) => {
  const found = [];
  for (let start = 0; start < x.length; ) {
    let stop = start + 1;
    while (stop < x.length && x[stop] === x[start]) stop++;
    if (stop - start >= longest) found.push([start, stop]);
    start = stop;
  }
  return found;
};

/** Marks the samples where a signal stays at its highest or lowest value for 40 ms, because it was cut off there.
 *
 * Pass the samples as they were recorded: a resampled wave rings where it was cut. A wave in whole mmHg also rests on
 * its peaks, but it reaches them by single steps. A marker or a spike may lie beyond the rails at which the wave itself
 * is cut off: rails are also values beyond most others where the wave often rests. Which samples are valid, and no
 * gaps, must depend on their values alone. */
export async function atRails(x, fs_hz, validMask) {
  const cutOff = new Uint8Array(x.length);
  const [valid, step] = validSamples(x, validMask);
  await pause();
  const [lowest, low, median, high, highest] = valid.length
    ? await percentilesOf(valid, [0, BEYOND_PERCENT[0], 50, BEYOND_PERCENT[1], 100])
    : [0, 0, 0, 0, 0];
  if (!(highest > lowest)) return cutOff;
  const stepsAtOnce = step >= COARSE_MMHG ? COARSE_STEPS : STEPS_AT_ONCE;
  const longest = Math.max(Math.trunc(CLIPPED_S * fs_hz), 3);
  const away = Math.max(roundHalfEven(ENTRY_S * fs_hz), 1);
  const entry = Math.max(stepsAtOnce * step, ENTRY * (highest - lowest));
  await pause();
  const resting = longRests(x, longest).filter(([start]) => validMask[start]);
  const counts = new Map();
  for (const [start] of resting) counts.set(x[start], (counts.get(x[start]) ?? 0) + 1);
  const often = (value) => (value >= high || value <= low) && counts.get(value) >= OFTEN_AT_REST;
  for (const [start, stop] of resting) {
    const level = x[start];
    if (level !== lowest && level !== highest && !often(level)) continue;
    const coarseFoot = stepsAtOnce === COARSE_STEPS && level < median;
    if (coarseFoot && stop - start < Math.trunc(COARSE_FOOT_S * fs_hz)) continue;
    const beside = [start - away, stop - 1 + away].filter((k) => k >= 0 && k < x.length && validMask[k]);
    if (beside.some((k) => Math.abs(x[k] - level) > entry)) cutOff.fill(1, start, stop);
  }
  return cutOff;
}
