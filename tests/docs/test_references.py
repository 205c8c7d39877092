"""Every file, module and function that a document or a docstring names exists.

Read as text and syntax trees, so that nothing is imported. A reference is a path
(`graph/engine/run.py`), a file name (`oracle.py`) or a dotted name (`db.read.Reader`), in backticks
or, for paths, without. Names in Mermaid diagrams and links between documents count too.
"""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Folders that are built or installed, and so are not in a clone.
SKIPPED = {"node_modules", "dist", "__pycache__", "build"}
# Names that are ours and also common names of variables: `settings.server` is an attribute.
VARIABLES = {"settings", "app", "files", "texts"}

CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PATH = re.compile(r"(?<![\w/.:@-])((?:[\w.-]+/)+[\w.-]*)")
FILE = re.compile(r"[\w-]+\.(?:py|md|toml|graphql|txt|sh)")
DOTTED = re.compile(r"(?<![\w./-])[a-z_]+(?:\.\w+)+(?![\w/-])")
DOCUMENT = re.compile(r"(?<!/)\bdocs/[\w/-]+\.md\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@functools.cache
def sources() -> tuple[Path, ...]:
    """Every Python file of the repository."""
    folders = [
        path
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in SKIPPED
    ]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return (
        *ROOT.glob("*.py"),
        *(path for path in found if not SKIPPED & set(path.relative_to(ROOT).parts)),
    )


def documents() -> list[Path]:
    """Every document."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


@functools.cache
def file_names() -> frozenset[str]:
    """The name of every file that a document may call by its name alone."""
    return frozenset(
        path.name
        for path in (
            *(file for source in {path.parent for path in sources()} for file in source.iterdir()),
            *documents(),
        )
    )


@functools.cache
def roots() -> frozenset[str]:
    """The folders and modules at the root of the repository."""
    return frozenset(path.relative_to(ROOT).parts[0].removesuffix(".py") for path in sources())


@functools.cache
def names_in(module: Path) -> frozenset[str]:
    """What a module defines or imports, and the members of its classes with their class before."""
    names: set[str] = set()

    def add(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            for name in _defined(node):
                names.add(prefix + name)
            if isinstance(node, ast.ClassDef):
                add(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If | ast.Try):
                add(node.body, prefix)

    add(ast.parse(module.read_text()).body, "")
    return frozenset(names)


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)


def is_known(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        rest = ".".join(parts[length:])
        if not rest and place.is_dir():
            return True
        for module in (place.with_suffix(".py"), place / "__init__.py"):
            if module.is_file():
                # A class that is imported has its members elsewhere.
                return not rest or rest in names_in(module) or _is_imported(rest, module)
    return False


def _is_imported(rest: str, module: Path) -> bool:
    first = rest.partition(".")[0]
    return "." in rest and first in names_in(module) and f"class {first}" not in module.read_text()


def dangling(text: str) -> Iterator[str]:
    """The references in a text that lead nowhere; `text` is one piece of code or of prose."""
    for path in PATH.findall(text):
        top = path.partition("/")[0]
        if (top in roots() or top in {"docs", "clients", "explorer"}) and (ROOT / top).is_dir():
            cleaned = path.rstrip(".")
            built = SKIPPED & set(cleaned.split("/"))
            if not (built or (ROOT / cleaned).exists() or (ROOT / f"{cleaned}.py").exists()):
                yield path
    for name in DOTTED.findall(text):
        top = name.partition(".")[0]
        if FILE.fullmatch(name) or top not in roots() or top in VARIABLES:
            continue
        if not is_known(name):
            yield name


def in_code(text: str) -> Iterator[str]:
    """The dangling references in the backticks of a text."""
    for code in CODE.findall(text):
        yield from dangling(code)
        if FILE.fullmatch(code) and code not in file_names():
            yield code


def unknown_documents(prose: str) -> Iterator[str]:
    """The documents that a comment names and that do not exist."""
    yield from (name for name in re.findall(r"[\w-]+\.md\b", prose) if name not in file_names())


def comments_and_docstrings(text: str) -> Iterator[str]:
    """The prose of a Python file."""
    yield "\n".join(re.findall(r"^\s*#(.*)$", text, re.MULTILINE))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [*in_code(prose), *(name for part in MERMAID.findall(text) for name in dangling(part))]
    assert found == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(document.read_text()):
        # `tests/web/test_docs.py` follows those to pages that the server makes.
        if "://" in link or link.startswith("/docs/"):
            continue
        address, _, anchor = link.partition("#")
        target = document.parent / address if address else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def test_what_the_code_names_exists() -> None:
    found = {}
    for path in sources():
        text = path.read_text()
        missing = [
            name
            for prose in comments_and_docstrings(text)
            for name in (*in_code(prose), *dangling(prose), *unknown_documents(prose))
        ]
        # In messages and descriptions too.
        missing += [name for name in DOCUMENT.findall(text) if not (ROOT / name).is_file()]
        if missing:
            found[str(path.relative_to(ROOT))] = missing
    assert found == {}


@pytest.mark.parametrize(
    "name",
    [
        "pyproject.toml",
        "Makefile",
        "Dockerfile",
        "compose.yaml",
        ".ci/run",
        "explorer/vite.config.ts",
    ],
)
def test_what_the_comments_of_a_configuration_name_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    comments = "\n".join(re.findall(r"(?:#|//) (.*)$", text, re.MULTILINE))
    assert [*in_code(comments), *dangling(comments), *unknown_documents(comments)] == []


def test_the_architecture_names_every_package_and_layer() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = re.findall(r"^\| `(.*?)`", text, re.MULTILINE)
    named = {name.rstrip("/").removesuffix(".py") for name in tree}
    assert roots() - named == set()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(one for one in contracts["contracts"] if one["id"] == "layers")["layers"]
    listed = re.findall(r"^\d+\. (`\w+`(?:, `\w+`)*)$", text, re.MULTILINE)
    assert [re.findall(r"\w+", line) for line in listed] == [
        re.findall(r"\w+", layer) for layer in layers
    ]
