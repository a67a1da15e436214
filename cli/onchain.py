"""The control plane as people use it: reads, transactions that are waited for, receipts, deployment.

The only place where web3 is imported, and only when a command needs it: https://web3py.readthedocs.io
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import typer

import contracts
from cli.client import CommandError
from cli.place import Place
from cli.reverts import OF_SENDER, Refusal, read_refusal
from cli.wallet import Wallet

if TYPE_CHECKING:
    from hexbytes import HexBytes
    from web3 import Web3
    from web3.contract import Contract
    from web3.types import TxParams

# Estimates are no use on Sapphire, where they are made in nobody's name. Measured: contracts/README.md, "Gas".
_GAS = 250_000
_DEPLOYMENT_GAS = 3_000_000
_GAS_PER_BYTE = 900  # of a ciphertext

_TESTNET = 23295
_SECONDS = 30
_BLOCK_SECONDS = 120
_POLL_SECONDS = 0.5
_AT_ONCE = 8

T = TypeVar("T")
Answer = TypeVar("Answer")


class RefusedError(CommandError):
    """The contract didn't answer a question."""


@dataclass(frozen=True, slots=True)
class Act:
    """A transaction to come: a function of the contract with its arguments. `tells` says in words what it does."""

    function: str
    arguments: tuple[Any, ...] = ()
    tells: str = ""

    @property
    def gas(self) -> int:
        """The most that it may take."""
        sizes = (len(value) for value in self.arguments if isinstance(value, bytes))
        return _GAS + _GAS_PER_BYTE * sum(size for size in sizes if size > 32)


class ControlPlane:
    """The contract at a place. Anybody reads; a wallet writes. What goes wrong is a CommandError of one line."""

    def __init__(self, place: Place) -> None:
        """Asks whether it is the right chain, and whether anything stands at the address."""
        self.place = place
        self._web3 = _connect(place)
        self.contract: Contract = self._web3.eth.contract(  # type: ignore[call-overload]  # wants a literal checksum type
            address=place.contract, abi=contracts.control_plane().abi
        )
        with _asking(place):
            if not self._web3.eth.get_code(self.contract.address):
                raise CommandError(f"There is no contract at {place.contract} on chain {place.chain_id}.")

    def read(self, function: str, *arguments: Any) -> Any:
        """What a view says; several values as a list."""
        from web3.exceptions import BadFunctionCallOutput, ContractLogicError

        with _asking(self.place):
            try:
                return self.contract.functions[function](*arguments).call()
            except ContractLogicError as error:
                refusal = _refusal(error)
                raise RefusedError(
                    f"{function}: {refusal.text}." if refusal.name else self._stranger(function)
                ) from None
            except BadFunctionCallOutput:
                raise RefusedError(self._stranger(function)) from None

    def read_all(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What several views say, in the order of `calls` (function, arguments …), some asked at a time."""
        return at_once(lambda call: self.read(*call), calls)

    def send(self, wallet: Wallet, acts: Sequence[Act]) -> Iterator[Act]:
        """Sends transactions one behind the other, and gives each back when it stands in a block.

        Nothing is sent when one of them would fail, as far as the node can tell.
        """
        for act in acts:
            if (refusal := self._refused(wallet, act)) is not None:
                raise CommandError(f"Nothing was sent: {refusal.text}.")
        sent: list[tuple[Act, HexBytes]] = []
        troubles: list[str] = []
        for act, transaction in zip(acts, self._transactions(wallet, acts), strict=True):
            try:
                sent.append((act, _submit(self._web3, self.place, wallet, transaction)))
            except CommandError as error:
                troubles.append(f"{act.function} was not sent. {error}")
                break  # what comes after it would wait for its nonce
        for act, hash_ in sent:
            receipt = _included(self._web3, self.place, hash_)
            if receipt["status"]:
                yield act
            else:
                troubles.append(f"Transaction {hash_.to_0x_hex()} failed: {self._cause(wallet, act, receipt)}.")
        if troubles:
            raise CommandError(" ".join(troubles))

    def receipts_in(self, block: int) -> list[dict[str, Any]]:
        """The receipts that were logged in a block: the event's fields, `block` and `transaction`."""
        with _asking(self.place):
            return [
                _read_log(log) for log in self.contract.events.ReceiptLogged.get_logs(from_block=block, to_block=block)
            ]

    def receipts_of(self, transaction: str) -> list[dict[str, Any]]:
        """The receipts that a transaction logged, as in `receipts_in`; none for one that isn't in a block."""
        from web3.exceptions import TransactionNotFound
        from web3.logs import DISCARD

        with _asking(self.place):
            try:
                found = self._web3.eth.get_transaction_receipt(self._web3.to_bytes(hexstr=transaction))  # type: ignore[arg-type]  # HexStr is a NewType of str
            except TransactionNotFound:
                return []
            logs = self.contract.events.ReceiptLogged.process_receipt(found, errors=DISCARD)
        return [_read_log(log) for log in logs if log["address"] == self.contract.address]

    def has_code(self, address: str) -> bool:
        """Whether a contract stands there."""
        with _asking(self.place):
            return bool(self._web3.eth.get_code(self._web3.to_checksum_address(address)))

    def _transactions(self, wallet: Wallet, acts: Sequence[Act]) -> list[TxParams]:
        calls = [(act.gas, self.contract.encode_abi(act.function, args=act.arguments)) for act in acts]
        drafts = _drafts(self._web3, self.place, wallet, calls)
        return [{**draft, "to": self.contract.address} for draft in drafts]

    def _refused(self, wallet: Wallet, act: Act) -> Refusal | None:
        """What the contract would say to a transaction; None for a yes, and where the node can't know."""
        from web3.exceptions import ContractLogicError

        with _asking(self.place):
            try:
                sender = self._web3.to_checksum_address(wallet.address)
                self.contract.functions[act.function](*act.arguments).call({"from": sender})
            except ContractLogicError as error:
                refusal = _refusal(error)
                nobody = refusal.name in OF_SENDER and not self._heeds_sender
                return None if nobody else refusal
        return None

    def _cause(self, wallet: Wallet, act: Act, receipt: Mapping[str, Any]) -> str:
        if (refusal := self._refused(wallet, act)) is not None:
            return refusal.text
        return "its gas was used up" if receipt["gasUsed"] >= act.gas else f"the contract refused {act.function}"

    @cached_property
    def _heeds_sender(self) -> bool:
        """Whether the node makes an unsigned call in the name that `from` gives: the administrator may always pause."""
        from web3.exceptions import ContractLogicError

        with _asking(self.place):
            try:
                self.contract.functions.pause().call({"from": self.contract.functions.owner().call()})
            except ContractLogicError:
                return False
        return True

    def _stranger(self, function: str) -> str:
        return (
            f"The contract at {self.place.contract} doesn't answer `{function}`: it is none of ours, or an older one."
        )


def at_once(ask: Callable[[T], Answer], things: Iterable[T]) -> list[Answer]:
    """Asks about several things side by side; the answers in their order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, things))


def carry_out(plane: ControlPlane, wallet: Wallet, acts: Sequence[Act]) -> None:
    """Sends transactions, and tells of each when it stands in a block."""
    for act in plane.send(wallet, acts):
        if act.tells:
            typer.echo(act.tells)


def deploy(place: Place, wallet: Wallet, administrator: str) -> str:
    """Puts a new control plane on the chain; gives its address. The one in `place` doesn't matter."""
    web3 = _connect(place)
    artifact = contracts.control_plane()
    code = artifact.bytecode + bytes.fromhex(administrator[2:]).rjust(32, b"\0")
    [transaction] = _drafts(web3, place, wallet, [(_DEPLOYMENT_GAS, f"0x{code.hex()}")])
    hash_ = _submit(web3, place, wallet, transaction)
    receipt = _included(web3, place, hash_)
    if not receipt["status"] or not receipt["contractAddress"]:
        raise CommandError(f"Transaction {hash_.to_0x_hex()} failed, and no contract was made.")
    return str(receipt["contractAddress"])


def _connect(place: Place) -> Web3:
    from web3 import Web3

    web3 = Web3(Web3.HTTPProvider(place.rpc_url, request_kwargs={"timeout": _SECONDS}))
    web3.middleware_onion.remove("validation")  # it asks for the chain's id before and after every call
    with _asking(place):
        found = web3.eth.chain_id
    if found != place.chain_id:
        raise CommandError(f"The node at {place.host} is on chain {found}, not {place.chain_id}.")
    return web3


def _drafts(web3: Web3, place: Place, wallet: Wallet, calls: Sequence[tuple[int, str]]) -> list[TxParams]:
    """Transactions with all their fields, so that nothing is estimated. `calls` are gas and data."""
    from web3.types import Nonce

    sender = web3.to_checksum_address(wallet.address)
    with _asking(place):
        price, nonce = web3.eth.gas_price, web3.eth.get_transaction_count(sender, "pending")
        balance = web3.eth.get_balance(sender)
    if balance < (cost := sum(gas for gas, _ in calls) * price):
        has, needs = (f"{value / 10**18:.4f}" for value in (balance, cost))
        faucet = " Test tokens: https://faucet.testnet.oasis.io" if place.chain_id == _TESTNET else ""
        raise CommandError(f"{sender} has {has} on chain {place.chain_id} and needs up to {needs} for gas.{faucet}")
    fields: TxParams = {"chainId": place.chain_id, "gasPrice": price, "value": web3.to_wei(0, "wei")}
    return [
        {**fields, "nonce": Nonce(nonce + number), "gas": gas, "data": web3.to_bytes(hexstr=data)}  # type: ignore[arg-type]  # HexStr is a NewType of str
        for number, (gas, data) in enumerate(calls)
    ]


def _submit(web3: Web3, place: Place, wallet: Wallet, transaction: TxParams) -> HexBytes:
    from eth_account import Account

    signed = Account.from_key(wallet.key.secret).sign_transaction(dict(transaction))
    with _asking(place):
        return web3.eth.send_raw_transaction(signed.raw_transaction)


def _included(web3: Web3, place: Place, hash_: HexBytes) -> dict[str, Any]:
    from web3.exceptions import TimeExhausted

    with _asking(place):
        try:
            found = web3.eth.wait_for_transaction_receipt(hash_, timeout=_BLOCK_SECONDS, poll_latency=_POLL_SECONDS)
        except TimeExhausted:
            raise CommandError(
                f"Transaction {hash_.to_0x_hex()} is in no block after {_BLOCK_SECONDS} s. Look for it before you send it again."
            ) from None
    return dict(found)


def _read_log(log: Any) -> dict[str, Any]:
    return {**log["args"], "block": log["blockNumber"], "transaction": log["transactionHash"].to_0x_hex()}


def _refusal(error: Any) -> Refusal:
    data = error.data if isinstance(error.data, str) else ""
    return read_refusal(data, error.message if isinstance(error.message, str) and error.message != data else "")


@contextmanager
def _asking(place: Place) -> Iterator[None]:
    """Turns what a node and its client may raise into one line."""
    from web3.exceptions import Web3Exception

    try:
        yield
    except Web3Exception as error:
        told = getattr(error, "rpc_response", None) or {}
        why = told.get("error", {}).get("message") if isinstance(told, dict) else None
        raise CommandError(f"The node at {place.host} says: {why or error}.") from None
    except OSError as error:  # of requests
        raise CommandError(f"The node at {place.host} can't be asked ({type(error).__name__}).") from None
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:  # web3 stumbles over odd replies in all these ways
        raise CommandError(f"What answers at {place.host} is no node ({type(error).__name__}).") from error
