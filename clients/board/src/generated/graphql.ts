/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Filter for attachments. */
export type AttachmentFilter = {
  /** All of these filters match. */
  and?: Array<AttachmentFilter> | null | undefined;
  /** The size in bytes. */
  byteSize?: IntFilter | null | undefined;
  /** The media type, such as `image/png`. */
  contentType?: StringFilter | null | undefined;
  /** When the file was attached. */
  createdAt?: DateTimeFilter | null | undefined;
  /** The file name. Case-insensitive. */
  filename?: StringFilter | null | undefined;
  /** The attachment's ID. */
  id?: IdFilter | null | undefined;
  /** This filter does not match. */
  not?: AttachmentFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<AttachmentFilter> | null | undefined;
  /** Words that must all occur in the file name. Ignores case and accents. */
  search?: string | null | undefined;
  /** The task. */
  task?: TaskFilter | null | undefined;
  /** The user who uploaded the file. */
  uploader?: UserFilter | null | undefined;
};

/** Filter for a task's attachments. */
export type AttachmentListFilter = {
  /** Every attachment matches. */
  every?: AttachmentFilter | null | undefined;
  /** No attachment matches. */
  none?: AttachmentFilter | null | undefined;
  /** At least one attachment matches. */
  some?: AttachmentFilter | null | undefined;
};

/** Input for `commentCreate`. */
export type CommentCreateInput = {
  /** The text, 1 to 10,000 characters. `@username` mentions a user. */
  body: string;
  /** An ID that you generate: `comment_` followed by a UUIDv7 in 32 hexadecimal digits. */
  id?: string | null | undefined;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The ID of the comment to reply to. It must start a thread on the same task. */
  parentId?: string | null | undefined;
  /** The task's ID or identifier. */
  taskId: string;
};

/** Filter for comments. */
export type CommentFilter = {
  /** All of these filters match. */
  and?: Array<CommentFilter> | null | undefined;
  /** The author. */
  author?: UserFilter | null | undefined;
  /** The Markdown text. */
  body?: StringFilter | null | undefined;
  /** When the comment was created. */
  createdAt?: DateTimeFilter | null | undefined;
  /** When the author last edited the comment. `isNull: true` selects comments that were never edited. */
  editedAt?: DateTimeFilter | null | undefined;
  /** The comment's ID. */
  id?: IdFilter | null | undefined;
  /** Whether the comment was deleted and remains only as a placeholder for its replies. */
  isDeleted?: boolean | null | undefined;
  /** True: there is no comment, or none that you can see. False: there is one. Other conditions only match comments that there are. */
  isNull?: boolean | null | undefined;
  /** This filter does not match. */
  not?: CommentFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<CommentFilter> | null | undefined;
  /** The comment that it replies to. `isNull: true` selects comments that start a thread. */
  parent?: CommentFilter | null | undefined;
  /** Words that must all occur in the text. Ignores case and accents. */
  search?: string | null | undefined;
  /** The task. */
  task?: TaskFilter | null | undefined;
  /** When the comment last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
};

/** Filter for a task's comments. */
export type CommentListFilter = {
  /** Every comment matches. */
  every?: CommentFilter | null | undefined;
  /** No comment matches. */
  none?: CommentFilter | null | undefined;
  /** At least one comment matches. */
  some?: CommentFilter | null | undefined;
};

/** Compares dates. */
export type DateFilter = {
  /** Equals this value. */
  eq?: string | null | undefined;
  /** After this day. */
  gt?: string | null | undefined;
  /** On or after this day. */
  gte?: string | null | undefined;
  /** Equals one of these values. */
  in?: Array<string> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Before this day. */
  lt?: string | null | undefined;
  /** On or before this day. */
  lte?: string | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: string | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<string> | null | undefined;
  /** From today to then, by days in your time zone: `P7D` is today and the next seven days, `-P7D` today and the last seven. */
  within?: string | null | undefined;
};

/** Compares times. */
export type DateTimeFilter = {
  /** Equals this value. */
  eq?: string | null | undefined;
  /** After this time. */
  gt?: string | null | undefined;
  /** At or after this time. */
  gte?: string | null | undefined;
  /** Equals one of these values. */
  in?: Array<string> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Before this time. */
  lt?: string | null | undefined;
  /** At or before this time. */
  lte?: string | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: string | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<string> | null | undefined;
  /** From now to then: `P7D` is the next seven days, `-P7D` the last seven. */
  within?: string | null | undefined;
};

/** Input for `emailVerificationRequest`; no field is required. */
export type EmailVerificationRequestInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
};

/** The code of an error, for programs. Top-level errors have the same codes in `extensions.code`. New codes may be added; show the message of one that you do not know. */
export type ErrorCode =
  /** The account was deactivated by an administrator. */
  | 'ACCOUNT_INACTIVE'
  /** A value that must be unique is already in use. */
  | 'ALREADY_EXISTS'
  /** The request is not a well-formed GraphQL request. */
  | 'BAD_REQUEST'
  /** A value is invalid. `path` names the value, `message` the rule. */
  | 'BAD_USER_INPUT'
  /** The object has changed since the version in `ifVersion`. The payload has the current object, and `conflictingFields` names the fields that differ from what you sent. */
  | 'CONFLICT'
  /** The event cursor is older than the stored events, or from before the database was restored. Reload your state and get a new `eventCursor`. */
  | 'CURSOR_EXPIRED'
  /** The file is empty. */
  | 'FILE_EMPTY'
  /** The file name is empty after folders are removed from it. */
  | 'FILE_NAME_INVALID'
  /** The file exceeds the size limit. */
  | 'FILE_TOO_LARGE'
  /** The file's content does not match its extension. */
  | 'FILE_TYPE_MISMATCH'
  /** Files with this extension are not allowed. */
  | 'FILE_TYPE_NOT_ALLOWED'
  /** You can see the object, but are not allowed to do this. */
  | 'FORBIDDEN'
  /** The document is not valid GraphQL syntax. */
  | 'GRAPHQL_PARSE_FAILED'
  /** The document is not valid for this schema. */
  | 'GRAPHQL_VALIDATION_FAILED'
  /** The idempotency key was already used with a different input. */
  | 'IDEMPOTENCY_MISMATCH'
  /** The image cannot be read, or its type is not supported. */
  | 'IMAGE_INVALID'
  /** The image exceeds the limit on the number of pixels. */
  | 'IMAGE_TOO_LARGE'
  /** An unexpected error on the server. Include `extensions.requestId` when you report it. */
  | 'INTERNAL_SERVER_ERROR'
  /** The login or password is wrong (the error does not say which), or the refresh token is no longer valid. */
  | 'INVALID_CREDENTIALS'
  /** A documented limit on a number is reached or exceeded; `limit` and `actual` have the numbers. */
  | 'LIMIT_EXCEEDED'
  /** The object does not exist or you cannot see it. The two cases have the same response. */
  | 'NOT_FOUND'
  /** The document has no operation with the requested name, or has several and the request names none. */
  | 'OPERATION_RESOLUTION_FAILURE'
  /** The operation exceeds a limit on size or cost. `extensions` has the limit's name and both numbers. */
  | 'OPERATION_TOO_COMPLEX'
  /** No document is stored under this hash. Send the hash together with the document once. */
  | 'PERSISTED_QUERY_NOT_FOUND'
  /** This server does not store documents. */
  | 'PERSISTED_QUERY_NOT_SUPPORTED'
  /** The project is archived and therefore read-only. Unarchive it first. */
  | 'PROJECT_ARCHIVED'
  /** Too many requests. Wait for the number of seconds in `extensions.retryAfter`. */
  | 'RATE_LIMITED'
  /** This server does not accept registrations. */
  | 'REGISTRATION_CLOSED'
  /** A task cannot be shared with its owner or with yourself. */
  | 'SELF_SHARE'
  /** The operation exceeded the time limit and was stopped. */
  | 'TIMEOUT'
  /** Time before the project's `timeLockedBefore` is locked, and a time entry of this change begins before that day. */
  | 'TIME_LOCKED'
  /** Two time entries of one user would overlap, and the project of one of them does not allow that (`isOverlapAllowed`). */
  | 'TIME_OVERLAP'
  /** The request has no valid credentials. Sign in with `sessionCreate`, or renew the access token with `sessionRefresh`. */
  | 'UNAUTHENTICATED'
  /** The server cannot answer right now: it is stopping, or its database is unreachable. Try again later. */
  | 'UNAVAILABLE'
  /** The file of this upload has not been sent to its URL yet. */
  | 'UPLOAD_INCOMPLETE';

/** Filter for events. `ACCESS_LOST` is always delivered to subscriptions, `events` and webhooks, unless the filter names other projects or tasks by their IDs. */
export type EventFilter = {
  /** The user who caused it. */
  actor?: UserFilter | null | undefined;
  /** All of these filters match. */
  and?: Array<EventFilter> | null | undefined;
  /** When it happened. */
  at?: DateTimeFilter | null | undefined;
  /** The event's ID. */
  id?: IdFilter | null | undefined;
  /** What happened. */
  kind?: EventKindFilter | null | undefined;
  /** This filter does not match. */
  not?: EventFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<EventFilter> | null | undefined;
  /** The project concerned. If you name projects or tasks by ID, a subscription ends with `NOT_FOUND` when you can no longer see any of them. */
  project?: ProjectFilter | null | undefined;
  /** The type of the subject is one of these. */
  subjectType?: Array<EventSubjectType> | null | undefined;
  /** The task concerned, in its state at delivery. Subscriptions and `events` also deliver the events with which a task stops matching (`matches: false`). */
  task?: TaskFilter | null | undefined;
};

/** The kind of an event. Kinds may be added, but are never removed. */
export type EventKind =
  /** You can no longer see the subject: because of a change by others or by yourself (for your other devices), or because a share expired. Delivered to those who lost access, regardless of the filter's kinds and actors; remove the subject from the screen. When you lose a project, you also get one event for each task that you can no longer see. */
  | 'ACCESS_LOST'
  /** An API key was created. */
  | 'API_KEY_CREATED'
  /** An API key was revoked. */
  | 'API_KEY_REVOKED'
  /** A file was attached to a task. */
  | 'ATTACHMENT_CREATED'
  /** An attachment was deleted from a task. */
  | 'ATTACHMENT_DELETED'
  /** A comment was created. */
  | 'COMMENT_CREATED'
  /** A comment was deleted. */
  | 'COMMENT_DELETED'
  /** A comment was edited. */
  | 'COMMENT_UPDATED'
  /** You connected a project to another service. */
  | 'INTEGRATION_CREATED'
  /** You disconnected an integration. */
  | 'INTEGRATION_DELETED'
  /** One of your integrations was changed, failed or recovered. */
  | 'INTEGRATION_UPDATED'
  /** You received a notification. Delivered to you alone; see `notificationReceived`. */
  | 'NOTIFICATION_CREATED'
  /** A password was changed. */
  | 'PASSWORD_CHANGED'
  /** A project was archived and is read-only. */
  | 'PROJECT_ARCHIVED'
  /** A project was created. */
  | 'PROJECT_CREATED'
  /** A project was moved to the trash with its tasks; each task has a `TASK_DELETED` of its own. */
  | 'PROJECT_DELETED'
  /** A user became a member of a project. */
  | 'PROJECT_MEMBER_ADDED'
  /** A user left a project or was removed from it. Their assignments in it end. */
  | 'PROJECT_MEMBER_REMOVED'
  /** The role of a project member changed. */
  | 'PROJECT_MEMBER_UPDATED'
  /** A project was restored from the trash with its tasks. */
  | 'PROJECT_RESTORED'
  /** A project was transferred to a new owner. */
  | 'PROJECT_TRANSFERRED'
  /** A project was unarchived. */
  | 'PROJECT_UNARCHIVED'
  /** The name, description, key, color or time settings of a project changed. */
  | 'PROJECT_UPDATED'
  /** You created a reminder. Events about reminders are visible to their owner only. */
  | 'REMINDER_CREATED'
  /** A reminder was deleted. */
  | 'REMINDER_DELETED'
  /** A reminder with WEBHOOK among its channels is due. */
  | 'REMINDER_DUE'
  /** A reminder was changed, or disabled because its task or project is gone. */
  | 'REMINDER_UPDATED'
  /** One of your report exports made progress or ended. */
  | 'REPORT_EXPORT_UPDATED'
  /** A user signed in. */
  | 'SESSION_CREATED'
  /** A session was revoked. */
  | 'SESSION_REVOKED'
  /** A session was renamed. */
  | 'SESSION_UPDATED'
  /** A task was assigned, reassigned or unassigned. */
  | 'TASK_ASSIGNED'
  /** A task was completed. */
  | 'TASK_COMPLETED'
  /** A task was created. */
  | 'TASK_CREATED'
  /** A task was moved to the trash, on its own or with its parent or project. Delivered to everyone who could see it. */
  | 'TASK_DELETED'
  /** A task was moved within its list or to another project, perhaps with another parent, status or assignee at once. The previous project gets an event of its own. A move that completes or reopens the task is `TASK_COMPLETED` or `TASK_REOPENED`. */
  | 'TASK_MOVED'
  /** A completed or cancelled task was reopened. */
  | 'TASK_REOPENED'
  /** A task was restored from the trash, on its own or with its parent or project. */
  | 'TASK_RESTORED'
  /** A task was shared with a user. */
  | 'TASK_SHARE_CREATED'
  /** A share of a task ended. */
  | 'TASK_SHARE_DELETED'
  /** The permission or expiry of a share changed. */
  | 'TASK_SHARE_UPDATED'
  /** Fields of a task changed. */
  | 'TASK_UPDATED'
  /** A timer was started: a time entry without an end. */
  | 'TIMER_STARTED'
  /** A timer was stopped; its time entry has an end. */
  | 'TIMER_STOPPED'
  /** A time entry was created. Events about time are visible to its user and to the owner and admins of its project. */
  | 'TIME_ENTRY_CREATED'
  /** A time entry was deleted. */
  | 'TIME_ENTRY_DELETED'
  /** A time entry was changed. */
  | 'TIME_ENTRY_UPDATED'
  /** An account was activated. */
  | 'USER_ACTIVATED'
  /** An account was created. */
  | 'USER_CREATED'
  /** An account was deactivated. */
  | 'USER_DEACTIVATED'
  /** An account was deleted. */
  | 'USER_DELETED'
  /** A profile or an account changed. */
  | 'USER_UPDATED'
  /** You created a webhook. */
  | 'WEBHOOK_CREATED'
  /** You deleted a webhook. */
  | 'WEBHOOK_DELETED'
  /** You requested a test of a webhook; the event is sent to that webhook only. */
  | 'WEBHOOK_TESTED'
  /** One of your webhooks was changed, disabled or enabled, or its secret was rotated. */
  | 'WEBHOOK_UPDATED';

/** Compares kinds of events. */
export type EventKindFilter = {
  /** Equals this value. */
  eq?: EventKind | null | undefined;
  /** Equals one of these values. */
  in?: Array<EventKind> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: EventKind | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<EventKind> | null | undefined;
};

/** The type of what an event is about. Types may be added, but are never removed. */
export type EventSubjectType =
  /** An API key. */
  | 'API_KEY'
  /** An attachment. */
  | 'ATTACHMENT'
  /** A comment. */
  | 'COMMENT'
  /** An integration. */
  | 'INTEGRATION'
  /** A notification. */
  | 'NOTIFICATION'
  /** A project. */
  | 'PROJECT'
  /** A membership of a project. */
  | 'PROJECT_MEMBER'
  /** A reminder. */
  | 'REMINDER'
  /** A report export. */
  | 'REPORT_EXPORT'
  /** A session. */
  | 'SESSION'
  /** A task. */
  | 'TASK'
  /** A share of a task. */
  | 'TASK_SHARE'
  /** A time entry, running or ended. */
  | 'TIME_ENTRY'
  /** A user: their profile, account or password. */
  | 'USER'
  /** A webhook. */
  | 'WEBHOOK';

/** Filter for a task's counterparts in other systems. */
export type ExternalReferenceFilter = {
  /** All of these filters match. */
  and?: Array<ExternalReferenceFilter> | null | undefined;
  /** The ID in the other system. */
  externalId?: StringFilter | null | undefined;
  /** This filter does not match. */
  not?: ExternalReferenceFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<ExternalReferenceFilter> | null | undefined;
  /** The other system. */
  source?: StringFilter | null | undefined;
  /** The address in the other system. */
  url?: StringFilter | null | undefined;
};

/** A task's counterpart in another system. */
export type ExternalReferenceInput = {
  /** The ID in the other system, 1 to 200 characters. */
  externalId: string;
  /** The other system, such as `jira`; 1 to 50 characters. */
  source: string;
  /** The address in the other system, up to 2,000 characters. */
  url?: string | null | undefined;
};

/** Filter for a task's counterparts in other systems. */
export type ExternalReferenceListFilter = {
  /** Every external reference matches. */
  every?: ExternalReferenceFilter | null | undefined;
  /** No external reference matches. */
  none?: ExternalReferenceFilter | null | undefined;
  /** At least one external reference matches. */
  some?: ExternalReferenceFilter | null | undefined;
};

/** Compares IDs. */
export type IdFilter = {
  /** Equals this value. */
  eq?: string | null | undefined;
  /** Equals one of these values. */
  in?: Array<string> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: string | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<string> | null | undefined;
};

/** Compares integers. */
export type IntFilter = {
  /** Equals this value. */
  eq?: number | null | undefined;
  /** Greater than this value. */
  gt?: number | null | undefined;
  /** Greater than or equal to this value. */
  gte?: number | null | undefined;
  /** Equals one of these values. */
  in?: Array<number> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: number | null | undefined;
  /** Less than or equal to this value. */
  lte?: number | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: number | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<number> | null | undefined;
};

/** An end of a list. */
export type ListEdge =
  /** After all others. */
  | 'END'
  /** Before all others. */
  | 'START';

/** The reason for a notification. */
export type NotificationKind =
  /** Someone commented on a task that you own or are assigned to. */
  | 'COMMENT_ON_MY_TASK'
  /** One of your integrations has stopped and needs a change from you to continue. */
  | 'INTEGRATION_FAILED'
  /** Someone mentioned you in a comment. */
  | 'MENTIONED'
  /** One of your reminders was due. */
  | 'REMINDER'
  /** Someone assigned a task to you. */
  | 'TASK_ASSIGNED_TO_ME'
  /** Someone completed a task that you own or are assigned to. */
  | 'TASK_COMPLETED'
  /** A task that you are assigned to is due soon. */
  | 'TASK_DUE_SOON'
  /** Someone shared a task with you. */
  | 'TASK_SHARED_WITH_ME'
  /** One of your webhooks was disabled because its receiver does not respond. */
  | 'WEBHOOK_DISABLED';

/** Input for `notificationMarkAllRead`. */
export type NotificationMarkAllReadInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Marks only notifications created up to this time: pass the `createdAt` of the newest one on screen. All by default. */
  until?: string | null | undefined;
};

/** Input for `notificationMarkRead`. */
export type NotificationMarkReadInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The notifications, at most 100. */
  ids: Array<string>;
  /** Whether to mark them as read or, if false, as unread. */
  isRead?: boolean;
};

/** Input for `passwordReset`. */
export type PasswordResetInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The new password, 8 to 100 characters in any script. */
  newPassword: string;
  /** The `token` parameter of the link. It works once, within one hour. */
  token: string;
};

/** Input for `passwordResetRequest`. */
export type PasswordResetRequestInput = {
  /** The email address of the account. */
  email: string;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
};

/** Input for `presenceClear`. */
export type PresenceClearInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The ID or key of the project that you left. */
  projectId: string;
};

/** Input for `presenceSet`. */
export type PresenceSetInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The ID or key of the project that you are looking at. */
  projectId: string;
  /** The task of the project that you are looking at. Omit it for the project as a whole. */
  taskId?: string | null | undefined;
};

/** Filter for projects. */
export type ProjectFilter = {
  /** All of these filters match. */
  and?: Array<ProjectFilter> | null | undefined;
  /** When the project was archived. */
  archivedAt?: DateTimeFilter | null | undefined;
  /** When the project was created. */
  createdAt?: DateTimeFilter | null | undefined;
  /** The description. */
  description?: StringFilter | null | undefined;
  /** The project's ID. */
  id?: IdFilter | null | undefined;
  /** Whether the project is archived. */
  isArchived?: boolean | null | undefined;
  /** True: only projects in the trash that you may restore. False, and in a filter without this field: only projects that are not in the trash. */
  isDeleted?: boolean | null | undefined;
  /** True: there is no project, or none that you can see. False: there is one. Other conditions only match projects that there are. */
  isNull?: boolean | null | undefined;
  /** The key, such as `WEB`. Case-insensitive. */
  key?: StringFilter | null | undefined;
  /** The members. */
  members?: ProjectMemberListFilter | null | undefined;
  /** The name. Case-insensitive. */
  name?: StringFilter | null | undefined;
  /** This filter does not match. */
  not?: ProjectFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<ProjectFilter> | null | undefined;
  /** The owner. */
  owner?: UserFilter | null | undefined;
  /** Words that must all occur in the name, key or description. Ignores case and accents. */
  search?: string | null | undefined;
  /** The time tracked in the project, in entries that you can see. Scope: `time:read`. */
  tracked?: SecondsFilter | null | undefined;
  /** When the project last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
};

/** Filter for project members. */
export type ProjectMemberFilter = {
  /** All of these filters match. */
  and?: Array<ProjectMemberFilter> | null | undefined;
  /** When the user joined. */
  createdAt?: DateTimeFilter | null | undefined;
  /** The membership's ID. */
  id?: IdFilter | null | undefined;
  /** This filter does not match. */
  not?: ProjectMemberFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<ProjectMemberFilter> | null | undefined;
  /** The role. */
  role?: ProjectRoleFilter | null | undefined;
  /** When the membership last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
  /** The user. */
  user?: UserFilter | null | undefined;
};

/** Filter for a project's members. */
export type ProjectMemberListFilter = {
  /** Every member matches. */
  every?: ProjectMemberFilter | null | undefined;
  /** No member matches. */
  none?: ProjectMemberFilter | null | undefined;
  /** At least one member matches. */
  some?: ProjectMemberFilter | null | undefined;
};

/** The role of a project member. Each role includes the permissions of the lower ones. */
export type ProjectRole =
  /** Can edit the project, manage its members and delete tasks. */
  | 'ADMIN'
  /** Can create and edit tasks. */
  | 'EDITOR'
  /** Can delete and transfer the project. Each project has one owner. */
  | 'OWNER'
  /** Can see the project and its tasks, and comment. */
  | 'VIEWER';

/** Compares roles. Their order is VIEWER to OWNER. */
export type ProjectRoleFilter = {
  /** Equals this value. */
  eq?: ProjectRole | null | undefined;
  /** Greater than this value. */
  gt?: ProjectRole | null | undefined;
  /** Greater than or equal to this value. */
  gte?: ProjectRole | null | undefined;
  /** Equals one of these values. */
  in?: Array<ProjectRole> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: ProjectRole | null | undefined;
  /** Less than or equal to this value. */
  lte?: ProjectRole | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: ProjectRole | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<ProjectRole> | null | undefined;
};

/** A kind of object that search finds. */
export type SearchKind =
  /** Comments on tasks, by text. */
  | 'COMMENT'
  /** Projects, by name, key and description. */
  | 'PROJECT'
  /** Tasks, by title, tags and description. */
  | 'TASK';

/** Compares lengths of time. */
export type SecondsFilter = {
  /** Equals this value. */
  eq?: number | null | undefined;
  /** Greater than this value. */
  gt?: number | null | undefined;
  /** Greater than or equal to this value. */
  gte?: number | null | undefined;
  /** Equals one of these values. */
  in?: Array<number> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: number | null | undefined;
  /** Less than or equal to this value. */
  lte?: number | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: number | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<number> | null | undefined;
};

/** Compares text. `eq`, `notEq`, `in` and `notIn` are exact, but case-insensitive for names, keys and tags. */
export type StringFilter = {
  /** Contains this text. Case-insensitive. */
  contains?: string | null | undefined;
  /** Ends with this text. Case-insensitive. */
  endsWith?: string | null | undefined;
  /** Equals this value. */
  eq?: string | null | undefined;
  /** Equals one of these values. */
  in?: Array<string> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: string | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<string> | null | undefined;
  /** Starts with this text. Case-insensitive. */
  startsWith?: string | null | undefined;
};

/** Filter for a task's tags. Tags are compared case-insensitively. */
export type TagListFilter = {
  /** Every tag matches. */
  every?: StringFilter | null | undefined;
  /** No tag matches. */
  none?: StringFilter | null | undefined;
  /** At least one tag matches. */
  some?: StringFilter | null | undefined;
};

/** Input for `taskCreate`. */
export type TaskCreateInput = {
  /** The user to assign the task to: an ID, or a username such as @ada. */
  assigneeId?: string | null | undefined;
  /** The description, up to 10,000 characters. */
  description?: string | null | undefined;
  /** When the task is due. */
  due?: TaskDueInput | null | undefined;
  /** The estimated effort, up to 60,000,000 seconds (694 days). */
  estimate?: number | null | undefined;
  /** The task's counterparts in other systems, at most 20. If another task of the project, or of your personal tasks, has one of them, the mutation fails with `ALREADY_EXISTS` and returns that task, so that an import can be repeated. Only members of the project can add them, and the owner of personal tasks. */
  externalReferences?: Array<ExternalReferenceInput> | null | undefined;
  /** An ID that you generate: `task_` followed by a UUIDv7 in 32 hexadecimal digits. */
  id?: string | null | undefined;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Short notes, up to 500 characters. */
  notes?: string | null | undefined;
  /** The ID or identifier of the parent task, in the same project. Tasks nest at most three levels deep. */
  parentId?: string | null | undefined;
  /** The priority. */
  priority?: TaskPriority;
  /** The project's ID or key. Without it, the task is personal. */
  projectId?: string | null | undefined;
  /** The earliest time to start work. */
  startAt?: string | null | undefined;
  /** The status. */
  status?: TaskStatus;
  /** Up to 20 tags of 1 to 50 characters each. Duplicates are removed. */
  tags?: Array<string> | null | undefined;
  /** The title, 1 to 200 characters. */
  title: string;
};

/** When a task is due. Provide exactly one field. */
export type TaskDueInput =
  {   /** A time. */
  at: string; on?: never; }
  |  { at?: never;   /** A whole day in your time zone, at whose end the task is due. */
  on: string; };

/** Filter for tasks. */
export type TaskFilter = {
  /** All of these filters match. */
  and?: Array<TaskFilter> | null | undefined;
  /** The assignee. `isNull: true` selects unassigned tasks. */
  assignee?: UserFilter | null | undefined;
  /** The attachments. */
  attachments?: AttachmentListFilter | null | undefined;
  /** The comments. */
  comments?: CommentListFilter | null | undefined;
  /** When the task was completed. */
  completedAt?: DateTimeFilter | null | undefined;
  /** When the task was created. */
  createdAt?: DateTimeFilter | null | undefined;
  /** The description. */
  description?: StringFilter | null | undefined;
  /** The time the task is due. For an all-day due date, the end of that day. */
  dueAt?: DateTimeFilter | null | undefined;
  /** The all-day due date. */
  dueOn?: DateFilter | null | undefined;
  /** The estimated effort. */
  estimate?: SecondsFilter | null | undefined;
  /** The counterparts in other systems. */
  externalReferences?: ExternalReferenceListFilter | null | undefined;
  /** The task's ID. */
  id?: IdFilter | null | undefined;
  /** The identifier, such as `WEB-42`. Case-insensitive. Scope: `projects:read`. */
  identifier?: StringFilter | null | undefined;
  /** True: only tasks in the trash that you may restore. False, and in a filter without this field: only tasks that are not in the trash. */
  isDeleted?: boolean | null | undefined;
  /** True: there is no task, or none that you can see. False: there is one. Other conditions only match tasks that there are. */
  isNull?: boolean | null | undefined;
  /** Whether the status is TODO or IN_PROGRESS. */
  isOpen?: boolean | null | undefined;
  /** Whether the task is past due and neither completed nor cancelled. */
  isOverdue?: boolean | null | undefined;
  /** This filter does not match. */
  not?: TaskFilter | null | undefined;
  /** The notes. */
  notes?: StringFilter | null | undefined;
  /** The number within the project. */
  number?: IntFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<TaskFilter> | null | undefined;
  /** The owner. */
  owner?: UserFilter | null | undefined;
  /** The parent task. `isNull: true` selects tasks without a parent. */
  parent?: TaskFilter | null | undefined;
  /** The priority. */
  priority?: TaskPriorityFilter | null | undefined;
  /** The project. `isNull: true` selects personal tasks. */
  project?: ProjectFilter | null | undefined;
  /** Words that must all occur in the title, description or notes. Ignores case and accents. */
  search?: string | null | undefined;
  /** The shares that you can see. */
  shares?: TaskShareListFilter | null | undefined;
  /** The earliest time to start work. */
  startAt?: DateTimeFilter | null | undefined;
  /** The status. */
  status?: TaskStatusFilter | null | undefined;
  /** The direct subtasks. */
  subtasks?: TaskListFilter | null | undefined;
  /** The tags. */
  tags?: TagListFilter | null | undefined;
  /** The time entries that you can see. */
  timeEntries?: TimeEntryListFilter | null | undefined;
  /** The title. */
  title?: StringFilter | null | undefined;
  /** The time tracked on the task, without its subtasks, in entries that you can see. Scope: `time:read`. */
  tracked?: SecondsFilter | null | undefined;
  /** When the task last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
};

/** Filter for a task's direct subtasks. */
export type TaskListFilter = {
  /** Every subtask matches. */
  every?: TaskFilter | null | undefined;
  /** No subtask matches. */
  none?: TaskFilter | null | undefined;
  /** At least one subtask matches. */
  some?: TaskFilter | null | undefined;
};

/** Input for `taskMove`. Provide at least one of `place`, `status`, `projectId`, `parentId` and `assigneeId`; omitted fields stay unchanged. */
export type TaskMoveInput = {
  /** The new assignee: an ID, or a username such as @ada. Null removes the assignee. To assign a user who cannot yet see the task or one of its subtasks, you need permission to share it. */
  assigneeId?: string | null | undefined;
  /** The task's ID or identifier. */
  id: string;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Applies the change only if the object's `version` is still this one. Otherwise the mutation fails with `CONFLICT` and the payload has the current object. */
  ifVersion?: number | null | undefined;
  /** The ID or identifier of the new parent, in the same project as the task will be. Null removes the parent; so does a move to another project. If the change would give anyone new rights on the task or its subtasks, you need permission to share them. */
  parentId?: string | null | undefined;
  /** The position in the manual order. Omitted, the task keeps its position, or goes to the end of another project. */
  place?: TaskPlacementInput | null | undefined;
  /** The ID or key of the project to move the task to. You need the role EDITOR or higher in both projects or, for a personal task, must be its owner. Null moves your own task out of its project and makes it personal. */
  projectId?: string | null | undefined;
  /** The new status. */
  status?: TaskStatus | null | undefined;
  /** What happens to the time entries of the task and its subtasks, including those of other users, when the project changes. With MOVE, the mutation fails with `TIME_LOCKED` if an entry is in a locked period of either project, and with `TIME_OVERLAP` if the new project does not allow the overlaps that would result. */
  timeEntries?: TaskMoveTimeEntries;
};

/** What happens to the time entries of a task that moves to another project. */
export type TaskMoveTimeEntries =
  /** The time entries stay on the task, in their current project. */
  | 'KEEP'
  /** The time entries move to the new project with the task. */
  | 'MOVE';

/** A position in the manual order of a project's tasks, or of your personal tasks. Provide exactly one field. */
export type TaskPlacementInput =
  {   /** The ID or identifier of the task to place it directly after. */
  after: string; before?: never; edge?: never; }
  |  { after?: never;   /** The ID or identifier of the task to place it directly before. */
  before: string; edge?: never; }
  |  { after?: never; before?: never;   /** The start or the end of the list. */
  edge: ListEdge; };

/** The priority of a task. Sorts from NONE up to URGENT. */
export type TaskPriority =
  /** High priority. */
  | 'HIGH'
  /** Low priority. */
  | 'LOW'
  /** Normal priority. */
  | 'MEDIUM'
  /** No priority. */
  | 'NONE'
  /** Needs immediate attention. */
  | 'URGENT';

/** Compares task priorities. Their order is NONE to URGENT. */
export type TaskPriorityFilter = {
  /** Equals this value. */
  eq?: TaskPriority | null | undefined;
  /** Greater than this value. */
  gt?: TaskPriority | null | undefined;
  /** Greater than or equal to this value. */
  gte?: TaskPriority | null | undefined;
  /** Equals one of these values. */
  in?: Array<TaskPriority> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: TaskPriority | null | undefined;
  /** Less than or equal to this value. */
  lte?: TaskPriority | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: TaskPriority | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<TaskPriority> | null | undefined;
};

/** Filter for shares. */
export type TaskShareFilter = {
  /** All of these filters match. */
  and?: Array<TaskShareFilter> | null | undefined;
  /** When the task was shared. */
  createdAt?: DateTimeFilter | null | undefined;
  /** When the share expires. `isNull: true` selects shares that do not expire. */
  expiresAt?: DateTimeFilter | null | undefined;
  /** The share's ID. */
  id?: IdFilter | null | undefined;
  /** Whether the share has expired. */
  isExpired?: boolean | null | undefined;
  /** This filter does not match. */
  not?: TaskShareFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<TaskShareFilter> | null | undefined;
  /** The permission that the share gives. */
  permission?: TaskSharePermissionFilter | null | undefined;
  /** The user who shared the task. */
  sharedBy?: UserFilter | null | undefined;
  /** The task. */
  task?: TaskFilter | null | undefined;
  /** When the share last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
  /** The user the task is shared with. */
  user?: UserFilter | null | undefined;
};

/** Filter for a task's shares, as far as you can see them. */
export type TaskShareListFilter = {
  /** Every share matches. */
  every?: TaskShareFilter | null | undefined;
  /** No share matches. */
  none?: TaskShareFilter | null | undefined;
  /** At least one share matches. */
  some?: TaskShareFilter | null | undefined;
};

/** What a share allows. */
export type TaskSharePermission =
  /** Can also edit the task and its subtasks. */
  | 'EDIT'
  /** Can see the task and its subtasks, and comment. */
  | 'VIEW';

/** Compares permissions. VIEW is less than EDIT. */
export type TaskSharePermissionFilter = {
  /** Equals this value. */
  eq?: TaskSharePermission | null | undefined;
  /** Greater than this value. */
  gt?: TaskSharePermission | null | undefined;
  /** Greater than or equal to this value. */
  gte?: TaskSharePermission | null | undefined;
  /** Equals one of these values. */
  in?: Array<TaskSharePermission> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: TaskSharePermission | null | undefined;
  /** Less than or equal to this value. */
  lte?: TaskSharePermission | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: TaskSharePermission | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<TaskSharePermission> | null | undefined;
};

/** The status of a task. Sorts in this order. */
export type TaskStatus =
  /** Cancelled; the task will not be done. */
  | 'CANCELLED'
  /** Completed. */
  | 'COMPLETED'
  /** In progress. */
  | 'IN_PROGRESS'
  /** Not started. */
  | 'TODO';

/** Compares task statuses. Their order is TODO to CANCELLED. */
export type TaskStatusFilter = {
  /** Equals this value. */
  eq?: TaskStatus | null | undefined;
  /** Greater than this value. */
  gt?: TaskStatus | null | undefined;
  /** Greater than or equal to this value. */
  gte?: TaskStatus | null | undefined;
  /** Equals one of these values. */
  in?: Array<TaskStatus> | null | undefined;
  /** True: has no value. False: has a value. */
  isNull?: boolean | null | undefined;
  /** Less than this value. */
  lt?: TaskStatus | null | undefined;
  /** Less than or equal to this value. */
  lte?: TaskStatus | null | undefined;
  /** Does not equal this value. Also matches null. */
  notEq?: TaskStatus | null | undefined;
  /** Equals none of these values. Also matches null. */
  notIn?: Array<TaskStatus> | null | undefined;
};

/** Input for `taskUpdate`. Omitted fields stay unchanged; null clears a field. */
export type TaskUpdateInput = {
  /** The assignee: an ID, or a username such as @ada. To assign a user who cannot yet see the task or one of its subtasks, you need permission to share it. */
  assigneeId?: string | null | undefined;
  /** The description, up to 10,000 characters. */
  description?: string | null | undefined;
  /** When the task is due. Null removes the due date. */
  due?: TaskDueInput | null | undefined;
  /** The estimated effort, up to 60,000,000 seconds (694 days). */
  estimate?: number | null | undefined;
  /** All of the task's counterparts in other systems, at most 20; null removes them. Fails with `ALREADY_EXISTS` if another task of the project, or of the owner's personal tasks, has one of them. Only members of the project can add them, and the owner of personal tasks; everyone who can edit the task can remove them. */
  externalReferences?: Array<ExternalReferenceInput> | null | undefined;
  /** The task's ID or identifier. */
  id: string;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Applies the change only if the object's `version` is still this one. Otherwise the mutation fails with `CONFLICT` and the payload has the current object. */
  ifVersion?: number | null | undefined;
  /** Short notes, up to 500 characters. */
  notes?: string | null | undefined;
  /** The parent task's ID or identifier. Null removes the parent. If the change would give anyone new rights on the task or its subtasks, you need permission to share them. */
  parentId?: string | null | undefined;
  /** The priority. */
  priority?: TaskPriority | null | undefined;
  /** The earliest time to start work. */
  startAt?: string | null | undefined;
  /** The status. */
  status?: TaskStatus | null | undefined;
  /** All tags of the task: up to 20 of 1 to 50 characters each. */
  tags?: Array<string> | null | undefined;
  /** The title, 1 to 200 characters. */
  title?: string | null | undefined;
};

/** Filter for time entries. */
export type TimeEntryFilter = {
  /** All of these filters match. */
  and?: Array<TimeEntryFilter> | null | undefined;
  /** When the entry was created. */
  createdAt?: DateTimeFilter | null | undefined;
  /** The day of an entry that was given as a day and a duration. */
  day?: DateFilter | null | undefined;
  /** The description. */
  description?: StringFilter | null | undefined;
  /** The duration. */
  duration?: SecondsFilter | null | undefined;
  /** When the entry ended; use `isNull` for running timers. */
  endedAt?: DateTimeFilter | null | undefined;
  /** Whether the entry overlaps another entry of the same user that you can see. */
  hasOverlap?: boolean | null | undefined;
  /** The time entry's ID. */
  id?: IdFilter | null | undefined;
  /** Whether the time is billable. */
  isBillable?: boolean | null | undefined;
  /** Whether the entry is a running timer. */
  isRunning?: boolean | null | undefined;
  /** This filter does not match. */
  not?: TimeEntryFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<TimeEntryFilter> | null | undefined;
  /** The project the time was spent on; use `isNull` for none. */
  project?: ProjectFilter | null | undefined;
  /** Words that all occur in the description; case and accents are ignored. */
  search?: string | null | undefined;
  /** When the entry started. */
  startedAt?: DateTimeFilter | null | undefined;
  /** The tags. */
  tags?: TagListFilter | null | undefined;
  /** The task the time was spent on; use `isNull` for none. */
  task?: TaskFilter | null | undefined;
  /** When the entry last changed. */
  updatedAt?: DateTimeFilter | null | undefined;
  /** The user whose time it is. */
  user?: UserFilter | null | undefined;
};

/** Filter for a list of time entries. */
export type TimeEntryListFilter = {
  /** Every entry matches. */
  every?: TimeEntryFilter | null | undefined;
  /** No entry matches. */
  none?: TimeEntryFilter | null | undefined;
  /** At least one entry matches. */
  some?: TimeEntryFilter | null | undefined;
};

/** Input for `timerStart`. */
export type TimerStartInput = {
  /** What is done, up to 500 characters. */
  description?: string | null | undefined;
  /** An ID that you generate: `time_entry_` followed by a UUIDv7 in 32 hexadecimal digits. */
  id?: string | null | undefined;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Whether the time is billable. */
  isBillable?: boolean;
  /** The project; you must be able to see it. Defaults to the task's project if there is a task. */
  projectId?: string | null | undefined;
  /** Up to 20 tags of 1 to 50 characters each; duplicates are removed. */
  tags?: Array<string> | null | undefined;
  /** The task; you must be able to see it. */
  taskId?: string | null | undefined;
};

/** Input for `timerStop`; no field is required. */
export type TimerStopInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Applies the change only if the object's `version` is still this one. Otherwise the mutation fails with `CONFLICT` and the payload has the current object. */
  ifVersion?: number | null | undefined;
};

/** Filter for users, on public fields. */
export type UserFilter = {
  /** All of these filters match. */
  and?: Array<UserFilter> | null | undefined;
  /** The full name. Case-insensitive. */
  fullName?: StringFilter | null | undefined;
  /** The user's ID. */
  id?: IdFilter | null | undefined;
  /** Whether the user is you. In a stored filter, whether it is the filter's owner. */
  isMe?: boolean | null | undefined;
  /** True: there is no user, or none that you can see. False: there is one. Other conditions only match users that there are. */
  isNull?: boolean | null | undefined;
  /** This filter does not match. */
  not?: UserFilter | null | undefined;
  /** At least one of these filters matches. */
  or?: Array<UserFilter> | null | undefined;
  /** Words that all occur in the username or full name; case and accents are ignored. */
  search?: string | null | undefined;
  /** The username. Case-insensitive. */
  username?: StringFilter | null | undefined;
};

export type PersonFragment = { id: string, displayName: string, avatarUrl: string | null };

export type CardFragment = { id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null };

export type BootQueryVariables = Exact<{ [key: string]: never; }>;


export type BootQuery = { eventCursor: string, viewer: { unreadNotificationCount: number, user: { id: string, displayName: string, avatarUrl: string | null }, runningTimer: { id: string, startedAt: string, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null } | null } | null };

export type ProjectsQueryVariables = Exact<{ [key: string]: never; }>;


export type ProjectsQuery = { eventCursor: string, projects: { nodes: Array<{ id: string, key: string, name: string, color: string | null, stats: { open: number, completed: number, total: number } }> }, tasks: { nodes: Array<{ id: string, identifier: string | null, title: string, status: TaskStatus, project: { key: string } | null }>, pageInfo: { hasNextPage: boolean } } };

export type ProjectQueryVariables = Exact<{
  id: string;
}>;


export type ProjectQuery = { project: { id: string, key: string, name: string, archivedAt: string | null, viewerCanCreateTasks: boolean, members: { nodes: Array<{ id: string, user: { id: string, displayName: string, avatarUrl: string | null } | null }> } } | null };

export type TasksQueryVariables = Exact<{
  filter: TaskFilter;
  after?: string | null | undefined;
}>;


export type TasksQuery = { eventCursor: string, tasks: { nodes: Array<{ id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type TaskEventsSubscriptionVariables = Exact<{
  filter: EventFilter;
  after?: string | null | undefined;
}>;


export type TaskEventsSubscription = { taskEvents: { cursor: string, kind: EventKind, matches: boolean, subjectId: string | null, requestId: string | null, task: { id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null } | null } };

export type MoveTaskMutationVariables = Exact<{
  input: TaskMoveInput;
}>;


export type MoveTaskMutation = { taskMove: { task: { id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type UpdateTaskMutationVariables = Exact<{
  input: TaskUpdateInput;
}>;


export type UpdateTaskMutation = { taskUpdate: { task: { id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type CreateTaskMutationVariables = Exact<{
  input: TaskCreateInput;
}>;


export type CreateTaskMutation = { taskCreate: { task: { id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type ProblemFragment = { code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null };

export type PresenceSubscriptionVariables = Exact<{
  project: string;
}>;


export type PresenceSubscription = { projectPresence: { people: Array<{ user: { id: string, displayName: string, avatarUrl: string | null } | null, task: { id: string } | null }> } };

export type LookAtMutationVariables = Exact<{
  input: PresenceSetInput;
}>;


export type LookAtMutation = { presenceSet: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type LookAwayMutationVariables = Exact<{
  input: PresenceClearInput;
}>;


export type LookAwayMutation = { presenceClear: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type SearchQueryVariables = Exact<{
  query: string;
}>;


export type SearchQuery = { search: { nodes: Array<{ kind: SearchKind, subject:
        | { __typename: 'Comment', id: string, bodyText: string, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null }
        | { __typename: 'Project', id: string, key: string, name: string }
        | { __typename: 'Task', id: string, identifier: string | null, title: string, status: TaskStatus, project: { key: string } | null }
       | null }> } };

export type NoticeFragment = { id: string, kind: NotificationKind, message: string | null, isRead: boolean, createdAt: string, actor: { displayName: string } | null, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null };

export type InboxQueryVariables = Exact<{ [key: string]: never; }>;


export type InboxQuery = { viewer: { unreadNotificationCount: number, notifications: { nodes: Array<{ id: string, kind: NotificationKind, message: string | null, isRead: boolean, createdAt: string, actor: { displayName: string } | null, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null }> } } | null };

export type MarkReadMutationVariables = Exact<{
  input: NotificationMarkReadInput;
}>;


export type MarkReadMutation = { notificationMarkRead: { unreadCount: number | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type MarkAllReadMutationVariables = Exact<{
  input: NotificationMarkAllReadInput;
}>;


export type MarkAllReadMutation = { notificationMarkAllRead: { unreadCount: number | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type NotifiedSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type NotifiedSubscription = { notificationReceived: { cursor: string, unreadCount: number, notification: { id: string, kind: NotificationKind, message: string | null, isRead: boolean, createdAt: string, actor: { displayName: string } | null, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null } | null } };

export type TimerFragment = { id: string, startedAt: string, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null };

export type StartTimerMutationVariables = Exact<{
  input: TimerStartInput;
}>;


export type StartTimerMutation = { timerStart: { timeEntry: { id: string, startedAt: string, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type StopTimerMutationVariables = Exact<{
  input: TimerStopInput;
}>;


export type StopTimerMutation = { timerStop: { timeEntry: { id: string } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type TimerChangesSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type TimerChangesSubscription = { timerChanged: { cursor: string, runningTimer: { id: string, startedAt: string, task: { id: string, identifier: string | null, title: string, project: { key: string } | null } | null } | null } };

export type LinkedTaskQueryVariables = Exact<{
  id: string;
}>;


export type LinkedTaskQuery = { eventCursor: string, task: { id: string, identifier: string | null, project: { key: string } | null } | null };

export type LinkedProjectQueryVariables = Exact<{
  id: string;
}>;


export type LinkedProjectQuery = { project: { key: string } | null };

export type RequestResetMutationVariables = Exact<{
  input: PasswordResetRequestInput;
}>;


export type RequestResetMutation = { passwordResetRequest: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type ResetPasswordMutationVariables = Exact<{
  input: PasswordResetInput;
}>;


export type ResetPasswordMutation = { passwordReset: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type RequestVerificationMutationVariables = Exact<{
  input: EmailVerificationRequestInput;
}>;


export type RequestVerificationMutation = { emailVerificationRequest: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export type PanelQueryVariables = Exact<{
  id: string;
}>;


export type PanelQuery = { task: { descriptionHtml: string | null, estimate: number | null, tracked: number, createdAt: string, viewerCanComment: boolean, id: string, identifier: string | null, title: string, description: string | null, status: TaskStatus, priority: TaskPriority, position: string, dueAt: string | null, dueOn: string | null, isOverdue: boolean, tags: Array<string>, commentCount: number, attachmentCount: number, viewerCanEdit: boolean, version: number, owner: { id: string, displayName: string, avatarUrl: string | null } | null, subtasks: { pageInfo: { hasNextPage: boolean }, nodes: Array<{ id: string, identifier: string | null, title: string, status: TaskStatus }> }, comments: { pageInfo: { hasPreviousPage: boolean }, nodes: Array<{ id: string, bodyHtml: string, createdAt: string, author: { id: string, displayName: string, avatarUrl: string | null } | null }> }, attachments: { pageInfo: { hasNextPage: boolean }, nodes: Array<{ id: string, filename: string, byteSize: number, downloadUrl: string }> }, activity: { nodes: Array<{ id: string, at: string, summary: string }> }, timeEntries: { nodes: Array<{ id: string, startedAt: string, duration: number, isRunning: boolean, description: string | null, user: { id: string, displayName: string, avatarUrl: string | null } | null }> }, assignee: { id: string, displayName: string, avatarUrl: string | null } | null, project: { id: string } | null, parent: { id: string } | null } | null };

export type DownloadQueryVariables = Exact<{
  id: string;
}>;


export type DownloadQuery = { node:
    | { __typename: 'ApiKey' }
    | { __typename: 'Attachment', downloadUrl: string }
    | { __typename: 'Comment' }
    | { __typename: 'CommentRevision' }
    | { __typename: 'Device' }
    | { __typename: 'Event' }
    | { __typename: 'Integration' }
    | { __typename: 'IntegrationProblem' }
    | { __typename: 'Job' }
    | { __typename: 'Notification' }
    | { __typename: 'Project' }
    | { __typename: 'ProjectMember' }
    | { __typename: 'Reminder' }
    | { __typename: 'ReportExport' }
    | { __typename: 'Session' }
    | { __typename: 'Task' }
    | { __typename: 'TaskShare' }
    | { __typename: 'TimeEntry' }
    | { __typename: 'User' }
    | { __typename: 'Webhook' }
    | { __typename: 'WebhookAttempt' }
    | { __typename: 'WebhookDelivery' }
   | null };

export type CreateCommentMutationVariables = Exact<{
  input: CommentCreateInput;
}>;


export type CreateCommentMutation = { commentCreate: { comment: { id: string } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, conflictingFields: Array<string> | null }> } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const PersonFragmentDoc = new TypedDocumentString(`
    fragment Person on User {
  id
  displayName
  avatarUrl
}
    `, {"fragmentName":"Person"}) as unknown as TypedDocumentString<PersonFragment, unknown>;
export const CardFragmentDoc = new TypedDocumentString(`
    fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}`, {"fragmentName":"Card"}) as unknown as TypedDocumentString<CardFragment, unknown>;
export const ProblemFragmentDoc = new TypedDocumentString(`
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}
    `, {"fragmentName":"Problem"}) as unknown as TypedDocumentString<ProblemFragment, unknown>;
export const NoticeFragmentDoc = new TypedDocumentString(`
    fragment Notice on Notification {
  id
  kind
  message
  isRead
  createdAt
  actor {
    displayName
  }
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}
    `, {"fragmentName":"Notice"}) as unknown as TypedDocumentString<NoticeFragment, unknown>;
export const TimerFragmentDoc = new TypedDocumentString(`
    fragment Timer on TimeEntry {
  id
  startedAt
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}
    `, {"fragmentName":"Timer"}) as unknown as TypedDocumentString<TimerFragment, unknown>;
export const BootDocument = new TypedDocumentString(`
    query Boot {
  viewer {
    user {
      ...Person
    }
    unreadNotificationCount
    runningTimer {
      ...Timer
    }
  }
  eventCursor
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Timer on TimeEntry {
  id
  startedAt
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}`) as unknown as TypedDocumentString<BootQuery, BootQueryVariables>;
export const ProjectsDocument = new TypedDocumentString(`
    query Projects {
  eventCursor
  projects(filter: {isArchived: false}, orderBy: [{name: ASC}], first: 100) {
    nodes {
      id
      key
      name
      color
      stats {
        open
        completed
        total
      }
    }
  }
  tasks(
    filter: {isOpen: true, project: {isNull: true}}
    orderBy: [{dueAt: ASC}]
    first: 50
  ) {
    nodes {
      id
      identifier
      title
      status
      project {
        key
      }
    }
    pageInfo {
      hasNextPage
    }
  }
}
    `) as unknown as TypedDocumentString<ProjectsQuery, ProjectsQueryVariables>;
export const ProjectDocument = new TypedDocumentString(`
    query Project($id: ID!) {
  project(id: $id) {
    id
    key
    name
    archivedAt
    viewerCanCreateTasks
    members(first: 100) {
      nodes {
        id
        user {
          ...Person
        }
      }
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}`) as unknown as TypedDocumentString<ProjectQuery, ProjectQueryVariables>;
export const TasksDocument = new TypedDocumentString(`
    query Tasks($filter: TaskFilter!, $after: String) {
  eventCursor
  tasks(filter: $filter, orderBy: [{position: ASC}], first: 100, after: $after) {
    nodes {
      ...Card
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}`) as unknown as TypedDocumentString<TasksQuery, TasksQueryVariables>;
export const TaskEventsDocument = new TypedDocumentString(`
    subscription TaskEvents($filter: EventFilter!, $after: String) {
  taskEvents(filter: $filter, after: $after) {
    cursor
    kind
    matches
    subjectId
    requestId
    task {
      ...Card
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}`) as unknown as TypedDocumentString<TaskEventsSubscription, TaskEventsSubscriptionVariables>;
export const MoveTaskDocument = new TypedDocumentString(`
    mutation MoveTask($input: TaskMoveInput!) {
  taskMove(input: $input) {
    task {
      ...Card
    }
    errors {
      ...Problem
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}
fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<MoveTaskMutation, MoveTaskMutationVariables>;
export const UpdateTaskDocument = new TypedDocumentString(`
    mutation UpdateTask($input: TaskUpdateInput!) {
  taskUpdate(input: $input) {
    task {
      ...Card
    }
    errors {
      ...Problem
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}
fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<UpdateTaskMutation, UpdateTaskMutationVariables>;
export const CreateTaskDocument = new TypedDocumentString(`
    mutation CreateTask($input: TaskCreateInput!) {
  taskCreate(input: $input) {
    task {
      ...Card
    }
    errors {
      ...Problem
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}
fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<CreateTaskMutation, CreateTaskMutationVariables>;
export const PresenceDocument = new TypedDocumentString(`
    subscription Presence($project: ID!) {
  projectPresence(projectId: $project) {
    people {
      user {
        ...Person
      }
      task {
        id
      }
    }
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}`) as unknown as TypedDocumentString<PresenceSubscription, PresenceSubscriptionVariables>;
export const LookAtDocument = new TypedDocumentString(`
    mutation LookAt($input: PresenceSetInput!) {
  presenceSet(input: $input) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<LookAtMutation, LookAtMutationVariables>;
export const LookAwayDocument = new TypedDocumentString(`
    mutation LookAway($input: PresenceClearInput!) {
  presenceClear(input: $input) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<LookAwayMutation, LookAwayMutationVariables>;
export const SearchDocument = new TypedDocumentString(`
    query Search($query: String!) {
  search(query: $query, first: 12) {
    nodes {
      kind
      subject {
        __typename
        ... on Task {
          id
          identifier
          title
          status
          project {
            key
          }
        }
        ... on Comment {
          id
          bodyText
          task {
            id
            identifier
            title
            project {
              key
            }
          }
        }
        ... on Project {
          id
          key
          name
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<SearchQuery, SearchQueryVariables>;
export const InboxDocument = new TypedDocumentString(`
    query Inbox {
  viewer {
    unreadNotificationCount
    notifications(orderBy: [{createdAt: DESC}], first: 20) {
      nodes {
        ...Notice
      }
    }
  }
}
    fragment Notice on Notification {
  id
  kind
  message
  isRead
  createdAt
  actor {
    displayName
  }
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}`) as unknown as TypedDocumentString<InboxQuery, InboxQueryVariables>;
export const MarkReadDocument = new TypedDocumentString(`
    mutation MarkRead($input: NotificationMarkReadInput!) {
  notificationMarkRead(input: $input) {
    unreadCount
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<MarkReadMutation, MarkReadMutationVariables>;
export const MarkAllReadDocument = new TypedDocumentString(`
    mutation MarkAllRead($input: NotificationMarkAllReadInput!) {
  notificationMarkAllRead(input: $input) {
    unreadCount
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<MarkAllReadMutation, MarkAllReadMutationVariables>;
export const NotifiedDocument = new TypedDocumentString(`
    subscription Notified($after: String) {
  notificationReceived(after: $after) {
    cursor
    unreadCount
    notification {
      ...Notice
    }
  }
}
    fragment Notice on Notification {
  id
  kind
  message
  isRead
  createdAt
  actor {
    displayName
  }
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}`) as unknown as TypedDocumentString<NotifiedSubscription, NotifiedSubscriptionVariables>;
export const StartTimerDocument = new TypedDocumentString(`
    mutation StartTimer($input: TimerStartInput!) {
  timerStart(input: $input) {
    timeEntry {
      ...Timer
    }
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}
fragment Timer on TimeEntry {
  id
  startedAt
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}`) as unknown as TypedDocumentString<StartTimerMutation, StartTimerMutationVariables>;
export const StopTimerDocument = new TypedDocumentString(`
    mutation StopTimer($input: TimerStopInput!) {
  timerStop(input: $input) {
    timeEntry {
      id
    }
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<StopTimerMutation, StopTimerMutationVariables>;
export const TimerChangesDocument = new TypedDocumentString(`
    subscription TimerChanges($after: String) {
  timerChanged(after: $after) {
    cursor
    runningTimer {
      ...Timer
    }
  }
}
    fragment Timer on TimeEntry {
  id
  startedAt
  task {
    id
    identifier
    title
    project {
      key
    }
  }
}`) as unknown as TypedDocumentString<TimerChangesSubscription, TimerChangesSubscriptionVariables>;
export const LinkedTaskDocument = new TypedDocumentString(`
    query LinkedTask($id: ID!) {
  eventCursor
  task(id: $id) {
    id
    identifier
    project {
      key
    }
  }
}
    `) as unknown as TypedDocumentString<LinkedTaskQuery, LinkedTaskQueryVariables>;
export const LinkedProjectDocument = new TypedDocumentString(`
    query LinkedProject($id: ID!) {
  project(id: $id) {
    key
  }
}
    `) as unknown as TypedDocumentString<LinkedProjectQuery, LinkedProjectQueryVariables>;
export const RequestResetDocument = new TypedDocumentString(`
    mutation RequestReset($input: PasswordResetRequestInput!) {
  passwordResetRequest(input: $input) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<RequestResetMutation, RequestResetMutationVariables>;
export const ResetPasswordDocument = new TypedDocumentString(`
    mutation ResetPassword($input: PasswordResetInput!) {
  passwordReset(input: $input) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<ResetPasswordMutation, ResetPasswordMutationVariables>;
export const RequestVerificationDocument = new TypedDocumentString(`
    mutation RequestVerification($input: EmailVerificationRequestInput!) {
  emailVerificationRequest(input: $input) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<RequestVerificationMutation, RequestVerificationMutationVariables>;
export const PanelDocument = new TypedDocumentString(`
    query Panel($id: ID!) {
  task(id: $id) {
    ...Card
    descriptionHtml
    estimate
    tracked(includeSubtasks: true)
    createdAt
    owner {
      ...Person
    }
    subtasks(orderBy: [{position: ASC}], first: 50) {
      pageInfo {
        hasNextPage
      }
      nodes {
        id
        identifier
        title
        status
      }
    }
    comments(orderBy: [{createdAt: ASC}], last: 100) {
      pageInfo {
        hasPreviousPage
      }
      nodes {
        id
        bodyHtml
        createdAt
        author {
          ...Person
        }
      }
    }
    attachments(first: 50) {
      pageInfo {
        hasNextPage
      }
      nodes {
        id
        filename
        byteSize
        downloadUrl
      }
    }
    activity(first: 30) {
      nodes {
        id
        at
        summary
      }
    }
    timeEntries(orderBy: [{startedAt: DESC}], first: 20) {
      nodes {
        id
        startedAt
        duration
        isRunning
        description
        user {
          ...Person
        }
      }
    }
    viewerCanComment
  }
}
    fragment Person on User {
  id
  displayName
  avatarUrl
}
fragment Card on Task {
  id
  identifier
  title
  description
  status
  priority
  position
  dueAt
  dueOn
  isOverdue
  tags
  commentCount
  attachmentCount
  assignee {
    ...Person
  }
  project {
    id
  }
  parent {
    id
  }
  viewerCanEdit
  version
}`) as unknown as TypedDocumentString<PanelQuery, PanelQueryVariables>;
export const DownloadDocument = new TypedDocumentString(`
    query Download($id: ID!) {
  node(id: $id) {
    __typename
    ... on Attachment {
      downloadUrl
    }
  }
}
    `) as unknown as TypedDocumentString<DownloadQuery, DownloadQueryVariables>;
export const CreateCommentDocument = new TypedDocumentString(`
    mutation CreateComment($input: CommentCreateInput!) {
  commentCreate(input: $input) {
    comment {
      id
    }
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  conflictingFields
}`) as unknown as TypedDocumentString<CreateCommentMutation, CreateCommentMutationVariables>;