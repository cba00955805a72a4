/** Loop IR as text, for `inspect --stage loops`. */
import type { Graph, Node } from "./graph.ts";
import { axesText, Names, printExpr, typeText } from "./print-expr.ts";

export function printGraph(graph: Graph): string {
  const names = new Names();
  const inputs = graph.inputs.map((tensor) => `${names.tensor(tensor)}: ${typeText(tensor)}`).join(", ");
  const lines = [`graph(${inputs}) {`, ...printNodes(graph.nodes, names, "  ")];
  lines.push(`  return ${graph.outputs.map((tensor) => names.tensor(tensor)).join(", ")}`, "}");
  return `${lines.join("\n")}\n`;
}

function printNodes(nodes: readonly Node[], names: Names, indent: string): string[] {
  return nodes.flatMap((node): string[] => {
    switch (node.kind) {
      case "map": {
        const space = node.axes.length > 0 ? ` for ${axesText(node.axes, names)}` : "";
        return node.outputs.flatMap((output, i) => {
          const body = node.bodies[i];
          if (body === undefined) return [];
          const { shared, value } = printExpr(body, names);
          const at = node.axes.map((axis) => names.axis(axis)).join(", ");
          return [
            ...(i === 0 ? [`${indent}# ${node.label}${space}`] : []),
            ...shared.map((line) => `${indent}${line}`),
            `${indent}${names.tensor(output)}: ${typeText(output)}; ${names.tensor(output)}[${at}] = ${value}`,
          ];
        });
      }
      case "reduce": {
        const space = node.axes.length > 0 ? ` for ${axesText(node.axes, names)}` : "";
        const { shared, value } = printExpr(node.body, names);
        const at = node.axes.map((axis) => names.axis(axis)).join(", ");
        const over = node.over.length > 0 ? ` over ${axesText(node.over, names)}` : "";
        const name = names.tensor(node.output);
        return [
          `${indent}# ${node.label}${space}`,
          ...shared.map((line) => `${indent}${line}`),
          `${indent}${name}: ${typeText(node.output)}; ${name}[${at}] = ${node.reducer}${over} of ${value}`,
        ];
      }
      case "loop": {
        const carries = node.carries.map(({ init, input }) => `${names.tensor(input)} = ${names.tensor(init)}`);
        const body = printNodes(node.body, names, `${indent}  `);
        const results = node.carries.map(({ result }) => names.tensor(result));
        const stores = node.stacked.map(
          ({ element, index, output }) =>
            `${indent}  ${names.tensor(output)}: ${typeText(output)}; ${names.tensor(output)}[${printExpr(index, names).value}] = ${names.tensor(element)}`,
        );
        const finals = node.carries.map(({ final }) => names.tensor(final));
        const head = `${indent}# ${node.label}`;
        const open = `${indent}loop ${names.counter(node.counter)} < ${node.counter.length} (${carries.join(", ")}) {`;
        return [
          head,
          open,
          ...body,
          ...stores,
          `${indent}  next ${results.join(", ")}`,
          `${indent}} -> ${finals.join(", ")}`,
        ];
      }
      default:
        return node satisfies never;
    }
  });
}
