"""Benchmarks for the performance targets: `make bench`, results in `RESULTS.md`.

Five servers answer the same queries from the same tables: Taskloom as shipped, the *floor* (the
same statements written by hand, without GraphQL), a Strawberry server as its documentation teaches,
PostGraphile and Mercurius. Their answers are compared first, leaf by leaf. Then each is queried in
turn, in short slices, round after round, so that other load on the machine affects all of them
equally. The figures are the processor time of a server's process per request, and ratios of it.

- `data`: the content of the tables, always the same
- `cases`: the queries, in each server's schema
- `answers`: converts all answers to one shape
- `servers`: starts and stops the five; `floor`, `plain` and `peers/` are four of them
- `load`: the load generator, a separate process
- `measure`: the kernel's figures for a process
- `run`, `report`: the whole run, and its report

Separate programs are `extras` (search and reports), and `attacks` (limits) and `streams` (live
updates), which measure the server of `target`.
"""
