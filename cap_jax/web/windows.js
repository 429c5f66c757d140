// Windows of a record, and the reconstruction of a record from overlapping windows.

import { findFeet } from "./beats.js";

/** Returns the starts of windows that cover a record of a window or more to its last sample. */
export function startsCovering(size, length, hop) {
  const starts = [];
  for (let start = 0; start < size - length + 1; start += hop) starts.push(start);
  if (starts[starts.length - 1] !== size - length) starts.push(size - length);
  return starts;
}

/** Combines overlapping windows into one record, weighted by a raised cosine that leaves out the margin at each end.
 *
 * Only the first and last `margin` samples of the record come from a window's margin, because no other window covers
 * them. The record is known up to the start of the next window. */
export class Blend {
  /** Begins without a window, given the first sample of each, the samples of a window and of its margins, and the array
   * that takes the record. */
  constructor(starts, length, margin, wave) {
    const inner = length - 2 * margin;
    this.weight = new Float64Array(length).fill(1e-6); // margins count only where no other window covers the sample
    for (let k = 0; k < inner; k++) {
      const sine = Math.sin((Math.PI * (k + 0.5)) / inner);
      this.weight[margin + k] += sine * sine;
    }
    Object.assign(this, { starts, wave, row: 0, known: 0, size: starts[starts.length - 1] + length });
    this.sums = new Float64Array(2 * length); // weighted, from the first unknown sample on
    this.weights = new Float64Array(2 * length);
  }

  /** Adds the next window. */
  add(window) {
    const { sums, weights, weight } = this;
    const start = this.starts[this.row] - this.known;
    for (let k = 0; k < weight.length; k++) {
      sums[start + k] += weight[k] * window[k];
      weights[start + k] += weight[k];
    }
    this.row++;
    const own = (this.row < this.starts.length ? this.starts[this.row] : this.size) - this.known;
    for (let k = 0; k < own; k++) this.wave[this.known + k] = sums[k] / weights[k];
    this.known += own;
    sums.copyWithin(0, own).fill(0, sums.length - own);
    weights.copyWithin(0, own).fill(0, weights.length - own);
  }
}

/** Extends a record of a beat or more at both ends by its own beats, by so many samples.
 *
 * With two feet or more, the first and the last whole beat are repeated outwards. With fewer, the record is treated as
 * one beat of a periodic wave. The drift between the ends of a beat is spread over it, so that repetitions join. */
export async function extendPeriodically(x, fs_hz, before, after) {
  let feet = await findFeet(x, fs_hz);
  if (feet.length < 2) feet = [0, x.length];
  const end = feet[feet.length - 1];
  const first = withoutDrift(x.subarray(feet[0], feet[1]));
  const last = withoutDrift(x.subarray(feet[feet.length - 2], end));
  const wave = new Float64Array(before + x.length + after);
  wave.set(x, before);
  // phases are counted from the feet, so that the repeats continue the wave that they touch
  const phase = (k, size) => ((k % size) + size) % size;
  for (let k = 0; k < before; k++) wave[k] = first[phase(k - before - feet[0], first.length)];
  for (let k = 0; k < after; k++) wave[before + x.length + k] = last[phase(x.length + k - end, last.length)];
  return wave;
}

/** Returns a beat without the drift between its ends. */
export function withoutDrift(beat) {
  const size = beat.length;
  if (size < 3) return beat;
  const step = beat[size - 1] + (beat[size - 1] - beat[size - 2]) - beat[0];
  return beat.map((value, k) => value - step * (k / size - 0.5));
}
