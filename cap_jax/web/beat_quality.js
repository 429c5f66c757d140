// Fault detection for the beats of a pressure or a PPG; each rejected beat keeps its reason.
//
//     flat      no pulse: a small part of its neighbours' amplitude, or below 8 mmHg
//     clipped   cut off at the highest or the lowest value of the record, or wrapped around from one to the other
//     damped    a pressure whose upstroke is slow for its height, or two or more slower and blunter than others
//     flush     a pressure far above its neighbours', as when a catheter line is flushed
//     motion    unlike the median beat about it, or its two feet far apart in height
//     ectopic   an interval that differs by more than a fifth from its neighbours' (Malik 1996 has this fifth)

import { argmax, greatest, interp, least, mean, range, searchSorted } from "./arrays.js";
import { findFeet, pressures } from "./beats.js";
import { BLOCK_SAMPLES, cutBlocks, pause, percentilesOf } from "./blocks.js";
import { binaryOpening, gaussianFilter, medianFilter, percentileFilter } from "./ndimage.js";

const FAULTS = ["flat", "clipped", "damped", "flush", "motion", "ectopic"];
const RUNNING_BEATS = 31; // beats of a running median
const FLAT_SHARE = 0.2;
const FLAT_MMHG = 8;
const WRAPPED_PER_S = 40; // slope over height that no pulse has
const SLOPE_PER_S = 4; // steepest slope over height; an undamped transducer shows 9 and more
// Relative to the upper quartile of the neighbours, of which less than half may be damped themselves. A transducer
// damped for 10 s (pole at 2 Hz) leaves 0.7 of the slope and 0.4 of the curvature at the top (median of 687 beats, in
// silico). Of 1,840 other beats none lies below 0.91 and 0.92.
const DAMPED_STEEPNESS = 0.85;
const DAMPED_SHARPNESS = 0.6;
const BLUR_S = 0.016;
const ALIGN_SAMPLES = 2; // width of the filter in which the steepest rise is found
const FLUSH_MMHG = 60;
// PPG: Orphanidou 2015, IEEE JBHI 19, 832; pressure: a choice
const LEAST_CORRELATION_PRESSURE = 0.8;
const LEAST_CORRELATION_PPG = 0.86;
const STEP_SHARE = 0.6;
const WEAK_RISE = 0.6; // rise of a weak beat, as a part of that of strong ones
const WEAK_OFTEN = 0.2; // the least share of weak beats
const ECTOPIC_SHARE = 0.2;
const PHASES = 48;
// parts of a beat: where its rise lies, and what is compared before and after it
const RISE = 0.35;
const BEFORE = 0.15;
const AFTER = 0.7;

const oddWindow = (size) => Math.min(RUNNING_BEATS, Math.max((size >> 1) * 2 - 1, 1));

const runningMedian = (values) => medianFilter(values, oddWindow(values.length));

/** Returns which beats are weak ones among strong ones, as in alternans or bigeminy: a fifth of all at least. */
const weakBeats = async ({ high, foot }) => {
  const rise = high.map((value, k) => value - foot[k]);
  const [strong] = await percentilesOf(rise.slice(), [75]);
  const weak = Uint8Array.from(rise, (value) => (value < WEAK_RISE * strong ? 1 : 0));
  return mean(weak) >= WEAK_OFTEN ? weak : weak.fill(0);
};

/** Returns the running upper quartile of the sound beats, NaN where none is sound. The window is four times that of the
 * running median. It is mirrored at the ends, because a fault may affect the last beats. */
const upperQuartile = (values, sound) => {
  const at = range(0, values.length).filter((k) => sound[k]);
  if (!at.length) return new Float64Array(values.length).fill(NaN);
  const own = Float64Array.from(at, (k) => values[k]);
  const quartile = percentileFilter(own, 75, Math.min(4 * RUNNING_BEATS, at.length));
  return interp(range(0, values.length), at, quartile);
};

/** Pieces of a record on one axis, one after another. */
class JoinedPieces {
  constructor(pieces) {
    this.pieces = pieces;
    this.starts = [0]; // (piece + 1,) their first samples, and the end
    for (const piece of pieces) this.starts.push(this.starts[this.starts.length - 1] + piece.length);
    this.size = this.starts[pieces.length];
  }

  /** Returns the samples [start, stop) of all pieces. */
  part(start, stop) {
    const first = searchSorted(this.starts, start, "right") - 1;
    const last = Math.min(searchSorted(this.starts, stop), this.pieces.length);
    if (last - first === 1) return this.pieces[first].subarray(start - this.starts[first], stop - this.starts[first]);
    const wave = new Float64Array(stop - start);
    for (let k = first; k < last; k++) {
      const own = this.pieces[k].subarray(Math.max(start - this.starts[k], 0), stop - this.starts[k]);
      wave.set(own, Math.max(this.starts[k] - start, 0));
    }
    return wave;
  }

  /** Returns groups of successive beats, [first, last, first sample of their stretch of the record, one after it]. */
  around(starts, stops, margin) {
    const groups = [];
    for (let first = 0, k = 1; k <= starts.length; k++) {
      const block = Math.floor(starts[first] / BLOCK_SAMPLES);
      if (k < starts.length && Math.floor(starts[k] / BLOCK_SAMPLES) === block) continue;
      groups.push([first, k, Math.max(starts[first] - margin, 0), Math.min(stops[k - 1] + margin, this.size)]);
      first = k;
    }
    return groups;
  }
}

const SHAPES = ["high", "low", "foot", "end", "slope", "jump", "sharpness", "steepest", "railed"];

/** Writes the features of one beat from foot to foot in a stretch of the record. */
const shapeOf = (shapes, k, x, [align, curvature, railed], start, stop, fs_hz) => {
  let [slope, jump] = [-Infinity, -Infinity];
  for (let j = start; j < stop; j++) {
    const rise = j + 1 < x.length ? (x[j + 1] - x[j]) * fs_hz : 0;
    if (rise > slope) slope = rise;
    if (Math.abs(rise) > jump) jump = Math.abs(rise);
  }
  shapes.high[k] = greatest(x, start, stop);
  shapes.low[k] = least(x, start, stop);
  shapes.foot[k] = x[start];
  shapes.end[k] = x[stop];
  shapes.slope[k] = slope;
  shapes.jump[k] = jump;
  shapes.sharpness[k] = -least(curvature, start, (start + stop) >> 1) * (fs_hz * fs_hz);
  shapes.steepest[k] = argmax(align, start, start + Math.max(Math.trunc(RISE * (stop - start)), 1));
  shapes.railed[k] = greatest(railed, start, stop);
};

/** Returns the features of beats, each (beat,):
 *
 *     high, low      highest and lowest values
 *     foot, end      values at the feet before and after
 *     slope, jump    steepest rise, and steepest change in either direction [1/s]
 *     sharpness      strongest downward curvature of the slightly blurred wave in the first half
 *     steepest       sample of the steepest rise
 *     railed         whether the record was cut off */
const shapesOf = async (wave, rails, starts, stops, fs_hz) => {
  const shapes = Object.fromEntries(SHAPES.map((name) => [name, new Float64Array(starts.length)]));
  const margin = Math.trunc(5 * Math.max(BLUR_S * fs_hz, ALIGN_SAMPLES)) + 2; // the filters reach over four widths
  for (const [first, last, begin, end] of wave.around(starts, stops, margin)) {
    await pause();
    const x = wave.part(begin, end);
    const align = gaussianFilter(x, ALIGN_SAMPLES, 1);
    const filtered = [align, gaussianFilter(x, BLUR_S * fs_hz, 2), rails.part(begin, end)];
    for (let k = first; k < last; k++) {
      shapeOf(shapes, k, x, filtered, starts[k] - begin, stops[k] - begin, fs_hz);
      shapes.steepest[k] += begin;
    }
  }
  return shapes;
};

/** Returns the values of beats at some phases, without their means: phase → (beat,). */
const phasesOf = (wave, steepest, span) => {
  const step = (AFTER + BEFORE) / (PHASES - 1);
  const turn = Float64Array.from({ length: PHASES }, (_, j) => (j < PHASES - 1 ? j * step - BEFORE : AFTER));
  const own = new Float64Array(PHASES);
  const columns = Array.from(turn, () => new Float64Array(steepest.length));
  for (let k = 0; k < steepest.length; k++) {
    const begin = Math.max(Math.trunc(steepest[k] + turn[0] * span[k]), 0);
    const x = wave.part(begin, Math.min(Math.trunc(steepest[k] + AFTER * span[k]) + 2, wave.size));
    for (let j = 0; j < PHASES; j++) {
      const at = Math.min(Math.max(steepest[k] + turn[j] * span[k] - begin, 0), x.length - 1);
      const before = Math.floor(at);
      own[j] = before + 1 < x.length ? (x[before + 1] - x[before]) * (at - before) + x[before] : x[before];
    }
    const middle = mean(own);
    for (let j = 0; j < PHASES; j++) columns[j][k] = own[j] - middle;
  }
  return columns;
};

/** Writes the correlations of the beats [first, last) with the medians of their neighbours, by phase. */
const correlate = (correlation, own, columns, templates, first, last, offset) => {
  for (let k = first; k < last; k++) {
    let middle = 0;
    for (const template of templates) middle += template[k - offset] / PHASES;
    let [product, power, templatePower] = [0, 0, 0];
    for (let j = 0; j < PHASES; j++) {
      const [x, y] = [columns[j][k - offset], templates[j][k - offset] - middle];
      product += x * y;
      power += x * x;
      templatePower += y * y;
    }
    const norm = Math.sqrt(power) * Math.sqrt(templatePower);
    correlation[own[k]] = norm > 0 ? product / norm : 0;
  }
};

/** Returns the correlation of each beat with the median of its neighbours of the same strength.
 *
 * Beats are aligned at their steepest rise, which noise in a flat diastole does not move. The end of long beats is left
 * out, because systole keeps its length when diastole does not. */
const correlationWithNeighbours = async (wave, starts, stops, steepest, weak) => {
  const correlation = new Float64Array(starts.length);
  for (const strength of [1, 0]) {
    const own = range(0, starts.length).filter((k) => weak[k] === strength);
    const length = Float64Array.from(own, (k) => stops[k] - starts[k]);
    const usual = runningMedian(length);
    const size = oddWindow(own.length);
    for (const [first, last] of cutBlocks(own.length, 1, 4 * PHASES)) {
      await pause();
      const [begin, end] = [Math.max(first - size, 0), Math.min(last + size, own.length)];
      const span = length.subarray(begin, end).map((value, k) => Math.min(value, usual[begin + k]));
      const columns = phasesOf(wave, Float64Array.from(own.subarray(begin, end), (k) => steepest[k]), span);
      const templates = columns.map((column) => medianFilter(column, size));
      correlate(correlation, own, columns, templates, first, last, begin);
    }
  }
  return correlation;
};

/** Finds the damped beats, which are slow for their height, or slower and blunter than others. */
const dampedBeats = (shapes, height, sound, flatBeats) => {
  const steepness = shapes.slope.map((value, k) => value / height[k]);
  const sharpness = shapes.sharpness.map((value, k) => value / height[k]);
  const slow = upperQuartile(steepness, sound).map((value, k) => (steepness[k] < DAMPED_STEEPNESS * value ? 1 : 0));
  const blunt = upperQuartile(sharpness, sound).map((value, k) => (sharpness[k] < DAMPED_SHARPNESS * value ? 1 : 0));
  // damping lasts: a single slow beat between others is a weak one, as every other beat in bigeminy
  const lasting = binaryOpening(slow.map((value, k) => value && blunt[k]), 2);
  return Uint8Array.from(height, (_, k) => ((steepness[k] < SLOPE_PER_S || lasting[k]) && !flatBeats[k] ? 1 : 0));
};

/** Finds the faults of each beat between its feet, fault → (beat,). */
const assessBeats = async (wave, fs_hz, starts, stops, pressure, rails) => {
  const count = starts.length;
  const asMask = (test) => Uint8Array.from({ length: count }, (_, k) => (test(k) ? 1 : 0));
  if (!count) return Object.fromEntries(FAULTS.map((name) => [name, asMask()]));
  const shapes = await shapesOf(wave, rails, starts, stops, fs_hz);
  const height = shapes.high.map((value, k) => value - shapes.low[k]);
  const divisor = height.map((value) => (value > 0 ? value : Infinity));
  const weak = await weakBeats(shapes);
  const strong = range(0, count).filter((k) => !weak[k]);
  const usual = interp(range(0, count), strong, runningMedian(Float64Array.from(strong, (k) => height[k])));
  await pause();
  const usualHigh = runningMedian(shapes.high);
  const flatBeats = asMask((k) => height[k] < FLAT_SHARE * usual[k] || (pressure && height[k] < FLAT_MMHG));
  const flush = asMask((k) => pressure && shapes.high[k] > usualHigh[k] + FLUSH_MMHG);
  const clipped = asMask((k) => shapes.jump[k] > WRAPPED_PER_S * divisor[k] || shapes.railed[k] > 0);
  const correlation = await correlationWithNeighbours(wave, starts, stops, shapes.steepest, weak);
  await pause();
  const alike = pressure ? LEAST_CORRELATION_PRESSURE : LEAST_CORRELATION_PPG;
  const steps = shapes.end.map((value, k) => Math.abs(value - shapes.foot[k]));
  const motion = asMask((k) => correlation[k] < alike || steps[k] > STEP_SHARE * usual[k]);
  const sound = asMask((k) => !(flatBeats[k] || clipped[k] || motion[k] || flush[k]));
  const damped = pressure ? dampedBeats(shapes, divisor, sound, flatBeats) : asMask(() => false);
  await pause();
  const interval = Float64Array.from(starts, (start, k) => (stops[k] - start) / fs_hz);
  const usualInterval = runningMedian(interval);
  return {
    flat: flatBeats,
    clipped: asMask((k) => clipped[k] && !flatBeats[k]),
    damped,
    flush,
    motion: asMask((k) => motion[k] && !flatBeats[k]),
    ectopic: asMask((k) => Math.abs(interval[k] / usualInterval[k] - 1) > ECTOPIC_SHARE),
  };
};

/** Finds the faults of the beats in the pieces of one record, [{feet, faults, flushedEnds}, …].
 *
 * Each beat is compared with those of all pieces: one piece between gaps may hold only a few beats, all of them faulty.
 * The flushed ends are whether what lies before the first foot, and after the last one, reaches as high as a flush. */
export async function assessPieces(pieces, fs_hz, pressure, rails) {
  const feet = [];
  for (const x of pieces) feet.push(await findFeet(x, fs_hz));
  const wave = new JoinedPieces(pieces);
  const starts = feet.flatMap((own, k) => own.slice(0, -1).map((foot) => foot + wave.starts[k]));
  const stops = feet.flatMap((own, k) => own.slice(1).map((foot) => foot + wave.starts[k]));
  const faults = await assessBeats(wave, fs_hz, starts, stops, pressure, new JoinedPieces(rails));
  await pause();
  const flushed = pressure ? flushedEnds(pieces, feet) : feet.map(() => [false, false]);
  let first = 0;
  return feet.map((own, k) => {
    const last = first + Math.max(own.length - 1, 0);
    const parts = Object.entries(faults).map(([name, bad]) => [name, bad.subarray(first, last)]);
    first = last;
    return { feet: own, faults: Object.fromEntries(parts), flushedEnds: flushed[k] };
  });
}

/** Returns for each piece whether the incomplete beats at its ends are flushed, judged as the beats beside them. */
const flushedEnds = (pieces, feet) => {
  const tops = pieces.map((x, k) => pressures(x, feet[k]).systolic);
  const limits = runningMedian(Float64Array.from(tops.flatMap((top) => [...top]))).map((value) => value + FLUSH_MMHG);
  let first = 0;
  return pieces.map((x, k) => {
    const last = first + tops[k].length;
    const own = feet[k];
    if (last === first) return [false, false];
    const ends = [
      greatest(x, 0, own[0]) > limits[first],
      greatest(x, own[own.length - 1], x.length) > limits[last - 1],
    ];
    first = last;
    return ends;
  });
};
