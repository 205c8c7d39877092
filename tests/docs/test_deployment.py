"""What `ops/`, `compose.yaml` and the workflow name exists, and fits together."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]
from starlette.routing import Route

from app import Application
from cli import main
from settings import Settings, load_settings, unknown_variables
from web.graphql import PATH
from web.multipart import MOST_FILES

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "ops"
KUBERNETES = OPS / "kubernetes"
UNITS = sorted((OPS / "systemd").glob("*.service"))
# Without what others keep there (dashboards and alerts).
FOLDERS = ("aws", "caddy", "kubernetes", "nginx", "render", "systemd")
FILES = [
    ROOT / "compose.yaml",
    ROOT / "Dockerfile",
    ROOT / ".github" / "workflows" / "ci.yaml",
    *sorted((ROOT / "docs" / "deployment").glob("*.md")),
    *sorted(path for name in FOLDERS for path in (OPS / name).iterdir()),
]
GRACE_SECONDS = 15


def objects() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every object of Kubernetes, with its file."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        for made in yaml.safe_load_all(path.read_text()):
            yield path, made


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [made for _, made in objects() if made["kind"] in kinds]


def pods() -> list[dict[str, Any]]:
    return [made["spec"]["template"] for made in of_kind("Deployment", "Job")]


def paths(app: Application) -> set[str]:
    routes = {route.path for route in app._api.router.routes if isinstance(route, Route)}
    return routes | {PATH}


def assert_command(words: list[str]) -> None:
    """It is one of `taskloom`'s, with its options."""
    assert words[0].endswith("taskloom")
    command: click.Command = main
    context = click.Context(main)
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, words
        command = found
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert {word for word in rest if word.startswith("-")} <= options, words


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_exists(path: Path) -> None:
    names = set(re.findall(r"\b(TASKLOOM_[A-Z0-9_]*[A-Z0-9])\b", path.read_text()))
    assert unknown_variables(dict.fromkeys(names, "")) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_of_the_server_exists(path: Path, app: Application) -> None:
    text = path.read_text()
    named = set(re.findall(r"(?<![\w.:/-])/(?:health|version|metrics|docs|graphql)[\w/-]*", text))
    named |= set(
        re.findall(r"://(?:[\w.]*example\.com|localhost:8000|127\.0\.0\.1:8000)(/[a-z/]+)", text)
    )
    # Of the proxies, and of their other sites.
    served = {name.removeprefix("/taskloom") for name in named} - {"/", "/taskloom/", ""}
    found = paths(app) | {"/metrics"}
    for name in served:
        page = re.sub(r"^/docs/[\w-]+$", "/docs/{name}", name)
        assert page in found, (path, name)


# systemd


def unit(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit(path: Path) -> None:
    found = unit(path)
    assert_command(shlex.split(found["ExecStart"][0]))
    assert found["User"] == ["taskloom"]
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    if found["Type"] == ["exec"]:
        assert int(found["TimeoutStopSec"][0].rstrip("s")) > GRACE_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_a_unit(path: Path, tmp_path: Path) -> None:
    # It wants the program, and the other units beside this one.
    for other in UNITS:
        text = other.read_text().replace("/opt/taskloom/.venv/bin/taskloom", "/bin/true")
        (tmp_path / other.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / path.name)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if "taskloom" in line]
    assert not ours


def test_the_environment_file_is_accepted_once_it_has_secrets() -> None:
    lines = (OPS / "systemd" / "taskloom.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name for name, value in given.items() if not value} == {
        "TASKLOOM_SECRET",
        "TASKLOOM_PASSWORD_PEPPER",
        "TASKLOOM_MAIL_USER",
        "TASKLOOM_MAIL_PASSWORD",
    }
    secrets = {"TASKLOOM_SECRET": "s" * 64, "TASKLOOM_PASSWORD_PEPPER": "p" * 64}
    made = load_settings({**given, **secrets}, env_file=None)
    assert made.server.production
    assert made.server.trusted_proxies == ("127.0.0.1",)


def test_the_pages_in_browsers_are_built_for_systemd() -> None:
    pages = re.search(r"^PAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pages is not None
    named = [page.rpartition("/")[2] for page in pages[1].split()]
    text = (ROOT / "docs" / "deployment" / "systemd.md").read_text()
    commands = re.findall(r"^ *make -C /opt/taskloom (.*)$", text, re.MULTILINE)
    # To install, and to upgrade.
    assert [command.split() for command in commands] == [named, named]


# Kubernetes


def settings_of_pods() -> Settings:
    (config,) = of_kind("ConfigMap")
    (secret,) = of_kind("Secret")
    dockerfile = (ROOT / "Dockerfile").read_text()
    image = dict(re.findall(r"^ *(?:ENV )?(TASKLOOM_\w+)=(\S+)", dockerfile, re.MULTILINE))
    image.pop("TASKLOOM_COMMIT", None)
    given = {**image, **config["data"], **secret["stringData"]}
    given |= {"TASKLOOM_SECRET": "s" * 64, "TASKLOOM_PASSWORD_PEPPER": "p" * 64}
    return load_settings(given, env_file=None)


def test_the_settings_of_pods_are_accepted() -> None:
    made = settings_of_pods()
    assert made.server.production
    assert made.server.host == "0.0.0.0"
    # A pod has one process; Kubernetes starts more pods.
    assert made.server.workers == 1


def test_the_kustomization_lists_every_file() -> None:
    listed = set(yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"])
    there = {path.name.replace(".example", "") for path in KUBERNETES.glob("*.yaml")}
    assert listed == there - {"kustomization.yaml"}
    assert "ops/kubernetes/secret.yaml" in (ROOT / ".gitignore").read_text()


def test_objects_find_one_another() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods()]

    def selects(selector: dict[str, str]) -> bool:
        return any(selector.items() <= found.items() for found in labels)

    for made in of_kind("Deployment"):
        own = made["spec"]["template"]["metadata"]["labels"]
        assert made["spec"]["selector"]["matchLabels"] == own
        (spread,) = made["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"] == own
    for made in of_kind("PodDisruptionBudget"):
        assert selects(made["spec"]["selector"]["matchLabels"])
    for made in of_kind("NetworkPolicy"):
        assert selects(made["spec"]["podSelector"].get("matchLabels", {}))
    (service,) = of_kind("Service")
    assert selects(service["spec"]["selector"])
    (ingress,) = of_kind("Ingress")
    (way,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert way["backend"]["service"]["name"] == service["metadata"]["name"]
    assert way["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    deployments = {made["metadata"]["name"] for made in of_kind("Deployment")}
    assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
    (config,), (secret,) = of_kind("ConfigMap"), of_kind("Secret")
    for pod in pods():
        (container,) = pod["spec"]["containers"]
        config_map, secrets = container["envFrom"]
        assert config_map["configMapRef"]["name"] == config["metadata"]["name"]
        assert secrets["secretRef"]["name"] == secret["metadata"]["name"]
    namespaces = {
        made["metadata"].get("namespace")
        for _, made in objects()
        if made["kind"] not in {"Namespace", "Kustomization"}
    }
    assert namespaces == {"taskloom"}


def test_pods_run_what_exists_without_rights(app: Application) -> None:
    uid = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert uid is not None
    for pod in pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsUser"] == int(uid[1])
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        # Or the Services of the namespace would become settings.
        assert spec["enableServiceLinks"] is False
        (container,) = spec["containers"]
        assert_command(container["command"])
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in paths(app)
                assert container[probe]["httpGet"]["port"] in ports
        stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        waits = 0 if stop is None else int(stop[1])
        assert spec["terminationGracePeriodSeconds"] > waits + GRACE_SECONDS


def test_the_connections_of_all_pods_fit_postgresql() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    web, worker = of_kind("Deployment")
    processes = (
        scaler["spec"]["maxReplicas"]
        + web["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        + worker["spec"]["replicas"]
        + worker["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    )
    # docs/database.md has the sum.
    assert processes * settings_of_pods().database.connections + 5 <= 100 - 3


def test_proxies_accept_what_the_server_accepts(settings: Settings) -> None:
    most = settings.limits.body_bytes + MOST_FILES * settings.storage.upload_bytes
    (ingress,) = of_kind("Ingress")
    limit = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(limit.removesuffix("m")) * 1024 * 1024 >= most
    for name in ("taskloom.conf", "taskloom-sub-path.conf"):
        found = re.search(r"client_max_body_size (\d+)m;", (OPS / "nginx" / name).read_text())
        assert found is not None
        assert int(found[1]) * 1024 * 1024 >= most
    found = re.search(r"max_size (\d+)MB", (OPS / "caddy" / "Caddyfile").read_text())
    assert found is not None
    assert int(found[1]) * 1_000_000 >= most


# Others


def test_render() -> None:
    made = yaml.safe_load((OPS / "render" / "render.yaml").read_text())
    names = {one["name"] for key in ("services", "databases", "envVarGroups") for one in made[key]}
    given: dict[str, set[str]] = {service["name"]: set() for service in made["services"]}
    for service in made["services"]:
        for command in ("dockerCommand", "preDeployCommand"):
            if command in service:
                assert_command(shlex.split(service[command]))
        assert service.get("maxShutdownDelaySeconds", 30) > GRACE_SECONDS
        for variable in service.get("envVars", ()):
            for source in ("fromService", "fromDatabase"):
                if source in variable:
                    assert variable[source]["name"] in names
                    key = variable[source].get("envVarKey")
                    assert key is None or key in given[variable[source]["name"]]
            if "fromGroup" in variable:
                assert variable["fromGroup"] in names
            given[service["name"]].add(variable.get("key"))


def test_aws() -> None:
    for path in sorted((OPS / "aws").glob("*.json")):
        made = json.loads(path.read_text())
        if "family" not in made:
            assert made["Version"] == "2012-10-17"
            continue
        (container,) = made["containerDefinitions"]
        assert_command(container["command"])
        assert GRACE_SECONDS < container["stopTimeout"] <= 120
        names = [one["name"] for one in (*container["environment"], *container["secrets"])]
        assert len(set(names)) == len(names)
    web = json.loads((OPS / "aws" / "web.json").read_text())["containerDefinitions"][0]
    script = ROOT / web["healthCheck"]["command"][2]
    assert script.is_file()


def test_the_workflow_runs_what_ci_runs() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text()
    made = yaml.safe_load(text)
    assert made["permissions"] == {"contents": "read"}
    runs = [step.get("run", "") for step in made["jobs"]["test"]["steps"]]
    assert "bash .ci/run" in runs
    # Actions are pinned to commits, with the version beside.
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
    oldest, newest = made["jobs"]["test"]["strategy"]["matrix"]["python"]
    bounds = re.search(r'requires-python = ">=([\d.]+)', (ROOT / "pyproject.toml").read_text())
    assert bounds is not None
    assert oldest == bounds[1]
    makefile = (ROOT / "Makefile").read_text()
    find = re.search(r"\(3, 11\) <= sys\.version_info < \(3, (\d+)\)", makefile)
    assert find is not None
    assert newest == f"3.{int(find[1]) - 1}"


def test_idle_connections_are_kept_for_longer_than_proxies_keep_them(settings: Settings) -> None:
    from web.serving import protocol_options

    kept = protocol_options(settings.limits)["timeout_keep_alive"]
    for file, setting in (
        ("nginx/taskloom.conf", r"keepalive_timeout (\d+)s;"),
        ("caddy/Caddyfile", r"keepalive (\d+)s"),
    ):
        found = re.search(setting, (OPS / file).read_text())
        assert found is not None
        assert int(found[1]) < kept
    # AWS closes connections that are idle for 60 seconds.
    assert kept > 60
