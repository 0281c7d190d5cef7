// A WebSocket proxy in front of a node that counts what is asked of it, by JSON-RPC method. It changes nothing on the way.
// The demo flies a dry-run through it, to show that not one transaction is sent; and a bot that is killed, to see every
// transaction that leaves it.
//
//   node scripts/chain/proxy.mjs ws://127.0.0.1:8545    prints its own address, and the counts when it is ended

import { fileURLToPath } from 'node:url';

import WebSocket, { WebSocketServer } from 'ws';

/**
 * Listens on a free port of loopback: { url, counts, stop }. `onSend` is given each raw transaction before the node gets it;
 * it may return (a promise of) a function that passes it on, or does not, in the proxy's place.
 */
export async function startProxy(upstream, onSend = null) {
  const counts = new Map();
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));

  server.on('connection', (client) => {
    const node = new WebSocket(upstream, { perMessageDeflate: false });
    // One message after the other, the first ones when the node has answered the handshake.
    let before = new Promise((resolve) => node.once('open', resolve));
    client.on('message', (data, binary) => {
      const calls = read(data);
      for (const { method } of calls) counts.set(method, (counts.get(method) ?? 0) + 1);
      const raw = calls.find(({ method }) => method === 'eth_sendRawTransaction')?.params[0];
      const pass = () => node.readyState === WebSocket.OPEN && node.send(data, { binary });
      before = before.then(async () => ((raw && (await onSend?.(raw))) || ((go) => go()))(pass));
    });
    node.on('message', (data, binary) => client.send(data, { binary }));
    for (const [one, other] of [[client, node], [node, client]]) {
      one.on('error', () => {}); // 'close' follows
      one.on('close', () => other.close());
    }
  });

  const stop = () => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  };
  return { url: `ws://127.0.0.1:${server.address().port}`, counts, stop };
}

/** How many transactions were sent, by whichever method. */
export function countSends(counts) {
  return [...counts].filter(([method]) => method.startsWith('eth_send')).reduce((sum, [, count]) => sum + count, 0);
}

/** The calls in a message: one, or a batch. */
function read(data) {
  try {
    return [JSON.parse(data)].flat();
  } catch {
    return [{ method: 'not JSON' }];
  }
}

if (fileURLToPath(import.meta.url) === process.argv[1]) {
  const upstream = process.argv[2];
  if (!upstream) {
    console.error('usage: node proxy.mjs ws://HOST:PORT');
    process.exit(2);
  }
  const proxy = await startProxy(upstream);
  console.log(proxy.url);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      console.log(JSON.stringify(Object.fromEntries(proxy.counts)));
      process.exit(0);
    });
  }
}
