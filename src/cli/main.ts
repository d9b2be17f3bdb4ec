#!/usr/bin/env node
/**
 * The executable: runs command-line.ts as a child process and turns every way in
 * which a process can die into an exit code of the contract. Running out of
 * memory or a crash in native code kills a process without asking; only a parent
 * can report it.
 *
 * Exit: the child's own code where it is one of the contract, 70 and a report
 * file otherwise; 128 + N where the user's signal N ended it.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";
import { decodeExit } from "./exit-code.ts";
import { writeReport } from "./report-file.ts";

const fromUser = ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const;

// A compile is over before optimised code pays: making it takes a third of the time. An
// analysis mostly is too; a long one is optimised, later than usual.
const engineFlags: Readonly<Record<string, readonly string[]>> = {
  build: ["--no-opt", "--max-semi-space-size=64"],
  analyze: ["--interrupt-budget=1000000", "--max-semi-space-size=64"],
};

const child = spawn(
  process.execPath,
  [
    ...(engineFlags[process.argv[2] ?? ""] ?? []),
    ...process.execArgv,
    new URL("./command-line.js", import.meta.url).pathname,
    ...process.argv.slice(2),
  ],
  {
    stdio: "inherit",
    // Commands that hold something in the kernel die with this process.
    env: { ...process.env, DIVISI_SUPERVISOR: String(process.pid) },
  },
);

// The terminal sends its signals to both; a signal sent to us alone goes on.
for (const signal of fromUser) process.on(signal, () => child.kill(signal));

child.on("error", (error) => {
  process.exitCode = 70;
  process.stderr.write(
    `${writeReport({ title: `cannot start: ${error.message}`, detail: error.stack ?? "" })}\n`,
  );
});

child.on("exit", (code, signal) => {
  const decided = code === null ? undefined : decodeExit(code);
  if (decided !== undefined) {
    process.exitCode = decided;
    return;
  }
  if (signal !== null && fromUser.some((name) => name === signal)) {
    process.exitCode = 128 + constants.signals[signal];
    return;
  }
  const died =
    signal === "SIGABRT" || code === 134
      ? "out of memory, or aborted"
      : `ended unexpectedly (${signal ?? `code ${code}`})`;
  process.exitCode = 70;
  const text = writeReport({ title: died, detail: "" });
  process.stderr.write(`${text}\n`);
  if (process.argv.includes("--json") || process.argv.includes("-j"))
    process.stdout.write(
      `${JSON.stringify({ schema: "divisi.error/1", error: { code: "bug", exit: 70, text: died } })}\n`,
    );
});
