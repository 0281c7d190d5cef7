// A JSON-RPC client over one WebSocket: calls are pipelined, subscriptions call back. No retries and no reconnects: the node
// is a child of ours on loopback, so a lost connection means that it is gone.

import WebSocket from 'ws';

export class Rpc {
  /** Connects to `url`, or throws. */
  static async open(url) {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return new Rpc(socket);
  }

  #socket;
  #lastId = 0;
  #waiting = new Map();
  #subscriptions = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.on('message', (data) => this.#receive(JSON.parse(data)));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection to the node is closed'));
      this.#waiting.clear();
    });
  }

  call(method, params = []) {
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.reject(new Error('the connection to the node is closed'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, method });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  /** An `eth_call` of one contract function; a single result is unwrapped. */
  async read(address, iface, name, args = [], block = 'latest') {
    const data = await this.call('eth_call', [{ to: address, data: iface.encodeFunctionData(name, args) }, block]);
    const result = iface.decodeFunctionResult(name, data);
    return result.length === 1 ? result[0] : result;
  }

  async subscribe(kind, callback, ...more) {
    const id = await this.call('eth_subscribe', [kind, ...more]);
    this.#subscriptions.set(id, callback);
  }

  close() {
    this.#socket.close();
  }

  #receive(message) {
    if (message.method === 'eth_subscription') {
      this.#subscriptions.get(message.params.subscription)?.(message.params.result);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    this.#waiting.delete(message.id);
    if (!message.error) return waiting.resolve(message.result);
    const error = new Error(`${waiting.method}: ${message.error.message}`);
    waiting.reject(Object.assign(error, { code: message.error.code, data: message.error.data }));
  }
}

/** A number or bigint as JSON-RPC wants it: 0x, no leading zeros. */
export const hex = (value) => `0x${BigInt(value).toString(16)}`;
