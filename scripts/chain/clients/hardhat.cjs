// Hardhat on loopback: node hardhat.cjs CHAIN, where CHAIN is the JSON that second.mjs makes. It mines on `evm_mine` until it
// is told an interval.

process.env.HARDHAT_CONFIG = require.resolve('./hardhat.config.cjs');
process.env.HARDHAT_DISABLE_TELEMETRY_PROMPT = 'true';

const hardhat = require('hardhat');

const { port } = JSON.parse(process.argv[2]);

process.on('SIGTERM', () => process.exit(0));
hardhat.run('node', { hostname: '127.0.0.1', port }).catch((error) => {
  console.error(error);
  process.exit(1);
});
