/** A priority queue: a binary heap, the smallest first. */
export class Queue<T> {
  readonly #heap: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  add(item: T): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      if (above === undefined || this.#compare(above, item) <= 0) break;
      heap[at] = above;
      heap[up] = item;
      at = up;
    }
  }

  take(): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0)
      return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      const right = heap[down + 1];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && this.#compare(right, left) < 0) {
        least = right;
        down++;
      }
      if (this.#compare(last, least) <= 0) break;
      heap[at] = least;
      at = down;
    }
    heap[at] = last;
    return first;
  }
}
