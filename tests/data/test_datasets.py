"""What readers raise on bad files is one error; mistakes of the package itself are not hidden in it."""

import pytest

from cap_jax.data import datasets
from cap_jax.data.sources import number_parsing
from cap_jax.types import DataError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("kind", [TypeError, AttributeError, NameError, ValueError, OSError, MemoryError])
def test_what_a_reader_raises_is_of_its_file(kind):
  def reader():  # of a library: this file is outside the package
    raise kind("no such block")

  said = r"a\.bin: cannot be read \(no such block\); fetch it again"
  with pytest.raises(DataError, match=said) as caught, datasets.reading("a.bin", "fetch it again"):
    reader()
  assert isinstance(caught.value.__cause__, kind)


def test_a_mistake_of_the_package_is_raised_as_it_is():
  with pytest.raises(TypeError), datasets.reading("a.csv", "fetch it again"):
    number_parsing.parse_cells(3)
