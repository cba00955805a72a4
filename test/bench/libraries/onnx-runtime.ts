/**
 * onnxruntime-node with its WebGPU provider, in its own Dawn on the same adapter. It takes models, so only rows that are
 * one short graph are written for it; its values go up and down with every call.
 */
import type { HostArray } from "@fax/compiler/executable";
import { type Library, NotPossible, type Prepared } from "./library.ts";
import { encodeModel, type OnnxGraph } from "./onnx-model.ts";
import { importPeer } from "./peers.ts";

interface OrtTensor {
  readonly data: ArrayLike<number>;
  dispose(): void;
}

interface OrtModule {
  readonly Tensor: new (type: string, data: HostArray["data"], shape: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: {
        readonly executionProviders: readonly string[];
        readonly logSeverityLevel: number;
        readonly extra: unknown;
      },
    ): Promise<{
      run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
      release(): Promise<void>;
    }>;
  };
}

export function onnxRuntime(): Library {
  const { module: ort, version } = importPeer<OrtModule>("onnxruntime-node");
  return {
    name: "onnxruntime",
    version,
    async prepare({ inputs, onnx }) {
      if (onnx === undefined) throw new NotPossible("no model of this row");
      if (inputs.some(({ dtype }) => dtype !== "f32")) throw new NotPossible("models are written for f32");
      const session = await ort.InferenceSession.create(
        encodeModel(
          onnx,
          inputs.map(({ shape }) => shape),
        ),
        {
          executionProviders: ["webgpu"],
          logSeverityLevel: 3,
          // What it would rather compute on the CPU is no figure of this adapter.
          extra: { session: { disable_cpu_ep_fallback: "1" } },
        },
      );
      const tensors = inputs.map(({ data, shape }) => new ort.Tensor("float32", data, shape));
      const feeds = Object.fromEntries(tensors.slice(0, inputsOf(onnx)).map((tensor, i) => [`x${i}`, tensor]));
      let running: Promise<unknown> = Promise.resolve();
      return {
        start() {
          running = running.then(() => session.run(feeds));
        },
        async finish() {
          await running;
        },
        async read() {
          return [(await session.run(feeds))["y"]?.data ?? []];
        },
        dispose() {
          void session.release();
        },
      } satisfies Prepared;
    },
  };
}

/** How many of the row's inputs the graph reads. */
function inputsOf({ nodes }: OnnxGraph): number {
  const used = nodes.flatMap(({ inputs }) => inputs).filter((name) => /^x\d+$/.test(name));
  return new Set(used).size;
}
