"""nginx and Caddy with the configurations in `ops/`, on free ports and with our own certificate."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers import free_port
from tests.tls import Authority, write_certificate

OPS = Path(__file__).resolve().parents[1] / "ops"
SNIPPETS = "/etc/nginx/snippets/"


class Proxy(NamedTuple):
    """Its ports, and what trusts its certificate."""

    https: int
    http: int
    trust: ssl.SSLContext


def installed(name: str) -> str | None:
    """The program of a proxy, which Debian keeps where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running(kind: str, folder: Path, upstream: int, ports: tuple[int, int]) -> Iterator[Proxy]:
    """One of `nginx`, `nginx-sub-path`, `caddy` and `caddy-sub-path`, in front of this port."""
    https, http = ports
    authority = Authority("Proxies")
    write_certificate(authority, "localhost", folder)
    trust = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    program, _, where = kind.partition("-")
    made = _nginx if program == "nginx" else _caddy
    arguments = made(folder, where, upstream, ports)
    path = installed(program)
    assert path is not None
    process = subprocess.Popen([path, *arguments], cwd=folder, env={"HOME": str(folder)})
    try:
        _await(https, process)
        yield Proxy(https, http, trust)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            # It waits for clients that have not read their answers.
            process.kill()
            process.wait()


def ports() -> tuple[int, int]:
    """Two free ones."""
    return free_port(), free_port()


def _replaced(text: str, replacements: dict[str, str]) -> str:
    """Every expression must be in the file, so that the test runs what is in the repository."""
    for expression, value in replacements.items():
        text, count = re.subn(expression, value, text)
        assert count, expression
    return text


def _nginx(folder: Path, where: str, upstream: int, ports: tuple[int, int]) -> list[str]:
    https, http = ports
    certificate = folder / "server.pem"
    own = {
        r"listen \[::\].*": "",
        r"listen 80;": f"listen 127.0.0.1:{http};",
        r"listen 443": f"listen 127.0.0.1:{https}",
        r"ssl_certificate .*": f"ssl_certificate {certificate};",
        r"ssl_certificate_key .*": f"ssl_certificate_key {certificate};",
        r"127\.0\.0\.1:8000": f"127.0.0.1:{upstream}",
        r"tasks\.example\.com": "localhost",
    }
    text = _replaced((OPS / "nginx" / "taskloom.conf").read_text(), own)
    if where:
        # The locations of the other file in place of ours.
        locations = (OPS / "nginx" / "taskloom-sub-path.conf").read_text()
        begin = text.index("    location / {")
        text = f"{text[:begin]}{locations}}}\n"
    text = _replaced(text, {re.escape(SNIPPETS): f"{OPS / 'nginx'}/"})
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{text}\n}}\n"
    )
    return ["-p", str(folder), "-e", "stderr", "-c", str(main)]


def _caddy(folder: Path, where: str, upstream: int, ports: tuple[int, int]) -> list[str]:
    https, _ = ports
    certificate = folder / "server.pem"
    own = (OPS / "caddy" / "Caddyfile").read_text()
    site = f"https://localhost:{https} {{\n\ttls {certificate} {certificate}\n"
    if where:
        snippet = own[own.index("(taskloom)") : own.index("tasks.example.com {")]
        other = (OPS / "caddy" / "Caddyfile.sub-path").read_text()
        text = snippet + _replaced(other, {r"(?m)^example\.com \{": site})
    else:
        text = _replaced(own, {r"(?m)^tasks\.example\.com \{": site})
    text = _replaced(text, {r"127\.0\.0\.1:8000": f"127.0.0.1:{upstream}"})
    main = folder / "Caddyfile"
    main.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    return ["run", "--config", str(main), "--adapter", "caddyfile"]


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the proxy ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the proxy does not listen")
