// Who borrows on the local test chain: how much against what, how healthy it starts, and who pays back in time.
//
// Each group's health is spread evenly over a span that the prices' path goes through, so that they fall one after another.

import { parseUnits } from 'ethers';

import { borrowers as accounts } from './accounts.mjs';
import { E_MODE, aaveThreshold } from './aave.mjs';
import { Random } from './random.mjs';
import { ETHER_USD } from './tokens.mjs';

/** Of a debt, in ether. */
const DEBT_ETHER = [2, 12];
/** How far a health may lie from its place in the span, in places. */
const JITTER = 0.3;

/**
 * Collateral and debt by symbol with their shares, the span of health, and how many of the group pay back in time. Those that owe
 * WETH are safe from prices that fall together; the e-mode's are close to the edge, and their prices hardly move.
 */
const GROUPS = [
  { protocol: 'aave', count: 12, collateral: { WETH: 1 }, debt: { USDC: 1 }, health: [1.006, 1.055], repaying: 2 },
  { protocol: 'aave', count: 7, collateral: { WBTC: 1 }, debt: { USDC: 1 }, health: [1.008, 1.08], repaying: 1 },
  { protocol: 'aave', count: 6, collateral: { WETH: 0.6, WBTC: 0.4 }, debt: { USDC: 1 }, health: [1.01, 1.06], repaying: 1 },
  { protocol: 'aave', count: 2, collateral: { WETH: 1 }, debt: { USDC: 0.5, DAI: 0.5 }, health: [1.015, 1.04], repaying: 0 },
  { protocol: 'aave', count: 3, collateral: { WBTC: 1 }, debt: { WETH: 1 }, health: [1.005, 1.025], repaying: 0 },
  { protocol: 'aave', count: 2, collateral: { USDC: 1 }, debt: { WETH: 1 }, health: [1.12, 1.2], repaying: 0 },
  { protocol: 'aave', count: 2, collateral: { DAI: 1 }, debt: { USDC: 1 }, health: [1.008, 1.02], repaying: 0, e_mode: E_MODE.id },
  { protocol: 'morpho', count: 8, collateral: { WETH: 1 }, debt: { USDC: 1 }, health: [1.006, 1.055], repaying: 1 },
  { protocol: 'morpho', count: 5, collateral: { WBTC: 1 }, debt: { USDC: 1 }, health: [1.008, 1.08], repaying: 1 },
  { protocol: 'morpho', count: 4, collateral: { WBTC: 1 }, debt: { WETH: 1 }, health: [1.005, 1.03], repaying: 0 },
];

/** All of them, drawn from the seed: { wallet, protocol, market, collateral, debt, e_mode, health, repays }. */
export function drawBorrowers(seed, tokens, markets) {
  const random = new Random(seed + 3);
  const wallets = accounts(GROUPS.reduce((sum, { count }) => sum + count, 0));
  return GROUPS.flatMap((group) => {
    const { protocol, count, e_mode = 0 } = group;
    const [collateralSymbol, loanSymbol] = [Object.keys(group.collateral)[0], Object.keys(group.debt)[0]];
    const market = markets.find(({ collateral, loan }) => collateral === collateralSymbol && loan === loanSymbol);
    const repaying = new Set(random.shuffle([...Array(count).keys()]).slice(0, group.repaying));
    return Array.from({ length: count }, (_, index) => {
      const [low, high] = group.health;
      const place = index + 0.5 + random.between(-JITTER, JITTER);
      const wanted = low + ((high - low) * place) / count;
      const threshold = (symbol) => (protocol === 'aave' ? aaveThreshold(symbol, e_mode) : Number(market.lltv) / 1e18);
      const debtUsd = ETHER_USD * random.logBetween(...DEBT_ETHER);
      const counted = Object.entries(group.collateral).reduce((sum, [symbol, share]) => sum + share * threshold(symbol), 0);
      const drawn = {
        wallet: wallets.shift(),
        protocol,
        ...(protocol === 'morpho' && { market: market.name }),
        e_mode,
        collateral: amounts(tokens, group.collateral, (debtUsd * wanted) / counted),
        debt: amounts(tokens, group.debt, debtUsd),
        thresholds: Object.fromEntries(Object.keys(group.collateral).map((symbol) => [symbol, threshold(symbol)])),
        repays: repaying.has(index),
      };
      return { ...drawn, health: healthAt(drawn, tokens, (symbol) => tokens[symbol].usd) };
    });
  });
}

/** Collateral over debt at these prices in dollars, without interest. */
export function healthAt({ collateral, debt, thresholds }, tokens, usd) {
  const value = (symbol, amount) => (Number(amount) / 10 ** tokens[symbol].decimals) * usd(symbol);
  const sum = (entries, weight) => entries.reduce((total, [symbol, amount]) => total + weight(symbol) * value(symbol, amount), 0);
  return sum(Object.entries(collateral), (symbol) => thresholds[symbol]) / sum(Object.entries(debt), () => 1);
}

/** For the address book. */
export function described({ wallet, collateral, debt, health, ...rest }) {
  const texts = (amounts) => Object.fromEntries(Object.entries(amounts).map(([symbol, amount]) => [symbol, String(amount)]));
  const owner = { address: wallet.address, private_key: wallet.privateKey };
  return { ...owner, ...rest, collateral: texts(collateral), debt: texts(debt), health: Number(health.toFixed(6)) };
}

function amounts(tokens, shares, usd) {
  const entries = Object.entries(shares).map(([symbol, share]) => {
    const { decimals, usd: price } = tokens[symbol];
    return [symbol, parseUnits(((usd * share) / price).toFixed(decimals), decimals)];
  });
  return Object.fromEntries(entries);
}
