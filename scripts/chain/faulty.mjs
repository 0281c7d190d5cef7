// A node that can be trusted with nothing: a WebSocket proxy that loses, doubles, disorders and delays what the real node says,
// falls silent, drops connections, stays behind, or names another head. What is wrong is set from outside, one fault at a time.

import { randomBytes } from 'node:crypto';

import WebSocket, { WebSocketServer } from 'ws';

import { hex } from './lib/rpc.mjs';

/** Methods that name a block by a tag, and where. */
const TAGGED = { eth_getBlockByNumber: 0, eth_call: 1, eth_getBalance: 1, eth_getTransactionCount: 1, eth_getCode: 1 };
const OF_A_BLOCK = ['eth_getBlockByHash', 'eth_getLogs', 'eth_call', 'eth_getBalance'];
/** Of the logs that pass while something is wrong with logs, this share is touched. */
const TOUCHED = 0.4;
/** How long logs are kept to be disordered, and how late the late ones are, in milliseconds. */
const SHUFFLE_MS = 40;
const LATE_MS = [200, 1500];

/** The newest blocks of the real chain, by hash: what a node that stays behind does not know yet. */
export class Tip {
  number = 0;
  #numbers = new Map();

  see({ number, hash }) {
    this.number = Number(number);
    this.#numbers.set(hash, this.number);
  }

  /** The height of a block that was announced; 0 for any other. */
  of(hash) {
    return this.#numbers.get(hash) ?? 0;
  }
}

export class FaultyNode {
  /** Blocks that it stays behind. */
  lag = 0;
  /** What happens to logs: null, 'lost', 'twice', 'disordered' or 'late'. */
  logs = null;
  isSilent = false;
  /** Whether logs of blocks that are left are taken back one by one, as geth does; anvil never does. */
  takesBack;
  /** Raw transactions that came in: [{ at, raw }]. */
  sent = [];
  counts = {};
  #tip;
  #random;
  #server;
  #clients = new Set();
  #falseHead = null;

  constructor({ tip, random, takesBack }) {
    [this.#tip, this.#random, this.takesBack] = [tip, random, takesBack];
  }

  /** Listens on a free port of loopback, in front of the node at `upstream`. */
  async start(upstream) {
    this.#server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    await new Promise((resolve, reject) => this.#server.once('listening', resolve).once('error', reject));
    this.#server.on('connection', (socket) => this.#serve(socket, new WebSocket(upstream, { perMessageDeflate: false })));
    this.url = `ws://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  stop() {
    for (const { socket, node } of this.#clients) [socket, node].forEach((end) => end.terminate());
    this.#server?.close();
  }

  /** Drops all connections, half of them in the middle of a frame. */
  disconnect() {
    for (const { socket } of this.#clients) {
      // The header of a text frame of 4 KiB, and the first byte of it.
      if (this.#random.chance(0.5)) socket._socket.write(Buffer.from([0x81, 0x7e, 0x10, 0x00, 0x7b]));
      socket.terminate();
    }
  }

  /** A sibling of the next head is announced, before it or after it. */
  announceFalseHead(isBefore) {
    this.#falseHead = isBefore ? 'before' : 'after';
  }

  /** The chain has grown or turned: what was kept back for it goes out. */
  onHead() {
    for (const client of this.#clients) this.#release(client);
  }

  /** These blocks are no more. */
  onLeft(hashes) {
    if (!this.takesBack) return;
    for (const client of this.#clients) {
      const gone = client.logs.filter(({ params }) => hashes.has(params.result.blockHash)).reverse();
      for (const message of gone) {
        const result = { ...message.params.result, removed: true };
        this.#say(client, { ...message, params: { ...message.params, result } }, 'removed');
      }
      client.logs = client.logs.filter(({ params }) => !hashes.has(params.result.blockHash));
    }
  }

  #serve(socket, node) {
    const client = { socket, node, logs: [], kept: [], asked: new Map(), shuffled: [] };
    this.#clients.add(client);
    let open = new Promise((resolve) => node.once('open', resolve));
    socket.on('message', (data) => {
      open = open.then(() => this.#hear(client, JSON.parse(data)));
    });
    node.on('message', (data) => this.#pass(client, JSON.parse(data)));
    for (const [one, other] of [[socket, node], [node, socket]]) {
      one.on('error', () => {}); // 'close' follows
      one.on('close', () => {
        this.#clients.delete(client);
        other.terminate();
      });
    }
  }

  // ------------------------------------------------------------------------------------------------ questions

  #hear(client, question) {
    const { id, method, params = [] } = question;
    if (method === 'eth_sendRawTransaction') this.sent.push({ at: Date.now(), raw: params[0] });
    if (this.isSilent) return this.#count('unheard');
    if (this.lag > 0) {
      const limit = this.#tip.number - this.lag;
      const tag = TAGGED[method];
      if (params[tag] === 'latest') params[tag] = hex(limit);
      const named = OF_A_BLOCK.includes(method) && params.map((param) => param?.blockHash ?? param).find((hash) => this.#tip.of(hash) > limit);
      if (named) {
        this.#count('unknown');
        const isHead = method === 'eth_getBlockByHash';
        const answer = isHead ? { result: null } : { error: { code: -32000, message: 'unknown block' } };
        return this.#say(client, { jsonrpc: '2.0', id, ...answer });
      }
      if (method === 'eth_getTransactionReceipt') client.asked.set(id, limit);
    }
    if (client.node.readyState === WebSocket.OPEN) client.node.send(JSON.stringify(question));
  }

  // ------------------------------------------------------------------------------------------------ answers and news

  #pass(client, message) {
    const item = message.params?.result;
    if (item?.parentHash) this.#passHead(client, message);
    else if (item?.topics) this.#passLog(client, message);
    else {
      const limit = client.asked.get(message.id);
      client.asked.delete(message.id);
      if (limit !== undefined && Number(message.result?.blockNumber) > limit) message.result = null;
      this.#say(client, message);
    }
  }

  #passHead(client, message) {
    if (this.lag > 0 || client.kept.length > 0) return client.kept.push(message);
    const isFalse = this.#falseHead;
    this.#falseHead = null;
    if (isFalse === 'before') this.#say(client, falsified(message), 'false heads');
    this.#say(client, message);
    if (isFalse === 'after') this.#say(client, falsified(message), 'false heads');
  }

  #passLog(client, message) {
    client.logs = [...client.logs, message].slice(-4000);
    if (this.lag > 0 || client.kept.length > 0) return client.kept.push(message);
    if (this.logs === null || !this.#random.chance(TOUCHED)) return this.#say(client, message);
    this.#count(`logs ${this.logs}`);
    if (this.logs === 'twice') [0, 1].forEach(() => this.#say(client, message));
    if (this.logs === 'late') setTimeout(() => this.#say(client, message), this.#random.between(...LATE_MS));
    if (this.logs !== 'disordered') return;
    client.shuffled.push(message);
    if (client.shuffled.length > 1) return;
    setTimeout(() => {
      for (const one of this.#random.shuffle(client.shuffled.splice(0))) this.#say(client, one);
    }, SHUFFLE_MS);
  }

  /** What is so far behind the tip by now that a node which lags would know it. */
  #release(client) {
    const numberOf = ({ params: { result } }) => Number(result.blockNumber ?? result.number);
    const isDue = (message) => numberOf(message) <= this.#tip.number - this.lag;
    const due = client.kept.filter(isDue);
    client.kept = client.kept.filter((message) => !isDue(message));
    for (const message of due) this.#say(client, message, 'behind');
  }

  #say({ socket }, message, what = null) {
    if (this.isSilent) return this.#count('unsaid');
    if (what) this.#count(what);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  #count(what) {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

/** A head of the same height and parent that nobody mined. */
function falsified(message) {
  const result = { ...message.params.result, hash: `0x${randomBytes(32).toString('hex')}`, extraData: '0xfa15e0' };
  return { ...message, params: { ...message.params, result } };
}
