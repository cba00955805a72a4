import type { DType, HostArray, HostData } from "@fax/compiler/executable";
import { expect, test } from "vitest";
import { type Backend, DeferredBackend } from "./deferred.ts";

/** Programs are functions on host arrays. */
class Evaluator implements Backend<(inputs: readonly HostArray[]) => HostArray[], HostArray> {
  readonly released: HostArray[] = [];

  upload(data: HostArray): HostArray {
    return data;
  }

  execute(program: (inputs: readonly HostArray[]) => HostArray[], inputs: readonly HostArray[]): HostArray[] {
    return program(inputs);
  }

  async read(handle: HostArray, _dtype: DType, size: number): Promise<HostData> {
    return handle.data.slice(0, size);
  }

  release(handle: HostArray): void {
    this.released.push(handle);
  }
}

const scalar = (value: number): HostArray => ({ dtype: "f32", shape: [], data: Float32Array.of(value) });

const double = ([x]: readonly HostArray[]): HostArray[] => [scalar(2 * (x?.data[0] ?? NaN))];

test("what is asked for before the device exists runs in order when it does", async () => {
  const evaluator = new Evaluator();
  let open: (backend: Evaluator) => void = () => {};
  const deferred = new DeferredBackend(new Promise<Evaluator>((resolve) => (open = resolve)));
  const data = Float32Array.of(3);
  const x = deferred.upload({ dtype: "f32", shape: [], data });
  data[0] = 7;
  const [y] = deferred.execute(double, 1, [x]);
  if (y === undefined) throw new Error("no output");
  deferred.release(x);
  const reading = deferred.read(y, "f32", 1);
  open(evaluator);
  expect([...(await reading)]).toEqual([6]);
  expect(evaluator.released).toHaveLength(1);
  const [z] = deferred.execute(double, 1, [y]);
  if (z === undefined) throw new Error("no output");
  expect([...(await deferred.read(z, "f32", 1))]).toEqual([12]);
});

test("a device that does not open fails every value, and nothing else", async () => {
  const deferred = new DeferredBackend<typeof double, HostArray>(Promise.reject(new Error("no such device")));
  const x = deferred.upload(scalar(1));
  const [y] = deferred.execute(double, 1, [x]);
  if (y === undefined) throw new Error("no output");
  await expect(deferred.read(y, "f32", 1)).rejects.toThrow("no such device");
  deferred.release(y);
});

test("a program that throws fails its values and those after it", async () => {
  const deferred = new DeferredBackend<typeof double, HostArray>(Promise.resolve(new Evaluator()));
  const x = deferred.upload(scalar(1));
  const [bad] = deferred.execute(
    () => {
      throw new Error("too large");
    },
    1,
    [x],
  );
  if (bad === undefined) throw new Error("no output");
  const [after] = deferred.execute(double, 1, [bad]);
  if (after === undefined) throw new Error("no output");
  await expect(deferred.read(after, "f32", 1)).rejects.toThrow("too large");
});
