// Beats of an arterial pressure wave: feet and the pressures between them.
//
// The upstroke is where the slope sum, the sum of positive slopes over 128 ms, is large (Zong et al., Computers in
// Cardiology 2003). The foot is the lowest pressure shortly before it.

import { argmax, argmin, diff, greatest, interp, least, median } from "./arrays.js";
import { roundHalfEven, searchSorted, spread } from "./arrays.js";
import { BLOCK_SAMPLES, cutBlocks, pause, quickPercentile } from "./blocks.js";
import { lowpassPart } from "./filters.js";

export const SHORTEST_S = 0.27; // one beat at 220 a minute
const FEET_SMOOTH_HZ = 16;
const SLOPE_WINDOW_S = 0.128;
const REFRACTORY_S = 0.3;
const FAST_S = 0.25; // refractory time where beats are shorter than 0.4 s, up to 220 a minute
const FAST_BEAT_S = 0.4;
const HIGH_PERCENT = 97; // percentile of the slope sums that is a strong slope
const STRONG = 0.45; // of the strong slopes
const WEAK = 0.15;
// A weak beat starts this long after the foot before it [s], at most this far above it, and rises at least so much, as
// parts of the height. A dicrotic wave comes earlier: ejection ends within 0.38 s (0.413 s − 0.0017 s per beat a
// minute, Weissler 1968).
const WEAK_FEET = [
  [0.46, 0.45, 0.15],
  [0.4, 0.12, 0.25],
  [0.3, 0.2, 0.4],
];
// A weak beat that divides an interval of the usual length is one of many, as in alternans, or a dicrotic wave.
const LONGER = 1.2;
const LEAST_WEAK = 0.2;
const RISE_S = 0.4;
const FOOT_SEARCH_S = 0.35;
const BESIDE_S = 0.06;
const GENTLE = 0.15; // part of the steepest slope
const LOW = 0.5; // part of the fall from there to the lowest point
const BLOCK_S = 10;

/** A wave after the low-pass, computed in blocks when it is read. */
class Smooth {
  constructor(x, fs_hz) {
    Object.assign(this, { wave: x, fs_hz, start: 0, block: new Float64Array(0) });
  }

  /** Returns the samples [start, stop). */
  part(start, stop) {
    if (start < this.start || stop > this.start + this.block.length) {
      this.start = Math.max(start - (BLOCK_SAMPLES >> 3), 0);
      const end = Math.min(Math.max(stop, start + BLOCK_SAMPLES), this.wave.length);
      this.block = lowpassPart(this.wave, this.start, end, this.fs_hz, FEET_SMOOTH_HZ);
    }
    return this.block.subarray(start - this.start, stop - this.start);
  }
}

const samplesOf = (seconds, fs_hz) => Math.max(Math.trunc(seconds * fs_hz), 1);

/** The sum of the positive slopes of the window that ends at each sample. */
const slopeSums = (x, width) => {
  const rises = new Float64Array(x.length);
  for (let k = 1; k < x.length; k++) rises[k] = Math.max(x[k] - x[k - 1], 0);
  const sums = new Float64Array(x.length);
  for (let k = 0; k < x.length; k++) {
    const first = Math.max(k - width + 1, 0);
    // backwards, as the package adds: the highest of sums that differ by rounding alone hangs on the order
    for (let other = k; other >= first; other--) sums[k] += rises[other];
  }
  return sums;
};

/** Returns the peaks of a wave that are not negative, of a plateau the middle, as `scipy.signal.find_peaks`. */
export function findPeaks(x) {
  const peaks = [];
  for (let k = 1; k < x.length - 1; k++) {
    if (!(x[k - 1] < x[k])) continue;
    let ahead = k + 1;
    while (ahead < x.length - 1 && x[ahead] === x[k]) ahead++;
    if (!(x[ahead] < x[k])) continue;
    if (x[k] >= 0) peaks.push((k + ahead - 1) >> 1);
    k = ahead - 1;
  }
  return peaks;
}

/** Returns the upstrokes of a wave, {at, height, strong}: samples and heights of the peaks of the slope sum, and the
 * strong slope sums around. These are those of each 10 s, so that thresholds follow a record of hours. */
const upstrokesOf = async (smooth, size, fs_hz) => {
  const [width, length] = [samplesOf(SLOPE_WINDOW_S, fs_hz), samplesOf(BLOCK_S, fs_hz)];
  const [centres, strong, at, height] = [[], [], [], []];
  for (const [start, stop] of cutBlocks(size, length)) {
    await pause();
    const first = Math.max(start - 2 * width - 2, 0);
    const sums = slopeSums(smooth.part(first, Math.min(stop + width + 1, size)), width);
    for (const peak of findPeaks(sums)) {
      if (peak < start - first || peak >= stop - first) continue;
      at.push(peak + first);
      height.push(sums[peak]);
    }
    for (let own = start; own < stop; own += length) {
      if (own && own >= size - (length >> 1)) continue; // the rest of a record is no block of its own
      const end = Math.min(own + length, size);
      centres.push((own + end) / 2);
      strong.push(quickPercentile(sums.subarray(own - first, end - first), HIGH_PERCENT));
    }
  }
  return { at, height, strong: interp(at, centres, strong) };
};

/** Returns the samples of the peaks above a share of the strong ones; of two that are too close, the higher. */
const peaksAbove = ({ at, height, strong }, share, apart) => {
  const high = [...at.keys()].filter((k) => height[k] >= share * strong[k]);
  const close = (k) => k >= 0 && k < high.length - 1 && at[high[k + 1]] - at[high[k]] < apart;
  const crowded = [...high.keys()].filter((k) => close(k) || close(k - 1));
  const kept = new Uint8Array(high.length).fill(1);
  for (const k of crowded.sort((a, b) => height[high[b]] - height[high[a]] || b - a)) {
    if (!kept[k]) continue;
    for (const step of [-1, 1]) {
      let other = k + step;
      for (; other >= 0 && other < high.length && Math.abs(at[high[other]] - at[high[k]]) < apart; other += step) {
        kept[other] = 0;
      }
    }
  }
  return high.filter((_, k) => kept[k]).map((k) => at[k]);
};

/** Returns the place of the foot in a wave that runs backwards from the steepest point of the upstroke; beyond its
 * first `length` samples nothing counts.
 *
 * The upstroke begins where its slope is a small part of the steepest one, low in the wave; the foot is the lowest
 * point just before. The lowest point of the whole diastole may be another: in vasodilation a dicrotic notch lies lower, and
 * the wave may climb from there to the upstroke. */
const backToFoot = (back, length, fs_hz) => {
  const count = back.length;
  const own = back.fill(Infinity, Math.min(length, count));
  let steepest = 0;
  for (let k = 0; k < Math.min(length, count) - 1; k++) steepest = Math.max(steepest, own[k] - own[k + 1]);
  const lowest = least(own);
  const level = lowest + LOW * (own[0] - lowest);
  let first = 0;
  while (first < count - 1) {
    const slope = first + 1 < length ? own[first] - own[first + 1] : Infinity;
    if (own[first] <= level && slope < GENTLE * steepest) break;
    first++;
  }
  if (first === count - 1) first = argmin(own);
  const beside = Math.max(roundHalfEven(BESIDE_S * fs_hz), 1);
  return argmin(own, first, Math.min(first + beside + 1, count));
};

/** Returns the lowest pressure shortly before each upstroke, given the peaks of the slope sum. */
const feetOf = async (peaks, smooth, fs_hz) => {
  const width = samplesOf(SLOPE_WINDOW_S, fs_hz);
  const back = new Float64Array(Math.trunc(FOOT_SEARCH_S * fs_hz) + 1);
  const [search, apart] = [back.length - 1, Math.trunc(REFRACTORY_S * fs_hz) >> 1];
  const feet = [];
  let last = -1;
  for (let k = 0; k < peaks.length; ) {
    await pause();
    const begin = k;
    while (k < peaks.length && Math.floor(peaks[k] / BLOCK_SAMPLES) === Math.floor(peaks[begin] / BLOCK_SAMPLES)) k++;
    const first = Math.max(peaks[begin] - width - search - 1, 0);
    const x = smooth.part(first, peaks[k - 1] + 1);
    for (const peak of peaks.slice(begin, k)) {
      const steepest = steepestBefore(x, peak - first, width);
      const reversed = () => back.map((_, j) => x[Math.max(steepest - j, 0)]);
      let foot = steepest + first - backToFoot(reversed(), Math.min(steepest, search) + 1, fs_hz);
      if (last >= steepest + first) foot = steepest + first;
      else if (last >= steepest + first - search) {
        foot = steepest + first - backToFoot(reversed(), steepest + first - last, fs_hz); // it ends at the foot before
      }
      if (foot > 0 && (last < 0 || foot - last >= apart)) {
        feet.push(foot);
        last = foot;
      }
    }
  }
  return feet;
};

/** The sample of the steepest rise of an upstroke, which lies within the window of the slope sum. */
const steepestBefore = (x, peak, width) => {
  let found = Math.max(peak - width, 0);
  let steepest = -Infinity;
  for (let k = peak - width; k <= peak; k++) {
    const at = Math.max(k, 0);
    const rise = at ? Math.max(x[at] - x[at - 1], 0) : 0;
    if (rise > steepest) [found, steepest] = [at, rise];
  }
  return found;
};

/** Returns the feet of strong beats with those of weak ones among them; times and levels are choices, `WEAK_FEET`. */
const withWeak = async (feet, weak, smooth, size, fs_hz) => {
  const found = [];
  const usual = median(diff(feet));
  const within = new Set(); // weak beats in an interval of the usual length
  let next = 0;
  for (const foot of weak) {
    while (next < feet.length && feet[next] <= foot) found.push(feet[next++]);
    const before = found.length ? found[found.length - 1] : foot;
    const after = next < feet.length ? feet[next] : size;
    if (foot === before || after - foot < FAST_S * fs_hz) continue;
    await pause();
    const part = smooth.part(before, Math.min(after, foot + Math.trunc(RISE_S * fs_hz)));
    const [level, height] = [part[foot - before], spread(part.subarray(0, foot - before))];
    const share = height > 0 ? (level - part[0]) / height : Infinity;
    const rise = greatest(part, foot - before) - level;
    const isWeak = ([least_s, most, leastRise]) =>
      foot - before >= least_s * fs_hz && share <= most && rise >= leastRise * height;
    if (!WEAK_FEET.some(isWeak)) continue;
    found.push(foot);
    if (after - before < LONGER * usual) within.add(foot);
  }
  found.push(...feet.slice(next));
  const several = within.size >= Math.max(LEAST_WEAK * feet.length, 2); // a single one is a dicrotic wave
  return several ? found : found.filter((foot) => !within.has(foot));
};

/** Finds the feet of all beats of a wave without gaps, up to 220 a minute, weak ones too: increasing indices.
 *
 * A weak beat, as every other one in pulsus alternans or a premature one in bigeminy, has a smaller upstroke than the
 * threshold. It differs from a dicrotic wave by its time and by its foot, which lies near diastole. */
export async function findFeet(x, fs_hz) {
  if (x.length < Math.trunc(REFRACTORY_S * fs_hz) || !x.length || spread(x) === 0) return [];
  await pause();
  const smooth = new Smooth(x, fs_hz);
  const upstrokes = await upstrokesOf(smooth, x.length, fs_hz);
  let peaks = peaksAbove(upstrokes, STRONG, samplesOf(FAST_S, fs_hz));
  let feet = await feetOf(peaks, smooth, fs_hz);
  if (feet.length < 3 || median(diff(feet)) > FAST_BEAT_S * fs_hz) {
    // a dicrotic wave may come within 0.3 s
    const apart = peaksAbove(upstrokes, STRONG, samplesOf(REFRACTORY_S, fs_hz));
    const same = apart.length === peaks.length && apart.every((peak, k) => peak === peaks[k]);
    if (!same) feet = await feetOf(apart, smooth, fs_hz);
    peaks = apart;
  }
  if (feet.length < 2) return feet;
  await pause();
  const all = peaksAbove(upstrokes, WEAK, samplesOf(FAST_S, fs_hz));
  const near = nearest(peaks, all);
  const weak = all.filter((peak, k) => Math.abs(peak - near[k]) > 0.2 * fs_hz);
  return withWeak(feet, await feetOf(weak, smooth, fs_hz), smooth, x.length, fs_hz);
}

/** Returns the nearest of some increasing values to each of others, the lower one of two. */
export function nearest(values, to) {
  const last = values.length - 1;
  return Array.from(to, (other) => {
    const after = Math.min(Math.max(searchSorted(values, other), 1), Math.max(last, 1));
    const [low, high] = [values[after - 1], values[Math.min(after, last)]];
    return Math.abs(other - low) <= Math.abs(high - other) ? low : high;
  });
}

/** Returns a wave that is repeated so many times. */
export function tile(x, times) {
  const wave = new Float64Array(times * x.length);
  for (let k = 0; k < times; k++) wave.set(x, k * x.length);
  return wave;
}

/** Finds the feet of a record that may be as short as one beat, (beat + 1,); none if it has no beat.
 *
 * A record with fewer than two feet is treated as one period that repeats. Its feet are then those of the second
 * repetition and lie beyond its end. */
export async function wholeBeats(x, fs_hz) {
  const feet = await findFeet(x, fs_hz);
  if (feet.length >= 2) return feet;
  const second = (await findFeet(tile(x, 3), fs_hz)).filter((foot) => foot >= x.length && foot < 2 * x.length);
  return second.length ? [...second, second[0] + x.length] : second;
}

/** Returns the median heart rate of a record [1/min]; NaN if it has no whole beat. */
export async function heartRate(x, fs_hz) {
  const feet = await findFeet(x, fs_hz);
  return feet.length > 1 ? (60 * fs_hz) / median(diff(feet)) : NaN;
}

/** The pressures of beats from their extremes and the sums of their samples. */
const pressuresFrom = (count, systolic, diastolic, mean) => {
  const columns = { systolic, diastolic, pulse: new Float64Array(count), mean };
  for (let k = 0; k < count; k++) columns.pulse[k] = systolic[k] - diastolic[k];
  return columns;
};

/** Returns systolic, diastolic, pulse and mean pressure of the beats between successive feet, each (beat,). */
export function pressures(x, feet) {
  const count = Math.max(feet.length - 1, 0);
  const [systolic, diastolic, mean] = [0, 0, 0].map(() => new Float64Array(count));
  for (let k = 0; k < count; k++) {
    systolic[k] = greatest(x, feet[k], feet[k + 1]);
    diastolic[k] = least(x, feet[k], feet[k + 1]);
    for (let j = feet[k]; j < feet[k + 1]; j++) mean[k] += x[j];
    mean[k] /= feet[k + 1] - feet[k];
  }
  return pressuresFrom(count, systolic, diastolic, mean);
}

/** Returns the pressures of the beats between some of the feet, given those between all feet. */
export function merged(own, feet, kept) {
  const count = Math.max(kept.length - 1, 0);
  const [systolic, diastolic, mean] = [0, 0, 0].map(() => new Float64Array(count));
  const at = Array.from(kept, (foot) => searchSorted(feet, foot));
  for (let k = 0; k < count; k++) {
    systolic[k] = greatest(own.systolic, at[k], at[k + 1]);
    diastolic[k] = least(own.diastolic, at[k], at[k + 1]);
    for (let j = at[k]; j < at[k + 1]; j++) mean[k] += own.mean[j] * (feet[j + 1] - feet[j]);
    mean[k] /= kept[k + 1] - kept[k];
  }
  return pressuresFrom(count, systolic, diastolic, mean);
}

/** Returns the sample of a wave's highest value in each beat, (beat,). */
export function peaksOf(x, feet) {
  return Array.from({ length: Math.max(feet.length - 1, 0) }, (_, k) => argmax(x, feet[k], feet[k + 1]));
}
