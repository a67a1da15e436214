"""The control plane contract: who may do what, what is readable when, and that no receipt is lost or forged."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from eth_abi.abi import encode

from shared.chain import keccak256, model_ids, provider_id
from tests.chain.plane import (
    ADMIN,
    ARTIFACT,
    EVENTS,
    FRIEND,
    FUNCTIONS,
    GATEWAY,
    HEIR,
    MULTICALL,
    MULTICALL_FUNCTIONS,
    OWNER,
    RELAYER,
    STRANGER,
    Plane,
    RevertedError,
    event,
    events,
    reverted,
)

CONTRACTS = Path(__file__).parents[2] / "contracts"
ZERO = "0x" + "00" * 20
OPENAI, XAI = provider_id("openai"), provider_id("xai")
MODEL = model_ids("gpt-4o")[2]
KEY_1, KEY_2 = b"\x11" * 32, b"\x22" * 32
APP = bytes.fromhex("00952792f288c5d513349600a1aa145746da88e74b")
OTHER_APP = bytes.fromhex("00" + "ab" * 20)


@pytest.fixture
def plane() -> Plane:
    """A contract with a gateway, a gateway key and one provider."""
    plane = Plane()
    plane.send(ADMIN, "setGateway", GATEWAY)
    plane.send(ADMIN, "setRoflKey", KEY_1, True)
    plane.send(ADMIN, "addProvider", OPENAI)
    return plane


def refusal(plane: Plane, sender: str, function: str, *args: object) -> tuple[object, ...]:
    with pytest.raises(RevertedError) as caught:
        plane.send(sender, function, *args)
    return caught.value.args


def receipt(number: int, owner: str = OWNER, delegate: str = OWNER) -> tuple[object, ...]:
    return keccak256(b"request %d" % number), owner, delegate, OPENAI, MODEL, 1200, 34


class TestInterface:
    """The names and types that clients are built on."""

    @pytest.mark.parametrize(
        ("signature", "outputs", "mutability"),
        [
            ("isPaused()", "bool", "view"),
            ("isDelegatePermitted(address,address)", "bool", "view"),
            ("isModelPermitted(address,bytes32,bytes32)", "bool", "view"),
            ("getSecretCiphertext(address,bytes32)", "bytes,uint64,bool,uint64", "view"),
            ("logReceipt(bytes32,address,address,bytes32,bytes32,uint32,uint32)", "", "nonpayable"),
            ("setSecret(bytes32,bytes)", "", "nonpayable"),
            ("revokeSecret(bytes32)", "", "nonpayable"),
            ("addDelegate(address)", "", "nonpayable"),
            ("removeDelegate(address)", "", "nonpayable"),
            ("addAllowedModel(bytes32,bytes32)", "", "nonpayable"),
            ("removeAllowedModel(bytes32,bytes32)", "", "nonpayable"),
            ("addProvider(bytes32)", "", "nonpayable"),
            ("removeProvider(bytes32)", "", "nonpayable"),
            ("setRoflKey(bytes,bool)", "", "nonpayable"),
            ("getRoflKey()", "bytes,uint64,bool", "view"),
            ("setGateway(address)", "", "nonpayable"),
            ("setRoflAppId(bytes21)", "", "nonpayable"),
            ("pause()", "", "nonpayable"),
            ("unpause()", "", "nonpayable"),
            ("isValidProvider(bytes32)", "bool", "view"),
            ("delegateCount(address)", "uint32", "view"),
            ("modelCount(address,bytes32)", "uint32", "view"),
        ],
    )
    def test_function(self, signature: str, outputs: str, mutability: str) -> None:
        function = FUNCTIONS[signature.split("(")[0]]
        assert function.text == signature
        assert ",".join(one["type"] for one in function.entry["outputs"]) == outputs
        assert function.entry["stateMutability"] == mutability

    def test_parameter_names_of_the_receipt(self) -> None:
        names = ["requestHash", "owner", "delegate", "providerId", "modelId", "promptTokens", "completionTokens"]
        assert [one["name"] for one in FUNCTIONS["logReceipt"].entry["inputs"]] == names
        logged = EVENTS[
            keccak256(b"ReceiptLogged(bytes32,address,address,bytes32,bytes32,uint32,uint32,uint64,uint64,uint64)")
        ]
        assert [one["name"] for one in logged.entry["inputs"]] == [
            *names,
            "roflKeyVersion",
            "secretVersion",
            "timestamp",
        ]
        assert [one["name"] for one in logged.entry["inputs"] if one["indexed"]] == names[:3]

    @pytest.mark.parametrize(
        ("selector", "name"), [("ea8e4eb5", "NotAuthorized"), ("6890282f", "RoflOriginNotAuthorizedForApp")]
    )
    def test_errors_that_appd_answers_are_told_by(self, selector: str, name: str) -> None:
        assert reverted(bytes.fromhex(selector)).name == name

    def test_fits_into_a_block_and_under_the_size_limit(self) -> None:
        assert len(ARTIFACT.runtime) < 24_576


class TestAdministration:
    def test_only_the_administrator_administers(self, plane: Plane) -> None:
        calls: list[tuple[object, ...]] = [
            ("transferOwnership", STRANGER),
            ("pause",),
            ("unpause",),
            ("setGateway", STRANGER),
            ("setRoflAppId", APP),
            ("setRoflKey", KEY_2, True),
            ("setRoflKeyActive", 1, False),
            ("addProvider", XAI),
            ("removeProvider", OPENAI),
        ]
        for function, *args in calls:
            assert refusal(plane, STRANGER, str(function), *args) == ("NotAuthorized",)
            assert refusal(plane, GATEWAY, str(function), *args) == ("NotAuthorized",)

    def test_handing_over_takes_two_steps(self, plane: Plane) -> None:
        assert plane.send(ADMIN, "transferOwnership", HEIR) == [
            ("OwnershipTransferStarted", {"previousOwner": ADMIN, "newOwner": HEIR})
        ]
        assert (plane.read("owner"), plane.read("pendingOwner")) == (ADMIN, HEIR)
        assert refusal(plane, STRANGER, "acceptOwnership") == ("NotAuthorized",)
        assert refusal(plane, HEIR, "pause") == ("NotAuthorized",)
        assert plane.send(HEIR, "acceptOwnership") == [
            ("OwnershipTransferred", {"previousOwner": ADMIN, "newOwner": HEIR})
        ]
        assert (plane.read("owner"), plane.read("pendingOwner")) == (HEIR, ZERO)
        assert refusal(plane, ADMIN, "pause") == ("NotAuthorized",)
        assert refusal(plane, HEIR, "acceptOwnership") == ("NotAuthorized",)

    def test_an_offer_can_be_taken_back(self, plane: Plane) -> None:
        plane.send(ADMIN, "transferOwnership", HEIR)
        plane.send(ADMIN, "transferOwnership", ZERO)
        assert refusal(plane, HEIR, "acceptOwnership") == ("NotAuthorized",)

    def test_nobody_can_deploy_it_without_an_administrator(self, plane: Plane) -> None:
        with pytest.raises(RevertedError) as caught:
            plane.transact(ADMIN, None, ARTIFACT.bytecode + bytes(32), gas=4_000_000)
        assert caught.value.name == "ZeroAddress"

    def test_providers(self, plane: Plane) -> None:
        assert plane.send(ADMIN, "addProvider", XAI) == [("ProviderAdded", {"providerId": XAI})]
        assert plane.send(ADMIN, "addProvider", XAI) == []
        assert sorted(plane.read("providers")) == sorted([OPENAI, XAI])
        assert plane.send(ADMIN, "removeProvider", OPENAI) == [("ProviderRemoved", {"providerId": OPENAI})]
        assert plane.read("isValidProvider", OPENAI) is False
        assert plane.read("isValidProvider", XAI) is True
        assert plane.read("providers") == (XAI,)
        assert refusal(plane, ADMIN, "removeProvider", OPENAI) == ("UnknownProvider", OPENAI)
        assert refusal(plane, ADMIN, "addProvider", bytes(32)) == ("ZeroId",)

    def test_settings_tell_what_they_were(self, plane: Plane) -> None:
        assert plane.send(ADMIN, "setGateway", RELAYER) == [
            ("GatewayUpdated", {"oldGateway": GATEWAY, "newGateway": RELAYER})
        ]
        assert plane.send(ADMIN, "setRoflAppId", APP) == [
            ("RoflAppIdUpdated", {"oldAppId": bytes(21), "newAppId": APP})
        ]
        assert (plane.read("gateway"), plane.read("roflAppId")) == (RELAYER, APP)


class TestGatewayKey:
    def test_none_at_first(self) -> None:
        assert Plane().read("getRoflKey") == (b"", 0, False)

    def test_another_key_is_another_version(self, plane: Plane) -> None:
        assert plane.read("getRoflKey") == (KEY_1, 1, True)
        assert plane.send(ADMIN, "setRoflKey", KEY_2, True) == [
            ("RoflKeyUpdated", {"pubkey": KEY_2, "version": 2, "active": True})
        ]
        assert plane.read("getRoflKey") == (KEY_2, 2, True)
        assert plane.read("roflKeyAt", 1) == (KEY_1, True)

    def test_the_same_key_keeps_its_version(self, plane: Plane) -> None:
        plane.send(ADMIN, "setRoflKey", KEY_1, False)
        assert plane.read("getRoflKey") == (KEY_1, 1, False)
        plane.send(ADMIN, "setRoflKey", KEY_1, True)
        assert plane.read("getRoflKey") == (KEY_1, 1, True)

    @pytest.mark.parametrize("key", [b"", b"\x11" * 31, b"\x11" * 33, bytes(32)])
    def test_only_x25519_keys(self, plane: Plane, key: bytes) -> None:
        assert refusal(plane, ADMIN, "setRoflKey", key, True) == ("InvalidRoflKey",)

    def test_unknown_versions(self, plane: Plane) -> None:
        assert refusal(plane, ADMIN, "setRoflKeyActive", 2, False) == ("UnknownRoflKey", 2)
        with pytest.raises(RevertedError, match="UnknownRoflKey"):
            plane.read("roflKeyAt", 0)


class TestSecrets:
    def test_life_of_a_secret(self, plane: Plane) -> None:
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"", 0, False, 0)
        first = {"owner": OWNER, "providerId": OPENAI, "version": 1}
        assert plane.send(OWNER, "setSecret", OPENAI, b"one") == [("SecretSet", first)]
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"one", 1, True, 1)
        assert plane.send(OWNER, "setSecret", OPENAI, b"two")[0][1]["version"] == 2
        assert plane.send(OWNER, "revokeSecret", OPENAI) == [("SecretRevoked", {**first, "version": 3})]
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"", 3, False, 0)
        assert plane.send(OWNER, "setSecret", OPENAI, b"three")[0][1]["version"] == 4
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"three", 4, True, 1)

    def test_every_owner_has_its_own(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"mine")
        plane.send(FRIEND, "setSecret", OPENAI, b"yours")
        assert refusal(plane, STRANGER, "revokeSecret", OPENAI) == ("SecretNotFound", OPENAI)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[0] == b"mine"
        assert plane.read("getSecretCiphertext", FRIEND, OPENAI)[0] == b"yours"
        assert plane.read("getSecretCiphertext", STRANGER, OPENAI)[2] is False

    def test_size(self, plane: Plane) -> None:
        longest = bytes(range(256)) * 4
        plane.send(OWNER, "setSecret", OPENAI, longest[:33])
        plane.transact(OWNER, plane.address, FUNCTIONS["setSecret"].encode(OPENAI, longest), gas=1_500_000)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[0] == longest
        assert refusal(plane, OWNER, "setSecret", OPENAI, longest + b"!") == ("CiphertextTooLarge", 1025)
        assert refusal(plane, OWNER, "setSecret", OPENAI, b"") == ("EmptyCiphertext",)
        assert plane.read("MAX_CIPHERTEXT_BYTES") == 1024

    def test_a_shorter_one_leaves_nothing_of_a_longer_one(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"\xff" * 300)
        plane.send(OWNER, "setSecret", OPENAI, b"short")
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[0] == b"short"

    def test_needs_a_provider_and_an_active_key(self, plane: Plane) -> None:
        assert refusal(plane, OWNER, "setSecret", XAI, b"x") == ("UnknownProvider", XAI)
        plane.send(ADMIN, "setRoflKey", KEY_1, False)
        assert refusal(plane, OWNER, "setSecret", OPENAI, b"x") == ("NoActiveRoflKey",)
        keyless = Plane()
        keyless.send(ADMIN, "addProvider", OPENAI)
        assert refusal(keyless, OWNER, "setSecret", OPENAI, b"x") == ("NoActiveRoflKey",)

    def test_the_version_is_that_of_the_key_it_was_encrypted_to(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"old")
        plane.send(ADMIN, "setRoflKey", KEY_2, True)
        plane.send(FRIEND, "setSecret", OPENAI, b"new")
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"old", 1, True, 1)
        assert plane.read("getSecretCiphertext", FRIEND, OPENAI) == (b"new", 1, True, 2)

    def test_a_retired_key_takes_its_secrets_along(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"old")
        plane.send(ADMIN, "setRoflKey", KEY_2, True)
        plane.send(FRIEND, "setSecret", OPENAI, b"new")
        assert plane.send(ADMIN, "setRoflKeyActive", 1, False) == [
            ("RoflKeyUpdated", {"pubkey": KEY_1, "version": 1, "active": False})
        ]
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"", 1, False, 1)
        assert plane.read("getSecretCiphertext", FRIEND, OPENAI) == (b"new", 1, True, 2)
        plane.send(OWNER, "setSecret", OPENAI, b"encrypted anew")
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"encrypted anew", 2, True, 2)

    def test_an_inactive_current_key_hides_what_was_encrypted_to_it_only(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"old")
        plane.send(ADMIN, "setRoflKey", KEY_2, True)
        plane.send(FRIEND, "setSecret", OPENAI, b"new")
        plane.send(ADMIN, "setRoflKey", KEY_2, False)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[2] is True
        assert plane.read("getSecretCiphertext", FRIEND, OPENAI) == (b"", 1, False, 2)

    def test_a_removed_provider_hides_its_secrets_until_it_is_back(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        plane.send(ADMIN, "removeProvider", OPENAI)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"", 1, False, 1)
        plane.send(ADMIN, "addProvider", OPENAI)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"one", 1, True, 1)
        plane.send(ADMIN, "removeProvider", OPENAI)
        plane.send(OWNER, "revokeSecret", OPENAI)
        plane.send(ADMIN, "addProvider", OPENAI)
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[2] is False


class TestDelegates:
    def test_life_of_a_delegate(self, plane: Plane) -> None:
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is False
        assert plane.send(OWNER, "addDelegate", FRIEND) == [("DelegateAdded", {"owner": OWNER, "delegate": FRIEND})]
        assert plane.send(OWNER, "addDelegate", FRIEND) == []
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is True
        assert plane.read("isDelegatePermitted", FRIEND, OWNER) is False
        assert plane.read("delegateCount", OWNER) == 1
        assert plane.send(OWNER, "removeDelegate", FRIEND) == [
            ("DelegateRemoved", {"owner": OWNER, "delegate": FRIEND})
        ]
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is False
        assert plane.read("delegateCount", OWNER) == 0
        assert refusal(plane, OWNER, "removeDelegate", FRIEND) == ("DelegateNotFound", FRIEND)

    def test_an_owner_needs_no_permission(self, plane: Plane) -> None:
        assert plane.read("isDelegatePermitted", OWNER, OWNER) is True
        plane.send(OWNER, "addDelegate", OWNER)
        plane.send(OWNER, "removeDelegate", OWNER)
        assert plane.read("isDelegatePermitted", OWNER, OWNER) is True

    def test_nobody_is_nobodys_delegate(self, plane: Plane) -> None:
        assert plane.read("isDelegatePermitted", ZERO, ZERO) is False
        assert refusal(plane, OWNER, "addDelegate", ZERO) == ("ZeroAddress",)

    def test_the_list_survives_removals_anywhere(self, plane: Plane) -> None:
        everybody = [FRIEND, STRANGER, HEIR, RELAYER]
        for gone in everybody:
            for one in everybody:
                plane.send(OWNER, "addDelegate", one)
            plane.send(OWNER, "removeDelegate", gone)
            left = [one for one in everybody if one != gone]
            assert sorted(plane.read("delegatesOf", OWNER)) == sorted(left)
            assert plane.read("delegateCount", OWNER) == 3
            assert [plane.read("isDelegatePermitted", OWNER, one) for one in everybody] == [
                one in left for one in everybody
            ]


class TestModels:
    def test_life_of_a_permission(self, plane: Plane) -> None:
        args = {"owner": OWNER, "providerId": OPENAI, "modelId": MODEL}
        assert plane.send(OWNER, "addAllowedModel", OPENAI, MODEL) == [("ModelAllowed", args)]
        assert plane.send(OWNER, "addAllowedModel", OPENAI, MODEL) == []
        assert plane.read("isModelPermitted", OWNER, OPENAI, MODEL) is True
        assert plane.read("modelCount", OWNER, OPENAI) == 1
        assert plane.read("modelsOf", OWNER, OPENAI) == (MODEL,)
        assert plane.send(OWNER, "removeAllowedModel", OPENAI, MODEL) == [("ModelDisallowed", args)]
        assert plane.read("isModelPermitted", OWNER, OPENAI, MODEL) is False
        assert plane.read("modelCount", OWNER, OPENAI) == 0
        assert refusal(plane, OWNER, "removeAllowedModel", OPENAI, MODEL) == ("ModelNotFound", OPENAI, MODEL)

    def test_no_list_allows_nothing(self, plane: Plane) -> None:
        assert not any(plane.read("isModelPermitted", OWNER, OPENAI, one) for one in model_ids("gpt-4o"))

    def test_of_one_owner_and_one_provider(self, plane: Plane) -> None:
        plane.send(ADMIN, "addProvider", XAI)
        plane.send(OWNER, "addAllowedModel", OPENAI, MODEL)
        assert plane.read("isModelPermitted", OWNER, XAI, MODEL) is False
        assert plane.read("isModelPermitted", FRIEND, OPENAI, MODEL) is False

    def test_a_removed_provider_permits_nothing(self, plane: Plane) -> None:
        plane.send(OWNER, "addAllowedModel", OPENAI, MODEL)
        plane.send(ADMIN, "removeProvider", OPENAI)
        assert plane.read("isModelPermitted", OWNER, OPENAI, MODEL) is False
        plane.send(OWNER, "removeAllowedModel", OPENAI, MODEL)
        assert refusal(plane, OWNER, "addAllowedModel", OPENAI, MODEL) == ("UnknownProvider", OPENAI)

    def test_zero_is_no_model(self, plane: Plane) -> None:
        assert refusal(plane, OWNER, "addAllowedModel", OPENAI, bytes(32)) == ("ZeroId",)


class TestPause:
    def test_nothing_is_given_out_or_added(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        assert plane.send(ADMIN, "pause") == [("Paused", {"by": ADMIN})]
        assert plane.send(ADMIN, "pause") == []
        assert plane.read("isPaused") is plane.read("paused") is True
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"", 1, False, 1)
        assert refusal(plane, OWNER, "setSecret", OPENAI, b"two") == ("ContractPaused",)
        assert refusal(plane, OWNER, "addDelegate", FRIEND) == ("ContractPaused",)
        assert refusal(plane, OWNER, "addAllowedModel", OPENAI, MODEL) == ("ContractPaused",)
        assert plane.send(ADMIN, "unpause") == [("Unpaused", {"by": ADMIN})]
        assert plane.send(ADMIN, "unpause") == []
        assert plane.read("getSecretCiphertext", OWNER, OPENAI) == (b"one", 1, True, 1)

    def test_access_can_be_taken_away(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        plane.send(OWNER, "addDelegate", FRIEND)
        plane.send(OWNER, "addAllowedModel", OPENAI, MODEL)
        plane.send(ADMIN, "pause")
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is True
        assert plane.read("isModelPermitted", OWNER, OPENAI, MODEL) is True
        plane.send(OWNER, "removeAllowedModel", OPENAI, MODEL)
        plane.send(OWNER, "removeDelegate", FRIEND)
        plane.send(OWNER, "revokeSecret", OPENAI)
        plane.send(ADMIN, "unpause")
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is False
        assert plane.read("getSecretCiphertext", OWNER, OPENAI)[2] is False

    def test_receipts_of_calls_already_made_pass(self, plane: Plane) -> None:
        plane.send(OWNER, "addDelegate", FRIEND)
        plane.send(ADMIN, "pause")
        plane.send(GATEWAY, "logReceipt", *receipt(1, OWNER, FRIEND))
        plane.send(ADMIN, "setGateway", ZERO)
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(2, OWNER, FRIEND)) == ("NotAuthorized",)


class TestReceipts:
    def test_what_is_logged(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        plane.send(OWNER, "setSecret", OPENAI, b"two")
        plane.send(ADMIN, "setRoflKey", KEY_2, True)
        assert plane.read("receiptBlock", receipt(1)[0]) == 0
        logged = plane.send(GATEWAY, "logReceipt", *receipt(1))
        head = plane.chain.head
        assert logged == [
            (
                "ReceiptLogged",
                {
                    "requestHash": receipt(1)[0],
                    "owner": OWNER,
                    "delegate": OWNER,
                    "providerId": OPENAI,
                    "modelId": MODEL,
                    "promptTokens": 1200,
                    "completionTokens": 34,
                    "roflKeyVersion": 1,
                    "secretVersion": 2,
                    "timestamp": head.timestamp,
                },
            )
        ]
        assert plane.read("receiptBlock", receipt(1)[0]) == head.block_number

    def test_only_the_gateway_logs(self, plane: Plane) -> None:
        for sender in (ADMIN, OWNER, STRANGER):
            assert refusal(plane, sender, "logReceipt", *receipt(1)) == ("NotAuthorized",)
        plane.send(ADMIN, "setGateway", ZERO)
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(1)) == ("NotAuthorized",)

    def test_a_hash_is_taken_once(self, plane: Plane) -> None:
        plane.send(GATEWAY, "logReceipt", *receipt(1))
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(1)) == ("ReceiptAlreadyLogged", receipt(1)[0])
        other = (receipt(1)[0], STRANGER, STRANGER, *receipt(1)[3:])
        assert refusal(plane, GATEWAY, "logReceipt", *other) == ("ReceiptAlreadyLogged", receipt(1)[0])
        plane.send(GATEWAY, "logReceipt", *receipt(2))

    def test_a_stranger_is_never_billed_to_an_owner(self, plane: Plane) -> None:
        never = ("DelegateNeverPermitted", OWNER, FRIEND)
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(1, OWNER, FRIEND)) == never
        plane.send(FRIEND, "addDelegate", OWNER)
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(1, OWNER, FRIEND)) == never
        assert refusal(plane, GATEWAY, "logReceipt", *receipt(1, ZERO, ZERO)) == ("ZeroAddress",)

    def test_a_delegate_removed_after_its_call_keeps_its_receipt(self, plane: Plane) -> None:
        plane.send(OWNER, "addDelegate", FRIEND)
        plane.send(OWNER, "removeDelegate", FRIEND)
        assert plane.read("isDelegatePermitted", OWNER, FRIEND) is False
        plane.send(GATEWAY, "logReceipt", *receipt(1, OWNER, FRIEND))

    def test_what_ended_after_the_call_doesnt_stand_in_the_way(self, plane: Plane) -> None:
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        plane.send(OWNER, "revokeSecret", OPENAI)
        plane.send(ADMIN, "removeProvider", OPENAI)
        plane.send(ADMIN, "setRoflKey", KEY_1, False)
        [(_, logged)] = plane.send(GATEWAY, "logReceipt", *receipt(1))
        assert (logged["roflKeyVersion"], logged["secretVersion"]) == (1, 2)

    def test_the_largest_numbers(self, plane: Plane) -> None:
        most = 2**32 - 1
        [(_, logged)] = plane.send(GATEWAY, "logReceipt", *receipt(1)[:5], most, most)
        assert (logged["promptTokens"], logged["completionTokens"]) == (most, most)

    def test_gas(self, plane: Plane) -> None:
        plane.send(OWNER, "addDelegate", FRIEND)
        plane.send(OWNER, "setSecret", OPENAI, b"one")
        data = FUNCTIONS["logReceipt"].encode(*receipt(1, OWNER, FRIEND))
        assert plane.transact(GATEWAY, plane.address, data).gas_used < 65_000


def aggregate(plane: Plane, receipts: list[tuple[object, ...]], *, lenient: bool) -> bytes:
    calls = [(plane.address, lenient, FUNCTIONS["logReceipt"].encode(*one)) for one in receipts]
    return MULTICALL_FUNCTIONS["aggregate3"].encode(calls)


class TestRofl:
    """Receipts by the origin of a transaction, with a stand-in for the runtime."""

    @pytest.fixture
    def rofl(self, plane: Plane) -> Plane:
        plane.send(ADMIN, "setGateway", ZERO)
        plane.send(ADMIN, "setRoflAppId", APP)
        plane.authorize(APP, RELAYER)
        plane.send(OWNER, "addDelegate", FRIEND)
        return plane

    def test_an_instance_of_the_app_may_log(self, rofl: Plane) -> None:
        assert rofl.send(RELAYER, "logReceipt", *receipt(1))[0][0] == "ReceiptLogged"

    def test_others_may_not(self, rofl: Plane) -> None:
        rofl.authorize(OTHER_APP, STRANGER)
        for sender in (STRANGER, ADMIN, GATEWAY):
            assert refusal(rofl, sender, "logReceipt", *receipt(1)) == ("RoflOriginNotAuthorizedForApp",)
        rofl.send(ADMIN, "setRoflAppId", bytes(21))
        assert refusal(rofl, RELAYER, "logReceipt", *receipt(1)) == ("NotAuthorized",)

    def test_the_gateways_address_passes_beside_the_app(self, rofl: Plane) -> None:
        rofl.send(ADMIN, "setGateway", GATEWAY)
        rofl.send(GATEWAY, "logReceipt", *receipt(1))
        rofl.send(RELAYER, "logReceipt", *receipt(2))

    @pytest.mark.parametrize(("count", "each"), [(1, 75_000), (10, 43_000), (50, 40_000)])
    def test_many_in_one_transaction(self, rofl: Plane, count: int, each: int) -> None:
        rofl.send(OWNER, "setSecret", OPENAI, b"one")
        many = [receipt(number, OWNER, FRIEND) for number in range(count)]
        mined = rofl.transact(RELAYER, MULTICALL, aggregate(rofl, many, lenient=False), gas=10_000_000)
        assert [one["requestHash"] for _, one in events(mined)] == [one[0] for one in many]
        assert mined.gas_used / count < each

    def test_one_that_fails_leaves_the_others(self, rofl: Plane) -> None:
        rofl.send(RELAYER, "logReceipt", *receipt(2))
        many = [receipt(1), receipt(2), receipt(3, OWNER, STRANGER), receipt(4)]
        mined = rofl.transact(RELAYER, MULTICALL, aggregate(rofl, many, lenient=True), gas=1_000_000)
        assert [one["requestHash"] for _, one in events(mined)] == [receipt(1)[0], receipt(4)[0]]

    def test_multicall_gives_a_stranger_nothing(self, rofl: Plane) -> None:
        with pytest.raises(RevertedError):
            rofl.transact(STRANGER, MULTICALL, aggregate(rofl, [receipt(1)], lenient=False), gas=1_000_000)

    def test_multicall_isnt_the_gateway(self, plane: Plane) -> None:
        with pytest.raises(RevertedError):
            plane.transact(GATEWAY, MULTICALL, aggregate(plane, [receipt(1)], lenient=False), gas=1_000_000)


def answering(answer: bytes) -> bytes:
    """Code of a contract that always gives `answer`."""
    return bytes.fromhex(f"61{len(answer):04x}80600c6000396000f3") + answer


def knowing(question: bytes) -> bytes:
    """Code of a contract that says CBOR `true` to exactly this question and `false` to any other."""
    compare = "366000600037366000207f" + keccak256(question).hex() + "14"
    say = "60f40160f81b" + "606052" + "6000600052" + "6040602052" + "6001604052" + "60806000f3"
    return bytes.fromhex(compare + say)


class TestPrecompile:
    """What is asked of Sapphire's runtime, and which answers count as yes."""

    def test_the_question(self) -> None:
        question = encode(["string", "bytes"], ["rofl.IsAuthorizedOrigin", b"\x55" + APP])
        plane = Plane(subcall=knowing(question))
        plane.send(ADMIN, "setRoflAppId", APP)
        plane.send(STRANGER, "logReceipt", *receipt(1))
        plane.send(ADMIN, "setRoflAppId", OTHER_APP)
        assert refusal(plane, STRANGER, "logReceipt", *receipt(2)) == ("RoflOriginNotAuthorizedForApp",)

    def test_yes(self) -> None:
        plane = Plane(subcall=answering(encode(["uint64", "bytes"], [0, b"\xf5"])))
        plane.send(ADMIN, "setRoflAppId", APP)
        plane.send(STRANGER, "logReceipt", *receipt(1))

    @pytest.mark.parametrize(
        "subcall",
        [
            pytest.param(b"", id="no precompile"),
            pytest.param(bytes.fromhex("60006000fd"), id="revert"),
            pytest.param(answering(b""), id="nothing"),
            pytest.param(answering(b"\xf5"), id="too short"),
            pytest.param(answering(encode(["uint64", "bytes"], [0, b"\xf4"])), id="false"),
            pytest.param(answering(encode(["uint64", "bytes"], [1, b"\xf5"])), id="status 1"),
            pytest.param(answering(encode(["uint64", "bytes"], [0, b""])), id="empty result"),
            pytest.param(answering(encode(["uint64", "bytes"], [0, b"\xf5\xf5"])), id="trailing bytes"),
            pytest.param(answering(encode(["uint64", "bytes"], [0, b"\xf5" * 64])), id="long result"),
        ],
    )
    def test_no(self, subcall: bytes) -> None:
        plane = Plane(subcall=subcall)
        plane.send(ADMIN, "setRoflAppId", APP)
        assert refusal(plane, STRANGER, "logReceipt", *receipt(1)) == ("RoflOriginNotAuthorizedForApp",)

    def test_nonsense_isnt_yes(self) -> None:
        plane = Plane(subcall=answering(b"\xff" * 128))
        plane.send(ADMIN, "setRoflAppId", APP)
        with pytest.raises(RevertedError):
            plane.send(STRANGER, "logReceipt", *receipt(1))


def test_lists_can_be_rebuilt_from_events(plane: Plane) -> None:
    """Where logs are at hand, they tell the same as the views."""
    plane.send(ADMIN, "addProvider", XAI)
    plane.send(ADMIN, "removeProvider", XAI)
    for delegate in (FRIEND, STRANGER, HEIR):
        plane.send(OWNER, "addDelegate", delegate)
    plane.send(OWNER, "removeDelegate", FRIEND)
    for name in ("gpt-4o", "gpt-5.5", "o3"):
        plane.send(OWNER, "addAllowedModel", OPENAI, model_ids(name)[2])
    plane.send(OWNER, "removeAllowedModel", OPENAI, model_ids("o3")[2])
    lists: dict[str, set[object]] = {"Provider": set(), "Delegate": set(), "Model": set()}
    for log in plane.chain.logs:
        name, args = event(log.topics, log.data)
        for kind, (added, removed, key) in {
            "Provider": ("ProviderAdded", "ProviderRemoved", "providerId"),
            "Delegate": ("DelegateAdded", "DelegateRemoved", "delegate"),
            "Model": ("ModelAllowed", "ModelDisallowed", "modelId"),
        }.items():
            if name == added:
                lists[kind].add(args[key])
            elif name == removed:
                lists[kind].discard(args[key])
    assert lists["Provider"] == set(plane.read("providers")) == {OPENAI}
    assert lists["Delegate"] == set(plane.read("delegatesOf", OWNER)) == {STRANGER, HEIR}
    assert lists["Model"] == set(plane.read("modelsOf", OWNER, OPENAI))
    assert len(lists["Model"]) == 2


def test_the_artifacts_are_what_the_sources_compile_to() -> None:
    node = shutil.which("node")
    if node is None or not (CONTRACTS / "node_modules" / "solc").is_dir():
        pytest.skip("needs node and `npm ci` in contracts/")
    run = subprocess.run([node, "compile.mjs", "--check"], cwd=CONTRACTS, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
