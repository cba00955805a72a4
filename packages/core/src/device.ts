/**
 * Where arrays live and programs run. The device opens on first use; until it is there, uploads and calls wait in order,
 * so that user code never awaits it.
 */
import {
  type AdapterProfile,
  allocateData,
  type Atom,
  type Aval,
  baselineProfile,
  CompiledProgram,
  Constant,
  debugSwitches,
  erasedAval,
  FaxError,
  type Foreknowledge,
  type HostArray,
  type HostData,
  InternalError,
  type Jaxpr,
  jaxprOf,
  NDArray,
  server,
  userLocation,
  type Value,
} from "@fax/compiler";
import {
  DeferredBackend,
  DeferredHandle,
  type DevicePreference,
  type OpenedDevice,
  openDevice,
  type WebGPUDevice,
} from "@fax/runtime-webgpu";
import type { KeptSchedules } from "./kept-schedules.ts";
import { ReferenceBackend } from "./reference-backend.ts";
import { WebGPUBackend } from "./webgpu-backend.ts";

/** A value on a device that may still be opening. */
type Handle = DeferredHandle<object>;

/** The device in use. */
export interface DeviceInfo {
  readonly kind: "webgpu" | "reference";
  readonly name: string;
  /** Which device, and why: one line. */
  readonly reason: string;
  /** The WebGPU device itself, for counts of dispatches, submits and bytes. */
  readonly webgpu: WebGPUDevice | null;
  /** What else there is to say of it, a line each. */
  readonly notes: readonly string[];
}

interface Opened {
  readonly info: DeviceInfo;
  readonly backend: ReferenceBackend | WebGPUBackend;
}

let preference: DevicePreference = "auto";
let opening: Promise<Opened> | null = null;
let backend: DeferredBackend<CompiledProgram, object> | null = null;
const listeners: ((info: DeviceInfo) => void)[] = [];

/**
 * Chooses the device for all that follows; call it before the first operation. FAX2007 once another one is in use.
 *
 * @example
 * setDevice("reference");
 */
export function setDevice(next: DevicePreference): void {
  if (opening !== null && next !== preference) {
    throw new FaxError({
      code: "FAX2007",
      message: `setDevice: the device "${preference}" is in use already`,
      source: userLocation(),
      help: "choose the device before the first operation, or set the environment variable FAX_DEVICE",
    });
  }
  preference = next;
}

/** Calls `listener` once the device is open, with which it is and why. */
export function onDeviceOpen(listener: (info: DeviceInfo) => void): void {
  listeners.push(listener);
}

/** The device in use, opened if need be. Rejects with FAX2001 if the one that was asked for is not there. */
export async function device(): Promise<DeviceInfo> {
  return (await opened()).info;
}

/** What compiles programs for the device in use, and runs them; null: the reference evaluator does. */
export async function webgpuBackend(): Promise<WebGPUBackend | null> {
  const { backend } = await opened();
  return backend instanceof WebGPUBackend ? backend : null;
}

/** What programs are compiled for: the device in use, by what was measured on it; else what every WebGPU device has. */
export interface CompilationTarget {
  readonly profile: AdapterProfile;
  readonly known: Foreknowledge;
}

/** Opens the device if need be. */
export async function compilationTarget(): Promise<CompilationTarget> {
  const backend = await webgpuBackend();
  return backend === null
    ? { profile: baselineProfile, known: {} }
    : { profile: backend.device.profile, known: backend.known };
}

function opened(): Promise<Opened> {
  start();
  if (opening === null) throw new InternalError("the device did not start to open");
  return opening;
}

function start(): DeferredBackend<CompiledProgram, object> {
  if (backend !== null) return backend;
  opening = openDevice(debugSwitches().reference ? "reference" : preference).then((found): Opened => {
    const result = backendOf(found);
    for (const listener of listeners) listener(result.info);
    return result;
  });
  // Whoever awaits the device, or reads a value, sees the failure; nobody else need.
  opening.catch(() => undefined);
  backend = new DeferredBackend(opening.then((result) => result.backend));
  return backend;
}

function backendOf({ device: webgpu, reason }: OpenedDevice): Opened {
  if (webgpu === null) {
    const info = { kind: "reference", name: "reference evaluator", reason, webgpu, notes: [] } as const;
    return { info, backend: new ReferenceBackend() };
  }
  const found = new WebGPUBackend(webgpu);
  return {
    info: { kind: "webgpu", name: webgpu.name, reason, webgpu, notes: notesOf(found.schedules) },
    backend: found,
  };
}

function notesOf({ note, size }: KeptSchedules): string[] {
  if (note !== null) return [note];
  return size === 0 ? [] : [`fax tune has measured faster schedules for ${size} ${size === 1 ? "kernel" : "kernels"}`];
}

/** An array whose elements are known, on the host or on the device. */
export class KnownArray extends NDArray<string> {
  override readonly aval: Aval;
  /** Data that no device has needed yet. */
  #host: HostArray | null;
  #handle: Handle | null;
  /** Why it has no value any more. */
  #gone: "disposed" | "donated" | null = null;

  constructor(aval: Aval, value: HostArray | Handle) {
    super();
    this.aval = aval;
    this.#host = value instanceof DeferredHandle ? null : value;
    this.#handle = value instanceof DeferredHandle ? value : null;
    if (this.#handle !== null) start().trackOwner(this, this.#handle);
  }

  /** The value on the device, sent there if need be. */
  handle(): Handle {
    if (this.#gone !== null) throw goneError(this.aval, this.#gone);
    if (this.#handle === null) {
      if (this.#host === null) throw new InternalError("an array without a value");
      this.#handle = start().upload(this.#host);
      this.#host = null;
      start().trackOwner(this, this.#handle);
    }
    return this.#handle;
  }

  override async data(): Promise<HostData> {
    if (this.#gone !== null) throw goneError(this.aval, this.#gone);
    if (this.#host !== null) return this.#host.data.slice();
    return start().read(this.handle(), this.aval.dtype, this.size);
  }

  override dispose(): void {
    this.#end("disposed");
  }

  /** The program that was just called has taken the value's memory. */
  donate(): void {
    this.#end("donated");
  }

  #end(how: "disposed" | "donated"): void {
    if (this.#gone !== null) return;
    if (this.#handle !== null) start().release(this.#handle);
    this.#gone = how;
    this.#host = null;
    this.#handle = null;
  }

  override toString(): string {
    return `NDArray(${this.aval.dtype}[${this.shape.join(",")}])`;
  }
}

function goneError(aval: Aval, how: "disposed" | "donated"): FaxError {
  const type = `${aval.dtype}[${aval.shape.join(",")}]`;
  return new FaxError({
    code: "FAX1005",
    message:
      how === "disposed"
        ? `an array of type ${type} is used after it was disposed`
        : `an array of type ${type} is used after it was donated to a jitted function`,
    source: userLocation(),
    help:
      how === "disposed"
        ? "dispose of an array only when nothing reads it any more; without dispose it is freed by itself"
        : "use the function's result instead, or leave the argument out of donateArgnums",
  });
}

/** An array of the given elements; they are not copied, so the caller must not change them afterwards. */
export function arrayFromHost(host: HostArray): NDArray {
  const aval: Aval = { dtype: host.dtype, shape: host.shape, placement: server, weak: false };
  return new KnownArray(aval, host) as unknown as NDArray;
}

/** Runs a compiled program on known values; its results are there once the device has computed them. */
export function runProgram(program: CompiledProgram, inputs: readonly Value[]): Value[] {
  const { avals, opByOp } = knownOf(program);
  if (opByOp) return runOpByOp(program.jaxpr, inputs);
  const handles: (Handle | Constant)[] = [];
  for (const input of inputs) {
    if (input instanceof KnownArray) handles.push(input.handle());
    else if (input instanceof Constant) handles.push(input);
    else throw escaped(input);
  }
  const results = start().execute(program, avals.length, handles);
  for (const position of program.donated) {
    const input = inputs[position];
    if (input instanceof KnownArray) input.donate();
  }
  return avals.map((aval, i) => new KnownArray(aval, results[i] as Handle));
}

/** Every equation as a program of its own, for finding the one that is wrong. A loop is one equation. */
function runOpByOp(jaxpr: Jaxpr, inputs: readonly Value[]): Value[] {
  const values = new Map<Atom, Value>(jaxpr.invars.map((variable, i) => [variable, inputs[i] as Value]));
  const read = (atom: Atom): Value => {
    const value = atom.kind === "literal" ? new Constant(atom) : values.get(atom);
    if (value === undefined) throw new InternalError("a variable is read before it is defined");
    return value;
  };
  for (const eqn of jaxpr.eqns) {
    const invars = [...new Set(eqn.inputs.filter((atom) => atom.kind === "var"))];
    const single = jaxprOf({ constvars: [], invars, eqns: [eqn], outvars: eqn.outputs });
    const outputs = runProgram(new CompiledProgram(single), invars.map(read));
    eqn.outputs.forEach((variable, i) => values.set(variable, outputs[i] as Value));
  }
  return jaxpr.outvars.map((atom) => {
    const value = read(atom);
    if (!(value instanceof Constant)) return value;
    const data = allocateData(value.dtype, 1).fill(value.value);
    return new KnownArray(value.aval, { dtype: value.dtype, shape: [], data });
  });
}

/** What all calls of a program share. */
interface KnownOfProgram {
  /** The types of its results as arrays. */
  readonly avals: readonly Aval[];
  /** As FAX_DEBUG says when it is called first: reading the environment takes longer than all else here. */
  readonly opByOp: boolean;
}

const knownOfPrograms = new WeakMap<CompiledProgram, KnownOfProgram>();

function knownOf(program: CompiledProgram): KnownOfProgram {
  let known = knownOfPrograms.get(program);
  if (known === undefined) {
    const { outvars, eqns } = program.jaxpr;
    const avals = outvars.map((atom) => ({ ...erasedAval(atom.aval), weak: false }));
    known = { avals, opByOp: debugSwitches().opByOp && eqns.length > 1 };
    knownOfPrograms.set(program, known);
  }
  return known;
}

function escaped(value: Value): FaxError {
  return new FaxError({
    code: "FAX1001",
    message: `a tracer of type ${value.dtype}[${value.shape.join(",")}] is used outside the trace that made it`,
    source: userLocation(),
    help: "return the value from the traced function instead of storing it in a variable outside",
  });
}
