/**
 * The rules of the subset: a stable code, what is wrong, and what to write
 * instead. `{name}` is filled in by who finds the fault. Every code has a golden
 * example under `testdata/nf/diagnostics`.
 */
export interface Rule {
  readonly message: string;
  readonly fix: string;
}

// prettier-ignore
export const rules = {
  // Statements
  "nf-var": { message: "`var` is seen outside of its block", fix: "`const`, or `let` where it changes" },
  "nf-while": { message: "a `{kind}` loop says nothing about how often it runs", fix: "for (let i = 0; i < LIMIT; i++) { if (done) break; … }" },
  "nf-for-in": { message: "`for … in` goes over names, which a compiled program does not have", fix: "for (let i = 0; i < COUNT; i++), or one statement for each field" },
  "nf-for-of": { message: "`for … of` needs an iterator, which a compiled program does not have", fix: "for (let i = 0; i < COUNT; i++) { const item = items[i]; … }" },
  "nf-throw": { message: "a packet handler cannot throw", fix: "return a verdict, such as `drop` or `aborted`" },
  "nf-try": { message: "nothing in a packet handler throws, so there is nothing to catch", fix: "only the statements inside `try`" },
  "nf-async": { message: "a packet is handled from start to end, so nothing can be awaited", fix: "an ordinary function, without `async` and `await`" },
  "nf-generator": { message: "generators need a stack that outlives the packet", fix: "an ordinary function that returns once" },
  "nf-fallthrough": { message: "this case runs on into the next one", fix: "`break;` or `return` at its end" },
  "nf-label": { message: "labels are not in the subset", fix: "a helper function with `return`, or `break` of the innermost loop" },
  "nf-statement": { message: "this statement is not in the subset", fix: "`const`, `let`, an assignment, a call, `if`, `switch`, `for`, `break`, `continue` or `return`" },
  "nf-expression-statement": { message: "this expression has no effect as a statement", fix: "an assignment or a call; or leave it out" },
  // Declarations
  "nf-class": { message: "classes are not in the subset", fix: "a `struct` for the data, and functions that take it" },
  "nf-enum": { message: "enums are not in the subset", fix: "constants: const closed = 0, open = 1" },
  "nf-namespace": { message: "namespaces are not in the subset", fix: "another file, and `import`" },
  "nf-decorator": { message: "decorators are not in the subset", fix: "a plain declaration" },
  "nf-closure": { message: "a function inside a function would have to remember its variables", fix: "a function at the top of the file, with what it needs as parameters" },
  "nf-rest": { message: "the number of parameters must be fixed", fix: "one name for each parameter" },
  "nf-default-parameter": { message: "parameters with defaults are not in the subset", fix: "the value at every call" },
  "nf-destructuring": { message: "only `const { a, b } = OBJECT` can be taken apart", fix: "one `const` for each part" },
  "nf-module-let": { message: "a variable of the file would be shared by all packets, which only declared state may be", fix: "`const`; or a declaration in `state`, such as array({ value: u32, capacity: 1 })" },
  "nf-module-statement": { message: "at the top of a file only imports, constants, types and functions can stand", fix: "the statement inside `handle`, or a constant" },
  "nf-map-outside": { message: "state can only be declared in `state`, where it gets its name", fix: "state: (config) => ({ {name}: {call} }), and `ctx.state.{name}` where it is used" },
  "nf-map-name": { message: "two maps would be called `{name}`: this one and {other}", fix: "another name than `{state}`" },
  "nf-state-variable": { message: "a declaration of state must be known to the compiler wherever it is used", fix: "its name: const { flows } = ctx.state; no `let`, no choice between two" },
  "nf-recursion": { message: "`{name}` calls itself, so its depth is not known", fix: "a bounded `for` loop" },
  // Expressions
  "nf-new": { message: "nothing can be made with `new` while a packet is handled", fix: "a struct value, or a declaration in `state`" },
  "nf-this": { message: "`this` has no meaning in a network function", fix: "`ctx.state` and `ctx.config`" },
  "nf-spread": { message: "spread is not in the subset", fix: "the fields written out" },
  "nf-any": { message: "`any` hides what is needed to know the size of a value", fix: "the type, such as `number`, `bigint` or `Ipv4Header`" },
  "nf-cast": { message: "a type assertion changes what TypeScript believes, not what the value is", fix: "a test (`if (x === undefined) return drop;`) or a narrowing such as u16(x)" },
  "nf-non-null": { message: "`!` does not test anything: the header may be absent", fix: "if ({text} === undefined) return drop;" },
  "nf-string": { message: "there are no strings while a packet is handled", fix: "numbers: a constant with a name for each text" },
  "nf-regex": { message: "there are no regular expressions while a packet is handled", fix: "comparisons of bytes: pkt.u8(i) === 0x47" },
  "nf-float": { message: "{text} is no integer, and BPF has no other numbers", fix: "an integer, in a smaller unit: 1_500_000n nanoseconds for 1.5 ms" },
  "nf-null": { message: "`null` is not in the subset", fix: "`undefined`" },
  "nf-array": { message: "an array cannot be made while a packet is handled", fix: "a constant at the top of the file, or a `vector` field of a struct" },
  "nf-optional-chain": { message: "`?.` is not in the subset", fix: "if ({text} === undefined) return drop;" },
  "nf-nullish": { message: "`{operator}` is not in the subset", fix: "x === undefined ? y : x" },
  "nf-operator": { message: "`{operator}` is not in the subset", fix: "{instead}" },
  "nf-loose-equality": { message: "`{operator}` converts before it compares", fix: "`{operator}=`" },
  "nf-increment": { message: "`{operator}` inside an expression is easily misread", fix: "a statement of its own before or after" },
  "nf-computed-property": { message: "a member must be named in the program, not computed", fix: "value.name; or a `vector` field, indexed by a number" },
  "nf-object-member": { message: "an object here has plain fields only", fix: "name: value" },
  "nf-global": { message: "`{name}` does not exist while a packet is handled", fix: "{instead}" },
  "nf-unknown-name": { message: "there is no `{name}`", fix: "{instead}" },
  "nf-unknown-module": { message: "`{name}` cannot be found: only divisi/nf and files of your own can be imported", fix: "{instead}" },
  "nf-call": { message: "`{name}` cannot be used while a packet is handled", fix: "a function of this file or an imported one; or what divisi/nf offers for it" },
  "nf-identity": { message: "comparing two objects asks whether they are the same object, not whether they are equal", fix: "a comparison of each field" },
  // Numbers
  "nf-number-division": { message: "`/` of numbers gives a fraction", fix: "div({leftPlain}, {rightPlain}), or Math.trunc({left} / {right})" },
  "nf-division-by-zero": { message: "the divisor may be 0 (it is {range})", fix: "if ({right} {test}) return drop; before it" },
  "nf-signed-shift": { message: "`>>` reads bit 31 as a sign, and the value is {range}", fix: "{instead}" },
  "nf-bigint-shift": { message: "`>>>` does not exist for bigints", fix: "{left} >> {right}" },
  "nf-product": { message: "the product may be {range}: numbers are exact below 2^53 only", fix: "mul32({leftPlain}, {rightPlain}) for its low 32 bits, or u64({leftPlain}) * u64({rightPlain})" },
  "nf-sum": { message: "the result may be {range}: numbers are exact below 2^53 only", fix: "u64({leftPlain}) {operator} u64({rightPlain}), or u32(…) around the operands first" },
  "nf-bigint-range": { message: "the result may be {range}, which no 64-bit integer holds", fix: "u64({text}), which is modulo 2^64; or a test of the operands before" },
  "nf-shift-count": { message: "the shift count is {range}; it must be from 0 to {most}", fix: "{instead}" },
  "nf-mixed": { message: "numbers (up to 32 bits) and bigints (64 bits) do not mix", fix: "u64(n) makes a number a bigint; u32(b) makes a bigint a number" },
  "nf-range": { message: "{what} holds {type} ({wanted}), but the value is {range}", fix: "{fix}" },
  "nf-compare-range": { message: "{left} is {wanted}, so comparing it with {right} always gives the same answer", fix: "a constant in that range" },
  "nf-index": { message: "the index is {range}; it must be from 0 to {most}", fix: "if ({text} > {most}) return drop; before it, or {text} % {count}" },
  // Headers, state, functions
  "nf-unnarrowed": { message: "{what} may be undefined: the header or entry may not be there", fix: "if ({text} === undefined) return drop; before it" },
  "nf-stale": { message: "this reference is from before an operation that may insert into or delete from its map, so it may be of another entry", fix: "the look-up again behind that operation, or what you need of it in a `const` before" },
  "nf-struct-assignment": { message: "`{name}` is a whole struct in state: JavaScript would share it, and a map can only hold a copy", fix: "each field by itself: {name}.FIELD = …" },
  "nf-no-ports": { message: "`{name}` speaks of ports, and this program declares none", fix: 'ports: ["lan", "wan"], behind the name' },
  "nf-read-only": { message: "`{name}` cannot be assigned", fix: "{instead}" },
  "nf-missing-return": { message: "a path through {name} ends without a value", fix: "return drop; (or another value) at its end" },
  "nf-loop-bound": { message: "this loop is not proved to end within {most} rounds", fix: "for (let i = 0; i < LIMIT; i++) with a constant LIMIT, and `break` where it is done" },
  "nf-too-complex": { message: "following this function through all its calls and loops takes too long", fix: "smaller bounds of the loops, or fewer nested ones" },
  "nf-typescript": { message: "{text}", fix: "" },
  // Of the definition; found by the front end
  "nf-no-definition": { message: "the file does not export a network function", fix: "export default nf({ name, state, handle(pkt, ctx) { … } })" },
  "nf-definition": { message: "the definition is not complete", fix: "nf({ name, ports, config, state, handle })" },
  "nf-declaration": { message: "the library refuses the declaration", fix: "" },
  "nf-not-constant": { message: "this must be known before any packet", fix: "literals, arithmetic on them, other constants and calls of divisi/nf" },
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleCode = keyof typeof rules;

export function fill(
  template: string,
  details: Readonly<Record<string, string>>,
): string {
  return template.replace(
    /\{(\w+)\}/g,
    (whole, name: string) => details[name] ?? whole,
  );
}

/** An interval in words: `5`, `0 … 255`, `0 … 2^64 − 1`. */
export function printRange({
  low,
  high,
}: {
  readonly low: bigint;
  readonly high: bigint;
}): string {
  return low === high
    ? printInteger(low)
    : `${printInteger(low)} … ${printInteger(high)}`;
}

function printInteger(value: bigint): string {
  const size = value < 0n ? -value : value;
  const sign = value < 0n ? "−" : "";
  if (size < 100_000n) return `${sign}${size}`;
  for (const [offset, text] of [
    [0n, ""],
    [-1n, " − 1"],
    [1n, " + 1"],
  ] as const) {
    const whole = size - offset;
    const bits = whole.toString(2).length - 1;
    if (whole === 1n << BigInt(bits))
      return sign === "" || text === ""
        ? `${sign}2^${bits}${text}`
        : `−(2^${bits}${text})`;
  }
  return `${sign}${size}`;
}
