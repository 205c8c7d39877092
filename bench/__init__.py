"""What the promises about speed are measured with: `make bench`, results in `RESULTS.md`.

Five servers answer the same questions from the same tables: Taskloom as shipped, the *floor* (the
same statements by hand, no GraphQL), a Strawberry server as its documentation teaches, PostGraphile
and Mercurius. Their answers are compared first, leaf by leaf; then each is asked in turn, in short
slices, round after round, so that whatever else the machine does falls on all of them alike. What
counts is the processor time that a server's process took for a request, and its ratio to others.

- `data`: the tables' content, always the same
- `cases`: the questions, in each server's words
- `answers`: the one shape that all answers are brought to
- `servers`: starting and ending the five; `floor`, `plain` and `peers/` are four of them
- `load`: the process that asks
- `measure`: what the kernel says about a process
- `run`, `report`: the whole run, and what is written of it

Programs of their own are `extras` (search and reports), and `attacks` (limits) and `streams` (live
updates), which measure the server of `target`.
"""
