"""Networks as programs of a browser give the answers of JAX, run by Node.js."""

import json
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cap_jax import config
from cap_jax.export import program, web_page
from cap_jax.inference import pretrained
from cap_jax.models import net as nets
from cap_jax.types import InputError
from tests import tiers
from tests.experiments.commands import ROOT
from tests.export.test_export import rows

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
WEB = (ROOT / "cap_jax" / "web").as_uri()
RUN = f"""
import fs from "node:fs";
import {{ compileProgram }} from "{WEB}/program.js";
import {{ unpackNetwork }} from "{WEB}/network.js";
const [folder, packed] = process.argv.slice(2);
const read = (name) => JSON.parse(fs.readFileSync(`${{folder}}/${{name}}`));
const numbers = (values) => values.map((value) => (value === null ? NaN : value));
const plain = (array) => Array.from(array, (value) => (Number.isNaN(value) ? null : value));
const results = [];
if (packed) {{
  const network = await unpackNetwork(fs.readFileSync(packed));
  for (const parts of read("inputs.json")) {{
    const own = Object.fromEntries(Object.entries(parts).map(([name, values]) => [name, Float32Array.from(values)]));
    results.push({{ ...network.answer(own), log_power: network.logPower(own.peripheral) }});
    for (const name in results.at(-1)) results.at(-1)[name] = plain(results.at(-1)[name]);
  }}
}} else {{
  const {{ constants, kinds, ...steps }} = read("program.json");
  const types = {{ f: Float32Array, i: Int32Array, b: Uint8Array }};
  const arrays = Object.fromEntries(Object.entries(constants).map(([k, v]) => [k, types[kinds[k]].from(numbers(v))]));
  const run = compileProgram(steps, arrays);
  for (const inputs of read("inputs.json")) results.push(run(...inputs.map((x) => Float32Array.from(numbers(x)))).map(plain));
}}
fs.writeFileSync(`${{folder}}/outputs.json`, JSON.stringify(results));
"""


def in_node(folder, inputs, *packed):
  """What the script gives for inputs."""
  (folder / "run.mjs").write_text(RUN)
  (folder / "inputs.json").write_text(json.dumps(inputs))
  subprocess.run(["node", str(folder / "run.mjs"), str(folder), *packed], check=True)
  return json.loads((folder / "outputs.json").read_text())


def check_program(folder, function, *inputs, atol=1e-5):
  """Compares a function with its program, for one set of inputs."""
  written = program.of(function, *(x.shape for x in inputs))
  kinds = {"f": "f", "i": "i", "u": "b"}
  content = {
    **written.header,
    "constants": {number: [None if value != value else value for value in one.ravel().tolist()] for number, one in written.constants.items()},
    "kinds": {number: kinds[one.dtype.kind] for number, one in written.constants.items()},
  }  # fmt: skip
  (folder / "program.json").write_text(json.dumps(content, default=int).replace("Infinity", "1e999"))
  (outputs,) = in_node(folder, [[x.ravel().tolist() for x in inputs]])
  expected = jax.tree.leaves(jax.jit(function)(*inputs))
  assert len(outputs) == len(expected) > 0
  for output, other in zip(outputs, expected, strict=True):
    np.testing.assert_allclose(np.array(output, float), np.asarray(other, float).ravel(), atol=atol)


WAVES = [
  (extractor, "sample" if extractor == "tcn" else "waveform", adaptor)
  for extractor in ("token_cnn", "context_cnn", "cnn", "tcn", "lstm", "cnn_bilstm")
  for adaptor in nets.ADAPTORS
]


@pytest.mark.parametrize(
  ("extractor", "head", "adaptor"), tiers.sample(WAVES, ("cnn_bilstm", "waveform", "section"), ("tcn", "sample", "fir"))
)
def test_every_network_of_a_wave_is_a_program(extractor, head, adaptor, tmp_path):
  model = config.Model(extractor=extractor, head=head, adaptor=adaptor, channels=16, layers=2, head_channels=16)
  net = nets.make_net(model)
  params, rng = net.init(jax.random.key(0), 500), np.random.default_rng(0)
  x_bt, c_bq = (rng.normal(size=(1, size)).astype(np.float32) for size in (500, net.covariates))
  check_program(tmp_path, lambda x_bt, c_bq: net.apply(params, x_bt, c_bq), x_bt, c_bq, atol=2e-5)


OPERATIONS = {
  "cut and spread": lambda x: jax.lax.pad(x, 7.0, ((-1, 2, 0), (3, -2, 1))),
  "reverse": lambda x: jnp.flip(x, (0, 1)),
  "every other": lambda x: x[::2, 1::3],
  "stack": lambda x: jnp.stack([x, 2 * x], axis=1),
  "batched product": lambda x: jnp.einsum("ij,kj,il->ikl", x, x, x),
  "largest of rows": lambda x: (x.max(0), x.min(), x.argmax(1), jnp.argmin(x, 0)),
  "take": lambda x: jnp.take_along_axis(x, jnp.array([[3, 1, 2]] * 4), axis=1),
  "take, clipped": lambda x: jnp.take(x, jnp.array([0, 9, -9]), axis=1, mode="clip"),
  "take, filled": lambda x: jnp.take(x, jnp.array([0, 9]), axis=1, mode="fill"),
  "rows": lambda x: x[jnp.array([2, 0])],
  "NaN": lambda x: (jnp.maximum(x / 0 - x / 0, 1.0), jnp.where(jnp.isnan(x / 0 - x / 0), 1.0, x)),
  "whole numbers": lambda x: (x.astype(jnp.int32), jnp.floor(x), x > 0, ~(x > 0), (x > 0) | (x < -1)),
  "scan": lambda x: jax.lax.scan(lambda s, row: (s * 0.5 + row.sum(), (s, row * s)), jnp.float32(1.0), x),
  "scan, backwards": lambda x: jax.lax.scan(lambda s, row: (s + row, s), x[0] * 0, x, reverse=True),
  "powers": lambda x: (x**3, x**-2, jnp.abs(x) ** 0.3, jnp.expm1(x), jax.nn.sigmoid(x), jnp.tanh(x)),
}  # fmt: skip


def test_operations(tmp_path):
  x = np.random.default_rng(1).normal(size=(4, 7)).astype(np.float32)
  for name, function in OPERATIONS.items():
    try:
      check_program(tmp_path, function, x)
    except Exception as error:
      raise AssertionError(name) from error


def test_what_a_browser_has_not_is_named():
  with pytest.raises(
    InputError, match="a browser does not have the operation 'erf' of this network; export it as onnx or stablehlo"
  ):
    program.of(jax.lax.erf, (3,))


@pytest.mark.parametrize("name", tiers.sample(list(pretrained.names()), "radial"))
def test_packed_networks_give_the_answers_of_the_functions(name, tmp_path):
  """Within rounding, also where the network falls back."""
  trained = pretrained.load(name)
  (tmp_path / "network").write_bytes(web_page.network(trained))
  functions, parts = rows(trained, 12)
  expected = dict(zip(functions.outputs, map(np.asarray, jax.jit(functions.answer)(*parts.values())), strict=True))
  expected["log_power"] = np.asarray(functions.log_power(parts["peripheral"]))
  assert (expected["ood"] > trained.uncertainty_calibration.ood_threshold).any()
  inputs = [{key: value[k].tolist() for key, value in parts.items()} for k in range(12)]
  outputs = in_node(tmp_path, inputs, str(tmp_path / "network"))
  for key, value in expected.items():
    output = np.array([one[key] for one in outputs], float)
    np.testing.assert_allclose(output.reshape(value.shape), value, atol=2e-3 if key == "aortic" else 5e-4)
  worst = max(np.abs(np.array([one[key] for one in outputs]) - expected[key]).max() for key in ("aortic", "sigma"))
  print(f"\n{name}: at most {worst:.1e} mmHg")
