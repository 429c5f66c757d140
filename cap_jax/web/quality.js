// Usable spans of a pressure record, and the reasons why its gaps are not usable.

import { greatest, interp, least, line, runs, searchSorted } from "./arrays.js";
import { cutBlocks, finiteOf, fixedText, medianOf, medianStepOf, pause, percentilesOf } from "./blocks.js";
import { lowpassPart } from "./filters.js";
import { maximumFilter, minimumFilter } from "./ndimage.js";

export const LOW_MMHG = 15;
export const HIGH_MMHG = 320;
const FLAT_S = 1.5;
const FLAT_RANGE_MMHG = 4;
const FLAT_OF_USUAL = 0.05; // of the usual range of a wave without a unit
const PAUSE_STEPS = 2.5; // a step of the clock longer than this many samples is a gap
const JITTER = 0.25; // of the steps of a clock of arrival times
const LEAST_USUAL = 0.5;
const RATE_ERROR = 5e-3;
export const FILL_S = 0.1; // a shorter loss is bridged: a tenth of a beat, less than any upstroke and run-off
const CLOCK_ROUNDED = 0.02; // stamps with few digits make the median step wrong by less
const STEEPER = 1.2; // an inverted PPG falls so much faster than it rises

/** Returns the sampling rate of a clock [Hz]: over the whole record, or from the median step of a clock with pauses. */
export async function rateOf(time_s) {
  const step_s = await medianStepOf(time_s);
  const mean_s = (time_s[time_s.length - 1] - time_s[0]) / (time_s.length - 1);
  return 1 / (Math.abs(mean_s / step_s - 1) < CLOCK_ROUNDED ? mean_s : step_s);
}

/** Marks the samples of stretches of `FLAT_S` seconds whose range stays below the least of a pulse; NaN count as 0. */
export async function flat(x, fs_hz, leastRange = FLAT_RANGE_MMHG) {
  const size = Math.max(Math.trunc(FLAT_S * fs_hz), 3);
  const half = size >> 1;
  const flatMask = new Uint8Array(x.length);
  if (x.length < size) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of x) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return flatMask.fill(!x.length || high - low < leastRange ? 1 : 0);
  }
  const centre = new Uint8Array(x.length); // a window that reaches over the end does not count
  for (const [start, stop] of cutBlocks(x.length)) {
    await pause();
    const first = Math.max(start - size, 0);
    const filled = x.slice(first, Math.min(stop + size, x.length));
    for (let k = 0; k < filled.length; k++) if (!Number.isFinite(filled[k])) filled[k] = 0;
    const [high, low] = [maximumFilter(filled, size), minimumFilter(filled, size)];
    for (let k = Math.max(start, half); k < Math.min(stop, x.length - half); k++) {
      centre[k] = high[k - first] - low[k - first] < leastRange ? 1 : 0;
    }
  }
  for (const [start, stop] of runs(centre)) {
    flatMask.fill(1, Math.max(start - half, 0), Math.min(stop + half, x.length));
  }
  return flatMask;
}

/** Returns the losses that are short enough to be bridged, [[first sample, the first one after it], …], given which
 * samples are lost and the longest time between the samples beside a loss. */
export function shortLosses(time_s, missing, fill_s = FILL_S) {
  return runs(missing).filter(
    ([start, stop]) => start > 0 && stop < missing.length && time_s[stop] - time_s[start - 1] <= fill_s,
  );
}

/** Returns a wave with straight lines in its losses; the wave itself if there are none. */
export function fillLosses(time_s, x, losses) {
  const filled = losses.length ? x.slice() : x;
  for (const [start, stop] of losses) {
    const beside_s = [time_s[start - 1], time_s[stop]];
    filled.set(interp(time_s.subarray(start, stop), beside_s, [x[start - 1], x[stop]]), start);
  }
  return filled;
}

/** Returns an evenly spaced clock where the times are those at which packets of samples arrived, else the times.
 *
 * Arrival times scatter about a straight line at the rate of the samples: a late packet is followed by shorter steps.
 * Lost samples differ: after them the clock stays ahead, so the mean step exceeds the usual one. */
export async function regularClock(time_s) {
  const size = time_s.length;
  if (size < 3) return time_s;
  const step_s = await medianStepOf(time_s);
  await pause();
  let usual = 0;
  let shortest_s = Infinity;
  for (let k = 0; k < size - 1; k++) {
    const own_s = time_s[k + 1] - time_s[k];
    if (Math.abs(own_s / step_s - 1) < JITTER) usual++;
    if (own_s < shortest_s) shortest_s = own_s;
  }
  if (usual === size - 1 || usual / (size - 1) < LEAST_USUAL || shortest_s > (1 - JITTER) * step_s) return time_s;
  await pause();
  const [slope, first_s] = line(time_s);
  const regular_s = new Float64Array(size);
  let late_s = 0;
  for (let k = 0; k < size; k++) {
    regular_s[k] = first_s + slope * k;
    late_s = Math.max(late_s, Math.abs(time_s[k] - regular_s[k]));
  }
  return Math.abs(slope / step_s - 1) < RATE_ERROR && late_s <= FILL_S ? regular_s : time_s;
}

/** Returns which samples of a pressure lie within 15–320 mmHg; outside are markers of lost samples and open lines. */
export function isPlausible(x) {
  const plausible = new Uint8Array(x.length);
  for (let k = 0; k < x.length; k++) plausible[k] = x[k] >= LOW_MMHG && x[k] <= HIGH_MMHG ? 1 : 0;
  return plausible;
}

/** Returns which samples of a wave are numbers. */
export function isKnown(x) {
  const known = new Uint8Array(x.length);
  for (let k = 0; k < x.length; k++) known[k] = Number.isFinite(x[k]) ? 1 : 0;
  return known;
}

/** Returns a mask of the samples that a mask does not have. */
export function inverted(mask) {
  const others = new Uint8Array(mask.length);
  for (let k = 0; k < mask.length; k++) others[k] = mask[k] ? 0 : 1;
  return others;
}

/** Returns which samples are missing: [those without a number, those outside 15–320 mmHg]. */
const lostSamples = (x, pressure) => {
  const missing = new Uint8Array(x.length);
  const outside = new Uint8Array(x.length);
  for (let k = 0; k < x.length; k++) {
    missing[k] = Number.isFinite(x[k]) ? 0 : 1;
    outside[k] = pressure && !missing[k] && (x[k] < LOW_MMHG || x[k] > HIGH_MMHG) ? 1 : 0;
  }
  return [missing, outside];
};

/** Returns the spans between lost samples and pauses of the clock, and all gaps in order. */
const cutSpans = (time_s, lost, gaps, step_s, fill_s) => {
  const longest_s = Math.max(PAUSE_STEPS * step_s, fill_s);
  const pauses = [];
  for (let k = 1; k < time_s.length; k++) if (time_s[k] - time_s[k - 1] > longest_s) pauses.push(k);
  for (const k of pauses) {
    const reason = `pause of ${fixedText(time_s[k] - time_s[k - 1], 2)} s in the clock`;
    gaps.push({ start: k, stop: k, reason });
  }
  const good = [];
  for (const [start, stop] of runs(inverted(lost))) {
    const own = pauses.slice(searchSorted(pauses, start + 1), searchSorted(pauses, stop));
    const cuts = [start, ...own, stop];
    for (let k = 1; k < cuts.length; k++) good.push({ start: cuts[k - 1], stop: cuts[k], reason: "" });
  }
  gaps.sort((a, b) => a.start - b.start || a.stop - b.stop);
  return { good, gaps };
};

/** Returns the usable spans and the gaps, given the least range of a pulse, and which samples cannot be used why. */
const spansOf = async (time_s, x, pressure, leastRange, fill_s) => {
  const step_s = time_s.length > 1 ? await medianStepOf(time_s) : 1;
  const [missing, outside] = lostSamples(x, pressure);
  await pause();
  const still = await flat(x, 1 / step_s, leastRange);
  await pause();
  const lost = new Uint8Array(x.length);
  for (let k = 0; k < x.length; k++) {
    if (missing[k] || outside[k]) still[k] = 0;
    lost[k] = missing[k] | outside[k] | still[k];
  }
  const asGaps = (mask, reason) => runs(mask).map(([start, stop]) => ({ start, stop, reason }));
  const implausible = asGaps(outside, `outside ${LOW_MMHG}–${HIGH_MMHG} mmHg`);
  const gaps = [...asGaps(missing, "no data"), ...implausible, ...asGaps(still, "flat line")];
  await pause();
  return cutSpans(time_s, lost, gaps, step_s, fill_s);
};

/** Finds the spans and gaps of a wave of any unit, {good, gaps}, each with start, stop and reason.
 *
 * A gap is a run of NaN, or 1.5 s without a pulse relative to the wave's own range. A pause of the clock is an empty
 * gap, if it is not shorter than the fill. */
export async function findFinite(time_s, x, fill_s = FILL_S) {
  const finite = finiteOf(x);
  let usual = 0;
  if (finite.length) {
    const [high, low] = await percentilesOf(finite, [95, 5]);
    // the wave may be dead for nineteen twentieths of the record, or all of it
    usual = high - low || greatest(finite) - least(finite);
  }
  return spansOf(time_s, x, false, usual ? FLAT_OF_USUAL * usual : Infinity, fill_s);
}

/** Finds the usable spans and the gaps of a pressure record in order, {good, gaps}, each with start, stop and reason.
 *
 * A gap is a run of NaN, of pressures outside 15–320 mmHg or without a pulse for 1.5 s. A pause of the clock ends a
 * span and is reported as an empty gap, if it is not shorter than the fill. */
export async function findSpans(time_s, p_mmhg, fill_s = FILL_S) {
  return spansOf(time_s, p_mmhg, true, FLAT_RANGE_MMHG, fill_s);
}

/** Returns 1 if a wave with gaps rises with the pulse, −1 if it falls: an upstroke is steeper than a run-off. */
export async function polarity(x, fs_hz) {
  const middle = await medianOf(finiteOf(x));
  await pause();
  const slope = new Float64Array(x.length - 1);
  for (const [start, stop] of cutBlocks(slope.length)) {
    await pause();
    const part = lowpassPart(x, start, stop + 1, fs_hz, 10, middle);
    for (let k = start; k < stop; k++) slope[k] = part[k + 1 - start] - part[k - start];
  }
  const [fall, rise] = await percentilesOf(slope, [2, 98]);
  return -fall > STEEPER * rise ? -1 : 1;
}

/** Returns a wave that rises with the pulse: one that falls is turned over about its median. */
export async function upright(x, fs_hz) {
  if ((await polarity(x, fs_hz)) > 0) return x;
  const middle = await medianOf(finiteOf(x));
  return x.map((value) => 2 * middle - value);
}
