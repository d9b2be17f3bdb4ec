/**
 * The text form back to a program: the inverse of print.ts. Untrusted text
 * gives a program or an InputError with the line; whether the program is sound
 * is verifyIr's question, except that every value is defined once, densely.
 */
import { InputError, fromHex, id, type Place } from "../base/index.ts";
import { mapTypes, programTypes, type MapSpec } from "../isa/index.ts";
import { parseOperation, parseTerminator } from "./parse-operation.ts";
import type {
  Block,
  IrFunction,
  IrInstruction,
  IrProgram,
  Region,
  Slot,
  ValueId,
  ValueType,
} from "./program.ts";
import { Scanner } from "./scanner.ts";
import { scalar } from "./value-type.ts";

export function parseIr(text: string, file = "ir text"): IrProgram {
  const lines = new Lines(text, file);
  const head = lines.take();
  head.expect("program");
  const name = head.string();
  head.expect("type");
  const type = head.word("a program type");
  if (!isProgramType(type)) return head.fail("a program type");
  head.expect("file");
  const origin = head.string();
  head.end();
  const maps: MapSpec[] = [];
  const functions: IrFunction[] = [];
  for (let line = lines.peek(); line !== undefined; line = lines.peek()) {
    if (line.peek() === "map") maps.push(lines.map());
    else functions.push(parseFunction(lines));
  }
  return { name, file: origin, type, functions, maps };
}

function isProgramType(word: string): word is keyof typeof programTypes {
  return Object.hasOwn(programTypes, word);
}

/** Lines that hold anything, with their numbers. */
class Lines {
  readonly #lines: readonly string[];
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#lines = text.split("\n");
    this.#file = file;
    this.#skip();
  }

  #skip(): void {
    while (this.#lines[this.#at]?.trim() === "") this.#at++;
  }

  peek(): Scanner | undefined {
    const line = this.#lines[this.#at];
    return line === undefined
      ? undefined
      : new Scanner(line, this.#at + 1, this.#file);
  }

  take(): Scanner {
    const line = this.peek();
    if (line === undefined) return this.fail("text ends too early");
    this.#at++;
    this.#skip();
    return line;
  }

  fail(text: string): never {
    throw new InputError(text, {
      code: "ir-text-malformed",
      file: this.#file,
      line: this.#at + 1,
    });
  }

  map(): MapSpec {
    const text = (this.#lines[this.#at] ?? "").trim().slice("map".length);
    let value: unknown;
    try {
      value = JSON.parse(text, (_, member: unknown) => {
        if (!isRecord(member)) return member;
        const { hex, u64 } = member;
        if (typeof hex === "string") return fromHex(hex);
        return typeof u64 === "string" ? BigInt(u64) : member;
      });
    } catch {
      return this.fail("a map as JSON expected");
    }
    if (!isMapSpec(value)) return this.fail("no description of a map");
    this.take();
    return value;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isMapSpec(value: unknown): value is MapSpec {
  if (!isRecord(value)) return false;
  const numbers = ["keySize", "valueSize", "maxEntries", "flags"];
  return (
    typeof value["name"] === "string" &&
    typeof value["type"] === "string" &&
    Object.hasOwn(mapTypes, value["type"]) &&
    typeof value["section"] === "string" &&
    typeof value["readOnly"] === "boolean" &&
    numbers.every((key) => Number.isSafeInteger(value[key])) &&
    (value["inner"] === undefined || isMapSpec(value["inner"]))
  );
}

/** Types by value as definitions are met. */
class Definitions {
  readonly types = new Map<number, ValueType>();

  define(line: Scanner): ValueId {
    const value = line.name("v");
    if (this.types.has(value)) return line.fail(`no second v${value}`);
    this.types.set(value, line.accept(":") ? parseType(line) : scalar);
    return id(value);
  }
}

function parseFunction(lines: Lines): IrFunction {
  const head = lines.take();
  head.expect("function");
  const name = head.string();
  const definitions = new Definitions();
  head.expect("(");
  const params = head.list(")", () => definitions.define(head));
  head.expect("{");
  head.end();
  const slots: Slot[] = [];
  const blocks: Block[] = [];
  for (;;) {
    const line = lines.peek() ?? lines.take();
    if (line.peek() === "}") break;
    if (line.accept("slot")) {
      lines.take();
      const slot = id<"s">(line.name("s"));
      line.expect("at");
      const offset = line.integer();
      line.expect("size");
      slots.push({ id: slot, offset, size: line.integer() });
      line.end();
    } else blocks.push(parseBlock(lines, name, definitions));
  }
  lines.take();
  const values = Array.from(
    { length: definitions.types.size },
    (_, value) =>
      definitions.types.get(value) ?? lines.fail(`v${value} is not defined`),
  );
  return { name, params, blocks, values, slots };
}

function parseBlock(lines: Lines, fn: string, definitions: Definitions): Block {
  const head = lines.take();
  const block = id<"b">(head.name("b"));
  const params = head.accept("(")
    ? head.list(")", () => definitions.define(head))
    : [];
  head.expect(":");
  head.end();
  const instructions: IrInstruction[] = [];
  for (;;) {
    const line = lines.take();
    const terminator = parseTerminator(line);
    if (terminator !== undefined) {
      const at = parseAt(line, fn);
      return {
        id: block,
        params,
        instructions,
        terminator: { ...terminator, at },
      };
    }
    const hasResult = /^v\d+$/.test(line.peek() ?? "");
    const result = hasResult ? { result: definitions.define(line) } : {};
    if (hasResult) line.expect("=");
    const operation = parseOperation(line, hasResult);
    const at = parseAt(line, fn);
    instructions.push({ ...operation, ...result, at } as IrInstruction);
  }
}

function parseAt(line: Scanner, fn: string): Place {
  line.expect(";");
  const instruction = line.integer("an instruction number");
  const place: {
    -readonly [Member in keyof Place]: Place[Member];
  } = { function: line.accept("in") ? line.string() : fn, instruction };
  if (line.peek()?.startsWith('"') === true) place.file = line.string();
  if (line.accept(":")) {
    place.line = line.integer();
    line.expect(":");
    place.column = line.integer();
  }
  if (line.accept("line")) place.line = line.integer();
  if (line.accept("column")) place.column = line.integer();
  if (line.accept("text")) place.text = line.string();
  line.end();
  return place;
}

function parseType(line: Scanner): ValueType {
  if (line.accept("scalar")) return scalar;
  const region = parseRegion(line);
  const offset = line.offset();
  const nullable = line.accept("or");
  if (nullable) line.expect("null");
  return {
    kind: "pointer",
    region,
    ...(offset === undefined ? {} : { offset }),
    ...(nullable ? { nullable } : {}),
  };
}

function parseRegion(line: Scanner): Region {
  const kind = line.word("a region");
  switch (kind) {
    case "slot":
      return { kind, slot: id(line.name("s")) };
    case "map-value":
    case "map":
      return { kind, map: line.string() };
    case "function":
      return { kind, name: line.string() };
    case "kernel":
      return { kind, what: line.string() };
    case "context":
    case "packet":
    case "packet-end":
    case "packet-meta":
    case "frame":
    case "unknown":
      return { kind };
    default:
      return line.fail("a region");
  }
}
