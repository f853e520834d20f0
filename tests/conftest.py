"""What all tests share."""

import os

import pytest

import shared


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory):
    """One folder for all workers of pytest-xdist, each of which has a folder of its own in the same one."""
    base = tmp_path_factory.getbasetemp()
    shared.folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.folder.mkdir(exist_ok=True)


def pytest_collection_modifyitems(items):
    """The long ones first, so that no worker is left with one of them; whole runs are for `make test-all`."""
    for item in items:
        if item.path.parent.name == "endtoend":
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.parent.name not in ("endtoend", "workflow"))
