#!/usr/bin/env node
import { existsSync } from "node:fs";

const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error("fax is not built yet: run `npm run build` in the repository's root");
  process.exitCode = 1;
}
