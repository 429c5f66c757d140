"""What a checkpoint may contain: values within their ranges that agree with each other, and its own regular files alone."""

import copy
import dataclasses
import json
import os
import resource
import shutil
import time
import tracemalloc

import numpy as np
import pytest
import tensorstore

from cap_jax import config
from cap_jax.data import batches, scalings
from cap_jax.inference import pretrained
from cap_jax.train import checkpoint, checkpoint_schema, checksummed
from cap_jax.types import InputError
from tests.data import signed_store
from tests.data.test_store_schema import link, pipe
from tests.fuzz import header_targets
from tests.train import people, signed_checkpoint

_NAN, _INFINITE = float("nan"), float("inf")
pytestmark = pytest.mark.quick


@pytest.fixture
def folder(tmp_path):
  """The packaged network of the radial artery: with context, intervals, a detector and a fallback."""
  shutil.copytree(pretrained.place("radial"), tmp_path / "net")
  return tmp_path / "net"


@pytest.fixture
def of_finger(tmp_path):
  """The packaged network of the finger's PPG: without a unit, with covariates."""
  shutil.copytree(pretrained.place("finger_ppg"), tmp_path / "net")
  return tmp_path / "net"


_UNCERTAINTY, _SCALING = "uncertainty_calibration", "scaling"
_RADIAL = [
  ((_UNCERTAINTY, "level"), _NAN, "level is NaN, must be a number from 0.01 to 0.9999"),
  ((_UNCERTAINTY, "level"), True, "level is true, must be a number"),
  ((_UNCERTAINTY, "wave"), -1, "wave is -1, must be a number from"),
  ((_UNCERTAINTY, "hr_bpm"), [_NAN, 90.0], r"hr_bpm\[0\] is NaN"),
  ((_UNCERTAINTY, "hr_bpm"), [129.0, 41.0], r"hr_bpm is \[129, 41\], must rise"),
  ((_UNCERTAINTY, "hr_bpm"), [41.0], "hr_bpm is a list of 1, must be a list of 2"),
  ((_UNCERTAINTY, "ood_threshold"), -_INFINITE, "ood_threshold is -Infinity, must be a number"),
  ((_UNCERTAINTY, "ood_threshold"), None, "ood_threshold is null, but there is a detector"),
  ((_UNCERTAINTY, "subjects"), 195.0, "subjects is 195.0, must be a whole number"),
  ((_UNCERTAINTY, "detector"), 1, "detector is 1, must be true or false"),
  ((_UNCERTAINTY, "fallback", "taps"), [0.0] * 1001, "taps has 1001 values, must have 31 or 63 for these windows"),
  ((_UNCERTAINTY, "fallback", "taps", 5), 1e300, r"taps\[5\] is 1e\+300"),
  ((_UNCERTAINTY, "fallback", "taps", 5), -999.0, r"taps has a constant gain of -998, must be within ±100"),
  (("windows", "seconds"), 60.0, "fallback needs windows of at most 2000 samples, not 7500"),
  ((_UNCERTAINTY, "fallback", "wave"), 0, "wave is 0, must be a number from 1e-09"),
  ((_UNCERTAINTY, "fallback", "bias"), "0", 'bias is "0", must be a number'),
  ((_UNCERTAINTY, "fallback"), [], "fallback is a list of 0, must be an object"),
  ((_SCALING, "mean_mmhg"), 1e308, r"scaling\.mean_mmhg is 1e\+308, must be a number from"),
  ((_SCALING, "mean_mmhg"), 5e4, r"scaling\.mean_mmhg is 50000.0, must be a number from -10000 to 10000"),
  ((_SCALING, "mean_mmhg"), False, r"scaling\.mean_mmhg is false"),
  ((_SCALING, "sd_mmhg"), 1e-300, r"scaling\.sd_mmhg is 1e-300, must be a number from"),
  ((_SCALING, "sd_mmhg"), 1e-5, r"scaling\.sd_mmhg is 1e-05, must be a number from 0.0001 to 10000"),
  ((_SCALING, "unitless"), True, r"unitless is true, but site radial with calibration none is in mmHg"),
  ((_SCALING, "unitless"), "no", 'unitless is "no", must be true or false'),
  ((_SCALING, "scalars"), [["age", 50.0, 12.0], ["age", 50.0, 12.0]], 'scalars contains "age" twice'),
  ((_SCALING, "scalars"), [["age", _NAN, 12.0]], r"scalars\[0\]\[1\] is NaN"),
  ((_SCALING, "scalars"), [["age", 50.0, -12.0]], r"scalars\[0\]\[2\] is -12.0, must be a number from 1e-06"),
  ((_SCALING, "scalars"), [["", 50.0, 12.0]], r"scalars\[0\]\[0\] has 0 characters"),
  ((_SCALING, "scalars"), [[]], r"scalars\[0\] is a list of 0, must be a list of 3"),
  ((_SCALING, "context", "labels"), -5, "labels is -5, must be a whole number from 0"),
  ((_SCALING, "context", "labels"), 1e30, r"labels is 1e\+30, must be a whole number"),
  ((_SCALING, "context", "labels"), 3, "labels is 3, but labelled has 0 values"),
  ((_SCALING, "context", "spectrum", 3, 1), 0, r"spectrum\[3\]\[1\] is 0, must be a number from 0.001"),
  ((_SCALING, "context", "spectrum", 3, 0), -9000.0, r"spectrum\[3\]\[0\] is -9000.0, must be a number from -50"),
  ((_SCALING, "context", "clinic"), [[0, 1]] * 59, "clinic has 59 values, must have 0 or 60"),
  ((_SCALING, "context"), None, r'context is null, but the extractor is "context_cnn"'),
  (("windows", "fs_hz"), _NAN, r"windows\.fs_hz is NaN, must be a number from 60 to 20000"),
  (("windows", "fs_hz"), 0, r"windows\.fs_hz is 0, must be a number"),
  (("windows", "fs_hz"), True, r"windows\.fs_hz is true, must be a number"),
  (("windows", "seconds"), 300.0, "needs at least 60 Hz and at most 32768 samples"),
  (("windows", "seconds"), 4000.0, r"windows\.seconds is 4000.0, must be a number from 0.001 to 600"),
  (("windows", "seconds"), None, r"windows\.seconds is null"),
  (("model", "covariates"), ["age"], r'model\.covariates is "age", but scaling\.scalars has ""'),
  (("model", "channels"), 72.0, r"channels is 72.0, must be a whole number"),
  (("model", "layers"), True, "layers is true, must be a whole number"),
  (("model", "precision"), "float8", 'precision is "float8", must be one of float32, bfloat16'),
  (("model", "more"), 1, r"model\.more is no field of this file"),
  (("model",), {}, r"model\.extractor is missing"),
  (("site",), "heel", r'site is "heel"'),
  (("site",), "digital_ppg", "unitless is false, but site digital_ppg with calibration none has no unit"),
  (("reference",), "aortic_rot", r'reference is "aortic_rot", did you mean aortic_root'),
  (("task",), ["waveform"], "task is a list of 1, must be one of"),
  (("calibration", "kind"), "guess", 'kind is "guess", must be one of none, sbp_dbp'),
  (("calibration", "seed"), -1, "seed is -1, must be a whole number"),
  (("about", "strategy"), 3, r"about\.strategy is 3, must be a text"),
  (("about", "steps"), "many", r'about\.steps is "many", must be a whole number'),
  (("about", "note"), "\x1b[2J", r'about\.note is "\\u001b\[2J", must contain no control characters'),
  (("about", "note"), "x" * 1_000_000, r"about\.note has 1000000 characters"),
  (("about", "note"), [{"deep": _NAN}], r"about\.note\[0\]\.deep is NaN, must be finite"),
  (("about", "history"), {"strategy": None}, r"about\.history\.strategy is null"),
  (("about", "\x1b[2J"), 1, "about.* has a name that .* must contain no control characters"),
  (("seen_subject_hashes",), ["0123456789ab"], "seen_subject_hashes is a list of 1, must be 8 digits in base 64"),
  (("seen_subject_hashes",), "A" * 16, "damaged, .*seen_subject_hashes"),
  (("format",), 6.0, "no format"),
  (("format",), True, "no format"),
  (("more",), 1, "more is no field of this file"),
]


@pytest.mark.parametrize(("place", "value", "message"), _RADIAL)
def test_a_value_out_of_range_is_refused_by_name(folder, place, value, message):
  signed_checkpoint.change(folder, place, value)
  with pytest.raises(InputError, match=rf"net/config\.json: .*{message}") as refused:
    checkpoint.load(folder)
  assert "train one with the command `cap-jax pretrain`" in str(refused.value)


_SBP, _DBP = ["cuff_sbp_mmhg", 122.0, 20.0], ["cuff_dbp_mmhg", 80.0, 13.0]


@pytest.mark.parametrize(
  ("place", "value", "message"),
  [
    ((_SCALING, "unitless"), False, "unitless is false, but site digital_ppg with calibration none has no unit"),
    (("site",), "digital", "unitless is true, but site digital with calibration none is in mmHg"),
    (("calibration", "kind"), "sbp_dbp", "unitless is true, but site digital_ppg with calibration sbp_dbp is in mmHg"),
    ((_SCALING, "scalars"), [_DBP, _SBP], "the same names must come in the same order"),
    ((_SCALING, "scalars"), [_SBP], "the same names must come in the same order"),
    ((_SCALING, "scalars"), [], "the same names must come in the same order"),
    (("model", "covariates"), ["cuff_dbp_mmhg", "cuff_sbp_mmhg"], "the same names must come in the same order"),
    (("model", "covariates"), ["cuff_sbp_mmhg", "cuff_sbp_mmhg"], r"model\.covariates contains a value twice"),
    (("model", "covariates"), "cuff_sbp_mmhg", r"model\.covariates is \"cuff_sbp_mmhg\", must be a list"),
  ],
)
def test_units_and_covariates_agree(of_finger, place, value, message):
  signed_checkpoint.change(of_finger, place, value)
  with pytest.raises(InputError, match=rf"config\.json: .*{message}"):
    checkpoint.load(of_finger)


def test_a_network_of_pressures_may_be_transferred_to_a_ppg_in_mmhg(folder):
  about = {"strategy": "fine_tuning", "source": "clinics", "history": {"source": "clinics", "steps": 36000}}
  for own in (about, {"source": "clinics", "params_of": [about, {"source": "clinics"}]}):
    signed_checkpoint.change(folder, ("about",), own)
    signed_checkpoint.change(folder, ("site",), "digital_ppg")
    loaded = checkpoint.load(folder)
    assert (loaded.site, loaded.scaling.unitless) == ("digital_ppg", False)


@pytest.mark.parametrize("name", pretrained.names())
def test_what_was_loaded_has_the_header_that_was_written(name):
  loaded = pretrained.load(name)
  written = json.loads((pretrained.FOLDER / name / checkpoint.HEADER).read_text())
  del written["sha256"]
  assert checkpoint.header_of(loaded) == written


def fault_with(written, place, *values):
  """What is wrong with a header without the value at a place, or with another."""
  content = copy.deepcopy(written)
  holder, key = signed_store.at(content, place)
  if values:
    holder[key] = values[0]
  else:
    del holder[key]
  return checkpoint_schema.HEADERS[6].fault(content) or checkpoint_schema.fault_of(content)


@pytest.fixture(scope="module")
def written():
  """A header without its checksums, and the places of its values but for the provenance, which is the user's own."""
  content = json.loads((pretrained.FOLDER / "radial" / checkpoint.HEADER).read_text())
  del content["sha256"], content["about"]["data"]
  return content, [place for place in header_targets.places(content) if place[0] != "about"]


def test_every_field_is_needed(written):
  content, places = written
  fields = [place for place in places if isinstance(place[-1], str)]
  assert len(fields) == 58
  assert [place for place in fields if fault_with(content, place) is None] == [(_UNCERTAINTY,)]


@pytest.mark.parametrize("value", [None, True, 0.5, _NAN, _INFINITE, "x", [], {}])
def test_every_field_is_of_one_type(written, value):
  content, places = written
  accepted = {str(place[-1]) for place in places if fault_with(content, place, value) is None}
  assert accepted <= {
    None: {"hr_bpm", "wave", "csbp", "fallback"},  # there is none, or it is infinite
    True: {"head", "detector"},
    0.5: {str(place[-1]) for place in places if isinstance(signed_store.at(content, place)[0][place[-1]], float)},
    "x": {"where", "head", "adaptor"},  # `make_net` knows the names
  }.get(
    value if isinstance(value, str | float | bool | None) else "list", {"covariates", "scalars", "clinic", "labelled"}
  )


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"format": 6, "format": 6}', r'damaged, .*field "format" occurs twice'),
    ('{"format": 6, "sha256": {"../../x": "", "config.json": ""}}', r"sha256: .* must be a relative path"),
    ('{"format": 6, "sha256": {"/etc/passwd": ""}}', r"sha256: .* must be a relative path"),
    ('{"format": 6, "sha256": {"a/b": "0"}}', r"sha256: \"a/b\" has 1 characters, must have 64"),
    ('{"format": 6}', "sha256: is null, must be an object"),
    ("[6]", "damaged, or written by another project"),
    ("[" + "{}," * 1_100_000 + "{}]", "holds more values than a header has"),
  ],
)
def test_a_file_that_is_no_header_is_refused(folder, text, message):
  (folder / checkpoint.HEADER).write_text(text)
  with pytest.raises(InputError, match=rf"config\.json: {message}"):
    checkpoint.load(folder)


def test_nothing_is_saved_that_would_not_be_loaded(tmp_path, tiny_model):
  output = checkpoint.Checkpoint(
    params=people.drawn(tiny_model), model=tiny_model, scaling=scalings.Scaling(mean_mmhg=92.0, sd_mmhg=0.0)
  )
  with pytest.raises(InputError, match=r"net: scaling\.sd_mmhg is 0\.0, must be a number from 1e-09 to 1e\+09; change"):
    checkpoint.save(tmp_path / "net", output)
  assert list(tmp_path.iterdir()) == []
  scaling = scalings.Scaling(mean_mmhg=92.0, sd_mmhg=17.0, scalars=(("hr_bpm", 70.0, 9.0), ("age", 50.0, 12.0)))
  model = dataclasses.replace(tiny_model, covariates=("age",))
  output = dataclasses.replace(
    output, scaling=scaling, model=model, params=people.drawn(model), about={"source_data": "a\x1bb"}
  )
  checkpoint.save(tmp_path / "net", output)
  loaded = checkpoint.load(tmp_path / "net")
  assert loaded.about == {"source_data": "a\\x1bb"}  # text of the user's own, such as a path
  assert loaded.scaling.scalars == (("age", 50.0, 12.0), ("hr_bpm", 70.0, 9.0))


@pytest.mark.parametrize(
  ("wave", "age", "message"),
  [
    (np.zeros((2, 500)), 40.0, "the SD of the training windows is 0, must be from 0.0001"),
    (np.full((2, 500), 1e30), 40.0, r"the mean of the training windows is 1e\+30"),
    (np.eye(2, 500), 1.7e12, r"covariate 'age': its mean is 1.7e\+12, must be from -1e\+10 to 1e\+10; divide it"),
  ],
)
def test_a_scaling_that_no_checkpoint_may_have_is_refused_before_a_training(wave, age, message):
  windows = batches.Pairs(wave, wave, np.array(["a", "b"]), {"age": np.array([age, age])})
  with pytest.raises(InputError, match=message):
    scalings.fit(windows, ["age"])


_FILES = (
  checkpoint.HEADER,
  "params",
  "params/_METADATA",
  "params/manifest.ocdbt",
  "params/ocdbt.process_0",
  "params/ocdbt.process_0/d",
)


@pytest.mark.parametrize("replace", [link, pipe])
@pytest.mark.parametrize("name", _FILES)
def test_what_is_no_file_of_a_checkpoint_is_refused_by_name(folder, tmp_path, name, replace):
  replace(folder / name, tmp_path / "kept")
  with pytest.raises(checksummed.DamagedError, match=f"{name}: (is a link|is neither a file nor a folder)"):
    checkpoint.load(folder)


@pytest.mark.parametrize("name", _FILES[1:])
def test_what_is_missing_is_named(folder, name):
  shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
  with pytest.raises(checksummed.DamagedError, match=f"{name}.*: the file is missing; copy the checkpoint again"):
    checkpoint.load(folder)


@pytest.mark.parametrize("inner", [".", "params", "params/ocdbt.process_0/d", "params/more"])
@pytest.mark.parametrize("name", ["notes.txt", ".DS_Store", "more", "a\x1bb"])
def test_what_is_additional_is_named_and_its_removal_suffices(folder, inner, name):
  (folder / inner).mkdir(exist_ok=True)  # an empty folder does not matter
  checkpoint.load(folder)
  added = folder / inner / name
  added.write_text("")
  with pytest.raises(checksummed.DamagedError, match=r"is unexpected.*; move it elsewhere") as refused:
    checkpoint.load(folder)
  assert str((folder / inner).resolve()) in str(refused.value)
  assert "\x1b" not in str(refused.value)
  added.unlink()
  checkpoint.load(folder)


def test_own_files_a_card_and_a_link_to_the_folder_are_accepted(folder, tmp_path):
  for name in (".cap_jax.lock", ".cap_jax_files", "README.md"):
    (folder / name).write_text("")
  (tmp_path / "link").symlink_to(folder)
  assert checkpoint.load(tmp_path / "link").site == "radial"


@pytest.mark.parametrize("name", ["params/more", "params/manifest.ocdbt", checkpoint.HEADER])
def test_a_file_of_gigabytes_is_refused_unread(folder, name):
  (folder / name).touch()
  os.truncate(folder / name, 3 << 30)  # sparse: it takes no room
  message = {"params/more": "is unexpected", checkpoint.HEADER: "too large for a header"}
  start_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  with pytest.raises(checksummed.DamagedError, match=message.get(name, "has 3221225472 bytes, but all files together")):
    checkpoint.load(folder)
  assert time.monotonic() - start_s < 2
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_parameters_that_no_file_holds_are_refused(folder):
  """What is not stored is read as zeros."""
  signed_checkpoint.change(folder, ("model", "channels"), 1 << 14)
  with pytest.raises(
    checksummed.DamagedError, match=r"params: has 7\d{5} bytes, too few for the \d{11} bytes of param"
  ):
    checkpoint.load(folder)


def test_a_file_is_hashed_in_blocks(folder):
  """Those of a training state have no size that its header implies."""
  content = checksummed.read_header(folder, (6,), "")
  os.truncate(folder / "params" / "manifest.ocdbt", 200 << 20)
  tracemalloc.start()
  try:
    with pytest.raises(checksummed.DamagedError, match=r"manifest\.ocdbt: the file is damaged"):
      checksummed.check_files(folder, content, "")
    assert tracemalloc.get_traced_memory()[1] < 20e6
  finally:
    tracemalloc.stop()


def test_a_parameter_in_chunks_larger_than_itself_is_refused(folder):
  """One of 4 GB of zeros takes 130 kB."""
  base = {"driver": "file", "path": str(folder / "params")}
  database = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
  key = "f.embed.matrix.bias/.zarray"
  metadata = json.loads(database.read(key).result().value)
  assert metadata["chunks"] == metadata["shape"] == [72]
  database.write(key, json.dumps({**metadata, "chunks": [10**9]}).encode()).result()
  signed_checkpoint.sign(folder, arrays=True)
  message = (
    r"parameter f/embed/matrix/bias of shape \(72,\) is stored in chunks of \(1000000000,\); copy the checkpoint"
  )
  with pytest.raises(InputError, match=message):
    checkpoint.load(folder)


def test_headers_of_all_formats_have_the_fields_of_the_dataclasses():
  """A new field of a config needs a range."""
  for kinds, fields in (
    (checkpoint_schema.MODEL, config.Model),
    (checkpoint_schema.WINDOWS, config.Windows),
    (checkpoint_schema.CALIBRATION, config.Calibration),
  ):
    assert set(kinds.kinds) == {field.name for field in dataclasses.fields(fields)}
