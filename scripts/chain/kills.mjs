// A bot that is killed again and again: when, in which moment, and what it signed while it was alive and afterwards.

import { Transaction } from 'ethers';

import { Random } from './lib/random.mjs';

/** The moments in turn: between two trades is the one that comes by itself, the others are waited for. */
export const MOMENTS = {
  any: 'at any moment',
  unsent: 'before its transaction is with the node',
  unanswered: 'before it has the answer of the node',
  starting: 'while it starts',
};
/** A kill that waits for a transaction comes without one after this time. */
export const TRAP_PATIENCE_MS = 5000;

/**
 * When the bot is killed, drawn from the seed: [{ at, moment, delay_ms }] with `at` in seconds after the start. A kill while the
 * bot starts comes `delay_ms` milliseconds after the one before it.
 */
export function drawKills({ seed, kills, seconds }) {
  const random = new Random(seed);
  const slice = seconds / (kills + 1);
  const moments = Object.keys(MOMENTS);
  return Array.from({ length: kills }, (_, index) => ({
    at: slice * (index + random.between(0.2, 1)),
    moment: moments[index % moments.length],
    delay_ms: random.logBetween(5, 500),
  }));
}

/** All transactions that the bot's wallets signed, as the proxy saw them pass: one nonce is for one program. */
export class Signed {
  /** Called with each new transaction before the node gets it; see `startProxy`. */
  onNext = null;
  problems = [];
  resent = 0;
  #rpc;
  #executor;
  #byHash = new Map();
  #byNonce = new Map();

  constructor(rpc, executor) {
    [this.#rpc, this.#executor] = [rpc, executor.toLowerCase()];
  }

  /** Figures for the report. */
  get counts() {
    const all = [...this.#byHash.values()];
    const programs = all.filter((sent) => this.#isProgram(sent));
    return { programs: programs.length, cancels: all.length - programs.length, resent: this.resent };
  }

  /** Looks at a transaction that is on its way to the node. */
  async take(raw) {
    const sent = Transaction.from(raw);
    const { hash, from, nonce } = sent;
    if (this.#byHash.has(hash)) {
      this.resent += 1;
    } else {
      const place = `${from} ${nonce}`;
      const earlier = this.#byNonce.get(place) ?? [];
      if (this.#isProgram(sent)) await this.#demandFree(sent, earlier);
      else if (!isCancel(sent)) this.problems.push(`${hash} is neither a trade nor a transfer of nothing to oneself`);
      this.#byHash.set(hash, sent);
      this.#byNonce.set(place, [...earlier, sent]);
    }
    const next = this.onNext;
    this.onNext = null;
    return next;
  }

  /** What does not fit with the transactions on the chain: each was seen, and a wallet's nonces are 0, 1, 2 and so on. */
  compare(transactions) {
    const nonces = new Map();
    for (const { hash } of transactions) {
      const sent = this.#byHash.get(hash);
      if (!sent) this.problems.push(`${hash} is on the chain and was never seen`);
      else nonces.set(sent.from, [...(nonces.get(sent.from) ?? []), sent.nonce]);
    }
    for (const [wallet, used] of nonces) {
      const isInOrder = used.sort((a, b) => a - b).every((nonce, index) => nonce === index);
      if (!isInOrder) this.problems.push(`${wallet} did not use each nonce once: ${used}`);
    }
    return this.problems;
  }

  /** A nonce may be given to another program only when the node holds nothing else with it. */
  async #demandFree({ hash, from, nonce }, earlier) {
    for (const other of earlier) {
      const held = await this.#rpc.call('eth_getTransactionByHash', [other.hash]);
      if (held) this.problems.push(`nonce ${nonce} of ${from} is signed for ${hash} while the node holds ${other.hash}`);
    }
  }

  #isProgram({ to }) {
    return to?.toLowerCase() === this.#executor;
  }
}

function isCancel({ from, to, value, data }) {
  return from === to && value === 0n && data === '0x';
}
