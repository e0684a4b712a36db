"""Request headers in several lines, and lists of ETags."""

import pytest
from chalicelib.headers import combined_header, header_lines, lists_etag, lists_strong_etag
from hypothesis import given
from hypothesis import strategies as st

OPAQUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'), max_size=8).filter(
    lambda text: not any(0x7F <= ord(character) < 0x80 for character in text)
)
ETAGS = OPAQUE.map(lambda text: f'"{text}"')


def test_lines_come_from_multi_value_headers() -> None:
    """`headers` has the last line only, and chalice's local gateway has nothing else."""
    event = {"headers": {"A": "2"}, "multiValueHeaders": {"A": ["1", " 2 "], "a": ["3"], "B": ["4"]}}
    assert header_lines(event, "a") == ["1", "2", "3"]
    assert combined_header(event, "a") == "1, 2, 3"
    assert combined_header(event, "c") == ""
    assert header_lines({"headers": {"A": "2"}}, "a") == ["2"]
    assert header_lines({"headers": {"A": "2"}, "multiValueHeaders": None}, "a") == ["2"]


@pytest.mark.parametrize(
    ("header", "weak", "strong"),
    [
        ('"a"', True, True),
        ('W/"a"', True, False),
        ('"b", "a"', True, True),
        ('"b",W/"a"', True, False),
        ('"b" , , "a"', True, True),
        ("*", True, True),
        ('"x", *', True, True),
        ("", False, False),
        ("a", False, False),
        ('"b"', False, False),
        ('"a,"', False, False),
        ('"x,*"', False, False),
        ('"*"', False, False),
        ('"a', False, False),
        ('"x * y"', False, False),
        ('"x*y', False, False),
        ('"b", x*', False, False),
        ('"b" *', False, False),
        ('"b",\t* ', True, True),
    ],
)
def test_list_of_etags(header: str, weak: bool, strong: bool) -> None:
    """A list may have weak tags, commas inside of tags, and empty members."""
    assert lists_etag(header, '"a"') is weak
    assert lists_strong_etag(header, '"a"') is strong


@given(tags=st.lists(st.tuples(st.sampled_from(["", "W/"]), ETAGS)), separator=st.sampled_from([",", ", ", " ,\t"]))
def test_every_tag_of_a_list_is_found(tags: list[tuple[str, str]], separator: str) -> None:
    """Whatever characters the tags have, each one is found and no other one."""
    header = separator.join(prefix + tag for prefix, tag in tags)
    for tag in [*(tag for _, tag in tags), '"other-than-all"']:
        assert lists_etag(header, tag) == any(tag == listed for _, listed in tags)
        assert lists_strong_etag(header, tag) == any(tag == listed and not prefix for prefix, listed in tags)
