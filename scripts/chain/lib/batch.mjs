// Sends many transactions at once and mines until all are in: a whole deployment takes a few blocks and about a second.

import { setTimeout as sleep } from 'node:timers/promises';

import { AbiCoder, ParamType, Transaction, getCreateAddress } from 'ethers';

import { CHAIN_ID } from './accounts.mjs';
import { hex } from './rpc.mjs';

const GWEI = 10n ** 9n;
const BLOCK_GAS = 29_000_000n;
/** A transaction that is in no block by then is lost. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 50;

/** Works on a node that mines when it is told to (`evm_mine`). */
export class Batch {
  #rpc;
  #nonces = new Map();
  #queue = [];

  constructor(rpc) {
    this.#rpc = rpc;
  }

  /** Queues the creation of a contract and returns the address that it will have. */
  create(wallet, { name, abi, bytecode }, args = [], { gasLimit = 6_000_000n } = {}) {
    const inputs = abi.find((item) => item.type === 'constructor')?.inputs ?? [];
    const encoded = AbiCoder.defaultAbiCoder().encode(inputs.map((input) => ParamType.from(input)), args);
    const nonce = this.#nonce(wallet);
    this.#push(wallet, { nonce, to: null, data: bytecode + encoded.slice(2), gasLimit, label: `create ${name}` });
    return getCreateAddress({ from: wallet.address, nonce });
  }

  /** Queues a call of a contract function. */
  call(wallet, to, iface, name, args = [], { value = 0n, gasLimit = 200_000n } = {}) {
    const data = iface.encodeFunctionData(name, args);
    this.#push(wallet, { nonce: this.#nonce(wallet), to, data, value, gasLimit, label: `${name} on ${to}` });
  }

  /** Sends what is queued, mines until it is in, and throws if any of it reverted. */
  async settle() {
    while (this.#queue.length > 0) await this.#mine(this.#nextBlock());
  }

  /** As many as fit into one block. More would be lost: anvil 1.7.1 drops what follows a transaction that did not fit. */
  #nextBlock() {
    let gas = 0n;
    const end = this.#queue.findIndex(({ gasLimit }) => (gas += gasLimit) > BLOCK_GAS);
    return this.#queue.splice(0, end < 0 ? this.#queue.length : end);
  }

  async #mine(transactions) {
    for (const { raw } of transactions) await this.#rpc.call('eth_sendRawTransaction', [raw]);
    await this.#rpc.call('evm_mine');
    for (const { hash, label } of transactions) {
      const receipt = await this.#receipt(hash);
      if (receipt?.status !== '0x1') throw new Error(`${receipt ? 'reverted' : 'not mined'}: ${label}`);
    }
  }

  /** Ganache mines at its interval too, and answers before that is done if it is asked to mine meanwhile. */
  async #receipt(hash) {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const receipt = await this.#rpc.call('eth_getTransactionReceipt', [hash]);
      if (receipt || performance.now() > end) return receipt;
      await sleep(LOOK_MS);
    }
  }

  /** Every account is fresh when the chain starts, so nonces are counted here and addresses are the same on each run. */
  #nonce(wallet) {
    const nonce = this.#nonces.get(wallet.address) ?? 0;
    this.#nonces.set(wallet.address, nonce + 1);
    return nonce;
  }

  #push(wallet, { label, ...fields }) {
    const fees = { maxFeePerGas: 100n * GWEI, maxPriorityFeePerGas: GWEI };
    const { raw, hash } = signed(wallet, { type: 2, ...fields, ...fees });
    this.#queue.push({ raw, hash, label, gasLimit: fields.gasLimit });
  }
}

/** Signs without asking anybody anything: all fields are given. */
export function signed(wallet, fields) {
  const transaction = Transaction.from({ chainId: CHAIN_ID, ...fields });
  transaction.signature = wallet.signingKey.sign(transaction.unsignedHash);
  return { raw: transaction.serialized, hash: transaction.hash };
}

/** Puts a base fee into the next block, where the node can do that (Ganache cannot). */
export async function setBaseFee(rpc, wei) {
  for (const method of ['anvil_setNextBlockBaseFeePerGas', 'hardhat_setNextBlockBaseFeePerGas']) {
    const done = await rpc.call(method, [hex(wei)]).then(() => true, () => false);
    if (done) break;
  }
  await rpc.call('evm_mine');
}
