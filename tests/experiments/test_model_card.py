"""A source network is packaged: rounded, evaluated in every condition of its site, and described."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from cap_jax import config
from cap_jax.data import scalings
from cap_jax.inference import uncertainty
from cap_jax.study import model_card
from cap_jax.train import checkpoint
from tests.experiments.commands import run_here
from tests.experiments.test_data_commands import write_patients
from tests.train import people

MODEL = config.Model(extractor="context_cnn", channels=8, layers=1, head_channels=8)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
  """A network of the carotid artery that heeds its context, though it has learnt nothing, with intervals."""
  windows = people.pairs([f"s{k}" for k in range(30)], 2, 0)
  params = jax.tree.map(np.array, checkpoint.nets.make_net(MODEL).init(jax.random.key(3), people.SAMPLES))
  rng = np.random.default_rng(0)
  for kernel in (params["f"]["layer_0"]["film"]["kernel"], params["r"]["wave"]["kernel"]):
    kernel[:] = 0.1 * rng.normal(size=kernel.shape)
  plain = checkpoint.Checkpoint(
    params=params, model=MODEL, scaling=scalings.fit(windows, reads_context=True), signals=config.Signals("carotid"),
    about={"data": "in silico: simulated clinics", "source": "clinics", "source_subjects": 30, "steps": 50}, seen_subject_hashes=checkpoint.digests_of(windows.subjects),
  )  # fmt: skip
  others = people.pairs([f"v{k}" for k in range(30)], 2, 1)
  equipped = uncertainty.equip(plain, None, None, windows, others, "validation subjects")
  path = tmp_path_factory.mktemp("card") / "net"
  checkpoint.save(path, equipped)
  return path


@pytest.fixture(scope="module")
def packaged(network, tmp_path_factory):
  folder = tmp_path_factory.mktemp("packaged")
  records = write_patients(folder / "patients", 2, 13.0)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(model_card, "PRESSURE", {"device": "behind one line", "cuff": "scaled by a cuff"})
    patch.setattr(model_card, "AROUND", 6)
    patch.setattr(model_card, "_TESTED", 4)
    patch.setattr(model_card, "SECONDS", 8)
    done = run_here(
      "model_card", f"--checkpoint={network}", f"--output={folder / 'carotid'}", "--format=csv", f"--path={records}",
      "--channels=radial_pressure_mmhg:carotid:mmHg",
    )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip().endswith("carotid/README.md")
  return folder / "carotid"


@pytest.mark.slow
def test_the_card_says_what_was_measured(packaged):
  text = (packaged / "README.md").read_text(encoding="utf-8")
  rows = {match[1]: line for line in text.splitlines() if (match := re.search(r"\(`(\w+)`, \*", line))}
  assert set(rows) == {"device", "cuff", "solver"}  # no rig at this site
  for name, subjects, readings in (("device", 4, 2), ("cuff", 4, 2), ("solver", 64, 2)):
    cells = [cell.strip() for cell in rows[name].split("|")[1:-1]]
    assert cells[0].startswith(f"{subjects} ")
    assert float(cells[1]) > 1
    errors = [float(cell.split()[0]) for cell in (cells[2], cells[6]) if cell]
    assert len(errors) == readings
    assert errors[0] != errors[1]  # the context matters
  assert checkpoint.digest(packaged) in text
  assert "| all |" in text
  assert "*real*" in text or "*real records*" in text


@pytest.mark.slow
def test_the_packaged_network_is_the_network_in_half_precision(network, packaged):
  before, after = checkpoint.load(network), checkpoint.load(packaged)
  assert after.seen_subject_hashes == before.seen_subject_hashes
  assert after.scaling == before.scaling
  for old, new in zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True):
    np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-6)
    assert new.dtype == np.float32


def test_what_no_card_describes_is_refused(network, tmp_path):
  trained = checkpoint.load(network)
  changes = {
    "is no source network": {"about": {**trained.about, "strategy": "fine_tuning/context"}},
    "virtual people have taught": {"about": {"data": "real records: theatre"}},
    "predicts waveform, carotid; pass a network for the aortic wave": {
      "signals": dataclasses.replace(trained.signals, site="radial", reference="carotid")
    },
  }
  for number, (message, change) in enumerate(changes.items()):
    place = tmp_path / str(number)
    checkpoint.save(place, dataclasses.replace(trained, **change))
    done = run_here("model_card", f"--checkpoint={place}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((), "--output is missing"),
    (("--output={out}",), "--checkpoint is missing"),
    (("--output={out}", "--checkpoint=nowhere"), "nowhere: no checkpoint found"),
    (("--output=tests", "--checkpoint={network}"), "--output=tests: already exists"),
  ],
)
def test_what_cannot_be_packaged_is_refused(network, tmp_path, arguments, message):
  done = run_here("model_card", *(one.format(out=tmp_path / "out", network=network) for one in arguments))
  assert done.returncode == 2
  assert message in done.stderr
  assert not (tmp_path / "out").exists()
