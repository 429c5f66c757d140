// Runs functions of cap_jax/web on the arrays of a folder, for test_signals.py:
// node signals_driver.mjs FOLDER reads jobs.json and arrays.bin, and writes results.json and results.bin.

import fs from "node:fs";
import path from "node:path";
import { assessPieces } from "../../cap_jax/web/beat_quality.js";
import { findFeet, findPeaks, heartRate, wholeBeats } from "../../cap_jax/web/beats.js";
import { medianOf, percentilesOf } from "../../cap_jax/web/blocks.js";
import { affine, levelsOf } from "../../cap_jax/web/calibration.js";
import { lowpass, lowpassPart, reach, resample } from "../../cap_jax/web/filters.js";
import * as ndimage from "../../cap_jax/web/ndimage.js";
import { cutPieces } from "../../cap_jax/web/pieces.js";
import { findFinite, findSpans, isPlausible, polarity, regularClock } from "../../cap_jax/web/quality.js";
import { atRails } from "../../cap_jax/web/rails.js";
import { reconstruct, summary } from "../../cap_jax/web/reconstruct.js";
import { extendPeriodically } from "../../cap_jax/web/windows.js";

const finite = (x) => Uint8Array.from(x, (value) => (Number.isFinite(value) ? 1 : 0));

/** The made-up network of test_signals.py. */
const network = (options) => ({
  ...options,
  inputs: ["peripheral", "log_power"],
  outputs: ["aortic", "sigma", "ood"],
  answer: ({ peripheral, log_power, covariates = [] }) => {
    const size = peripheral.length;
    const at = (k) => 0.9 * peripheral[Math.min(Math.max(k, 0), size - 1)] + 5;
    const mean = peripheral.reduce((a, b) => a + b, 0) / size;
    const shift = 0.01 * log_power[0] + (covariates[0] ?? 0) / 100;
    const smooth = (_, k) => (at(k - 2) + at(k - 1) + at(k) + at(k + 1) + at(k + 2)) / 5 + shift + 1e-3 * k;
    return {
      aortic: Float32Array.from(peripheral, smooth),
      sigma: peripheral.map((value) => Math.abs(value - mean) / 10 + 1),
      ood: new Float32Array([peripheral[0] - 100]),
    };
  },
  logPower: (x) => {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    return Float32Array.from([mean, x.reduce((a, b) => a + b * b, 0) / x.length]);
  },
});

const quality = async (time_s, x, pressure) => {
  const { good, gaps } = await (pressure ? findSpans : findFinite)(time_s, x);
  return { good, gaps };
};

const cut = async (time_s, x, { pressure, windows }) => {
  const { pieces, gaps } = await cutPieces(time_s, x, pressure, windows);
  return {
    gaps,
    pieces: pieces.map(({ span: { start, stop }, feet, own, starts, steps_s, clock }) => {
      return { span: [start, stop], feet, own, starts, steps_s, clock };
    }),
    waves: pieces.map(({ wave }) => wave),
    pressures: pieces.flatMap((piece) => Object.values(piece.pressures)),
  };
};

/** The columns that the package has too; test_indices.py compares the others. */
const ofBeats = (columns) =>
  Object.fromEntries(Object.entries(columns).filter(([name]) => /^time_s$|bpm$|mmhg$/.test(name)));

const whole = async (time_s, wave, { covariates, network: options }) => {
  const notes = [];
  const result = await reconstruct({ time_s, wave, covariates, notes }, network(options), () => {});
  const { peripheral, aortic_mmhg, half_width_mmhg, beats, gaps, ood_fraction, unusual_hr } = result;
  return {
    waves: [peripheral, aortic_mmhg, half_width_mmhg],
    beats: ofBeats(beats),
    gaps,
    ood_fraction: [ood_fraction],
    unusual_hr,
    summary: ofBeats(summary(beats)),
  };
};

const assess = async (pieces, { fs_hz, pressure, rails }) => {
  const masks = rails.map((places, k) => {
    const mask = new Uint8Array(pieces[k].length);
    for (const place of places) mask[place] = 1;
    return mask;
  });
  const assessed = await assessPieces(pieces, fs_hz, pressure, masks);
  return assessed.map(({ feet, faults, flushedEnds }) => ({
    feet,
    faults: Object.fromEntries(Object.entries(faults).map(([name, bad]) => [name, [...bad]])),
    flushedEnds,
  }));
};

const RUN = {
  gaussian: ([x], { sigma, order }) => ndimage.gaussianFilter(x, sigma, order),
  median_filter: ([x], { size }) => ndimage.medianFilter(x, size),
  percentile_filter: ([x], { size, percent }) => ndimage.percentileFilter(x, percent, size),
  maximum: ([x], { size }) => ndimage.maximumFilter(x, size),
  minimum: ([x], { size }) => ndimage.minimumFilter(x, size),
  closing: ([x], { size }) => Float64Array.from(ndimage.binaryClosing(x, size)),
  opening: ([x], { size }) => Float64Array.from(ndimage.binaryOpening(x, size)),
  lowpass: ([x], { fs_hz, cutoff_hz }) => lowpass(x, fs_hz, cutoff_hz),
  lowpass_part: ([x], { start, stop, fs_hz, cutoff_hz, fill }) => lowpassPart(x, start, stop, fs_hz, cutoff_hz, fill),
  resample: ([time_s, x, at_s]) => resample(time_s, x, at_s),
  reach: (_, { steps_s }) => reach(...steps_s),
  percentiles: ([x], { percents }) => percentilesOf(x.slice(), percents),
  median: ([x]) => medianOf(x.slice()),
  peaks: ([x]) => findPeaks(x),
  feet: ([x], { fs_hz }) => findFeet(x, fs_hz),
  whole_beats: ([x], { fs_hz }) => wholeBeats(x, fs_hz),
  heart_rate: async ([x], { fs_hz }) => Float64Array.of(await heartRate(x, fs_hz)),
  rails: async ([x], { fs_hz, pressure }) => [...(await atRails(x, fs_hz, pressure ? isPlausible(x) : finite(x)))],
  spans: ([time_s, x], { pressure }) => quality(time_s, x, pressure),
  clock: ([time_s]) => regularClock(time_s),
  polarity: ([x], { fs_hz }) => polarity(x, fs_hz),
  extend: ([x], { fs_hz, before, after }) => extendPeriodically(x, fs_hz, before, after),
  assess: (pieces, options) => assess(pieces, options),
  cut: ([time_s, x], options) => cut(time_s, x, options),
  affine: async ([x], { fs_hz, calibration, covariates }) =>
    affine(calibration, await levelsOf(x, fs_hz), covariates),
  reconstruct: ([time_s, x], options) => whole(time_s, x, options),
};

const folder = process.argv[2];
const bytes = fs.readFileSync(path.join(folder, "arrays.bin"));
const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const chunks = [];
let written = 0;

/** Replaces typed arrays by their places in results.bin. */
const stored = (_, value) => {
  if (!ArrayBuffer.isView(value)) return value;
  const values = Float64Array.from(value);
  chunks.push(Buffer.from(values.buffer));
  written += values.length;
  return { from: written - values.length, size: values.length };
};

const results = [];
for (const { kind, arrays, options } of JSON.parse(fs.readFileSync(path.join(folder, "jobs.json"), "utf8"))) {
  const begin = performance.now();
  let result;
  try {
    const value = await RUN[kind](arrays.map(([from, size]) => numbers.slice(from, from + size)), options);
    result = { value };
  } catch (error) {
    if (error.problem === undefined) throw error;
    result = { problem: error.problem };
  }
  results.push(JSON.stringify({ ...result, ms: performance.now() - begin }, stored));
}
fs.writeFileSync(path.join(folder, "results.json"), `[${results.join(",\n")}]`);
fs.writeFileSync(path.join(folder, "results.bin"), Buffer.concat(chunks));
