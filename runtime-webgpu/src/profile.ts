/** What an adapter offers, in the terms that code generation understands, and what a device of it must be asked for. */
import type { AdapterProfile } from "@fax/compiler/executable";
import type { FoundAdapter } from "./dawn.ts";

const optionalFeatures = ["shader-f16", "subgroups", "timestamp-query"] as const satisfies readonly GPUFeatureName[];

export function profileOf(found: FoundAdapter): AdapterProfile {
  const { adapter } = found;
  const { info, limits } = adapter;
  // Kernels are generated for one width: an adapter that picks the width by itself offers nothing that they could use.
  const { subgroupMinSize = 0, subgroupMaxSize = 0 } = info;
  const fixedWidth = adapter.features.has("subgroups") && subgroupMinSize > 0 && subgroupMinSize === subgroupMaxSize;
  return {
    class: found.class,
    name: found.name,
    features: [
      ...(adapter.features.has("shader-f16") ? (["shader-f16"] as const) : []),
      ...(fixedWidth ? (["subgroups"] as const) : []),
    ],
    subgroupSize: fixedWidth ? subgroupMinSize : 0,
    limits: {
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    },
  };
}

/** Everything the adapter has: WebGPU's defaults are far below it. */
export function deviceDescriptor(adapter: GPUAdapter): GPUDeviceDescriptor {
  return {
    requiredFeatures: optionalFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: limitsOf(adapter.limits),
  };
}

export function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const all: Record<string, number> = {};
  for (const name in limits) {
    const value: unknown = Reflect.get(limits, name);
    if (typeof value === "number") all[name] = value;
  }
  return all;
}
