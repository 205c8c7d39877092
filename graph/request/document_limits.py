"""The size of a document, measured before anything expensive reads it.

Parsing and validating are the expensive part of rejecting a hostile document: 1,500 repeated fields
keep graphql-core's overlap check busy for two seconds, a megabyte of tokens its parser for four. So
a document is measured from its tokens alone, which one regular expression finds in a few
microseconds a line, and the count stops at the first limit that is exceeded.

How tokens are read: an opening brace outside parentheses opens a selection set, since within an
executable document every other brace is inside arguments or default values. A name in a selection
set is a field unless it follows `@`, `...` or `on`; one followed by a colon is an alias. Fragments
are counted where they are defined and then multiplied out along their spreads, with each fragment
read once, so that a bomb of fragments costs no more than it has characters.

The measure need not be exact for documents that are not GraphQL at all: those fail in the parser,
which by then has little left to read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from errors import ErrorCode, Failure

_TOKEN: Final = re.compile(
    r"""
      (?P<ignored>[\ufeff\s,]+|\#[^\r\n]*)
    | (?P<name>[_A-Za-z][_0-9A-Za-z]*)
    | (?P<value>
          \"\"\"(?:[^"\\]|\\\"\"\"|\\|"(?!""))*+\"\"\"
        | "(?!"")(?:[^"\\\r\n]|\\.)*+"
        | ""(?!")
        | -?[0-9][0-9A-Za-z_.+-]*
      )
    | (?P<mark>\.\.\.|[!$&():=@\[\]{|}])
    | (?P<wrong>.)
    """,
    re.VERBOSE | re.DOTALL,
)

# Where counting ends: a bomb of fragments would reach numbers that JSON readers cannot hold.
_MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The limits of one document; see docs/limits.md. The standard introspection query is within
    all of them; its deepest leaf is on level 15.
    """

    levels: int = 15
    aliases: int = 30
    directives: int = 20
    fields: int = 500
    tokens: int = 2_000
    characters: int = 20_000
    # Checked once the document is parsed; see graph.request.overlapping_fields.
    pairs: int = 5_000


@dataclass(slots=True)
class _Definition:
    """The counts of one operation or fragment by itself, and the fragments that it spreads."""

    levels: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    # (fragment's name, level of the selection set that the spread is in)
    spreads: list[tuple[str, int]] = field(default_factory=list)


class TooLarge(Failure):
    """An operation exceeds a limit; `extensions` name the limit and give both numbers."""

    code = ErrorCode.OPERATION_TOO_COMPLEX

    def __init__(self, name: str, actual: int, maximum: int) -> None:
        super().__init__(
            f"The operation has {actual:,} {name}; at most {maximum:,} are allowed.",
            extra={"limit": name, "actual": actual, "maximum": maximum},
        )


def check_document(text: str, limits: DocumentLimits) -> None:
    """Raise `TooLarge` if the document exceeds a limit. Linear in the length of the text."""
    if len(text) > limits.characters:
        raise TooLarge("characters", len(text), limits.characters)
    measured = _Measure(limits)
    measured.read(text)
    for operation in measured.operations:
        measured.check(measured.expanded(operation, set()))


class _Measure:
    """One pass over the tokens, and the multiplying out of fragments after it."""

    def __init__(self, limits: DocumentLimits) -> None:
        self.limits = limits
        self.operations: list[_Definition] = []
        self.fragments: dict[str, _Definition] = {}
        self._sums: dict[str, _Definition] = {}
        self._current = _Definition()
        self._level = 0
        # The two tokens before the current one; enough to know what a name is.
        self._before = self._second = ""

    def read(self, text: str) -> None:
        tokens = parentheses = 0
        for match in _TOKEN.finditer(text):
            kind = match.lastgroup
            if kind == "ignored":
                continue
            if kind == "wrong":
                # The parser will stop here too.
                break
            tokens += 1
            if tokens > self.limits.tokens:
                raise TooLarge("tokens", tokens, self.limits.tokens)
            word = match.group()
            if word == "(":
                parentheses += 1
            elif word == ")":
                parentheses -= 1
            elif word == "@":
                self._current.directives += 1
            elif parentheses <= 0:
                if word in "{}":
                    self._brace(word)
                elif self._level == 0:
                    self._outside(word, kind)
                else:
                    self._inside(word, kind)
            self._second, self._before = self._before, word
        self._check_lexical(self._current)

    def _brace(self, word: str) -> None:
        if word == "{":
            if self._level == 0:
                self._begin()
            self._level += 1
            self._current.levels = max(self._current.levels, self._level)
            if self._level > self.limits.levels:
                raise TooLarge("levels", self._level, self.limits.levels)
        else:
            self._level = max(self._level - 1, 0)
            if self._level == 0:
                self._current = _Definition()

    def _outside(self, word: str, kind: str | None) -> None:
        # `fragment F on T @d {`: remembered here, since directives may follow the type.
        if self._before == "fragment" and kind == "name" and self._second not in {"...", "@"}:
            self._current = self.fragments.setdefault(word, _Definition())

    def _inside(self, word: str, kind: str | None) -> None:
        if word == ":":
            # What was counted as a field was the alias of the one that follows.
            self._current.aliases += 1
            self._current.fields -= 1
        elif kind == "name":
            if self._before == "...":
                if word != "on":
                    self._current.spreads.append((word, self._level))
            elif self._before != "@" and not (self._before == "on" and self._second == "..."):
                self._current.fields += 1

    def _begin(self) -> None:
        """The outermost selection set opens: of the fragment that was named, or an operation."""
        if all(self._current is not fragment for fragment in self.fragments.values()):
            self.operations.append(self._current)

    def _check_lexical(self, last: _Definition) -> None:
        """The document as it is, so that unused definitions are not free."""
        total = _Definition()
        for part in (*self.operations, *self.fragments.values()):
            total.aliases += part.aliases
            total.directives += part.directives
            total.fields += part.fields
        if all(last is not part for part in (*self.operations, *self.fragments.values())):
            total.directives += last.directives
        self.check(total)

    def expanded(self, part: _Definition, above: set[str]) -> _Definition:
        """The part with its fragments multiplied out. Spreads in a circle, or of fragments that do
        not exist, count for nothing: validation rejects them.
        """
        total = _Definition(part.levels, part.aliases, part.directives, part.fields)
        for name, level in part.spreads:
            fragment = self.fragments.get(name)
            if fragment is None or name in above:
                continue
            inner = self._sums.get(name)
            if inner is None:
                inner = self._sums[name] = self.expanded(fragment, above | {name})
            # A fragment's outermost set is the set that contains the spread.
            total.levels = max(total.levels, level + inner.levels - 1)
            total.aliases = min(total.aliases + inner.aliases, _MANY)
            total.directives = min(total.directives + inner.directives, _MANY)
            total.fields = min(total.fields + inner.fields, _MANY)
        return total

    def check(self, total: _Definition) -> None:
        limits = self.limits
        for name, actual, maximum in (
            ("levels", total.levels, limits.levels),
            ("aliases", total.aliases, limits.aliases),
            ("directives", total.directives, limits.directives),
            ("fields", total.fields, limits.fields),
        ):
            if actual > maximum:
                raise TooLarge(name, actual, maximum)
