// Low-pass filters and resampling between clocks, without a shift in time.

import { interp, medianStep, searchSorted } from "./arrays.js";
import { cutBlocks, pause } from "./blocks.js";

const EDGE = 9; // samples by which a wave is extended before it is filtered
const NOTHING = 1e-18; // part of a sample that rounding hides
const NEIGHBOURS = 64; // samples to each side that a cubic spline depends on: each counts for 0.27 of the one before
const DESIGNS = new Map();

/** The quotient of complex numbers, [real, imaginary], as NumPy rounds it. */
const quotient = ([a, b], [c, d]) => {
  if (Math.abs(c) >= Math.abs(d)) {
    const ratio = d / c;
    const scale = 1 / (c + d * ratio);
    return [(a + b * ratio) * scale, (b - a * ratio) * scale];
  }
  const ratio = c / d;
  const scale = 1 / (d + c * ratio);
  return [(a * ratio + b) * scale, (b * ratio - a) * scale];
};

/** The state of a section after a long stretch of ones, [2]. */
const steadyState = ([b0, b1, b2], [a1, a2]) => {
  let rows = [
    [1 + a1, -1, b1 - a1 * b0],
    [a2, 1, b2 - a2 * b0],
  ];
  if (Math.abs(a2) > Math.abs(1 + a1)) rows = rows.reverse();
  const factor = rows[1][0] * (1 / rows[0][0]); // as LAPACK rounds it
  const second = (rows[1][2] - factor * rows[0][2]) / (rows[1][1] - factor * rows[0][1]);
  return [(rows[0][2] - rows[0][1] * second) / rows[0][0], second];
};

/** Returns a Butterworth low-pass of order 2: its coefficients b and a (without the leading 1), its state after a long
 * stretch of ones, and after how many samples it has forgotten one. */
export function butterworth(fs_hz, cutoff_hz) {
  const key = `${fs_hz} ${cutoff_hz}`;
  if (DESIGNS.has(key)) return DESIGNS.get(key);
  const warped = 4 * Math.tan((Math.PI * (cutoff_hz / (fs_hz / 2))) / 2);
  const [real, imaginary] = [-warped * Math.cos(Math.PI / 4), warped * Math.sin(Math.PI / 4)];
  const pole = quotient([4 + real, imaginary], [4 - real, -imaginary]);
  const gain = warped * warped * (1 / ((4 - real) * (4 - real) + imaginary * imaginary));
  const b = [gain, 2 * gain, gain];
  const a = [-2 * pole[0], pole[0] * pole[0] + pole[1] * pole[1]];
  const memory = Math.ceil(Math.log(NOTHING) / Math.log(Math.sqrt(a[1])));
  const design = { b, a, state: steadyState(b, a), memory };
  if (DESIGNS.size > 63) DESIGNS.clear();
  DESIGNS.set(key, design);
  return design;
}

/** Filters a wave in its place, forwards or backwards, from the steady state of its first sample. */
const pass = (wave, { b, a, state }, first, step) => {
  const [[b0, b1, b2], [a1, a2]] = [b, a];
  let [z0, z1] = [wave[first] * state[0], wave[first] * state[1]];
  for (let n = 0, k = first; n < wave.length; n++, k += step) {
    const x = wave[k];
    const y = b0 * x + z0;
    z0 = b1 * x - a1 * y + z1;
    z1 = b2 * x - a2 * y;
    wave[k] = y;
  }
};

/** Filters a wave with a zero-phase Butterworth low-pass of order 4 (2 + 2, forward and back). The wave is returned
 * unchanged if the cut-off is not below the Nyquist frequency or the wave is too short to filter. */
export function lowpass(x, fs_hz, cutoff_hz) {
  const size = x.length;
  if (cutoff_hz >= 0.5 * fs_hz || size <= 12) return x;
  const design = butterworth(fs_hz, cutoff_hz);
  const edges = new x.constructor(2 * EDGE); // the precision is that of the wave
  for (let k = 0; k < EDGE; k++) {
    edges[k] = 2 * x[0] - x[EDGE - k];
    edges[EDGE + k] = 2 * x[size - 1] - x[size - 2 - k];
  }
  const wave = new Float64Array(size + 2 * EDGE);
  wave.set(edges.subarray(0, EDGE));
  wave.set(x, EDGE);
  wave.set(edges.subarray(EDGE), EDGE + size);
  pass(wave, design, 0, 1);
  pass(wave, design, wave.length - 1, -1);
  return wave.subarray(EDGE, EDGE + size);
}

/** Returns samples [start, stop) of the filtered wave, which is filtered only there and where they depend on it.
 * Missing samples count as the fill, if there is one. */
export function lowpassPart(x, start, stop, fs_hz, cutoff_hz, fill = null) {
  const filtered = cutoff_hz < 0.5 * fs_hz && x.length > 12;
  const overlap = filtered ? butterworth(fs_hz, cutoff_hz).memory + 12 : 0;
  const first = Math.max(start - overlap, 0);
  let part = x.subarray(first, stop + overlap);
  if (fill !== null) part = part.map((value) => (Number.isFinite(value) ? value : fill));
  return filtered ? lowpass(part, fs_hz, cutoff_hz).subarray(start - first, stop - first) : part;
}

/** Solves a system of three diagonals, all of which it changes, by elimination with exchanges of rows (LAPACK gtsv). */
const solveTridiagonal = (lower, diagonal, upper, right) => {
  const size = diagonal.length;
  for (let k = 0; k < size - 1; k++) {
    if (Math.abs(diagonal[k]) >= Math.abs(lower[k])) {
      const factor = lower[k] / diagonal[k];
      diagonal[k + 1] -= factor * upper[k];
      right[k + 1] -= factor * right[k];
      lower[k] = 0;
      continue;
    }
    const factor = diagonal[k] / lower[k];
    const [below, own] = [diagonal[k + 1], right[k]];
    diagonal[k] = lower[k];
    diagonal[k + 1] = upper[k] - factor * below;
    if (k < size - 2) {
      lower[k] = upper[k + 1];
      upper[k + 1] = -factor * lower[k];
    }
    upper[k] = below;
    right[k] = right[k + 1];
    right[k + 1] = own - factor * right[k + 1];
  }
  right[size - 1] /= diagonal[size - 1];
  right[size - 2] = (right[size - 2] - upper[size - 2] * right[size - 1]) / diagonal[size - 2];
  for (let k = size - 3; k >= 0; k--) {
    right[k] = (right[k] - upper[k] * right[k + 1] - lower[k] * right[k + 2]) / diagonal[k];
  }
  return right;
};

/** The slopes at its knots of the cubic spline whose first two and last two pieces are one cubic each (not-a-knot). */
const splineSlopes = (x, y) => {
  const size = x.length;
  const last = size - 1;
  const [lower, diagonal, upper, right] = [0, 0, 0, 0].map(() => new Float64Array(size));
  const width = (k) => x[k + 1] - x[k];
  const slope = (k) => (y[k + 1] - y[k]) / (x[k + 1] - x[k]);
  for (let k = 1; k < last; k++) {
    const [before, after] = [width(k - 1), width(k)];
    diagonal[k] = 2 * (before + after);
    upper[k] = before;
    lower[k - 1] = after;
    right[k] = 3 * (after * slope(k - 1) + before * slope(k));
  }
  diagonal[0] = width(1);
  upper[0] = x[2] - x[0];
  right[0] = ((width(0) + 2 * upper[0]) * width(1) * slope(0) + width(0) * width(0) * slope(1)) / upper[0];
  const [end, beside, long] = [width(last - 1), width(last - 2), x[last] - x[last - 2]];
  diagonal[last] = beside;
  lower[last - 1] = long;
  right[last] = (end * end * slope(last - 2) + (2 * long + end) * beside * slope(last - 1)) / long;
  return solveTridiagonal(lower, diagonal, upper, right);
};

/** Returns the cubic spline through four points or more (not-a-knot) at increasing places. */
export function splineAt(x, y, at) {
  const derivative = splineSlopes(x, y);
  const values = new Float64Array(at.length);
  let piece = 0;
  for (let k = 0; k < at.length; k++) {
    while (piece < x.length - 2 && at[k] >= x[piece + 1]) piece++;
    const width = x[piece + 1] - x[piece];
    const slope = (y[piece + 1] - y[piece]) / width;
    const bend = (derivative[piece] + derivative[piece + 1] - 2 * slope) / width;
    const square = (slope - derivative[piece]) / width - bend;
    const s = at[k] - x[piece];
    values[k] = y[piece] + derivative[piece] * s + square * (s * s) + (bend / width) * (s * s * s);
  }
  return values;
}

/** Returns the straight lines through points at increasing places; beyond the ends, the end's value. */
export function linesAt(x, y, at) {
  const last = x.length - 1;
  const values = new Float64Array(at.length);
  let after = 0;
  for (let k = 0; k < at.length; k++) {
    while (after <= last && x[after] <= at[k]) after++;
    if (!after || after > last) {
      values[k] = y[Math.min(after, last)];
      continue;
    }
    const slope = (y[after] - y[after - 1]) / (x[after] - x[after - 1]);
    values[k] = slope * (at[k] - x[after - 1]) + y[after - 1];
  }
  return values;
}

/** Resamples a wave without NaN to another clock by cubic interpolation, low-passed first where that is slower. The
 * new times reach at most one sample beyond the old ones. The median steps of both clocks [old, new] are given if
 * the times are parts of longer ones. */
export async function resample(time_s, x, at_s, steps_s = null) {
  if (time_s.length < 4) return interp(at_s, time_s, x);
  const [step, newStep] = steps_s ?? [medianStep(time_s), medianStep(at_s)];
  const [slower, size] = [newStep > 1.01 * step, time_s.length];
  const wave = new Float64Array(at_s.length);
  for (const [first, last] of cutBlocks(at_s.length)) {
    await pause();
    const own_s = at_s.slice(first, last);
    for (let k = 0; k < own_s.length; k++) own_s[k] = Math.min(Math.max(own_s[k], time_s[0]), time_s[size - 1]);
    const start = Math.max(searchSorted(time_s, own_s[0]) - NEIGHBOURS, 0);
    const stop = Math.min(searchSorted(time_s, own_s[own_s.length - 1]) + NEIGHBOURS, size);
    const part = slower ? lowpassPart(x, start, stop, 1 / step, 0.4 / newStep) : x.subarray(start, stop);
    wave.set(splineAt(time_s.subarray(start, stop), part, own_s), first);
  }
  return wave;
}

/** Returns the samples to each side that a sample of `resample` depends on, given the median steps of both clocks. */
export function reach(step_s, newStep_s) {
  const slower = newStep_s > 1.01 * step_s && 0.4 / newStep_s < 0.5 / step_s;
  return NEIGHBOURS + 1 + (slower ? butterworth(1 / step_s, 0.4 / newStep_s).memory + 12 : 0);
}
