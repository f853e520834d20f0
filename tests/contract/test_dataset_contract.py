"""The contract of datasets, for every member."""

import pytest

from framesift.core.components import kinds
from framesift.data.benchmarks import reader_of
from framesift.interop.contract import check_dataset


@pytest.mark.parametrize("kind", kinds("datasets"))
def test_every_dataset_keeps_the_contract(kind):
    check_dataset(reader_of({"kind": kind}))
