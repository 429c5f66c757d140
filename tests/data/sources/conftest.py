"""What the tests of sources share."""

import pytest

from cap_jax.data.sources import arrays


@pytest.fixture(autouse=True)
def patience(monkeypatch):
  """A machine that is busy with other tests takes its time to read a sound file."""
  monkeypatch.setattr(arrays, "_PATIENCE_S", 600)
