"""Sort keys: names and titles ordered as people expect, the same on every database.

A database's collations, and the order they define, depend on its operating system. So the order is
computed here: the text without case and accents, followed by the part that distinguishes equal
texts, with a small letter before its capital. Keys are compared byte by byte.

Uses only `normalize` and functions under the collation "C", since these do not depend on the
database. Case beyond ASCII is a table of our own. As in 0003, everything is in `pg_catalog`, so
that the columns work under any search path.
"""

from __future__ import annotations

from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | None = None
depends_on: str | None = None

# Alphabets with two cases, without letters that decompose into a letter and an accent.
_ALPHABETS = (range(0x80, 0x300), range(0x370, 0x590), range(0x1C80, 0x2000))
# Letters and their usual substitutes.
_OTHERS = {
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "\u0131": "i",
    "ł": "l",
    "ŋ": "n",
    "ŧ": "t",
    "\u03c2": "\u03c3",
}
_SEVERAL = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ĳ": "ij"}
# An index entry has at most 2,704 bytes, and a character at most four. Texts whose first characters
# up to that limit are equal count as equal.
_MOST, _MOST_OF_TIE = 300, 100
_SMALL, _CAPITAL = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_COLUMNS = {
    "tasks": ["title"],
    "projects": ["name"],
    "users": ["username", "full_name"],
    "attachments": ["filename"],
}


def _table() -> tuple[str, str]:
    """Capital letters, and the small letters that replace them."""
    table = {
        letter: _OTHERS.get(letter.lower(), letter.lower())
        for letter in map(chr, (code for alphabet in _ALPHABETS for code in alphabet))
        if len(letter.lower()) == 1 and letter.lower() != letter
    }
    table |= _OTHERS
    return "".join(table), "".join(table.values())


def upgrade() -> None:
    letters, become = _table()
    bare = "regexp_replace(normalize(words, NFD), U&'[\\0300-\\036F]', '', 'g')"
    folded = f"translate(lower({bare} COLLATE \"C\"), '{letters}', '{become}')"
    for letter, several in _SEVERAL.items():
        folded = f"replace({folded}, '{letter}', '{several}')"
    exchange = f"'{_SMALL}{_CAPITAL}', '{_CAPITAL}{_SMALL}'"
    op.execute(
        "CREATE FUNCTION taskloom_sort_key(words text) RETURNS text "
        "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN "
        # Most texts contain only ASCII and take a tenth of the time. In ASCII capitals come before
        # small letters, so the two are swapped in the part that distinguishes equal texts.
        "CASE WHEN octet_length(words) = char_length(words) THEN "
        f"left(lower(words COLLATE \"C\"), {_MOST}) || U&'\\0001' || "
        f"translate(left(words, {_MOST_OF_TIE}), {exchange}) "
        f"ELSE left(normalize({folded}, NFC), {_MOST}) || U&'\\0001' || "
        f"translate(left(normalize(words, NFD), {_MOST_OF_TIE}), {exchange}) END"
    )
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.execute(
                f'ALTER TABLE {table} ADD {column}_key text COLLATE "C" '
                f"GENERATED ALWAYS AS (taskloom_sort_key({column})) STORED"
            )
    op.create_index("ix_tasks_title_key_id", "tasks", ["title_key", "id"])
    op.create_index("ix_projects_name_key_id", "projects", ["name_key", "id"])
    op.create_index("ix_users_username_key_id", "users", ["username_key", "id"])
    op.create_index("ix_users_full_name_key_id", "users", ["full_name_key", "id"])


def downgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.drop_column(table, f"{column}_key")
    op.execute("DROP FUNCTION taskloom_sort_key")
