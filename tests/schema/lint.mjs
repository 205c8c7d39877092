// Lints a schema with @graphql-eslint: its recommended rules and those for Relay. Prints what is
// wrong, one problem a line.
import graphql from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";
import { dirname, resolve } from "node:path";

const schema = resolve(process.argv[2]);

const rules = {
  ...graphql.configs["flat/schema-recommended"].rules,
  ...graphql.configs["flat/schema-relay"].rules,
  // Relay's specification is about the `edges` of connections, which `relay-connection-types`
  // checks. By default this rule forbids all other lists too: `nodes`, `errors`, `tags`.
  "@graphql-eslint/relay-edge-types": [
    "error",
    { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
  ],
  // Clients cache an object by its `id`. These types are values without an identity, stored with
  // the object that they belong to:
  "@graphql-eslint/strict-id-in-types": [
    "error",
    {
      acceptedIdNames: ["id"],
      acceptedIdTypes: ["ID"],
      exceptions: {
        suffixes: [
          "Payload", // The answer to one mutation.
          "Result", // The answer for one item of a bulk mutation, an import or a search.
          "Connection", // A page of a list.
          "Edge", // An item's place in its page.
          "Change", // A field before and after, in an event.
          "Count", // A number in statistics.
          "Group", // A row of a report.
        ],
        types: [
          // One for each viewer or server.
          "Credentials", "EventStats", "JobQueue", "NotificationChannels", "RateLimit", "ServerInfo",
          "TaskStats",
          // Parts of an object.
          "ExternalReference", "GitHubAssignee", "GitHubSettings", "PageInfo", "SearchFragment",
          "SlackSettings", "SubtaskProgress", "Tag", "TimeEntryImportNotice", "TimeReport",
          "UserError",
          "ReminderDaily", "ReminderDue", "ReminderMonthly", "ReminderOnce", "ReminderStart",
          "ReminderWeekly",
          // Who looks at what, for as long as they do.
          "Presence", "ProjectPresence",
          // What a subscription delivers, around an object that has an ID.
          "NotificationEvent", "ReportExportEvent", "TimerEvent",
        ],
      },
    },
  ],
};

// Two problems of single definitions, whose rules hold for all others.
const ACCEPTED = [
  // Strawberry prints this directive for tools older than GraphQL's edition of 2025, as it is.
  'Description is required for directive "oneOf"',
  // `name` would be taken for the full name.
  'Field "username" starts with the name of the parent type "User"',
];

const eslint = new ESLint({
  cwd: dirname(schema),
  overrideConfigFile: true,
  overrideConfig: {
    files: ["**/*.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { "@graphql-eslint": graphql },
    rules,
  },
});
const [{ messages }] = await eslint.lintFiles([schema]);
for (const { line, message, ruleId } of messages) {
  if (!ACCEPTED.includes(message)) console.log(`line ${line}: ${message.split("\n")[0]} (${ruleId})`);
}
