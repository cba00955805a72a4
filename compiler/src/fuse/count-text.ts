/** Numbers in reasons and printed plans, with separators between thousands. */

export function countText(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function bytesText(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} bytes`;
}
