import { describe, expect, it } from "vitest";
import { measureInTurns, ratioOf, type Sample, spreadOf } from "./measure.ts";

const sample = (wall: number): Sample => ({ wall, cpu: 2 * wall });

describe("spreadOf", () => {
  it("gives the median and the quartiles, between values where need be", () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 });
    expect(spreadOf([7])).toEqual({ median: 7, low: 7, high: 7 });
  });
});

describe("ratioOf", () => {
  it("compares round by round, so that a slow minute of the machine counts for both", () => {
    const base = [sample(1), sample(10), sample(1)];
    expect(ratioOf([sample(2), sample(20), sample(2)], base, "wall")).toBe(2);
    expect(ratioOf([sample(3)], base, "cpu")).toBe(3);
  });
});

describe("measureInTurns", () => {
  it("lets the contenders alternate, and starts each round with another", async () => {
    const order: string[] = [];
    const contender = (name: string) => ({
      name,
      mostCalls: 1,
      run: (): Promise<void> => {
        order.push(name);
        return Promise.resolve();
      },
    });
    const samples = await measureInTurns([contender("a"), contender("b")], 1);
    expect(samples.get("a")?.length).toBe(samples.get("b")?.length);
    expect(order.slice(2, 8)).toEqual(["a", "b", "b", "a", "a", "b"]);
  });
});
