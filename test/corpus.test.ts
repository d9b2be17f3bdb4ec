/**
 * Real objects through the whole reading side: every object of the corpus is read,
 * printed, lifted, analysed and written back, and none may fail.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { lift, parseIr, printIr, verifyIr } from "#ir";
import { parseFunction, printFunction } from "#isa";
import { normalise, programSpec, readObject, writeObject } from "#object";
import type { ObjectSpec } from "#object";
import { corpusObjects, unlistedSamples } from "./corpus.ts";

const corpus = corpusObjects().map(({ name, path }) => ({
  name,
  object: readObject(readFileSync(path), name),
}));

/** Entries of a type that we lift; docs/decisions/0007-corpus.md argues the others. */
function entries(object: ObjectSpec): string[] {
  return object.programs
    .filter(({ type }) => type !== undefined)
    .map(({ name }) => name);
}

test("the corpus is the packages' objects and every XDP sample", () => {
  deepEqual(unlistedSamples(), []);
  ok(corpus.length >= 29, `${corpus.length} objects`);
  const programs = corpus.flatMap(({ object }) => entries(object));
  ok(programs.length >= 40, `${programs.length} programs`);
  const untyped = corpus.flatMap(({ object }) =>
    object.programs.filter(({ type }) => type === undefined),
  );
  deepEqual(
    untyped.filter(({ section }) => !/^(tp_btf|fentry|fexit)\//.test(section)),
    [],
  );
});

for (const { name, object } of corpus) {
  test(`${name}: printed functions parse back`, () => {
    for (const fn of object.functions) {
      const text = printFunction(fn);
      ok(text.split("\n").length > fn.instructions.length);
      equal(printFunction(parseFunction(text)), text);
    }
  });

  test(`${name}: lifts to a program that verifies and prints`, () => {
    for (const entry of entries(object)) {
      const ir = lift(programSpec(object, { entry }));
      deepEqual(verifyIr(ir), [], entry);
      equal(printIr(parseIr(printIr(ir))), printIr(ir), entry);
    }
  });

  test(`${name}: written back it is the same object`, () => {
    const { notes, ...again } = readObject(writeObject(object), name);
    const { notes: before, ...want } = normalise(object);
    deepEqual(again, want, `${notes.length} and ${before.length} notes`);
  });
}
