/** How a program's run ends badly: thrown through compiled code, to the packet loop. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  readonly site: number;

  constructor(text: string, site: number) {
    super(text);
    this.site = site;
  }
}

// By number, as codegen's faultNumber has them.
export const faultTexts = [
  "",
  "access outside memory",
  "budget of loops used up",
  "misaligned atomic access",
  "call of what is no function",
  "lock taken twice",
  "lock is not held",
  "lock is held by nobody who gives it back",
  "no map",
];
