import { equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { CellTouch } from "../interp/index.ts";
import { Ownership } from "./ownership.ts";

const touch = (cell: string, map = "flows"): CellTouch => ({
  map,
  cell,
  op: "lookup",
  result: "hit",
  writes: true,
  at: { function: "f", instruction: 1 },
});

test("a cell touched under two steering inputs has one owner only if they share a core", () => {
  const ownership = new Ownership(new Set(["flows"]));
  ownership.touch(touch("0a"), 1, 0);
  ownership.touch(touch("0a"), 2, 1);
  ownership.touch(touch("0b"), 3, 2);
  equal(ownership.cells, 2);
  equal(ownership.contested, 1);
  equal(
    ownership.hasConflict(() => 0),
    false,
  );
  equal(
    ownership.hasConflict((input) => input % 2),
    true,
  );
  equal(
    ownership.hasConflict((input) => (input === 3 ? 1 : 0)),
    false,
  );
  match(
    ownership.conflicts((input) => input).first[0]?.text ?? "",
    /^flows\[0a\] is touched from core 1 and core 2$/,
  );
});

test("objects that are not sharded have no owner", () => {
  const ownership = new Ownership(new Set(["flows"]));
  ownership.touch(touch("0a", "other"), 1, 0);
  ownership.touch(touch("0a", "other"), 2, 1);
  equal(ownership.cells, 0);
  equal(
    ownership.hasConflict((input) => input),
    false,
  );
});
