"""What the programs share: options, and errors that end in one clear message."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from framesift.core.errors import InputError, invalid
from framesift.core.plugins import add_plugin_folder
from framesift.program.read_spec import read_spec

log = logging.getLogger("framesift")

#: The extra of `pip install 'framesift[...]'` that brings an optional package, by the name it is imported by.
EXTRAS = {
    package: extra
    for extra, packages in {
        "answer": "decord lmms_eval loguru nltk",
        "crate": "rocrate",
        "demo": "cv2",
        "download": "hf_xet huggingface_hub",
        "files": "pyarrow safetensors",
        "lavis": "lavis omegaconf",
        "models": "tokenizers torch torchvision transformers",
        "report": "jinja2 markupsafe matplotlib plotly",
        "server": "httpx2 tenacity",
        "tables": "rich scipy statsmodels",
        "train": "accelerate peft",
        "video": "av PIL",
        "workflow": "snakemake yaml",
    }.items()
    for package in packages.split()
}
#: Errors of a machine that a user can fix, or wait for.
_MACHINE = {
    errno.ENOSPC: "cannot be written: the disk is full",
    errno.EDQUOT: "cannot be written: your quota is used up",
    errno.EROFS: "cannot be written: the disk is read-only",
    errno.EACCES: "cannot be read or written: you may not",
    errno.EPERM: "cannot be read or written: you may not",
    errno.EIO: "cannot be read or written: the disk reports an error",
    errno.ESTALE: "cannot be read or written: the file system lost it (stale handle)",
    errno.ENOTCONN: "cannot be read or written: the file system is not connected",
    errno.ETIMEDOUT: "cannot be read or written: the file system does not answer",
    errno.EMFILE: "cannot be opened: this process has too many open files (ulimit -n)",
    errno.ENFILE: "cannot be opened: the machine has too many open files",
    errno.ENOMEM: "cannot be read or written: there is no memory left",
    errno.EISDIR: "cannot be written: it is a folder",
    errno.EEXIST: "cannot be written: a part of the path is a file",
    errno.ENOTDIR: "cannot be written: a part of the path is a file",
    errno.ENAMETOOLONG: "cannot be written: the name is too long",
}


def parser(doc: str | None, *, spec: str | None = None) -> argparse.ArgumentParser:
    """A parser whose help is the program's docstring.

    Parameters
    ----------
    doc : str, optional
        The docstring.
    spec : str, optional
        What a spec holds; adds the required option --spec.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--plugins", metavar="FOLDER", action=_Plugins, help="a folder with components of your own")
    if spec:
        made.add_argument("--spec", required=True, type=read_spec, metavar="JSON", help=f"{spec}; or @FILE")
    return made


class _Plugins(argparse.Action):
    """Makes the components of a folder known to the program; it may be given several times."""

    def __call__(self, _parser: Any, _namespace: Any, folder: Any, _option: str | None = None) -> None:
        add_plugin_folder(folder)


#: Files that many programs read: the placeholder of each, and the command that writes it.
INPUTS = {
    "labels": ("FILE.json", "from convert-labels"),
    "videos": ("FILE.parquet", "from index-videos"),
    "shards": ("FILE.json", "from assign-shards"),
}


def add_inputs(made: argparse.ArgumentParser, *names: str) -> None:
    """Required options for input files, such as --labels and --videos (`INPUTS`)."""
    for name in names:
        metavar, origin = INPUTS[name]
        made.add_argument(f"--{name}", required=True, metavar=metavar, help=origin)


def add_configfile(made: argparse.ArgumentParser, use: str) -> None:
    """--configfile: files of the configuration, which must exist; `use` says what the program does with them."""
    made.add_argument("--configfile", nargs="+", default=[], type=_existing_file, metavar="FILE", help=use)


def _existing_file(text: str) -> Path:
    if not os.path.isfile(text):
        raise InputError("there is no such file", file=text, field="--configfile")
    return Path(text)


def add_connection(made: argparse.ArgumentParser) -> None:
    """--connection: what a program must know to reach a server, which decides no result."""
    how = "how to reach a server: address, concurrency, retries"
    made.add_argument("--connection", type=json.loads, default={}, metavar="JSON", help=how)


def add_compute_options(made: argparse.ArgumentParser) -> None:
    """The options --device and --threads of programs that run a model."""
    made.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one (default)")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")


def run(main: Callable[[], Any]) -> None:
    """Run a program: log lines go to stderr, and an error that the user can fix is one message and exit status 1.

    Parameters
    ----------
    main : callable
        The program, without arguments.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    log.setLevel(logging.INFO)
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except ValidationError as error:
        sys.exit(f"error: {invalid(error, '--spec', error.title)}")
    except ModuleNotFoundError as error:
        if error.name is None or (package := error.name.partition(".")[0]) not in EXTRAS:
            raise
        hint = f"pip install 'framesift[{EXTRAS[package]}]'"
        sys.exit(f"error: {InputError('is needed, and not installed', field=f'the package {package}', hint=hint)}")
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MACHINE:
            raise
        hint = "partial files were discarded; fix this and run again"
        sys.exit(f"error: {InputError(_MACHINE[error.errno], file=error.filename or os.getcwd(), hint=hint)}")
