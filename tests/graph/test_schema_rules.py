"""Rules of the schema's names and shapes, so that one part of it is like every other.

A name that breaks a rule on purpose is listed beside the rule, with the reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_introspection_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_required_argument,
    is_union_type,
)

from graph.schema import schema

SCHEMA: GraphQLSchema = schema._schema


def objects() -> list[GraphQLObjectType]:
    return [
        type_
        for type_ in SCHEMA.type_map.values()
        if is_object_type(type_) and not is_introspection_type(type_)
    ]


def inputs() -> list[GraphQLInputObjectType]:
    return [type_ for type_ in SCHEMA.type_map.values() if is_input_object_type(type_)]


def roots() -> dict[str, GraphQLObjectType]:
    found = {"Query": SCHEMA.query_type, "Mutation": SCHEMA.mutation_type}
    return {name: type_ for name, type_ in found.items() if type_ is not None}


def output_fields() -> Iterator[tuple[str, GraphQLField]]:
    for type_ in objects():
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", field


def input_fields() -> Iterator[tuple[str, Any]]:
    """The fields of inputs and the arguments, by their place."""
    for type_ in inputs():
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", field
    for place, output in output_fields():
        for name, argument in output.args.items():
            yield f"{place}.{name}", argument


def name_of(place: str) -> str:
    return place.rpartition(".")[2]


# --- one name, one shape -------------------------------------------------------------------------

# Fields whose type is an enum of the object's own; a client that asks for them of several types in
# one selection gives each an alias.
OWN_ENUMS: Final = {
    "status": "each kind of thing has its own states: a task is TODO, a webhook is DISABLED",
    "kind": "what happened, and why somebody is notified, are different lists",
}


def clash(
    one: GraphQLOutputType, other: GraphQLOutputType, seen: frozenset[tuple[str, str]] = frozenset()
) -> str | None:
    """Why fields of these types cannot stand under one name in a selection; None if they can.

    This is the specification's SameResponseShape. Objects of different types are compared by their
    fields, of all their possible types, since a selection on them is merged as well.
    """
    while True:
        if is_non_null_type(one) != is_non_null_type(other):
            return f"{one} and {other}"
        if is_list_type(one) != is_list_type(other):
            return f"{one} and {other}"
        if not (is_non_null_type(one) or is_list_type(one)):
            break
        one, other = one.of_type, other.of_type  # type: ignore[union-attr]
    if one is other:
        return None
    if is_leaf_type(one) or is_leaf_type(other):
        return f"{one} and {other}"
    pair = (str(one), str(other))
    if pair in seen:
        return None
    for left, right in itertools.product(possible(one), possible(other)):
        if left is right:
            continue
        for name in left.fields.keys() & right.fields.keys() - OWN_ENUMS.keys():
            found = clash(left.fields[name].type, right.fields[name].type, seen | {pair})
            if found is not None:
                return f"{left}.{name}, {right}.{name}: {found}"
    return None


def possible(type_: Any) -> list[GraphQLObjectType]:
    return [type_] if is_object_type(type_) else list(SCHEMA.get_possible_types(type_))


def clashes(types: list[GraphQLObjectType]) -> list[str]:
    return [
        f"{one}.{name}, {other}.{name}: {found}"
        for one, other in itertools.combinations(types, 2)
        for name in sorted(one.fields.keys() & other.fields.keys() - OWN_ENUMS.keys())
        if (found := clash(one.fields[name].type, other.fields[name].type)) is not None
    ]


def unions() -> list[GraphQLUnionType]:
    return [type_ for type_ in SCHEMA.type_map.values() if is_union_type(type_)]


def nodes() -> list[GraphQLObjectType]:
    node: Any = SCHEMA.type_map["Node"]
    return list(SCHEMA.get_possible_types(node))


@pytest.mark.parametrize("union", unions(), ids=str)
def test_members_of_a_union_can_be_asked_in_one_selection(union: GraphQLUnionType) -> None:
    assert clashes(list(union.types)) == []


def test_nodes_can_be_asked_in_one_selection() -> None:
    assert clashes(nodes()) == []


def test_own_enums_are_enums_and_differ() -> None:
    """An exception that is not needed any more goes."""
    for name in OWN_ENUMS:
        types = {get_named_type(node.fields[name].type) for node in nodes() if name in node.fields}
        assert len(types) > 1, name
        assert all(is_enum_type(type_) for type_ in types), name


def test_the_comparison_finds_what_a_validator_finds() -> None:
    """The rule itself, on a schema with one fault of each kind."""
    small = build_schema(
        """
        type A { a: Int! b: [Int!]! c: Int d: In1 e: In1 same: String }
        type B { a: Int  b: In1     c: Float d: In2 e: In1 same: String }
        type In1 { x: Int y: A }
        type In2 { x: Int! y: B }
        union U = A | B
        type Query { u: U }
        """
    )
    one: Any = small.type_map["A"]
    other: Any = small.type_map["B"]
    found = {
        name: clash(one.fields[name].type, other.fields[name].type) is not None
        for name in one.fields
    }
    assert found == {"a": True, "b": True, "c": True, "d": True, "e": False, "same": False}


# --- names of mutations --------------------------------------------------------------------------


def mutations() -> dict[str, GraphQLField]:
    return dict(roots()["Mutation"].fields)


@pytest.mark.parametrize("name", mutations())
def test_input_and_payload_are_named_after_their_mutation(name: str) -> None:
    field = mutations()[name]
    own = name[0].upper() + name[1:]
    assert {key: str(argument.type) for key, argument in field.args.items()} == {
        "input": f"{own}Input!"
    }
    payload = get_named_type(field.type)
    assert payload.name == f"{own}Payload"
    assert isinstance(payload, GraphQLObjectType)
    assert [interface.name for interface in payload.interfaces] == ["MutationPayload"]


def test_inputs_and_payloads_belong_to_one_mutation() -> None:
    own = {name[0].upper() + name[1:] for name in mutations()}
    payloads = {type_.name for type_ in objects() if type_.name.endswith("Payload")}
    assert payloads == {f"{name}Payload" for name in own}
    # The object of a mutation's name is its first words: an object that the schema has.
    things = {type_.name for type_ in objects()} | {
        "Account",
        "AdminJob",
        "Avatar",
        "Email",
        "Password",
        "StreamToken",
        "Timer",
    }
    strange = [
        name
        for name in own
        if not any(name.startswith(thing) and name != thing for thing in things)
    ]
    assert strange == []


def test_objects_in_payloads_have_the_name_of_their_type() -> None:
    """A client finds a `TaskShare` under `taskShare`, in every payload alike."""
    # What says more than its type: which entry, which end of a relation.
    more = {"stoppedTimeEntry", "parent", "upload", "results", "notifications", "errors"}
    for name, field in mutations().items():
        payload: Any = get_named_type(field.type)
        for key, output in payload.fields.items():
            type_ = get_named_type(output.type)
            if key not in more and is_composite_type(type_):
                assert key == type_.name[0].lower() + type_.name[1:], f"{name}.{key}"


def test_versioned_objects_can_be_deleted_and_updated_with_a_version() -> None:
    """Whatever changes an object by its id takes `ifVersion`, if the object has a version."""
    # Made again, or ended for good: there is nothing that somebody else's change could spoil.
    without = re.compile(r"(Restore|Revoke|Activate|Deactivate|Sync|Test|Retry|Replay|Finish)$")
    for name in mutations():
        type_: Any = SCHEMA.type_map[name[0].upper() + name[1:] + "Input"]
        changed = next(
            (
                object_
                for object_ in sorted(nodes(), key=lambda node: -len(node.name))
                if name.startswith(object_.name[0].lower() + object_.name[1:])
            ),
            None,
        )
        if changed is None or "version" not in changed.fields or without.search(name):
            continue
        if "id" in type_.fields and is_non_null_type(type_.fields["id"].type):
            assert "ifVersion" in type_.fields, name


# --- booleans ------------------------------------------------------------------------------------

BOOLEAN: Final = re.compile(r"^(is|has|viewerCan|was)[A-Z]")
# Words that stand alone, with their reasons.
PLAIN_BOOLEANS: Final = {
    "replayed": "of every payload; says what the answer is, and not what an object is",
    "matches": "of an event: the filter matches",
    "inApp": "a channel of notifications",
    "email": "a channel of notifications",
    "push": "a channel of notifications",
}
# What a request asks for is a command or a permission.
COMMAND: Final = re.compile(r"^(include|allow|only)[A-Z]")
COMMANDS: Final = {"dryRun", "confirm", "takeOver", "all"}


def is_boolean(type_: Any) -> bool:
    return bool(get_named_type(type_).name == "Boolean")


def test_booleans_of_objects_begin_with_is_or_has() -> None:
    strange = [
        place
        for place, field in output_fields()
        if is_boolean(field.type)
        and not BOOLEAN.match(name_of(place))
        and name_of(place) not in PLAIN_BOOLEANS
        and not place.startswith("PageInfo.")
    ]
    assert strange == []


def test_booleans_of_inputs_begin_with_is_or_has_or_a_verb() -> None:
    strange = [
        place
        for place, field in input_fields()
        if is_boolean(field.type)
        and not BOOLEAN.match(name_of(place))
        and not COMMAND.match(name_of(place))
        and name_of(place) not in COMMANDS | PLAIN_BOOLEANS.keys()
    ]
    assert strange == []


# --- one word for each thing ---------------------------------------------------------------------


def test_states_are_called_status() -> None:
    for place, field in output_fields():
        type_ = get_named_type(field.type)
        assert not type_.name.endswith("State"), place
        if is_enum_type(type_) and type_.name.endswith("Status"):
            assert name_of(place) == "status", place


def test_what_went_wrong_is_called_failure_reason() -> None:
    """Other reasons say what was done on purpose: `disabledReason`, `revokedReason`."""
    forbidden = re.compile(r"^(reason|error|lastError|failure|failed|problem)$")
    strange = [
        place
        for place, field in output_fields()
        if forbidden.match(name_of(place)) and get_named_type(field.type).name == "String"
    ]
    assert strange == []


def test_enums_have_the_name_of_their_object() -> None:
    """`Role`, `Permission` and the like will be wanted for other things."""
    bare = {"Role", "Permission", "Platform", "Connector", "Payload", "State", "Status", "Kind"}
    assert [name for name in SCHEMA.type_map if name in bare] == []


# --- units and formats ---------------------------------------------------------------------------

# A unit in a name says that the type does not say it.
UNITS: Final = re.compile(r"(Seconds|Minutes|Hours|Days|Ms|Millis)$|^expiresIn$")
UNIT_NAMES: Final = {"allowOver24Hours": "a rule of 24 hours, and no quantity"}
SCALARS: Final = {
    r"(^url$|Url$)": "URL",
    r"(^html$|Html$)": "HTML",
    r"^timezone$": "TimeZone",
    r"^time$": "LocalTime",
    r"^color$": "Color",
    r"^body$": "Markdown",
    r"^description$": "Markdown",
    r"^(duration|estimate|tracked|offset|overlap)$": "Seconds",
    r"At$": "DateTime",
    r"(^day$|Day$|On$)": "Date",
    r"^(scopes)$": "ApiKeyScope",
}
# The same word for something else.
OTHER_VALUES: Final = {
    "ReminderMonthly.day": "a day of the month, 1 to 31",
    "ReminderMonthlyInput.day": "a day of the month, 1 to 31",
}


def test_units_are_told_by_the_type() -> None:
    places = [place for place, _ in itertools.chain(output_fields(), input_fields())]
    strange = [
        place
        for place in places
        if UNITS.search(name_of(place)) and name_of(place) not in UNIT_NAMES
    ]
    assert strange == []


def test_values_of_one_kind_have_one_scalar() -> None:
    strange = []
    for place, field in itertools.chain(output_fields(), input_fields()):
        type_ = get_named_type(field.type)
        for pattern, scalar in SCALARS.items():
            if not re.search(pattern, name_of(place)) or place in OTHER_VALUES:
                continue
            # Filters have comparators, orderings a direction; inputs have fields of their own.
            if is_input_object_type(type_) or type_.name in {scalar, "SortOrder", "Boolean"}:
                continue
            strange.append(f"{place}: {type_.name}")
    assert strange == []


# --- lists ---------------------------------------------------------------------------------------

PAGING: Final = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
# Lists that cannot be filtered or ordered, and why.
FIXED_LISTS: Final = {
    "search": "ranked by how well it matches",
    "trash": "the last deleted first; of two kinds",
    "revisions": "the history of one comment",
    "attempts": "the few attempts of one delivery",
    "problems": "what is wrong with one integration now",
}
# The list is cut by something else.
UNFILTERED: Final = {"TimeReport.timeEntries", "TimeReportGroup.timeEntries"}


def lists() -> dict[str, GraphQLField]:
    return {
        place: field
        for place, field in output_fields()
        if get_named_type(field.type).name.endswith("Connection")
    }


@pytest.mark.parametrize("place", lists())
def test_lists_are_alike(place: str) -> None:
    field = lists()[place]
    connection: Any = get_named_type(field.type)
    item = get_named_type(connection.fields["nodes"].type).name
    arguments = {name: str(argument.type) for name, argument in field.args.items()}
    assert {name: arguments[name] for name in PAGING} == PAGING
    if name_of(place) in FIXED_LISTS:
        return
    if place not in UNFILTERED:
        assert arguments["filter"] == f"{item}Filter"
    assert arguments["orderBy"].rstrip("!") == f"[{item}Order!]"
    assert set(arguments) - PAGING.keys() - {"filter", "orderBy"} == set()
    assert not any(is_required_argument(argument) for argument in field.args.values())


def connections() -> list[GraphQLObjectType]:
    return [type_ for type_ in objects() if type_.name.endswith("Connection")]


@pytest.mark.parametrize("connection", connections(), ids=str)
def test_connections_are_alike(connection: GraphQLObjectType) -> None:
    name = connection.name.removesuffix("Connection")
    shape = {key: str(field.type) for key, field in connection.fields.items()}
    node = get_named_type(connection.fields["nodes"].type).name
    assert shape == {
        "edges": f"[{name}Edge!]!",
        "nodes": f"[{node}!]!",
        "pageInfo": "PageInfo!",
        "totalCount": "Int",
    }
    edge: Any = SCHEMA.type_map[f"{name}Edge"]
    assert {key: str(field.type) for key, field in edge.fields.items()} == {
        "cursor": "String!",
        "node": f"{node}!",
    }


def orders() -> list[GraphQLInputObjectType]:
    return [type_ for type_ in inputs() if type_.name.endswith("Order")]


def test_orderings_are_one_word_for_each_key() -> None:
    names = {type_.name for type_ in orders()}
    assert names
    for type_ in orders():
        assert type_.is_one_of, type_.name
        for key, field in type_.fields.items():
            ordering = get_named_type(field.type).name
            assert ordering == "SortOrder" or ordering in names, f"{type_.name}.{key}"


def filters() -> list[GraphQLInputObjectType]:
    """Filters of objects, and not comparators of values."""
    return [type_ for type_ in inputs() if type_.name.endswith("Filter") and "and" in type_.fields]


# What stands beside the comparators of one value, or sorts the conditions of a report.
EQUALITY: Final = {"eq", "notEq", "in", "notIn", "isNull"}
ORDERED: Final = EQUALITY | {"lt", "lte", "gt", "gte"}
TEXT: Final = EQUALITY | {"contains", "startsWith", "endsWith"}
ELSE: Final = {
    "SearchFilter": "of a ranked list",
    "TimeReportFilter": "the days of a report, and a filter of its entries",
}


def test_filters_can_be_combined() -> None:
    for type_ in filters():
        own = type_.name
        logic = {key: str(type_.fields[key].type) for key in ("and", "or", "not")}
        assert logic == {"and": f"[{own}!]", "or": f"[{own}!]", "not": own}


def test_comparators_are_alike() -> None:
    objects_ = {type_.name for type_ in filters()}
    lists_ = {type_.name for type_ in inputs() if type_.name.endswith("ListFilter")}
    for type_ in inputs():
        if not type_.name.endswith("Filter") or type_.name in objects_ | lists_ | ELSE.keys():
            continue
        keys = set(type_.fields)
        value = get_named_type(type_.fields["eq"].type).name
        if value == "String":
            assert keys == TEXT
        elif value in {"Date", "DateTime"}:
            assert keys == ORDERED | {"within"}
        else:
            assert keys in (EQUALITY, ORDERED), type_.name
    for name in lists_:
        listed: Any = SCHEMA.type_map[name]
        assert set(listed.fields) == {"some", "none", "every"}


def test_relations_are_filtered_in_one_way() -> None:
    """By `assignee: { id: … }`, and not by `assigneeId` as well; what may be null can be asked."""
    strange = [
        f"{type_.name}.{key}"
        for type_ in filters()
        for key in type_.fields
        if re.search(r"Ids?$", key) and key != "externalId"
    ]
    assert strange == []
    for type_ in filters():
        for key, field in type_.fields.items():
            relation: Any = get_named_type(field.type)
            if key in {"and", "or", "not"} or relation not in filters():
                continue
            row: Any = SCHEMA.type_map.get(type_.name.removesuffix("Filter"))
            other = row.fields.get(key) if isinstance(row, GraphQLObjectType) else None
            if other is not None and not is_non_null_type(other.type) and key != "event":
                assert "isNull" in relation.fields, f"{type_.name}.{key}"


def test_filters_ask_for_what_objects_have() -> None:
    """A condition has the name of the field that it is about."""
    more = {"and", "or", "not", "search", "isNull", "isMe", "isOpen", "isDeleted", "isArchived"}
    # Of several fields together, or of one that is found by its type.
    other = {
        "EventFilter.subjectType",
        "ReminderFilter.ruleKind",
        "ExternalReferenceFilter.url",
    }
    account: Any = SCHEMA.type_map["User"]
    for type_ in filters():
        row: Any = SCHEMA.type_map[type_.name.removesuffix("Filter")]
        known = row.fields.keys() | more
        if type_.name == "AdminUserFilter":
            known = known | account.fields.keys()
        strange = [
            key for key in type_.fields if key not in known and f"{type_.name}.{key}" not in other
        ]
        assert strange == [], type_.name


# --- errors stay where they are ------------------------------------------------------------------

# Null where it says something: nothing is there, or nobody is signed in.
MEANS_NOTHING: Final = re.compile(r"^(viewer|node|rateLimit)$")


def semantic_non_null() -> set[str]:
    """The places that are marked in the printed schema; introspection does not show directives."""
    printed = build_schema(schema.as_str())
    found = set()
    for type_ in printed.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                node = field.ast_node
                if node is not None and any(
                    directive.name.value == "semanticNonNull" for directive in node.directives or ()
                ):
                    found.add(f"{type_.name}.{name}")
    return found


def test_a_failing_field_leaves_its_neighbors_alone() -> None:
    """What can fail by itself is nullable: root fields, lists with their arguments, and counts."""
    strict = [
        f"{root}.{name}"
        for root, type_ in roots().items()
        for name, field in type_.fields.items()
        if is_non_null_type(field.type)
    ]
    strict += [place for place, field in lists().items() if is_non_null_type(field.type)]
    assert strict == []


def test_null_that_can_only_be_an_error_is_marked() -> None:
    marked = semantic_non_null()
    places = set(lists()) | {f"{type_.name}.totalCount" for type_ in connections()}
    for root, type_ in roots().items():
        for name, field in type_.fields.items():
            by_id = root == "Query" and set(field.args) == {"id"}
            if not by_id and not MEANS_NOTHING.match(name):
                places.add(f"{root}.{name}")
    assert places - marked == set()
    printed: dict[str, GraphQLNamedType] = dict(SCHEMA.type_map)
    for place in marked:
        type_name, _, name = place.partition(".")
        holder = printed[type_name]
        assert isinstance(holder, GraphQLObjectType)
        assert not is_non_null_type(holder.fields[name].type), place
