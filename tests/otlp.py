"""A receiver of OTLP over HTTP, in a process of its own: `python -m tests.otlp FOLDER`.

It decodes what arrives with the official definitions (opentelemetry-proto), and keeps the bytes in
the folder, a file for each request. It prints its port.
"""

from __future__ import annotations

import contextlib
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as it is
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Received:
    """A span. `parent` is empty for a root; `kind` as the definitions name it."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    failed: bool
    seconds: float
    links: list[str]
    attributes: dict[str, Any] = field(repr=False)
    # The process that it is of: web or worker.
    part: str = ""


@dataclass(frozen=True, slots=True)
class Collector:
    """What has arrived at a receiver."""

    address: str
    folder: Path

    def bytes(self) -> bytes:
        """Everything, as it was sent."""
        return b"\n".join(path.read_bytes() for path in sorted(self.folder.glob("*.bin")))

    def spans(self) -> list[Received]:
        """All spans, in the order of their starts."""
        found = []
        for path in sorted(self.folder.glob("*traces.bin")):
            request = ExportTraceServiceRequest.FromString(path.read_bytes())
            for resource in request.resource_spans:
                part = _values(resource.resource.attributes)
                assert part["service.name"] == "taskloom"
                for scope in resource.scope_spans:
                    found += [(one, part["taskloom.part"]) for one in scope.spans]
        found.sort(key=lambda pair: pair[0].start_time_unix_nano)
        return [
            Received(
                one.name,
                one.trace_id.hex(),
                one.span_id.hex(),
                one.parent_span_id.hex(),
                one.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_"),
                one.status.code == one.status.STATUS_CODE_ERROR,
                (one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
                [link.trace_id.hex() for link in one.links],
                _values(one.attributes),
                part,
            )
            for one, part in found
        ]

    def metrics(self) -> dict[tuple[str, str], Any]:
        """The last state of each metric, by the process and the name."""
        found: dict[tuple[str, str], Any] = {}
        for path in sorted(self.folder.glob("*metrics.bin")):
            request = ExportMetricsServiceRequest.FromString(path.read_bytes())
            for resource in request.resource_metrics:
                part = _values(resource.resource.attributes)["taskloom.part"]
                for scope in resource.scope_metrics:
                    found |= {(part, metric.name): metric for metric in scope.metrics}
        return found

    def await_(self, enough: Callable[[Collector], bool], seconds: float = 30) -> None:
        """Wait until enough has arrived."""
        ends = time.monotonic() + seconds
        while not enough(self):
            assert time.monotonic() < ends, sorted(one.name for one in self.spans())
            time.sleep(0.1)


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextlib.contextmanager
def collecting(*, hanging: bool = False) -> Iterator[Collector]:
    """A receiver. `hanging`: it accepts requests and never answers."""
    with tempfile.TemporaryDirectory(prefix="taskloom-otlp-") as folder:
        command = [sys.executable, "-m", "tests.otlp", folder, *(["hang"] if hanging else [])]
        root = Path(__file__).resolve().parents[1]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            port = int(running.stdout.readline())
            yield Collector(f"http://127.0.0.1:{port}", Path(folder))
            running.kill()


def main(folder: Path, *, hanging: bool) -> None:
    """Receive until killed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            if hanging:
                time.sleep(3_600)
            try:
                _KINDS[self.path].FromString(body)
            except (KeyError, DecodeError):
                self.send_error(400)
                return
            name = f"{next(_NUMBERS):06}-{self.path.rpartition('/')[2]}"
            part = folder / f"{name}.part"
            part.write_bytes(body)
            part.rename(folder / f"{name}.bin")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), hanging="hang" in sys.argv[2:])
