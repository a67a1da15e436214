"""Prints the SAM template as the CloudFormation template that AWS makes of it. For an environment with aws-sam-cli.

https://github.com/aws/serverless-application-model
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

_POLICIES = {"AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}


def main(path: str) -> None:
    """Each CodeUri becomes an address: what is in it doesn't matter here."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    with open(path) as file:
        template = yaml_parse(file.read())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/artefact"
    translated = Translator(_POLICIES, Parser(), boto_session=boto3.Session()).translate(template, {})
    json.dump(translated, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
