"""Documents: parsed and validated once, then found again by their text, or by its shape.

Clients send the same few documents over and over, and parsing and validating one costs more than
executing it. Everything that follows from the text alone is kept with it: the tree, its operations,
what they select (`graph.core.selection.SelectionIndex`), and the whole answer of an introspection
query, which depends on no viewer. A document that differs from another one only in its literals
shares all of this with it (`graph.request.shapes`). Caches are bounded by an estimate of the bytes
that they hold, so that a client that sends a new document every time evicts other documents and
does no other harm.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValuesOfCorrectTypeRule,
    parse,
    specified_rules,
)
from graphql.language import DocumentNode
from graphql.validation import ASTValidationRule
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from cache import BoundedCache
from errors import ErrorCode
from graph.core.selection import DEFINITION, SelectionIndex, fields_of
from graph.request.cost import Pricing
from graph.request.deprecation import first_removal, reasons
from graph.request.document_limits import DocumentLimits, check_document
from graph.request.input_size import InputSize
from graph.request.literals import LocatedValuesRule
from graph.request.overlapping_fields import check_overlap
from graph.request.persisted import sha256_of
from graph.request.scopes import scopes_of
from graph.request.shapes import Literal, Literals, Shape, separated, shape_of
from graph.request.validation import validated

# The most errors in one response; the last one says that there were more.
MAX_ERRORS: Final = 20

_OF_SCHEMA: Final = {"__schema", "__type"}
# Measured: a tree of graphql-core takes about 100 times its text.
_TREE_BYTES_PER_CHARACTER: Final = 100
# Documents longer than this are validated in a thread, since the worst that the limits allow take
# 150 ms, and no other request should wait for that. It is one thread: several would compete for
# Python's lock, and the event loop would come last.
_LONG: Final = 600


class InvalidDocument(Exception):  # noqa: N818 - what the document is
    """The document cannot be executed. `code` says why."""

    def __init__(self, code: ErrorCode, errors: list[GraphQLError]) -> None:
        super().__init__(code.value)
        self.code = code
        self.errors = errors


class _NoNull(MaybeNullValidationRule):
    """Strawberry's rule for fields that may be absent but not null, with a message for clients: its
    own message names Python types.
    """

    def report_error(self, error: GraphQLError) -> None:
        node = error.nodes[0] if error.nodes else None
        name = getattr(getattr(node, "name", None), "value", None)
        subject = f"'{name}'" if name else "The value"
        super().report_error(
            GraphQLError(f"{subject} must not be null. Omit it or send a value.", nodes=error.nodes)
        )


_RULES: Final[tuple[type[ASTValidationRule], ...]] = (
    *(LocatedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules),
    _NoNull,
)


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a document, ready to run any number of times."""

    document: DocumentNode
    node: OperationDefinitionNode
    selection_index: SelectionIndex
    pricing: Pricing
    inputs: InputSize
    # The scopes that an API key needs.
    scopes: tuple[str, ...]
    # Whether it only does what a signed-out client may do: sign in, refresh, register.
    public: bool
    # Whether it only asks about the schema, without variables: its answer is the same for everyone.
    introspection: bool
    # Whether it asks about the schema anywhere, beside whatever else.
    reads_schema: bool
    # The SHA-256 of its document's text, by which clients register or persist it.
    sha256: str
    # When something that its document uses is removed from the schema.
    removal: dt.date | None = None
    # That answer's `data`, once it is known, as JSON.
    answer: bytes | None = None
    # The values of the tree's variables for literals, if it has some.
    literals: Literals | None = None

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    @property
    def name(self) -> str | None:
        """The operation's name in the document, if it has one."""
        return self.node.name.value if self.node.name else None

    def points(self, variables: Mapping[str, Any]) -> int:
        """Its cost with these variables, which need not be checked yet."""
        if self.literals is not None:
            variables = {**variables, **self.literals.untyped}
        return self.pricing.points(variables)


@dataclass(slots=True, eq=False)
class Document:
    """A valid document and its operations, by name and in order."""

    operations: list[Operation]
    size: int
    # If it shares its tree with others that differ in their literals.
    shape: Shape | None = None

    def with_literals(self, text: str, literals: Sequence[Literal]) -> Document | None:
        """The document of another text of the same shape; None if a literal has the wrong type."""
        assert self.shape is not None
        values = self.shape.values(text, literals)
        if values is None:
            return None
        digest = sha256_of(text)
        operations = [
            replace(operation, literals=values, sha256=digest) for operation in self.operations
        ]
        return Document(operations, _size(text), self.shape)

    def select(self, name: str | None) -> Operation:
        """The operation of this name, or the only one. Raises `InvalidDocument`."""
        if name is None:
            if len(self.operations) == 1:
                return self.operations[0]
            message = (
                "The document has no operation."
                if not self.operations
                else "The document has several operations. Name one of them in `operationName`."
            )
        else:
            for operation in self.operations:
                if operation.name == name:
                    return operation
            message = "The document has no operation with the name in `operationName`."
        raise InvalidDocument(ErrorCode.OPERATION_RESOLUTION_FAILURE, [GraphQLError(message)])


class Documents:
    """The most recently used documents of one schema."""

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: DocumentLimits,
        *,
        suggestions: bool,
        max_bytes: int = 32_000_000,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._suggestions = suggestions
        self._deprecates = bool(reasons(schema))
        # By the text, and whether it is trusted: what was not measured is known only to those who
        # are exempt from the limits.
        self._known = BoundedCache[tuple[str, bool], Document](
            max_bytes * 3 // 4, size=lambda known: known.size
        )
        # By the text without its literals.
        self._shapes = BoundedCache[str, Document](max_bytes // 4, size=lambda known: known.size)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="documents")

    @property
    def used_bytes(self) -> int:
        """How much memory the documents take, roughly."""
        return self._known.used + self._shapes.used

    async def get(self, text: str, *, trusted: bool = False) -> Document:
        """The document of this text. Raises `InvalidDocument`, or
        `graph.request.document_limits.TooLarge` unless it is trusted.
        """
        known = self._known.get((text, trusted))
        if known is not None:
            return known
        # Longer ones are refused.
        short = not trusted and len(text) <= self._limits.characters
        shape, literals = (separated(text) if short else None) or (None, [])
        document: Document | None = None
        if shape is not None and (like := self._shapes.get(shape)) is not None:
            document = like.with_literals(text, literals)
        if document is None:
            document = await self._new(text, literals, trusted=trusted)
            if shape is not None and document.shape is not None:
                self._shapes[shape] = document
        if (text, trusted) not in self._known:
            self._known[text, trusted] = document
        return document

    async def _new(self, text: str, literals: Sequence[Literal], *, trusted: bool) -> Document:
        if not trusted:
            check_document(text, self._limits)
        if len(text) <= _LONG:
            return self._read(text, literals, trusted)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, self._read, text, literals, trusted)

    def keep_answer(self, operation: Operation, answer: bytes) -> None:
        """Keep the answer of an introspection query with its document."""
        if operation.answer is None:
            operation.answer = answer
            for key, document in self._known.items():
                if operation in document.operations:
                    document.size += len(answer)
                    self._known[key] = document
                    break

    def __len__(self) -> int:
        return len(self._known)

    def _read(self, text: str, literals: Sequence[Literal], trusted: bool) -> Document:
        try:
            tree = parse(text, allow_empty_selection_sets=False)
        except GraphQLError as error:
            raise InvalidDocument(ErrorCode.GRAPHQL_PARSE_FAILED, [error]) from None
        if not trusted:
            check_overlap(tree, self._limits)
        found = validated(
            self._schema,
            tree,
            _RULES,
            # If there are more, one is added to say so.
            max_errors=MAX_ERRORS - 1,
            hide_suggestions=not self._suggestions,
        )
        if found:
            raise InvalidDocument(ErrorCode.GRAPHQL_VALIDATION_FAILED, found)
        _unlink_tokens(tree)
        removal = first_removal(self._schema, tree) if self._deprecates else None
        shape = shape_of(self._schema, tree, literals) if literals else None
        values = None if shape is None else shape.values(text, literals)
        if shape is not None and values is not None:
            tree = shape.tree
        fragments = {
            definition.name.value: definition
            for definition in tree.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        digest = sha256_of(text)
        operations = [
            replace(self._operation(tree, definition, fragments, digest, removal), literals=values)
            for definition in tree.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        return Document(operations, _size(text), None if values is None else shape)

    def _operation(
        self,
        tree: DocumentNode,
        node: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        sha256: str,
        removal: dt.date | None,
    ) -> Operation:
        selection_index = SelectionIndex(self._schema, node, fragments)
        kind, names = node.operation, _root_names(selection_index)
        return Operation(
            tree,
            node,
            selection_index,
            Pricing(selection_index),
            InputSize(selection_index),
            scopes_of(selection_index),
            public=kind is OperationType.MUTATION and all(map(self._is_public, names)),
            introspection=kind is OperationType.QUERY
            and not node.variable_definitions
            and all(name.startswith("__") for name in names),
            reads_schema=_reads_schema(node, fragments),
            sha256=sha256,
            removal=removal,
        )

    def _is_public(self, name: str) -> bool:
        root = self._schema.mutation_type
        field = None if root is None else root.fields.get(name)
        if field is None:
            return name == "__typename"
        return getattr(field.extensions.get(DEFINITION), "public", False)


def _reads_schema(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> bool:
    """Whether a valid operation selects `__schema` or `__type` on any level."""
    waiting: list[SelectionSetNode] = [operation.selection_set]
    seen: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in seen:
                    seen.add(name)
                    waiting.append(fragments[name].selection_set)
                continue
            assert isinstance(selection, FieldNode | InlineFragmentNode)
            if isinstance(selection, FieldNode) and selection.name.value in _OF_SCHEMA:
                return True
            if selection.selection_set is not None:
                waiting.append(selection.selection_set)
    return False


def _size(text: str) -> int:
    return len(text) * _TREE_BYTES_PER_CHARACTER


def _unlink_tokens(tree: DocumentNode) -> None:
    """Unlink the parser's tokens. Each refers to the next and to the previous one: a cycle that
    would keep an abandoned tree in memory until the garbage collector runs. Nothing reads them
    after parsing.
    """
    token = tree.loc and tree.loc.start_token
    while token:
        following = token.next
        token.prev = token.next = None
        token = following


def _root_names(selection_index: SelectionIndex) -> list[str]:
    root = selection_index.schema.get_root_type(selection_index.operation.operation)
    assert root is not None  # of a valid document
    return [
        field.name.value
        for field in fields_of(selection_index, root, [selection_index.operation.selection_set])
    ]
