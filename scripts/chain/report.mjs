// What the demo prints at its end: a table for people, or one line of JSON.

import { formatEther } from 'ethers';

import { countSends } from './proxy.mjs';

export function jsonReport({ summary, chain, legs, lending, kills, signed }) {
  const books = summary.lifetime ?? summary;
  const { p50, p99, max } = summary.tick_to_trade_ns;
  return JSON.stringify({
    opportunities: books.opportunities,
    sent: books.sent,
    landed: books.landed,
    reverted: books.reverted,
    cancelled: books.cancelled,
    backruns_behind_target: books.backruns_behind_target,
    landed_legs: legs,
    ...(lending && { liquidations: { ...lending, bought: lending.bought.length } }),
    profit_wei: String(books.profit_wei),
    chain_profit_wei: String(chain.profit),
    gas_paid_wei: String(books.gas_paid_wei),
    tick_to_trade_ns: { p50, p99, max },
    // A dry-run sends nothing; what its plans would have come to stands here.
    ...(summary.scored && { scored: summary.scored }),
    ...(kills.length > 0 && { kills, signed: signed.counts }),
  });
}

export function tableReport({ summary, chain, legs, lending, market, blocks, counts, kills, signed }, isRight) {
  const isDryRun = counts !== undefined;
  const rows = [...Object.entries(summary.by_strategy), ['all', summary]];
  if (kills.length > 0) rows.push([`all ${kills.length + 1} runs`, summary.lifetime]);
  const table = isDryRun
    ? rows.map(([name, line]) => scoreRow(name, line))
    : rows.map(([name, line]) => tradeRow(name, line));
  const { p50, p99, max } = summary.tick_to_trade_ns;
  const asked = () => [...counts.values()].reduce((sum, count) => sum + count, 0);
  return [
    '',
    ...aligned([isDryRun ? SCORE_HEADER : TRADE_HEADER, ...table]),
    '',
    ...aligned([
      ['tick to trade', `p50 ${micros(p50)}, p99 ${micros(p99)}, max ${micros(max)}`],
      ['market', marketLine(market, blocks)],
      ['the chain says', `${ether(chain.profit)} ETH profit, ${chain.landed} landed, ${chain.reverted} reverted${takenBack(chain)}`],
      ...(isDryRun ? [] : [['went through', legsLine(legs)]]),
      ...(lending ? [['liquidated', lendingLine(lending, market)]] : []),
      ...(kills.length > 0 ? [['killed', killed(kills, signed)]] : []),
      ...(isDryRun ? [['sent by the bot', `${countSends(counts)} transactions, in ${asked()} calls to the node`]] : []),
      ['verdict', isRight ? 'the bot and the chain agree' : 'the bot and the chain do not agree'],
    ], { left: true }),
  ].join('\n');
}

const TRADE_HEADER = ['', 'found', 'sent', 'landed', 'reverted', 'behind target', 'profit ETH', 'gas ETH'];
const SCORE_HEADER = ['', 'found', 'won', 'contested', 'vanished', 'would-be ETH'];

function tradeRow(name, line) {
  const { opportunities, sent, landed, reverted, backruns_behind_target: behind } = line;
  return [name, opportunities, sent, landed, reverted, behind, ether(line.profit_wei), ether(line.gas_paid_wei)];
}

const legsLine = ({ v3, solidly, mixed, behind_v3: behind }) =>
  `V3 pools ${v3}, Solidly pools ${solidly}, pools of two kinds or more ${mixed}; right behind a V3 swap ${behind}`;

function lendingLine({ aave, morpho, behind, others, rescued, left }, { oracle }) {
  const bought = Object.entries(left).map(([symbol, amount]) => `; ${amount} units of bought ${symbol} are left in the executor`);
  return (
    `${aave} on Aave, ${morpho} on Morpho, ${behind} right behind their oracle update, ${others} by others; ` +
    `${oracle.repaid} owners paid back in time, ${rescued} borrowers left alone for that${bought.join('')}`
  );
}

function marketLine({ mined, reverted, liquidity }, blocks) {
  const moved = `V3 liquidity added ${liquidity.minted} times and taken out ${liquidity.burned} times`;
  return `${blocks} blocks, ${mined} trades, ${reverted} of them reverted; ${moved}`;
}

const takenBack = ({ cancelled }) => (cancelled > 0 ? `, ${cancelled} taken back` : '');

function killed(kills, { counts }) {
  const times = kills.map((kill) => kill.trading_after_ms).filter((time) => time !== null);
  const slowest = `trading again after ${Math.max(...times)} ms at most`;
  return `${kills.length} times, ${slowest}; ${counts.programs} trades and ${counts.cancels} cancellations were signed`;
}

function scoreRow(name, { opportunities, scored }) {
  const { won = 0, contested = 0, vanished = 0, profit_wei = 0 } = scored ?? {};
  return [name, opportunities, won, contested, vanished, ether(profit_wei)];
}

/** Columns of one width: the first to the left, the others to the right, or all to the left. */
function aligned(rows, { left = false } = {}) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const pad = (column) => (left || column === 0 ? 'padEnd' : 'padStart');
  const cell = (value, column) => String(value)[pad(column)](widths[column]);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`.trimEnd());
}

function ether(wei) {
  const [whole, fraction] = formatEther(wei).split('.');
  return `${whole}.${fraction.slice(0, 6).padEnd(6, '0')}`;
}

const micros = (ns) => `${(ns / 1000).toFixed(1)} µs`;
