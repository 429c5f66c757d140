"""Texts of numbers: as Python and pandas write them."""

import io

import numpy as np
import pandas
import pytest

from cap_jax.report import number_text

pytestmark = pytest.mark.quick

CLOCKS = {
  "250 Hz": np.arange(4000) / 250,
  "128 Hz": np.arange(4000) / 128,
  "360 Hz in microseconds": np.round(np.arange(4000) / 360, 6),
  "300 Hz": np.arange(4000) / 300,
  "since 1970": 1.7e9 + np.arange(4000) / 250,
  "since 1970 in microseconds": np.round(1.7e9 + np.arange(4000) / 360, 6),
  "before 0": np.arange(-2000, 2000) / 125,
  "tiny": np.arange(4000) * 1e-5,
  "large": np.arange(4000) * 1e13,
  "rounding errors": np.cumsum(np.full(4000, 0.1)),
  "pauses": np.cumsum(np.where(np.arange(4000) % 1000 == 999, 3600.0, 0.004)).round(3),
  "whole seconds": np.arange(4000.0),
}


def joined(parts):
  return number_text.rows([parts]).decode().split("\n")[:-1]


@pytest.mark.parametrize("name", CLOCKS)
def test_a_clock_is_written_as_python_writes_it(name):
  assert joined(number_text.exact(CLOCKS[name])) == [repr(time) for time in CLOCKS[name].tolist()]


@pytest.mark.parametrize("level", [0.0, 90.0, -1.0, 1e6])
def test_rounded_numbers_are_written_as_by_pandas(level):
  rng = np.random.default_rng(0)
  value = level + rng.normal(0, rng.choice([1e-4, 1.0, 300.0], 3000))
  value[::7] = np.nan
  value[1] = -0.0001
  expected = [repr(one) if one == one else "" for one in value.round(3).tolist()]
  assert joined(number_text.rounded(value)) == expected
  assert joined(number_text.rounded(np.full(3, np.nan))) == [""] * 3


def test_rows_are_those_of_a_csv_file():
  time_s, rng = np.arange(3000) / 250, np.random.default_rng(0)
  wave = np.where(np.arange(3000) % 11 == 5, np.nan, rng.normal(90, 20, 3000))
  text = io.StringIO()
  pandas.DataFrame({"t": time_s, "p": wave.round(3), "q": (wave + 4).round(3)}).to_csv(text, index=False, header=False)
  columns = [number_text.exact(time_s), number_text.rounded(wave), number_text.rounded(wave + 4)]
  assert number_text.rows(columns).decode() == text.getvalue()
