/**
 * Words that travel in parts, put together again.
 *
 * Where bytecode uses one place of the stack now for a word and now for two
 * halves, the lift has two variables there, and a word that was stored is taken
 * apart, passed on in halves, and put together where it is loaded:
 *
 *   b1: jump b3(extract x 0 4, extract x 4 4)        b1: jump b3(x)
 *   b2: jump b3(c, d)                           →    b2: jump b3(concat c:4, d:4)
 *   b3(lo, hi): concat lo:4, hi:4                    b3(w): w
 *
 * The verifier allows none of that arithmetic on a pointer. So parameters that are
 * put together somewhere, and get the parts of one word from some edge, get the
 * word. What the halves were needed for beside that stays.
 *
 * Law: the program does the same.
 */
import { id } from "../../../base/index.ts";
import {
  edgesOf,
  mapInstruction,
  mapTerminator,
  removeDeadCode,
  type Block,
  type BlockId,
  type Edge,
  type IrFunction,
  type IrInstruction,
  type ValueId,
  type ValueType,
} from "../../../ir/index.ts";

interface Part {
  readonly value: ValueId;
  readonly size: number;
}

/** Parameters of one block that make a word together. */
interface Joint {
  readonly block: BlockId;
  readonly param: ValueId;
  /** Per edge into the block, in the order in which edges are found. */
  readonly edges: {
    readonly from: BlockId;
    readonly edge: Edge;
    readonly word: Word;
  }[];
}

type Word =
  | { readonly kind: "value"; readonly value: ValueId }
  | { readonly kind: "joint"; readonly joint: Joint }
  /** To be put together at the edge. */
  | { readonly kind: "parts"; readonly parts: readonly Part[] };

export function wholeWords(fn: IrFunction): IrFunction {
  const hasParts = fn.blocks.some((block) =>
    block.instructions.some(
      (each) => each.kind === "concat" && sizeOf(each.parts) === 8,
    ),
  );
  return hasParts ? new Joining(fn).run() : fn;
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}

class Joining {
  readonly #fn: IrFunction;
  readonly #definitions = new Map<ValueId, IrInstruction>();
  readonly #blockOf = new Map<ValueId, BlockId>();
  readonly #incoming: { readonly from: BlockId; readonly edge: Edge }[][];
  readonly #joints = new Map<string, Joint>();
  readonly #values: ValueType[];
  readonly #work: {
    readonly joint: Joint;
    readonly parts: readonly Part[];
  }[] = [];

  constructor(fn: IrFunction) {
    this.#fn = fn;
    this.#values = [...fn.values];
    this.#incoming = fn.blocks.map(() => []);
    for (const block of fn.blocks) {
      for (const param of block.params) this.#blockOf.set(param, block.id);
      for (const instruction of block.instructions)
        if ("result" in instruction)
          this.#definitions.set(instruction.result, instruction);
      for (const edge of edgesOf(block.terminator))
        this.#incoming[edge.block]?.push({ from: block.id, edge });
    }
  }

  run(): IrFunction {
    const words = new Map<ValueId, Word>();
    for (const block of this.#fn.blocks)
      for (const instruction of block.instructions)
        if (instruction.kind === "concat" && sizeOf(instruction.parts) === 8) {
          const word = this.#wordOf(instruction.parts);
          if (word.kind !== "parts") words.set(instruction.result, word);
        }
    this.#follow();
    const kept = this.#worthwhile();
    const replaced = new Map<ValueId, ValueId>();
    for (const [result, word] of words)
      if (word.kind === "value") replaced.set(result, word.value);
      else if (word.kind === "joint" && kept.has(word.joint))
        replaced.set(result, word.joint.param);
    return replaced.size === 0 ? this.#fn : this.#rewrite(replaced, kept);
  }

  #wordOf(parts: readonly Part[]): Word {
    const whole = this.#wholeOf(parts);
    if (whole !== undefined) return { kind: "value", value: whole };
    const block = this.#commonBlock(parts);
    if (block === undefined) return { kind: "parts", parts };
    const name = parts.map(({ value, size }) => `${value}:${size}`).join();
    const known = this.#joints.get(name);
    if (known !== undefined) return { kind: "joint", joint: known };
    const param = id<"v">(this.#values.length);
    this.#values.push({ kind: "scalar" });
    const joint: Joint = { block, param, edges: [] };
    this.#joints.set(name, joint);
    this.#work.push({ joint, parts });
    return { kind: "joint", joint };
  }

  /** What comes over each edge; that may be further joints. */
  #follow(): void {
    for (
      let next = this.#work.pop();
      next !== undefined;
      next = this.#work.pop()
    ) {
      const { joint, parts } = next;
      const params = this.#fn.blocks[joint.block]?.params ?? [];
      const places = parts.map(({ value }) => params.indexOf(value));
      for (const { from, edge } of this.#incoming[joint.block] ?? []) {
        const given = parts.map(({ size }, index) => ({
          value: edge.args[places[index] ?? -1] ?? id<"v">(0),
          size,
        }));
        joint.edges.push({ from, edge, word: this.#wordOf(given) });
      }
    }
  }

  /** The word of which these are all bytes in order. */
  #wholeOf(parts: readonly Part[]): ValueId | undefined {
    let start = 0;
    let whole: ValueId | undefined;
    for (const { value, size } of parts) {
      const definition = this.#definitions.get(value);
      if (definition?.kind !== "extract") return undefined;
      if (definition.start !== start || definition.size !== size)
        return undefined;
      if (whole !== undefined && definition.value !== whole) return undefined;
      whole = definition.value;
      start += size;
    }
    return whole;
  }

  /** Of which all parts are parameters. */
  #commonBlock(parts: readonly Part[]): BlockId | undefined {
    const blocks = new Set(parts.map(({ value }) => this.#blockOf.get(value)));
    const [block] = blocks;
    return blocks.size === 1 ? block : undefined;
  }

  /** Joints to which the whole of a word comes, over other joints or directly. */
  #worthwhile(): ReadonlySet<Joint> {
    const kept = new Set<Joint>();
    for (let size = -1; size !== kept.size;) {
      size = kept.size;
      for (const joint of this.#joints.values())
        if (
          joint.edges.some(
            ({ word }) =>
              word.kind === "value" ||
              (word.kind === "joint" && kept.has(word.joint)),
          )
        )
          kept.add(joint);
    }
    // What feeds one of them must be one.
    for (let size = -1; size !== kept.size;) {
      size = kept.size;
      for (const joint of kept)
        for (const { word } of joint.edges)
          if (word.kind === "joint") kept.add(word.joint);
    }
    return kept;
  }

  #rewrite(
    replaced: ReadonlyMap<ValueId, ValueId>,
    kept: ReadonlySet<Joint>,
  ): IrFunction {
    const joints = [...kept];
    const more = new Map<Edge, ValueId[]>();
    const ends = new Map<BlockId, IrInstruction[]>();
    const current = (value: ValueId): ValueId => {
      let at = value;
      for (
        let next = replaced.get(at);
        next !== undefined;
        next = replaced.get(at)
      )
        at = next;
      return at;
    };
    for (const joint of joints)
      for (const { from, edge, word } of joint.edges) {
        const list = more.get(edge) ?? [];
        more.set(edge, list);
        if (word.kind === "value") list.push(word.value);
        else if (word.kind === "joint") list.push(word.joint.param);
        else list.push(this.#together(word.parts, from, ends));
      }
    const wholeEdge = (edge: Edge): Edge => ({
      block: edge.block,
      args: [...edge.args, ...(more.get(edge) ?? [])],
    });
    const blocks = this.#fn.blocks.map((block): Block => ({
      id: block.id,
      params: [
        ...block.params,
        ...joints
          .filter((joint) => joint.block === block.id)
          .map((joint) => joint.param),
      ],
      instructions: [...block.instructions, ...(ends.get(block.id) ?? [])],
      terminator: mapTerminator(block.terminator, (value) => value, wholeEdge),
    }));
    return removeDeadCode({
      ...this.#fn,
      values: this.#values,
      blocks: blocks.map((block) => ({
        ...block,
        instructions: block.instructions.map((each) =>
          mapInstruction(each, { value: current }),
        ),
        terminator: mapTerminator(block.terminator, current, (edge) => ({
          ...edge,
          args: edge.args.map(current),
        })),
      })),
    });
  }

  /** A new instruction at the end of the block. */
  #together(
    parts: readonly Part[],
    from: BlockId,
    ends: Map<BlockId, IrInstruction[]>,
  ): ValueId {
    const result = id<"v">(this.#values.length);
    this.#values.push({ kind: "scalar" });
    const list = ends.get(from) ?? [];
    ends.set(from, list);
    const at = this.#fn.blocks[from]?.terminator.at ?? {
      function: this.#fn.name,
      instruction: 0,
    };
    list.push({ kind: "concat", parts, result, at });
    return result;
  }
}
