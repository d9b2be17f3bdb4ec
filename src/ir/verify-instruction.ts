/** The rules of verify.ts that look at one instruction alone. */
import { findMap, signatureOf } from "./callee.ts";
import type {
  IrFunction,
  IrInstruction,
  IrProgram,
  ValueId,
} from "./program.ts";
import type { Report } from "./verify.ts";

interface Surroundings {
  readonly program: IrProgram;
  readonly fn: IrFunction;
  /** Values that anything reads. */
  readonly uses: ReadonlySet<ValueId>;
  readonly report: Report;
}

export function checkInstruction(
  instruction: IrInstruction,
  surroundings: Surroundings,
): void {
  const { program, fn, uses } = surroundings;
  const report = (code: string, message: string): void => {
    surroundings.report(code, message, instruction.at);
  };
  switch (instruction.kind) {
    case "const":
      if (BigInt.asUintN(64, instruction.value) !== instruction.value)
        report("ir-operand", `${instruction.value} is no 64-bit word`);
      return;
    case "map":
    case "map-value": {
      const map = findMap(program.maps, instruction.map);
      if (map === undefined)
        report("ir-name", `there is no map ${instruction.map}`);
      else if (
        instruction.kind === "map-value" &&
        (instruction.offset < 0 || instruction.offset > map.valueSize)
      )
        report(
          "ir-name",
          `${instruction.offset} lies outside of ${map.name}'s value`,
        );
      return;
    }
    case "function":
      if (findFunction(program, instruction.name) === undefined)
        report("ir-name", `there is no function ${instruction.name}`);
      return;
    case "slot":
      if (fn.slots[instruction.slot] === undefined)
        report("ir-slot", `there is no slot s${instruction.slot}`);
      return;
    case "extract": {
      const { start, size } = instruction;
      if (!(start >= 0 && size >= 1 && start + size <= 8))
        report("ir-operand", `bytes ${start} to ${start + size} of a word`);
      return;
    }
    case "concat": {
      const sizes = instruction.parts.map((part) => part.size);
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (sizes.some((size) => size < 1) || sum < 1 || sum > 8)
        report("ir-operand", `parts of ${sum} bytes`);
      return;
    }
    case "load":
      if (instruction.signed && instruction.size === 8)
        report("ir-operand", "a load of 8 bytes has no sign to extend");
      return;
    case "atomic": {
      const { op, fetch, expected, result } = instruction;
      if ((op === "cmpxchg") !== (expected !== undefined))
        report("ir-operand", `an expected value and ${op}`);
      if ((op === "cmpxchg" || op === "xchg") && !fetch)
        report("ir-operand", `${op} without fetch`);
      if (!fetch && uses.has(result))
        report("ir-operand", `v${result} of an atomic without fetch is used`);
      return;
    }
    case "call": {
      const { callee, args } = instruction;
      const target =
        callee.kind === "function"
          ? findFunction(program, callee.name)
          : undefined;
      if (callee.kind === "function" && target === undefined) {
        report("ir-name", `there is no function ${callee.name}`);
        return;
      }
      const takes =
        target?.params.length ?? signatureOf(callee)?.args?.length ?? 5;
      if (args.length !== takes)
        report("ir-call", `${args.length} arguments for ${takes} parameters`);
      return;
    }
    case "store":
    case "binary":
    case "unary":
    case "undefined":
    case "kernel-symbol":
    case "address-cast":
    case "load-packet":
      return;
  }
}

function findFunction(
  program: IrProgram,
  name: string,
): IrFunction | undefined {
  return program.functions.find((fn) => fn.name === name);
}
