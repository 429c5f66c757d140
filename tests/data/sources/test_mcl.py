"""The mock circulatory loop: its published folders, the compact form, and the excerpt of the package."""

import dataclasses
import pathlib
import zipfile

import numpy as np
import pytest

import cap_jax as cj
from cap_jax.data import datasets
from cap_jax.data.sources import DATASETS, mcl
from cap_jax.types import DataError, InputError
from tests.data.sources import write

pytestmark = pytest.mark.quick


def test_state_test_step_and_respiration_are_covariates(tmp_path):
  path, _, _ = write.mcl(tmp_path)
  result = DATASETS["mcl"](path)
  assert result.place == datasets.IN_VITRO
  assert {entry.subject: datasets.read(entry).covariates for entry in result.entries} == {
    "NV_step3_COresolution": {"state": 0, "test": 0, "step": 3},
    "CS_step1_SVVresolution_RR20": {"state": 1, "test": 2, "step": 1, "respiration_per_min": 20},
    "response": {"state": 2, "test": 1},
  }


def test_excerpt_has_two_states():
  result = DATASETS["mcl"](mcl.EXCERPT)
  assert len(result.entries) == 27
  states = [datasets.read(entry).covariates["state"] for entry in result.entries]
  assert (states.count(0), states.count(1)) == (13, 14)
  recording = datasets.read(result.entries[-1])
  assert recording.time_s.size == 24 * 250
  assert recording.units == {"aortic_root_flow": "ml/s", "aortic_root": "mmHg", "radial": "mmHg"}
  file = pathlib.Path(mcl.__file__).with_name("data") / "mcl_excerpt.npz"
  assert file.stat().st_size < 1e6


def test_packaged_excerpt_is_part_of_the_records(reference_data):
  whole = DATASETS["mcl"](reference_data / "fda_mcl" / "mcl_nv_cs_250hz_tenths.npz")
  assert len(whole.entries) == 91
  name = "CS_step9_SVVresolution_RR20"
  long, short = (
    datasets.read(next(entry for entry in one.entries if entry.subject == name)) for one in (whole, DATASETS["mcl"]())
  )
  for signal in mcl.SIGNALS:
    np.testing.assert_array_equal(long.signals[signal][: 24 * 250], short.signals[signal])


def test_rig_of_one_state_has_only_its_records():
  both, shock = cj.datasets.rig(), cj.datasets.rig("CS")
  assert repr(both) == "Cohort(27 records of mcl, in vitro)"
  assert {one.covariates["state"] for one in shock.recordings} == {1.0}
  windows = shock.windows(hop_s=4)
  assert set(windows.subjects) <= {one.subject for one in shock.recordings}
  # central and radial pressure differ by a few mmHg, as the loop was published
  assert 3 < np.sqrt(np.square(windows.x_bt - windows.y_bt).mean()) < 7
  with pytest.raises(InputError, match=r"state='HD': not in the excerpt; choose one of NV, CS"):
    cj.datasets.rig("HD")


def test_files_that_are_no_records_are_refused(tmp_path):
  with pytest.raises(DataError, match="the loop has no signal femoral; choose --channels from aortic_root_flow"):
    DATASETS["mcl"](mcl.EXCERPT, {"femoral": "femoral"})
  with pytest.raises(DataError, match=r"no \.csv or \.npz file .*--path=excerpt"):
    DATASETS["mcl"](tmp_path)
  (tmp_path / "index.csv").write_text("record,state\nNV_1,NV\n", encoding="ascii")
  (tmp_path / "NV_header.csv").write_text("t,flow,aortic,radial\n0,1,2,3\n", encoding="ascii")
  np.savez(tmp_path / "NV.npz", NV_step1=np.zeros((9, 3)))
  (tmp_path / "broken.npz").write_bytes(b"PK")
  with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
    archive.writestr("CS_step1", "no array")
  result = DATASETS["mcl"](tmp_path)
  broken = [error for error in result.lost if "broken.npz" in str(error)]
  assert len(broken) == 1  # the others are read all the same
  result = dataclasses.replace(result, lost=[error for error in result.lost if error not in broken])
  assert [str(error).split(": ", 1)[1] for error in result.lost] == [
    "names no state of the loop, in its name or its folder; keep the published names: NV_step1_… in normovolemic, "
    "CS_step1_… in cardiogenic_shock, HD_step1_… in hyperdynamic"
  ]
  assert len(result.entries) == 3
  for entry in result.entries:
    table = ".csv" in entry.where
    problem = "is not a table of four columns of numbers" if table else "is not an array .time, 3. of whole tenths"
    with pytest.raises(DataError, match=problem):
      datasets.read(entry)
