"""Serialization: parts of an answer that are JSON text from the start.

A position whose objects all have one type is assembled as JSON instead of dicts: each field yields
a column of texts, and one generated f-string joins them to an object's text. The gain is not in
the formatting (orjson is as fast) but in PostgreSQL serializing the leaves: a `JsonSpan`
(`graph.engine.sql_json`) of ten columns is one text of the row, which nothing parses.

`ObjectText` says how the objects of a position are serialized, `PlanColumns` what is read for them.
Rows that were read another way, without their spans, are serialized here field by field.

`graph.engine.replay` has to find a failure again in its position: it is serialized as a `mark`,
a string that nothing else can be.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from itertools import groupby
from json.encoder import encode_basestring
from typing import Any, Final, cast

import orjson

from graph.core.selection import SAME_ROWS, Selection, relation_of, required_columns
from graph.engine.columns import Column, for_each
from graph.engine.plan import (
    FieldPlan,
    ObjectPlan,
    ObjectText,
    PlanColumns,
    Shape,
    TextAssembler,
    TextSegment,
    all_fields,
)
from graph.engine.sql_json import (
    KEY_ONLY,
    Columns,
    JsonSpan,
    Part,
    constant_part,
    object_part_of,
    part_of,
    usual_columns,
)

# At most this many objects of a position are inside the texts of the objects that refer to them. A
# task has four relations; under a hundred aliases their statement would take long to plan.
MAX_OBJECTS: Final = 8

# Random, since a client that guessed it could make a value look like a failure.
_NONCE: Final = secrets.token_hex(8)


def mark(number: int) -> tuple[str, str]:
    """The mark of a failure: as JSON, and parsed."""
    return f'"\\u0000{_NONCE}{number}"', f"\0{_NONCE}{number}"


# --- leaves --------------------------------------------------------------------------------------


def _leaves(column: Column) -> list[str]:
    """Completed leaves, or lists of them, as JSON."""
    if set(map(type, column)) == {str}:
        return list(map(encode_basestring, column))
    return [orjson.dumps(value).decode() for value in column]


def texts_of(shape: Shape, column: Column) -> list[str]:
    """A completed column without failures as JSON; its objects are text already."""
    if shape.plans_below is None:
        return _leaves(column)
    if shape.item is None:
        if None not in column:
            return cast("list[str]", column)
        return ["null" if text is None else text for text in column]
    if shape.item.item is None and shape.item.nonnull and None not in column:
        return [f"[{','.join(texts)}]" for texts in column]
    return [text_of(shape, value, None) for value in column]


def text_of(shape: Shape, value: Any, marked: Callable[[Any], str | None] | None) -> str:
    """One completed value; `marked` gives the mark of one that failed, None of others."""
    if marked is not None and (text := marked(value)) is not None:
        return text
    if value is None:
        return "null"
    if shape.item is not None:
        item = shape.item
        return f"[{','.join([text_of(item, each, marked) for each in value])}]"
    return cast("str", value) if shape.plans is not None else orjson.dumps(value).decode()


# --- objects -------------------------------------------------------------------------------------


class SpanLabels:
    """The labels of a plan's spans: numbers, so that plans that serialize the same have the same
    statements.
    """

    def __init__(self) -> None:
        self._labels: dict[tuple[str, tuple[Part, ...], bool], str] = {}

    def of(self, type_name: str, parts: tuple[Part, ...], whole: bool) -> str:
        """The label of a span, the same for equal ones."""
        of_type = [known for known in self._labels if known[0] == type_name]
        return self._labels.setdefault((type_name, parts, whole), f"written_{len(of_type)}")


def object_text(
    plan: ObjectPlan, *, keys: Sequence[tuple[str, str | None]], spans: SpanLabels, few: bool
) -> ObjectText | None:
    """How to serialize the objects of a plan; None if there are objects of several types below.

    `keys` as for `columns.assembler`. `few`: there are not more of them than a page holds, so that
    what each refers to may come with it.
    """
    if any(field.plans is not None and not field.shape.is_text for field in plan.fields):
        return None
    fields = iter(plan.fields)
    parts: list[tuple[FieldPlan | None, str, str | None, Part | None]] = []
    objects = 0
    for key, constant in keys:
        each = next(fields) if constant is None else None
        part = constant_part(key, constant or "") if each is None else _part(each, few=few)
        if part is not None and part.objects:
            objects += part.objects
            part = part if objects <= MAX_OBJECTS else None
        parts.append((each, key, constant, part))
    whole = all(part is not None for *_, part in parts)
    segments: list[TextSegment] = []
    template: list[tuple[str, str | None] | None] = []
    for serialized, group in groupby(parts, lambda entry: entry[-1] is not None):
        members = list(group)
        inside: list[tuple[str, str | None] | None] = [entry[1:3] for entry in members]
        own = tuple(each for each, *_ in members if each is not None)
        if serialized and own:
            found = tuple(part for *_, part in members if part is not None)
            span = JsonSpan(spans.of(plan.type.name, found, whole), found, whole)
            segments.append(TextSegment(own, span, text_assembler(tuple(inside), whole)))
            template.append(None)
        else:
            segments += [TextSegment((each,)) for each in own]
            template += inside
    only = whole and bool(segments)
    plain = [segment.fields[0] for segment in segments if segment.span is None]
    requested = {each.source.column for each in plain} - {None}
    return ObjectText(
        tuple(segments),
        _as_is if only else text_assembler(tuple(template), True),
        len(segments) - len(plain) + len(requested),
        tuple(each for each in plain if each.waits),
    )


def _part(field: FieldPlan, *, few: bool) -> Part | None:
    if not field.waits:
        return part_of(field.parent_type, field.name, field.key)
    # Many objects refer to the same few objects, again and again.
    below = field.shape.plan
    parts = below.text.parts if few and below is not None and below.text is not None else None
    if parts is None:
        return None
    return object_part_of(field.parent_type, field.name, field.key, parts)


def _as_is(_: int, columns: Sequence[Column]) -> list[str]:
    return cast("list[str]", columns[0])


@lru_cache(maxsize=4096)
def text_assembler(
    entries: tuple[tuple[str, str | None] | None, ...], braces: bool
) -> TextAssembler:
    """A function of the number of objects and their columns of texts that makes the objects' texts.

    `entries` are the response keys in their order, each with its constant (a `__typename`) or None
    for the next column; an entry that is None is a column that brings its keys itself.
    """
    names: list[str] = []
    serialized: list[str] = []
    for entry in entries:
        if entry is not None and entry[1] is not None:
            serialized.append(f'"{entry[0]}":"{entry[1]}"')
            continue
        names.append(f"v{len(names)}")
        value = f"{{{names[-1]}}}"
        serialized.append(value if entry is None else f'"{entry[0]}":{value}')
    # Keys and names of types are GraphQL names: letters, digits and underscores.
    text = ("{{" if braces else "") + ",".join(serialized) + ("}}" if braces else "")
    generated: TextAssembler | None = None

    def assemble(size: int, columns: Sequence[Column]) -> list[str]:
        # Only when it is needed: most objects come from the database as one text.
        nonlocal generated
        if generated is None:
            generated = for_each(f"f'{text}'", names)
        return generated(size, columns)

    return assemble


# --- what is read --------------------------------------------------------------------------------


def plan_columns(root: ObjectPlan) -> PlanColumns:
    """What a serialized run of a plan reads, worked out by one walk over it."""
    objects: dict[str, Columns] = {}
    relations: dict[str, set[str]] = {}
    pages: dict[Selection, Columns] = {}
    for each in all_fields(root.fields):
        relation = relation_of(each.definition)
        if relation is not None:
            relations.setdefault(each.parent_type.name, set()).add(relation)
        for place in (each.plans or {}).values():
            # Asynchronous fields get their objects from loaders, others in ways
            # that are not known here: these read all columns that they need.
            serialized = each.source.waits and each.shape.is_text
            name = SAME_ROWS.get(place.type.name, place.type.name)
            known = objects.get(name, KEY_ONLY)
            objects[name] = _joined(known, _columns(place, serialized=serialized))
        rows = _rows_of(each)
        if rows:
            places = (_columns(place, serialized=True) for place in rows)
            pages[each.selection] = reduce(_joined, places, KEY_ONLY)
    sorted_relations = {name: tuple(sorted(found)) for name, found in relations.items()}
    return PlanColumns(objects, sorted_relations, pages)


def _rows_of(field: FieldPlan) -> list[ObjectPlan]:
    """The positions of a connection's rows: `nodes`, and the `node` of its `edges`. Empty if one of
    them is not serialized.
    """
    page = field.shape.plan
    if page is None or not field.source.waits:
        return []
    below = [(inner.shape, inner.shape.item) for inner in page.fields if inner.name == "nodes"]
    for edges in page.fields:
        if edges.name == "edges" and edges.shape.item is not None:
            edge = edges.shape.item.plan
            nodes = () if edge is None else (each for each in edge.fields if each.name == "node")
            below += [(each.shape, each.shape) for each in nodes]
    places = [item.plan for shape, item in below if item is not None and shape.is_text]
    return [place for place in places if place is not None] if len(places) == len(below) else []


def _columns(plan: ObjectPlan, *, serialized: bool) -> Columns:
    if not serialized or plan.text is None:
        labels = frozenset(
            label for each in plan.fields for label in required_columns(each.definition)
        )
        return Columns(labels)
    plain = (
        each for segment in plan.text.segments if segment.span is None for each in segment.fields
    )
    return Columns(
        frozenset(label for each in plain for label in required_columns(each.definition)),
        tuple(segment.span for segment in plan.text.segments if segment.span is not None),
        usual_columns(plan.type),
    )


def _joined(one: Columns, other: Columns) -> Columns:
    spans = dict.fromkeys([*one.spans, *other.spans])
    return Columns(one.labels | other.labels, tuple(spans), one.usual | other.usual)
