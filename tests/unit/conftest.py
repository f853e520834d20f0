"""What tests of models share."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """More threads may sum in another order, and models as small as these wait for them more than they work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
