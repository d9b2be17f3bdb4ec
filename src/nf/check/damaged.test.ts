/**
 * Fuzz law: whatever is in a file, loading and checking it answers diagnostics or
 * an InputError, in bounded time. The programs are those of the suite and of the
 * diagnostics, with some of their words lost, doubled, swapped or strange.
 */
import { ok } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { InputError, Random } from "../../base/index.ts";
import { loadNf } from "../front/load.ts";
import { checkNf } from "./check.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 77);
const rounds = Number(process.env["DIVISI_ROUNDS"] ?? 40);
const root = join(import.meta.dirname, "../../..");
const files = ["nfs/ts", "testdata/nf/diagnostics"].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(root, folder, name)),
);

// prettier-ignore
const strange = ["undefined", "ctx", "pkt", "ctx.state", "(", "{", "=>", "5n", "0", "...", "?.", "[0]", "this", "null", "await", "async", "`${x}`", "new", "/", "class X {}", "return", "const", "let {a} =", "=", "+=", ";", "as any", "!"];

function damaged(text: string, random: Random): string {
  const words = text.match(/\s+|[\w$.]+|"[^"]*"|[^\s\w]/g) ?? [];
  for (let count = 1 + random.below(3); count > 0; count--) {
    const [at, other] = [
      random.below(words.length),
      random.below(words.length),
    ];
    switch (random.below(5)) {
      case 0:
        words.splice(at, 1 + random.below(3));
        break;
      case 1:
        words[at] = words[other] ?? "";
        break;
      case 2:
        words.splice(at, 0, ` ${random.pick(strange)} `);
        break;
      case 3:
        [words[at], words[other]] = [words[other] ?? "", words[at] ?? ""];
        break;
      default:
        words[at] = random.pick(strange);
    }
  }
  return words.join("");
}

test(`damaged programs are answered (seed ${seed}, ${rounds} rounds)`, async () => {
  const random = new Random(seed);
  let wrong = 0;
  for (let round = 0; round < rounds; round++) {
    const path = random.pick(files);
    const text = damaged(readFileSync(path, "utf8"), random);
    const read = (name: string): string | undefined => {
      if (name === path) return text;
      return existsSync(name) ? readFileSync(name, "utf8") : undefined;
    };
    try {
      const checked = checkNf(await loadNf({ path, read }), { steps: 50_000 });
      if (!checked.isCorrect) wrong++;
    } catch (error) {
      if (!(error instanceof InputError))
        throw new Error(`${path}:\n${text}`, { cause: error });
      wrong++;
    }
  }
  ok(wrong > rounds / 3, `${wrong} of ${rounds} were found to be wrong`);
});
