"""The batch engine: each field of an operation is executed once for all objects of its place.

The standard executor calls every field of every object by itself; for 2,000 comments with an
author that is tens of thousands of calls, tasks and futures. Here an operation becomes a plan
(`planning`), a plan is run breadth first over columns (`run`, `columns`, `sources`), and only where
something failed is the answer walked object by object (`replay`). `executor` is the way in.

Results may share objects: the same author under a hundred comments is one dict in the answer.
Treat `data` as read-only.
"""

from graph.engine.executor import execute

__all__ = ["execute"]
