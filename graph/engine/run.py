"""A run of a plan: breadth first, a column at a time.

`_objects` is the core: given all objects at a position, it gets each field's column (`sources`),
completes it, and assembles the objects of the answer (`columns`). Completing a column of objects
calls `_objects` again with all of them, in however many lists they came. Asynchronous fields run
concurrently, and each continues with its own children as soon as it has its values.

`_complete` follows graphql-core's `complete_value` rule by rule, with the same messages; a clean
column has been completed before it is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import orjson
from graphql import GraphQLAbstractType, GraphQLError, GraphQLResolveInfo
from graphql.execution.executor import Executor, default_type_resolver, invalid_return_type_error
from graphql.execution.values import VariableValues
from graphql.pyutils import Path, is_iterable
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable
from strawberry.types.cast import get_strawberry_type_cast

from graph.core.context import Context
from graph.core.executed import Data, ErrorBehavior, Interrupted
from graph.engine.columns import (
    Column,
    Failed,
    Parents,
    deduplicate,
    is_null,
    scatter,
    special,
    unflatten,
)
from graph.engine.plan import (
    FieldPlan,
    ObjectPlan,
    ObjectText,
    Plan,
    Shape,
    TextAssembler,
    TextSegment,
)
from graph.engine.replay import Replay, forbidden_null, nulls_parent
from graph.engine.serialization import mark, plan_columns, text_of, texts_of
from graph.engine.sql_json import UNKNOWN, UNKNOWN_JSON, JsonSpan
from graph.engine.state import EngineState

# From this many objects on, the run checks whether they are the same few, repeated.
_MANY = 16
# How many classes a shape remembers.
_MOST_CLASSES = 64


class Run:
    """One execution of a plan. `executor` makes graphql-core's executor if it is needed.

    If `serialized`, objects are JSON texts instead of dicts wherever possible, and are in the
    answer as `orjson.Fragment`s; the answer itself may be one. `on_error`: what a failure does to
    the answer.
    """

    def __init__(
        self,
        plan: Plan,
        context: Context,
        variables: VariableValues,
        root_value: Any,
        executor: Callable[[], Executor[Any]],
        *,
        serialized: bool = False,
        on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
    ) -> None:
        self.plan = plan
        # Whether objects are assembled as text if possible; see graph.engine.serialization.
        self.serialized = serialized
        self._on_error = on_error
        self.context = context
        self.variables = variables
        self._root_value = root_value
        self._make_executor = executor
        self._executor: Executor[Any] | None = None
        self._state = context.of(EngineState)
        self._explanation = self._state.explanation
        # See graph.engine.replay.
        self._failing: set[FieldPlan] = set()
        self._abstract: list[tuple[ObjectPlan, list[dict[str, Any]]]] = []
        # Failures in serialized parts, by their marks there.
        self._marked: dict[str, Failed] = {}

    async def execute(self) -> tuple[Data | None, list[GraphQLError]]:
        """The answer's data, and its errors in the order of the answer."""
        root = self.plan.root
        self._state.branches = 1
        if self._explanation is not None:
            self._explanation.plan = self.plan
            self._explanation.serialized = self.serialized
        if self.serialized:
            if self.plan.columns is None:
                self.plan.columns = plan_columns(self.plan.root)
            self._state.columns = self.plan.columns
        if self.plan.serial:
            return await self._serially(root)
        data: Data
        if self.serialized and root.text is not None:
            (text,) = await self._texts(root, root.text, [self._root_value])
            data = orjson.Fragment(text)
        else:
            (data,) = await self._objects(root, [self._root_value])
        if not self._failing:
            return data, []
        replay = self._replay()
        try:
            return replay.root(root, data), replay.errors
        finally:
            # Errors refer to the frames that raised them, and so to this run.
            self._marked.clear()

    async def _serially(self, root: ObjectPlan) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Root fields of a mutation: each to its end before the next; none after a fatal one."""
        columns: list[Column] = []
        errors: list[GraphQLError] = []
        for index, field in enumerate(root.fields):
            try:
                column = await self._field(field, Parents([self._root_value], root.requested))
            except asyncio.CancelledError:
                self._note_interruption(root, columns, errors, root.fields[index:])
                raise
            if self.serialized and field.shape.is_text:
                column = self._fragments(field, column)
            if self._failing:
                replay = self._replay()
                try:
                    column = [replay.field(field, column[0], None)]
                except GraphQLError as error:
                    return None, [*errors, *replay.errors, error]
                finally:
                    self._marked.clear()
                errors += replay.errors
                self._failing.clear()
            columns.append(column)
        return root.assemble(1, columns)[0], errors

    def _note_interruption(
        self,
        root: ObjectPlan,
        columns: Sequence[Column],
        errors: list[GraphQLError],
        unfinished: Sequence[FieldPlan],
    ) -> None:
        if any(nulls_parent(field.shape, self._on_error) for field in unfinished):
            return
        interrupted = self.context.of(Interrupted)
        interrupted.data = root.assemble(1, [*columns, *([None] for _ in unfinished)])[0]
        interrupted.errors = errors
        interrupted.unfinished = {field.key: field.nodes for field in unfinished}

    # --- objects and fields ----------------------------------------------------------------------

    async def _objects(self, plan: ObjectPlan, rows: Column) -> list[dict[str, Any]]:
        parents = Parents(rows, plan.requested)
        columns = await self._waited(plan.waiting, parents)
        for field in plan.fields:
            if not field.waits:
                columns[field] = await self._immediate(field, parents)
            if self.serialized and field.shape.is_text:
                columns[field] = self._fragments(field, columns[field])
        return plan.assemble(len(rows), [columns[field] for field in plan.fields])

    async def _texts(self, plan: ObjectPlan, text: ObjectText, rows: Column) -> list[str]:
        """The same objects as JSON."""
        parents = Parents(rows, text.requested)
        columns = await self._waited(text.waiting, parents)
        serialized: list[Column] = []
        for segment in text.segments:
            if segment.span is not None:
                serialized.append(await self._span(segment, parents))
                continue
            (field,) = segment.fields
            column = columns[field] if field.waits else await self._immediate(field, parents)
            serialized.append(self._serialized(field, column))
        return text.assemble(len(rows), serialized)

    async def _waited(
        self, fields: Sequence[FieldPlan], parents: Parents
    ) -> dict[FieldPlan, Column]:
        """The asynchronous fields. They come first, so that only the rows are in memory (and in the
        processor's cache) while they run.
        """
        if not fields:
            return {}
        if len(fields) == 1:
            return {fields[0]: await self._field(fields[0], parents)}
        waited = await self._together([self._field(field, parents) for field in fields])
        return dict(zip(fields, waited, strict=True))

    async def _immediate(self, field: FieldPlan, parents: Parents) -> Column:
        return await self._completed(field, self._values(field, parents))

    def _serialized(self, field: FieldPlan, column: Column) -> list[str]:
        """A completed column as JSON."""
        if field not in self._failing:
            # A value may fail, as below.
            with suppress(TypeError):
                return texts_of(field.shape, column)
        return [self._text(field, value) for value in column]

    def _text(self, field: FieldPlan, value: Any) -> str:
        try:
            return text_of(field.shape, value, self._mark)
        except TypeError as error:
            # A scalar returned a value that JSON does not have.
            return text_of(field.shape, self._fail(field, error), self._mark)

    def _fragments(self, field: FieldPlan, column: Column) -> Column:
        """The same, for an object that is a dict."""
        return list(map(orjson.Fragment, self._serialized(field, column)))

    def _mark(self, value: Any) -> str | None:
        if type(value) is not Failed:
            return None
        text, read = mark(len(self._marked))
        self._marked[read] = value
        return text

    async def _span(self, segment: TextSegment, parents: Parents) -> Column:
        """The texts of neighbouring fields, as they are in the rows."""
        span = cast("JsonSpan", segment.span)
        try:
            texts = parents.column(span.label)
        except AttributeError:
            # These rows were read without spans.
            columns = [await self._field(field, parents) for field in segment.fields]
        else:
            if self._explanation is not None:
                for field in segment.covered:
                    self._explanation.covered(field, len(texts))
            if not segment.may_be_unknown or UNKNOWN_JSON not in "".join(texts):
                return texts
            read = [orjson.loads(text if span.whole else f"{{{text}}}") for text in texts]
            columns = [self._parsed(field, read) for field in segment.fields]
        assemble = cast("TextAssembler", segment.assemble)
        serialized = map(self._serialized, segment.fields, columns)
        return assemble(len(parents.rows), list(serialized))

    def _parsed(self, field: FieldPlan, rows: Sequence[Mapping[str, Any]]) -> Column:
        """One field's values from parsed texts, some of which contain values that are not in the
        schema. These fail as they do when values are completed one by one.
        """
        column: list[Any] = []
        for row in rows:
            value = row[field.key]
            if field.plans is not None:
                # Completed objects are texts or None.
                value = value and orjson.dumps(value).decode()
            elif isinstance(value, str) and value.startswith(UNKNOWN):
                value = self._leaf(field, field.shape, int(value.removeprefix(UNKNOWN)))
            column.append(value)
        return column

    async def _field(self, field: FieldPlan, parents: Parents) -> Column:
        if not field.source.waits:
            return await self._immediate(field, parents)
        return await self._completed(field, await self._fetched(field, parents))

    async def _completed(self, field: FieldPlan, column: Column) -> Column:
        done = field.shape.complete(column)
        return await self._complete(field, field.shape, column) if done is None else done

    def _values(self, field: FieldPlan, parents: Parents) -> Column:
        if self._explanation is None:
            return field.source.values(self, field, parents)
        with self._explanation.field(field, len(parents.rows)):
            return field.source.values(self, field, parents)

    async def _fetched(self, field: FieldPlan, parents: Parents) -> Column:
        if self._explanation is None:
            return await field.source.fetch(self, field, parents)
        with self._explanation.field(field, len(parents.rows)):
            return await field.source.fetch(self, field, parents)

    # --- completing ------------------------------------------------------------------------------

    async def _complete(self, field: FieldPlan, shape: Shape, column: Column) -> Column:
        """Any column: separate nulls, failures and awaitables, and complete the rest."""
        kinds = {kind for kind in set(map(type, column)) if special(kind)}
        if not kinds:
            return await self._present(field, shape, column)
        if any(hasattr(kind, "__await__") for kind in kinds):
            return await self._complete(field, shape, await _settled(column))
        if kinds == {type(None)} and not shape.nonnull:
            present = [value for value in column if value is not None]
            return (
                scatter(column, await self._present(field, shape, present)) if present else column
            )
        results: list[Any] = []
        places: list[int] = []
        for index, value in enumerate(column):
            result: Any = None
            if is_null(value):
                if shape.nonnull:
                    result = self._fail(field, forbidden_null(field))
            elif isinstance(value, Exception):
                result = self._fail(field, value)
            elif type(value) is Failed:
                result = self._fail(field, value.error)
            else:
                places.append(index)
            results.append(result)
        present = [column[index] for index in places]
        for index, value in zip(places, await self._present(field, shape, present), strict=True):
            results[index] = value
        return results

    async def _present(self, field: FieldPlan, shape: Shape, values: Column) -> Column:
        """Values none of which is null, a failure or an awaitable."""
        if not values:
            return values
        if shape.item is not None:
            return await self._lists(field, shape.item, values)
        if shape.plans is None:
            return [self._leaf(field, shape, value) for value in values]
        if shape is field.shape and len(values) >= _MANY:
            # Under a to-one field the same object often repeats.
            different = deduplicate(values)
            if len(different) * 2 <= len(values):
                rows = await self._typed(field, shape, list(different.values()))
                by_id = dict(zip(different, rows, strict=True))
                return list(map(by_id.__getitem__, map(id, values)))
        return await self._typed(field, shape, values)

    def _leaf(self, field: FieldPlan, shape: Shape, value: Any) -> Any:
        try:
            return Executor.complete_leaf_value(shape.type, value)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - a failure of this place
            return self._fail(field, error)

    async def _lists(self, field: FieldPlan, item: Shape, values: Column) -> Column:
        lists = values
        if not set(map(type, values)) <= {list, tuple}:
            lists = [await self._listed(field, value) for value in values]
        good = [value for value in lists if type(value) is not Failed]
        flat = [value for value_list in good for value in value_list]
        done = item.complete(flat)
        if done is None:
            done = await self._complete(field, item, flat)
        grouped = iter(unflatten(good, done))
        return [value if type(value) is Failed else next(grouped) for value in lists]

    async def _listed(self, field: FieldPlan, value: Any) -> Sequence[Any] | Failed:
        """A list of any iterable: a generator, a set, an asynchronous stream."""
        try:
            if is_async_iterable(value):
                return [item async for item in value]
            if is_iterable(value):
                return list(value)
        except Exception as error:  # noqa: BLE001 - a failure of this place
            return self._fail(field, error)
        message = f"Expected Iterable, but did not find one for field '{field.place}'."
        return self._fail(field, GraphQLError(message))

    # --- types of objects ------------------------------------------------------------------------

    async def _typed(self, field: FieldPlan, shape: Shape, values: Column) -> Column:
        """Objects, each by the plan of its type."""
        if shape.plan is not None and shape.plan.type.is_type_of is None:
            return await self._of_type(shape, shape.plan, values)
        plans = await self._plans(field, shape, values)
        if not isinstance(plans, list):
            return await self._of_type(shape, plans, values)
        results: list[Any] = list(plans)
        groups: dict[ObjectPlan, list[int]] = {}
        for index, plan in enumerate(plans):
            if not isinstance(plan, Failed):
                groups.setdefault(plan, []).append(index)
        made = await self._together(
            [
                self._of_type(shape, plan, [values[index] for index in indices])
                for plan, indices in groups.items()
            ]
        )
        for indices, rows in zip(groups.values(), made, strict=True):
            for index, row in zip(indices, rows, strict=True):
                results[index] = row
        return results

    async def _of_type(self, shape: Shape, plan: ObjectPlan, values: Column) -> Column:
        if shape.plan is None:
            rows = await self._objects(plan, values)
            self._abstract.append((plan, rows))
            return rows
        if self.serialized and plan.text is not None:
            return await self._texts(plan, plan.text, values)
        return await self._objects(plan, values)

    async def _plans(
        self, field: FieldPlan, shape: Shape, values: Column
    ) -> ObjectPlan | list[ObjectPlan | Failed]:
        """The plan of all values' type, or of each one's; decided once for each Python class.

        Not so for classes whose objects can say their type themselves: mappings, and objects
        marked by `strawberry.cast`.
        """
        kinds = set(map(type, values))
        if shape.plan is not None and kinds <= shape.classes:
            return shape.plan
        by_class: dict[type, ObjectPlan] = {}
        for kind in kinds:
            first = next(value for value in values if type(value) is kind)
            plan = await self._plan_of(field, shape, first)
            if (
                isinstance(plan, Failed)
                or issubclass(kind, Mapping)
                or (hasattr(first, "__dict__") and any(map(get_strawberry_type_cast, values)))
            ):
                return [await self._plan_of(field, shape, value) for value in values]
            by_class[kind] = plan
        if len(by_class) == 1:
            ((kind, plan),) = by_class.items()
            # Objects of these classes have no type of their own, so the class decides once.
            # (Those of rows whose statements are gone must not pile up.)
            settled = hasattr(plan.type.is_type_of, "by_class") and not hasattr(first, "__dict__")
            if settled and len(shape.classes) < _MOST_CLASSES:
                shape.classes.add(kind)
            return plan
        return [by_class[type(value)] for value in values]

    async def _plan_of(self, field: FieldPlan, shape: Shape, value: Any) -> ObjectPlan | Failed:
        if shape.plan is not None:
            # A type that depends on the class alone needs no `info`.
            by_class = getattr(shape.plan.type.is_type_of, "by_class", None)
            if by_class is not None and by_class(type(value)):
                return shape.plan
        info = self.info(field)
        try:
            plan = shape.plan or await self._runtime_plan(field, shape, value, info)
            is_type_of = plan.type.is_type_of
            fits = is_type_of is None or await _value(is_type_of(value, info))
        except Exception as error:  # noqa: BLE001 - a failure of this place
            return self._fail(field, error)
        if not fits:
            return self._fail(field, invalid_return_type_error(plan.type, value, field.details))
        return plan

    async def _runtime_plan(
        self, field: FieldPlan, shape: Shape, value: Any, info: GraphQLResolveInfo[Any]
    ) -> ObjectPlan:
        abstract = cast("GraphQLAbstractType", shape.type)
        resolve = abstract.resolve_type or default_type_resolver
        name = await _value(resolve(value, info, abstract))
        object_type = self.executor.ensure_valid_runtime_type(
            name, abstract, field.details, info, value
        )
        return cast("Mapping[str, ObjectPlan]", shape.plans)[object_type.name]

    async def _together(self, coroutines: Sequence[Coroutine[Any, Any, Column]]) -> list[Column]:
        """Run them concurrently; if one fails, the others are cancelled."""
        if len(coroutines) == 1:
            return [await coroutines[0]]
        self._state.branches += len(coroutines) - 1
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        finally:
            self._state.branches -= len(coroutines) - 1

    # --- what the parts need ---------------------------------------------------------------------

    def _fail(self, field: FieldPlan, error: Exception) -> Failed:
        self._failing.add(field)
        return Failed(error)

    def _replay(self) -> Replay:
        return Replay(self._failing, self._abstract, self._marked, self._on_error)

    @property
    def executor(self) -> Executor[Any]:
        """graphql-core's executor for this operation, made when first needed."""
        if self._executor is None:
            self._executor = self._make_executor()
        return self._executor

    def info(self, field: FieldPlan) -> GraphQLResolveInfo[Any]:
        """The `info` of an ordinary resolver; its path is only the field's own key."""
        path = Path(None, field.key, field.parent_type.name)
        return self.executor.build_resolve_info(
            field.definition, field.nodes, field.parent_type, path
        )


class HaltingRun(Run):
    """A run that begins no asynchronous field once a field has failed (`HALT`).

    Fields that run already end; what they return is not used. Those that were not begun are null,
    which `Replay` passes over until it finds the failure.
    """

    async def _field(self, field: FieldPlan, parents: Parents) -> Column:
        if self._failing:
            return [None] * len(parents.rows)
        return await super()._field(field, parents)


async def _value(value: Any) -> Any:
    return await value if is_awaitable(value) else value


async def _settled(column: Column) -> list[Any]:
    """The column with its awaitables awaited concurrently; an exception is their value."""
    results = list(column)
    places = [index for index, value in enumerate(column) if is_awaitable(value)]
    waited = await asyncio.gather(*(column[index] for index in places), return_exceptions=True)
    for index, value in zip(places, waited, strict=True):
        if isinstance(value, BaseException) and not isinstance(value, Exception):
            raise value
        results[index] = value
    return results
