/** IDs that nobody else has. */

/**
 * 32 hexadecimal digits. `crypto.randomUUID` is missing in pages that came over plain HTTP from
 * another machine.
 */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
