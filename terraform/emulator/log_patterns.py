"""Filter patterns of CloudWatch Logs: JSON conditions, and words. This module refuses all other patterns.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import fnmatch
import json
import operator
import re
from collections.abc import Callable
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<mark>&&|\|\||!=|<=|>=|[=<>(){}])"
    r"|(?P<path>\$(?:\.[\w-]+)+)|(?P<word>[\w.*+-]+))"
)
WORD = re.compile(r'\s*([-?]?)("(?:[^"\\]|\\.)*"|\w+)(?=\s|$)')
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MISSING = object()

Matches = Callable[[str], bool]
Condition = Callable[[Any], bool]


class UnknownPattern(Exception):
    """Raised when a pattern is invalid, or has something that the emulated AWS does not know."""


def compile_pattern(pattern: str) -> Matches:
    """Return a function that tells whether a message matches. Raises UnknownPattern."""
    if pattern.strip().startswith("{"):
        condition = JsonPattern(pattern).parse()

        def matches(message: str) -> bool:
            document = parsed(message)
            return isinstance(document, dict) and condition(document)

        return matches
    return compile_words(pattern)


def compile_words(pattern: str) -> Matches:
    """Return a function that tells whether a message has the words of a pattern. Raises UnknownPattern."""
    words: dict[str, list[str]] = {"": [], "-": [], "?": []}
    position = 0
    while position < len(pattern.rstrip()):
        found = WORD.match(pattern, position)
        if found is None:
            raise UnknownPattern(f"the filter pattern {pattern!r} at {pattern[position:]!r}")
        words[found[1]].append(json.loads(found[2]) if found[2].startswith('"') else found[2])
        position = found.end()

    def matches(message: str) -> bool:
        return (
            all(word in message for word in words[""])
            and not any(word in message for word in words["-"])
            and (not words["?"] or any(word in message for word in words["?"]))
        )

    return matches


def parsed(message: str) -> Any:
    """Return the JSON document that a message is, or None."""
    try:
        return json.loads(message)
    except ValueError:
        return None


def value_at(document: Any, path: str) -> Any:
    """Return the value at a path like `$.a.b`, or MISSING."""
    for name in path.split(".")[1:]:
        if not isinstance(document, dict) or name not in document:
            return MISSING
        document = document[name]
    return document


class JsonPattern:
    """A pattern like `{ ($.a = 1 || $.b = "x*") && $.c NOT EXISTS }`. `&&` binds stronger than `||`."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._tokens, position = pattern, [], 0
        while position < len(pattern.rstrip()):
            found = TOKEN.match(pattern, position)
            if found is None:
                raise self._unknown()
            self._tokens.append((str(found.lastgroup), found[found.lastgroup or 0]))
            position = found.end()

    def parse(self) -> Condition:
        """Return a function that tells whether a document matches. Raises UnknownPattern."""
        self._take("{")
        condition = self._any()
        self._take("}")
        if self._tokens:
            raise self._unknown()
        return condition

    def _unknown(self) -> UnknownPattern:
        return UnknownPattern(f"the filter pattern {self._pattern!r}")

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise self._unknown()
        return self._tokens.pop(0)

    def _take(self, text: str) -> None:
        if self._next()[1] != text:
            raise self._unknown()

    def _is_next(self, text: str) -> bool:
        if self._tokens and self._tokens[0] == ("mark", text):
            self._tokens.pop(0)
            return True
        return False

    def _any(self) -> Condition:
        conditions = [self._all()]
        while self._is_next("||"):
            conditions.append(self._all())
        return lambda document: any(condition(document) for condition in conditions)

    def _all(self) -> Condition:
        conditions = [self._one()]
        while self._is_next("&&"):
            conditions.append(self._one())
        return lambda document: all(condition(document) for condition in conditions)

    def _one(self) -> Condition:
        if self._is_next("("):
            condition = self._any()
            self._take(")")
            return condition
        kind, path = self._next()
        if kind != "path":
            raise self._unknown()
        kind, comparison = self._next()
        if kind == "word":
            return self._state(path, comparison)
        kind, expected = self._next()
        if kind == "text" and comparison in ("=", "!="):
            return equals_text(path, json.loads(expected), comparison == "=")
        if kind == "word" and comparison in ("=", "!="):
            return equals_text(path, expected, comparison == "=")
        if kind == "word" and comparison in COMPARISONS:
            try:
                limit = float(expected)
            except ValueError as exc:
                raise self._unknown() from exc
            compare = COMPARISONS[comparison]
            return lambda document: is_number(value_at(document, path)) and compare(value_at(document, path), limit)
        raise self._unknown()

    def _state(self, path: str, word: str) -> Condition:
        words = f"{word} {self._next()[1]}"
        if words == "NOT EXISTS":
            return lambda document: value_at(document, path) is MISSING
        states = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False}
        if words not in states:
            raise self._unknown()
        return lambda document: value_at(document, path) is states[words]


def is_number(value: Any) -> bool:
    """Tell whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equals_text(path: str, expected: str, equal: bool) -> Condition:
    """Return a condition: the value at a path equals a text, in which * stands for any characters, or does not.

    A number in a document is compared as a number. A missing value is never equal.
    """
    glob = re.compile(fnmatch.translate(expected.replace("[", "[[]").replace("?", "[?]")))

    def matches(document: Any) -> bool:
        value = value_at(document, path)
        if value is MISSING or isinstance(value, dict | list):
            return not equal
        if is_number(value):
            try:
                return (value == float(expected)) == equal
            except ValueError:
                return not equal
        return (glob.match(value if isinstance(value, str) else json.dumps(value)) is not None) == equal

    return matches
