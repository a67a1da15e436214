"""Builds what AWS Lambda runs: one folder for every function, with its dependencies and compiled for its Python.

https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("catalog", "functions", "serverless", "shared")
SERVICES = ("dynamodb", "secretsmanager")
"""What of AWS is called: the descriptions of all other services are two thirds of botocore."""

_NEEDLESS = (
    "bin",
    "pip",
    "pip-*.dist-info",
    "boto3/examples",
    "*/tests",
    "*/test",
    "Crypto/SelfTest",
    "catalog/curation",
)


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--platform", required=True, help="as uv names it: aarch64-manylinux_2_28")
    options.add_argument("--python", required=True, help="an interpreter of the version that the function runs")
    options.add_argument("--expect", help="the version that the interpreter must have: 3.13")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    if given.expect and version_of(given.python) != given.expect:
        sys.exit(f"LAMBDA_PYTHON={given.python} is not Python {given.expect}: what it compiles, Lambda would not read.")
    build(given.platform, given.python, given.out)


def build(platform: str, python: str, out: Path) -> None:
    """Makes `out` anew, whole or not at all."""
    fresh = out.with_name(f"{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    install(platform, version_of(python), fresh)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, fresh / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    prune(fresh)
    # Hashes in place of times, never looked at: the same bytes on every build, and no read of a source at start.
    compiled = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, *compiled, "-s", str(fresh), "-p", "/var/task", str(fresh)], check=True)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)


def version_of(python: str) -> str:
    """`3.13`. Raises SystemExit where there is no such interpreter."""
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        sys.exit(f"There is no {python} here: LAMBDA_PYTHON names the Python that compiles for Lambda (3.13).")


def install(platform: str, version: str, out: Path) -> None:
    """The locked dependencies as wheels of the platform; nothing of a package runs."""
    target = ["--target", str(out), "--python-platform", platform, "--python-version", version]
    strict = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--link-mode", "copy"]
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", *target, *strict]
    subprocess.run([*command, "-r", str(ROOT / "requirements-lambda.lock")], check=True)


def prune(out: Path) -> None:
    """Takes away what no function reads."""
    for pattern in _NEEDLESS:
        for found in sorted(out.glob(pattern)):
            shutil.rmtree(found)
    for folder in (out / "botocore/data").iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    for file in (*out.rglob("*.pyi"), *out.rglob("direct_url.json")):
        file.unlink()


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
