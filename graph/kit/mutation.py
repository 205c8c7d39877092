"""What all mutations share: the transaction, idempotency, retries, failures and the payload.

A mutation is a function of a `Work` and an input that returns what its payload refers to:

    async def create(work: Work, data: TaskCreateInput) -> Refs:
        task = await domain.tasks.task.create(work, ...)
        return {"task": task.id}

    task_create: TaskCreatePayload = mutation(create, TaskCreateInput, "Creates a task.")

A function that does only a part of its work, or is a dry run, returns an `Outcome`. The payload's
fields are read after the commit, through the access rules, like everything else. Several mutations
in one document are one transaction each.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import Table
from sqlalchemy import inspect as inspect_model
from sqlalchemy.exc import DBAPIError
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.maybe import Some

from auth.viewer import NOBODY, ViewerShape
from db.base import Base
from db.statements import AnyRow, Row, Statement
from domain import idempotency
from domain.json_value import json_value
from domain.work import Work, is_retried
from errors import ErrorCode, Failure, collecting, demand_no_problems, each
from files.upload import Upload
from graph.core import ids
from graph.core.context import Context
from graph.core.errors import UserError, camel, user_errors
from graph.core.fields import BatchField, BatchInfo, argument, batch, derived
from graph.core.inputs import UpdateInput
from graph.core.node import TYPE_NAMES, is_type_by_class
from graph.engine.sql_json import KEY_ONLY, Columns, span_columns
from graph.engine.state import EngineState
from graph.kit import references
from graph.kit.loading import ObjectLoaders, columns_of_objects, load_objects

Refs = Mapping[str, Any]

# Key of the failures of a partly done mutation, in what is stored for a repeat.
_FAILURES = "_failures"

# Per input; a bulk mutation reports up to this many per item.
MAX_ERRORS = 20

# Failures of the request, not of the input, are top-level errors.
_TOP_LEVEL = {
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
    ErrorCode.TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a mutation that was done in part, or was a dry run.

    `failures` are reported in the payload beside the refs. `undo`: roll back everything, including
    the idempotency key, so that it can be sent again.
    """

    refs: Refs
    failures: Sequence[Failure] = ()
    undo: bool = False


@dataclass(frozen=True, slots=True)
class ReturnedColumns:
    """The columns that a statement returns of a row that it inserted, of those of the row's
    table.
    """

    columns: Columns
    viewer: ViewerShape

    def __call__(self, table: Table) -> list[Any]:
        """The columns, labelled; the id is always among them."""

        def value_of(label: str) -> str:
            # By name: in RETURNING, SQLAlchemy would add the table's column as another table to
            # read from.
            return f'{table.name}."{label}"'

        labels = sorted({*self.columns.labels, "id"})
        plain = [table.c[label].label(label) for label in labels]
        return [*plain, *span_columns(value_of, self.columns.spans, self.viewer)]


ONLY_ID = ReturnedColumns(KEY_ONLY, NOBODY.shape)

Function = Callable[[Work, Any], Awaitable[Refs | Outcome]]
# Does the mutation in a single statement if that is possible; otherwise does nothing and returns
# None, and the function does it. Receives the columns that the response needs of the object, if it
# needs nothing else, and may return a row with these columns instead of its id: the user who
# created the object can see it.
AtOnce = Callable[[Work, Any, "ReturnedColumns | None"], Awaitable[Refs | None]]
# Raises `RateLimited` if the mutation was done too often; see `graph.kit.rates`.
Limit = Callable[[Context, Any], Awaitable[None]]


@dataclass(slots=True)
class PayloadValue:
    """The source of a payload's fields. `refs`: ids of rows, or plain values."""

    refs: Refs = field(default_factory=dict)
    errors: list[UserError] = field(default_factory=list)
    replayed: bool = False


@strawberry.interface(description="The result of a mutation.")
class MutationPayload:
    errors: list[UserError] = derived(
        (),
        lambda value: value.errors,
        "Errors that prevented the mutation, or parts of it. Empty on success.",
    )
    replayed: bool = derived(
        (),
        lambda value: value.replayed,
        "True if a mutation with this idempotency key was already done; the payload is then that "
        "of the first call, without secrets.",
    )


def payload(description: str) -> Callable[[type[Any]], type[Any]]:
    """Declare a payload type. The mutation decides which payload it is, so no type is probed."""

    def declare(cls: type[Any]) -> type[Any]:
        is_type_by_class(cls, lambda kind: issubclass(kind, PayloadValue))
        return strawberry.type(cls, description=description)

    return declare


def shared_payload(on_conflict: str = "") -> Callable[[type[Any]], type[Any]]:
    """Declare the fields of several mutations' payloads.

    A root field with this type has a payload of its own: `task_create` a `TaskCreatePayload`.
    `on_conflict` completes "On `CONFLICT`, …" in the descriptions of those that may conflict.
    """

    def declare(cls: type[Any]) -> type[Any]:
        declared = strawberry.type(cls)
        _SHARED[declared] = on_conflict
        return declared

    return declare


_SHARED: dict[Any, str] = {}


@cache
def _own_payload(shared: type[Any], name: str, *, conflicts: bool) -> type[Any]:
    text = f"Payload of `{name}`."
    if conflicts and _SHARED[shared]:
        text = f"{text} On `CONFLICT`, {_SHARED[shared]}"
    own = type(f"{name[0].upper()}{name[1:]}Payload", (shared,), {"__module__": shared.__module__})
    return payload(text)(own)


class MutationField(BatchField):
    """A root field of `Mutation`; its type may be a `shared_payload`."""

    _own = (*BatchField._own, "conflicts")  # noqa: SLF001 - of the base class
    # Whether its input has `ifVersion`.
    conflicts: bool = False

    def annotated_type(self, type_definition: StrawberryObjectDefinition | None) -> Any:
        """The type that is written at the field, or its own payload."""
        found: Any = super().annotated_type(type_definition)
        if isinstance(found, type) and found in _SHARED:
            return _own_payload(found, camel(self.python_name), conflicts=self.conflicts)
        return found


def ref(model: type[Base], description: str, name: str | None = None) -> Any:
    """A payload's object, read after the commit; null if the mutation failed or the viewer can no
    longer see it.

    A row that the mutation returned (see `AtOnce`) is used as it is.
    """
    key = name or _snake(TYPE_NAMES.get(model, model.__name__))

    async def rows(parents: Sequence[PayloadValue], info: BatchInfo) -> Sequence[AnyRow | None]:
        refs = [parent.refs.get(key) for parent in parents]
        if all(isinstance(given, Row) for given in refs):
            return refs
        return await load_objects(info, model, [uuid_of(given) for given in refs])

    return batch(rows, description)


def value(key: str, description: str, *, default: Any = None) -> Any:
    """A plain value of a payload; `default` if the mutation failed."""
    return derived((), lambda source: source.refs.get(key, default), description)


def moment(key: str, description: str) -> Any:
    """A time of a payload; that of a repeated mutation was stored as text."""

    def read(source: PayloadValue) -> dt.datetime | None:
        stored = source.refs.get(key)
        return dt.datetime.fromisoformat(stored) if isinstance(stored, str) else stored

    return derived((), read, description)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def uuid_of(value: Any) -> UUID | None:
    """An id among the refs, which is a text if the payload is repeated."""
    return UUID(value) if isinstance(value, str) else value


def mutation(
    function: Callable[..., Awaitable[Refs | Outcome]],
    input_type: Any,
    description: str,
    *,
    public: bool = False,
    in_context: bool = False,
    around: Callable[[Context, Any], AbstractAsyncContextManager[Any]] | None = None,
    secrets: Sequence[str] = (),
    limit: Limit | None = None,
    single_statement: tuple[type[Base], AtOnce] | None = None,
    deprecation_reason: str | None = None,
) -> Any:
    """A root field of `Mutation`.

    `public`: also for clients that are signed out or whose credentials are no longer valid,
    whatever header they send. `in_context`: the function takes the operation's `Context` before the
    work. `around`: what is done outside the transaction, before and after it, because it takes too
    long for one (bytes of a file); the function takes its value before the work. `secrets`: keys of
    the refs that are not stored, so that a repeat does not return them again. `limit`: how often it
    may be done, one of `graph.kit.rates`. `single_statement`: tried first if there is no
    idempotency key, with the model of what it returns.
    """

    async def run(_: Sequence[Any], info: BatchInfo, **arguments: Any) -> list[PayloadValue]:
        context = info.context
        if not public:
            context.viewer.require()
        data = arguments["input"]
        name = info.field.python_name
        named: Mapping[ids.Name, UUID] = {}
        try:
            if limit is not None:
                await limit(context, data)
            call = partial(function, context) if in_context else function
            named = await references.found_by_name(context, data)
            # Problems of the input are collected until the first statement.
            with ids.named(named), collecting():
                if single_statement is not None and not isinstance(_key(data), str):
                    model, function_at_once = single_statement
                    done = await _immediate(context, function_at_once, data, _wanted(info, model))
                    if done is not None:
                        return [done]
                if around is None:
                    return [await _in_transaction(context, call, name, data, secrets)]
                async with around(context, data) as made:
                    call = partial(call, made)
                    return [await _in_transaction(context, call, name, data, secrets)]
        except Failure as failure:
            failures = list(each(failure))
            for single in failures:
                if single.code in _TOP_LEVEL:
                    raise single from None
            if not any(_is_refusal(single) for single in failures):
                fetch = partial(_read, context)
                with ids.named(named):
                    failures += await references.broken(context.viewer, fetch, data, failures)
            shown = _shown(context, _in_order(data, failures)[:MAX_ERRORS])
            return [PayloadValue(failure.refs, shown)]
        finally:
            # Later fields of this document must read the state after this mutation.
            context.of(ObjectLoaders).clear()
            context.loaders.clear()

    def arguments(name: str) -> list[StrawberryArgument]:
        text = f"Input for `{camel(name)}`."
        return [argument("input", input_type, text, default=inspect.Parameter.empty)]

    made = batch(
        run,
        description,
        arguments=arguments,
        deprecation_reason=deprecation_reason,
        kind=MutationField,
    )
    made.public = public
    made.conflicts = issubclass(input_type, UpdateInput)
    return made


def _is_refusal(failure: Failure) -> bool:
    """Whether nothing else of the input matters: the viewer may not do this at all, or the key was
    used for something else.
    """
    if failure.code is ErrorCode.IDEMPOTENCY_MISMATCH:
        return True
    return failure.code is ErrorCode.FORBIDDEN and not failure.path


async def _read(context: Context, statement: Statement, params: Mapping[str, Any]) -> list[Row]:
    params = {**context.viewer.params, **params}
    rows: list[Row] = await context.services.database.reader.fetch(statement, params)
    return rows


def _in_order(data: Any, failures: Iterable[Failure]) -> list[Failure]:
    return sorted(failures, key=lambda single: _place(data, single.path))


def _place(data: Any, path: Sequence[str]) -> list[int]:
    """The position that a path leads to in an input, by the order of fields and items."""
    places: list[int] = []
    for part in path:
        if isinstance(data, Some):
            data = data.value
        if isinstance(data, list):
            index = int(part) if part.isdigit() else len(data)
            places.append(index)
            data = data[index] if index < len(data) else None
            continue
        declared = getattr(data, "__strawberry_definition__", None)
        names = [field.python_name for field in declared.fields] if declared else []
        shown = [camel(name) for name in names]
        index = shown.index(camel(part)) if camel(part) in shown else len(shown)
        places.append(index)
        data = getattr(data, names[index]) if index < len(names) else None
    return places


def _shown(context: Context, failures: Sequence[Failure]) -> list[UserError]:
    for single in failures:
        if single.path and single.path[0] != "input":
            single.under("input")
    docs = f"{context.services.settings.server.public_url}/docs/errors"
    return user_errors(failures, docs)


async def _immediate(
    context: Context, function: AtOnce, data: Any, wanted: ReturnedColumns | None
) -> PayloadValue | None:
    try:
        refs = await context.services.transactions.single(
            lambda work: function(work, data, wanted),
            context.viewer,
            now=context.now,
            request=context.request,
        )
    except DBAPIError as error:
        if is_retried(error):
            return None
        raise
    return None if refs is None else PayloadValue(refs)


def _wanted(info: BatchInfo, model: type[Base]) -> ReturnedColumns | None:
    """The columns of this model that the operation needs; None if it needs more than columns."""
    serialized = info.context.of(EngineState).columns
    selection_index = info.selection.selection_index
    known = (serialized or selection_index).statements
    place = (ReturnedColumns, model, info.viewer.shape)
    if place not in known:
        columns = columns_of_objects(model, serialized, selection_index)
        only = columns.labels <= _column_names(model)
        known[place] = ReturnedColumns(columns, info.viewer.shape) if only else None
    found: ReturnedColumns | None = known[place]
    return found


@cache
def _column_names(model: type[Base]) -> frozenset[str]:
    return frozenset(inspect_model(model).columns.keys())


def _key(data: Any) -> Any:
    return getattr(data, "idempotency_key", strawberry.UNSET)


async def _in_transaction(
    context: Context, function: Function, name: str, data: Any, secrets: Sequence[str]
) -> PayloadValue:
    key = _key(data)
    keyed = idempotency.is_key(key)

    async def act(work: Work) -> PayloadValue:
        if keyed:
            earlier = await idempotency.claim(work, key, name, _hash(context, name, data))
            if earlier is not None:
                errors = _shown(context, _recalled(earlier.pop(_FAILURES, ())))
                return PayloadValue(earlier, errors, replayed=True)
        done = await function(work, data)
        demand_no_problems()
        outcome = done if isinstance(done, Outcome) else Outcome(done)
        if outcome.failures:
            broken = await references.broken(
                work.viewer, work.fetch, data, outcome.failures, items=True
            )
            # Before they are kept, so that a repeat tells them in the same order.
            failures = _in_order(data, [*outcome.failures, *broken])
            outcome = replace(outcome, failures=failures)
        if outcome.undo:
            raise _Undone(outcome)
        if keyed:
            await idempotency.remember(work, key, _kept(outcome, secrets))
        return _value(context, outcome)

    try:
        return await context.transact(act)
    except _Undone as undone:
        return _value(context, undone.outcome)


class _Undone(Exception):  # noqa: N818 - what leaves a transaction by it is rolled back, no more
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def _value(context: Context, outcome: Outcome) -> PayloadValue:
    return PayloadValue(outcome.refs, _shown(context, outcome.failures))


def _hash(context: Context, name: str, data: Any) -> list[bytes]:
    plain = json_value(data, _simpler)
    del plain["idempotency_key"]
    return idempotency.hash_input(name, plain, context.services.settings.auth.secrets)


def _kept(outcome: Outcome, secrets: Sequence[str]) -> dict[str, Any]:
    """What a repeat is answered with."""
    kept = {k: json_value(v) for k, v in outcome.refs.items() if k not in secrets}
    if outcome.failures:
        kept[_FAILURES] = [
            [
                single.code.name,
                single.message,
                list(single.path),
                single.fields,
                single.limit,
                single.actual,
            ]
            for single in outcome.failures
        ]
    return kept


def _recalled(kept: Sequence[Any]) -> list[Failure]:
    return [
        Failure(message, path=path, code=ErrorCode[code], fields=fields, limit=limit, actual=actual)
        for code, message, path, fields, limit, actual in kept
    ]


def _simpler(value: Any) -> Any:
    """Values that occur only in inputs, in terms of `json_value`."""
    if isinstance(value, Some):
        return {"some": value.value}
    if isinstance(value, Upload):
        return value.fingerprint
    if dataclasses.is_dataclass(value):
        return {
            item.name: getattr(value, item.name)
            for item in dataclasses.fields(value)
            if getattr(value, item.name) is not strawberry.UNSET
        }
    return value
