/**
 * Kernels beside each other in one dispatch: each is a function of its own, and the number of a workgroup decides which
 * one it runs. So each keeps its own schedule, and no thread diverges.
 */
import { invariant } from "../diagnostics/index.ts";
import { type Kernel, partsOf } from "../fuse/kernel.ts";
import { gridOf, groupIndex, type KernelBody, type WriterContext } from "./kernel-body.ts";
import { chooseRows, chooseSchedule, type Schedule } from "./schedule.ts";

type WritePart = (kernel: Kernel, schedule: Schedule, context: WriterContext) => KernelBody;

export function writeSideBySide(
  kernel: Kernel,
  context: WriterContext,
  writePart: WritePart,
): { readonly body: KernelBody; readonly schedule: Schedule } {
  const parts = partsOf(kernel);
  const { schedules, bodies } = writeAll(parts, context, writePart);
  const counts = bodies.map(({ workgroups: [x, y, z] }) => x * y * z);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const workgroups = gridOf(total, context.profile);
  const functions = bodies.map(({ main }, i) =>
    [`// ${parts[i]?.name ?? ""}`, `fn part${i}(group: vec3<u32>, groups: vec3<u32>, local: u32) {`, `${main}}`].join(
      "\n",
    ),
  );
  let start = 0;
  const calls = counts.map((count, i) => {
    const call = `part${i}(vec3<u32>(at - ${start}u, 0u, 0u), vec3<u32>(${count}u, 1u, 1u), local);`;
    start += count;
    return `if (at < ${start}u) { ${call} return; }`;
  });
  const [body] = bodies;
  const [schedule] = schedules;
  invariant(body && schedule, "a kernel has at least one part");
  // A workgroup runs one part alone, so that parts which want the same workgroup memory share it.
  const declarations = [...new Set(bodies.flatMap((part) => part.declarations)), ...functions];
  const main = [`let at = ${groupIndex(workgroups)};`, ...calls].map((line) => `  ${line}\n`).join("");
  const reasons = schedules.flatMap((own, i) => own.reasons.map((reason) => `part ${i}: ${reason}`));
  return {
    body: { declarations, main, workgroupSize: body.workgroupSize, workgroups },
    schedule: { ...schedule, reasons },
  };
}

interface Written {
  readonly schedules: readonly Schedule[];
  readonly bodies: readonly KernelBody[];
}

/** With the schedules that the parts would have alone, if these go together in a module; else by rows. */
function writeAll(parts: readonly Kernel[], context: WriterContext, writePart: WritePart): Written {
  const chosen = parts.map((part) => chooseSchedule(part, context));
  if (chosen.every(({ kind }) => kind !== "rows")) {
    const bodies = writeTwice(parts, chosen, context, writePart);
    if (goTogether(bodies)) return { schedules: chosen, bodies };
  }
  const rows = parts.map((part) => chooseRows(part, context));
  const workgroupSize = Math.max(...rows.map((schedule) => schedule.workgroupSize));
  const schedules = rows.map((schedule) => ({ ...schedule, workgroupSize }));
  return { schedules, bodies: writeTwice(parts, schedules, context, writePart) };
}

/** The first time finds out which bindings any part wants as arrays of vec4. */
function writeTwice(
  parts: readonly Kernel[],
  schedules: readonly Schedule[],
  context: WriterContext,
  writePart: WritePart,
): KernelBody[] {
  const write = (): KernelBody[] =>
    parts.map((part, i) => {
      const schedule = schedules[i];
      invariant(schedule, "a schedule for each part");
      return writePart(part, schedule, { ...context, prefix: `part${i}_` });
    });
  write();
  return write();
}

/** A module has one workgroup size, and one variable of a name. */
function goTogether(bodies: readonly KernelBody[]): boolean {
  const declared = new Map<string, string>();
  for (const text of bodies.flatMap((body) => body.declarations)) {
    const name = /var<workgroup> (\w+)/.exec(text)?.[1];
    if (name === undefined) continue;
    if ((declared.get(name) ?? text) !== text) return false;
    declared.set(name, text);
  }
  return bodies.every(({ workgroupSize }) => workgroupSize === bodies[0]?.workgroupSize);
}
