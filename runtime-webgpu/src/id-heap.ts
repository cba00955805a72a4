/** A binary heap of things with ids, the least id on top. */
export class IdHeap<T extends { readonly id: number }> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] as T;
      if (above.id < item.id) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  /** Takes the item of the least id. */
  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && (items[child + 1] as T).id < (items[child] as T).id) child++;
      const below = items[child] as T;
      if (below.id > last.id) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return first;
  }

  /** Takes an item of a great id. */
  popLast(): T | undefined {
    return this.#items.pop();
  }

  delete(item: T): boolean {
    if (!this.#items.includes(item)) return false;
    const rest = this.#items.filter((other) => other !== item);
    this.#items.length = 0;
    for (const other of rest) this.push(other);
    return true;
  }
}
