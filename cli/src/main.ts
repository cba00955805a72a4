/** The `fax` command. */
import { registerLibrary } from "@fax/compiler";
import { debugSwitches } from "@fax/compiler/diagnostics";
import { check } from "./check.ts";
import { runCommandLine } from "./command-line.ts";
import { compile } from "./compile.ts";
import { doctor, faxVersion } from "./doctor.ts";
import { inspect } from "./inspect.ts";
import { errorToJson, renderError } from "./report-error.ts";
import { run } from "./run.ts";
import { processTerminal } from "./terminal.ts";
import { tune } from "./tune.ts";

registerLibrary(import.meta.url);

const args = process.argv.slice(2);
const terminal = processTerminal();
try {
  // A switch that is misspelt is said at once, whatever the command comes to.
  debugSwitches();
  process.exitCode = await runCommandLine(
    args,
    {
      run: (file, options) => run(file, options, terminal),
      inspect: (file, options) => inspect(file, options, terminal),
      compile: (file, options) => compile(file, options, terminal),
      check: (file, options) => check(file, options, terminal),
      tune: (file, options) => tune(file, options, terminal),
      doctor: (options) => doctor(options, terminal),
    },
    terminal,
    faxVersion(),
  );
} catch (error) {
  if (args.includes("--json"))
    terminal.stdout(`${JSON.stringify({ error: errorToJson(error, terminal.cwd) }, null, 2)}\n`);
  terminal.stderr(renderError(error, { cwd: terminal.cwd, style: terminal.style.stderr }));
  process.exitCode = 1;
}
