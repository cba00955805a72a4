/** Colours, apart from text: whoever prints says what a piece of text is, and a style says how that looks. */

export type Role =
  | "error"
  | "warning"
  | "strong"
  | "muted"
  | "location"
  | "note"
  | "help"
  | "keyword"
  | "primitive"
  | "type"
  | "placement"
  | "literal"
  | "comment"
  | "good";

export type Style = (role: Role, text: string) => string;

export const plainStyle: Style = (_, text) => text;

const escapes: Record<Role, readonly [open: number, close: number][]> = {
  error: [
    [1, 22],
    [31, 39],
  ],
  warning: [[33, 39]],
  strong: [[1, 22]],
  muted: [[2, 22]],
  location: [[36, 39]],
  note: [[36, 39]],
  help: [[32, 39]],
  keyword: [[2, 22]],
  primitive: [
    [1, 22],
    [34, 39],
  ],
  type: [[36, 39]],
  placement: [[35, 39]],
  literal: [[33, 39]],
  comment: [[2, 22]],
  good: [[32, 39]],
};

/** Terminal escapes of the basic sixteen colours, which follow the user's theme. */
export const ansiStyle: Style = (role, text) => {
  const codes = escapes[role];
  const open = codes.map(([code]) => `\u001b[${code}m`).join("");
  const close = [...codes]
    .reverse()
    .map(([, code]) => `\u001b[${code}m`)
    .join("");
  return `${open}${text}${close}`;
};

/**
 * Whether to colour what goes to a stream: on a terminal, unless `NO_COLOR` (no-color.org) is set or the terminal is
 * dumb; `FORCE_COLOR` asks for it anywhere.
 */
export function wantsColor(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): boolean {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  return isTerminal && env["TERM"] !== "dumb";
}
