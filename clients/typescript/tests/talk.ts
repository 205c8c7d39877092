/** How a program of the tests talks to the test: JSON, a line each. */

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tell the test something. */
export function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** What the test says next. */
export async function hear(): Promise<any> {
  const { value } = await lines.next();
  return JSON.parse(value as string);
}

/** The class and the code of the error that some work throws. */
export async function errorOf(work: () => Promise<unknown>): Promise<any> {
  try {
    await work();
  } catch (error: any) {
    return error;
  }
  throw new Error("It did not fail.");
}
