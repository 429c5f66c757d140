// Indices of the aortic wave, beat by beat, as `cap_jax/haemodynamics`: duration of ejection, augmentation index, SEVR.

import { argmax, argmin, greatest, interp, least, mean, range, roundHalfEven, spread, sum } from "./arrays.js";
import { withoutDrift } from "./windows.js";

const SAMPLES = 256; // of a beat
const HALF = SAMPLES / 2;
const SMOOTH_HZ = 10;
const INCISURA_HZ = 18; // of the low-pass in which the incisura is located
const UPSTROKE_S = 0.04; // from the steepest rise of the smoothed wave to that of the wave
const EJECTION_S = [0.18, 0.48]; // of a human heart between 40 and 180 beats a minute (Weissler 1968)
const LATEST_SHARE = 0.62; // of the period, for fast hearts
const INCISURA_BEND = 0.12; // of the upstroke's own bend: less is no incisura
const INFLECTION_S = 0.03; // earliest, after the foot
const RISE_SHARE = 0.4; // of the steepest slope: an upstroke, not a ripple
const EARLIEST_BEND_S = 0.14; // a wave that peaks earlier has no bend before the peak but its own rise
const AFTER_EJECTION_S = 0.02;
const SEVERAL_BEATS = 0.5; // of a later harmonic: the period holds two or three beats
const LEAST_PULSE_MMHG = 1;

/** Fourier transform in place of SAMPLES complex numbers. */
const transform = (re, im) => {
  for (let k = 1, other = 0; k < SAMPLES; k++) {
    let bit = HALF;
    for (; other & bit; bit >>= 1) other ^= bit;
    other ^= bit;
    if (k < other) [re[k], re[other], im[k], im[other]] = [re[other], re[k], im[other], im[k]];
  }
  for (let size = 2; size <= SAMPLES; size *= 2) {
    for (let j = 0; j < size / 2; j++) {
      const [c, s] = [Math.cos((-2 * Math.PI * j) / size), Math.sin((-2 * Math.PI * j) / size)];
      for (let a = j; a < SAMPLES; a += size) {
        const b = a + size / 2;
        const [x, y] = [c * re[b] - s * im[b], c * im[b] + s * re[b]];
        [re[b], im[b], re[a], im[a]] = [re[a] - x, im[a] - y, re[a] + x, im[a] + y];
      }
    }
  }
};

const spectrumOf = (beat) => {
  const [re, im] = [Float64Array.from(beat), new Float64Array(SAMPLES)];
  transform(re, im);
  return [re, im];
};

/** The derivative of an order of a beat under a Gaussian low-pass; `scale` is 1/period for derivatives in time, else 1. */
const derivative = ([re, im], order, gain, scale) => {
  const [x, y] = [new Float64Array(SAMPLES), new Float64Array(SAMPLES)];
  for (let k = 0; k <= HALF; k++) {
    const factor = (2 * Math.PI * k * scale) ** order * gain(k);
    // times the imaginary unit to the power of the order
    const turned = [[re[k], im[k]], [-im[k], re[k]], [-re[k], -im[k]], [im[k], -re[k]]][order % 4];
    x[k] = factor * turned[0];
    y[k] = k % HALF ? factor * turned[1] : 0;
    if (k % HALF) [x[SAMPLES - k], y[SAMPLES - k]] = [x[k], -y[k]];
  }
  transform(y, x); // parts exchanged: the inverse transform
  return x.map((value) => value / SAMPLES);
};

const lowPass = (period_s, hz) => (k) => 0.5 ** ((k / period_s / hz) ** 2);

const rotated = (x, start) => x.map((_, k) => x[(((k + start) % SAMPLES) + SAMPLES) % SAMPLES]);

/** Time of the foot [s] where the tangent at the steepest rise meets the level of the least value before it. */
const footTime = (beat, period_s) => {
  const spectrum = spectrumOf(beat);
  const slope = derivative(spectrum, 1, () => 1, 1);
  const broad = argmax(derivative(spectrum, 1, lowPass(period_s, SMOOTH_HZ), 1));
  const near = slope.map((value, k) => {
    const away = ((((k - broad + HALF) % SAMPLES) + SAMPLES) % SAMPLES) - HALF;
    return Math.abs(away) * period_s <= UPSTROKE_S * SAMPLES ? value : -Infinity;
  });
  const steep = argmax(near);
  const before = range(0, Math.floor(SAMPLES / 3)).map((k) => (steep - k + SAMPLES) % SAMPLES);
  const lowest = least(Float64Array.from(before, (k) => beat[k]));
  const turns = steep / SAMPLES - (beat[steep] - lowest) / slope[steep];
  return (turns - Math.floor(turns)) * period_s;
};

/** Duration of ejection [s], from the foot to the incisura; NaN without one. */
const ejectionOf = (beat, period_s) => {
  const spectrum = spectrumOf(beat);
  const [smooth, bend] = [0, 2].map((order) => derivative(spectrum, order, lowPass(period_s, INCISURA_HZ), 1 / period_s));
  const time_s = (k) => k * (period_s / SAMPLES);
  const latest_s = Math.min(EJECTION_S[1], LATEST_SHARE * period_s);
  const peak = argmax(smooth);
  const inside = bend.map((value, k) => (time_s(k) >= EJECTION_S[0] && time_s(k) <= latest_s && k > peak ? value : -Infinity));
  const at = argmax(inside);
  const upstroke = greatest(bend.map((value, k) => (time_s(k) < 0.1 ? value : -Infinity)));
  const bends = Number.isFinite(inside[at]) && bend[at] > INCISURA_BEND * upstroke;
  const turning = bend[at] >= bend[(at - 1 + SAMPLES) % SAMPLES] && bend[at] >= bend[(at + 1) % SAMPLES];
  return bends && turning ? time_s(at) : NaN;
};

/** The first sample in [start, stop − 1) after which x turns from negative to not negative; −1 without one. */
const crossing = (x, start, stop) => {
  for (let k = Math.max(start, 0); k < Math.min(stop - 1, SAMPLES - 1); k++) if (x[k] < 0 && x[k + 1] >= 0) return k;
  return -1;
};

/** The sample of the inflection of a beat that starts at its foot; −1 without one. */
const inflectionOf = (d1, d2, d3, peak, end, fs_hz) => {
  const steepest = greatest(d1);
  let first = 1;
  for (let k = 0; k < Math.min(peak - 1, SAMPLES - 1); k++) {
    if (d2[k] > 0 && d2[k + 1] <= 0 && d1[k + 1] > RISE_SHARE * steepest) {
      first = k + 1;
      break;
    }
  }
  first = Math.max(first, Math.trunc(INFLECTION_S * fs_hz));
  const stop = Math.min(end, SAMPLES);
  const [d2Falls, d3Falls] = [d2, d3].map((x) => x.map((value) => -value));
  const candidates = [
    () => crossing(d2, first, peak - 1),
    () => (peak > EARLIEST_BEND_S * fs_hz ? crossing(d3Falls, first, peak - 1) : -1),
    () => crossing(d2Falls, peak + 1, stop),
    () => crossing(d3, peak + 2, stop),
  ];
  return candidates.reduce((at, find) => (at < 0 ? find() : at), -1);
};

/** Augmentation index [%] of the wave of 10 Hz bandwidth (Kelly 1989, Murgo 1980); NaN without an inflection. */
const augmentationIndex = (beat, period_s, ejection_s) => {
  if (!Number.isFinite(ejection_s)) return NaN;
  const spectrum = spectrumOf(beat);
  const waves = [0, 1, 2, 3].map((order) => derivative(spectrum, order, lowPass(period_s, SMOOTH_HZ), 1 / period_s));
  const foot = argmin(waves[0]);
  const [wave, d1, d2, d3] = waves.map((x) => rotated(x, foot));
  const fs_hz = SAMPLES / period_s;
  const peak = argmax(wave);
  const end = roundHalfEven((ejection_s + AFTER_EJECTION_S) * fs_hz);
  const at = inflectionOf(d1, d2, d3, peak, end, fs_hz);
  if (at < 0) return NaN;
  const [first, second] = at < peak ? [wave[at], wave[peak]] : [wave[peak], wave[at]];
  return (100 * (second - first)) / spread(wave);
};

/** Diastolic over systolic pressure–time area [%], of pressures above zero (Buckberg 1972). */
const sevrOf = (beat, period_s, ejection_s) => {
  if (!Number.isFinite(ejection_s) || least(beat) <= 0) return NaN;
  const systole = beat.reduce((area, value, k) => area + (k / SAMPLES < ejection_s / period_s ? value : 0), 0);
  return (100 * (sum(beat) - systole)) / systole;
};

/** Whether a period holds two or three beats: its second or third harmonic then dwarfs the first. */
const isSeveral = (beat) => {
  const [re, im] = spectrumOf(beat);
  const size = (k) => Math.hypot(re[k], im[k]);
  return size(1) < SEVERAL_BEATS * Math.max(size(2), size(3));
};

/** A beat without the drift between its ends, at SAMPLES a period. */
const onePeriod = (wave) => {
  const beat = withoutDrift(wave);
  const closed = Float64Array.from([...beat, beat[0]]);
  const at = Float64Array.from(range(0, SAMPLES), (k) => (k / SAMPLES) * beat.length);
  return interp(at, range(0, closed.length), closed);
};

/**
 * Returns the indices of each beat of an aortic wave, NaN where one is undefined.
 *
 * @param wave (time,) aortic pressure [mmHg].
 * @param feet (beat + 1,) its feet.
 * @param fs_hz sampling rate.
 * @returns aix_percent, sevr_percent and ejection_ms, (beat,) each.
 */
export const beatIndices = (wave, feet, fs_hz) => {
  const count = Math.max(feet.length - 1, 0);
  const [aix_percent, sevr_percent, ejection_ms] = [0, 0, 0].map(() => new Float64Array(count).fill(NaN));
  for (let k = 0; k < count; k++) {
    const period_s = (feet[k + 1] - feet[k]) / fs_hz;
    const whole = onePeriod(wave.subarray(feet[k], feet[k + 1]));
    if (!Number.isFinite(mean(whole)) || spread(whole) <= LEAST_PULSE_MMHG || isSeveral(whole)) continue;
    const beat = rotated(whole, roundHalfEven((footTime(whole, period_s) / period_s) * SAMPLES));
    const ejection_s = ejectionOf(beat, period_s);
    ejection_ms[k] = 1000 * ejection_s;
    aix_percent[k] = augmentationIndex(beat, period_s, ejection_s);
    sevr_percent[k] = sevrOf(beat, period_s, ejection_s);
  }
  return { aix_percent, sevr_percent, ejection_ms };
};
