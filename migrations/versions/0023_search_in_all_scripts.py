"""Search folds text as sort keys do, and finds words inside Chinese, Japanese and Korean text.

`taskloom_fold` becomes the folding of `taskloom_sort_key` (0019). These scripts put no space
between words, so each run of their characters is indexed as overlapping pairs, `売上高` as
`売 売上 上高 高`: the pairs of a longer word follow each other, and a single character begins a
pair or is its own entry. As in 0003, the functions refer only to `pg_catalog`.

The computed columns are computed again; each table is rewritten once.
"""

from __future__ import annotations

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | None = None
depends_on: str | None = None

# As in 0019.
_ALPHABETS = (range(0x80, 0x300), range(0x370, 0x590), range(0x1C80, 0x2000))
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
# Kana with the marks that belong to words, ideographs, and syllables of Hangul.
_PAIRED = (
    r"\3005\3007\3041-\3096\309D-\309F\30A1-\30FA\30FC-\30FF\3400-\4DBF\4E00-\9FFF\AC00-\D7A3"
    r"\F900-\FAFF\+020000-\+0323AF"
)
_BEFORE = "lower(regexp_replace(normalize({}, NFD), U&'[\\0300-\\036F]', '', 'g'))"


def _folded(text: str) -> str:
    table = {
        letter: _OTHERS.get(letter.lower(), letter.lower())
        for letter in map(chr, (code for alphabet in _ALPHABETS for code in alphabet))
        if len(letter.lower()) == 1 and letter.lower() != letter
    } | _OTHERS
    bare = f"regexp_replace(normalize({text}, NFD), U&'[\\0300-\\036F]', '', 'g')"
    letters, become = "".join(table), "".join(table.values())
    folded = f"translate(lower({bare} COLLATE \"C\"), '{letters}', '{become}')"
    for letter, several in _SEVERAL.items():
        folded = f"replace({folded}, '{letter}', '{several}')"
    return (
        f'CASE WHEN octet_length({text}) = char_length({text}) THEN lower({text} COLLATE "C") '
        f"ELSE normalize({folded}, NFC) END"
    )


def _words(text: str) -> str:
    # Write each character twice with a space between: `売 売上 上高 高`.
    runs = f"regexp_replace({_folded(text)}, U&'([{_PAIRED}]+)', ' \\1 ', 'g')"
    return f"regexp_replace({runs}, U&'([{_PAIRED}])', '\\1 \\1', 'g')"


def _vector(text: str, weight: str, words: str) -> str:
    given = words.format(f"coalesce({text}, '')")
    return f"setweight(to_tsvector('pg_catalog.simple', {given}), '{weight}')"


def _functions(fold: str, words: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION taskloom_fold(words text) RETURNS text "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {fold}"
    )
    for signature, parts in (
        (
            "taskloom_search_task(title text, tags text[], description text)",
            (("title", "A"), ("CAST(tags AS text)", "B"), ("description", "C")),
        ),
        (
            "taskloom_search_project(name text, key text, description text)",
            (("name", "A"), ("key", "A"), ("description", "C")),
        ),
        ("taskloom_search_comment(body text)", (("body", "C"),)),
    ):
        body = " || ".join(_vector(text, weight, words) for text, weight in parts)
        op.execute(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS tsvector "
            f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {body}"
        )
    for table, call in (
        ("tasks", "taskloom_search_task(title, tags, description)"),
        ("projects", "taskloom_search_project(name, key, description)"),
        ("comments", "taskloom_search_comment(body)"),
    ):
        op.drop_column(table, "search")
        op.execute(f"ALTER TABLE {table} ADD search tsvector GENERATED ALWAYS AS ({call}) STORED")
        op.create_index(f"ix_{table}_search", table, ["search"], postgresql_using="gin")


def upgrade() -> None:
    op.execute(
        "CREATE FUNCTION taskloom_words(words text) RETURNS text "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {_words('words')}"
    )
    _functions(_folded("words"), _words("{0}"))


def downgrade() -> None:
    _functions(_BEFORE.format("words"), _BEFORE)
    op.execute("DROP FUNCTION taskloom_words")
