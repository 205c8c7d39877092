"""The values of external references: what a task is called in another system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from domain import rules
from errors import BadInput, check, refuse

MOST = 20
_SOURCE, _ID, _URL = 50, 200, 2_000


@dataclass(frozen=True, slots=True, order=True)
class ExternalReference:
    """A task's counterpart in another system."""

    source: str
    external_id: str
    url: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What is unique."""
        return self.source, self.external_id

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.source}:{self.external_id}", self.url) if part)


def checked(
    values: Sequence[ExternalReference] | None, path: rules.Path
) -> tuple[ExternalReference, ...]:
    """References in their order; null means none. Every invalid value is reported."""
    given = values or ()
    if len(given) > MOST:
        refuse(
            BadInput(
                f"externalReferences must have at most {MOST} items; it has {len(given):,}.",
                path=path,
                limit=MOST,
                actual=len(given),
            )
        )
        return ()
    found: dict[tuple[str, str], ExternalReference] = {}
    for index, one in enumerate(given):
        place = (*path, index)
        reference = ExternalReference(
            rules.text(one.source, (*place, "source"), least=1, most=_SOURCE),
            rules.text(one.external_id, (*place, "external_id"), least=1, most=_ID),
            _url(one.url, (*place, "url")),
        )
        # A value that was refused is empty; it is not the same as another one.
        if not all(reference.key):
            continue
        if reference.key in found:
            refuse(BadInput("This reference is given twice.", path=place))
        found[reference.key] = reference
    return tuple(sorted(found.values()))


@check()
def _url(value: str | None, path: rules.Path) -> str | None:
    clean = rules.optional_text(value, path, most=_URL)
    if clean is not None:
        try:
            parts = urlsplit(clean)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname or " " in clean:
            raise BadInput("url must be an absolute URL with the scheme http or https.", path=path)
    return clean
