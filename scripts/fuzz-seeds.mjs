// Seeds for the fuzz targets from real blocks: transactions as a node announces them, logs, receipts, calldata.
// Reads the witness blocks of ../shared/data (or $GANNET_DATA), if they are there, and writes small files
// to OUT/<target>/.
//
//   node scripts/fuzz-seeds.mjs OUT
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const [out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node scripts/fuzz-seeds.mjs OUT');
  process.exit(2);
}
const folder = join(process.env.GANNET_DATA ?? '../shared/data', 'witness');

// Blocks that are read, and seeds that a target gets from each: the fuzzer reads them all before it begins.
const BLOCKS = 6;
const SEEDS_PER_BLOCK = 12;
const SEED_BYTES_MAX = 4096;

// Selectors of the router's swaps in the order in which the target counts them; a pair's own swap is the last.
const SWAPS = ['38ed1739', '8803dbee', '7ff36ab5', '4a25d94a', '18cbafe5', 'fb3bdb41', '5c11d795', 'b6f9de95', '791ac947',
  '022c0d9f'];
// Selectors of the newer routers in the order in which their target counts them, and where on mainnet each kind is.
const CALLS = [
  'ac9650d8', '5ae401dc', '1f0464d1', '414bf389', 'c04b8d59', 'db3e2198', 'f28c0498', '04e45aaf', 'b858183f', '5023b4df',
  '09b81346', '472b43f3', '42712a67', '49404b7c', '49616997', '9b2c0a37', 'd4ef38de', 'df2ab5bb', 'e90a182f', 'e0e189a0',
  '3068c554', '12210e8a', '1c58db4f', 'f2d5d56b', 'f3995c67', 'c2e3140a', '4659a494', 'a4a78f0c', '3593564c', '24856bc3',
];
const ROUTERS = [
  ['0xe592427a0aece92de3edee1f18e0157c05861564'],
  ['0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45'],
  ['0xef1c6e67703c7bd7107eed8303fbe6ec2554bf6b', '0x3fc91a3afd70395cd496c647d5a6cc9d4b2b7fad', '0x66a9893cc07d91d95644aedd05d03f95e1dba8af'],
];
const SYNC_TOPIC = '0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1';

const counts = {};
rmSync(out, { recursive: true, force: true });

function put(block, target, bytes) {
  const key = `${block}/${target}`;
  if (bytes.length > SEED_BYTES_MAX || (counts[key] ?? 0) >= SEEDS_PER_BLOCK) return;
  counts[key] = (counts[key] ?? 0) + 1;
  mkdirSync(join(out, target), { recursive: true });
  writeFileSync(join(out, target, createHash('sha1').update(bytes).digest('hex')), bytes);
}

const hex = (value) => (typeof value === 'number' ? `0x${value.toString(16)}` : value);

// The items of an RLP list whose header starts at `at`, as hex.
function items(raw, at) {
  const found = [];
  const header = raw[at];
  let place = at + 1 + (header > 0xf7 ? header - 0xf7 : 0);
  while (place < raw.length) {
    const kind = raw[place];
    let [start, length] = [place + 1, 0];
    if (kind < 0x80) [start, length] = [place, 1];
    else if (kind < 0xb8 || (kind >= 0xc0 && kind < 0xf8)) length = kind - (kind < 0xb8 ? 0x80 : 0xc0);
    else {
      const size = kind - (kind < 0xc0 ? 0xb7 : 0xf7);
      [start, length] = [start + size, parseInt(raw.subarray(start, start + size).toString('hex'), 16)];
    }
    found.push(`0x${raw.subarray(start, start + length).toString('hex')}`);
    place = start + length;
  }
  return found;
}

// An integer's bytes as JSON-RPC writes a quantity.
const quantity = (bytes) => (bytes === '0x' ? '0x0' : bytes.replace(/^0x0+(?=.)/, '0x'));

// A transaction as a node announces it: the signature and the chain are in its raw bytes only.
function announced({ i, raw, ...tx }) {
  const bytes = Buffer.from(raw.slice(2), 'hex');
  const fields = items(bytes, tx.type > 0 ? 1 : 0);
  const [v, r, s] = fields.slice(-3).map(quantity);
  const chain = tx.type > 0 ? { chainId: quantity(fields[0]), yParity: v } : {};
  const members = { ...tx, ...chain, v, r, s, blockHash: null, blockNumber: null };
  return Object.fromEntries(Object.entries(members).map(([key, value]) => [key, hex(value)]));
}

function log(header, receipt, { li, a, t, d }) {
  return {
    address: a, topics: t, data: d, blockNumber: hex(header.number), blockHash: header.hash,
    transactionHash: receipt.hash, transactionIndex: hex(receipt.i), logIndex: hex(li), removed: false,
  };
}

function read(path, number) {
  const { header, txs, receipts } = JSON.parse(gunzipSync(readFileSync(path)));
  const news = (result) => ({ jsonrpc: '2.0', method: 'eth_subscription', params: { subscription: '0x1', result } });
  for (const tx of txs) {
    const text = JSON.stringify(announced(tx));
    put(number, 'rlp', Buffer.concat([Buffer.from([tx.i & 255]), Buffer.from(text)]));
    const [selector, router] = [(tx.input ?? '').slice(2, 10), ROUTERS.findIndex((all) => all.includes(tx.to?.toLowerCase()))];
    const [swap, call] = [SWAPS.indexOf(selector), router < 0 ? -1 : CALLS.indexOf(selector)];
    if (swap < 0 && call < 0) continue;
    put(number, 'message', Buffer.from(JSON.stringify(news(announced(tx)))));
    const value = Buffer.from(BigInt(tx.value).toString(16).padStart(32, '0'), 'hex');
    const seed = (...header) => Buffer.concat([Buffer.from(header), value, Buffer.from(tx.input.slice(10), 'hex')]);
    if (swap >= 0) put(number, 'calldata', seed(swap, 0));
    if (call >= 0) put(number, 'routers', seed(call, router));
  }
  for (const receipt of receipts) {
    const logs = receipt.logs.map((item) => log(header, receipt, item));
    const sync = logs.find((item) => item.topics[0] === SYNC_TOPIC);
    if (!sync) continue;
    put(number, 'log', Buffer.from(JSON.stringify(sync)));
    put(number, 'message', Buffer.from(JSON.stringify(news(sync))));
    const { status, gasUsed, effectiveGasPrice } = receipt;
    const place = { blockHash: header.hash, blockNumber: hex(header.number), transactionIndex: hex(receipt.i) };
    const whole = { status: hex(status), gasUsed: hex(gasUsed), effectiveGasPrice: hex(effectiveGasPrice), ...place, logs };
    put(number, 'log', Buffer.from(JSON.stringify(whole)));
  }
}

if (existsSync(folder)) {
  const blocks = readdirSync(folder).filter((name) => /^\d+\.json\.gz$/.test(name)).sort();
  const step = Math.ceil(blocks.length / BLOCKS);
  blocks.filter((_, place) => place % step === 0).forEach((name) => read(join(folder, name), name));
}
