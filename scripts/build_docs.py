"""Build the documentation at `/docs` as a site of files: `make docs`, into `build/docs`.

The pages are those of `web.docs.site`: MkDocs gets them as Markdown, with the error codes and the
reference made from the code. The site loads nothing from other hosts.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from web.docs.site import FILES, HOME, pages

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
# The site's pages stand beside each other, as at `/docs`.
_LINK = re.compile(r"\]\((?:/docs/([\w-]+)|(?:\.\./|guide/|deployment/)*([\w-]+)\.md)(?=[#)])")


def main() -> int:
    """Write the sources and run MkDocs; returns its exit code."""
    sources = BUILD / "docs-sources"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    for page in pages().values():
        text = _LINK.sub(r"](\1\2.md", page.read())
        (sources / f"{page.name}.md").write_text(text, encoding="utf-8")
    start = f"---\ntemplate: redirect.html\n---\n[Taskloom]({HOME}.md)\n"
    (sources / "index.md").write_text(start, encoding="utf-8")
    (BUILD / "docs-theme").mkdir(exist_ok=True)
    (BUILD / "docs-theme" / "redirect.html").write_text(_redirect(), encoding="utf-8")
    configuration = BUILD / "mkdocs.yml"
    # JSON is YAML.
    configuration.write_text(json.dumps(_configuration(sources), indent=2), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    ended = subprocess.run([*command, "--config-file", str(configuration)], check=False)
    if ended.returncode == 0:
        print(f"The site is in {BUILD / 'docs'}")
    return ended.returncode


def _configuration(sources: Path) -> dict[str, Any]:
    nav = []
    for section in FILES:
        names = [page.name for page in pages().values() if page.section == section]
        nav.append({section: [{pages()[name].title: f"{name}.md"} for name in names]})
    return {
        "site_name": "Taskloom",
        "docs_dir": str(sources),
        "site_dir": str(BUILD / "docs"),
        "use_directory_urls": False,
        "theme": {
            "name": "material",
            "custom_dir": str(BUILD / "docs-theme"),
            # Fonts would come from another host.
            "font": False,
            "features": ["navigation.sections", "content.code.copy", "search.highlight"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "plugins": ["search"],
        "markdown_extensions": ["attr_list", "pymdownx.highlight", "pymdownx.superfences"],
        "nav": nav,
        "validation": {"links": {"anchors": "warn"}},
    }


def _redirect() -> str:
    return (
        f'<!doctype html><meta charset="utf-8"><title>Taskloom</title>'
        f'<meta http-equiv="refresh" content="0; url={HOME}.html">'
    )


if __name__ == "__main__":
    sys.exit(main())
