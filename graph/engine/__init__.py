"""The batch engine: each field of an operation is executed once for all objects of its place.

The standard executor calls every field of every object by itself; for 2,000 comments with an
author that is tens of thousands of calls, tasks and futures. Here an operation becomes a plan
(`plan`), a plan is run breadth first over columns (`run`, `columns`, `batch`), and only where
something failed is the answer walked object by object (`errors`). `executor` is the way in: beside
Strawberry's own, and instead of it.

Results may share objects: the same author under a hundred comments is one dict in the answer.
Treat `data` as read-only.
"""

from graph.engine.check import unbatched_fields
from graph.engine.executor import BatchExecutor, Executed, execute

__all__ = ["BatchExecutor", "Executed", "execute", "unbatched_fields"]
