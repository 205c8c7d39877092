"""Files in a GraphQL request, by the GraphQL multipart request specification.

The form's first field, `operations`, is the request with null in place of files; the second, `map`,
says which file goes where; then the files follow. They are read in this order as they arrive:
errors in the first two are found before any file is accepted.

A page of another site can send a form without asking the browser first. So a header that no form
can send is required, and the user must be signed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.types import Receive, Scope

from files.upload import Upload
from graph.request.preparation import GraphQLRequest
from settings import Settings
from web.requests import BadRequest, Disconnected, header, parse_json, request_from_object

MOST_FILES: Final = 5
PREFLIGHT_HEADERS: Final = (
    "Apollo-Require-Preflight",
    "X-Apollo-Operation-Name",
    "X-Taskloom-Preflight",
)
_MAP_BYTES: Final = 20_000
_MAP_LEVELS: Final = 3
# What surrounds a part: boundary, headers.
_AROUND: Final = 20_000


def is_multipart(content_type: str | None) -> bool:
    """Whether a body of this type is a form with files."""
    return content_type is not None and content_type.lower().startswith("multipart/form-data")


def check_preflight(scope: Scope) -> None:
    """Raise `BadRequest` if a page of another site could have sent this."""
    if not any(header(scope, name.lower().encode()) for name in PREFLIGHT_HEADERS):
        raise BadRequest(
            "A multipart request must carry one of the headers "
            f"{', '.join(PREFLIGHT_HEADERS)} (any value), so that no form of another site can "
            "send it."
        )


async def read_multipart(
    scope: Scope, receive: Receive, settings: Settings, uploads: list[Upload]
) -> GraphQLRequest:
    """The request, with an `Upload` for each file in its variables. Raises `BadRequest`.

    Files are added to `uploads` as they begin; the caller closes them, whatever happened.
    """
    _, options = parse_options_header(header(scope, b"content-type"))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadRequest("The Content-Type of a multipart request must name its boundary.")
    limits, most = settings.limits, settings.storage.upload_bytes
    form = _Form(limits.body_bytes, limits.json_depth, most, uploads)
    reader = _Reader(boundary, form)
    whole = limits.body_bytes + _MAP_BYTES + MOST_FILES * (most + _AROUND)
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > whole:
            raise BadRequest(
                f"The body is longer than {whole:,} bytes.",
                status=413,
                headers={"Connection": "close"},
            )
        await reader.feed(chunk)
        if not message.get("more_body", False):
            break
    if not reader.ended:
        raise BadRequest("The form is incomplete.")
    return form.request()


class _Reader:
    """Turns the parser's callbacks, which cannot wait, into calls of a form that can."""

    def __init__(self, boundary: bytes, form: _Form) -> None:
        self._form = form
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        # What the last chunk contained: (what to call, with what).
        self._found: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._on_name,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_begin,
                    "on_part_data": self._on_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise BadRequest(f"The boundary of the form is not valid: {error}.") from None

    async def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadRequest(f"The body is not a valid form: {error}.") from None
        found, self._found = self._found, []
        for call, arguments in found:
            await call(*arguments)

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_begin(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename", b"").decode("utf-8", "replace")
        # As browsers write characters that would end the header.
        for code, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
            filename = filename.replace(code, character)
        self._found.append((self._form.begin, (name, filename)))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._found.append((self._form.data, (data[start:end],)))

    def _on_part_end(self) -> None:
        self._found.append((self._form.end, ()))

    def _on_end(self) -> None:
        self.ended = True


class _Form:
    """The parts of the form, in order."""

    def __init__(
        self, operations_bytes: int, depth: int, file_bytes: int, uploads: list[Upload]
    ) -> None:
        self._limits = {"operations": operations_bytes, "map": _MAP_BYTES}
        self._depth = depth
        self._file_bytes = file_bytes
        self._uploads = uploads
        self._operations: dict[str, Any] | None = None
        # For each file still to come: the places that it goes to.
        self._awaited: dict[str, list[_Place]] | None = None
        self._part = ""
        self._text = b""
        self._upload: Upload | None = None

    async def begin(self, name: str, filename: str) -> None:
        """Begin a part."""
        self._part, self._text, self._upload = name, b"", None
        if self._operations is None or self._awaited is None:
            wanted = "operations" if self._operations is None else "map"
            if name != wanted:
                raise BadRequest(
                    "The form's fields must be `operations`, then `map`, then the files; "
                    f"expected `{wanted}`, got {json.dumps(name[:50])}."
                )
            return
        places = self._awaited.pop(name, None)
        if places is None:
            raise BadRequest(f"`map` has no entry for the file {json.dumps(name[:50])}.")
        self._upload = Upload(filename, self._file_bytes)
        self._uploads.append(self._upload)
        for container, key in places:
            container[key] = self._upload

    async def data(self, chunk: bytes) -> None:
        """Some of the part's bytes."""
        if self._upload is not None:
            await self._upload.write(chunk)
            return
        self._text += chunk
        limit = self._limits[self._part]
        if len(self._text) > limit:
            raise BadRequest(f"`{self._part}` is longer than {limit:,} bytes.", status=413)

    async def end(self) -> None:
        """End the part."""
        if self._upload is not None:
            return
        if self._part == "operations":
            self._operations = _operations(self._text, self._depth)
        else:
            assert self._operations is not None
            self._awaited = _places(self._text, self._operations)

    def request(self) -> GraphQLRequest:
        """The complete request."""
        if self._operations is None or self._awaited is None:
            missing = "operations" if self._operations is None else "map"
            raise BadRequest(f"The form has no field `{missing}`.")
        if self._awaited:
            name = next(iter(self._awaited))
            raise BadRequest(f"`map` names the file {json.dumps(name[:50])}, which was not sent.")
        return request_from_object(self._operations)


# A list or an object of the variables, and the index or key in it.
_Place = tuple[Any, Any]


def _operations(text: bytes, depth: int) -> dict[str, Any]:
    value = parse_json(text, depth, "`operations`")
    # Parsed now, so that no files are sent for an invalid request.
    request_from_object(value)
    found: dict[str, Any] = value
    return found


def _places(text: bytes, operations: dict[str, Any]) -> dict[str, list[_Place]]:
    """Where each file of `map` goes."""
    value = parse_json(text, _MAP_LEVELS, "`map`")
    if not isinstance(value, dict) or not all(
        isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths)
        for paths in value.values()
    ):
        raise BadRequest(
            '`map` must be an object of lists of paths, such as {"0": ["variables.input.file"]}.'
        )
    if len(value) > MOST_FILES:
        raise BadRequest(f"At most {MOST_FILES} files in one request; `map` has {len(value)}.")
    paths = [path for several in value.values() for path in several]
    if len(set(paths)) != len(paths):
        raise BadRequest("`map` names one place twice.")
    return {name: [_place(operations, path) for path in several] for name, several in value.items()}


def _place(operations: dict[str, Any], path: str) -> _Place:
    wrong = BadRequest(
        f"`map` has the path {json.dumps(path[:100])}, which does not lead to a null in "
        "`variables`."
    )
    container: Any = None
    key: Any = None
    value: Any = operations
    steps = path.split(".")
    for step in steps:
        container, key = value, step
        if isinstance(container, list) and step.isascii() and step.isdigit() and len(step) < 7:
            key = int(step)
            present = key < len(container)
        else:
            present = isinstance(container, dict) and step in container
        if not present:
            raise wrong
        value = container[key]
    if steps[0] != "variables" or len(steps) < 2 or value is not None:
        raise wrong
    return container, key
