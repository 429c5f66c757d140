// Calibration of a wave of unknown scale and zero to mmHg, by an affine map from a cuff's reading.
//
//     sbp_dbp            systole ↦ SBP, diastole ↦ DBP
//     map_dbp, invasive  mean ↦ MAP, diastole ↦ DBP
//
// Systole, diastole and mean are those of the wave's own beats. Where a cuff has no MAP it is estimated: DBP + PP/3,
// DBP + 0.4 PP (Bos 2007), DBP + 0.412 PP (Meaney 2000), √(SBP · DBP).

import { median, runs } from "./arrays.js";
import { findFeet, pressures, tile, wholeBeats } from "./beats.js";
import { fixedText } from "./blocks.js";
import { isKnown } from "./quality.js";
import { InputError, significant } from "./recording.js";

const FORMS = {
  third: (sbp, dbp) => dbp + (sbp - dbp) / 3,
  0.4: (sbp, dbp) => dbp + 0.4 * (sbp - dbp),
  0.412: (sbp, dbp) => dbp + 0.412 * (sbp - dbp),
  geometric: (sbp, dbp) => Math.sqrt(sbp * dbp),
};
const CUFF = ["cuff_sbp_mmhg", "cuff_dbp_mmhg", "cuff_map_mmhg"];
const CATHETER = ["invasive_map_mmhg", "invasive_dbp_mmhg"];
const LEAST_CUFF_PULSE_MMHG = 10;
const HIGHEST_MMHG = 350; // of a systolic pressure

/** Returns the levels of a wave with gaps in its own unit, the medians of the systolic, diastolic and mean values of
 * its beats; null where it has no whole beat. */
export async function levelsOf(x, fs_hz) {
  const parts = runs(isKnown(x)).map(([start, stop]) => x.subarray(start, stop));
  let found = [];
  for (const part of parts) found.push(pressures(part, await findFeet(part, fs_hz)));
  found = found.filter((own) => own.mean.length);
  if (!found.length && parts.length === 1) {
    // it may be a single beat, whose feet lie in its second repetition
    const feet = await wholeBeats(parts[0], fs_hz);
    if (feet.length >= 2) found = [pressures(tile(parts[0], 3), feet)];
  }
  if (!found.length) return null;
  const levelOf = (name) => median(found.flatMap((own) => [...own[name]]));
  return { systolic: levelOf("systolic"), diastolic: levelOf("diastolic"), mean: levelOf("mean") };
}

/** Returns the pressures [SBP, DBP, MAP] to which the wave is scaled [mmHg]; NaN for one that is not known. */
const reading = ({ kind, form }, covariates) => {
  const needed = kind === "invasive" ? CATHETER : CUFF.slice(0, 2);
  const missing = needed.filter((name) => !Number.isFinite(covariates[name]));
  if (missing.length) {
    const available = Object.keys(covariates).sort().join(", ") || "nothing";
    const problem = `calibration ${kind} needs ${missing.join(", ")} (found: ${available})`;
    throw new InputError(problem, "add the missing covariates");
  }
  if (kind === "invasive") return [NaN, covariates[CATHETER[1]], covariates[CATHETER[0]]];
  const [sbp, dbp, map] = CUFF.map((name) => covariates[name]);
  if (!(sbp - dbp >= LEAST_CUFF_PULSE_MMHG && dbp > 0)) {
    const problem = `impossible cuff reading ${fixedText(sbp, 0)}/${fixedText(dbp, 0)} mmHg (SBP/DBP)`;
    throw new InputError(problem, "correct it, or inject a smaller error");
  }
  if (!Number.isFinite(map)) return [sbp, dbp, FORMS[form](sbp, dbp)];
  return [sbp, dbp, dbp + ((map - dbp) / (sbp - dbp)) * (sbp - dbp)];
};

/** Checks the reading of a cuff that a network reads as covariates: throws if no artery has it. */
export function checkReading(covariates) {
  const [sbp, dbp] = CUFF.map((name) => covariates[name]);
  if (!Number.isFinite(sbp) || !Number.isFinite(dbp)) return;
  if (dbp > 0 && dbp <= sbp - LEAST_CUFF_PULSE_MMHG && sbp <= HIGHEST_MMHG) return;
  const problem = `impossible cuff reading ${significant(sbp)}/${significant(dbp)} mmHg (SBP/DBP)`;
  throw new InputError(problem, "correct it, or its unit");
}

/** Returns whether a network reads a cuff's reading, given its covariates. */
export const readsCuff = (names) => names.some((name) => CUFF.includes(name));

/** Returns gain and offset of the map x ↦ gain · x + offset, given the levels of the wave and the covariates; throws if
 * there is no reading, or no beat that could be scaled to it. */
export function affine(calibration, levels, covariates) {
  if (calibration.kind === "none") return [1, 0];
  const [sbp, dbp, mean] = reading(calibration, covariates);
  if (!levels) throw new InputError("no whole beat to calibrate", "use a longer record");
  const [high, level] = calibration.kind === "sbp_dbp" ? [sbp, levels.systolic] : [mean, levels.mean];
  if (level - levels.diastolic <= 0) throw new InputError("the wave has no pulse to calibrate", "omit the record");
  const gain = (high - dbp) / (level - levels.diastolic);
  return [gain, dbp - gain * levels.diastolic];
}
