"""Write envs/Dockerfile and envs/apptainer.def, which say the same (part of `make lock`).

The image holds the one-environment set-up, made by the Makefile from demo.lock; the workflow itself is mounted. It is
not what `snakemake --containerize` prints: that refuses rules whose environment depends on the configuration, and
would put torch into the image once an environment.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parent
IMAGE = "python:3.11.14-slim-bookworm"
HOME = "/opt/framesift"
#: What the installation needs, relative to the project.
FILES = ("Makefile", "envs/demo.lock", "envs/llava.yaml")
#: While it is made: no caches in the image; compiled modules, since later users may not write there.
BUILDING = {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1", "UV_COMPILE_BYTECODE": "1"}
STEPS = (
    "apt-get update",
    "apt-get install -y --no-install-recommends git make",
    "rm -rf /var/lib/apt/lists/*",
    "git config --system --add safe.directory '*'",  # a mounted project may be another user's
    "make .venv/demo.done",
)
#: For any user, also one without a home and a name.
RUNNING = {"PATH": f"{HOME}/.venv/bin:$PATH", "HF_HUB_DISABLE_TELEMETRY": "1"}
NAMELESS = {"HOME": "/tmp", "USER": "framesift"}
HEAD = "# Written by envs/container.py (`make lock`); docs/environments.md tells how to use it."


def lock_digest() -> str:
    """What an image's label says it was made from."""
    return hashlib.sha256((ENVS / "demo.lock").read_bytes()).hexdigest()


def dockerfile() -> str:
    steps = " \\\n && ".join(STEPS)
    lines = [
        HEAD,
        f"FROM {IMAGE}",
        f'LABEL framesift.lock="{lock_digest()}"',
        f"WORKDIR {HOME}",
        *(f"COPY {file} {HOME}/{file}" for file in FILES),
        "# The image above decides the versions of git and make; nothing of them is in a result.",
        "# hadolint ignore=DL3008",
        f"RUN export {_assigned(BUILDING)} \\\n && {steps}",
        f"ENV {_assigned(RUNNING | NAMELESS)}",
        "USER 1000:1000",
        "WORKDIR /work",
        'CMD ["snakemake", "--help"]',
    ]
    return "\n".join(lines) + "\n"


def apptainer() -> str:
    steps = (f"cd {HOME}", f"export {_assigned(BUILDING)}", *STEPS)
    sections = {
        "labels": [f"framesift.lock {lock_digest()}"],
        "files": [f"{file} {HOME}/{file}" for file in FILES],
        "post": ["set -e", *steps],
        "environment": [f'export {name}="{value}"' for name, value in RUNNING.items()],
        "runscript": ['exec "$@"'],
    }
    text = f"Bootstrap: docker\nFrom: {IMAGE}\n\n{HEAD}\n"
    for name, lines in sections.items():
        text += f"\n%{name}\n" + "".join(f"    {line}\n" for line in lines)
    return text


def _assigned(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


WRITTEN = {"Dockerfile": dockerfile, "apptainer.def": apptainer}


def main() -> None:
    for name, text in WRITTEN.items():
        file = ENVS / name
        if not file.exists() or file.read_text() != text():
            file.write_text(text())
            print(f"{name}: renewed", file=sys.stderr)


if __name__ == "__main__":
    main()
