/** Matrix products written by hand, in many variants: what the adapter can do with the best of them. Square, row-major. */
import type { AdapterProfile } from "@fax/compiler/executable";

export type MatmulElement = "f32" | "f16";

export interface MatmulVariant {
  readonly name: string;
  source(size: number, element: MatmulElement): string;
  workgroups(size: number): readonly [number, number, number];
  /** Why it cannot run, or null. */
  unfit(size: number, profile: AdapterProfile): string | null;
  /** Whether one like it has been the best somewhere. */
  likely(profile: AdapterProfile, element: MatmulElement): boolean;
}

const each = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

/** `T` is the element; sums are f32 whatever it is. */
function header(element: MatmulElement, extensions: readonly string[] = []): string {
  const enabled = [...(element === "f16" ? ["f16"] : []), ...extensions];
  return `${enabled.map((name) => `enable ${name};\n`).join("")}alias T = ${element};
alias V = vec4<${element}>;
@group(0) @binding(0) var<storage> a: array<V>;
@group(0) @binding(1) var<storage> b: array<V>;
@group(0) @binding(2) var<storage, read_write> c: array<V>;
`;
}

interface Tile {
  /** Rows, and groups of four columns. */
  readonly rows: number;
  readonly columns: number;
}

/** Each thread a tile in registers, factors straight from memory; `depth` steps along k share the left factor's vec4s. */
function registers({ rows, columns }: Tile, [wx, wy]: readonly [number, number]): MatmulVariant {
  const step = (j: number): string => `{
  ${each(columns, (q) => `let b${q} = vec4f(b[(k * 4u + ${j}u) * n4 + column + ${q}u]);`)}
  ${each(rows, (r) => each(columns, (q) => `s${r}_${q} = fma(vec4f(f32(a${r}[${j}])), b${q}, s${r}_${q});`))}
}`;
  return {
    name: `registers ${rows}×${4 * columns}, workgroup ${wx}×${wy}`,
    source: (size, element) => `${header(element)}
@compute @workgroup_size(${wx}, ${wy}) fn main(@builtin(global_invocation_id) id: vec3u) {
  const n4 = ${size / 4}u;
  let column = id.x * ${columns}u;
  let row = id.y * ${rows}u;
  ${each(rows, (r) => each(columns, (q) => `var s${r}_${q} = vec4f();`))}
  for (var k = 0u; k < n4; k++) {
    ${each(rows, (r) => `let a${r} = a[(row + ${r}u) * n4 + k];`)}
    ${each(4, step)}
  }
  ${each(rows, (r) => each(columns, (q) => `c[(row + ${r}u) * n4 + column + ${q}u] = V(s${r}_${q});`))}
}`,
    workgroups: (size) => [size / (4 * columns * wx), size / (rows * wy), 1],
    unfit: (size) => (size % (4 * columns * wx) || size % (rows * wy) ? "does not divide" : null),
    likely: ({ class: kind }) => kind === "cpu" && rows === 8 && columns === 4 && wx * wy === 16,
  };
}

/** The lanes of a subgroup lie along the columns, and broadcast the left factor's vec4s to each other. */
function broadcasts({ rows, columns }: Tile, lanes: number, wy: number): MatmulVariant {
  const steps = (lane: number): string =>
    each(
      4,
      (j) => `{
  let kk = (k + ${lane}u) * 4u + ${j}u;
  ${each(columns, (q) => `let b${q} = vec4f(b[kk * n4 + column + ${q * lanes}u]);`)}
  ${each(rows, (r) => each(columns, (q) => `s${r}_${q} = fma(vec4f(f32(v${r}[${j}])), b${q}, s${r}_${q});`))}
}`,
    );
  return {
    name: `subgroup broadcast ${rows}×${4 * columns}, ${lanes} lanes × ${wy}`,
    source: (size, element) => `${header(element, ["subgroups"])}
@compute @workgroup_size(${lanes}, ${wy}) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  const n4 = ${size / 4}u;
  let column = group.x * ${lanes * columns}u + local.x;
  let row = (group.y * ${wy}u + local.y) * ${rows}u;
  ${each(rows, (r) => each(columns, (q) => `var s${r}_${q} = vec4f();`))}
  for (var k = 0u; k < n4; k += ${lanes}u) {
    ${each(rows, (r) => `let a${r} = vec4f(a[(row + ${r}u) * n4 + k + local.x]);`)}
    ${each(lanes, (lane) => `{ ${each(rows, (r) => `let v${r} = subgroupBroadcast(a${r}, ${lane}u);`)} ${steps(lane)} }`)}
  }
  ${each(rows, (r) => each(columns, (q) => `c[(row + ${r}u) * n4 + column + ${q * lanes}u] = V(s${r}_${q});`))}
}`,
    workgroups: (size) => [size / (4 * columns * lanes), size / (rows * wy), 1],
    unfit: (size, { features, subgroupSize }) => {
      if (!features.includes("subgroups") || subgroupSize !== lanes) return `subgroups of ${lanes} are missing`;
      return size % (4 * columns * lanes) || size % (rows * wy) || (size / 4) % lanes ? "does not divide" : null;
    },
    likely: ({ class: kind }) =>
      kind === "cpu" && ((rows === 16 && columns === 2) || (rows >= 8 && rows * columns === 16 && wy === 16)),
  };
}

interface Shared {
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  readonly threadM: number;
  /** Columns of a thread, a multiple of four. */
  readonly threadN: number;
}

/** Tiles of both factors in workgroup memory. A thread's columns are groups of four, apart by the width of the workgroup. */
function shared({ tileM, tileN, tileK, threadM, threadN }: Shared): MatmulVariant {
  const [wx, wy] = [tileN / threadN, tileM / threadM];
  const threads = wx * wy;
  const quads = threadN / 4;
  const [loadsA, loadsB] = [(tileM * tileK) / 4 / threads, (tileK * tileN) / 4 / threads];
  return {
    name: `workgroup tiles ${tileM}×${tileN}×${tileK}, ${threadM}×${threadN} a thread`,
    source: (size, element) => `${header(element)}
var<workgroup> ta: array<T, ${tileK * (tileM + 4)}>;
var<workgroup> tb: array<V, ${(tileK * tileN) / 4}>;
@compute @workgroup_size(${wx}, ${wy}) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  const n4 = ${size / 4}u;
  let row0 = group.y * ${tileM}u;
  let column0 = group.x * ${tileN / 4}u;
  ${each(threadM, (r) => each(quads, (q) => `var s${r}_${q} = vec4f();`))}
  for (var k = 0u; k < ${size}u; k += ${tileK}u) {
    ${each(
      loadsA,
      (i) => `{
      let at = index + ${i * threads}u;
      let m = at / ${tileK / 4}u;
      let kk = at % ${tileK / 4}u;
      let v = a[(row0 + m) * n4 + k / 4u + kk];
      ${each(4, (j) => `ta[(kk * 4u + ${j}u) * ${tileM + 4}u + m] = v[${j}];`)}
    }`,
    )}
    ${each(
      loadsB,
      (i) => `{
      let at = index + ${i * threads}u;
      tb[at] = b[(k + at / ${tileN / 4}u) * n4 + column0 + at % ${tileN / 4}u];
    }`,
    )}
    workgroupBarrier();
    for (var kk = 0u; kk < ${tileK}u; kk++) {
      ${each(quads, (q) => `let b${q} = vec4f(tb[kk * ${tileN / 4}u + local.x + ${q * wx}u]);`)}
      ${each(
        threadM,
        (r) => `{
        let v = vec4f(f32(ta[kk * ${tileM + 4}u + local.y * ${threadM}u + ${r}u]));
        ${each(quads, (q) => `s${r}_${q} = fma(v, b${q}, s${r}_${q});`)}
      }`,
      )}
    }
    workgroupBarrier();
  }
  ${each(threadM, (r) => each(quads, (q) => `c[(row0 + local.y * ${threadM}u + ${r}u) * n4 + column0 + local.x + ${q * wx}u] = V(s${r}_${q});`))}
}`,
    workgroups: (size) => [size / tileN, size / tileM, 1],
    unfit: (size, { limits }) => {
      if (threads > limits.maxComputeInvocationsPerWorkgroup) return `${threads} threads`;
      if (4 * tileK * (tileM + 4 + tileN) > limits.maxComputeWorkgroupStorageSize) return "workgroup memory";
      if (loadsA % 1 || loadsB % 1) return "loads do not divide";
      return size % tileM || size % tileN || size % tileK ? "does not divide" : null;
    },
    likely: ({ class: kind }) => kind === "gpu" && threads >= 64,
  };
}

/** All variants that make sense on the adapter's class. */
export function matmulVariants({ class: kind, subgroupSize }: AdapterProfile): MatmulVariant[] {
  const small = [4, 8, 16].flatMap((rows) => [1, 2, 4].map((columns) => ({ rows, columns })));
  const inRegisters = small
    .filter(({ rows, columns }) => rows * columns <= 32)
    .flatMap((tile) =>
      (
        [
          [1, 16],
          [16, 1],
          [8, 8],
        ] as const
      ).map((workgroup) => registers(tile, workgroup)),
    );
  const byBroadcast =
    subgroupSize < 4 || subgroupSize > 32
      ? []
      : small
          .filter(({ rows, columns }) => rows * columns <= 32)
          .flatMap((tile) => [1, 4, 16].map((wy) => broadcasts(tile, subgroupSize, wy)));
  const tiles = [32, 64, 128].flatMap((tileM) =>
    [32, 64, 128].flatMap((tileN) =>
      [8, 16, 32].flatMap((tileK) =>
        [4, 8].flatMap((threadM) => [4, 8].map((threadN) => shared({ tileM, tileN, tileK, threadM, threadN }))),
      ),
    ),
  );
  return kind === "gpu"
    ? [...tiles, ...inRegisters, ...byBroadcast]
    : [...inRegisters, ...byBroadcast, shared({ tileM: 32, tileN: 32, tileK: 16, threadM: 4, threadN: 4 })];
}
