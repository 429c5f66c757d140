"""What is written along a training can be read again."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from cap_jax.study import study_runner
from cap_jax.study.study_results import Key
from cap_jax.train import metrics_writer
from cap_jax.types import InputError


def events(folder):
  """(tag, step, value) of TensorBoard's files: records of a length, its checksum, the event, its checksum; a torn one ends a file."""
  result = []
  for path in folder.glob("events.out.tfevents.*"):
    content, at = path.read_bytes(), 0
    while at + 16 <= len(content):
      size = int.from_bytes(content[at : at + 8], "little")
      if at + 16 + size > len(content):
        break
      event = event_pb2.Event.FromString(content[at + 12 : at + 12 + size])
      result += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
      at += 16 + size
  return result


def lines(folder):
  return [json.loads(line) for line in (folder / metrics_writer.NAME).read_text().splitlines()]


@pytest.mark.quick
def test_both_kinds_hold_the_same(tmp_path):
  with metrics_writer.writing(str(tmp_path / "logs"), metrics_writer.KINDS) as writer:
    writer.write("scratch, n=2", 50, {"loss": 0.5, "rmse": 3.25})
    writer.write("scratch, n=2", 100, {"loss": 0.25})
    assert len(lines(tmp_path / "logs")) == 2  # while it runs
  result = lines(tmp_path / "logs")
  assert [(line["run"], line["step"], line["loss"]) for line in result] == [
    ("scratch, n=2", 50, 0.5),
    ("scratch, n=2", 100, 0.25),
  ]
  assert sorted(events(tmp_path / "logs")) == [
    ("scratch_n_2/loss", 50, 0.5),
    ("scratch_n_2/loss", 100, 0.25),
    ("scratch_n_2/rmse", 50, 3.25),
  ]


@pytest.mark.quick
def test_no_value_is_drawn_twice_and_none_is_lost_with_a_torn_record(tmp_path):
  folder = tmp_path / "logs"
  for steps in ((50, 100, 150), (100, 150, 200)):  # killed after 150, gone on from 50
    with metrics_writer.writing(str(folder), metrics_writer.KINDS) as writer:
      for step in steps:
        writer.write("scratch", step, {"loss": 1 / step})
  assert sorted(step for _, step, _ in events(folder)) == [50, 100, 150, 200]
  assert [line["step"] for line in lines(folder)] == [50, 100, 150, 200]
  last = max(folder.glob("events*"), key=lambda path: path.name)
  last.write_bytes(last.read_bytes()[:-5])  # of 200
  with metrics_writer.writing(str(folder), ("tensorboard",)) as writer:
    for step in (100, 150, 200):
      writer.write("scratch", step, {"loss": 1 / step})
  assert sorted(step for _, step, _ in events(folder)) == [50, 100, 150, 200]


@pytest.mark.quick
def test_of_no_kind_nothing_is_written(tmp_path):
  with metrics_writer.writing(str(tmp_path / "logs"), ()) as writer:
    assert writer is None
  assert list(tmp_path.iterdir()) == []


@pytest.mark.quick
def test_an_unknown_kind_is_refused():
  with pytest.raises(InputError, match="--metrics=csv: unknown; choose from jsonl, tensorboard"):
    metrics_writer.check(["csv"])


def test_a_cell_writes_its_training_as_it_goes(small_study, done_study, tmp_path):
  folder = shutil.copytree(done_study, tmp_path / "work")
  shutil.rmtree(folder / "cells")
  study = dataclasses.replace(small_study, steps=100)
  working = study_runner.StudyRunner(study, str(folder), metrics_writer.KINDS)
  cell = working.run(Key("device", 0, "scratch", 2, 0))
  logs = folder / "logs" / "device" / "fold_0" / "scratch" / "n2_seed0"
  result = lines(logs)
  assert result[-1]["step"] == 100
  observed = [line for line in result if "validation_rmse_mmhg" in line]
  assert [line["step"] for line in observed] == [one.steps for one in cell.validation]
  np.testing.assert_allclose(
    [line["validation_rmse_mmhg"] for line in observed], [s.rmse_mmhg for s in cell.validation]
  )
  assert len(events(logs)) > len(result)
