/**
 * What the lowering answers: a program in the intermediate representation and
 * the types of its data, which is all that an object is made of.
 *
 * `program.maps` are the declared maps (section `.maps`), the device map `ports`
 * where the network function has ports, and `.rodata` with the interface numbers
 * (`NAME_ifindex`) and constant tables, where there are any. Every instruction's
 * place names the file as it was given, with line, column and text.
 */
import type { IrProgram } from "../../ir/index.ts";
import type { ProgramDataTypes } from "../../isa/index.ts";

export interface LoweredNf {
  readonly program: IrProgram;
  readonly types: ProgramDataTypes;
}
