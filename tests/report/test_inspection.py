"""The summary of a data set."""

import dataclasses

from cap_jax import config
from cap_jax.data import conditioning
from cap_jax.report import inspection
from tests.data.test_remarks import record


def test_faults_of_records_of_one_name_are_added_up():
  """Each patient of a hospital has a record 1."""
  raw = record()
  flat = raw.signals["radial"].copy()
  flat[500:1000] = 95.0
  inspected = []
  for subject in ("A", "B"):
    one = dataclasses.replace(raw, subject=subject, record="1", signals={**raw.signals, "radial": flat})
    inspected.append(inspection.look(one, *conditioning.condition(one, config.Conditioning())))
  (radial,) = (row for row in inspection.rows(inspected) if row.signal == "radial")
  alone = inspected[0].report.faults["radial"]["flat line"]
  assert radial.faults["flat line"] == {"A 1": alone, "B 1": alone}
