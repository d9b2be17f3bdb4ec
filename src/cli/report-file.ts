/**
 * The files that a bug of ours leaves behind (exit 70), so that a user can send
 * them. The report names versions, the command line and the stack; no packet, no
 * program. A packet that an engine died on lies beside it as a capture.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export interface BugReport {
  readonly title: string;
  /** Stack or log. */
  readonly detail: string;
  /** A capture that belongs to it. */
  readonly capture?: { readonly name: string; readonly bytes: Uint8Array };
}

/** Writes the files and returns the sentence that tells of them; never throws. */
export function writeReport(report: BugReport): string {
  const sentence = `divisi: a bug of ours: ${report.title}`;
  try {
    const folder = mkdtempSync(join(tmpdir(), "divisi-report-"));
    const path = join(folder, "report.txt");
    writeFileSync(
      path,
      [
        report.title,
        `command: divisi ${process.argv.slice(2).join(" ")}`,
        `node ${process.version}, ${process.platform} ${process.arch}`,
        "",
        report.detail,
        "",
      ].join("\n"),
    );
    if (report.capture === undefined) return `${sentence}\nreport: ${path}`;
    const { name, bytes } = report.capture;
    const packet = join(folder, name);
    writeFileSync(packet, bytes);
    return `${sentence}\nreport: ${path}\npacket: ${packet}`;
  } catch {
    return `${sentence}\n(no report file could be written)\n${report.detail}`;
  }
}
