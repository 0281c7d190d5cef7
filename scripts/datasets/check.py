"""What scripts/test-datasets does once everything is installed: see there. Its one argument is the bot."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cryo
import duckdb
import pyarrow
import pyarrow.parquet

BLOCKS = 30
CHUNK = 8
FLOWN = 24
SCRATCH = Path("target/datasets/run")
RECORDING = SCRATCH / "recording"


def main(bot):
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    log = SCRATCH / "devnet.log"
    command = ["scripts/devnet", "--port", "0", "--rate", "5", "--out", SCRATCH / "addresses.json"]
    with log.open("w") as out:
        devnet = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        node = Node(wait(devnet, lambda: re.search(r"ready: ws(://\S+:\d+)", log.read_text())))
        wait(devnet, lambda: node.height() >= BLOCKS)
        # cryo tells much; it is worth reading when it fails.
        blocks = [node.ask("eth_getBlockByNumber", hex(number), True) for number in range(BLOCKS)]
        logs = node.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(BLOCKS - 1)})
        frozen = {}
        for name, options in {
            "plain": {},
            "hex": {"hex": True},
            "whole": {"include_columns": ["parent_hash", "logs_bloom", "block_hash", "timestamp"]},
        }.items():
            frozen[name] = freeze(node.url, name, options)
        raw = {tx["hash"]: node.ask("eth_getRawTransactionByHash", tx["hash"])
               for block in blocks for tx in block["transactions"]}
        check_flight(bot, node, devnet)
    finally:
        devnet.terminate()
        devnet.wait()
    for name, folder in frozen.items():
        check_blocks(bot, name, folder, blocks, logs)
    check_mempool(bot, blocks, raw)
    print("passed")


class Node:
    """The node, which is the oracle."""

    def __init__(self, found):
        self.url = "http" + found.group(1)

    def ask(self, method, *params):
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url, json.dumps(question).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["result"]

    def height(self):
        return int(self.ask("eth_blockNumber"), 16)


def wait(process, happened, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the devnet ended: see {SCRATCH}/devnet.log")
        if found := happened():
            return found
        time.sleep(0.2)
    raise SystemExit(f"the devnet was not ready within {seconds} s: see {SCRATCH}/devnet.log")


def check_flight(bot, node, devnet):
    """What the strategies make of cryo's blocks is what they make of the same blocks as the bot recorded them."""
    # Without pending transactions in cryo's data sets there is nothing to run behind.
    config = SCRATCH / "config.toml"
    tables = re.split(r"(?m)^(?=\[)", Path("config.toml").read_text())
    config.write_text("".join(table for table in tables if not table.startswith("[strategy.backrun]")))
    own = SCRATCH / "own"
    options = ["--config", config, "--set", f"node.url={node.url.replace('http', 'ws')}"]
    log = SCRATCH / "record.log"
    # The market rests, though not the node, until the bot has tried the pools: both flights begin with the same ones.
    devnet.send_signal(signal.SIGSTOP)
    try:
        with log.open("w") as out:
            recorder = subprocess.Popen([bot, "record", "--out", own, *options], stdout=out, stderr=out)
        wait(recorder, lambda: "every pool was tried" in log.read_text())
        last = node.height() + 1 + FLOWN
    finally:
        devnet.send_signal(signal.SIGCONT)
    wait(devnet, lambda: node.height() > last + 1)
    recorder.send_signal(signal.SIGINT)
    same("exit of gannet record", recorder.wait(60), 0)
    # A flight over cryo's blocks begins on the one before the first, as the bot did before its first plan: where it began to
    # trade is a matter of milliseconds.
    first = min(plan[0] for plan in flown(bot, own, config, 0, last))
    folder = SCRATCH / "cryo-flown"
    folder.mkdir()
    for data_set in ("blocks", "transactions", "logs"):
        cryo.freeze(data_set, blocks=[f"{first}:{last + 1}"], rpc=node.url, output_dir=str(folder),
                    chunk_size=CHUNK, verbose=False)
    shutil.rmtree(RECORDING, ignore_errors=True)
    imported(bot, "cryo", folder, "--pools-of", config, *options[2:])
    plans = [flown(bot, recording, config, first, last) for recording in (RECORDING, own)]
    for place, (found, wanted) in enumerate(zip(*plans)):
        same(f"plan {place} over cryo's blocks", found, wanted)
    same("plans over cryo's blocks", len(plans[0]), len(plans[1]))
    if not plans[0]:
        raise SystemExit("the strategies made no plan, so nothing was compared")
    print(f"cryo, flown: {len(plans[0])} plans in {FLOWN} blocks, the same as over the bot's own recording")


def flown(bot, recording, config, first, last):
    command = [bot, "backtest", recording, "--config", config, "--from", str(first), "--to", str(last), "--json"]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [(plan["block"], plan["strategy"], plan["legs"], plan["profit"], plan["net_wei"], plan["end"])
            for plan in done["planned"] if plan["block"] <= last]


def freeze(url, name, options):
    """Freezes the chain, and gives the folder."""
    folder = SCRATCH / f"cryo-{name}"
    folder.mkdir()
    known = {
        "blocks": {"parent_hash", "logs_bloom"},
        "transactions": {"block_hash", "timestamp"},
        "logs": {"block_hash"},
        "contracts": set(),
    }
    for data_set, columns in known.items():
        wanted = dict(options)
        if "include_columns" in wanted:
            wanted["include_columns"] = sorted(columns & set(wanted["include_columns"]))
        cryo.freeze(data_set, blocks=[f"0:{BLOCKS}"], rpc=url, output_dir=str(folder),
                    chunk_size=CHUNK, verbose=False, **wanted)
    return folder


def imported(bot, kind, *paths):
    command = [bot, "import", kind, *paths, "--out", RECORDING, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def query(text):
    return duckdb.sql(text.replace("@", f"{RECORDING}/")).fetchall()


def same(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found}; wanted {wanted}")


def check_blocks(bot, name, folder, blocks, logs):
    shutil.rmtree(RECORDING, ignore_errors=True)
    report = imported(bot, "cryo", folder)
    same("chain", report["chain_id"], 31337)
    same("passed over", "passed over: contracts" in report["remarks"], True)
    is_whole = name == "whole"
    unchecked = [remark for remark in report["remarks"] if remark.startswith("not checked")]
    same("checks left out", len(unchecked), 1 if is_whole else 5)
    found = query("SELECT block_number, lower(hex(block_hash)) FROM '@blocks/*.parquet' ORDER BY 1")
    same("blocks", found, [(int(block["number"], 16), block["hash"][2:]) for block in blocks])
    found = query("""SELECT block_number, lower(hex(transaction_hash)), lower(hex(value_binary))
        FROM '@transactions/*.parquet' ORDER BY block_number, transaction_index""")
    wanted = [(int(tx["blockNumber"], 16), tx["hash"][2:], tx["value"][2:].zfill(64))
              for block in blocks for tx in block["transactions"]]
    same("transactions", found, wanted)
    found = query("""SELECT lower(hex(transaction_hash)), log_index, lower(hex(address)),
        lower(hex(topic0)), lower(hex(data)) FROM '@logs/*.parquet' ORDER BY block_number, log_index""")
    wanted = [(log["transactionHash"][2:], int(log["logIndex"], 16), log["address"][2:],
               log["topics"][0][2:], log["data"][2:]) for log in logs]
    same("logs", found, wanted)
    if is_whole:
        found = query("SELECT count(*) FROM '@blocks/*.parquet' WHERE logs_complete")
        same("blocks whose filter agrees", found, [(BLOCKS,)])
    print(f"cryo, {name}: {report['blocks']} blocks, {len(wanted)} logs, as the node has them")


def check_mempool(bot, blocks, raw):
    """Writes a file of mempool-dumpster's columns, as its source declares them, and adds it."""
    rows = []
    for block in blocks:
        seen = int(block["timestamp"], 16) * 1000 - 400
        for tx in block["transactions"]:
            rows.append({
                "timestamp": seen, "hash": tx["hash"], "chainId": "31337",
                "txType": int(tx["type"], 16), "from": tx["from"], "to": tx["to"] or "",
                "value": str(int(tx["value"], 16)), "nonce": str(int(tx["nonce"], 16)),
                "gas": str(int(tx["gas"], 16)), "gasPrice": str(int(tx["gasPrice"], 16)),
                "gasTipCap": "1", "gasFeeCap": "2", "dataSize": len(tx["input"]) // 2 - 1,
                "data4Bytes": tx["input"][:10], "sources": ["local", "apool"],
                "includedAtBlockHeight": int(block["number"], 16),
                "includedBlockTimestamp": seen + 400, "inclusionDelayMs": 400,
                "rawTx": bytes.fromhex(raw[tx["hash"]][2:]),
            })
    table = pyarrow.Table.from_pylist(rows)
    for column in ("timestamp", "includedBlockTimestamp"):
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, table[column].cast(pyarrow.timestamp("ms", "UTC")))
    path = SCRATCH / "mempool.parquet"
    pyarrow.parquet.write_table(table, path)
    report = imported(bot, "mempool-dumpster", path)
    same("blocks beside the mempool", report["blocks"], BLOCKS)
    same("sightings", report["mempool"]["rows"], len(rows))
    same("sightings that cannot be replayed", report["mempool"]["without_raw"], 0)
    found = query("""SELECT count(*), sum(CAST(m.value AS HUGEINT)), min(len(m.sources))
        FROM '@mempool/*.parquet' m JOIN '@transactions/*.parquet' t
        ON m.hash = '0x' || lower(hex(t.transaction_hash))
        AND m.includedAtBlockHeight = t.block_number""")
    same("sightings that are in a block", found, [(len(rows), sum(int(row["value"]) for row in rows), 2)])
    print(f"mempool-dumpster: {len(rows)} sightings, each joined to its transaction")


if __name__ == "__main__":
    main(sys.argv[1])
