"""The snippets of a page, as they stand in it.

A comment before a snippet says what the test has to know, and readers do not see it:

    <!-- run: as=davi save=TASK:taskCreate.task.id codes=CONFLICT -->

`save=NAME:path` keeps a value of the answer: NAME stands for it in later snippets of the page.
`as=USER` and `token=NAME` say who asks (Ada, if not said), `codes=A,B` which errors are expected,
`status=403` which HTTP status, `deliveries=1` after how many deliveries a subscription is left.
`skip`: the snippet is a part of a program and cannot run by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(
    r"(?:^<!-- run: (?P<options>[^>]*?) ?-->\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of a page, and the line it begins at."""

    page: str
    line: int
    language: str
    text: str
    options: dict[str, str]

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}"


def snippets(page: str, text: str) -> Iterator[Snippet]:
    """The blocks of a page, in order."""
    for found in _FENCE.finditer(text):
        options = {}
        for option in (found["options"] or "").split():
            name, _, value = option.partition("=")
            options[name] = value
        line = text.count("\n", 0, found.start("text"))
        yield Snippet(page, line, found["language"], found["text"], options)
