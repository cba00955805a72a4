/**
 * Codes that no program of a user's brings about by itself: what a device reports, and rules that are called directly. Each
 * says where it is tested.
 */
export const apiCodes = {
  FAX1405: "test/errors/api.test.ts",
  FAX2004: "test/errors/api.test.ts",
  FAX2005: "runtime-webgpu/src/gpu-error.test.ts",
  FAX2006: "test/errors/api.test.ts",
  FAX2008: "runtime-webgpu/src/gpu-error.test.ts",
} as const;
