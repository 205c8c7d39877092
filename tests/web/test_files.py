"""Files over real sockets: multipart requests as hostile clients write them, and downloads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import create_app
from settings import Settings
from tests import uploads
from tests.accounts import Person
from tests.factories import World, gid, missing
from tests.servers import serving
from tests.uploads import PREFLIGHT, UPLOAD, attach, local
from tests.web.http_calls import persist

MAP = '{"0": ["variables.input.file"]}'


@pytest.fixture(scope="module")
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a process on a real socket; the application of all tests is left alone."""
    app = create_app(settings)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def ada(world: World) -> Person:
    return await world.person()


@pytest.fixture(scope="module")
async def task(world: World, ada: Person) -> str:
    return gid(await world.task(ada))


def operations(task: str, **more: Any) -> str:
    return json.dumps(
        {"query": UPLOAD, "variables": {"input": {"taskId": task, "file": None}}} | more
    )


def headers(person: Person | None, **more: str) -> dict[str, str]:
    return ({} if person is None else {"Authorization": person.header}) | PREFLIGHT | more


async def form(
    http: httpx.AsyncClient, person: Person | None, *parts: tuple[str, Any]
) -> tuple[int, str]:
    """Send these parts in this order; status and the error's code."""
    response = await http.post("/graphql", files=list(parts), headers=headers(person))
    found = response.json()["errors"][0]["extensions"]["code"]
    return response.status_code, found


FILE = ("0", ("a.txt", b"words"))


async def test_a_form_of_another_site_is_refused(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    parts: list[tuple[str, Any]] = [
        ("operations", (None, operations(task))),
        ("map", (None, MAP)),
        FILE,
    ]
    bare = {"Authorization": ada.header}
    refused = await http.post("/graphql", files=parts, headers=bare)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    for name in ("Apollo-Require-Preflight", "X-Apollo-Operation-Name", "X-Taskloom-Preflight"):
        taken = await http.post("/graphql", files=parts, headers=bare | {name: "x"})
        assert taken.json()["data"]["attachmentUpload"]["errors"] == []


async def test_nobody_uploads_without_signing_in(http: httpx.AsyncClient, task: str) -> None:
    parts: list[tuple[str, Any]] = [
        ("operations", (None, operations(task))),
        ("map", (None, MAP)),
        FILE,
    ]
    assert await form(http, None, *parts) == (401, "UNAUTHENTICATED")


async def test_a_form_may_name_its_document_by_the_identifier(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    known = await persist(http, UPLOAD)
    variables = {"input": {"taskId": task, "file": None}}

    def parts(**request: Any) -> list[tuple[str, Any]]:
        return [("operations", (None, json.dumps(request))), ("map", (None, MAP)), FILE]

    sent = parts(documentId=known, variables=variables)
    response = await http.post("/graphql", files=sent, headers=headers(ada))
    assert response.json()["data"]["attachmentUpload"]["errors"] == []
    both = parts(documentId=known, query=UPLOAD, variables=variables)
    assert await form(http, ada, *both) == (400, "BAD_REQUEST")


async def test_a_form_may_say_what_errors_do(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    query = "query ($x: ID!) { nodes(ids: [$x]) { id } }"
    halted = json.dumps({"query": query, "onError": "HALT", "variables": {"x": "nothing"}})
    sent: list[tuple[str, Any]] = [("operations", (None, halted)), ("map", (None, "{}"))]
    response = await http.post("/graphql", files=sent, headers=headers(ada))
    assert response.json()["data"] is None
    wrong: list[tuple[str, Any]] = [
        ("operations", (None, operations(task, onError="ABORT"))),
        ("map", (None, MAP)),
        FILE,
    ]
    assert await form(http, ada, *wrong) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "map_",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '{"0": "variables.input.file"}',
        '{"0": []}',
        '{"0": [1]}',
        '{"0": {"a": "variables.input.file"}}',
        '{"0": ["variables"]}',
        '{"0": ["variables."]}',
        '{"0": [""]}',
        '{"0": ["query"]}',
        '{"0": ["operationName"]}',
        '{"0": ["variables.input"]}',
        '{"0": ["variables.input.taskId"]}',
        '{"0": ["variables.input.file.name"]}',
        '{"0": ["variables.input.other"]}',
        '{"0": ["variables.input.0"]}',
        '{"0": ["0.variables.input.file"]}',
        '{"0": ["variables.__class__.file"]}',
        '{"0": ["variables.input.file", "variables.input.file"]}',
        '{"0": ["variables.input.file"], "1": ["variables.input.file"]}',
        # A file that never comes, one that nobody asked for, and too many.
        '{"0": ["variables.input.file"], "1": ["variables.x"]}',
        '{"1": ["variables.input.file"]}',
        '{"0": ["variables.x"]' + "".join(f', "{n}": ["variables.x"]' for n in range(1, 7)) + "}",
        "[" * 200 + "]" * 200,
        " " * 20_001,
    ],
)
async def test_a_broken_map_is_a_bad_request(
    http: httpx.AsyncClient, ada: Person, task: str, map_: str
) -> None:
    parts: list[tuple[str, Any]] = [
        ("operations", (None, operations(task))),
        ("map", (None, map_)),
        FILE,
    ]
    status, code = await form(http, ada, *parts)
    assert (status, code) == (413 if len(map_) > 20_000 else 400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "text",
    ["", "{", "1", "null", "[]", '"{ viewer { id } }"', "{}", '{"query": 1}', "[" * 5_000],
)
async def test_operations_that_are_no_request(
    http: httpx.AsyncClient, ada: Person, text: str
) -> None:
    parts: list[tuple[str, Any]] = [("operations", (None, text)), ("map", (None, "{}"))]
    assert await form(http, ada, *parts) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "variables",
    ["", ', "variables": null', ', "variables": {}', ', "variables": {"input": null}'],
)
async def test_a_map_into_variables_that_are_not_there(
    http: httpx.AsyncClient, ada: Person, variables: str
) -> None:
    text = f'{{"query": "{{ viewer {{ id }} }}"{variables}}}'
    parts: list[tuple[str, Any]] = [("operations", (None, text)), ("map", (None, MAP)), FILE]
    assert await form(http, ada, *parts) == (400, "BAD_REQUEST")


async def test_a_batch_of_operations_is_refused(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    batch = f"[{operations(task)}]"
    parts: list[tuple[str, Any]] = [
        ("operations", (None, batch)),
        ("map", (None, '{"0": ["0.variables.input.file"]}')),
        FILE,
    ]
    assert await form(http, ada, *parts) == (400, "BAD_REQUEST")


async def test_parts_in_another_order_missing_or_repeated(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    first, second = ("operations", (None, operations(task))), ("map", (None, MAP))
    for parts in (
        (second, first, FILE),
        (FILE, first, second),
        (first, FILE, second),
        (first,),
        (first, second),
        (first, first, second, FILE),
        (first, second, FILE, FILE),
        (first, second, FILE, ("1", ("b.txt", b"more"))),
    ):
        assert await form(http, ada, *parts) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=" + "b" * 500, b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no form at all"),
        ("multipart/form-data; boundary=b", b"--b\r\n"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 50_000),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X" * 100_000),
    ],
)
async def test_bodies_that_are_no_form(
    http: httpx.AsyncClient, ada: Person, content_type: str, body: bytes
) -> None:
    sent = headers(ada, **{"Content-Type": content_type})
    response = await http.post("/graphql", content=body, headers=sent)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_body_larger_than_all_files_may_be_is_cut_off(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        start = (
            f'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n'
            f"{operations(task)}\r\n"
            f'--b\r\nContent-Disposition: form-data; name="map"\r\n\r\n{MAP}\r\n'
            '--b\r\nContent-Disposition: form-data; name="0"; filename="a.txt"\r\n\r\n'
        )
        yield start.encode()
        while sent < 400_000_000:
            sent += 1_000_000
            yield b"x" * 1_000_000

    request = headers(ada, **{"Content-Type": "multipart/form-data; boundary=b"})
    try:
        response = await http.post("/graphql", content=endless(), headers=request)
        assert response.status_code == 413
    except httpx.NetworkError:
        # Told and hung up on before it had sent everything.
        pass
    assert sent < 400_000_000


async def test_a_client_that_goes_away_leaves_nothing(
    http: httpx.AsyncClient, world: World, ada: Person
) -> None:
    task = gid(await world.task(ada))

    async def broken() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n'
        yield operations(task).encode()
        await asyncio.sleep(0.05)
        raise ConnectionResetError

    request = headers(ada, **{"Content-Type": "multipart/form-data; boundary=b"})
    with pytest.raises(ConnectionResetError):
        await http.post("/graphql", content=broken(), headers=request)
    count = "query ($id: ID!) { task(id: $id) { attachmentCount } }"
    assert (await world.run(count, ada, id=task)).good["task"]["attachmentCount"] == 0


async def test_several_files_in_one_request(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    query = """
    mutation ($a: AttachmentUploadInput!, $b: AttachmentUploadInput!) {
      a: attachmentUpload(input: $a) { attachment { filename } errors { code } }
      b: attachmentUpload(input: $b) { attachment { filename } errors { code } }
    }
    """
    variables = {name: {"taskId": task, "file": None} for name in ("a", "b")}
    files = {
        "variables.a.file": ("Zürich „1“.png", uploads.image()),
        "variables.b.file": ("b.pdf", uploads.image()),
    }
    reply = await uploads.send(http, ada, query, variables, files)
    assert reply.data["a"] == {"attachment": {"filename": "Zürich „1“.png"}, "errors": []}
    assert reply.data["b"] == {"attachment": None, "errors": [{"code": "FILE_TYPE_MISMATCH"}]}


async def test_five_files_in_one_request_and_no_more(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    statuses = []
    for count in (5, 6):
        names = "abcdef"[:count]
        inputs = ", ".join(f"${name}: AttachmentUploadInput!" for name in names)
        fields = " ".join(
            f"{name}: attachmentUpload(input: ${name}) {{ errors {{ code }} }}" for name in names
        )
        variables = {name: {"taskId": task, "file": None} for name in names}
        files = {f"variables.{name}.file": (f"{name}.png", uploads.image()) for name in names}
        reply = await uploads.send(
            http, ada, f"mutation ({inputs}) {{ {fields} }}", variables, files
        )
        statuses.append((reply.status, reply.codes))
    assert statuses == [(200, []), (400, ["BAD_REQUEST"])]


async def test_the_type_that_the_client_declares_counts_for_nothing(
    http: httpx.AsyncClient, ada: Person, task: str
) -> None:
    parts: list[tuple[str, Any]] = [
        ("operations", (None, operations(task))),
        ("map", (None, MAP)),
        ("0", ("a.png", uploads.image(), "text/html")),
    ]
    response = await http.post("/graphql", files=parts, headers=headers(ada))
    made = response.json()["data"]["attachmentUpload"]["attachment"]
    assert made["contentType"] == "image/png"
    fetched = await http.get(local(made["downloadUrl"]))
    assert fetched.headers["content-type"] == "image/png"


# Downloads


@pytest.fixture
async def made(http: httpx.AsyncClient, ada: Person, task: str) -> dict[str, Any]:
    reply = await attach(http, ada, task, 'Zürich "1".txt', bytes(range(97, 123)))
    found: dict[str, Any] = reply.good["attachmentUpload"]["attachment"]
    return found


async def test_headers_keep_a_download_a_download(
    http: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    response = await http.get(local(made["downloadUrl"]))
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"Z_rich _1_.txt\"; filename*=UTF-8''Z%C3%BCrich%20_1_.txt"
    )
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["content-length"] == "26"
    head = await http.head(local(made["downloadUrl"]))
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "26", b"")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-4", 206, b"abcde"),
        ("bytes=24-", 206, b"yz"),
        ("bytes=-3", 206, b"xyz"),
        ("bytes=20-999", 206, b"uvwxyz"),
        ("bytes=-999", 206, bytes(range(97, 123))),
        ("bytes=0-", 206, bytes(range(97, 123))),
        # Not understood: answered whole, as RFC 9110 has it.
        ("bytes=5-4", 200, bytes(range(97, 123))),
        ("bytes=0-1,3-4", 200, bytes(range(97, 123))),
        ("bytes=-", 200, bytes(range(97, 123))),
        ("lines=0-1", 200, bytes(range(97, 123))),
        ("bytes=\u0661-", 200, bytes(range(97, 123))),
        ("bytes=26-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
async def test_ranges(
    http: httpx.AsyncClient, made: dict[str, Any], asked: str, status: int, content: bytes | None
) -> None:
    sent = [(b"Range", asked.encode())]
    response = await http.get(local(made["downloadUrl"]), headers=sent)
    assert response.status_code == status
    if content is None:
        assert response.headers["content-range"] == "bytes */26"
    else:
        assert response.content == content
    if status == 206:
        first = bytes(range(97, 123)).index(content or b"")
        last = first + len(content or b"") - 1
        assert response.headers["content-range"] == f"bytes {first}-{last}/26"


async def test_caches_are_told_whether_it_changed(
    http: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    url = local(made["downloadUrl"])
    etag = (await http.get(url)).headers["etag"]
    assert etag == f'"{made["sha256"]}"'
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await http.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await http.get(url, headers={"If-None-Match": '"other"'})).status_code == 200
    part = {"Range": "bytes=0-1"}
    assert (await http.get(url, headers=part | {"If-Range": etag})).status_code == 206
    assert (await http.get(url, headers=part | {"If-Range": '"other"'})).status_code == 200


async def test_hidden_and_missing_answer_the_same(
    http: httpx.AsyncClient, world: World, made: dict[str, Any]
) -> None:
    stranger = await world.person()
    bodies = set()
    for path in (made["id"], missing(made["id"]), "nonsense", "task_" + "0" * 32):
        for end in ("", "/thumbnail"):
            response = await http.get(
                f"/files/{path}{end}", headers={"Authorization": stranger.header}
            )
            assert response.status_code == 404
            body = response.json()
            del body["extensions"]
            for error in body["errors"]:
                error["extensions"].pop("requestId", None)
            bodies.add(json.dumps(body))
    assert len(bodies) == 1


async def test_links_hold_for_what_they_were_made_for(
    http: httpx.AsyncClient, made: dict[str, Any]
) -> None:
    path, _, query = local(made["downloadUrl"]).partition("?")
    assert (await http.get(path)).status_code == 401
    assert (await http.get(f"{path}?expires=99999999999&signature=x")).status_code == 403
    assert (await http.get(f"{path}?signature=x")).status_code == 403
    assert (await http.get(f"{path}/thumbnail?{query}")).status_code == 403
    assert (await http.get(path, headers={"Authorization": "Bearer x"})).status_code == 401
    # A text has no thumbnail.
    assert made["thumbnailUrl"] is None


async def test_other_methods_are_refused(http: httpx.AsyncClient, made: dict[str, Any]) -> None:
    path = local(made["downloadUrl"])
    for method in ("POST", "PUT", "DELETE"):
        assert (await http.request(method, path)).status_code == 405


@pytest.mark.parametrize("who", ["user_" + "0" * 32, "nonsense", "task_" + "0" * 32])
async def test_nobody_has_no_picture(http: httpx.AsyncClient, who: str) -> None:
    assert (await http.get(f"/users/{who}/avatar.png")).status_code == 404


async def test_a_page_of_an_allowed_origin_may_upload_with_progress(
    http: httpx.AsyncClient,
) -> None:
    asked = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    response = await http.options("/files/uploads/upload_1", headers=asked)
    assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "PUT" in response.headers["access-control-allow-methods"]
