"""Metrics by a log line, in CloudWatch's embedded metric format: no call, no permission.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

Unit = str  # "Seconds", "Count"


def write_metrics(namespace: str, now: float, values: Mapping[str, tuple[float, Unit]]) -> str:
    """The line that CloudWatch turns into metrics without dimensions. `now` is seconds since 1970."""
    units = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
    told = {"Namespace": namespace, "Dimensions": [[]], "Metrics": units}
    numbers = {name: value for name, (value, _) in values.items()}
    return orjson.dumps({"_aws": {"Timestamp": round(now * 1000), "CloudWatchMetrics": [told]}, **numbers}).decode()
