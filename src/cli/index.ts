export { commands } from "./commands.ts";
export { commonFlags } from "./flags.ts";
export { completion, manPage, referencePage } from "./manual.ts";
export type { Command, Flag } from "./command.ts";
