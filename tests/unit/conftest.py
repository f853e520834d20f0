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


@pytest.fixture
def decoded(monkeypatch):
    """The tasks of all videos that are decoded for scorers, as they begin."""
    from framesift.scoring import score_videos as scoring
    from framesift.video import stream as decoding

    seen = []

    def watched(tasks, *arguments):
        def noted():
            for task in tasks:
                seen.append(task)
                yield task

        return decoding.decode_all(noted(), *arguments)

    monkeypatch.setattr(scoring, "decode_all", watched)
    return seen
