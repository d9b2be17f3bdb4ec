/**
 * The program behind a cpumap: the instructions are the program's own, with what the
 * kernel does otherwise there put right.
 *
 *   XDP_TX    is no verdict there (the frame is dropped): before each exit, a verdict
 *             3 becomes bpf_redirect(ctx->ingress_ifindex), which sends it back
 *   queue     ctx->rx_queue_index is 0 there: read from the metadata that the
 *             dispatcher put in front of the packet, which is taken away again; without
 *             any (a test run at an interface) as the context has it
 *   ticket    with tickets, each exit also says that the packet is done
 *
 * The context, and the queue where it is read, are kept at the bottom of the entry's
 * frame, below what the program uses. A frame that has no room is refused. That no
 * instruction of the program writes there is checked by the verifier: what was written
 * over is no context any more.
 *
 * ctx->ingress_ifindex stays the interface's; ctx->data_meta is data again, as it is in
 * front of a program at an interface.
 *
 * Source: kernel/bpf/cpumap.c (cpu_map_bpf_prog_run_xdp).
 */
import { UnsupportedError } from "../../../base/index.ts";
import {
  editFunction,
  helperByNumber,
  local,
  parseFunction,
  targetOf,
  withTarget,
  type Edit,
  type FunctionSpec,
  type Instruction,
} from "../../../isa/index.ts";
import { contextLoads } from "./context-loads.ts";
import { queueMetadata } from "./dispatcher.ts";
import { doneText, takeText, type TicketSlots } from "./tickets.ts";

export interface WorkerOptions {
  /** The dispatcher puts the receive queue in front of the packet. */
  readonly queue: boolean;
  /** Each packet has a ticket (tickets.ts). Then `waitFunction` must be beside it. */
  readonly tickets?: boolean;
}

const frameSize = 512;
/** Of the function that waits: frames of a call share 512 bytes. */
const waitFrame = 64;
const queueField = 16;

/** The entry function as the program of a cpumap's entry. */
export function cpumapWorker(
  entry: FunctionSpec,
  { queue, tickets = false }: WorkerOptions,
): FunctionSpec {
  if (tickets && entry.instructions.some(isTailCall))
    throw new UnsupportedError(
      `${entry.name} calls other programs, which do not say when a packet is done`,
      {
        feature: "rebalancing behind tail calls",
        fix: "leave --rebalance out",
      },
    );
  const depth = frameDepth(entry);
  const context = depth + 8;
  const kept = context + 8;
  const slots: TicketSlots | undefined = tickets
    ? { queue: kept, entry: kept + 8, ticket: kept + 16, cpu: kept + 24 }
    : undefined;
  const most = tickets ? frameSize - waitFrame : frameSize;
  const lowest = slots?.cpu ?? (queue ? kept : context);
  if (lowest > most)
    throw new UnsupportedError(
      `${entry.name} uses ${depth} bytes of stack, and behind a cpumap ${lowest - depth + (frameSize - most)} more are needed`,
      {
        feature: `a frame of over ${frameSize} bytes`,
        fix: "use less stack in the entry function, or dispatch by the NIC",
      },
    );
  const edits: Edit[] = [
    {
      kind: "insert",
      at: 0,
      instructions: inserted(
        slots === undefined
          ? prologue({ context, kept, queue })
          : ticketPrologue(context, slots),
      ),
      reach: "fall-through",
    },
  ];
  for (const [at, { kind }] of entry.instructions.entries())
    if (kind === "exit")
      edits.push({
        kind: "insert",
        at,
        instructions: inserted(
          epilogue(context) + (slots === undefined ? "" : doneText(slots)),
        ),
      });
  if (queue)
    for (const at of contextLoads(entry, queueField)) {
      const load = entry.instructions[at];
      if (load?.kind !== "load") continue;
      edits.push({
        kind: "replace",
        at,
        instructions: [{ ...load, base: 10, offset: -kept }],
      });
    }
  const section = entry.section.replace(
    /^\??(xdp(?:\.frags)?).*$/,
    "$1/cpumap",
  );
  return { ...editFunction(entry, edits), section };
}

function isTailCall(instruction: Instruction): boolean {
  if (instruction.kind !== "call") return false;
  const { callee } = instruction;
  return (
    callee.kind === "helper" &&
    helperByNumber(callee.helper)?.name === "tail_call"
  );
}

function prologue({
  context,
  kept,
  queue,
}: {
  readonly context: number;
  readonly kept: number;
  readonly queue: boolean;
}): string {
  const keep = `*(u64 *)(r10 - ${context}) = r1`;
  if (!queue) return keep;
  return `
    ${keep}
    r2 = *(u32 *)(r1 + 8)
    r3 = *(u32 *)(r1 + 0)
    r4 = r2
    r4 += ${queueMetadata}
    if r4 > r3 goto none
    r2 = *(u64 *)(r2 + 0)
    *(u64 *)(r10 - ${kept}) = r2
    r2 = ${queueMetadata}
    call xdp_adjust_meta
    goto ready
  none:
    r2 = *(u32 *)(r1 + 16)
    *(u64 *)(r10 - ${kept}) = r2
  ready:
    r1 = *(u64 *)(r10 - ${context})`;
}

const ticketPrologue = (context: number, slots: TicketSlots): string => `
    *(u64 *)(r10 - ${context}) = r1${takeText(slots)}
  none:
    r2 = *(u32 *)(r1 + 16)
    *(u64 *)(r10 - ${slots.queue}) = r2
  ready:
    r1 = *(u64 *)(r10 - ${context})`;

const epilogue = (context: number): string => `
    if w0 != 3 goto end
    r1 = *(u64 *)(r10 - ${context})
    r1 = *(u32 *)(r1 + 12)
    r2 = 0
    call redirect
  end:`;

/** Text as instructions whose jumps are among themselves, or lead behind the last. */
function inserted(text: string): readonly Instruction[] {
  const { instructions } = parseFunction(`function inserted\n${text}\n exit`);
  return instructions.slice(0, -1).map((instruction) => {
    const target = targetOf(instruction);
    return target === undefined
      ? instruction
      : withTarget(instruction, local(target));
  });
}

/** Bytes of the frame that the function may use, a multiple of 8. */
export function frameDepth({ instructions }: FunctionSpec): number {
  let lowest = 0;
  for (const instruction of instructions) {
    if ("base" in instruction && instruction.base === 10)
      lowest = Math.min(lowest, instruction.offset);
    // An address in the frame is r10 plus a number, whatever register it is in.
    if (
      instruction.kind === "alu" &&
      instruction.op === "add" &&
      "value" in instruction.src &&
      instruction.src.value >= -frameSize
    )
      lowest = Math.min(lowest, instruction.src.value);
  }
  return Math.ceil(-lowest / 8) * 8;
}
