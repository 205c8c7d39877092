"""The access matrix: who may use every root field that takes an id, a filter or a search.

To add a noun:
1. Add one object to the fixtures (`fixtures.py`, `Fixtures.ids`), and a new kind of access to it to
   `AccessRole`.
2. Add a `Case` for each of its root fields to a file of `cases`: the operation, its variables (from
   the fixtures), `about`, the name in the fixtures of the object that may be hidden, and `ok` and
   `forbidden`: the roles that succeed, and those that can see the object but may not do this. All
   other signed-in users get `hidden`: NOT_FOUND for objects, EMPTY for lists. Clients that are
   signed out or deactivated get UNAUTHENTICATED.
3. `test_matrix.py` runs each case with each role. For a hidden object, it compares the answer with
   the one for an object that does not exist: the bytes must be the same.

A field that can be addressed in several ways has several cases (`Query.task` and `Query.task by
key`).
"""

from __future__ import annotations

from tests.access.cases import accounts, events, projects, tasks, time

CASES = [*tasks.CASES, *time.CASES, *projects.CASES, *accounts.CASES, *events.CASES]

# Root fields without a case, each with its reason. A field of `viewer` needs a case only if an
# argument of it can name an object.
UNADDRESSED: dict[str, str] = {
    "Query.viewer": "is about the viewer",
    "Mutation.timerStop": "is about the viewer",
    "Mutation.timeEntryImport": "creates entries of the viewer; other tests cover the file's keys",
    "Subscription.timerChanged": "is about the viewer",
    "Mutation.notificationMarkAllRead": "is about the viewer",
    "Mutation.notificationPreferencesUpdate": "is about the viewer",
    "Mutation.deviceCreate": "is about the viewer",
    "Subscription.notificationReceived": "is about the viewer",
    "Query.trash": "is about the viewer; `tests/rights` compares it with the model",
    "Query.eventCursor": "is the same position for everybody",
    "Query.rateLimit": "is about the viewer",
    "Query.serverInfo": "is the same for everybody",
    "Mutation.userRegister": "names nothing that exists",
    "Mutation.accountUpdate": "is about the viewer",
    "Mutation.passwordChange": "is about the viewer",
    "Mutation.avatarUpload": "is about the viewer",
    "Mutation.avatarDelete": "is about the viewer",
    "Mutation.accountDelete": "is about the viewer",
    "Mutation.projectCreate": "names nothing that exists; the client generates the id",
    "Mutation.sessionCreate": "answers INVALID_CREDENTIALS for every account",
    "Mutation.sessionRefresh": "is about the holder of the token",
    "Mutation.sessionRevokeOthers": "is about the viewer",
    "Mutation.streamTokenCreate": "is about the viewer",
    "Mutation.passwordResetRequest": "answers the same for everybody",
    "Mutation.passwordReset": "is about the holder of the token",
    "Mutation.emailVerificationRequest": "is about the viewer",
    "Mutation.emailChangeRequest": "is about the viewer",
    "Mutation.emailVerify": "is about the holder of the token or code",
}

# Root fields that need no credentials.
PUBLIC = {
    "Query.rateLimit",
    "Query.serverInfo",
    # Null, without an error.
    "Query.viewer",
    "Mutation.userRegister",
    "Mutation.sessionCreate",
    "Mutation.sessionRefresh",
    "Mutation.passwordResetRequest",
    "Mutation.passwordReset",
    "Mutation.emailVerify",
}
