"""The page of error codes, to which `UserError.docsUrl` leads."""

from __future__ import annotations

from errors import ERROR_DESCRIPTIONS

PATH = "errors"


def errors_page() -> str:
    """Every code with its description, in Markdown; the ID of a heading is the code."""
    codes = "\n".join(
        f"## `{code.value}` {{#{code.value}}}\n\n{description}\n"
        for code, description in ERROR_DESCRIPTIONS.items()
    )
    return f"""# Error codes

Codes are returned in `errors {{ code }}` of a mutation's payload, with the path of the value in
`path`, and in `extensions.code` of top-level errors. Codes are never removed.

{codes}"""
