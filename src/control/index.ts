export { examine, type DoctorOptions } from "./doctor.ts";
export type { Finding } from "./finding.ts";
export { thisMachine, type Machine, type ToolAnswer } from "./machine.ts";
