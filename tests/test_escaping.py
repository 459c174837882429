"""A user's text on a screen: lines stay lines, and what cannot be shown is escaped."""

import pytest

from jaxninja.escaping import printable, printable_lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_stay_lines_whatever_they_end_in(end):
    assert printable_lines(f"one{end}tw\x1bo{end}") == "one\ntw\\x1bo\n"


def test_one_line_stays_one_line():
    assert printable("a\r\nb\u2028c") == "a\\r\\nb\\u2028c"
