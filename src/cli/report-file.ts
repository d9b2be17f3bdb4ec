/**
 * The file that a bug of ours leaves behind (exit 70), so that a user can send
 * it. It names versions, the command line and the stack; no packet, no program.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export interface BugReport {
  readonly title: string;
  /** Stack or log. */
  readonly detail: string;
}

/** Writes the file and returns the sentence that tells of it; never throws. */
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
    return `${sentence}\nreport: ${path}`;
  } catch {
    return `${sentence}\n(no report file could be written)\n${report.detail}`;
  }
}
