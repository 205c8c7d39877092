"""What documents for users show of the API is in the schema: documents, fields, types and codes."""

from __future__ import annotations

import re

import pytest
from graphql import GraphQLError, Undefined, parse, parse_value, validate, value_from_ast

from graph.schema import schema
from web.docs.site import FILES, FOLDER

CORE = schema._schema
# The changelog names what is gone.
PAGES = sorted(
    name
    for names in FILES.values()
    for name in names
    if name.endswith(".md") and name != "changelog.md"
)
GRAPHQL = re.compile(r"^```graphql.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# `taskUpdate(…)`, and `viewer { sessions }`.
CALLED = re.compile(r"^([a-z]+[a-zA-Z]*)(?:\(| \{)")
# `Task.url`, `taskMove.place`.
FIELD = re.compile(r"^([A-Z][A-Za-z]+)\.([a-z][A-Za-z]+)$")

FIELDS = {
    name: set(getattr(type_, "fields", {})) | set(getattr(type_, "values", {}))
    for name, type_ in CORE.type_map.items()
}
ALL = set().union(*FIELDS.values())
ARGUMENTS = {
    argument
    for type_ in CORE.type_map.values()
    for field in getattr(type_, "fields", {}).values()
    for argument in getattr(field, "args", {})
}
# Beginnings of documents, and what libraries have.
OTHERS = {"query", "mutation", "subscription", "fetch", "close"}


@pytest.mark.parametrize("page", PAGES)
def test_fields_that_a_page_names_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (FOLDER / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for code in CODE.findall(text):
        called = CALLED.match(code)
        if called and called[1] not in ALL | ARGUMENTS | OTHERS:
            wrong.append(code)
        field = FIELD.match(code)
        if field and field[1] in FIELDS and field[2] not in FIELDS[field[1]]:
            wrong.append(code)
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_documents_on_a_page_are_valid(page: str) -> None:
    wrong = []
    for text in GRAPHQL.findall((FOLDER / page).read_text()):
        try:
            found = validate(CORE, parse(text.replace("VERSION", "1")))
        except GraphQLError as error:
            found = [error]
        wrong += [error.message for error in found]
    assert not wrong


def test_filters_in_descriptions_are_valid() -> None:
    shown = [
        (f"{name}.{key}", field, code)
        for name, type_ in CORE.type_map.items()
        for key, field in getattr(type_, "fields", {}).items()
        for code in re.findall(r"`filter: ([^`]+)`", field.description or "")
    ]
    assert shown
    for place, field, code in shown:
        value = value_from_ast(parse_value(code), field.args["filter"].type)
        assert value is not Undefined, (place, code)
