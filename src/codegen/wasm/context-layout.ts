/**
 * What the context of a program type looks like in linear memory: its size, where its
 * pointers to the packet are kept, and which bytes the program may write.
 *
 * Pointers are kept in the context itself where the type shows them, else in cells
 * behind it, so that helpers find them at a fixed address for every type.
 *
 * Source: the program type table of isa.
 */
import { programTypeRow, type ProgramTypeName } from "../../isa/index.ts";
import type { Cells } from "./layout.ts";

export interface ContextLayout {
  readonly size: number;
  /** Addresses of the 32-bit pointers. */
  readonly data: number;
  readonly dataEnd: number;
  readonly dataMeta: number;
  /** Ranges of offsets that may be written, in order, none touching the next. */
  readonly writable: readonly {
    readonly start: number;
    readonly end: number;
  }[];
}

/** Offsets of the fields of struct xdp_md that the packet loop fills. */
export const xdpContext = { ifindex: 12, rxQueue: 16 } as const;

export function contextLayout(
  type: ProgramTypeName,
  cell: Cells,
): ContextLayout {
  const { context, contextSize } = programTypeRow(type);
  const pointer = (meaning: string, hidden: number): number => {
    const field = context.find((each) => each.meaning === meaning);
    return field === undefined
      ? cell.bounds + hidden
      : cell.context + field.offset;
  };
  const writable: { start: number; end: number }[] = [];
  for (const field of context) {
    if (field.writable !== true) continue;
    const last = writable.at(-1);
    const end = field.offset + field.size;
    if (last?.end === field.offset) last.end = end;
    else writable.push({ start: field.offset, end });
  }
  return {
    size: contextSize,
    data: pointer("packet", 0),
    dataEnd: pointer("packet-end", 4),
    dataMeta: pointer("packet-meta", 8),
    writable,
  };
}

export function isWritable(
  { writable }: ContextLayout,
  at: number,
  size: number,
): boolean {
  return writable.some(({ start, end }) => at >= start && at + size <= end);
}
