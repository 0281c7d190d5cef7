// The market: a handful of traders who swap through the routers of the devnet, so that prices part and meet again.
//
//   new head ─► fair prices move a little ─► pools, receipts and base fee are read ─► other traffic for the next block
//   Poisson clock ─► a trader, a path, a size, one of the routers' functions ─► signed and sent
//
// Everything that is drawn at random for trade n depends on the seed and n alone, so a market can be repeated; only amounts
// follow the state of the pools. Traders lean towards a fair price, so pools do not drift away over a long run.

import { Interface } from 'ethers';

import { bystander, deployer, provider, traders } from './lib/accounts.mjs';
import { signed } from './lib/batch.mjs';
import { Provider } from './lib/provider.mjs';
import { Quotes, allPools, readDepths } from './lib/quotes.mjs';
import { Random } from './lib/random.mjs';
import { signPermit, spendersOf, waysToSwap } from './lib/routers.mjs';
import { hex } from './lib/rpc.mjs';
import { FOREVER, UNLIMITED, worth } from './lib/tokens.mjs';
import { PERMIT2 } from './lib/v3.mjs';
import { TOKEN, WETH9 } from './lib/world.mjs';

const GWEI = 10n ** 9n;

/** Each trader starts with this much of every token: enough for hours in one direction. */
const PURSE_ETHER = 20_000;
/** A trade puts in between 0.2 % and 1.5 % of what its first pool holds, small ones more often. */
const SIZE = [0.002, 0.015];
/** Where an oracle moves the prices, a trader takes the pool of so many that is most behind, and closes this much of the gap. */
const BEHIND_OF = 3;
const CLOSED = 0.5;
const SIZE_MAX = 0.02;
const SLIPPAGE = [0.005, 0.03];
const DEADLINE_S = [60, 600];
const MULTI_HOP_SHARE = 0.2;
/** Of the trades through two pools, those that change from V2 to V3 or back between them, where a router can. */
const MIXED_SHARE = 0.4;
/** Of the trades that pay the Universal Router through Permit2, those that bring a signed permit along. */
const PERMIT_SHARE = 0.3;
const UNIVERSAL_VENUES = new Map([['v3', 'uniswap'], ['uniswap', 'v3']]);
const LEGACY_SHARE = 0.1;
/** At 1 % off the fair price a trader is this much likelier to push back than away. */
const LEAN_PER_PERCENT = 0.15;
/** The fair price of a token against the dollar, in log: pulled back by 1 % a block, pushed by 0.05 %. */
const FAIR = { pull: 0.01, push: 0.0005 };

const SWAP_GAS = 600_000n;
/** A transaction that is not in after so many blocks was lost by the node. */
const LOST_AFTER_BLOCKS = 8;

/** Small blocks, half filled by other traffic that is adjusted to hold the base fee: otherwise it would fall to nothing. */
const BLOCK_GAS = 8_000_000;
const BASE_FEE_GWEI = 10;
const BUSY = new Interface(['function work(uint256 gas) view']);

/** Gives the traders and the liquidity provider their purses and allowances, on the batch that deployed the world. */
export async function prepareTraders(batch, book) {
  const tokens = Object.values(book.tokens);
  for (const wallet of [...traders, provider]) {
    const spenders = wallet === provider ? [book.v3.position_manager] : spendersOf(book);
    for (const token of tokens) {
      const purse = worth(token, PURSE_ETHER);
      if (token.address === book.weth) batch.call(wallet, token.address, WETH9, 'deposit', [], { value: purse });
      else batch.call(deployer, token.address, TOKEN, 'mint', [wallet.address, purse]);
      for (const spender of spenders) batch.call(wallet, token.address, TOKEN, 'approve', [spender, UNLIMITED]);
      if (wallet !== provider) batch.call(wallet, book.v3.permit2, PERMIT2, 'approve', permission(book, token));
    }
  }
  await batch.settle();
}

/** What Permit2 is told, so that the Universal Router may take so much through it, and until when. */
const permission = ({ v3 }, { address }) => [address, v3.universal_router, 2n ** 160n - 1n, FOREVER];

export class Market {
  stats = { sent: 0, mined: 0, reverted: 0, refused: 0, lost: 0, byKind: {} };
  head = null;

  #rpc;
  #book;
  #seed;
  #rate;
  #running = false;
  #timer = null;
  #subscribed = false;
  #trades = 0;
  #pools;
  #depths = new Map();
  #fair;
  #fairRandom;
  #seats;
  #usedFees = new Set();
  #traffic;
  #provider;
  /** What the feeds say of a token, in log; the fair prices part from there. */
  #told = new Map();
  #oracle = null;

  /** `rate` is in trades per second. Nothing happens before `start`. */
  constructor({ rpc, book, seed, rate }) {
    [this.#rpc, this.#book, this.#seed, this.#rate] = [rpc, book, seed, rate];
    this.#fairRandom = new Random(seed);
    this.#fair = new Map(Object.values(book.tokens).map(({ address }) => [address, 0]));
    this.#seats = traders.map((wallet) => ({ wallet, nonce: 0, pending: [] }));
    this.#pools = allPools(book);
    this.#traffic = new Traffic(rpc, book, seed);
    this.#provider = new Provider(rpc, book, seed);
    this.stats.liquidity = this.#provider.stats;
  }

  /** Has an oracle move the prices; before `start`. It is given, for not every market needs what it needs. */
  follow(Oracle) {
    const [chooseCap, onPrice] = [(cap) => this.#unusedFee(cap), (token, log) => this.#told.set(token, log)];
    this.#oracle = new Oracle({ rpc: this.#rpc, book: this.#book, seed: this.#seed, chooseCap, onPrice });
    this.stats.oracle = this.#oracle.stats;
  }

  /** Starts, or goes on after `freeze`. */
  async start() {
    if (this.#running) return;
    await this.#rpc.call('anvil_setBlockGasLimit', [hex(BLOCK_GAS)]);
    await Promise.all([...this.#seats.map((seat) => this.#sit(seat)), this.#traffic.sit(), this.#provider.sit(), this.#oracle?.sit()]);
    if (!this.#subscribed) await this.#rpc.subscribe('newHeads', (head) => this.#onHead(head).catch(() => {}));
    this.#subscribed = true;
    this.#running = true;
    await this.#onHead(await this.#rpc.call('eth_getBlockByNumber', ['latest', false]));
    this.#schedule(performance.now());
  }

  /** Sends nothing more. What is in flight is still mined. */
  freeze() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#oracle?.freeze();
  }

  get running() {
    return this.#running;
  }

  // ------------------------------------------------------------------------------------------------ on each block

  async #onHead(head) {
    // Receipts are read when frozen too: the last trades must still be counted.
    const receipts = await this.#rpc.call('eth_getBlockReceipts', [head.hash]);
    for (const receipt of receipts) this.#settle(receipt);
    this.#provider.settle(receipts);
    this.#oracle?.settle(receipts);
    if (!this.#running) return;

    for (const [token, log] of this.#fair) this.#fair.set(token, log * (1 - FAIR.pull) + FAIR.push * this.#fairRandom.normal());
    this.#depths = await readDepths(this.#rpc, this.#book);
    this.head = { number: Number(head.number), timestamp: BigInt(head.timestamp), baseFee: nextBaseFee(head) };
    for (const seat of this.#seats) await this.#recover(seat);
    await this.#provider.onHead(head, this.head.baseFee);
    await this.#oracle?.onHead(head, this.head.baseFee);
    await this.#traffic.onHead(head, this.head.baseFee, receipts);
  }

  #settle({ transactionHash, from, status }) {
    const seat = this.#seats.find(({ wallet }) => wallet.address.toLowerCase() === from);
    const before = seat?.pending.length;
    if (!seat) return;
    seat.pending = seat.pending.filter(({ hash }) => hash !== transactionHash);
    if (seat.pending.length === before) return;
    this.stats.mined += 1;
    if (status !== '0x1') this.stats.reverted += 1;
  }

  /** A node may drop a transaction without a word; then the nonces after it would wait for ever. */
  async #recover(seat) {
    const oldest = seat.pending[0];
    if (!oldest || this.head.number - oldest.block < LOST_AFTER_BLOCKS) return;
    this.stats.lost += seat.pending.length;
    await this.#sit(seat);
  }

  async #sit(seat) {
    seat.nonce = Number(await this.#rpc.call('eth_getTransactionCount', [seat.wallet.address, 'latest']));
    seat.pending = [];
  }

  // ------------------------------------------------------------------------------------------------ on each trade

  /** Arrivals are planned on an absolute clock, so that a slow moment is caught up with and the rate holds. */
  #schedule(planned) {
    const random = new Random(this.#seed * 1_000_003 + this.#trades++);
    const at = Math.max(planned + random.exponential(1000 / this.#rate), performance.now() - 1000);
    this.#timer = setTimeout(async () => {
      await this.#trade(random).catch(() => (this.stats.refused += 1));
      if (this.#running) this.#schedule(at);
    }, at - performance.now());
  }

  async #trade(random) {
    const path = this.#choosePath(random);
    const swap = await this.#chooseSwap(random, path);
    const seat = this.#chooseSeat(random);
    if (swap.takesPermit && random.chance(PERMIT_SHARE)) {
      swap.permit = await signPermit(this.#rpc, this.#book, seat.wallet, path.hops[0].tokenIn, swap.deadline);
    }
    if (!this.#running) return;
    const { raw, hash, price } = this.#sign(random, seat, swap);

    // Taken before the await, so that a head that arrives meanwhile finds the books right.
    seat.nonce += 1;
    seat.pending.push({ hash, price, block: this.head.number });
    try {
      await this.#rpc.call('eth_sendRawTransaction', [raw]);
      this.stats.sent += 1;
      const name = `${swap.name}${swap.permit ? ' with a permit' : ''}`;
      this.stats.byKind[name] = (this.stats.byKind[name] ?? 0) + 1;
    } catch (error) {
      await this.#sit(seat);
      throw error;
    }
  }

  /** One pool, or two of the same factory, or of the two factories that the Universal Router knows: { venue, hops }. */
  #choosePath(random) {
    const first = this.#choosePool(random);
    const hops = [hop(first, random.chance(this.#sellChance(first)) ? first.token0 : first.token1)];
    const { venue } = first;
    if (!random.chance(MULTI_HOP_SHARE)) return { venue, hops };

    const next = random.chance(MIXED_SHARE) ? (UNIVERSAL_VENUES.get(venue) ?? venue) : venue;
    const { tokenIn, tokenOut } = hops[0];
    const onward = this.#pools.filter(
      (pool) => pool.venue === next && pool !== first && has(pool, tokenOut) && !has(pool, tokenIn),
    );
    if (onward.length === 0) return { venue, hops };
    return { venue: next === venue ? venue : 'universal', hops: [...hops, hop(random.pick(onward), tokenOut)] };
  }

  /** Any; where an oracle moves the prices, rather one that they left behind. */
  #choosePool(random) {
    const drawn = Array.from({ length: this.#oracle ? BEHIND_OF : 1 }, () => random.pick(this.#pools));
    const off = (pool) => Math.abs(this.#percentTooDear(pool));
    return drawn.reduce((one, other) => (off(other) > off(one) ? other : one));
  }

  /** How likely a trader sells token0 to this pool: more than half when the pool pays more than the fair price. */
  #sellChance(pool) {
    return Math.min(0.95, Math.max(0.05, 0.5 + LEAN_PER_PERCENT * this.#percentTooDear(pool)));
  }

  /** What a trader puts into a pool, as a share of its depth: more to one that the prices left behind. */
  #chooseShare(random, { pool, tokenIn }) {
    const share = random.logBetween(...SIZE);
    const percent = this.#percentTooDear(pool);
    const pushesBack = percent > 0 === (tokenIn === pool.token0);
    return this.#oracle && pushesBack ? Math.min(SIZE_MAX, Math.max(share, (CLOSED * Math.abs(percent)) / 200)) : share;
  }

  /** By how much this pool pays more for token0 than the fair price. */
  #percentTooDear({ address, token0, token1 }) {
    const reserves = this.#depths.get(address);
    const value = (token) => {
      const { usd, decimals } = Object.values(this.#book.tokens).find((t) => t.address === token);
      return Math.log(Number(reserves[token]) / 10 ** decimals) + Math.log(usd) + this.#fair.get(token) + (this.#told.get(token) ?? 0);
    };
    return 100 * (value(token1) - value(token0));
  }

  /** Any of the routers that has the path, and any of its functions: a way to swap, with what its `encode` wants but the trader. */
  async #chooseSwap(random, path) {
    const way = random.pick(random.pick(waysToSwap(this.#book, path)));
    const depth = this.#depths.get(path.hops[0].pool.address)[path.hops[0].tokenIn];
    const wanted = (depth * BigInt(Math.round(1e6 * this.#chooseShare(random, path.hops[0])))) / 1_000_000n;
    const slip = BigInt(Math.round(1e6 * random.between(...SLIPPAGE)));
    const deadline = this.head.timestamp + BigInt(Math.round(random.between(...DEADLINE_S)));

    const quotes = new Quotes(this.#rpc, this.#book, this.#depths);
    const out = await quotes.out(path, wanted);
    const least = (out * (1_000_000n - slip)) / 1_000_000n;
    const needed = way.isExactOut ? await quotes.in(path, out) : 0n;
    const most = (needed * (1_000_000n + slip)) / 1_000_000n;
    return { ...way, path, deadline, wanted, least, out, most };
  }

  /** The trader with the least in flight, so that trades rarely queue behind one another. */
  #chooseSeat(random) {
    const least = Math.min(...this.#seats.map(({ pending }) => pending.length));
    return random.pick(this.#seats.filter(({ pending }) => pending.length === least));
  }

  #sign(random, seat, swap) {
    const fees = this.#chooseFees(random, seat);
    const fields = { nonce: seat.nonce, ...swap.encode({ ...swap, trader: seat.wallet.address }), gasLimit: SWAP_GAS, ...fees };
    return { ...signed(seat.wallet, fields), price: fees.maxFeePerGas ?? fees.gasPrice };
  }

  /**
   * A fee cap that no other trade has: anvil orders a block by it, and a bot that follows a trade copies it. A trader who
   * has a transaction in flight bids less for the next one; otherwise that one could slip in between a trade and its follower.
   */
  #chooseFees(random, seat) {
    const { baseFee } = this.head;
    const tip = BigInt(Math.round(1e9 * random.between(1, 3)));
    let cap = tip + (baseFee * BigInt(Math.round(1000 * random.between(1.5, 3)))) / 1000n;
    const before = seat.pending.at(-1);
    if (before && cap >= before.price) cap = before.price - BigInt(Math.round(random.between(1, 1e6)));
    cap = this.#unusedFee(cap);
    if (random.chance(LEGACY_SHARE)) return { type: 0, gasPrice: cap };
    return { type: 2, maxFeePerGas: cap, maxPriorityFeePerGas: tip < cap ? tip : cap };
  }

  #unusedFee(cap) {
    while (this.#usedFees.has(cap)) cap -= 1n;
    this.#usedFees.add(cap);
    return cap;
  }
}

/** Everything else that happens on a chain: one transaction per block that uses gas, and pays less than any trade. */
class Traffic {
  #rpc;
  #book;
  #random;
  #nonce = 0;
  #waiting = null;
  #otherGas = 500_000;
  #target = Math.log(BASE_FEE_GWEI);

  constructor(rpc, book, seed) {
    [this.#rpc, this.#book, this.#random] = [rpc, book, new Random(seed + 1)];
  }

  async sit() {
    this.#nonce = Number(await this.#rpc.call('eth_getTransactionCount', [bystander.address, 'latest']));
    this.#waiting = null;
  }

  async onHead(head, baseFee, receipts) {
    const mine = receipts.find(({ transactionHash }) => transactionHash === this.#waiting?.hash);
    this.#otherGas += 0.2 * (Number(head.gasUsed) - Number(mine?.gasUsed ?? 0) - this.#otherGas);
    if (mine) this.#waiting = null;
    else if (this.#waiting && Number(head.number) - this.#waiting.block < LOST_AFTER_BLOCKS) return;
    else if (this.#waiting) await this.sit();

    // The fee that it steers to wanders between about 8 and 13 gwei.
    this.#target += 0.05 * (Math.log(BASE_FEE_GWEI) - this.#target) + 0.03 * this.#random.normal();
    const off = this.#target - Math.log(Number(baseFee) / 1e9);
    // A block of gas g moves the fee by (g / half - 1) / 8, so this much would close the gap in four blocks.
    const half = BLOCK_GAS / 2;
    const wanted = half * (1 + Math.min(0.8, Math.max(-1, 2 * off))) - this.#otherGas;
    if (wanted < 100_000) return;
    await this.#send(BigInt(Math.round(wanted)), baseFee, Number(head.number));
  }

  async #send(gas, baseFee, block) {
    const data = BUSY.encodeFunctionData('work', [gas - 25_000n]);
    const fees = { maxFeePerGas: (baseFee * 5n) / 4n + GWEI, maxPriorityFeePerGas: GWEI / 10n };
    const fields = { type: 2, nonce: this.#nonce, to: this.#book.busy, data, gasLimit: gas + 25_000n, ...fees };
    const { raw, hash } = signed(bystander, fields);
    this.#waiting = { hash, block };
    this.#nonce += 1;
    await this.#rpc.call('eth_sendRawTransaction', [raw]).catch(() => this.sit());
  }
}

/** EIP-1559. */
function nextBaseFee({ baseFeePerGas, gasUsed, gasLimit }) {
  const [fee, used, target] = [BigInt(baseFeePerGas), BigInt(gasUsed), BigInt(gasLimit) / 2n];
  const change = (fee * (used - target)) / target / 8n;
  return used > target && change === 0n ? fee + 1n : fee + change;
}

/** Through one pool, from one of its tokens to the other. */
function hop(pool, tokenIn) {
  return { pool, tokenIn, tokenOut: tokenIn === pool.token0 ? pool.token1 : pool.token0 };
}

const has = ({ token0, token1 }, token) => token0 === token || token1 === token;
