/** A client for the Taskloom API: see the README. */

export * from "./client.ts";
export type { Document, DocumentTypeDecoration, Variables } from "./documents.ts";
export * from "./errors.ts";
export type { RequestOptions } from "./http.ts";
export * from "./lists/live.ts";
export * from "./lists/order.ts";
export * from "./lists/watch.ts";
export * from "./storage.ts";
export type { Status } from "./streams/resume.ts";
export type { UploadOptions } from "./upload.ts";
export * from "./webhooks.ts";
