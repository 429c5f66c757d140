// Runs a function that `cap_jax/export/program.py` wrote as steps on arrays. An array is its values, in the order of C.

const ARRAYS = { f: Float32Array, i: Int32Array, b: Uint8Array };

const UNARY = {
  abs: Math.abs,
  exp: Math.exp,
  expm1: Math.expm1,
  floor: Math.floor,
  log: Math.log,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  neg: (x) => -x,
  not: (x) => (x ? 0 : 1),
  rsqrt: (x) => 1 / Math.sqrt(x),
  sqrt: Math.sqrt,
  square: (x) => x * x,
  tanh: Math.tanh,
};

const BINARY = {
  add: (a, b) => a + b,
  and: (a, b) => a & b,
  div: (a, b) => a / b,
  eq: (a, b) => a === b,
  ge: (a, b) => a >= b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  lt: (a, b) => a < b,
  max: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a > b ? a : b),
  min: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a < b ? a : b),
  mul: (a, b) => a * b,
  ne: (a, b) => a !== b,
  or: (a, b) => a | b,
  pow: Math.pow,
  sub: (a, b) => a - b,
};

/** Calls `visit(row, length)` with the first place of each last-axis row of a strided array. */
const forEachRow = (shape, strides, offset, visit) => {
  const axes = shape.length - 1;
  const count = shape.slice(0, Math.max(axes, 0)).reduce((a, b) => a * b, 1);
  const length = axes < 0 ? 1 : shape[axes];
  const index = new Int32Array(Math.max(axes, 0));
  let at = offset;
  for (let row = 0; row < count; row++) {
    visit(at, row * length, length);
    for (let axis = axes - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
};

const lastStride = (strides) => (strides.length ? strides[strides.length - 1] : 0);

const runView = ({ strides, offset }, [x], shape, result) => {
  const step = lastStride(strides);
  forEachRow(shape, strides, offset, (at, row, length) => {
    for (let k = 0; k < length; k++) result[row + k] = x[at + k * step];
  });
};

const runPlace = ({ strides, parts }, inputs, result) => {
  const step = lastStride(strides);
  parts.forEach((part, number) => {
    const x = inputs[number];
    forEachRow(part.shape, strides, part.offset, (at, row, length) => {
      for (let k = 0; k < length; k++) result[at + k * step] = x[row + k];
    });
  });
};

/** Adds four rows of a matrix at once to the sums, each times its factor: that halves the time of one by one. */
const addRows = (sums, b, start, columns, f0, f1, f2, f3) => {
  const [second, third, fourth] = [start + columns, start + 2 * columns, start + 3 * columns];
  for (let k = 0; k < columns; k++) {
    sums[k] += f0 * b[start + k] + f1 * b[second + k] + f2 * b[third + k] + f3 * b[fourth + k];
  }
};

const runProduct = ({ batch, rows, inner, columns }, [a, b], result) => {
  const sums = new Float64Array(columns);
  for (let row = 0; row < batch * rows; row++) {
    const left = row * inner;
    const right = Math.floor(row / rows) * inner * columns;
    sums.fill(0);
    let k = 0;
    for (; k + 4 <= inner; k += 4) {
      addRows(sums, b, right + k * columns, columns, a[left + k], a[left + k + 1], a[left + k + 2], a[left + k + 3]);
    }
    for (; k < inner; k++) {
      const [factor, start] = [a[left + k], right + k * columns];
      for (let column = 0; column < columns; column++) sums[column] += factor * b[start + column];
    }
    result.set(sums, row * columns);
  }
};

const REDUCTIONS = {
  reduce_sum: (x, start, stop) => {
    let total = 0;
    for (let k = start; k < stop; k++) total += x[k];
    return total;
  },
  reduce_max: (x, start, stop) => x.subarray(start, stop).reduce(BINARY.max, -Infinity),
  reduce_min: (x, start, stop) => x.subarray(start, stop).reduce(BINARY.min, Infinity),
  argmin: (x, start, stop) => extremeAt(x, start, stop, (a, b) => a < b),
  argmax: (x, start, stop) => extremeAt(x, start, stop, (a, b) => a > b),
};

const extremeAt = (x, start, stop, better) => {
  let place = start;
  for (let k = start; k < stop && !Number.isNaN(x[place]); k++) {
    if (better(x[k], x[place]) || Number.isNaN(x[k])) place = k;
  }
  return place - start;
};

/** Gathers slices: `paired_dims` and `start_dims` say where a slice begins, `offset_dims` run through it. */
const runGather = (options, [x, places], shape, result) => {
  const { source, offset_dims, batch_dims, start_dims, index_stride, paired_dims, fill } = options;
  const index = new Int32Array(shape.length);
  const [batch, offsets] = [batch_dims, offset_dims].map(Object.entries);
  for (let k = 0; k < result.length; k++) {
    let at = 0;
    let inside = true;
    let first = 0;
    for (const [axis, stride] of batch) first += index[axis] * stride;
    start_dims.forEach((axis, number) => {
      const most = source.shape[axis] - source.slice[axis];
      const start = places[first + number * index_stride];
      inside &&= start >= 0 && start <= most;
      at += Math.min(Math.max(start, 0), most) * source.strides[axis];
    });
    for (const [axis, own] of paired_dims) at += index[own] * source.strides[axis];
    for (const [axis, own] of offsets) at += index[axis] * source.strides[own];
    result[k] = inside || !fill ? x[at] : NaN;
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
};

// A loop of its own for each common operation: one that calls a function, which differs from step to step, takes twice as long.
const LOOPS = {
  add: (a, b, result) => {
    for (let k = 0; k < result.length; k++) result[k] = a[k] + b[k];
  },
  mul: (a, b, result) => {
    for (let k = 0; k < result.length; k++) result[k] = a[k] * b[k];
  },
  sub: (a, b, result) => {
    for (let k = 0; k < result.length; k++) result[k] = a[k] - b[k];
  },
};

const runElementwise = (name, inputs, result) => {
  const [a, b] = inputs;
  if (inputs.length === 1) {
    const f = UNARY[name];
    for (let k = 0; k < result.length; k++) result[k] = f(a[k]);
    return;
  }
  if (name in LOOPS && a.length === b.length) {
    LOOPS[name](a, b, result);
    return;
  }
  const f = BINARY[name];
  const [stepA, stepB] = [a.length > 1 ? 1 : 0, b.length > 1 ? 1 : 0];
  for (let k = 0; k < result.length; k++) result[k] = f(a[k * stepA], b[k * stepB]);
};

const runPower = (x, power, result) => {
  for (let k = 0; k < result.length; k++) {
    let product = 1;
    for (let factor = 0; factor < Math.abs(power); factor++) product *= x[k];
    result[k] = power < 0 ? 1 / product : product;
  }
};

const runSelect = ([which, ...cases], result) => {
  const step = which.length > 1 ? 1 : 0;
  for (let k = 0; k < result.length; k++) {
    const chosen = cases[which[k * step]];
    result[k] = chosen[chosen.length > 1 ? k : 0];
  }
};

/** Runs the steps of a scan for each time; its states go from one to the next. */
const runScan = (options, inputs, arrays) => {
  const { length, reverse, constants, states, body, outputs } = options;
  const shared = inputs.slice(0, constants); // by all times
  const sequences = inputs.slice(constants + states);
  let state = inputs.slice(constants, constants + states);
  const stacked = outputs.slice(states).map(({ shape, kind }) => new ARRAYS[kind](shape.reduce((a, b) => a * b, 1)));
  for (let step = 0; step < length; step++) {
    const time = reverse ? length - 1 - step : step;
    const parts = sequences.map((x) => x.subarray((time * x.length) / length, ((time + 1) * x.length) / length));
    const results = runSteps(body, [...shared, ...state, ...parts], arrays);
    state = results.slice(0, states);
    stacked.forEach((whole, k) => whole.set(results[states + k], (time * whole.length) / length));
  }
  outputs.forEach(({ number }, k) => (arrays[number] = k < states ? state[k] : stacked[k - states]));
};

const runStep = ([name, output, numbers, shape, kind, options], arrays) => {
  const inputs = numbers.map((number) => arrays[number]);
  if (name === "scan") return runScan(options, inputs, arrays);
  if (name === "same") return (arrays[output] = inputs[0]);
  const result = new ARRAYS[kind](shape.reduce((a, b) => a * b, 1));
  arrays[output] = result;
  if (name === "view") return runView(options, inputs, shape, result);
  if (name === "product") return runProduct(options, inputs, result);
  if (name === "gather") return runGather(options, inputs, shape, result);
  if (name === "select") return runSelect(inputs, result);
  if (name === "integer_pow") return runPower(inputs[0], options.power, result);
  if (name === "convert") return inputs[0].forEach((x, k) => (result[k] = kind === "b" ? x !== 0 : x));
  if (name === "place") {
    if (options.fill !== undefined) result.fill(arrays[options.fill][0]);
    return runPlace(options, inputs, result);
  }
  if (name in REDUCTIONS) {
    for (let k = 0; k < result.length; k++) {
      result[k] = REDUCTIONS[name](inputs[0], k * options.size, (k + 1) * options.size);
    }
    return undefined;
  }
  return runElementwise(name, inputs, result);
};

const runSteps = (program, inputs, arrays) => {
  program.inputs.forEach((number, k) => (arrays[number] = inputs[k]));
  for (const step of program.steps) runStep(step, arrays);
  return program.outputs.map((number) => arrays[number]);
};

/**
 * Returns a program as a function of arrays. What depends on constants alone is computed here, once.
 *
 * @param program its steps, inputs and outputs.
 * @param constants number → values.
 */
export const compileProgram = (program, constants) => {
  const known = []; // by the numbers of the arrays
  for (const number in constants) known[number] = constants[number];
  const steps = [];
  for (const step of program.steps) {
    const [name, , inputs] = step;
    if (name !== "scan" && inputs.every((number) => known[number])) runStep(step, known);
    else steps.push(step);
  }
  return (...inputs) => runSteps({ ...program, steps }, inputs, known.slice());
};
