import { equal, notEqual } from "node:assert/strict";
import { test } from "node:test";
import type { CellTouch } from "../interp/index.ts";
import { TouchNotes } from "./touch-notes.ts";

const notes = (): TouchNotes =>
  new TouchNotes([
    {
      chain: "chain",
      cellSize: 32,
      capacity: 2,
      entries: "entries",
      allocate: "allocate",
      functions: ["allocate"],
      ranges: [],
      followers: [],
    },
  ]);

const touch = (
  map: string,
  cell: string,
  at: string,
  instruction: number,
): CellTouch => ({
  map,
  cell,
  op: "lookup",
  result: "hit",
  writes: false,
  at: { function: at, instruction },
});

/** A packet that wants an entry for each key in turn; the last one is refused. */
function refused(keys: readonly string[]): string {
  const taken = notes();
  for (const key of keys) taken.touch(touch("entries", key, "main", 1));
  taken.touch(touch("chain", "00000000", "allocate", 0));
  return taken.room;
}

test("refused at another key is other room", () => {
  equal(refused(["08"]), refused(["08"]));
  equal(refused(["08", "10"]), refused(["10", "08"]));
  // One run had the first entry and refused the second; the other refused the first.
  notEqual(refused(["08", "10"]), refused(["08"]));
  notEqual(refused(["08"]), notes().room);
});

test("what was not refused is not told apart by its keys", () => {
  const one = notes();
  one.touch(touch("entries", "08", "main", 1));
  equal(one.room, notes().room);
});
