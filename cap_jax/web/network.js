// Unpacks the networks of the page, see `cap_jax/export/web_page.py`.

import { compileProgram } from "./program.js";

const SIZES = { f: 4, i: 4, u: 1 };
const TYPES = { f: Float32Array, i: Int32Array, u: Uint8Array };

const inflate = async (bytes) => {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

/** Reads the constants of a program, whose bytes are sorted by significance. */
const readConstants = (described, bytes, start) => {
  const constants = {};
  let at = start;
  for (const [number, type, size] of described) {
    const width = SIZES[type];
    const own = new Uint8Array(size * width);
    for (let plane = 0; plane < width; plane++) {
      for (let k = 0; k < size; k++) own[k * width + plane] = bytes[at + plane * size + k];
    }
    constants[number] = new TYPES[type](own.buffer);
    at += size * width;
  }
  return [constants, at];
};

/**
 * Returns a network, see `reconstruct`.
 *
 * @param bytes what `web_page.network` wrote.
 */
export const unpackNetwork = async (bytes) => {
  const content = await inflate(bytes);
  const size = new DataView(content.buffer).getUint32(0, true);
  const { programs, ...about } = JSON.parse(new TextDecoder().decode(content.subarray(4, 4 + size)));
  const functions = {};
  let at = 4 + size;
  for (const [name, program] of Object.entries(programs)) {
    const [constants, end] = readConstants(program.constants, content, at);
    functions[name] = compileProgram(program, constants);
    at = end;
  }
  const { intervals } = about;
  if (intervals) for (const name of ["wave", "csbp", "ood_threshold"]) intervals[name] ??= Infinity;
  const answer = (parts) => {
    const results = functions.answer(...about.inputs.map((name) => parts[name]));
    return Object.fromEntries(about.outputs.map((name, k) => [name, results[k]]));
  };
  const logPower = functions.log_power ? (peripheral) => functions.log_power(peripheral)[0] : null;
  return { ...about, answer, logPower };
};
