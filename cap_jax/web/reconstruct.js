// Reconstructs the aortic wave from a peripheral record of any length and rate, on the record's own clock.

import { diff, mean, median, roundHalfEven } from "./arrays.js";
import { findFeet, merged, nearest, peaksOf, pressures } from "./beats.js";
import { cutBlocks, fixedText, pause } from "./blocks.js";
import { affine, checkReading, levelsOf, readsCuff } from "./calibration.js";
import { linesAt, reach, resample } from "./filters.js";
import { cutPieces, timesOf } from "./pieces.js";
import { beatIndices } from "./indices.js";
import { fillLosses, inverted, isKnown, isPlausible, rateOf, regularClock, shortLosses, upright } from "./quality.js";
import { InputError } from "./recording.js";
import { Blend } from "./windows.js";

// most that a foot of the aortic wave may be ahead of the peripheral one; a monitor may delay a PPG
const LEAD_S = 0.2;
const LEAD_OF_PPG_S = 0.45;
const PRESSURES = { systolic: "sbp", diastolic: "dbp", pulse: "pp", mean: "map" }; // with their names in the beats

const BEATS_AT_ONCE = 8; // of the indices of the wave

const isPpg = (site) => site.endsWith("_ppg");

/** Leaves one beat to each foot of the aortic wave: the one whose lead is the most usual. */
const withoutRivals = (lead, near) => {
  const matched = [...lead.keys()].filter((k) => Number.isFinite(lead[k]));
  const usual = matched.length ? median(matched.map((k) => lead[k])) : 0;
  const off = (k) => Math.abs(lead[k] - usual);
  const leads = lead.slice();
  for (let first = 0, k = 1; k <= matched.length; k++) {
    if (k < matched.length && near[matched[k]] === near[matched[first]]) continue;
    const rivals = matched.slice(first, k);
    const best = rivals.reduce((one, other) => (off(other) < off(one) ? other : one), rivals[0]);
    for (const rival of rivals) if (rival !== best) leads[rival] = NaN;
    first = k;
  }
  return leads;
};

/** Returns the feet of a peripheral wave and those of the aortic wave that belong to them, [feet, aortic feet]: the
 * beats are those of the measured wave, whose upstrokes the network may flatten. A foot that the aortic wave does not
 * show is assumed at the usual lead. */
export function pairFeet(feet, found, size, fs_hz, site) {
  let lead = new Float64Array(feet.length).fill(NaN);
  if (found.length) {
    const most = (isPpg(site) ? LEAD_OF_PPG_S : LEAD_S) * fs_hz;
    const near = nearest(found, Array.from(feet, (foot) => foot - most / 2)); // from half the longest lead
    lead = lead.map((_, k) => (Math.abs(feet[k] - near[k]) <= most ? feet[k] - near[k] : NaN));
    lead = withoutRivals(lead, near);
  }
  const known = lead.filter(Number.isFinite);
  const usual = known.length ? median(known) : 0;
  const [own, aortic] = [[], []];
  let last = -1;
  for (let k = 0; k < feet.length; k++) {
    const foot = feet[k] - roundHalfEven(Number.isFinite(lead[k]) ? lead[k] : usual);
    const within = Math.min(Math.max(foot, 0), size - 1);
    if (within <= last) continue;
    own.push(feet[k]);
    aortic.push(within);
    last = within;
  }
  return [own, aortic];
}

/** Returns the indices of the aortic wave of each beat, name → (beat,), computed for some beats at once. */
const indicesOf = async (aortic, feet, fs_hz) => {
  const groups = [];
  for (let first = 0; first < Math.max(feet.length - 1, 1); first += BEATS_AT_ONCE) {
    await pause();
    groups.push(beatIndices(aortic, feet.slice(first, first + BEATS_AT_ONCE + 1), fs_hz));
  }
  return joined(groups);
};

/** Returns the columns of the table of beats of a piece, name → (beat,). */
const beatsOf = async (piece, aortic, sigma, network) => {
  const { fs_hz, site, unitless, intervals } = network;
  const [allFeet, aorticFeet] = pairFeet(piece.feet, await findFeet(aortic, fs_hz), aortic.length, fs_hz, site);
  const [start, stop] = piece.own;
  const later = aorticFeet.findIndex((foot) => foot >= start);
  const first = later < 0 ? aorticFeet.length : later;
  let last = first;
  while (last < aorticFeet.length && aorticFeet[last] < stop) last++;
  if (last - first < 2) last = first + 2; // less than a whole beat from foot to foot: the extension completes it
  const [feet, ownFeet] = [aorticFeet.slice(first, last), allFeet.slice(first, last)];
  await pause();
  const central = pressures(aortic, feet);
  const peripheral = merged(piece.pressures, piece.feet, ownFeet);
  const { first_s, origin } = piece.clock;
  const columns = {
    time_s: Float64Array.from(feet.slice(0, -1), (foot) => first_s + (foot - origin) / fs_hz),
    hr_bpm: diff(ownFeet).map((step) => 60 / (step / fs_hz)),
  };
  for (const [name, short] of Object.entries(PRESSURES)) columns[`c${short}_est_mmhg`] = central[name];
  for (const [name, short] of Object.entries(PRESSURES)) {
    columns[`peripheral_${short}_mmhg`] = unitless ? peripheral[name].map(() => NaN) : peripheral[name];
  }
  const factor = intervals ? intervals.csbp : NaN;
  columns.csbp_half_width_mmhg = Float64Array.from(peaksOf(aortic, feet), (peak) => Math.fround(factor * sigma[peak]));
  return { ...columns, ...(await indicesOf(aortic, feet, fs_hz)) };
};

/** Checks that a record has the covariates that a network reads. */
const checkCovariates = ({ covariates: names }, covariates) => {
  const lacking = names.filter((name) => !Number.isFinite(covariates[name]));
  if (lacking.length) throw new InputError(`the network reads ${lacking.join(", ")}`, `add ${lacking.join(", ")}`);
  if (readsCuff(names)) checkReading(covariates);
};

/** Returns the wave as the network reads it: rising with the pulse, and scaled to a cuff's reading. */
const scaled = async ({ time_s, wave, covariates }, { site, calibration }) => {
  const calibrated = calibration.kind !== "none";
  const fs_hz = isPpg(site) || calibrated ? await rateOf(time_s) : NaN;
  const x = isPpg(site) ? await upright(wave, fs_hz) : wave;
  if (!calibrated) return x;
  const [gain, offset] = affine(calibration, await levelsOf(x, fs_hz), covariates);
  return x.map((value) => gain * value + offset);
};

/** Returns the mean over all windows of what the network reads of the context of the record; null if nothing. */
const meanLogPower = async (network, pieces, advance) => {
  if (!network.logPower) return null;
  let [sums, count] = [null, 0];
  for (const { wave, starts } of pieces) {
    for (const start of starts) {
      const own = network.logPower(new Float32Array(wave.subarray(start, start + network.samples)));
      sums = sums ? sums.map((value, k) => value + own[k]) : Float64Array.from(own);
      count++;
      await advance();
    }
  }
  return Float32Array.from(sums, (value) => value / count);
};

/** Reads the windows of a piece, {aortic, sigma, logits}: the aortic wave and its σ, (time,) [mmHg], and the detector's
 * logits of its windows. The aortic wave takes the place of the peripheral one as the windows are read. */
const readPiece = async (network, { wave, starts }, shared, advance) => {
  const { samples, margin } = network;
  const sigma = new Float32Array(wave.length);
  const ones = new Float32Array(samples).fill(1);
  const blends = [wave, sigma].map((place) => new Blend(starts, samples, margin, place));
  const logits = [];
  for (const start of starts) {
    const peripheral = new Float32Array(wave.subarray(start, start + samples));
    const answer = await network.answer({ peripheral, ...shared });
    blends[0].add(answer.aortic);
    blends[1].add(answer.sigma ?? ones);
    logits.push(answer.ood ? answer.ood[0] : NaN);
    await advance();
  }
  return { aortic: wave, sigma, logits };
};

/** Writes a piece to the waves on the record's clock. */
const onRecordClock = async (waves, piece, aortic, sigma, factor, time_s) => {
  const { clock, steps_s, span } = piece;
  const around = reach(...steps_s);
  const size = aortic.length;
  for (const [first, last] of cutBlocks(span.stop - span.start)) {
    await pause();
    const [start, stop] = [span.start + first, span.start + last];
    const at_s = time_s.subarray(start, stop);
    const place = (at) => Math.trunc((at - clock.first_s) * clock.fs_hz + clock.origin);
    const begin = Math.max(place(at_s[0]) - around - 1, 0);
    const end = Math.min(place(at_s[at_s.length - 1]) + around + 2, size);
    const own_s = timesOf(clock, begin, end);
    waves.aortic_mmhg.set(await resample(own_s, aortic.subarray(begin, end), at_s, steps_s), start);
    const spread = linesAt(own_s, sigma.subarray(begin, end), at_s);
    waves.half_width_mmhg.set(spread.map((value) => factor * value), start);
  }
};

/** Writes the wave that was read in the span of a piece; NaN where it is no pressure of an artery, or bridged. */
const showPeripheral = (shown, x, { start, stop }, pressure) => {
  const own = x.subarray(start, stop);
  if (!pressure) {
    shown.set(own, start);
    return;
  }
  const single = new Float32Array(own); // it is only shown from here on
  const plausible = isPlausible(single);
  for (let k = 0; k < own.length; k++) shown[start + k] = plausible[k] ? single[k] : NaN;
};

/** Returns how a heart rate differs from those of the training, "" if it does not or one of them is unknown. */
export function unusualHr(intervals, hr_bpm) {
  if (!intervals || !intervals.hr_bpm || !Number.isFinite(hr_bpm)) return "";
  const [low, high] = intervals.hr_bpm;
  if (low <= hr_bpm && hr_bpm <= high) return "";
  const range = `${fixedText(low, 0)} to ${fixedText(high, 0)}/min`;
  return `the heart rate of ${fixedText(hr_bpm, 0)}/min is outside that of the training, ${range}`;
}

/** Returns the share of windows that are out of distribution; NaN without a detector. */
const oodFraction = (intervals, logits) => {
  if (!intervals || !logits.every(Number.isFinite)) return NaN;
  return mean(logits.map((logit) => (logit > intervals.ood_threshold ? 1 : 0)));
};

/** Joins tables of the same columns. */
const joined = (columns) => {
  const names = Object.keys(columns[0]);
  return Object.fromEntries(names.map((name) => [name, Float64Array.from(columns.flatMap((own) => [...own[name]]))]));
};

/** Reads the pieces one after another, which become the aortic wave, and returns {waves, columns, logits}: the waves on
 * the record's clock, the columns of the beats of each piece, and the logits of all windows. */
const readPieces = async (network, pieces, covariates, time_s, progress) => {
  const windows = pieces.reduce((count, piece) => count + piece.starts.length, 0);
  const total = windows * (network.logPower ? 2 : 1);
  let done = 0;
  const advance = async () => {
    progress(++done, total);
    await pause();
  };
  progress(done, total);
  const shared = {};
  const logPower = await meanLogPower(network, pieces, advance);
  if (logPower) shared.log_power = logPower;
  if (network.covariates.length) shared.covariates = Float32Array.from(network.covariates, (name) => covariates[name]);
  const waves = {};
  for (const name of ["peripheral", "aortic_mmhg", "half_width_mmhg"]) {
    waves[name] = new Float64Array(time_s.length).fill(NaN);
  }
  const factor = network.intervals ? network.intervals.wave : NaN;
  const [columns, logits] = [[], []];
  for (const piece of pieces) {
    const own = await readPiece(network, piece, shared, advance);
    columns.push(await beatsOf(piece, own.aortic, own.sigma, network));
    // as the program keeps a day, in single precision, which resolves 10⁻⁵ mmHg
    await onRecordClock(waves, piece, new Float32Array(own.aortic), own.sigma, factor, time_s);
    for (const logit of own.logits) logits.push(logit);
    piece.wave = null;
  }
  return { waves, columns, logits };
};

/** Reconstructs the aortic pressure wave of a record, {time_s, wave, covariates, notes}, by a network.
 *
 * Each usable span is extended by its own beats at both ends, cut into half-overlapping windows and blended, so that no
 * window edge shows. A span of one beat is treated as periodic. Throws an InputError if the record has none of the
 * readings that the network needs, or no usable span. The progress is called with the steps done and all steps. */
export async function reconstruct(recording, network, progress = () => {}) {
  const { intervals, pressure } = network;
  const covariates = recording.covariates ?? {};
  checkCovariates(network, covariates);
  const read = await scaled({ ...recording, covariates }, network);
  const time_s = await regularClock(recording.time_s);
  // samples that are implausible for longer stay as they are, which tells the reason of the gap
  await pause();
  const losses = shortLosses(time_s, inverted(pressure ? isPlausible(read) : isKnown(read)));
  await pause();
  const x = fillLosses(time_s, read, losses);
  const { pieces, gaps } = await cutPieces(time_s, x, pressure, network);
  if (!pieces.length) {
    const reasons = [...new Set(gaps.map((gap) => gap.reason))].join(", ") || "too short";
    throw new InputError(`no usable segment of one beat or more (${reasons})`, "use another record");
  }
  const { waves, columns, logits } = await readPieces(network, pieces, covariates, time_s, progress);
  for (const { span } of pieces) {
    await pause();
    showPeripheral(waves.peripheral, x, span, pressure);
  }
  for (const [start, stop] of losses) waves.peripheral.fill(NaN, start, stop);
  const beats = joined(columns);
  return {
    time_s: recording.time_s,
    ...waves,
    beats,
    gaps,
    ood_fraction: oodFraction(intervals, logits),
    outside: intervals ? intervals.outside : "",
    lacking: intervals ? intervals.lacking : "",
    unusual_hr: unusualHr(intervals, median(beats.hr_bpm)),
    unitless: network.unitless,
    unknown_level: network.unknown_level,
    notes: recording.notes ?? [],
  };
}

/** Returns mean and SD over beats of every column but their time and unknown ones, name → {mean, sd}; {} without beats.
 *
 * The mean heart rate is beats over time, 60 / mean interval: the mean of the rates would be too high in an irregular
 * rhythm. */
export function summary(beats) {
  const statistics = {};
  for (const [name, values] of Object.entries(beats)) {
    if (name === "time_s" || !values.length || !values.every(Number.isFinite)) continue;
    const middle = mean(values);
    const sd = Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
    statistics[name] = { mean: name === "hr_bpm" ? 1 / mean(values.map((value) => 1 / value)) : middle, sd };
  }
  return statistics;
}
