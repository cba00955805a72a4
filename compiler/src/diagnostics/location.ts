/** A place in the user's source; line and column count from 1. `file` is absolute; printing makes it relative. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `examples/fed.fax.ts:21:13`, with the file relative to `cwd`. */
export function formatLocation({ file, line, column }: SourceLocation, cwd: string): string {
  return `${relativePath(file, cwd)}:${line}:${column}`;
}

/** An absolute path as seen from `cwd`, with `/` between its parts; what has no root in common with it stays. */
export function relativePath(file: string, cwd: string): string {
  const target = partsOf(file);
  const base = partsOf(cwd);
  if (target[0] !== base[0]) return file;
  let common = 0;
  while (common < base.length && common < target.length - 1 && base[common] === target[common]) common++;
  return [...base.slice(common).map(() => ".."), ...target.slice(common)].join("/");
}

/** The root comes first: empty for `/a/b`, `C:` for `C:\a\b`, the first part itself for what is not absolute. */
function partsOf(path: string): string[] {
  const [root = "", ...rest] = path.split(/[\\/]/);
  return [root, ...rest.filter((part) => part !== "")];
}
