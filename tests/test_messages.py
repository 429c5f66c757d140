"""Messages: at most 500 characters on one visible line, with place and remedy, whatever the files contain that they quote."""

import pickle
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from cap_jax import types
from cap_jax.types import DataError, InputError

pytestmark = pytest.mark.quick
HOSTILE = "\x1b[2J\r\n\t\x00\x07\x9b31m\u202e\u2066\u200f\u2028\udcff"
hostile = st.builds(
  lambda text, times: text * times,
  st.text(st.one_of(st.characters(), st.sampled_from(HOSTILE)), max_size=40),
  st.sampled_from([1, 1, 1, 20, 100, 5000]),
)
plain = st.text("abcdefghijklmnopqrstuvwxyz ./-_:;", min_size=1, max_size=60).map(str.strip).filter(bool)


def check(message):
  assert len(message) <= types.LONGEST_MESSAGE == 500
  assert not {unicodedata.category(one) for one in message.replace("\u200c", "").replace("\u200d", "")} & {
    "Cc", "Cf", "Cs", "Zl", "Zp"
  }  # fmt: skip
  message.encode("utf-8")


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(
  place=plain, of_place=hostile, problem=plain, of_problem=hostile, remedy=plain, of_remedy=hostile, subject=hostile
)
def test_errors_of_data_keep_place_and_remedy(place, of_place, problem, of_problem, remedy, of_remedy, subject):
  error = DataError(f"{place}{of_place}.csv", f"{problem} {of_problem} in all", f"{remedy} {of_remedy} again", subject)
  for message in (str(error), str(InputError(f"note: {error}"))):
    check(message)
  assert str(error).startswith(place[:20])
  assert str(error).endswith(" again")
  for part in (error.where, error.problem, error.remedy, error.subject):
    check(part)
  assert problem[:20] in str(error) or len(of_place) + len(of_remedy) > 100
  again = pickle.loads(pickle.dumps(error))
  assert (str(again), again.remedy) == (str(error), error.remedy)
  assert str(DataError(error.where, error.problem, error.remedy, error.subject)) == str(error)
  whole = DataError(f"{place}{of_place}", f"{problem}{of_problem}", remedy, subject)
  assert str(whole).endswith(f"; {remedy}")  # a remedy that quotes nothing is never shortened


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(place=plain, quoted=hostile, remedy=plain)
def test_errors_of_input_keep_their_beginning_and_their_remedy(place, quoted, remedy):
  message = str(InputError(f"{place}={quoted!r}: is wrong; {remedy}"))
  check(message)
  assert message.startswith(place)
  assert message.endswith(f": is wrong; {remedy}")
  message = str(InputError(f"{place}: column {quoted} is unknown; {remedy}"))
  check(message)
  assert message.startswith(place)
  assert message.endswith(f"; {remedy}")


def test_what_is_left_out_is_the_middle_of_what_is_quoted():
  text = str(DataError("folder/P01.csv", f"column {'x' * 100_000}END is not known", "rename the column", "P01"))
  assert 480 < len(text) <= 500
  assert text.startswith("folder/P01.csv: column xxx")
  assert text.endswith("xEND is not known; rename the column")
  assert text.count("x … x") == 1
  text = str(DataError(f"/{'deep/' * 900}P01.csv: data row 7", "cell '1:2' is not a number", "leave it empty"))
  assert text.endswith("/P01.csv: data row 7: cell '1:2' is not a number; leave it empty")
  long = "rename one of the columns " * 11
  assert str(DataError("a" * 400, "b" * 400, long.strip())).endswith(f"; {long.strip()}")


@pytest.mark.parametrize("text", ["Zürich, 37 °C, α − β × γ", "两个病人", "می‌خواهم", "P01  with two spaces", ""])
def test_text_of_any_language_stays_as_it_is(text):
  assert types.visible(text) == text
  assert str(InputError(text)) == text


@pytest.mark.parametrize(
  ("text", "shown"),
  [
    ("a\nb", "a b"),
    ("a\x1b[31mb", r"a\x1b[31mb"),
    ("a\u202eb", r"a\u202eb"),
    ("a\udcffb", r"a\udcffb"),
    ("a\x00b", r"a\x00b"),
  ],
)
def test_what_cannot_be_seen_is_written_as_an_escape(text, shown):
  assert str(InputError(text)) == types.visible(text) == shown


def test_a_long_list_of_names_is_shortened_and_says_how_many_there_are():
  assert types.suggest("c", ["aa", "bb"]) == "choose one of aa, bb"
  remedy = types.suggest("zz", [f"name-{k:04d}" for k in range(5000)])
  assert remedy.startswith("choose one of name-0000, name-0001, ")
  assert remedy.endswith(", … (5000 in all)")
  assert len(remedy) < 450
  assert types.suggest("y" * 100_000, ["x" * 100_000]) == f"choose one of {'x' * 18} … {'x' * 19}"


def test_a_place_shows_the_line_end_in_its_name():
  text = str(DataError("a\nb.csv", "two\nlines", "rename\nit", "a\nb"))
  assert text == r"a\nb.csv: two lines; rename it"
