// Ganache on loopback: node ganache.cjs CHAIN, where CHAIN is the JSON that second.mjs makes. It mines at the interval from
// the start, and on `evm_mine`.

const ganache = require('ganache');

const chain = JSON.parse(process.argv[2]);

const server = ganache.server({
  logging: { quiet: true },
  chain: { chainId: chain.id, networkId: chain.id, hardfork: 'shanghai' },
  miner: { blockTime: chain.blockTime, blockGasLimit: chain.blockGas },
  wallet: { mnemonic: chain.mnemonic, totalAccounts: chain.accounts, defaultBalance: chain.balanceEther },
});

server.listen(chain.port, '127.0.0.1', (error) => {
  if (error) throw error;
});
process.on('SIGTERM', () => process.exit(0));
