export type { Conjunct, LinearForm, Requirement } from "./requirement.ts";
