/** `divisi status`: what is attached, and whether it still is as it was made. */
import {
  attachmentStatus,
  readRecords,
  stateFolder,
  unfinishedTransactions,
  type AttachmentStatus,
} from "../control/index.ts";
import { openKernel } from "../engine/index.ts";
import type { Words } from "./command.ts";
import type { Answer } from "./render.ts";

export async function status(words: Words): Promise<Answer> {
  const [only] = words.args;
  const kernel = await openKernel();
  try {
    const folder = stateFolder();
    const attachments = readRecords(folder)
      .filter(({ name }) => only === undefined || name === only)
      .map((record) => attachmentStatus(record, kernel));
    const unfinished = unfinishedTransactions(folder).map(
      ({ what, pid, isAlive }) => ({ what, pid, running: isAlive }),
    );
    const isFound = only === undefined || attachments.length > 0;
    const isHealthy = isFound && attachments.every(({ healthy }) => healthy);
    return {
      exit: isHealthy ? 0 : 1,
      json: {
        schema: "divisi.status/1",
        ...(only === undefined ? {} : { name: only, found: isFound }),
        attachments: attachments.map((each) => ({
          ...each,
          packets: each.packets?.toString() ?? "not counted",
          misdirected:
            each.misdirected?.misdirected.toString() ?? "not counted",
          ...(each.misdirected === undefined
            ? {}
            : { checked: each.misdirected.checked.toString() }),
        })),
        unfinished,
      },
      text: [
        ...(attachments.length === 0
          ? [
              only === undefined
                ? "nothing is attached"
                : `nothing called ${only} is attached`,
            ]
          : attachments.flatMap(lines)),
        ...unfinished.map(({ what, pid, running }) =>
          running
            ? `running: ${what} (process ${pid})`
            : `unfinished: ${what}; divisi undo takes it back`,
        ),
      ].join("\n"),
    };
  } finally {
    kernel.close();
  }
}

function lines(each: AttachmentStatus): string[] {
  const { program, maps } = each;
  return [
    `${each.name}: ${each.healthy ? "ok" : "not as it was attached"}, ${each.strategy} on ${each.cores} core${each.cores === 1 ? "" : "s"}, since ${each.since}`,
    `  from        ${each.directory}`,
    `  program     ${program.name}${program.id === undefined ? "" : ` (id ${program.id})`}`,
    ...each.interfaces.map(
      ({ port, name, mode, health }) =>
        `  ${port.padEnd(10)}  ${name} (${mode}): ${health}`,
    ),
    ...maps.map(
      ({ name, type, id, strategy }) =>
        `  map         ${name}: ${type}, ${strategy}${id === undefined ? "" : ` (id ${id})`}`,
    ),
    `  packets     ${each.packets ?? "not counted (sysctl kernel.bpf_stats_enabled=1 counts them)"}`,
    `  misdirected ${each.misdirected === undefined ? "not counted by this program" : `${each.misdirected.misdirected} of ${each.misdirected.checked} checked`}`,
    ...each.problems.map((problem) => `  ${problem}`),
  ];
}
