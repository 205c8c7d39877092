/* eslint-disable */
import * as types from './graphql.ts';



/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "mutation SignIn($input: SessionCreateInput!) {\n  sessionCreate(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation Refresh($input: SessionRefreshInput!) {\n  sessionRefresh(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation SignOut {\n  sessionRevoke(input: {}) {\n    errors {\n      ...Problem\n    }\n  }\n}\n\nquery EventCursor {\n  eventCursor\n}\n\nmutation UploadStart($input: AttachmentUploadStartInput!) {\n  attachmentUploadStart(input: $input) {\n    upload {\n      id\n      url\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation UploadFinish($input: AttachmentUploadFinishInput!) {\n  attachmentUploadFinish(input: $input) {\n    attachment {\n      id\n      filename\n      byteSize\n      downloadUrl\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on UserError {\n  code\n  message\n  path\n  limit\n  actual\n}": typeof types.SignInDocument,
};
const documents: Documents = {
    "mutation SignIn($input: SessionCreateInput!) {\n  sessionCreate(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation Refresh($input: SessionRefreshInput!) {\n  sessionRefresh(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation SignOut {\n  sessionRevoke(input: {}) {\n    errors {\n      ...Problem\n    }\n  }\n}\n\nquery EventCursor {\n  eventCursor\n}\n\nmutation UploadStart($input: AttachmentUploadStartInput!) {\n  attachmentUploadStart(input: $input) {\n    upload {\n      id\n      url\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation UploadFinish($input: AttachmentUploadFinishInput!) {\n  attachmentUploadFinish(input: $input) {\n    attachment {\n      id\n      filename\n      byteSize\n      downloadUrl\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on UserError {\n  code\n  message\n  path\n  limit\n  actual\n}": types.SignInDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "mutation SignIn($input: SessionCreateInput!) {\n  sessionCreate(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation Refresh($input: SessionRefreshInput!) {\n  sessionRefresh(input: $input) {\n    accessToken\n    refreshToken\n    accessTokenExpiresAt\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation SignOut {\n  sessionRevoke(input: {}) {\n    errors {\n      ...Problem\n    }\n  }\n}\n\nquery EventCursor {\n  eventCursor\n}\n\nmutation UploadStart($input: AttachmentUploadStartInput!) {\n  attachmentUploadStart(input: $input) {\n    upload {\n      id\n      url\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nmutation UploadFinish($input: AttachmentUploadFinishInput!) {\n  attachmentUploadFinish(input: $input) {\n    attachment {\n      id\n      filename\n      byteSize\n      downloadUrl\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on UserError {\n  code\n  message\n  path\n  limit\n  actual\n}"): typeof import('./graphql.ts').SignInDocument;


export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}
