import { defineConfig } from "vitest/config";

/** Workspace packages resolve to their sources, so that tests need no build. */
const conditions = ["@fax/source", "module", "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      "test/**/*.test.ts",
      "packages/*/src/**/*.test.ts",
      "compiler/**/*.test.ts",
      "runtime-webgpu/**/*.test.ts",
      "cli/**/*.test.ts",
    ],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    maxWorkers: 2,
    // What a user has kept must not decide what tests see, nor tests what a user keeps.
    env: { FAX_CACHE: "off" },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
