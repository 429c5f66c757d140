// Filters of one axis with the results of those of `scipy.ndimage`, as far as they are used here.

/** The sample that stands for one beyond the ends: the wave is mirrored there, and its end samples stand twice. */
const mirrored = (place, size) => {
  const within = ((place % (2 * size)) + 2 * size) % (2 * size);
  return within < size ? within : 2 * size - 1 - within;
};

/** A wave with so many samples before and after it, by mode "reflect" or "nearest". */
const padded = (x, before, after, mode) => {
  const size = x.length;
  const wave = new Float64Array(before + size + after);
  const at = mode === "reflect" ? (k) => x[mirrored(k, size)] : (k) => x[k < 0 ? 0 : size - 1];
  for (let k = 0; k < before; k++) wave[k] = at(k - before);
  wave.set(x, before);
  for (let k = 0; k < after; k++) wave[before + size + k] = at(size + k);
  return wave;
};

/** The weights of the derivative of a Gaussian, of which the middle one is that of the sample itself. */
const gaussianWeights = (sigma, order, radius) => {
  const variance = sigma * sigma;
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, k) =>
    Math.exp((-0.5 / variance) * (k - radius) * (k - radius)),
  );
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight, k) => {
    const x = radius - k; // a convolution turns the weights over
    const factor = [1, x * (1 / -variance), 1 / -variance + x * x * ((1 / -variance) * (1 / -variance))][order];
    return factor * (weight / total);
  });
};

/** Returns a wave under a Gaussian filter of a width in samples, or its first or second derivative; mode "reflect". */
export function gaussianFilter(x, sigma, order = 0) {
  const radius = Math.floor(4 * sigma + 0.5);
  const weights = gaussianWeights(sigma, order, radius);
  const wave = padded(x, radius, radius, "reflect");
  const sign = order % 2 ? -1 : 1;
  const filtered = new Float64Array(x.length);
  for (let k = 0; k < x.length; k++) {
    let total = wave[k + radius] * weights[radius];
    for (let j = 0; j < radius; j++) total += (wave[k + j] + sign * wave[k + 2 * radius - j]) * weights[j];
    filtered[k] = total;
  }
  return filtered;
}

const placeIn = (ordered, count, value) => {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ordered[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The value of a rank among those of each window, whose values are kept in order. */
const rankFilter = (x, size, rank, mode) => {
  const before = size >> 1;
  const wave = padded(x, before, size - 1 - before, mode);
  const ordered = wave.slice(0, size).sort();
  const filtered = new Float64Array(x.length);
  filtered[0] = ordered[rank];
  for (let k = 1; k < x.length; k++) {
    const [oldest, newest] = [wave[k - 1], wave[k + size - 1]];
    if (oldest !== newest) {
      const out = placeIn(ordered, size, oldest);
      ordered.copyWithin(out, out + 1, size);
      const into = placeIn(ordered, size - 1, newest);
      ordered.copyWithin(into + 1, into, size - 1);
      ordered[into] = newest;
    }
    filtered[k] = ordered[rank];
  }
  return filtered;
};

/** Returns the running median of a wave without NaN; mode "nearest". */
export function medianFilter(x, size) {
  return x.length ? rankFilter(x, size, size >> 1, "nearest") : new Float64Array(0);
}

/** Returns the running percentile of a wave without NaN; mode "reflect". */
export function percentileFilter(x, percent, size) {
  const rank = percent === 100 ? size - 1 : Math.floor((size * percent) / 100);
  return x.length ? rankFilter(x, size, rank, "reflect") : new Float64Array(0);
}

/** The greatest value of each window, times the sign: those that may still be the greatest wait in a queue. */
const greatestFilter = (x, size, sign) => {
  const before = size >> 1;
  const wave = padded(x, before, size - 1 - before, "reflect");
  const [filtered, queue] = [new Float64Array(x.length), new Int32Array(wave.length)];
  let head = 0;
  let tail = 0;
  for (let k = 0; k < wave.length; k++) {
    const value = sign * wave[k];
    while (tail > head && sign * wave[queue[tail - 1]] <= value) tail--;
    queue[tail++] = k;
    if (queue[head] <= k - size) head++;
    if (k >= size - 1) filtered[k - size + 1] = wave[queue[head]];
  }
  return filtered;
};

/** Returns the greatest value of each window of a wave; mode "reflect". */
export function maximumFilter(x, size) {
  return greatestFilter(x, size, 1);
}

/** Returns the least value of each window of a wave; mode "reflect". */
export function minimumFilter(x, size) {
  return greatestFilter(x, size, -1);
}

/** Which samples have only true ones, or any, from so many before them to so many after; beyond the ends is none. */
const eroded = (mask, before, after) => {
  const all = new Uint8Array(mask.length);
  for (let k = before; k + after < mask.length; k++) {
    all[k] = 1;
    for (let j = k - before; j <= k + after && all[k]; j++) all[k] = mask[j] ? 1 : 0;
  }
  return all;
};

const dilated = (mask, before, after) => {
  const any = new Uint8Array(mask.length);
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    any.fill(1, Math.max(k - after, 0), Math.min(k + before + 1, mask.length));
  }
  return any;
};

/** Returns a mask without runs of fewer than so many true samples. */
export function binaryOpening(mask, size) {
  const [before, after] = [size >> 1, size - 1 - (size >> 1)];
  return dilated(eroded(mask, before, after), after, before);
}

/** Returns a mask in which runs of fewer than so many false samples are true; at the ends it is false. */
export function binaryClosing(mask, size) {
  const [before, after] = [size >> 1, size - 1 - (size >> 1)];
  return eroded(dilated(mask, after, before), before, after);
}
