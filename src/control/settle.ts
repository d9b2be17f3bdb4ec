/** The end of an upgrade, and what undoing one before its end shares with it. */
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import type { Kernel } from "../engine/index.ts";
import { readRecord, writeRecord } from "./attachment.ts";
import type { Undo } from "./journal.ts";

type UpgradeUndo = Extract<Undo, { kind: "upgrade" }>;

/**
 * The new pins take the place of the old ones, from whatever state a kill left after
 * the record was written.
 */
export function settle(
  { record: path, pins, staging }: UpgradeUndo,
  kernel: Kernel,
  step: (name: string) => void = () => undefined,
): undefined {
  const record = readRecord(path);
  if (record?.pins === staging) {
    while (kernel.pins.unmount(pins));
    step("old pins unmounted");
    if (!existsSync(pins)) mkdirSync(pins, { mode: 0o700 });
    kernel.pins.showAlso(staging, pins);
    step("new pins in their place");
    writeRecord(path, { ...record, pins });
    step("record settled");
  }
  dropStaging(staging, kernel);
}

/** Its links are pinned elsewhere too: nothing is detached. */
export function dropStaging(staging: string, { pins }: Kernel): undefined {
  while (pins.unmount(staging));
  if (existsSync(staging)) rmdirSync(staging);
}
