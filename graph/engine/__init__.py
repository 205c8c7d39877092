"""The batch engine: it executes each field once for all objects at its response position.

The standard executor calls every field of every object; for 2,000 comments with an author that is
tens of thousands of calls, tasks and futures. Here an operation becomes a plan (`planning`), and a
plan is run breadth first over columns (`run`, `columns`, `sources`). The answer is walked object by
object only if something failed (`replay`). `executor` is the entry point.

Results may share objects: the same author under a hundred comments is one dict in the answer.
Treat `data` as read-only.
"""

from graph.engine.executor import execute

__all__ = ["execute"]
