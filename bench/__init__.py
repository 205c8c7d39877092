"""Benchmarks for the performance targets: `make bench`, results in `RESULTS.md`.

Servers answer the same queries from the same tables: Taskloom as shipped, the *floor* (the same
statements written by hand, without GraphQL), a Strawberry server as its documentation teaches,
PostGraphile, Mercurius, GraphQL Yoga, Apollo Server, a *lean* server (graphql-jit on the bare HTTP
server of Node.js and of Bun), gqlgen (Go) and async-graphql (Rust). Their answers are compared
first, leaf by leaf. Then each is queried in turn, in short slices, round after round, so that other
load on the machine affects all of them equally. The figures are the processor time per request of
all processes, PostgreSQL and Taskloom's worker included, and ratios of it.

The last two need `go` and `cargo`, and are left out where these are missing.

- `data`: the content of the tables, always the same
- `cases`: the queries, in each server's schema
- `answers`: converts all answers to one shape
- `recipes`, `building`, `servers`: start and stop the servers; `floor`, `plain` and `peers/` are
  those that are compared
- `load`: the load generator, a separate process
- `measure`: the kernel's figures for a process
- `run`, `results`, `report`, `record`: the whole run, its report, and `RESULTS.md`

Separate programs are `extras` (search and reports), `attacks` (limits), `cold` (new documents, run
by run), `lag` (the worker) and `streams` (live updates). `everything` (`make bench-all`) runs those
that have a part in `RESULTS.md`.
"""

import os

# Some containers forbid bytecode. A server that compiles its libraries at each start needs more
# memory, and does not start as an operator's does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
