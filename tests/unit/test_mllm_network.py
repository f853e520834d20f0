"""The selector's network: what it sees, what it learns in which stage, and that a batch changes nothing."""

import numpy as np
import pytest
import torch

import tiny_mllm
from framesift.scoring.mllm_selector.batches import Reader, in_slots
from framesift.scoring.mllm_selector.checkpoint import new_selector
from framesift.scoring.mllm_selector.losses import importance_loss, instruction_loss
from framesift.scoring.mllm_selector.sampling import first_shown, slots
from framesift.scoring.mllm_selector.settings import FirstStage, SecondStage
from framesift.training.train_selector import prepare, rate

pytestmark = pytest.mark.usefixtures("one_thread")
OWN = {"projector", "query", "head"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_mllm.write_checkpoints(folder)
    return folder


@pytest.fixture(scope="module")
def world(checkpoints, tmp_path_factory):
    return tiny_mllm.World(tmp_path_factory.mktemp("world"), tiny_mllm.settings(checkpoints))


def fresh(checkpoints, *, replies=False, seed=0, **fields):
    settings = tiny_mllm.settings(checkpoints, **fields)
    return new_selector(settings, seed=seed, dtype=torch.float32, replies=replies)


def reader(selector, world):
    from framesift.scoring.mllm_selector.batches import VideoFeatures

    return Reader(selector.settings, selector.tokenizer, VideoFeatures([world.features]))


# What is trained


def with_gradient(selector, stage, batch):
    """Names of the parameters that a backward pass gives a gradient."""
    prepare(selector, stage)
    selector.network(batch).backward()
    return {name for name, one in selector.network.named_parameters() if one.grad is not None and one.grad.any()}


def test_stage_1_trains_projector_query_and_head(checkpoints, world):
    selector = fresh(checkpoints, replies=True)
    given = with_gradient(selector, FirstStage(), reader(selector, world).importance(world.examples[:4]))
    assert {name.split(".")[0] for name in given} == OWN
    assert given == set(selector.network.own_state())


def test_following_instructions_trains_the_projector_alone(checkpoints, world):
    selector = fresh(checkpoints, replies=True)
    given = with_gradient(selector, FirstStage(), reader(selector, world).instruction(world.instructions[:4]))
    assert {name.split(".")[0] for name in given} == {"projector"}


def test_stage_2_trains_adapters_of_every_block_that_is_run_too(checkpoints, world):
    selector = fresh(checkpoints)
    batch = reader(selector, world).importance(world.examples[:4])
    stage = SecondStage(lora={"r": 2, "dropout": 0})
    frozen = {name: one.clone() for name, one in selector.network.trunk.named_parameters()}
    trained = prepare(selector, stage)
    optimizer = torch.optim.AdamW(trained.values(), lr=0.1)
    for _ in range(2):  # the second halves of adapters start at zero, so the first halves learn from step 2 on
        optimizer.zero_grad()
        selector.network(batch).backward()
        optimizer.step()
    assert all(one.grad is not None and one.grad.any() for one in trained.values())
    adapters = {name for name in trained if name.startswith("trunk.")}
    assert all("lora_" in name for name in adapters)
    assert {name.split("layers.")[1][0] for name in adapters} == {"0", "1"}  # of three blocks, two are run
    assert len(adapters) == 2 * 2 * 7
    after = dict(selector.network.trunk.base_model.model.named_parameters())
    assert all((one == after[name.replace("_proj.", "_proj.base_layer.")]).all() for name, one in frozen.items())


def test_a_small_language_model_can_be_trained_whole(checkpoints, world):
    selector = fresh(checkpoints)
    given = with_gradient(
        selector, SecondStage(train_llm="all"), reader(selector, world).importance(world.examples[:4])
    )
    unused = {name for name, _ in selector.network.named_parameters()} - given
    # the last norm is not read; keys' biases move all weights of a softmax alike
    assert all("trunk.norm" in name or "k_proj.bias" in name for name in unused)


def test_gradient_checkpointing_changes_no_gradient(checkpoints, world):
    gradients = []
    for checkpointing in (False, True):
        selector = fresh(checkpoints)
        torch.manual_seed(0)
        stage = SecondStage(lora={"r": 2, "dropout": 0}, gradient_checkpointing=checkpointing)
        trained = prepare(selector, stage)
        selector.network(reader(selector, world).importance(world.examples[:4])).backward()
        gradients.append({name: one.grad for name, one in trained.items()})
        assert selector.network.trunk.is_activation_checkpointing == checkpointing
    for name in gradients[0]:  # without it, questions share the frames of their video
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("order", ["frames_then_question", "question_then_frames"])
def test_one_batch_is_learnt_by_heart(checkpoints, world, order):
    selector = fresh(checkpoints, order=order)
    batch = reader(selector, world).importance(world.examples[:8])
    trained = prepare(selector, SecondStage(train_llm="all"))
    optimizer = torch.optim.AdamW(trained.values(), lr=3e-3)
    for _ in range(60):
        loss = selector.network(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    logits = selector.network.logits(batch.frames[batch.of], batch.texts)
    assert ((logits > 0) == (batch.targets > 0.5))[batch.mask].all()


def test_replies_are_learnt_through_the_projector(checkpoints, world):
    selector = fresh(checkpoints, replies=True)
    batch = reader(selector, world).instruction(world.instructions[:6])
    optimizer = torch.optim.AdamW(prepare(selector, FirstStage()).values(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = selector.network(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


# Masks and short videos


def test_slots_are_uniform_and_reach_both_ends():
    assert slots(1000, 5).tolist() == [0, 250, 500, 749, 999]
    assert slots(3, 8).tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert first_shown(slots(3, 8)).tolist() == [True, False, True, False, False, False, True, False]
    assert slots(1, 4).tolist() == [0, 0, 0, 0]
    for candidates in (8, 9, 100, 128, 3600):
        assert first_shown(slots(candidates, 8)).all()


def test_masked_slots_count_for_nothing():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(3, 6, generator=generator), torch.rand(3, 6, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], dtype=torch.bool)
    logits.requires_grad_()
    loss = importance_loss(logits, targets, mask)
    loss.backward()
    assert (logits.grad[~mask] == 0).all()
    assert (logits.grad[mask] != 0).all()
    p = logits.detach().sigmoid()
    by_hand = -(targets * p.log() + (1 - targets) * (1 - p).log())
    assert loss.item() == pytest.approx(np.mean([by_hand[i][mask[i]].mean().item() for i in range(3)]), rel=1e-5)


def test_the_loss_of_replies_is_the_mean_over_replies_not_tokens():
    logits = [torch.zeros(1, 4), torch.tensor([[9.0, 0, 0, 0]] * 5)]
    tokens = [torch.tensor([2]), torch.zeros(5, dtype=torch.long)]
    expected = (np.log(4) + np.log1p(3 * np.exp(-9))) / 2
    assert instruction_loss(logits, tokens).item() == pytest.approx(expected, rel=1e-5)


def test_a_short_video_fills_all_slots():
    features = np.arange(3, dtype=np.float16)[:, None, None] * np.ones((1, 4, 2), dtype=np.float16)
    assert in_slots(features, 8)[:, 0, 0].tolist() == slots(3, 8).tolist()


# What the network sees


def scored(selector, world, examples):
    batch = reader(selector, world).importance(examples)
    with torch.inference_mode():
        return selector.network.logits(batch.frames[batch.of], batch.texts)


@pytest.mark.parametrize("order", ["frames_then_question", "question_then_frames"])
def test_no_example_depends_on_its_batch(checkpoints, world, order):
    selector = fresh(checkpoints, order=order)
    examples = [
        one.model_copy(update={"text": one.text + " of who" * (i % 3)}) for i, one in enumerate(world.examples[:7])
    ]
    together = scored(selector, world, examples)
    alone = torch.cat([scored(selector, world, [one]) for one in examples])
    assert (together - alone).abs().max() < 1e-5
    assert together.std(0).min() > 1e-4  # questions and videos matter


def test_questions_about_a_video_share_its_frames(checkpoints, world, monkeypatch):
    """With the same logits and gradients, and fewer tokens run."""
    selector = fresh(checkpoints)
    network, batch = selector.network, reader(selector, world).importance(world.examples[:7])
    assert len(batch.frames) < len(batch.texts)
    parameters = [*network.choose_trained("all").values()]
    run = []
    network.trunk.register_forward_pre_hook(
        lambda module, args, given: run.append(given["inputs_embeds"].shape[:2].numel()), with_kwargs=True
    )
    shared = torch.autograd.grad(network(batch), parameters, allow_unused=True)
    monkeypatch.setattr(type(network), "can_share_frames", False)
    apart = torch.autograd.grad(network(batch), parameters, allow_unused=True)
    assert run[0] + run[1] < run[2]
    for one, other in zip(shared, apart, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_the_order_matters_and_the_query_stands_last(checkpoints, world):
    orders = {}
    for order in ("frames_then_question", "question_then_frames"):
        selector = fresh(checkpoints, order=order)
        batch = reader(selector, world).importance(world.examples[:2])
        seen = {}

        def keep(module, args, kwargs, seen=seen):
            seen["sequences"] = kwargs["inputs_embeds"]

        selector.network.trunk.register_forward_pre_hook(keep, with_kwargs=True)
        selector.network.logits(batch.frames[batch.of], batch.texts)
        length = len(batch.texts[0])
        words = selector.network.trunk.get_input_embeddings()(batch.texts[0])
        visual = tiny_mllm.N * tiny_mllm.POOL**2
        start = visual if order == "frames_then_question" else 0
        assert torch.equal(seen["sequences"][0, start : start + length], words)
        assert torch.equal(seen["sequences"][0, visual + length], selector.network.query)
        assert seen["sequences"].shape[1] == visual + length + 1
        orders[order] = scored(selector, world, world.examples[:2])
    assert (orders["frames_then_question"] - orders["question_then_frames"]).abs().max() > 1e-4


@pytest.mark.parametrize(("read_out", "layer"), [(-2, 2), (-1, 3), (-4, 0)])
def test_the_hidden_state_that_is_read_is_that_of_the_whole_model(checkpoints, world, read_out, layer):
    from transformers import AutoModelForCausalLM

    if layer == 0:
        with pytest.raises(Exception, match="has 3 blocks"):
            fresh(checkpoints, read_out=read_out)
        return
    short, whole = (fresh(checkpoints, read_out=read_out, replies=replies) for replies in (False, True))
    assert len(short.network.trunk.layers) == layer
    assert len(whole.network.trunk.layers) == 3
    assert torch.equal(scored(short, world, world.examples[:3]), scored(whole, world, world.examples[:3]))
    batch = reader(short, world).importance(world.examples[:1])
    model = AutoModelForCausalLM.from_pretrained(checkpoints / "llm")
    network = short.network
    with torch.no_grad():
        visual = network.projector(batch.frames.float()).flatten(1, 2)
        words = model.get_input_embeddings()(batch.texts[0])[None]
        sequence = torch.cat([visual, words, network.query[None, None]], 1)
        blocks = []
        for block in model.model.layers:
            block.register_forward_hook(lambda module, given, output: blocks.append(output))
        model(inputs_embeds=sequence)
        read = blocks[layer - 1]
        theirs = network.head(read[:, -1])
    assert torch.allclose(theirs, scored(short, world, world.examples[:1]), atol=1e-5)


def test_the_rate_rises_and_falls_to_zero():
    stage = SecondStage(warmup=0.1)
    rates = [rate(stage, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-6 * (i + 1) for i in range(10)])
    assert max(rates) == rates[10] == 1e-5
    assert rates[55] == pytest.approx(5e-6)
    assert rates == rates[:10] + sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-8
