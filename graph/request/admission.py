"""Whether a viewer may run an operation: the scopes of an API key, and the cost."""

from __future__ import annotations

from auth.limits import payer
from errors import Failure, Forbidden, RateLimited
from graph.core.context import Context
from graph.request import scopes
from graph.request.answer import Answer, Refused, own_extensions
from graph.request.document_limits import TooLarge
from graph.request.error_format import format_errors
from graph.request.preparation import Prepared
from graph.request.schema_visibility import SchemaVisibility


async def admit(prepared: Prepared, context: Context, visibility: SchemaVisibility) -> None:
    """Check the scopes of an API key, and charge the cost to the viewer.

    Raises `Refused` if the viewer cannot read the schema, if the key lacks a scope, if the
    operation exceeds the cost limit, or if it exceeds the remaining budget; then nothing is
    charged.
    """
    services = context.services
    if prepared.operation.reads_schema and not visibility.shows(context.viewer):
        raise _refused(context, visibility.hidden())
    if context.viewer.scopes is not None:
        try:
            operation = prepared.operation
            scopes.demand(context.viewer, operation.scopes)
            given = scopes.scopes_of_variables(operation.selection_index, prepared.variables)
            scopes.demand(context.viewer, given)
        except Forbidden as failure:
            raise _refused(context, failure) from None
    points = prepared.operation.points(prepared.variables)
    most = services.settings.limits.cost_operation
    charged = 0 if prepared.cost_only or points > most else points
    who = payer(context.viewer, context.request)
    budget = await services.limits.spend(who, charged, context.now)
    context.budget = budget
    context.extensions["cost"] = {
        "requested": points,
        "charged": budget.charged,
        "remaining": budget.remaining,
        "resetAt": budget.reset_text,
    }
    if prepared.cost_only:
        return
    if points > most:
        raise _refused(context, TooLarge("points", points, most))
    if budget.exceeded:
        message = f"The operation costs {points:,} points; {budget.remaining:,} are left."
        raise _refused(context, RateLimited(message, retry_after=budget.reset_seconds))


def _refused(context: Context, failure: Failure) -> Refused:
    errors = format_errors([failure], context.request.id)
    answer = Answer(errors=errors, extensions=own_extensions(context), executed=False)
    answer.budget = context.budget
    return Refused(answer)
