"""Loading checkpoints as data: neither Python files nor pickles of a checkpoint run, whatever a library would allow.

transformers runs Python files of a checkpoint where it is told `trust_remote_code`; some model classes of lmms-eval
tell it so unasked. torch runs what a pickle names unless it is told `weights_only`; its newer releases tell themselves
so, code of others may not. No model that Framesift runs needs either, so there is no setting that allows them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

#: What fetches and what imports a checkpoint's Python files; other modules of transformers import them by name.
FUNCTIONS = ("get_class_from_dynamic_module", "get_cached_module_file", "get_class_in_module")


@contextmanager
def no_code() -> Iterator[None]:
    """While this lasts, loading a checkpoint runs none of its code.

    Raises
    ------
    ValueError
        Where the checkpoint cannot be loaded without it.
    """
    import transformers.dynamic_module_utils  # noqa: F401 (so that it is among the modules)

    def refused(*arguments: Any, **options: Any) -> Any:
        raise ValueError(f"the checkpoint wants to run code of its own ({arguments[0]}), which is never done")

    with ExitStack() as stack:
        # for every torch.load in this process, whatever its caller says
        stack.enter_context(patch.dict(os.environ, {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}))
        os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)  # put back by `patch.dict`
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "transformers":
                for function in FUNCTIONS:
                    if function in vars(module):
                        stack.enter_context(patch.object(module, function, refused))
        yield
