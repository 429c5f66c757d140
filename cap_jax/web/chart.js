// The plot of the waves: uPlot with the interval as a band and gaps shaded.

import { searchSorted } from "./arrays.js";

const DASH = [6, 4];

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const shadeGaps = (gaps) => (chart) => {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.fillStyle = colourOf("--gap");
  for (const { start_s, end_s } of gaps) {
    const [left, right] = [start_s, end_s].map((time_s) => chart.valToPos(time_s, "x", true));
    const first = Math.max(left, bbox.left);
    const last = Math.min(right, bbox.left + bbox.width);
    if (last >= first) ctx.fillRect(first, bbox.top, Math.max(last - first, 2), bbox.height);
  }
  ctx.restore();
};

const textOf = (digits) => (chart, value) => (value === null || Number.isNaN(value) ? "" : value.toFixed(digits));

// to uPlot, NaN is a value and null a gap
const gapless = (values) => Array.from(values, (value) => (Number.isNaN(value) ? null : value));

/** A PPG has no unit: returns it stretched to the range of the aortic wave, for the plot only. */
const stretched = (peripheral, aortic) => {
  const ends = (wave) => wave.reduce(([low, high], v) => (Number.isNaN(v) ? [low, high] : [Math.min(low, v), Math.max(high, v)]), [Infinity, -Infinity]);
  const [[low, high], [least, most]] = [ends(peripheral), ends(aortic)];
  return peripheral.map((value) => least + ((value - low) / (high - low || 1)) * (most - least));
};

const hasIntervals = (wave) => wave.half_width_mmhg.some(Number.isFinite);

const siteWords = (wave) => (wave.unitless ? `${wave.origin.site} (stretched, without unit)` : wave.origin.site);

/** Returns [colour, dash, words] of each wave. */
export const legendOf = (wave) => [
  [colourOf("--peripheral"), DASH, siteWords(wave)],
  [colourOf("--aortic"), [], "aortic, reconstructed"],
  ...(hasIntervals(wave) ? [[colourOf("--band"), [], "its interval"]] : []),
];

/**
 * Draws a reconstruction.
 *
 * @param place element that takes the plot.
 * @param wave what `reconstruct` returns, with its `origin`.
 * @param say takes what a zoom shows, in words.
 * @returns the chart of uPlot.
 */
export const drawChart = (place, wave, say) => {
  const [ink, rule] = ["--ink", "--line"].map(colourOf);
  const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 } };
  const line = (label, colour, width, dash = []) => ({
    label, stroke: colourOf(colour), width, dash, points: { show: false }, value: textOf(1),
  });
  const peripheral = wave.unitless ? stretched(wave.peripheral, wave.aortic_mmhg) : wave.peripheral;
  const hasBand = hasIntervals(wave);
  const ends = hasBand ? [-1, 1].map((sign) => wave.aortic_mmhg.map((value, k) => value + sign * wave.half_width_mmhg[k])) : [];
  const zoomed = ({ select, posToVal }) => {
    const [start_s, end_s] = [select.left, select.left + select.width].map((at) => posToVal(at, "x").toFixed(2));
    if (select.width) say(`From ${start_s} to ${end_s} s`);
  };
  const options = {
    width: place.clientWidth, height: 400, scales: { x: { time: false } }, cursor: { points: { size: 6 } },
    axes: [{ ...axis, label: "time [s]" }, { ...axis, label: "pressure [mmHg]", size: 60 }],
    series: [
      { label: "time [s]", value: textOf(3) },
      line(siteWords(wave), "--peripheral", 1.5, DASH),
      line("aortic", "--aortic", 2),
      ...(hasBand ? [line("interval, low", "--band", 1), line("interval, high", "--band", 1)] : []),
    ],
    bands: hasBand ? [{ series: [4, 3], fill: colourOf("--band") }] : [],
    hooks: { drawAxes: [shadeGaps(wave.gaps)], setSelect: [zoomed] },
  };
  place.replaceChildren();
  const data = [Array.from(wave.time_s), ...[peripheral, wave.aortic_mmhg, ...ends].map(gapless)];
  return new uPlot(options, data, place);
};

/** Shows a beat, or the whole record for −1. Returns what it is, in words. */
export const showBeat = (chart, wave, number) => {
  const { time_s } = wave;
  const count = wave.beats.time_s.length;
  if (number < 0) {
    chart.setScale("x", { min: time_s[0], max: time_s[time_s.length - 1] });
    return `All ${count} beats`;
  }
  const start_s = wave.beats.time_s[number];
  const end_s = start_s + 60 / wave.beats.hr_bpm[number];
  const last = Math.min(searchSorted(time_s, end_s + 0.1), time_s.length - 1);
  chart.setScale("x", { min: Math.max(start_s - 0.1, time_s[0]), max: time_s[last] });
  const [csbp, cdbp] = ["csbp_est_mmhg", "cdbp_est_mmhg"].map((name) => wave.beats[name][number].toFixed(1));
  return `Beat ${number + 1} of ${count}: cSBP ${csbp}, cDBP ${cdbp} mmHg, ${wave.beats.hr_bpm[number].toFixed(0)}/min`;
};
