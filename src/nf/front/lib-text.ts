/**
 * The part of JavaScript's global types that a network function or the library
 * may meet, by hand: the standard ones cost 0.3 s to read, this costs nothing.
 * Things outside the subset that people reach for (`Math.random`, `console`) are
 * declared, so that our own rule speaks about them and not TypeScript.
 */
// prettier-ignore
export const libText = `
interface Object { constructor: Function; toString(): string; valueOf(): Object }
interface ObjectConstructor {
  keys(o: object): string[];
  values<T>(o: { readonly [s: string]: T }): T[];
  entries<T>(o: { readonly [s: string]: T }): [string, T][];
  entries(o: object): [string, unknown][];
  fromEntries<T>(entries: Iterable<readonly [PropertyKey, T]>): { [k: string]: T };
  assign<T extends object, U>(target: T, source: U): T & U;
  assign(target: object, ...sources: unknown[]): unknown;
  freeze<T>(o: T): Readonly<T>;
  defineProperty<T>(o: T, name: PropertyKey, attributes: object): T;
  defineProperties<T>(o: T, attributes: object): T;
  create(o: object | null): any;
  getPrototypeOf(o: unknown): any;
  is(a: unknown, b: unknown): boolean;
  hasOwn(o: object, name: PropertyKey): boolean;
}
declare var Object: ObjectConstructor;
interface Function { readonly name: string; readonly length: number; apply(this: Function, self: any, args?: any): any; call(this: Function, self: any, ...args: any[]): any; bind(this: Function, self: any, ...args: any[]): any }
interface FunctionConstructor { new (...args: string[]): Function }
declare var Function: FunctionConstructor;
interface CallableFunction extends Function {}
interface NewableFunction extends Function {}
interface IArguments { [index: number]: unknown; length: number }
interface Boolean { valueOf(): boolean }
interface BooleanConstructor { (value?: unknown): boolean }
declare var Boolean: BooleanConstructor;
interface Number { toString(radix?: number): string; toFixed(digits?: number): string; valueOf(): number }
interface NumberConstructor { (value?: unknown): number; readonly MAX_SAFE_INTEGER: number; readonly MIN_SAFE_INTEGER: number; isInteger(x: unknown): boolean; isSafeInteger(x: unknown): boolean; isFinite(x: unknown): boolean; parseInt(s: string, radix?: number): number }
declare var Number: NumberConstructor;
interface BigInt { toString(radix?: number): string; valueOf(): bigint }
interface BigIntConstructor { (value: bigint | boolean | number | string): bigint; asIntN(bits: number, value: bigint): bigint; asUintN(bits: number, value: bigint): bigint }
declare var BigInt: BigIntConstructor;
interface String {
  readonly length: number; readonly [index: number]: string;
  charCodeAt(i: number): number; codePointAt(i: number): number | undefined; slice(start?: number, end?: number): string; split(separator: string): string[];
  padStart(n: number, fill?: string): string; padEnd(n: number, fill?: string): string; replaceAll(from: string, to: string): string; replace(from: string, to: string): string;
  includes(s: string): boolean; startsWith(s: string): boolean; endsWith(s: string): boolean; indexOf(s: string): number; toLowerCase(): string; toUpperCase(): string; trim(): string; repeat(n: number): string;
  toString(): string; [Symbol.iterator](): IterableIterator<string>;
}
interface StringConstructor { (value?: unknown): string; fromCharCode(...codes: number[]): string }
declare var String: StringConstructor;
interface RegExp { test(s: string): boolean; exec(s: string): string[] | null }
interface Symbol { readonly description: string | undefined }
interface SymbolConstructor { readonly iterator: unique symbol; (description?: string): symbol }
declare var Symbol: SymbolConstructor;
interface Error { name: string; message: string; stack?: string }
interface ErrorConstructor { new (message?: string, options?: { cause?: unknown }): Error; (message?: string): Error }
declare var Error: ErrorConstructor;
interface RangeError extends Error {}
interface RangeErrorConstructor { new (message?: string): RangeError }
declare var RangeError: RangeErrorConstructor;
interface TypeError extends Error {}
interface TypeErrorConstructor { new (message?: string): TypeError }
declare var TypeError: TypeErrorConstructor;
type PropertyKey = string | number | symbol;
type TemplateStringsArray = readonly string[] & { readonly raw: readonly string[] };
type Partial<T> = { [P in keyof T]?: T[P] };
type Required<T> = { [P in keyof T]-?: T[P] };
type Readonly<T> = { readonly [P in keyof T]: T[P] };
type Pick<T, K extends keyof T> = { [P in K]: T[P] };
type Record<K extends PropertyKey, T> = { [P in K]: T };
type Exclude<T, U> = T extends U ? never : T;
type Extract<T, U> = T extends U ? T : never;
type Omit<T, K extends PropertyKey> = Pick<T, Exclude<keyof T, K>>;
type NonNullable<T> = T & {};
type Parameters<T extends (...args: any) => any> = T extends (...args: infer P) => any ? P : never;
type ReturnType<T extends (...args: any) => any> = T extends (...args: any) => infer R ? R : any;
type ConstructorParameters<T extends abstract new (...args: any) => any> = T extends abstract new (...args: infer P) => any ? P : never;
type InstanceType<T extends abstract new (...args: any) => any> = T extends abstract new (...args: any) => infer R ? R : any;
type Awaited<T> = T extends Promise<infer U> ? U : T;
type Uppercase<S extends string> = intrinsic;
type Lowercase<S extends string> = intrinsic;
type NoInfer<T> = intrinsic;
interface ThisType<T> {}
interface IteratorYieldResult<T> { done?: false; value: T }
interface IteratorReturnResult<T> { done: true; value: T }
type IteratorResult<T, R = any> = IteratorYieldResult<T> | IteratorReturnResult<R>;
interface Iterator<T, R = any, N = any> { next(...args: [] | [N]): IteratorResult<T, R> }
interface Iterable<T, R = any, N = any> { [Symbol.iterator](): Iterator<T, R, N> }
interface IterableIterator<T, R = any, N = any> extends Iterator<T, R, N> { [Symbol.iterator](): IterableIterator<T, R, N> }
interface Generator<T = unknown, R = any, N = any> extends IterableIterator<T, R, N> {}
interface ConcatArray<T> { readonly length: number; readonly [n: number]: T }
interface ReadonlyArray<T> {
  readonly length: number; readonly [n: number]: T;
  map<U>(f: (value: T, index: number, array: readonly T[]) => U): U[]; filter<S extends T>(f: (value: T, index: number) => value is S): S[]; filter(f: (value: T, index: number) => unknown): T[];
  flatMap<U>(f: (value: T, index: number) => U | readonly U[]): U[]; forEach(f: (value: T, index: number) => void): void; find(f: (value: T, index: number) => unknown): T | undefined;
  findIndex(f: (value: T, index: number) => unknown): number; some(f: (value: T, index: number) => unknown): boolean; every(f: (value: T, index: number) => unknown): boolean;
  reduce<U>(f: (sum: U, value: T, index: number) => U, start: U): U; reduce(f: (sum: T, value: T, index: number) => T): T; indexOf(value: T): number; includes(value: T): boolean; join(separator?: string): string;
  slice(start?: number, end?: number): T[]; concat(...items: (T | readonly T[])[]): T[]; at(i: number): T | undefined;
  entries(): IterableIterator<[number, T]>; keys(): IterableIterator<number>; values(): IterableIterator<T>; [Symbol.iterator](): IterableIterator<T>;
}
interface Array<T> extends ReadonlyArray<T> {
  length: number; [n: number]: T;
  map<U>(f: (value: T, index: number, array: T[]) => U): U[];
  push(...items: T[]): number; pop(): T | undefined; shift(): T | undefined; unshift(...items: T[]): number; splice(start: number, count?: number, ...items: T[]): T[];
  sort(compare?: (a: T, b: T) => number): T[]; reverse(): T[]; fill(value: T, start?: number, end?: number): T[];
}
interface ArrayConstructor { isArray(value: unknown): value is unknown[]; from<T>(items: Iterable<T> | ArrayLike<T>): T[]; from<T, U>(items: Iterable<T> | ArrayLike<T>, f: (value: T, index: number) => U): U[]; of<T>(...items: T[]): T[]; new <T>(length?: number): T[]; <T>(length?: number): T[] }
declare var Array: ArrayConstructor;
interface ArrayLike<T> { readonly length: number; readonly [n: number]: T }
interface PromiseLike<T> { then<U>(f: (value: T) => U | PromiseLike<U>): PromiseLike<U> }
interface Promise<T> { then<U>(f: (value: T) => U | PromiseLike<U>): Promise<U> }
interface PromiseConstructor { new <T>(f: (resolve: (value: T) => void) => void): Promise<T>; resolve<T>(value: T): Promise<T> }
declare var Promise: PromiseConstructor;
interface Map<K, V> { readonly size: number; get(key: K): V | undefined; has(key: K): boolean; set(key: K, value: V): this; delete(key: K): boolean; clear(): void; forEach(f: (value: V, key: K) => void): void; entries(): IterableIterator<[K, V]>; keys(): IterableIterator<K>; values(): IterableIterator<V>; [Symbol.iterator](): IterableIterator<[K, V]> }
interface ReadonlyMap<K, V> { readonly size: number; get(key: K): V | undefined; has(key: K): boolean; forEach(f: (value: V, key: K) => void): void; entries(): IterableIterator<[K, V]>; keys(): IterableIterator<K>; values(): IterableIterator<V>; [Symbol.iterator](): IterableIterator<[K, V]> }
interface MapConstructor { new <K = any, V = any>(entries?: Iterable<readonly [K, V]> | null): Map<K, V> }
declare var Map: MapConstructor;
interface WeakMap<K extends object, V> { get(key: K): V | undefined; has(key: K): boolean; set(key: K, value: V): this; delete(key: K): boolean }
interface WeakMapConstructor { new <K extends object = any, V = any>(): WeakMap<K, V> }
declare var WeakMap: WeakMapConstructor;
interface Set<T> { readonly size: number; has(value: T): boolean; add(value: T): this; delete(value: T): boolean; clear(): void; values(): IterableIterator<T>; [Symbol.iterator](): IterableIterator<T> }
interface ReadonlySet<T> { readonly size: number; has(value: T): boolean; values(): IterableIterator<T>; [Symbol.iterator](): IterableIterator<T> }
interface SetConstructor { new <T = any>(items?: Iterable<T> | null): Set<T> }
declare var Set: SetConstructor;
interface ArrayBufferLike { readonly byteLength: number }
interface ArrayBuffer extends ArrayBufferLike {}
interface ArrayBufferConstructor { new (length: number): ArrayBuffer }
declare var ArrayBuffer: ArrayBufferConstructor;
interface Uint8Array<B = ArrayBufferLike> { readonly length: number; readonly byteLength: number; readonly byteOffset: number; readonly buffer: B; [n: number]: number; slice(start?: number, end?: number): Uint8Array; subarray(start?: number, end?: number): Uint8Array; set(from: ArrayLike<number>, at?: number): void; fill(value: number, start?: number, end?: number): this; copyWithin(target: number, start: number, end?: number): this; [Symbol.iterator](): IterableIterator<number> }
interface Uint8ArrayConstructor { new (length: number): Uint8Array; new (from: Iterable<number> | ArrayLike<number>): Uint8Array; new (buffer: ArrayBufferLike, at?: number, length?: number): Uint8Array; from(items: Iterable<number> | ArrayLike<number>): Uint8Array; of(...items: number[]): Uint8Array }
declare var Uint8Array: Uint8ArrayConstructor;
interface DataView { readonly byteLength: number; getUint8(at: number): number; getUint16(at: number, little?: boolean): number; getUint32(at: number, little?: boolean): number; getBigUint64(at: number, little?: boolean): bigint; getInt8(at: number): number; getInt16(at: number, little?: boolean): number; getInt32(at: number, little?: boolean): number; getBigInt64(at: number, little?: boolean): bigint; setUint8(at: number, value: number): void; setUint16(at: number, value: number, little?: boolean): void; setUint32(at: number, value: number, little?: boolean): void; setBigUint64(at: number, value: bigint, little?: boolean): void }
interface DataViewConstructor { new (buffer: ArrayBufferLike, at?: number, length?: number): DataView }
declare var DataView: DataViewConstructor;
interface Math { readonly PI: number; readonly E: number; abs(x: number): number; ceil(x: number): number; clz32(x: number): number; exp(x: number): number; floor(x: number): number; fround(x: number): number; imul(a: number, b: number): number; log(x: number): number; log2(x: number): number; max(...values: number[]): number; min(...values: number[]): number; pow(a: number, b: number): number; random(): number; round(x: number): number; sign(x: number): number; sqrt(x: number): number; trunc(x: number): number }
declare var Math: Math;
interface Date { getTime(): number }
interface DateConstructor { new (): Date; now(): number }
declare var Date: DateConstructor;
interface Performance { now(): number }
declare var performance: Performance;
interface Console { log(...values: unknown[]): void; error(...values: unknown[]): void; warn(...values: unknown[]): void }
declare var console: Console;
interface JSON { parse(text: string): any; stringify(value: unknown): string }
declare var JSON: JSON;
declare function parseInt(text: string, radix?: number): number;
declare function parseFloat(text: string): number;
declare function isNaN(x: number): boolean;
declare function setTimeout(f: () => void, ms: number): number;
declare var NaN: number;
declare var Infinity: number;
interface ImportMeta { readonly url: string }
`;
