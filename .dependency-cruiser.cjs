/**
 * Imports go downwards only: a rule per row of the layering in docs/architecture.md. Type-only imports are seen apart
 * from imports that run, which is what `primitives` is allowed towards the layers above it.
 */
const { existsSync, readdirSync } = require("node:fs");

/** The rooms of compiler/src, from the bottom up, each with the rooms below it that it may import. */
const rooms = {
  diagnostics: [],
  ir: ["diagnostics"],
  trace: ["diagnostics", "ir"],
  primitives: ["diagnostics", "ir", "trace"],
  transforms: ["diagnostics", "ir", "trace", "primitives"],
  interpret: ["diagnostics", "ir", "trace", "primitives"],
  staging: ["diagnostics", "ir", "trace", "primitives", "transforms"],
  lower: ["diagnostics", "ir", "trace", "primitives", "transforms"],
  fuse: ["diagnostics", "ir", "trace", "primitives", "transforms", "staging", "lower", "executable.ts"],
  codegen: ["diagnostics", "ir", "trace", "primitives", "transforms", "staging", "lower", "fuse", "executable.ts"],
};

/** Type-only imports that a room may have besides. */
const typesOnly = { primitives: ["lower", "transforms"] };

const inRoom = (room) =>
  room.endsWith(".ts") ? `^compiler/src/${room.replace(".", "\\.")}$` : `^compiler/src/${room}/`;
const tests = "\\.test(-support)?\\.ts$";

const roomRules = Object.entries(rooms).flatMap(([room, below]) => {
  const own = [room, ...below].map(inRoom);
  const types = (typesOnly[room] ?? []).map(inRoom);
  const rule = {
    name: `compiler-${room}`,
    comment: `compiler/src/${room} imports only ${below.join(", ") || "nothing of the compiler"}`,
    severity: "error",
    from: { path: inRoom(room), pathNot: tests },
    to: { path: "^compiler/src/", pathNot: [...own, ...types] },
  };
  if (types.length === 0) return [rule];
  const comment = `compiler/src/${room} imports ${typesOnly[room].join(" and ")} through types alone`;
  return [
    rule,
    { ...rule, name: `${rule.name}-types-only`, comment, to: { path: types, dependencyTypesNot: ["type-only"] } },
  ];
});

/** Each package by its folder, and the folders of this repository that it may import. */
const packages = [
  { name: "compiler", folder: "compiler", below: [] },
  { name: "runtime-webgpu", folder: "runtime-webgpu", below: ["compiler"] },
  { name: "core", folder: "packages/core", below: ["compiler", "runtime-webgpu"] },
  { name: "libraries", folder: "packages/(?!core/)[^/]+", below: ["packages/core"] },
  { name: "cli", folder: "cli", below: ["compiler", "runtime-webgpu", "packages/[^/]+"] },
  { name: "examples", folder: "examples", below: ["packages/[^/]+"] },
];

const packageRules = packages.map(({ name, folder, below }) => ({
  name: `package-${name}`,
  comment: `${folder} imports, of this repository, only itself and ${below.join(", ") || "nothing else"}`,
  severity: "error",
  from: { path: `^(${folder})/`, pathNot: tests },
  to: {
    path: "^(compiler|runtime-webgpu|packages|cli|test|examples)/",
    pathNot: ["^$1/", ...below.map((b) => `^${b}/`)],
  },
}));

/** A workspace package imported without standing in package.json resolves all the same: npm links them all. */
const manifests = [
  "compiler",
  "runtime-webgpu",
  "cli",
  "test",
  ...readdirSync(`${__dirname}/packages`).map((p) => `packages/${p}`),
]
  .filter((folder) => existsSync(`${__dirname}/${folder}/package.json`))
  .map((folder) => ({ folder, manifest: require(`./${folder}/package.json`) }));

const declaredRules = manifests.map(({ folder, manifest }) => {
  const names = { ...manifest.dependencies, ...manifest.devDependencies };
  const declared = manifests.filter(({ folder: other, manifest: { name } }) => other === folder || name in names);
  return {
    name: `declared-${manifest.name}`,
    comment: `the workspace packages that ${manifest.name} imports stand in its package.json`,
    severity: "error",
    from: { path: `^${folder}/`, pathNot: tests },
    to: {
      path: manifests.map((other) => `^${other.folder}/`),
      pathNot: declared.map((other) => `^${other.folder}/`),
    },
  };
});

module.exports = {
  forbidden: [
    ...roomRules,
    {
      name: "compiler-executable",
      comment: "the executable format stands alone: of the compiler it knows ir and diagnostics",
      severity: "error",
      from: { path: inRoom("executable.ts") },
      to: { path: "^compiler/src/", pathNot: [inRoom("ir"), inRoom("diagnostics")] },
    },
    {
      name: "compiler-rooms",
      comment:
        "every file of the compiler lies in a known room: name a new one in this file and in docs/architecture.md",
      severity: "error",
      from: {},
      to: {
        path: "^compiler/src/",
        pathNot: [...Object.keys(rooms).map(inRoom), "^compiler/src/(executable|pipeline|inspect|index)\\.ts$"],
      },
    },
    {
      name: "compiler-stands-alone",
      comment: "the compiler has no dependency: no package and no module of Node",
      severity: "error",
      from: { path: "^compiler/src/", pathNot: tests },
      to: { dependencyTypes: ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg", "npm-unknown", "core"] },
    },
    ...packageRules,
    ...declaredRules,
    {
      name: "runtime-executable-only",
      comment: "the runtime knows the executable format and diagnostics, not the compiler",
      severity: "error",
      from: { path: "^runtime-webgpu/src/", pathNot: tests },
      to: { path: "^compiler/", pathNot: "^compiler/src/(executable|diagnostics/index)\\.ts$" },
    },
    {
      name: "webgpu-in-runtime-only",
      comment: "runtime-webgpu is the only room that names Dawn; the benchmarks lend the same adapter to peers",
      severity: "error",
      from: { pathNot: "^(runtime-webgpu|test/bench)/" },
      to: { path: "(^|/)node_modules/(webgpu|@sparticuz/chromium)/" },
    },
    {
      name: "workspace-by-name",
      comment: "another package is imported by its name, as its users do, never by a path into its folder",
      severity: "error",
      from: { path: "^((?:packages/)?[^/]+)/", pathNot: "^test/bench/" },
      to: {
        path: "^(compiler|runtime-webgpu|packages|cli|test)/",
        pathNot: "^$1/",
        dependencyTypes: ["local"],
        dependencyTypesNot: ["aliased-workspace"],
      },
    },
    {
      name: "declared",
      comment: "what is imported stands in the importing package's package.json",
      severity: "error",
      from: { pathNot: ["^examples/", tests] },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "resolvable",
      comment: "an import leads to a file",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-dev-at-run-time",
      comment: "what ships imports no development dependency, except for its types",
      severity: "error",
      from: { path: "/src/", pathNot: [tests, "^test/"] },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm", "npm-optional", "type-only"] },
    },
    {
      name: "no-cycles",
      comment: "no cycle of imports that run",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/|^test/errors/.*\\.fax\\.ts$" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@fax/source", "types", "node", "import", "default"],
      mainFields: ["module", "main", "types"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".d.ts", ".json"],
    },
  },
};
