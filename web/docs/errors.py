"""The page of error codes, to which `UserError.docsUrl` leads.

What a code means is said once, in `errors.py`; here are what to do about it, and a document that
returns it. Documents are for the demo's Ada, and run in tests like those of the guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphql import parse, print_ast

from errors import ERROR_DESCRIPTIONS
from errors import ErrorCode as Code

PATH: Final = "errors"
_LINE: Final = 70

# What to do.
REMEDIES: Final[Mapping[Code, str]] = {
    Code.UNAUTHENTICATED: "Renew the access token once, then let the person sign in again.",
    Code.FORBIDDEN: (
        "Show the message. Fields such as `viewerCanEdit` say beforehand what is allowed. For an "
        "API key, `extensions.scope` names the scope that is missing."
    ),
    Code.NOT_FOUND: (
        "Treat the object as deleted. If it should be there, check that you are signed in as the "
        "right user, and that an API key is not restricted to other projects."
    ),
    Code.INVALID_CREDENTIALS: "Let the person try again, or reset the password.",
    Code.ACCOUNT_INACTIVE: "An administrator can activate the account again.",
    Code.REGISTRATION_CLOSED: "An administrator creates accounts; see `isRegistrationOpen`.",
    Code.BAD_USER_INPUT: "Show each message at the field that its `path` names.",
    Code.ALREADY_EXISTS: "Choose another value, or use the object that has it.",
    Code.SELF_SHARE: "Leave it out: the person sees the task anyway.",
    Code.LIMIT_EXCEEDED: "Shorten it, split it, or delete something; see [limits](limits.md).",
    Code.PROJECT_ARCHIVED: "Its owner or an admin can unarchive it: `projectUnarchive`.",
    Code.TIME_LOCKED: "An admin of the project can move `timeLockedBefore`.",
    Code.TIME_OVERLAP: "Change one of the two entries, or allow overlaps in the project.",
    Code.FILE_EMPTY: "Choose another file.",
    Code.FILE_TOO_LARGE: "Send a smaller one; see `serverInfo { maxUploadBytes }`.",
    Code.FILE_NAME_INVALID: "Send a name with at least one visible character.",
    Code.FILE_TYPE_NOT_ALLOWED: "See `serverInfo { uploadTypes }`.",
    Code.FILE_TYPE_MISMATCH: "Give the file the ending of what it is.",
    Code.IMAGE_INVALID: "Save the image again in one of the formats that the message names.",
    Code.IMAGE_TOO_LARGE: "Make the image smaller before you send it.",
    Code.UPLOAD_INCOMPLETE: "Send the bytes to the upload's `url`, then finish it.",
    Code.CONFLICT: (
        "Show both values and let the person choose, then send the change with the new `version`; "
        "see [conflicts](guide/changing.md#conflicts)."
    ),
    Code.IDEMPOTENCY_MISMATCH: "Use a new key for each change, and the old one only to repeat it.",
    Code.CURSOR_EXPIRED: "Read the list again, and continue from its `eventCursor`.",
    Code.BAD_REQUEST: "Repair the request: the message says what is wrong with its form.",
    Code.GRAPHQL_PARSE_FAILED: "Repair the document at `locations`.",
    Code.GRAPHQL_VALIDATION_FAILED: (
        "Repair the document at `locations`. If it worked before, see the "
        "[changelog](changelog.md)."
    ),
    Code.OPERATION_RESOLUTION_FAILURE: "Send the `operationName` of one of its operations.",
    Code.PERSISTED_QUERY_NOT_FOUND: "Send the document with its hash; libraries do so themselves.",
    Code.PERSISTED_QUERY_NOT_SUPPORTED: "Send documents without a hash.",
    Code.RATE_LIMITED: "Wait for `extensions.retryAfter` seconds, then repeat it.",
    Code.OPERATION_TOO_COMPLEX: "Ask for fewer objects: smaller pages, or several operations.",
    Code.TIMEOUT: (
        "Ask for less. A change may have been made: repeat it with the same `idempotencyKey`."
    ),
    Code.UNAVAILABLE: (
        "Repeat it after a second, then after longer and longer pauses; changes with the same "
        "`idempotencyKey`."
    ),
    Code.INTERNAL_SERVER_ERROR: "Report it with the ID. Repeat it if it was a query.",
}

# A document that returns the code, and how the test runs it.
EXAMPLES: Final[Mapping[Code, tuple[str, str]]] = {
    Code.UNAUTHENTICATED: ("as=nobody", "query { projects { nodes { key } } }"),
    Code.FORBIDDEN: (
        "as=ada",
        'mutation { projectDelete(input: { id: "SHOP" }) { errors { code message } } }',
    ),
    Code.NOT_FOUND: (
        "as=ada",
        'mutation { taskComplete(input: { id: "SHOP-99999" }) { errors { code path message } } }',
    ),
    Code.INVALID_CREDENTIALS: (
        "as=nobody",
        (
            'mutation { sessionCreate(input: { login: "nobody-at-all", password: "x" }) '
            "{ errors { code message } } }"
        ),
    ),
    Code.BAD_USER_INPUT: (
        "as=ada",
        (
            'mutation { taskCreate(input: { title: "", estimate: -60 }) '
            "{ errors { code path message } } }"
        ),
    ),
    Code.ALREADY_EXISTS: (
        "as=ada",
        (
            'mutation { projectCreate(input: { name: "Shop", key: "SHOP" }) '
            "{ errors { code path message } } }"
        ),
    ),
    Code.FILE_EMPTY: (
        "as=ada",
        (
            'mutation { attachmentUploadStart(input: { taskId: "SHOP-1", filename: "a.txt", '
            "byteSize: 0 }) { errors { code path message } } }"
        ),
    ),
    Code.FILE_TOO_LARGE: (
        "as=ada",
        (
            'mutation { attachmentUploadStart(input: { taskId: "SHOP-1", filename: "a.txt", '
            "byteSize: 99999999 }) { errors { code path limit actual } } }"
        ),
    ),
    Code.FILE_TYPE_NOT_ALLOWED: (
        "as=ada",
        (
            'mutation { attachmentUploadStart(input: { taskId: "SHOP-1", filename: "a.exe", '
            "byteSize: 9 }) { errors { code path message } } }"
        ),
    ),
    Code.CONFLICT: (
        "as=ada",
        (
            'mutation { taskUpdate(input: { id: "SHOP-1", title: "Mine", ifVersion: 0 }) '
            "{ task { title version } errors { code conflictingFields } } }"
        ),
    ),
    Code.GRAPHQL_PARSE_FAILED: ("as=ada", "query { viewer { "),
    Code.GRAPHQL_VALIDATION_FAILED: ("as=ada", "query { nothing }"),
    Code.OPERATION_RESOLUTION_FAILURE: (
        "as=ada",
        "query A { serverInfo { version } }\nquery B { serverInfo { version } }",
    ),
    Code.OPERATION_TOO_COMPLEX: (
        "as=ada status=400",
        (
            "query { projects(first: 100) { nodes { tasks(first: 100) { nodes "
            "{ comments(first: 100) { nodes { id } } } } } } }"
        ),
    ),
}


def errors_page() -> str:
    """Every code with its description, in Markdown; the ID of a heading is the code."""
    parts = [
        """# Error codes

Codes are returned in `errors { code }` of a mutation's payload, with the path of the value in
`path`, and in `extensions.code` of top-level errors. Codes are never removed.
"""
    ]
    for code, description in ERROR_DESCRIPTIONS.items():
        parts.append(f"## `{code.value}` {{#{code.value}}}\n\n{description}\n")
        parts.append(f"**What to do.** {REMEDIES[code]}\n")
        if code in EXAMPLES:
            options, document = EXAMPLES[code]
            comment = f"<!-- run: {options} codes={code.value} -->"
            parts.append(f"{comment}\n\n```graphql\n{_shown(document)}\n```\n")
    return "\n".join(parts)


def _shown(document: str) -> str:
    """A document as one reads it: in several lines, if it is too long for one."""
    return document if len(document) <= _LINE else print_ast(parse(document))
