"""Blocks of plain numbers are read by our own parser, all else by pandas: together they are what pandas alone reads."""

import numpy as np
import pandas
import pytest

from cap_jax.data.sources import tables

HEADER = b"t\tpressure\toptical\n"
ROWS = 50_000  # more than a block


@pytest.fixture(scope="module")
def plain():
  rng = np.random.default_rng(0)
  pressure, optical = rng.integers(-9999, 9999, ROWS).tolist(), rng.normal(0, 1e5, ROWS).tolist()
  return "".join(f"{k / 500:.3f}\t{pressure[k]}\t{optical[k]:.2f}\n" for k in range(ROWS)).encode()


@pytest.mark.quick
@pytest.mark.parametrize(
  ("begin", "end", "options"),
  [
    (HEADER, b"", {}),
    (b"", b"", {"header": None}),
    (HEADER, b"1e3\t\t\n\n4\t5\t6\n", {}),
    (HEADER, b"9999999999999999\t2\t123456789.123456789012345\n", {}),
    (HEADER, b"-nan(ind)\t2\t3\n", {"na_values": "-nan(ind)"}),
    (HEADER, b"1\t2\n1\t2\t3\t\n3\t4\t", {}),
    (HEADER, b"\t\t\ninf\t1\t-inf\nnan\t2\t3", {}),
    (b"\n" + HEADER, b"", {}),
    (b'"t"\tpressure\toptical\n', b"", {}),
  ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_numbers_are_those_of_pandas(begin, end, options, line_end, plain, tmp_path):
  path = tmp_path / "a.tsv"
  path.write_bytes((begin + plain + end + plain * (not end or end.endswith(b"\n"))).replace(b"\n", line_end))
  expected = pandas.read_csv(path, sep="\t", usecols=[0, 2], index_col=False, **tables.PRECISION, **options)
  numbers = tables.numbers(path, [0, 2], tables.measure(path, "\t"), "\t", **options)
  np.testing.assert_array_equal(numbers, expected.to_numpy(dtype=float).T)


@pytest.mark.quick
def test_a_table_of_a_header_has_no_numbers(tmp_path):
  (tmp_path / "a.tsv").write_bytes(HEADER)
  assert tables.numbers(tmp_path / "a.tsv", [0, 2], tables.measure(tmp_path / "a.tsv", "\t"), "\t").shape == (2, 0)


@pytest.mark.quick
def test_a_word_among_numbers_is_an_error(plain, tmp_path):
  (tmp_path / "a.tsv").write_bytes(HEADER + plain + b"0\tx\t1\n")
  with pytest.raises(ValueError, match="could not convert string to float: 'x'"):
    tables.numbers(tmp_path / "a.tsv", [0, 1], tables.measure(tmp_path / "a.tsv", "\t"), "\t")
