// Cuts a record into pieces that a network can read: usable spans at its rate, extended by their own beats.

import { runs, searchSorted } from "./arrays.js";
import { assessPieces } from "./beat_quality.js";
import { SHORTEST_S, findFeet, pressures } from "./beats.js";
import { cutBlocks, medianStepOf, pause } from "./blocks.js";
import { reach, resample } from "./filters.js";
import { binaryClosing } from "./ndimage.js";
import { findFinite, findSpans, isKnown, isPlausible } from "./quality.js";
import { atRails } from "./rails.js";
import { extendPeriodically, startsCovering } from "./windows.js";

// faults of a beat that make a wave wrong; ectopic beats are valid
const WRONG = { flat: "flat", clipped: "clipped", damped: "damped", flush: "flushed", motion: "moved" };
const FLUSHED = "a part of a beat that is flushed";
const LEAST_BEATS = 4;
const BETWEEN = 2; // up to so many beats between two bad ones are bad too

/** Returns the times of the samples [start, stop) of a regular clock, {first_s, origin, fs_hz}, [s]. */
export function timesOf({ first_s, origin, fs_hz }, start, stop) {
  const time_s = new Float64Array(stop - start);
  for (let k = 0; k < time_s.length; k++) time_s[k] = first_s + (start + k - origin) / fs_hz;
  return time_s;
}

/** Returns the wave in a span at the network's rate from its first sample on, and the record's median step in it. */
const onOwnClock = async (time_s, x, span, fs_hz) => {
  const own_s = time_s.subarray(span.start, span.stop);
  const own = x.subarray(span.start, span.stop);
  const step_s = await medianStepOf(own_s);
  const clock = { first_s: own_s[0], origin: 0, fs_hz };
  const count = Math.floor((own_s[own_s.length - 1] - own_s[0]) * fs_hz + 1e-6) + 1;
  const wave = new Float64Array(count);
  const around = reach(step_s, 1 / fs_hz);
  for (const [start, stop] of cutBlocks(count)) {
    const at_s = timesOf(clock, start, stop);
    const first = Math.max(searchSorted(own_s, at_s[0]) - around, 0);
    const last = searchSorted(own_s, at_s[at_s.length - 1]) + around;
    const steps_s = [step_s, 1 / fs_hz];
    wave.set(await resample(own_s.subarray(first, last), own.subarray(first, last), at_s, steps_s), start);
  }
  return { wave, step_s };
};

/** Returns where a record was cut off, on the network's clock from its first time on: beside such a sample. */
const railsAt = async (time_s, rails, first_s, count, fs_hz) => {
  const found = new Uint8Array(count);
  const size = time_s.length;
  let after = searchSorted(time_s, first_s, "right");
  for (const [start, stop] of cutBlocks(count)) {
    await pause();
    for (let k = start; k < stop; k++) {
      const at_s = first_s + k / fs_hz;
      while (after < size && time_s[after] <= at_s) after++;
      if (after >= size) found[k] = rails[size - 1];
      else if (time_s[after - 1] === at_s) found[k] = rails[after - 1];
      else found[k] = rails[after - 1] || rails[after] ? 1 : 0;
    }
  }
  return found;
};

/** Splits a usable span into what remains without faulty beats, [[start, stop], …], and the faulty beats, joined. */
const withoutFaultyBeats = (time_s, span, first_s, { feet, faults, flushedEnds }, fs_hz) => {
  const count = feet.length - 1;
  const names = Object.keys(WRONG);
  const padded = new Uint8Array(count + 2 * BETWEEN);
  for (let k = 0; k < count; k++) padded[k + BETWEEN] = names.some((name) => faults[name][k]) ? 1 : 0;
  const bad = binaryClosing(padded, BETWEEN + 1).subarray(BETWEEN, BETWEEN + count);
  const own_s = time_s.subarray(span.start, span.stop);
  const edges = feet.map((foot) => span.start + searchSorted(own_s, first_s + foot / fs_hz));
  // the incomplete beat next to a bad one is bad too
  if (bad[0]) edges[0] = span.start;
  if (bad[count - 1]) edges[count] = span.stop;
  let first = span.start;
  let stop = span.stop;
  const [intact, lost] = [[], []];
  if (flushedEnds[0] && edges[0] > first) {
    first = edges[0];
    lost.push({ start: span.start, stop: first, reason: FLUSHED });
  }
  if (flushedEnds[1] && edges[count] < stop) {
    stop = edges[count];
    lost.push({ start: stop, stop: span.stop, reason: FLUSHED });
  }
  for (const [a, b] of runs(bad)) {
    const found = names.filter((name) => faults[name].subarray(a, b).some((value) => value));
    const reason = `beats that are ${found.map((name) => WRONG[name]).join(" or ")}`;
    lost.push({ start: edges[a], stop: edges[b], reason });
    if (edges[a] > first) intact.push({ start: first, stop: edges[a] });
    first = edges[b];
  }
  if (first < stop) intact.push({ start: first, stop });
  return { intact, lost };
};

/** Splits usable spans into what remains without faulty beats, and the faulty beats, joined: {intact, lost}.
 *
 * Faulty beats are clipped, damped, flushed, flat or moved; the training saw none of them either. A few beats between
 * two faulty ones count as faulty, and so does less than a beat. A record of fewer than `LEAST_BEATS` has no neighbours
 * to compare a beat with, so nothing is removed. */
const withoutFaults = async (time_s, x, good, fs_hz, pressure) => {
  await pause();
  const valid = pressure ? isPlausible(x) : isKnown(x);
  const cutOff = await atRails(x, 1 / (await medianStepOf(time_s)), valid);
  const [waves, rails] = [[], []];
  for (const span of good) {
    const { wave } = await onOwnClock(time_s, x, span, fs_hz);
    waves.push(wave);
    rails.push(await railsAt(time_s, cutOff, time_s[span.start], wave.length, fs_hz));
  }
  const assessed = await assessPieces(waves, fs_hz, pressure, rails);
  await pause();
  const withReason = (span, reason) => ({ start: span.start, stop: span.stop, reason });
  if (assessed.reduce((total, { feet }) => total + Math.max(feet.length - 1, 0), 0) < LEAST_BEATS) {
    // a record of one beat is taken as periodic, but pieces between losses would have the rhythm of the losses
    const isWhole = (_, k) => good.length === 1 || assessed[k].feet.length >= 2;
    const short = good.filter((span, k) => !isWhole(span, k));
    const lost = short.map((span) => withReason(span, "no whole beat between losses"));
    return { intact: good.filter(isWhole), lost };
  }
  const [intact, lost] = [[], []];
  good.forEach((span, k) => {
    if (assessed[k].feet.length < 2) {
      lost.push(withReason(span, "no whole beat"));
      return;
    }
    const own = withoutFaultyBeats(time_s, span, time_s[span.start], assessed[k], fs_hz);
    intact.push(...own.intact);
    lost.push(...own.lost);
  });
  return { intact, lost };
};

/** Returns a span as a piece, with its peripheral wave on the network's clock.
 *
 *     span        samples of the record
 *     clock       of the network
 *     steps_s     median steps of the clock of the network and of that of the record in the span
 *     feet        (beat + 1,) feet of the peripheral wave
 *     pressures   its pressures between them
 *     own         the samples of the span itself, [start, stop]
 *     starts      first samples of its windows
 *     wave        (time,) */
const prepare = async (time_s, x, span, { fs_hz, samples, margin }) => {
  const { wave: own, step_s } = await onOwnClock(time_s, x, span, fs_hz);
  const spare = Math.max(samples - own.length, 2 * margin);
  const before = Math.floor(spare / 2);
  const wave = await extendPeriodically(own, fs_hz, before, spare - before);
  const feet = await findFeet(wave, fs_hz);
  await pause();
  return {
    span,
    clock: { first_s: time_s[span.start], origin: before, fs_hz },
    steps_s: [1 / fs_hz, step_s],
    feet,
    pressures: pressures(wave, feet),
    own: [before, before + own.length],
    starts: startsCovering(wave.length, samples, samples >> 1),
    wave,
  };
};

/** Cuts a record into pieces: {pieces, gaps}, the pieces as of `prepare`, and the gaps between them.
 *
 * The clock increases, and short losses of the wave are bridged. The windows are those of the network, {fs_hz, samples,
 * margin}. */
export async function cutPieces(time_s, x, pressure, windows) {
  const { good, gaps: lost } = await (pressure ? findSpans(time_s, x) : findFinite(time_s, x));
  const { intact, lost: faulty } = await withoutFaults(time_s, x, good, windows.fs_hz, pressure);
  const isShort = (span) => time_s[span.stop - 1] - time_s[span.start] < SHORTEST_S;
  const short = intact.filter(isShort).map((span) => ({ ...span, reason: "shorter than one beat" }));
  const gaps = [...lost, ...faulty, ...short]
    .sort((a, b) => a.start - b.start)
    .map(({ start, stop, reason }) => ({
      start_s: time_s[Math.max(start - (start === stop ? 1 : 0), 0)],
      end_s: time_s[Math.max(stop - 1, start)],
      reason,
    }));
  const shortStarts = new Set(short.map((span) => span.start));
  const pieces = [];
  for (const span of intact) {
    if (!shortStarts.has(span.start)) pieces.push(await prepare(time_s, x, span, windows));
  }
  return { pieces, gaps };
}
