export { commands, commonFlags } from "./commands.ts";
export { completion, manPage, referencePage } from "./manual.ts";
export type { Command, Flag } from "./command.ts";
