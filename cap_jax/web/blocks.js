// Cuts long records into blocks, between which the page may do something else.
//
// What a sample depends on lies in its block, in an overlap, or in a state that is handed on. So results do not depend
// on the size of the blocks, but for rounding.

export const BLOCK_SAMPLES = 1 << 17;
const LONGEST_MS = 25; // of work without a pause; a block takes about as long again
const SHORT = 1 << 16; // values that are looked through at once

let lastPause_ms = 0;

/** Lets the page handle its events where it could not for a while; without a clamp on timers, as in a hidden tab. */
export async function pause() {
  if (performance.now() - lastPause_ms < LONGEST_MS) return;
  await new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });
  lastPause_ms = performance.now();
}

/** Returns the first sample of each block of a record and the first one after it; but for the last one, blocks have a
 * multiple of so many samples, or of rows of a width. */
export function cutBlocks(size, multiple = 1, width = 1) {
  const length = Math.max(Math.floor(BLOCK_SAMPLES / (multiple * width)), 1) * multiple;
  const found = [];
  for (let start = 0; start < size; start += length) found.push([start, Math.min(start + length, size)]);
  return found;
}

/** Narrows where the value of a place of the sorted array may be, [low, high], moving smaller ones before greater. */
const narrowed = (x, place, low, high) => {
  const [a, b, c] = [x[low], x[(low + high) >> 1], x[high]];
  const pivot = Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  let left = low;
  let right = high;
  while (left <= right) {
    while (x[left] < pivot) left++;
    while (x[right] > pivot) right--;
    if (left <= right) {
      const other = x[left];
      x[left++] = x[right];
      x[right--] = other;
    }
  }
  if (place <= right) return [low, right];
  return place >= left ? [left, high] : [place, place];
};

/** Sorts so far that the value at a place is that of the sorted array, smaller ones before and greater ones after. */
async function partition(x, place, low, high) {
  while (low < high) {
    if (high - low > SHORT) await pause();
    [low, high] = narrowed(x, place, low, high);
  }
}

/** Returns a percentile by linear interpolation of a short wave without NaN, in less time than it takes to sort it. */
export function quickPercentile(x, percent) {
  const ordered = new Float64Array(x);
  const place = ((ordered.length - 1) * percent) / 100;
  const first = Math.floor(place);
  let [low, high] = [0, ordered.length - 1];
  while (low < high) [low, high] = narrowed(ordered, first, low, high);
  let after = Infinity;
  for (let k = first + 1; k < ordered.length; k++) after = Math.min(after, ordered[k]);
  return place > first ? ordered[first] + (place - first) * (after - ordered[first]) : ordered[first];
}

/** Returns some percentiles, with the rounding of `numpy.percentile`, of values without NaN, whose order it changes. */
export async function percentilesOf(x, percents) {
  const found = [];
  const last = x.length - 1;
  for (const percent of percents) {
    const place = last * (percent / 100);
    const low = Math.min(Math.floor(place), last);
    const high = Math.min(low + 1, last);
    await partition(x, low, 0, last);
    await partition(x, high, Math.min(low + 1, last), last);
    const [share, step] = [place - low, x[high] - x[low]];
    found.push(share < 0.5 ? x[low] + step * share : x[high] - step * (1 - share));
  }
  return found;
}

/** Returns the median of values without NaN, whose order it changes; NaN of nothing. */
export async function medianOf(x) {
  if (!x.length) return NaN;
  const half = x.length >> 1;
  await partition(x, half, 0, x.length - 1);
  if (x.length % 2) return x[half];
  await partition(x, half - 1, 0, half - 1);
  return (x[half - 1] + x[half]) / 2;
}

/** Returns the median step of a clock [s]; NaN for fewer than two times. */
export async function medianStepOf(time_s) {
  const steps = new Float64Array(Math.max(time_s.length - 1, 0));
  for (let k = 0; k < steps.length; k++) steps[k] = time_s[k + 1] - time_s[k];
  await pause();
  return medianOf(steps);
}

/** Returns the finite values of a wave. */
export function finiteOf(x) {
  const finite = new Float64Array(x.length);
  let count = 0;
  for (let k = 0; k < x.length; k++) if (Number.isFinite(x[k])) finite[count++] = x[k];
  return finite.subarray(0, count);
}

/** Returns a number with so many decimals as Python writes it: halves go to the even digit. */
export function fixedText(x, decimals) {
  const scaled = Math.abs(x) * 10 ** decimals;
  const low = Math.floor(scaled);
  const half = scaled - low === 0.5 && ((x * 2 ** (decimals + 1)) % 1 === 0);
  return half ? (Math.sign(x) * ((low + (low % 2)) / 10 ** decimals)).toFixed(decimals) : x.toFixed(decimals);
}
