// A small seeded random generator (sfc32), so that a market can be repeated. Not for secrets.

export class Random {
  #a;
  #b;
  #c;
  #counter = 1;

  constructor(seed) {
    [this.#a, this.#b, this.#c] = [seed | 0, (seed / 2 ** 32) | 0, 0x9e3779b9];
    for (let i = 0; i < 20; i++) this.#next(); // mixes a small seed into all of the state
  }

  /** Uniform in [0, 1). */
  unit() {
    return this.#next() / 2 ** 32;
  }

  between(low, high) {
    return low + (high - low) * this.unit();
  }

  /** As likely to fall between 1 and 2 as between 2 and 4. */
  logBetween(low, high) {
    return Math.exp(this.between(Math.log(low), Math.log(high)));
  }

  /** Waiting time until the next event of a Poisson process. */
  exponential(mean) {
    return -mean * Math.log(1 - this.unit());
  }

  /** Standard normal (Box-Muller; the second value is dropped for simplicity). */
  normal() {
    return Math.sqrt(this.exponential(2)) * Math.cos(2 * Math.PI * this.unit());
  }

  chance(probability) {
    return this.unit() < probability;
  }

  pick(items) {
    return items[Math.floor(this.unit() * items.length)];
  }

  /** The same in another order. */
  shuffle(items) {
    const keyed = items.map((item) => [this.unit(), item]);
    return keyed.sort(([one], [other]) => one - other).map(([, item]) => item);
  }

  #next() {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }
}
