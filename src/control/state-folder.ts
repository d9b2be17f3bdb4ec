/** Where records and the journal are; the NIC scripts use the same folder. */
import process from "node:process";

export function stateFolder(): string {
  return process.env["DIVISI_STATE_DIR"] ?? "/run/divisi";
}
