"""template.yaml, the folders in functions/, their routes, the settings and the table hold together."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from starlette.routing import Route

import functions
from serverless.environment import SUFFIX
from shared.settings import Settings
from shared.store.dynamo_table import TABLE, TIME_TO_LIVE
from tests.serverless.template import (
    FUNCTIONS,
    NOTHING,
    RESOURCES,
    ROOT,
    TEMPLATE,
    actions,
    folder_of,
    secrets,
    statements,
    variables,
)

FOLDERS = {module.name for module in iter_modules(functions.__path__) if module.ispkg}
STREAMED = {"chat_completions", "messages", "responses"}
JOBS = {"receipts", "housekeeping"}
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
each = pytest.mark.parametrize("name", sorted(FUNCTIONS))
served = {name: properties for name, properties in FUNCTIONS.items() if folder_of(name) in FOLDERS}


def test_a_function_for_each_folder_and_a_folder_for_each_function() -> None:
    assert {folder_of(name) for name in FUNCTIONS} == FOLDERS | JOBS


@each
def test_handlers_are_there_and_wrappers_can_be_run(name: str) -> None:
    module, _, attribute = FUNCTIONS[name]["Handler"].rpartition(".")
    assert callable(getattr(import_module(module), attribute))
    wrapper = variables(FUNCTIONS[name])["AWS_LAMBDA_EXEC_WRAPPER"]
    streams = folder_of(name) in STREAMED
    assert wrapper == f"/var/task/serverless/{'stream' if streams else 'buffered'}"
    assert os.access(ROOT / wrapper.removeprefix("/var/task/"), os.X_OK)
    assert RESOURCES[f"{name}Function"]["Metadata"] == {"BuildMethod": "makefile"}


@pytest.mark.parametrize("name", sorted(served))
def test_every_route_leads_to_its_function_and_streams_where_the_loop_does(name: str) -> None:
    module = import_module(f"functions.{folder_of(name)}.app")
    routed = {re.sub(r"\{\w+:path\}", "{proxy+}", route.path) for route in module.routes if isinstance(route, Route)}
    events = [event["Properties"] for event in served[name]["Events"].values()]
    assert {event["Path"] for event in events} == routed
    for event in events:
        assert event["Method"] == "ANY", "a wrong method, HEAD and OPTIONS are the function's to answer"
        assert event["RestApiId"] == {"Ref": "Api"}
        assert ("ResponseTransferMode" in event) == (folder_of(name) in STREAMED)
        assert event.get("ResponseTransferMode", "RESPONSE_STREAM") == "RESPONSE_STREAM"


def test_what_streams_may_last_as_long_as_lambda_allows() -> None:
    for name, properties in FUNCTIONS.items():
        if folder_of(name) in STREAMED:
            assert properties["Timeout"] == 900
            url = RESOURCES[f"{name}Url"]
            assert (url["Condition"], url["Properties"]["InvokeMode"]) == ("WantsFunctionUrls", "RESPONSE_STREAM")
    assert RESOURCES["Api"]["Properties"]["EndpointConfiguration"] == {"Type": "REGIONAL"}


def test_the_table_is_the_stores_own() -> None:
    table = RESOURCES["Table"]
    properties = table["Properties"]
    assert {name: properties[name] for name in TABLE} == TABLE
    assert properties["TimeToLiveSpecification"] == TIME_TO_LIVE
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert properties["DeletionProtectionEnabled"] is True


@each
def test_variables_are_settings_or_what_lambda_reads(name: str) -> None:
    known = {field.upper() for field in Settings.model_fields} | {"AWS_LAMBDA_EXEC_WRAPPER", "METRICS_NAMESPACE"}
    for variable in variables(FUNCTIONS[name]):
        stem = variable.removesuffix(SUFFIX)
        assert variable in known or stem == "PROVIDER_KEYS" or (stem != variable and stem in known), variable


@each
def test_a_function_may_read_exactly_the_secrets_that_it_names(name: str) -> None:
    named = {value["Ref"] for key, value in variables(FUNCTIONS[name]).items() if key.endswith(SUFFIX)}
    assert secrets(FUNCTIONS[name]) == named


def test_the_signers_key_is_the_receipts_workers_alone() -> None:
    assert {name for name in FUNCTIONS if "SignerSecretArn" in secrets(FUNCTIONS[name])} == {"Receipts"}
    assert secrets(FUNCTIONS["Receipts"]) == {"SignerSecretArn"}


def test_provider_keys_are_read_where_calls_are_made_or_models_checked() -> None:
    readers = {folder_of(name) for name in FUNCTIONS if "ProviderKeysSecretArn" in secrets(FUNCTIONS[name])}
    assert readers == STREAMED | {"route", "preferences"}


@pytest.mark.parametrize("name", ["Usage", "Models", "Route"])
def test_who_only_reads_cannot_write(name: str) -> None:
    assert actions(FUNCTIONS[name], "dynamodb") & WRITES == set()


def test_nobody_has_a_wildcard() -> None:
    for name, properties in FUNCTIONS.items():
        for statement in statements(properties):
            listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            assert not any("*" in action for action in listed), name
            for resource in resources:
                assert resource in ({"Fn::GetAtt": ["Table", "Arn"]}, *_indexes()) or "Ref" in resource, name
    assert actions(FUNCTIONS["RoflPubkey"], "dynamodb") == set()


def _indexes() -> list[dict[str, Any]]:
    return [{"Fn::Sub": f"${{Table.Arn}}/index/{name}"} for name in ("*", "outbox", "callers", "owners")]


def test_one_worker_delivers_receipts_once_a_minute_and_fails_in_time() -> None:
    receipts = FUNCTIONS["Receipts"]
    assert receipts["ReservedConcurrentExecutions"] == 1
    assert receipts["Timeout"] < 60
    assert RESOURCES["ReceiptsFunction"]["Condition"] == "LogsReceipts"
    assert receipts["Events"]["EveryMinute"]["Properties"]["Schedule"] == "rate(1 minute)"
    for name in ("Receipts", "Housekeeping"):
        assert FUNCTIONS[name]["DeadLetterQueue"] == {
            "Type": "SQS",
            "TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        }


def test_every_function_is_watched_and_alarms_are_heard() -> None:
    alarms = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    for metric in ("Errors", "Throttles"):
        watched = {
            query["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]
            for alarm in alarms.values()
            for query in alarm.get("Metrics", ())
            if query.get("MetricStat", {}).get("Metric", {}).get("MetricName") == metric
        }
        assert watched == {f"{name}Function" for name in served}
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert len(alarm.get("Metrics", ())) <= 10 + 1
    assert alarms["OldReceipts"]["Threshold"] == 600
    assert alarms["OldReceipts"]["TreatMissingData"] == "breaching"


def test_logs_are_kept_for_a_time() -> None:
    assert RESOURCES["Logs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert TEMPLATE["Globals"]["Function"]["LoggingConfig"]["LogGroup"] == {"Ref": "Logs"}
    assert TEMPLATE["Globals"]["Function"]["Architectures"] == ["arm64"]
    assert TEMPLATE["Globals"]["Function"]["Runtime"] == "python3.13"


def test_log_levels_are_the_settings_own() -> None:
    for level in TEMPLATE["Parameters"]["LogLevel"]["AllowedValues"]:
        told = TEMPLATE["Mappings"]["LogLevels"][level]["Setting"]
        assert Settings(log_level=told, allowed_addresses="0x" + "11" * 20).log_level == told
    for name, properties in FUNCTIONS.items():
        assert properties.get("LoggingConfig", {}) == (
            {"ApplicationLogLevel": "TRACE"} if folder_of(name) in STREAMED else {}
        )


def test_parameters_are_all_used() -> None:
    text = (ROOT / "template.yaml").read_text()
    for parameter in TEMPLATE["Parameters"]:
        assert re.search(rf"!Ref {parameter}\b", text)
    assert NOTHING == {"Ref": "AWS::NoValue"}


def _pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_the_functions_have_the_projects_versions_and_no_web3() -> None:
    functions_pins, all_pins = _pins("requirements-lambda.lock"), _pins("requirements-dev.lock")
    differing = {name: pin for name, pin in functions_pins.items() if all_pins.get(name, pin) != pin}
    assert differing == {}
    assert {"aiohappyeyeballs", "boto3", "httptools", "httpx", "mangum", "oasis-sapphire-py"} <= set(functions_pins)
    assert "web3" not in functions_pins
