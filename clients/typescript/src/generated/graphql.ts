/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '../documents.ts';
/** Input for `attachmentUploadFinish`. */
export type AttachmentUploadFinishInput = {
  /** An ID that you generate: `attachment_` followed by a UUIDv7 in 32 hexadecimal digits. */
  id?: string | null | undefined;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The upload's ID, as returned by `attachmentUploadStart`. */
  uploadId: string;
};

/** Input for `attachmentUploadStart`. */
export type AttachmentUploadStartInput = {
  /** The exact size of the file in bytes, up to 10 MB. */
  byteSize: number;
  /** The file name, with the extension .jpg, .jpeg, .png, .gif, .pdf, .txt, .doc or .docx. Folders are removed from it. */
  filename: string;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The task's ID or identifier. */
  taskId: string;
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

/** Input for `sessionCreate`. */
export type SessionCreateInput = {
  /** A name for this device in the list of sessions, up to 100 characters. */
  deviceName?: string | null | undefined;
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** Your username or email address; case is ignored. */
  login: string;
  /** Your password. */
  password: string;
};

/** Input for `sessionRefresh`. */
export type SessionRefreshInput = {
  /** A unique key of your choice, up to 255 characters. If you repeat the mutation with the same key and input within 24 hours, nothing is done again; the payload has the object of the first call and `replayed: true`. */
  idempotencyKey?: string | null | undefined;
  /** The latest refresh token of the session. */
  refreshToken: string;
};

export type SignInMutationVariables = Exact<{
  input: SessionCreateInput;
}>;


export type SignInMutation = { sessionCreate: { accessToken: string | null, refreshToken: string | null, accessTokenExpiresAt: string | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null }> } };

export type RefreshMutationVariables = Exact<{
  input: SessionRefreshInput;
}>;


export type RefreshMutation = { sessionRefresh: { accessToken: string | null, refreshToken: string | null, accessTokenExpiresAt: string | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null }> } };

export type SignOutMutationVariables = Exact<{ [key: string]: never; }>;


export type SignOutMutation = { sessionRevoke: { errors: Array<{ code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null }> } };

export type EventCursorQueryVariables = Exact<{ [key: string]: never; }>;


export type EventCursorQuery = { eventCursor: string };

export type UploadStartMutationVariables = Exact<{
  input: AttachmentUploadStartInput;
}>;


export type UploadStartMutation = { attachmentUploadStart: { upload: { id: string, url: string } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null }> } };

export type UploadFinishMutationVariables = Exact<{
  input: AttachmentUploadFinishInput;
}>;


export type UploadFinishMutation = { attachmentUploadFinish: { attachment: { id: string, filename: string, byteSize: number, downloadUrl: string } | null, errors: Array<{ code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null }> } };

export type ProblemFragment = { code: ErrorCode, message: string, path: Array<string>, limit: number | null, actual: number | null };

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
export const ProblemFragmentDoc = new TypedDocumentString(`
    fragment Problem on UserError {
  code
  message
  path
  limit
  actual
}
    `, {"fragmentName":"Problem"}) as unknown as TypedDocumentString<ProblemFragment, unknown>;
export const SignInDocument = new TypedDocumentString(`
    mutation SignIn($input: SessionCreateInput!) {
  sessionCreate(input: $input) {
    accessToken
    refreshToken
    accessTokenExpiresAt
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  limit
  actual
}`) as unknown as TypedDocumentString<SignInMutation, SignInMutationVariables>;
export const RefreshDocument = new TypedDocumentString(`
    mutation Refresh($input: SessionRefreshInput!) {
  sessionRefresh(input: $input) {
    accessToken
    refreshToken
    accessTokenExpiresAt
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  limit
  actual
}`) as unknown as TypedDocumentString<RefreshMutation, RefreshMutationVariables>;
export const SignOutDocument = new TypedDocumentString(`
    mutation SignOut {
  sessionRevoke(input: {}) {
    errors {
      ...Problem
    }
  }
}
    fragment Problem on UserError {
  code
  message
  path
  limit
  actual
}`) as unknown as TypedDocumentString<SignOutMutation, SignOutMutationVariables>;
export const EventCursorDocument = new TypedDocumentString(`
    query EventCursor {
  eventCursor
}
    `) as unknown as TypedDocumentString<EventCursorQuery, EventCursorQueryVariables>;
export const UploadStartDocument = new TypedDocumentString(`
    mutation UploadStart($input: AttachmentUploadStartInput!) {
  attachmentUploadStart(input: $input) {
    upload {
      id
      url
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
  limit
  actual
}`) as unknown as TypedDocumentString<UploadStartMutation, UploadStartMutationVariables>;
export const UploadFinishDocument = new TypedDocumentString(`
    mutation UploadFinish($input: AttachmentUploadFinishInput!) {
  attachmentUploadFinish(input: $input) {
    attachment {
      id
      filename
      byteSize
      downloadUrl
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
  limit
  actual
}`) as unknown as TypedDocumentString<UploadFinishMutation, UploadFinishMutationVariables>;