"""Blocks, transactions, receipts and logs as JSON-RPC shows them.

https://ethereum.github.io/execution-apis/
"""

from __future__ import annotations

from typing import Any

from eth.abc import BlockHeaderAPI, SignedTransactionAPI

from emulator.devchain.records import Log, Mined
from emulator.devchain.wire import write_bytes, write_quantity

Json = dict[str, Any]


def write_log(log: Log) -> Json:
    """One event."""
    return {
        "address": write_bytes(log.address),
        "topics": [write_bytes(topic) for topic in log.topics],
        "data": write_bytes(log.data),
        "blockNumber": write_quantity(log.block_number),
        "blockHash": write_bytes(log.block_hash),
        "transactionHash": write_bytes(log.transaction_hash),
        "transactionIndex": write_quantity(log.transaction_index),
        "logIndex": write_quantity(log.index),
        "removed": False,
    }


def write_receipt(mined: Mined) -> Json:
    """What came of a transaction."""
    transaction, header = mined.transaction, mined.header
    return {
        "transactionHash": write_bytes(transaction.hash),
        "transactionIndex": write_quantity(mined.index),
        "blockHash": write_bytes(header.hash),
        "blockNumber": write_quantity(header.block_number),
        "from": write_bytes(transaction.sender),
        "to": write_bytes(transaction.to) if transaction.to else None,
        "contractAddress": write_bytes(mined.contract) if mined.contract and mined.succeeded else None,
        "cumulativeGasUsed": write_quantity(mined.cumulative_gas_used),
        "gasUsed": write_quantity(mined.gas_used),
        "effectiveGasPrice": write_quantity(mined.gas_price),
        "logs": [write_log(log) for log in mined.logs],
        "logsBloom": write_bytes(mined.bloom.to_bytes(256, "big")),
        "status": write_quantity(int(mined.succeeded)),
        "type": write_quantity(_type(transaction)),
    }


def write_transaction(transaction: SignedTransactionAPI, mined: Mined | None) -> Json:
    """A transaction, in its block or waiting for one."""
    shown: Json = {
        "hash": write_bytes(transaction.hash),
        "blockHash": write_bytes(mined.header.hash) if mined else None,
        "blockNumber": write_quantity(mined.header.block_number) if mined else None,
        "transactionIndex": write_quantity(mined.index) if mined else None,
        "from": write_bytes(transaction.sender),
        "to": write_bytes(transaction.to) if transaction.to else None,
        "nonce": write_quantity(transaction.nonce),
        "gas": write_quantity(transaction.gas),
        "gasPrice": write_quantity(mined.gas_price if mined else transaction.max_fee_per_gas),
        "value": write_quantity(transaction.value),
        "input": write_bytes(transaction.data),
        "chainId": None if transaction.chain_id is None else write_quantity(transaction.chain_id),
        "r": write_quantity(transaction.r),
        "s": write_quantity(transaction.s),
        "type": write_quantity(_type(transaction)),
    }
    if _type(transaction) == 0:
        return {**shown, "v": write_quantity(transaction.y_parity + 35 + 2 * (transaction.chain_id or 0))}
    shown |= {"v": write_quantity(transaction.y_parity), "yParity": write_quantity(transaction.y_parity)}
    shown["accessList"] = [
        {"address": write_bytes(address), "storageKeys": [write_bytes(slot.to_bytes(32, "big")) for slot in slots]}
        for address, slots in transaction.access_list
    ]
    if _type(transaction) == 2:
        shown["maxFeePerGas"] = write_quantity(transaction.max_fee_per_gas)
        shown["maxPriorityFeePerGas"] = write_quantity(transaction.max_priority_fee_per_gas)
    return shown


def write_block(header: BlockHeaderAPI, transactions: list[Mined], *, full: bool) -> Json:
    """A block, its transactions whole or as hashes."""
    return {
        "number": write_quantity(header.block_number),
        "hash": write_bytes(header.hash),
        "parentHash": write_bytes(header.parent_hash),
        "sha3Uncles": write_bytes(header.uncles_hash),
        "logsBloom": write_bytes(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": write_bytes(header.transaction_root),
        "stateRoot": write_bytes(header.state_root),
        "receiptsRoot": write_bytes(header.receipt_root),
        "miner": write_bytes(header.coinbase),
        "difficulty": write_quantity(header.difficulty),
        "totalDifficulty": write_quantity(0),
        "extraData": write_bytes(header.extra_data),
        "mixHash": write_bytes(header.mix_hash),
        "nonce": write_bytes(header.nonce),
        "size": write_quantity(0),
        "gasLimit": write_quantity(header.gas_limit),
        "gasUsed": write_quantity(header.gas_used),
        "timestamp": write_quantity(header.timestamp),
        "baseFeePerGas": write_quantity(header.base_fee_per_gas or 0),
        "transactions": [
            write_transaction(mined.transaction, mined) if full else write_bytes(mined.transaction.hash)
            for mined in transactions
        ],
        "uncles": [],
    }


def _type(transaction: SignedTransactionAPI) -> int:
    return transaction.type_id or 0
