/** The control-flow graph of a lifted program as Graphviz text. */
import { printPlace } from "../base/index.ts";
import type { IrProgram } from "../ir/index.ts";

export function controlFlowDot(program: IrProgram): string {
  const lines = [
    "digraph program {",
    "  node [shape=box, fontname=monospace];",
  ];
  for (const [index, fn] of program.functions.entries()) {
    lines.push(
      `  subgraph cluster_${index} {`,
      `    label=${quoted(fn.name)};`,
    );
    for (const block of fn.blocks) {
      const name = `f${index}b${block.id}`;
      const { terminator } = block;
      lines.push(
        `    ${name} [label=${quoted(`b${block.id}  ${printPlace(terminator.at)}\n${block.instructions.length} instructions`)}];`,
      );
      const edge = (to: number, label: string): void => {
        lines.push(`    ${name} -> f${index}b${to} [label=${quoted(label)}];`);
      };
      switch (terminator.kind) {
        case "jump":
          edge(terminator.to.block, "");
          break;
        case "branch":
          edge(terminator.then.block, terminator.op);
          edge(terminator.otherwise.block, "else");
          break;
        case "may-goto":
          edge(terminator.then.block, "time is up");
          edge(terminator.otherwise.block, "else");
          break;
        case "return":
        case "trap":
          break;
      }
    }
    lines.push("  }");
  }
  lines.push("}");
  return lines.join("\n");
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}
