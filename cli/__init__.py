"""The command `taskloom`: serves the API, runs background work and maintains the database.

Commands use the database of `DATABASE_URL` or, without it, the embedded server in the data folder,
which runs as long as a command uses it. Each command imports what it needs when it runs, so that
`taskloom --help` is quick, and no process has what only others use.
"""

from __future__ import annotations

import click

from cli import database, demo, documents, schema, secrets, serve, settings, users, worker
from cli.errors import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taskloom", message="%(prog)s %(version)s")
def main() -> None:
    """Taskloom: a GraphQL API for projects, tasks and time."""


for _command in (
    serve.serve,
    worker.worker,
    database.migrate,
    database.backup,
    database.restore,
    database.check,
    database.row_security,
    demo.demo,
    users.user,
    secrets.secrets,
    documents.documents,
    schema.schema,
    settings.settings,
):
    main.add_command(_command)
