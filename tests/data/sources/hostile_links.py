"""Files that lead a reader to a pipe, a device, or another file: `*_pipe*` would wait for ever."""

import functools
import os

import h5py
import numpy as np

from tests.data.sources import hostile_cases

CASES = {}
case = functools.partial(hostile_cases.case, cases=CASES)
ABP_RAW = {"ABP_Raw": "arterial"}


def pipe(folder, name="pipe"):
  os.mkfifo(folder / name)
  return name


def _wins(folder, add, name="a.mat"):
  pipe(folder)
  with h5py.File(folder / name, "w", libver="latest") as file:
    add(file)
  return folder / name


@case("pulsedb", ABP_RAW)
def a_struct_in_a_pipe(folder):
  return _wins(folder, lambda file: file.__setitem__("Subj_Wins", h5py.ExternalLink("pipe", "/x")))


@case("pulsedb", ABP_RAW)
def a_field_in_a_pipe(folder):
  return _wins(
    folder, lambda file: file.create_group("Subj_Wins").__setitem__("ABP_Raw", h5py.ExternalLink("pipe", "/"))
  )


@case("pulsedb", ABP_RAW)
def a_link_that_leads_through_a_pipe(folder):
  def add(file):
    file["there"] = h5py.ExternalLink("pipe", "/")
    file["further"] = h5py.SoftLink("/there/x")
    file["Subj_Wins"] = h5py.SoftLink("further/wins")

  return _wins(folder, add)


@case("pulsedb", ABP_RAW)
def a_link_that_leads_to_itself(folder):
  return _wins(folder, lambda file: file.__setitem__("Subj_Wins", h5py.SoftLink("/Subj_Wins")))


@case("pulsedb", {"there/ABP": "arterial"})
def a_channel_that_leads_through_a_pipe(folder):
  return _wins(folder, lambda file: file.create_group("Subj_Wins").__setitem__("there", h5py.ExternalLink("pipe", "/")))


@case("pulsedb", ABP_RAW)
def a_virtual_data_set_of_a_pipe(folder):
  """Without an end: its shape depends on that of its source."""

  def add(file):
    layout = h5py.VirtualLayout((4,), "f8", maxshape=(None,))
    source = h5py.VirtualSource("pipe", "x", (4,), maxshape=(None,))
    layout[0 : h5py.h5s.UNLIMITED] = source[0 : h5py.h5s.UNLIMITED]
    file.create_group("Subj_Wins").create_virtual_dataset("ABP_Raw", layout)

  return _wins(folder, add)


@case("pulsedb", ABP_RAW)
def samples_stored_in_a_pipe(folder):
  place = str(folder / "pipe")
  return _wins(
    folder, lambda file: file.create_dataset("Subj_Wins/ABP_Raw", (1, 1250), "f8", external=[(place, 0, 10_000)])
  )


@case("uci")
def words_that_lead_to_a_pipe(folder):
  """A word instead of a reference is a path for the library."""

  def add(file):
    file["there"] = h5py.ExternalLink("pipe", "/")
    file.create_dataset("Part_1", data=np.array([["there/x"]], dtype=object), dtype=h5py.string_dtype())

  return _wins(folder, add)


@case("uci")
def a_first_member_in_a_pipe(folder):
  return _wins(folder, lambda file: file.__setitem__("Part_1", h5py.ExternalLink("pipe", "/x")))


@case("uci")
def references_to_a_virtual_data_set_of_a_pipe(folder):
  def add(file):
    layout = h5py.VirtualLayout((4,), "f8", maxshape=(None,))
    source = h5py.VirtualSource("pipe", "x", (4,), maxshape=(None,))
    layout[0 : h5py.h5s.UNLIMITED] = source[0 : h5py.h5s.UNLIMITED]
    data = file.create_group("#refs#").create_virtual_dataset("a", layout)
    file.create_dataset("Part_1", data=np.array([[data.ref]], dtype=h5py.ref_dtype))

  return _wins(folder, add)


@case("wfdb")  # without channels, which are listed first
def a_segment_whose_header_is_a_pipe(folder):
  (folder / "r.hea").write_text("r/1 1 125 10\na 10\n")
  pipe(folder, "a.hea")
  return folder / "r.hea"


@case("wfdb", {"ABP": "radial"})
def a_record_named_without_the_end_of_its_pipe(folder):
  pipe(folder, "r.hea")
  return folder / "r"


@case("wfdb", {"ABP": "radial"})
def a_pipe_that_tells_the_length(folder):
  (folder / "r.hea").write_text("r 2 125\nq.dat 16 200/mmHg 12 II\nr.dat 16 200/mmHg 12 ABP\n")
  (folder / "r.dat").write_bytes(bytes(200))
  pipe(folder, "q.dat")
  return folder


@case("vitaldb", {"SNUADC/ART": "radial"})
def a_track_in_a_pipe_beside_a_packed_one(folder):
  (folder / "trks.csv").write_text("caseid,tname,tid\n1,SNUADC/ART,abc\n")
  (folder / "abc.csv.gz").write_bytes(b"")
  pipe(folder, "abc.csv")
  return folder


@case("vitaldb", {"SNUADC/ART": "radial"})
def another_format_than_its_name_is_asked_for(folder):
  """The package would read its segments, wherever they are."""
  (folder / "r.hea").write_text("r/1 1 125 10\n" + "a" * 9 + " 10\n")
  return folder / "r.hea"


@case("wfdb", {"ABP": "radial"})
def a_folder_that_is_an_address(folder):
  """The library would open what stands before the colons."""
  place = folder / "a::b"
  place.mkdir()
  (place / "r.hea").write_text("r 1 125 100\nr.dat 16 200/mmHg 12 ABP\n")
  (place / "r.dat").write_bytes(bytes(200))
  return place


@case("weights")
def weights_in_a_pipe(folder):
  pipe(folder, "a.pt")
  return folder / "a.pt"


@case("weights")
def safetensors_in_a_pipe(folder):
  pipe(folder, "a.safetensors")
  return folder / "a.safetensors"


@case("weights")
def weights_in_a_device(folder):
  (folder / "a.pt").symlink_to("/dev/zero")
  return folder / "a.pt"


def _pipe_as_the_data(name):
  def write(folder):
    return folder / pipe(folder, "a.mat")

  write.__name__ = f"a_pipe_for_{name}"
  return write


for name in ("npz", "parquet", "vitaldb", "pulsedb", "uci", "aurora_bp", "mcl", "pwdb"):
  case(name)(_pipe_as_the_data(name))
