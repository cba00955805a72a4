/**
 * Collects what is recorded into batches and submits them; finds out what became of each. What the device has not seen
 * yet, or what needs memory, is submitted within error scopes. The rest has no reason to fail and gets none: they cost
 * more than a small call. If the device complains nevertheless, all of it that is under way has failed.
 */
import { beginPhase, endPhase, type FaxError } from "@fax/compiler/diagnostics";
import type { AdapterProfile } from "@fax/compiler/executable";
import type { BufferPool, PooledBuffer } from "./buffer-pool.ts";
import type { Recorder } from "./encode.ts";
import { commandError, lostError } from "./gpu-error.ts";
import { Verdict } from "./handle.ts";
import { nextTurn } from "./reclaim.ts";
import type { ScalarSlots } from "./scalars.ts";
import type { Watchdog } from "./watchdog.ts";

/** Dawn holds the bytes of writes until something is submitted. */
const mostUnsubmittedUpload = 16 * 2 ** 20;
/** Calls that are submitted together: enough to share the cost of a submit, few enough that the device starts soon. */
const callsPerBatch = 64;
const commandsPerBatch = 256;
/** Operations and bytes after which a batch is worth a submit: some tens of microseconds of the device. */
const workPerBatch = { gpu: 2 ** 26, cpu: 2 ** 18 } as const;
/** A submit is cut off after so many, in seconds of a slow device, so that progress shows. */
export const mostWorkPerSubmit = 2 ** 33;
/** Submits after which the device is asked whether it is done with them; at once after one that takes long. */
const submitsPerCheck = 16;

/** Calls and reads that are recorded, and not submitted yet. */
export interface Batch {
  readonly serial: number;
  readonly verdict: Verdict;
  readonly label: string;
  /** Buffers made for it. */
  readonly fresh: PooledBuffer[];
  /** Error scopes are open. */
  scoped: boolean;
  calls: number;
  /** Numbers that its calls take. */
  scalars: number;
  work: number;
}

/** A batch without error scopes that the device has not finished. */
interface Trusted {
  readonly verdict: Verdict;
  readonly what: string;
  /** The number of its submit. */
  readonly submit: number;
}

interface Parts {
  readonly pool: BufferPool;
  readonly recorder: Recorder;
  readonly scalars: ScalarSlots;
  readonly watchdog: Watchdog;
  /** Why the device is gone, once it is. */
  readonly loss: () => FaxError | null;
}

export class Submitter {
  readonly #device: GPUDevice;
  readonly #profile: AdapterProfile;
  readonly #parts: Parts;
  readonly #trusted: Trusted[] = [];
  readonly #onTurn = (): void => this.#turn();
  #batch: Batch | null = null;
  #batches = 0;
  #turnAwaited = false;
  #submitted = 0;
  #completed = 0;
  #checked = 0;
  #unsubmittedUpload = 0;
  #callSubmits = 0;

  constructor(device: GPUDevice, profile: AdapterProfile, parts: Parts) {
    this.#device = device;
    this.#profile = profile;
    this.#parts = parts;
  }

  /** What is being recorded. */
  get batch(): Batch | null {
    return this.#batch;
  }

  /** Submits so far. */
  get submitted(): number {
    return this.#submitted;
  }

  /** Of them, those with calls in them. */
  get callSubmits(): number {
    return this.#callSubmits;
  }

  /** Submits that the device has not finished, as far as is known. */
  get inFlight(): number {
    return this.#submitted - this.#completed;
  }

  isEnough({ calls, work }: Batch): boolean {
    const { recorded } = this.#parts.recorder;
    return calls >= callsPerBatch || recorded >= commandsPerBatch || work >= workPerBatch[this.#profile.class];
  }

  write(buffer: PooledBuffer, bytes: Uint8Array<ArrayBufferLike>): void {
    // Writes overtake what is recorded.
    if (buffer.batch === this.#batch?.serial) this.flush();
    this.#device.queue.writeBuffer(buffer.gpu, 0, bytes);
    this.#unsubmittedUpload += bytes.byteLength;
    if (this.#unsubmittedUpload > mostUnsubmittedUpload) this.#submit(null);
  }

  /** The batch that is being recorded. It is submitted at the latest when the event loop turns. */
  open(label: string, scoped: boolean): Batch {
    let batch = this.#batch;
    if (batch === null) {
      const serial = this.#batches++;
      batch = { serial, verdict: new Verdict(), label, fresh: [], scoped: false, calls: 0, scalars: 0, work: 0 };
      this.#batch = batch;
      this.#awaitTurn();
    }
    if (scoped && !batch.scoped) this.openScopes(batch);
    return batch;
  }

  openScopes(batch: Batch): void {
    this.pushScopes();
    batch.scoped = true;
  }

  /** Submits what is recorded. */
  flush(): void {
    const batch = this.#batch;
    if (batch === null) return;
    this.#batch = null;
    const { recorder, scalars } = this.#parts;
    const what = batch.calls > 1 ? `${batch.label} and ${batch.calls - 1} more` : batch.label;
    if (recorder.timer !== null && !batch.scoped) this.openScopes(batch);
    const submit = this.#submitted + Math.min(1, recorder.recorded);
    if (!batch.scoped) this.#trusted.push({ verdict: batch.verdict, what, submit });
    const begun = beginPhase();
    scalars.write();
    const commands = recorder.finish();
    if (commands !== null) {
      this.#submit(commands);
      endPhase("submit", begun);
      recorder.timer?.collect();
      if (batch.calls > 0) this.#callSubmits++;
    }
    if (batch.scoped) batch.verdict.decide(this.popScopes(what, batch.fresh));
    const heavy = batch.work >= mostWorkPerSubmit / submitsPerCheck;
    if (heavy || this.#submitted - this.#checked >= submitsPerCheck) void this.finish();
  }

  /** An error that no scope saw. */
  uncaught(error: GPUError): void {
    const outOfMemory = error.constructor.name === "GPUOutOfMemoryError";
    for (const { verdict, what } of this.#trusted.splice(0)) {
      verdict.decide(this.#lossOr(commandError(this.#profile.name, what, error, outOfMemory)));
    }
  }

  #submit(commands: GPUCommandBuffer | null): void {
    this.#device.queue.submit(commands === null ? [] : [commands]);
    this.#submitted++;
    this.#unsubmittedUpload = 0;
  }

  async finish(): Promise<void> {
    const submitted = this.#submitted;
    this.#checked = submitted;
    // A device that is lost finishes nothing, and everything that waits fails by itself.
    await this.#device.queue.onSubmittedWorkDone().catch(() => undefined);
    this.finished(submitted);
  }

  /** All submits up to that one. */
  finished(submitted: number): void {
    this.#completed = Math.max(this.#completed, submitted);
    this.#checked = Math.max(this.#checked, submitted);
    for (let first = this.#trusted[0]; first !== undefined && first.submit <= submitted; first = this.#trusted[0]) {
      this.#trusted.shift();
      first.verdict.settle(null);
    }
    this.#parts.watchdog.progress();
  }

  pushScopes(): void {
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
  }

  /** Never rejects. `fresh`: buffers made since the scopes were opened. */
  popScopes(what: string, fresh: readonly PooledBuffer[]): Promise<FaxError | null> {
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()];
    return Promise.all(scopes).then(
      ([memory, validation]) => {
        const error = memory ?? validation ?? null;
        if (error === null) return null;
        this.#parts.pool.discard(fresh);
        return commandError(this.#profile.name, what, error, error === memory);
      },
      () => this.#lossOr(lostError(this.#profile.name, { reason: "unknown", message: "an operation was cut off" })),
    );
  }

  #awaitTurn(): void {
    if (this.#turnAwaited) return;
    this.#turnAwaited = true;
    setImmediate(this.#onTurn);
  }

  #turn(): void {
    this.#turnAwaited = false;
    this.flush();
  }

  /** The device's loss, if it is reported about now. */
  async #lossOr(error: FaxError): Promise<FaxError> {
    await nextTurn();
    return this.#parts.loss() ?? error;
  }
}
