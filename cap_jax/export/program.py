"""Writes a function as a list of steps on arrays, which `cap_jax/web/program.js` runs in a browser.

JAX traces the function to a jaxpr, for one window. Each of its equations becomes a step, or several simpler ones:

    view     output[i, j, …] = input[offset + i·stride_0 + j·stride_1 + …]    slice, transpose, broadcast, reverse
    place    parts that are laid into an array of one value                   concatenate, pad
    product  (batch, row, k) · (batch, k, column)                             dot_general
    scan     steps of its own for each time                                   lax.scan

and otherwise one of the primitives of `ELEMENTWISE`, a reduction, `argmin`, `select`, `iota` or `gather`. So every network of a wave
runs in a browser, and a new one needs no code there.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from cap_jax.types import InputError

ELEMENTWISE = frozenset({
  "abs", "add", "and", "div", "eq", "exp", "expm1", "floor", "ge", "gt", "le", "log", "logistic", "lt", "max", "min", "mul", "ne", "neg",
  "not", "or", "pow", "rsqrt", "sqrt", "square", "sub", "tanh",
})  # fmt: skip
_REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "argmin", "argmax"})
_SAME = frozenset({"copy", "copy_p", "stop_gradient", "squeeze", "reshape", "expand_dims"})
_CALLS = {
  "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
  "remat": "jaxpr", "checkpoint": "jaxpr",
}  # fmt: skip
_KINDS = {"f": "f", "i": "i", "u": "i", "b": "b"}


class Program(NamedTuple):
  """A function as steps.

  Attributes:
    steps: each (operation, output, inputs, shape, kind, options); outputs and inputs are numbers of arrays, kind is "f" for
      float32, "i" for int32 and "b" for booleans.
    inputs, outputs: numbers of its arrays.
    constants: number → array.
  """

  steps: list[list[Any]]
  inputs: list[int]
  outputs: list[int]
  constants: dict[int, np.ndarray]

  @property
  def header(self) -> dict[str, Any]:
    """Returns what JSON stores, all but the constants."""
    return {"steps": self.steps, "inputs": self.inputs, "outputs": self.outputs}


def of(function: Callable[..., Any], *shapes: Sequence[int]) -> Program:
  """Returns a function of float32 arrays of these shapes as a program.

  Raises:
    InputError: the function uses an operation that the browser does not have.
  """
  closed = jax.make_jaxpr(function)(*(np.zeros(shape, np.float32) for shape in shapes))
  return _Writer(itertools.count(), {}).program(closed)


class _Writer:
  """Collects the steps of a jaxpr, and of those that it calls."""

  def __init__(self, numbers: "itertools.count[int]", constants: dict[int, np.ndarray]):
    self._numbers, self._constants = numbers, constants
    self._steps: list[list[Any]] = []
    self._known: dict[Any, int] = {}

  def program(self, closed: core.ClosedJaxpr) -> Program:
    """Returns a jaxpr as a program."""
    inputs = [next(self._numbers) for _ in closed.jaxpr.invars]
    outputs = self._run(closed.jaxpr, closed.consts, inputs)
    return Program(self._steps, inputs, outputs, self._constants)

  def _run(self, jaxpr: core.Jaxpr, constants: Sequence[Any], inputs: Sequence[int]) -> list[int]:
    """Writes the steps of a jaxpr. Returns the numbers of its outputs."""
    outer, self._known = self._known, dict(zip(jaxpr.invars, inputs, strict=True))
    self._known |= {one: self._constant(value) for one, value in zip(jaxpr.constvars, constants, strict=True)}
    for equation in jaxpr.eqns:
      numbers = self._equation(equation)
      self._known |= dict(zip(equation.outvars, numbers, strict=True))
    outputs = [self._number(one) for one in jaxpr.outvars]
    self._known = outer
    return outputs

  def _number(self, variable: Any) -> int:
    return self._constant(variable.val) if isinstance(variable, core.Literal) else self._known[variable]

  def _constant(self, value: Any) -> int:
    array, number = np.asarray(value), next(self._numbers)
    kind = _KINDS[array.dtype.kind]
    self._constants[number] = array.astype({"f": np.float32, "i": np.int32, "b": np.uint8}[kind])
    return number

  def _step(self, name: str, inputs: Sequence[int], shape: Sequence[int], dtype: Any, **options: Any) -> int:
    number = next(self._numbers)
    self._steps.append([name, number, list(inputs), [int(n) for n in shape], _KINDS[np.dtype(dtype).kind], options])
    return number

  def _equation(self, equation: Any) -> list[int]:
    """Writes the steps of an equation. Returns the numbers of its outputs."""
    name, params = equation.primitive.name, equation.params
    inputs, output = [self._number(one) for one in equation.invars], equation.outvars[0].aval
    if name in _CALLS:
      inner = params[_CALLS[name]]
      jaxpr, constants = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
      return self._run(jaxpr, constants, inputs[len(inputs) - len(jaxpr.invars) :])
    if name in ELEMENTWISE:
      return [self._step(name, self._alike(equation, inputs), output.shape, output.dtype)]
    if name in _SAME:
      return [self._step("same", inputs, output.shape, output.dtype)]
    if name in _REDUCTIONS:
      return [self._reduced(name, inputs[0], equation.invars[0].aval, params["axes"], output.dtype)]
    method = getattr(self, f"_{name}", None)
    if method is None:
      raise InputError(
        f"a browser does not have the operation {name!r} of this network; export it as onnx or stablehlo"
      )
    result = method(equation, inputs)
    return result if isinstance(result, list) else [result]

  def _view(self, number: int, shape: Sequence[int], strides: Sequence[int], dtype: Any, offset: int = 0) -> int:
    return self._step("view", [number], shape, dtype, strides=[int(one) for one in strides], offset=int(offset))

  def _alike(self, equation: Any, inputs: Sequence[int]) -> list[int]:
    """Returns inputs in the shape of the output, or of one number."""
    after, numbers = equation.outvars[0].aval, []
    for number, one in zip(inputs, equation.invars, strict=True):
      if one.aval.size > 1 and one.aval.shape != after.shape:
        own = zip(_strides(one.aval.shape), one.aval.shape, strict=True)
        number = self._view(number, after.shape, [stride * (size > 1) for stride, size in own], one.aval.dtype)
      numbers.append(number)
    return numbers

  def _transposed(self, number: int, aval: Any, order: Sequence[int]) -> int:
    if list(order) == list(range(len(order))):
      return number
    strides = _strides(aval.shape)
    return self._view(number, [aval.shape[k] for k in order], [strides[k] for k in order], aval.dtype)

  def _reduced(self, name: str, number: int, aval: Any, axes: Sequence[int], dtype: Any) -> int:
    """Writes a reduction, as one of the last axis."""
    kept = [k for k in range(len(aval.shape)) if k not in axes]
    number = self._transposed(number, aval, [*kept, *axes])
    size = math.prod(int(aval.shape[k]) for k in axes)
    return self._step(name, [number], [aval.shape[k] for k in kept], dtype, size=size)

  def _transpose(self, equation: Any, inputs: list[int]) -> int:
    return self._transposed(inputs[0], equation.invars[0].aval, equation.params["permutation"])

  def _broadcast_in_dim(self, equation: Any, inputs: list[int]) -> int:
    before, after = equation.invars[0].aval, equation.outvars[0].aval
    strides = [0] * len(after.shape)
    for own, axis in zip(range(len(before.shape)), equation.params["broadcast_dimensions"], strict=True):
      strides[axis] = _strides(before.shape)[own] if before.shape[own] > 1 else 0
    return self._view(inputs[0], after.shape, strides, after.dtype)

  def _slice(self, equation: Any, inputs: list[int]) -> int:
    before, after, params = equation.invars[0].aval, equation.outvars[0].aval, equation.params
    strides = _strides(before.shape)
    steps = params["strides"] or (1,) * len(strides)
    offset = sum(start * stride for start, stride in zip(params["start_indices"], strides, strict=True))
    return self._view(inputs[0], after.shape, [a * b for a, b in zip(strides, steps, strict=True)], after.dtype, offset)

  def _split(self, equation: Any, inputs: list[int]) -> list[int]:
    before, axis = equation.invars[0].aval, equation.params["axis"]
    strides, start, numbers = _strides(before.shape), 0, []
    for part in equation.outvars:
      numbers.append(self._view(inputs[0], part.aval.shape, strides, before.dtype, start * strides[axis]))
      start += part.aval.shape[axis]
    return numbers

  def _rev(self, equation: Any, inputs: list[int]) -> int:
    aval, strides, offset = equation.invars[0].aval, _strides(equation.invars[0].aval.shape), 0
    for axis in equation.params["dimensions"]:
      offset += (aval.shape[axis] - 1) * strides[axis]
      strides[axis] *= -1
    return self._view(inputs[0], aval.shape, strides, aval.dtype, offset)

  def _concatenate(self, equation: Any, inputs: list[int]) -> int:
    axis, start, parts = equation.params["dimension"], 0, []
    after = equation.outvars[0].aval
    for one in equation.invars:
      parts.append({"shape": list(one.aval.shape), "offset": start * _strides(after.shape)[axis]})
      start += one.aval.shape[axis]
    return self._placed(inputs, after, parts)

  def _stack(self, equation: Any, inputs: list[int]) -> int:
    after, axis = equation.outvars[0].aval, equation.params["axis"]
    shape, stride = [*after.shape], _strides(after.shape)[axis]
    shape[axis] = 1
    return self._placed(inputs, after, [{"shape": shape, "offset": k * stride} for k in range(len(inputs))])

  def _placed(self, inputs: Sequence[int], after: Any, parts: list[dict[str, Any]]) -> int:
    return self._step("place", inputs, after.shape, after.dtype, strides=_strides(after.shape), parts=parts)

  def _pad(self, equation: Any, inputs: list[int]) -> int:
    """Writes a padding, which also spreads the samples; a negative one cuts what was padded."""
    before, after, own = equation.invars[0].aval, equation.outvars[0].aval, equation.params["padding_config"]
    shape = [
      max(low, 0) + n + max(n - 1, 0) * between + max(high, 0)
      for n, (low, high, between) in zip(before.shape, own, strict=True)
    ]
    strides = _strides(shape)
    offset = sum(max(low, 0) * stride for (low, _, _), stride in zip(own, strides, strict=True))
    spread = [stride * (between + 1) for stride, (_, _, between) in zip(strides, own, strict=True)]
    parts = [{"shape": list(before.shape), "offset": offset}]
    number = self._step("place", inputs[:1], shape, after.dtype, strides=spread, parts=parts, fill=inputs[1])
    if tuple(shape) == after.shape:
      return number
    cut = sum(max(-low, 0) * stride for (low, _, _), stride in zip(own, strides, strict=True))
    return self._view(number, after.shape, strides, after.dtype, cut)

  def _dot_general(self, equation: Any, inputs: list[int]) -> int:
    """Writes a product of matrices, (batch, row, k) · (batch, k, column)."""
    (contracted, batched), after = equation.params["dimension_numbers"], equation.outvars[0].aval
    avals = [one.aval for one in equation.invars]
    free = [
      [k for k in range(len(one.shape)) if k not in (*contracted[side], *batched[side])]
      for side, one in enumerate(avals)
    ]
    left = self._transposed(inputs[0], avals[0], [*batched[0], *free[0], *contracted[0]])
    right = self._transposed(inputs[1], avals[1], [*batched[1], *contracted[1], *free[1]])
    axes = {"batch": (0, batched[0]), "rows": (0, free[0]), "inner": (0, contracted[0]), "columns": (1, free[1])}
    sizes = {name: math.prod(int(avals[side].shape[k]) for k in own) for name, (side, own) in axes.items()}
    return self._step("product", [left, right], after.shape, after.dtype, **sizes)

  def _convert_element_type(self, equation: Any, inputs: list[int]) -> int:
    after = equation.outvars[0].aval
    return self._step("convert", inputs, after.shape, after.dtype)

  def _integer_pow(self, equation: Any, inputs: list[int]) -> int:
    after = equation.outvars[0].aval
    return self._step("integer_pow", inputs, after.shape, after.dtype, power=equation.params["y"])

  def _select_n(self, equation: Any, inputs: list[int]) -> int:
    after = equation.outvars[0].aval
    return self._step("select", self._alike(equation, inputs), after.shape, after.dtype)

  def _iota(self, equation: Any, inputs: list[int]) -> int:
    after, axis = equation.outvars[0].aval, equation.params["dimension"]
    count = self._constant(np.arange(after.shape[axis]).astype(after.dtype))
    return self._view(count, after.shape, [int(k == axis) for k in range(len(after.shape))], after.dtype)

  def _gather(self, equation: Any, inputs: list[int]) -> int:
    """Writes a gather; a place beyond the array is moved inside, or gives NaN where JAX fills."""
    params, after = equation.params, equation.outvars[0].aval
    numbers, source, places = params["dimension_numbers"], equation.invars[0].aval, equation.invars[1].aval
    own = [
      k for k in range(len(source.shape)) if k not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    ]
    batch = [k for k in range(len(after.shape)) if k not in numbers.offset_dims]
    index_strides = _strides(places.shape)
    return self._step(
      "gather", inputs, after.shape, after.dtype,
      source={"shape": list(source.shape), "strides": _strides(source.shape), "slice": [int(n) for n in params["slice_sizes"]]},
      offset_dims=dict(zip(map(str, numbers.offset_dims), own, strict=True)),
      batch_dims={str(axis): index_strides[k] for k, axis in enumerate(batch)},
      start_dims=list(numbers.start_index_map),
      index_stride=index_strides[-1],
      paired_dims=[
        [source_axis, batch[index_axis]]
        for source_axis, index_axis in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
      ],
      fill="fill" in str(params["mode"]).lower(),
    )  # fmt: skip

  def _scan(self, equation: Any, inputs: list[int]) -> list[int]:
    """Writes a scan, whose outputs are the last states and the stacked values of all times."""
    params = equation.params
    constants, states = params["num_consts"], params["num_carry"]
    body = _Writer(self._numbers, self._constants).program(params["jaxpr"])
    numbers = [next(self._numbers) for _ in equation.outvars]
    options = {
      "length": params["length"], "reverse": params["reverse"], "constants": constants, "states": states, "body": body.header,
      "outputs": [
        {"number": number, "shape": list(one.aval.shape), "kind": _KINDS[np.dtype(one.aval.dtype).kind]}
        for number, one in zip(numbers, equation.outvars, strict=True)
      ],
    }  # fmt: skip
    self._steps.append(["scan", numbers[0], inputs, [], "f", options])
    return numbers


def _strides(shape: Sequence[int]) -> list[int]:
  """Returns the strides of an array whose last axis is contiguous, in elements."""
  return [math.prod(int(n) for n in shape[k + 1 :]) for k in range(len(shape))]
