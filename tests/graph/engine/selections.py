"""Operations at random for the oracle: trees of fields, and their text in GraphQL.

Of each selection it is drawn what kind it is, so that those which a hand would not write come as
often: nothing but objects, `__typename` or counts, edges alone, one relation under two aliases.
The text opens some parts of a selection as fragments, which changes nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.graph.engine.oracle import KINDS, OF_VIEWER, ROOTS, STATUS, Field, Key, Oracle, Page, Row

# What lists are ordered by, in the API and as columns.
_ORDERS: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    # Field: its column, and whether it may be null.
    "Task": {
        "title": ("title", False),
        "createdAt": ("created_at", False),
        "dueAt": ("due_at", True),
        "priority": ("priority", False),
        "status": ("status", False),
        "number": ("number", True),
        "estimate": ("estimate", True),
        "position": ("position", False),
    },
    "Project": {
        "name": ("name", False),
        "key": ("key", False),
        "createdAt": ("created_at", False),
        "archivedAt": ("archived_at", True),
    },
    "TimeEntry": {"startedAt": ("started_at", False), "endedAt": ("ended_at", True)},
    "TaskShare": {
        "createdAt": ("created_at", False),
        "permission": ("permission", False),
        "expiresAt": ("expires_at", True),
    },
    "Reminder": {"createdAt": ("created_at", False), "nextRunAt": ("next_run_at", True)},
    "Notification": {"createdAt": ("created_at", False)},
    "ProjectMember": {"role": ("role", False), "createdAt": ("created_at", False)},
    "User": {"username": ("username", False), "fullName": ("full_name", True)},
}
# Relations that lists are ordered by.
_THROUGH: Mapping[str, Mapping[str, str]] = {
    "Task": {"owner": "User", "assignee": "User", "project": "Project"},
    "Project": {"owner": "User"},
    "TimeEntry": {"user": "User", "project": "Project", "task": "Task"},
    "TaskShare": {"user": "User", "task": "Task"},
    "ProjectMember": {"user": "User"},
}
Matches = Callable[[Oracle, Row], bool]


@dataclass
class Drawn:
    """An operation: what is asked, and its text. `cursors`: the rows whose cursors it needs, by the
    variables that they are given in.
    """

    fields: list[Field] = field(default_factory=list)
    text: str = ""
    cursors: dict[str, tuple[Row, str, str]] = field(default_factory=dict)


class Selections:
    """Draws operations over the rows that an oracle has."""

    def __init__(self, random: Random, oracle: Oracle) -> None:
        self.random = random
        self.oracle = oracle
        self._drawn = Drawn()
        self._fragments: list[str] = []
        self._keys = 0

    def operation(self) -> Drawn:
        """One operation of one to three lists at the root."""
        self._drawn, self._fragments, self._keys = Drawn(), [], 0
        for _ in range(self.random.choice([1, 1, 2, 3])):
            name = self.random.choice([*ROOTS, "tasks", "projects", "timeEntries", "tags"])
            if name == "tags":
                self._drawn.fields.append(self._tags())
            elif name in OF_VIEWER:
                self._drawn.fields.append(self._viewer(name))
            else:
                self._drawn.fields.append(self._list(name, *ROOTS[name], depth=3))
        body = self._text("Query", self._drawn.fields)
        declared = ", ".join(f"${name}: String" for name in self._drawn.cursors)
        head = f"query Drawn({declared}) " if declared else "query Drawn "
        self._drawn.text = "\n".join([head + body, *self._fragments])
        return self._drawn

    def _viewer(self, name: str) -> Field:
        """A list of the viewer's, perhaps beside their account and profile."""
        below = [self._list(name, *ROOTS[name], depth=3)]
        if self.random.random() < 0.4:
            below.append(Field("user", "user", self._object("User", 2), "User"))
        below += [Field(each, each) for each in ("email", "locale") if self.random.random() < 0.3]
        self.random.shuffle(below)
        return Field("viewer", self._key("viewer", alias=True), below, "Viewer")

    # --- what is asked -----------------------------------------------------------------------

    def _key(self, name: str, *, alias: bool) -> str:
        self._keys += 1
        return f"{name}{self._keys}" if alias else name

    def _object(self, kind: str, depth: int) -> list[Field]:
        spec, random = KINDS[kind], self.random
        mood = random.random()
        found: list[Field] = []
        if mood < 0.08 or (depth <= 0 and mood < 0.2):
            return [Field("__typename", "__typename")]
        if depth > 0 and spec.one:
            relations = random.sample(list(spec.one), random.randint(1, len(spec.one)))
            if mood < 0.75:
                found += [self._relation(kind, name, depth) for name in relations]
            if mood > 0.65:
                # The same one again, and something else of it.
                found.append(self._relation(kind, relations[0], depth, alias=True))
        if mood > 0.45 or not found:
            leaves = ["id", *spec.leaves]
            chosen = random.sample(leaves, random.randint(1, min(4, len(leaves))))
            found += [Field(name, name) for name in chosen]
        if depth > 1 and mood > 0.35 and spec.many and random.random() < 0.5:
            name = random.choice(list(spec.many))
            target, _, default = spec.many[name]
            found.append(self._list(name, target, default, depth=depth - 1))
            if random.random() < 0.4:
                found.append(self._list(name, target, default, depth=depth - 2))
        if kind == "Project" and random.random() < 0.1:
            found.append(self._tags("tagUsage"))
        if random.random() < 0.15:
            found.append(Field("__typename", "__typename"))
        random.shuffle(found)
        return found

    def _relation(self, kind: str, name: str, depth: int, *, alias: bool = False) -> Field:
        target = KINDS[kind].one[name][1]
        return Field(name, self._key(name, alias=alias), self._object(target, depth - 1), target)

    def _tags(self, name: str = "tags") -> Field:
        each = [Field("name", "name"), Field("taskCount", "taskCount")]
        below = [Field("nodes", "nodes", each, "Tag")]
        if self.random.random() < 0.5:
            below.append(Field("totalCount", "totalCount"))
        return Field(name, self._key(name, alias=True), below, "TagConnection")

    def _list(self, name: str, kind: str, default: tuple[Key, ...], *, depth: int) -> Field:
        random = self.random
        below: list[Field] = []
        mood = random.random()
        if mood < 0.1:
            below.append(Field("totalCount", "totalCount"))
        elif mood < 0.14:
            below.append(Field("__typename", "__typename"))
        else:
            if mood < 0.7:
                below.append(Field("nodes", "nodes", self._object(kind, depth), kind))
            if mood > 0.6:
                below.append(Field("edges", "edges", self._edge(kind, depth), f"{kind}Edge"))
            if random.random() < 0.4:
                below.append(Field("totalCount", "totalCount"))
            if random.random() < 0.4:
                names = ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"]
                chosen = random.sample(names, random.randint(1, 4))
                info = [Field(each, each) for each in chosen]
                below.append(Field("pageInfo", "pageInfo", info, "PageInfo"))
        random.shuffle(below)
        return self._paged(name, kind, default, below, root=depth == 3)

    def _edge(self, kind: str, depth: int) -> list[Field]:
        if self.random.random() < 0.1:
            return [Field("cursor", "cursor")]
        node = Field("node", "node", self._object(kind, depth), kind)
        return [node, Field("cursor", "cursor")] if self.random.random() < 0.3 else [node]

    # --- arguments ---------------------------------------------------------------------------

    def _paged(
        self, name: str, kind: str, default: tuple[Key, ...], below: list[Field], *, root: bool
    ) -> Field:
        random = self.random
        arguments: list[str] = []
        order, order_text = self._order(kind)
        if order:
            arguments.append(f"orderBy: {order_text}")
        matches: Matches | None = None
        if kind in _FILTERS and random.random() < 0.4:
            text, matches = self._filter(kind, 2)
            arguments.append(f"filter: {text}")
        first, last = None, None
        chance = random.random()
        if chance < 0.5 or not root:
            first = random.choice([0, 1, 2, 3] if not root else [0, 1, 3, 10, 30])
            arguments.append(f"first: {first}")
        elif chance < 0.7:
            last = random.choice([0, 1, 2, 7])
            arguments.append(f"last: {last}")
        places: dict[str, Row] = {}
        rooted = {"Task": "tasks", "Project": "projects", "TimeEntry": "timeEntries"}
        if kind in rooted and (order or root):
            rows = self.oracle.root(rooted[kind])[1]
            for side, rate in (("after", 0.3), ("before", 0.2)):
                if rows and random.random() < rate:
                    places[side] = random.choice(rows)
                    variable = f"c{len(self._drawn.cursors)}"
                    self._drawn.cursors[variable] = (places[side], rooted[kind], order_text)
                    arguments.append(f"{side}: ${variable}")
        page = Page(order, matches, first, last, places.get("after"), places.get("before"))
        random.shuffle(arguments)
        key, type_ = self._key(name, alias=True), f"{kind}Connection"
        return Field(name, key, below, type_, page, ", ".join(arguments))

    def _order(self, kind: str) -> tuple[tuple[Key, ...], str]:
        random = self.random
        if kind not in _ORDERS or kind == "User" or random.random() < 0.5:
            return (), ""
        keys: list[Key] = []
        texts: list[str] = []
        for _ in range(random.choice([1, 1, 2])):
            relation, of = None, kind
            if kind in _THROUGH and random.random() < 0.25:
                relation = random.choice(list(_THROUGH[kind]))
                of = _THROUGH[kind][relation]
            name = random.choice(list(_ORDERS[of]))
            column = _ORDERS[of][name][0]
            if any((key.column, key.relation) == (column, relation) for key in keys):
                continue
            down, nulls = random.random() < 0.5, random.random() < 0.5
            keys.append(Key(column, relation, down, nulls))
            how = ("DESC" if down else "ASC") + ("_NULLS_FIRST" if nulls else "")
            text = f"{{{name}: {how}}}"
            texts.append(text if relation is None else f"{{{relation}: {text}}}")
        return tuple(keys), f"[{', '.join(texts)}]"

    def _filter(self, kind: str, depth: int) -> tuple[str, Matches]:
        random = self.random
        chance = random.random() if depth > 0 else 0.0
        if chance > 0.85:
            text, inner = self._filter(kind, depth - 1)
            return f"{{not: {text}}}", lambda oracle, row: not inner(oracle, row)
        if chance > 0.6:
            word, combine = random.choice([("and", all), ("or", any)])
            several = [self._filter(kind, depth - 1) for _ in range(2)]
            return (
                f"{{{word}: [{', '.join(text for text, _ in several)}]}}",
                lambda oracle, row: combine(each(oracle, row) for _, each in several),
            )
        return random.choice(_FILTERS[kind])(random, self.oracle)

    # --- text --------------------------------------------------------------------------------

    def _text(self, type_: str, fields: Sequence[Field]) -> str:
        """A selection set; some of its fields may be in fragments."""
        texts = [self._field(each) for each in fields]
        chance = self.random.random()
        cut = self.random.randrange(len(texts))
        if chance < 0.12:
            texts[cut:] = [f"... on {type_} {{ {' '.join(texts[cut:])} }}"]
        elif chance < 0.24:
            name = f"F{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {type_} {{ {' '.join(texts[cut:])} }}")
            texts[cut:] = [f"...{name}"]
        elif chance < 0.3:
            # Once more: it merges with itself.
            texts.append(texts[cut])
        elif chance < 0.36:
            texts[cut:] = [f"... @include(if: true) {{ {' '.join(texts[cut:])} }}"]
        return f"{{ {' '.join(texts)} }}"

    def _field(self, each: Field) -> str:
        head = each.name if each.key == each.name else f"{each.key}: {each.name}"
        if each.arguments:
            head += f"({each.arguments})"
        return f"{head} {self._text(each.type, each.below)}" if each.below else head


# --- filters: each draws a text and what it means ------------------------------------------------


def _status(random: Random, _: Oracle) -> tuple[str, Matches]:
    wanted = random.sample(list(STATUS), 2)
    names = ", ".join(STATUS[each] for each in wanted)
    return f"{{status: {{in: [{names}]}}}}", lambda _, row: row["status"] in wanted


def _estimate(random: Random, _: Oracle) -> tuple[str, Matches]:
    if random.random() < 0.4:
        null = random.random() < 0.5
        text = f"{{estimate: {{isNull: {str(null).lower()}}}}}"
        return text, lambda _, row: (row["estimate"] is None) is null
    least = random.choice([10, 30, 60])
    return (
        f"{{estimate: {{gt: {least}}}}}",
        lambda _, row: row["estimate"] is not None and row["estimate"] > least,
    )


def _title(random: Random, _: Oracle) -> tuple[str, Matches]:
    word = random.choice(["a", "zebra", "PP", "nothing at all"])
    return (
        f'{{title: {{contains: "{word}"}}}}',
        lambda _, row: word.lower() in row["title"].lower(),
    )


def _tagged(random: Random, _: Oracle) -> tuple[str, Matches]:
    tag = random.choice(["bug", "IDEA", "storm", "no"])
    some = random.random() < 0.5
    return (
        f'{{tags: {{{"some" if some else "none"}: {{eq: "{tag}"}}}}}}',
        lambda _, row: any(each.casefold() == tag.casefold() for each in row["tags"]) is some,
    )


def _in_project(random: Random, oracle: Oracle) -> tuple[str, Matches]:
    key = random.choice([row["key"] for row in oracle.rows("Project")])

    def matches(oracle: Oracle, row: Row) -> bool:
        project = oracle.end("Task", "project", row)
        return project is not None and project["key"] == key

    return f'{{project: {{key: {{eq: "{key}"}}}}}}', matches


def _person(column: str, name: str, kind: str) -> Callable[..., tuple[str, Matches]]:
    def draw(random: Random, oracle: Oracle) -> tuple[str, Matches]:
        username = random.choice([row["username"] for row in oracle.rows("User")])

        def matches(oracle: Oracle, row: Row) -> bool:
            end = oracle.end(kind, name, row)
            return end is not None and end["username"] == username

        return f'{{{name}: {{username: {{eq: "{username}"}}}}}}', matches

    assert KINDS[kind].one[name][0] == column
    return draw


def _subtasks(random: Random, _: Oracle) -> tuple[str, Matches]:
    some = random.random() < 0.5
    status = random.choice(list(STATUS))

    def matches(oracle: Oracle, row: Row) -> bool:
        return some is any(
            child["parent_id"] == row["id"]
            and child["status"] == status
            and oracle.sees("Task", child)
            for child in oracle.rows("Task")
        )

    word = "some" if some else "none"
    return f"{{subtasks: {{{word}: {{status: {{eq: {STATUS[status]}}}}}}}}}", matches


def _archived(random: Random, _: Oracle) -> tuple[str, Matches]:
    wanted = random.random() < 0.5
    return (
        f"{{isArchived: {str(wanted).lower()}}}",
        lambda _, row: (row["archived_at"] is not None) is wanted,
    )


def _key_of(random: Random, oracle: Oracle) -> tuple[str, Matches]:
    keys = [*(row["key"] for row in oracle.rows("Project")), "NOPE"]
    key = random.choice(keys)
    return f'{{key: {{eq: "{key}"}}}}', lambda _, row: row["key"] == key


def _flag(name: str, holds: Callable[[Any], bool]) -> Callable[..., tuple[str, Matches]]:
    def draw(random: Random, _: Oracle) -> tuple[str, Matches]:
        wanted = random.random() < 0.5
        return f"{{{name}: {str(wanted).lower()}}}", lambda _, row: holds(row) is wanted

    return draw


_FILTERS: Mapping[str, Sequence[Callable[..., tuple[str, Matches]]]] = {
    "Task": (
        _status,
        _estimate,
        _title,
        _tagged,
        _in_project,
        _person("assignee_id", "assignee", "Task"),
        _person("owner_id", "owner", "Task"),
        _subtasks,
    ),
    "Project": (_archived, _key_of, _person("owner_id", "owner", "Project")),
    "TimeEntry": (
        _flag("isBillable", lambda row: row["is_billable"]),
        _flag("isRunning", lambda row: row["ended_at"] is None),
        _person("user_id", "user", "TimeEntry"),
    ),
    "Notification": (_flag("isRead", lambda row: row["read_at"] is not None),),
    "Reminder": (_flag("isEnabled", lambda row: row["is_enabled"]),),
}
