// Numerics on typed arrays, with the results of the NumPy and SciPy functions of the same names.

export const range = (start, stop) => Int32Array.from({ length: Math.max(stop - start, 0) }, (_, k) => start + k);

export const sum = (x) => {
  let total = 0;
  for (let k = 0; k < x.length; k++) total += x[k];
  return total;
};

export const mean = (x) => sum(x) / x.length;

/** The least value; Infinity of nothing. */
export const least = (x, start = 0, stop = x.length) => {
  let value = Infinity;
  for (let k = start; k < stop; k++) if (x[k] < value) value = x[k];
  return value;
};

/** The greatest value; -Infinity of nothing. */
export const greatest = (x, start = 0, stop = x.length) => {
  let value = -Infinity;
  for (let k = start; k < stop; k++) if (x[k] > value) value = x[k];
  return value;
};

/** The place of the first of the least values. */
export const argmin = (x, start = 0, stop = x.length) => {
  let place = start;
  for (let k = start + 1; k < stop; k++) if (x[k] < x[place]) place = k;
  return place;
};

/** The place of the first of the greatest values. */
export const argmax = (x, start = 0, stop = x.length) => {
  let place = start;
  for (let k = start + 1; k < stop; k++) if (x[k] > x[place]) place = k;
  return place;
};

export const sorted = (x) => Float64Array.from(x).sort();

/** A percentile by linear interpolation; NaN of nothing. */
export const percentile = (x, percent) => {
  if (!x.length) return NaN;
  const ordered = sorted(x);
  const place = ((ordered.length - 1) * percent) / 100;
  const low = Math.floor(place);
  const high = Math.min(low + 1, ordered.length - 1);
  return ordered[low] + (place - low) * (ordered[high] - ordered[low]);
};

/** The mean of the two middle values; NaN of nothing. */
export const median = (x) => {
  if (!x.length) return NaN;
  const ordered = sorted(x);
  const half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
};

export const diff = (x) => {
  const steps = new Float64Array(Math.max(x.length - 1, 0));
  for (let k = 0; k < steps.length; k++) steps[k] = x[k + 1] - x[k];
  return steps;
};

/** Where a value belongs in increasing values: before its equals ("left"), or after them ("right"). */
export const searchSorted = (x, value, side = "left") => {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (side === "left" ? x[middle] < value : x[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** Linear interpolation at increasing or unordered places; beyond the ends, the end's value. */
export const interp = (at, x, y) =>
  Float64Array.from(at, (place) => {
    const after = searchSorted(x, place, "right");
    if (!after) return y[0];
    if (after >= x.length) return y[x.length - 1];
    const slope = (y[after] - y[after - 1]) / (x[after] - x[after - 1]);
    return slope * (place - x[after - 1]) + y[after - 1];
  });

/** The first sample of each run of true samples, and the first one after it: [[start, stop], …]. */
export const runs = (mask) => {
  const found = [];
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    const start = k;
    while (k < mask.length && mask[k]) k++;
    found.push([start, k]);
  }
  return found;
};

/** The integer that Python's round() gives: halves go to the even one. */
export const roundHalfEven = (x) => {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
};

export const spread = (x) => greatest(x) - least(x);

/** The median step of a clock [s]; NaN for fewer than two times. */
export const medianStep = (time_s) => (time_s.length > 1 ? median(diff(time_s)) : NaN);

/** The straight line through the times by least squares: its step from sample to sample, and its value at the first one [s]. */
export const line = (time_s) => {
  const size = time_s.length;
  const middle = (size - 1) / 2;
  let total = 0;
  for (let k = 0; k < size; k++) total += time_s[k] - time_s[0];
  const mean_s = time_s[0] + total / size;
  let product = 0;
  for (let k = 0; k < size; k++) product += (k - middle) * (time_s[k] - mean_s);
  const step_s = (12 * product) / (size * (size * size - 1));
  return [step_s, mean_s - step_s * middle];
};
