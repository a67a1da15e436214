"""template.yaml as plain data: CloudFormation's short tags in their long form.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "template.yaml"
NOTHING = {"Ref": "AWS::NoValue"}


class _Loader(yaml.SafeLoader):
    pass


def _tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TypeError(f"!{tag} on a mapping")
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _tagged)

TEMPLATE: dict[str, Any] = yaml.load(FILE.read_text(), _Loader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {
    name.removesuffix("Function"): resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}


def folder_of(name: str) -> str:
    """`ChatCompletions` -> `chat_completions`"""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """All statements of a function's policies, with every condition taken to be true."""
    found: list[dict[str, Any]] = []
    for policy in map(_if_true, properties.get("Policies", [])):
        found += map(_if_true, policy["Statement"])
    return found


def _if_true(value: dict[str, Any]) -> dict[str, Any]:
    return value["Fn::If"][1] if "Fn::If" in value else value


def actions(properties: dict[str, Any], service: str) -> set[str]:
    """What a function may do at a service: `PutItem`."""
    listed: list[str] = []
    for statement in statements(properties):
        named = statement["Action"]
        listed += [named] if isinstance(named, str) else named
    return {action.partition(":")[2] for action in listed if action.startswith(f"{service}:")}


def secrets(properties: dict[str, Any]) -> set[str]:
    """The parameters of the secrets that a function may read."""
    return {
        statement["Resource"]["Ref"]
        for statement in statements(properties)
        if statement["Action"] == "secretsmanager:GetSecretValue"
    }


def variables(properties: dict[str, Any]) -> dict[str, Any]:
    """A function's environment, with what all of them have."""
    shared: dict[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    return {**shared, **properties.get("Environment", {}).get("Variables", {})}
