/** The journal: on disk before the change, replayed from any prefix of its bytes. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { UnsupportedError } from "../base/index.ts";
import {
  bootId,
  Journal,
  unfinishedTransactions,
  type Undo,
} from "./journal.ts";
import { processStart } from "./processes.ts";

const scratch = mkdtempSync(join(tmpdir(), "divisi-journal-"));
after(() => {
  rmSync(scratch, { recursive: true, force: true });
});
const files = (...names: readonly string[]): Undo[] =>
  names.map((path) => ({ kind: "file", path }));

function journalTest(
  name: string,
  body: (folder: string, path: string) => Promise<void>,
): void {
  void test(name, async (t) => {
    const folder = mkdtempSync(join(scratch, "state-"));
    try {
      await body(folder, join(folder, "journal"));
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    }
  });
}

journalTest("a change is on disk when `will` returns", async (folder, path) => {
  const journal = await Journal.open(folder);
  const transaction = journal.begin("attach x");
  for (const undo of files("/a", "/b")) {
    transaction.will(undo);
    ok(
      readFileSync(path, "utf8").endsWith(
        `${JSON.stringify({ id: 1, undo })}\n`,
      ),
    );
  }
  const [found] = unfinishedTransactions(folder);
  deepEqual(
    [found?.what, found?.pid, found?.isAlive, found?.undos],
    ["attach x", process.pid, true, files("/a", "/b")],
  );
  transaction.end();
  equal(readFileSync(path, "utf8"), "");
  journal.close();
});

journalTest(
  "every prefix of the file replays to the changes it holds whole",
  async (folder, path) => {
    const journal = await Journal.open(folder);
    const one = journal.begin("attach one");
    for (const undo of files("/a", "/b")) one.will(undo);
    const two = journal.begin("attach two");
    for (const undo of files("/c")) two.will(undo);
    one.end();
    const text = readFileSync(path, "utf8");
    journal.close();
    for (let length = 0; length <= text.length; length++) {
      writeFileSync(path, text.slice(0, length));
      const lines = text.slice(0, length).split("\n").length - 1;
      const names = (await replayed(folder)).map(
        ({ what, undos }) => `${what} ${undos.length}`,
      );
      // prettier-ignore
      const want = [[], ["attach one 0"], ["attach one 1"], ["attach one 2"], ["attach one 2", "attach two 0"], ["attach one 2", "attach two 1"], ["attach two 1"]];
      deepEqual(names, want[lines], `${length} bytes`);
    }
  },
);

async function replayed(folder: string) {
  const journal = await Journal.open(folder);
  const { unfinished } = journal;
  journal.close();
  return unfinished;
}

journalTest(
  "an unfinished line does not swallow the next one",
  async (folder, path) => {
    const line = {
      id: 4,
      begin: "attach y",
      pid: 1,
      started: "0",
      boot: bootId(),
    };
    writeFileSync(path, `${JSON.stringify(line)}\n{"id":4,"undo":{"kind":"fi`);
    const journal = await Journal.open(folder);
    const transaction = journal.begin("attach z");
    equal(transaction.id, 5);
    deepEqual(
      unfinishedTransactions(folder).map(({ what, isAlive }) => [
        what,
        isAlive,
      ]),
      [
        ["attach y", false],
        ["attach z", true],
      ],
    );
    journal.end(4);
    transaction.end();
    journal.close();
    equal(readFileSync(path, "utf8"), "");
  },
);

journalTest(
  "lines from before a restart of the machine count for nothing",
  async (folder, path) => {
    const line = {
      id: 1,
      begin: "attach y",
      pid: process.pid,
      started: processStart(process.pid),
      boot: "another",
    };
    writeFileSync(path, `${JSON.stringify(line)}\n`);
    appendFileSync(
      path,
      `${JSON.stringify({ id: 1, undo: files("/a")[0] })}\n`,
    );
    deepEqual(await replayed(folder), []);
  },
);

journalTest("a line that is none names its place", async (folder, path) => {
  for (const bad of ["[]", "{}", '{"id":"1"}', "\0\0\0", "nothing"]) {
    writeFileSync(path, `{"id":1,"end":true}\n${bad}\n{"id":2,"end":true}\n`);
    await rejects(Journal.open(folder), {
      name: "InputError",
      line: 2,
      file: path,
    });
  }
});

journalTest("one process at a time", async (folder) => {
  const journal = await Journal.open(folder);
  await rejects(Journal.open(folder, { waitMs: 60 }), {
    name: "UnsupportedError",
    message: "another divisi is changing this machine's network set-up",
  });
  const waiting = Journal.open(folder);
  journal.close();
  (await waiting).close();
});
