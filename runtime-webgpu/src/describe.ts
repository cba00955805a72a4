/** What `fax doctor` tells about adapters. */
import { missingSentence } from "./dawn.ts";
import { effectivePreference, candidates, installHint } from "./open.ts";
import { installedPackage } from "./installed-package.ts";
import { limitsOf, profileOf } from "./profile.ts";
import { embeddedPackage } from "./swiftshader.ts";

export interface AdapterDescription {
  /** `hardware GPU`, `system software adapter`, `embedded software adapter`. */
  readonly kind: string;
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly class: "gpu" | "cpu";
  /** 0: no fixed size that kernels could rely on. */
  readonly subgroupSize: number;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

export interface AdapterReport {
  readonly preference: string;
  readonly adapters: readonly AdapterDescription[];
  /** Name of the adapter that would be opened; null: the reference evaluator. */
  readonly used: string | null;
  /** One sentence for each kind that was looked for and not found. */
  readonly missing: readonly string[];
  /** What would give a faster device; empty when there is a GPU. */
  readonly install: readonly string[];
  /** Of the npm packages that bring Dawn and the embedded adapter; null: not installed. */
  readonly versions: Readonly<Record<string, string | null>>;
}

/** Looks for every kind of adapter, also those that the order of preference would not reach. */
export async function describeAdapters(): Promise<AdapterReport> {
  const { preference } = effectivePreference("auto");
  const adapters: AdapterDescription[] = [];
  const missing: string[] = [];
  for (const { find, kind } of candidates.auto) {
    const found = await find();
    if ("none" in found) {
      missing.push(missingSentence([found]));
      continue;
    }
    const { info, features, limits } = found.adapter;
    adapters.push({
      kind,
      name: found.name,
      vendor: info.vendor,
      architecture: info.architecture,
      class: found.class,
      subgroupSize: profileOf(found).subgroupSize,
      features: [...features].sort(),
      limits: limitsOf(limits),
    });
  }
  const kinds = candidates[preference].map(({ kind }) => kind);
  const used = adapters.find(({ kind }) => kinds.includes(kind)) ?? null;
  const install = adapters.some((adapter) => adapter.class === "gpu")
    ? []
    : [installHint("gpu"), ...(adapters.length === 0 ? [installHint("software")] : [])];
  const versions = Object.fromEntries(
    ["webgpu", embeddedPackage].map((name) => [name, installedPackage(name)?.version ?? null]),
  );
  return { preference, adapters, used: used?.name ?? null, missing, install, versions };
}
