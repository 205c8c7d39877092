"""The schema as a reader of the explorer and a generator of clients find it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLSchema,
    Undefined,
    build_schema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_input_type,
    is_interface_type,
    is_introspection_type,
    is_non_null_type,
    is_object_type,
    is_scalar_type,
    is_specified_scalar_type,
    parse_value,
)
from graphql.utilities import coerce_input_literal

from graph.request.deprecation import reasons, removal_of
from graph.schema import schema, sdl

SCHEMA: GraphQLSchema = schema._schema


def types() -> Iterator[Any]:
    for type_ in SCHEMA.type_map.values():
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_):
            yield type_


def inputs() -> Iterator[tuple[str, Any]]:
    """Every argument and input field, by its place."""
    for type_ in types():
        if is_input_object_type(type_):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field
        elif is_object_type(type_) or is_interface_type(type_):
            for name, field in type_.fields.items():
                for argument, taken in field.args.items():
                    yield f"{type_.name}.{name}({argument}:)", taken


def outputs() -> Iterator[tuple[str, Any]]:
    for type_ in types():
        if is_object_type(type_) or is_interface_type(type_):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field


def described() -> list[tuple[str, str]]:
    """Everything in the schema by its place, with its description."""
    values = (
        (f"{type_.name}.{name}", value)
        for type_ in types()
        if is_enum_type(type_)
        for name, value in type_.values.items()
    )
    directives = ((f"@{directive.name}", directive) for directive in SCHEMA.directives)
    things = [
        *((type_.name, type_) for type_ in types()),
        *outputs(),
        *inputs(),
        *values,
        *directives,
    ]
    return [(place, thing.description or "") for place, thing in things]


def test_everything_is_described() -> None:
    things = described()
    assert len(things) > 500
    assert [place for place, description in things if not description.strip()] == []


def test_an_input_is_described_by_its_mutation() -> None:
    assert SCHEMA.mutation_type is not None
    for name, field in SCHEMA.mutation_type.fields.items():
        assert field.args["input"].description == f"Input for `{name}`."


def test_the_printed_schema_has_the_description_of_the_schema() -> None:
    printed = build_schema(sdl())
    assert printed.description == SCHEMA.description
    assert printed.description is not None
    assert "Authorization: Bearer" in printed.description


def test_what_may_be_left_out_has_no_null_as_default() -> None:
    """`= null` would say that null and left out are one; in updates they are not."""
    defaults = [name for name, field in inputs() if field.default_value is None]
    assert defaults == []


def test_what_must_be_given_has_no_default() -> None:
    for name, field in inputs():
        if field.default_value is not Undefined:
            assert not is_non_null_type(field.type) or field.default_value is not None, name


def test_scalars_say_where_they_are_specified() -> None:
    unspecified = [
        type_.name for type_ in types() if is_scalar_type(type_) and not type_.specified_by_url
    ]
    assert unspecified == []


def test_each_mutation_takes_one_input_and_answers_a_payload() -> None:
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert list(field.args) == ["input"], name
        assert is_non_null_type(field.args["input"].type), name
        payload: Any = field.type
        assert payload.name.endswith("Payload"), name
        assert {str(payload.fields[own].type) for own in ("errors", "replayed")} == {
            "[UserError!]!",
            "Boolean!",
        }
        given = field.args["input"].type.of_type.fields
        assert "idempotencyKey" in given, name


# Inputs that name an object by its id and take no version, each with its reason.
UNVERSIONED = {
    "ApiKeyRevokeInput": "ends it, whatever was changed",
    "AttachmentDeleteInput": "an attachment never changes",
    "IntegrationSyncInput": "has its worker look now: changes nothing that was typed in",
    "AdminJobRetryInput": "a job has no version; only one that failed is queued again",
    "ProjectRestoreInput": "what is in the trash does not change",
    "TaskRestoreInput": "what is in the trash does not change",
    "AdminUserActivateInput": "switches an account on",
    "AdminUserDeactivateInput": "switches an account off",
    "AdminUserSessionsRevokeInput": "ends sessions",
    "WebhookDeliveryRetryInput": "sends something again",
    "WebhookReplayInput": "sends something again",
    "WebhookTestInput": "sends something",
}


def test_each_update_takes_a_version() -> None:
    """Whatever changes an object by its id compares versions, or has a reason above."""
    unversioned = {
        type_.name
        for type_ in types()
        if is_input_object_type(type_)
        and type_.name.endswith("Input")
        and "id" in type_.fields
        and is_non_null_type(type_.fields["id"].type)
        and "ifVersion" not in type_.fields
    }
    assert sorted(unversioned - UNVERSIONED.keys()) == []
    assert sorted(UNVERSIONED.keys() - unversioned) == [], "listed without a reason"


def test_what_can_fail_by_itself_is_nullable() -> None:
    """So that one failure does not empty the answer. An argument other than a Boolean can be given
    a value that is refused.
    """
    assert SCHEMA.subscription_type is not None
    for name, field in outputs():
        type_name, _, field_name = name.partition(".")
        if type_name == SCHEMA.subscription_type.name:
            continue
        refusable = any(str(arg.type).strip("!") != "Boolean" for arg in field.args.values())
        if type_name in ("Query", "Mutation") or refusable or field_name == "totalCount":
            assert not is_non_null_type(field.type), name


def test_what_is_null_only_with_an_error_says_so() -> None:
    """By `@semanticNonNull`, for clients that type such fields as non-null."""
    printed = build_schema(sdl())
    assert printed.query_type is not None
    assert printed.mutation_type is not None
    marked = {
        f"{type_.name}.{name}"
        for type_ in printed.type_map.values()
        if is_object_type(type_)
        for name, field in type_.fields.items()
        if field.ast_node is not None
        and any(use.name.value == "semanticNonNull" for use in field.ast_node.directives or ())
    }
    # An object that does not exist, or is hidden, is null too; so are what a signed out client
    # and a webhook's payload do not have.
    may_be_null = {
        f"Query.{name}"
        for name, field in printed.query_type.fields.items()
        if "id" in field.args or name in ("viewer", "rateLimit")
    }
    lists = {name for name, field in outputs() if str(field.type).endswith("Connection")}
    counts = {name for name, _ in outputs() if name.endswith(".totalCount")}
    mutations = {f"Mutation.{name}" for name in printed.mutation_type.fields}
    queries = {f"Query.{name}" for name in printed.query_type.fields}
    # Of the shape that another node's field of this name has.
    shaped = {
        "Attachment.byteSize",
        "Attachment.downloadUrl",
        "IntegrationProblem.failureReason",
        "Session.expiresAt",
        "Session.lastUsedAt",
    }
    of_viewer = {
        f"Viewer.{name}"
        for name in ("activityStats", "notificationPreferences", "unreadNotificationCount")
    }
    others = {"Project.stats", "Reminder.nextRuns", *shaped, *of_viewer}
    assert marked == (lists | counts | mutations | queries | others) - may_be_null


def test_lists_are_connections() -> None:
    for name, field in outputs():
        # A log and a ranking are read forward only.
        forward_only = {"Query.events", "Query.search"}
        if str(field.type).endswith("Connection") and name not in forward_only:
            paging = {"first", "after", "last", "before"}
            assert paging <= set(field.args), name
            connection = field.type
            assert {"edges", "nodes", "pageInfo", "totalCount"} <= set(connection.fields), name


def test_every_mutation_has_a_payload_of_its_own() -> None:
    assert SCHEMA.mutation_type
    fields = SCHEMA.mutation_type.fields
    named: dict[str, Any] = {name: get_named_type(fields[name].type) for name in fields}
    assert {name: type_.name for name, type_ in named.items()} == {
        name: f"{name[0].upper()}{name[1:]}Payload" for name in fields
    }
    for name, type_ in named.items():
        assert str(type_.description).startswith(f"Payload of `{name}`"), name


def test_deprecations_say_what_to_use_and_until_when() -> None:
    """As `docs/deprecation.md` promises."""
    for place, reason in reasons(schema._schema).items():
        assert re.match(r"Use .+\. Removed after \d{4}-\d\d-\d\d\.$", reason), place
        assert removal_of(reason) is not None, place


# Names of something else: of requests, of browsers, of the columns of files.
OUTSIDE = {
    "PushSubscription", "EventSource", "toJSON", "applicationServerKey", "retryAfter",
    "originalStart", "originalEnd", "durationSeconds", "projectName", "taskTitle",
}  # fmt: skip


def test_descriptions_name_what_is_in_the_schema() -> None:
    names = {name for place, _ in described() for name in re.findall(r"\w+", place)}
    strange = {
        (place, word)
        for place, description in described()
        for code in re.findall(r"`([^`]+)`", description)
        for word in re.findall(r"\b(?:[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w+|[A-Z]+_[A-Z_]+)\b", code)
        if word not in names | OUTSIDE
    }
    assert strange == set()


def test_values_in_descriptions_are_valid() -> None:
    """`filter: {parent: {isNull: true}}` is a value of the described field's argument `filter`, or
    of any argument or field of that name if it has none.
    """
    by_place = {place: thing.type for place, thing in [*inputs(), *outputs()]}
    wrong = [
        (place, f"{name}: {value}")
        for place, description in described()
        for name, value in re.findall(r"`([a-z]\w*): ([^`…]+)`", description)
        if not any(
            coerce_input_literal(parse_value(value), type_) is not Undefined
            for type_ in _types_of(name, place, by_place)
        )
    ]
    assert wrong == []


def _types_of(name: str, place: str, by_place: dict[str, Any]) -> list[Any]:
    own = by_place.get(f"{place}({name}:)")
    if own is not None:
        return [own]
    named = [type_ for at, type_ in by_place.items() if re.findall(r"\w+", at)[-1] == name]
    return [type_ for type_ in named if is_input_type(type_)]


# What a client has from elsewhere, and what names something that there is.
WITHOUT_LIMIT = {
    "password", "currentPassword", "token", "code", "refreshToken", "login", "repository",
    "filename", "csv", "payload", "query", "ifVersion",
    # A language tag has its own form.
    "locale",
    "PasswordResetRequestInput.email",
    "TaskTagsRemoveInput.tags",
}  # fmt: skip


def test_texts_and_lengths_of_inputs_say_their_limit() -> None:
    silent = [
        place
        for place, field in inputs()
        if place.partition(".")[0].endswith(("Input", "Item"))
        and get_named_type(field.type).name in {"String", "Markdown", "Seconds"}
        and not WITHOUT_LIMIT & {place, place.partition(".")[2]}
        and not re.search(r"\d|one year", field.description or "")
    ]
    assert silent == []
