"""What a run of an operation did, field by field: the answer's `extensions.explain`.

For developers only (`graph.request.preparation` refuses it in production). It shows the text of
each statement, which contains no values, and the types of its parameters, but never the parameters.

    {"engine": "batch", "serialized": true, "runs": 4, "fields": [
        {"path": "project.tasks", "field": "Project.tasks", "source": "batch", "batches": [1],
         "milliseconds": 2.1, "serialized": false,
         "accessPath": null, "statements": [{"text": "SELECT …", "parameters": ["UUID[]"]}]},
        {"path": "project.tasks.nodes.title", "field": "Task.title", "source": "column", …}]}

A statement is shown at the field that sent it. If several fields share a statement, the first of
them sends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from db.engine import Database
from graph.core.executed import Engine
from graph.core.explain import RUNNING, FieldRun
from graph.engine.plan import FieldPlan, ObjectPlan, Plan

# SQLAlchemy casts parameters in the statement's text, except those of types that are not its own.
_PARAMETER: Final = re.compile(
    r"\$(\d+)(?:::(\w+(?: (?:WITH|WITHOUT) TIME ZONE| PRECISION)?(?:\[\])*))?"
)


class Explanation:
    """Of one execution."""

    def __init__(self) -> None:
        self.runs: dict[FieldPlan, FieldRun] = {}
        self.engine: Engine = "batch"
        # Why the batch engine could not run the operation.
        self.reason: str | None = None
        # Statements outside of fields, and all of the standard executor.
        self.others = FieldRun()
        self.plan: Plan | None = None
        self.serialized = False
        self._mine = {id(self.others)}

    @contextmanager
    def hearing(self, database: Database) -> Iterator[None]:
        """Record the statements of this operation."""
        token = RUNNING.set(self.others)
        database.listeners.append(self._heard)
        try:
            yield
        finally:
            database.listeners.remove(self._heard)
            RUNNING.reset(token)

    def _heard(self, text: str) -> None:
        running = RUNNING.get()
        # Other operations, explained or not, send statements at the same time.
        if running is not None and id(running) in self._mine:
            running.statements.append(text)

    @contextmanager
    def field(self, field: FieldPlan, objects: int) -> Iterator[None]:
        """One run of a field."""
        run = self._run(field, objects)
        token = RUNNING.set(run)
        started = perf_counter()
        try:
            yield
        finally:
            run.seconds += perf_counter() - started
            RUNNING.reset(token)

    def covered(self, field: FieldPlan, objects: int) -> None:
        """A field that came as JSON with its objects."""
        self._run(field, objects).serialized = True

    def _run(self, field: FieldPlan, objects: int) -> FieldRun:
        run = self.runs.get(field)
        if run is None:
            run = self.runs[field] = FieldRun()
            self._mine.add(id(run))
        run.batches.append(objects)
        return run

    def report(self) -> dict[str, Any]:
        """The whole explanation, as JSON."""
        found: dict[str, Any] = {"engine": self.engine}
        if self.reason is not None:
            found["reason"] = self.reason
        if self.plan is not None:
            found |= {"serialized": self.serialized, "runs": self.plan.uses}
            found["fields"] = list(self._fields(self.plan.root, ()))
        if self.others.statements:
            found["statements"] = _statements(self.others)
        return found

    def _fields(self, plan: ObjectPlan, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for field in plan.fields:
            run = self.runs.get(field)
            place = (*path, field.key)
            if run is not None:
                yield {
                    "path": ".".join(place),
                    "field": field.place,
                    "source": field.source.kind,
                    "batches": run.batches,
                    "milliseconds": round(1000 * run.seconds, 3),
                    "serialized": run.serialized,
                    "accessPath": run.access_path,
                    "statements": _statements(run),
                }
            for below in (field.plans or {}).values():
                yield from self._fields(below, place)


def _statements(run: FieldRun) -> list[dict[str, Any]]:
    return [{"text": text, "parameters": _parameters(text)} for text in run.statements]


def _parameters(text: str) -> list[str]:
    types: dict[int, str] = {}
    for number, type_ in _PARAMETER.findall(text):
        types[int(number)] = type_ or types.get(int(number), "unknown")
    return [types[number] for number in sorted(types)]
