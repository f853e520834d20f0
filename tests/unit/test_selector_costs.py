"""What a selection costs and what training needs: the formulas against what torch counts, and the full size."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2Model, SiglipVisionModel

import tiny_mllm
from framesift.scoring.mllm_selector.batches import Reader, VideoFeatures
from framesift.scoring.mllm_selector.checkpoint import new_selector
from framesift.scoring.mllm_selector.settings import Lora, SecondStage
from framesift.training.train_selector import prepare
from selector_costs import encoding_flops, full_size, lora_memory, reading_flops, selection_ratio

VISION, LLM = full_size()


def counted(model, **inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return counter.get_total_flops()


def test_operations_of_encoding_are_those_that_torch_counts():
    with torch.device("meta"):
        model = SiglipVisionModel._from_config(VISION, attn_implementation="eager")
        theirs = counted(model, pixel_values=torch.empty(2, 3, 384, 384))
    assert encoding_flops(VISION, 2) == pytest.approx(theirs, rel=0.01)  # they count the pooling head too


def test_operations_of_reading_are_those_that_torch_counts():
    short = Qwen2Config.from_dict(LLM.to_dict() | {"num_hidden_layers": 2, "layer_types": None})
    with torch.device("meta"):
        model = Qwen2Model._from_config(short, attn_implementation="eager")
        mask = {"full_attention": None}
        theirs = counted(model, inputs_embeds=torch.empty(1, 1200, 1536), attention_mask=mask, use_cache=False)
    masked = 2 * 2 * 1200 * 1200 * 1536  # eager attention computes the future too, which counts for nothing
    assert reading_flops(short, 2, 1200) == pytest.approx(theirs - masked, rel=0.01)


def test_a_selection_costs_at_most_one_and_a_half_times_the_encoding_of_its_frames():
    ratio = selection_ratio(VISION, LLM, n=128, pool=3, blocks=27, text_tokens=128)
    assert 1.05 < ratio < 1.10
    assert selection_ratio(VISION, LLM, n=128, pool=3, blocks=27, text_tokens=512) < 1.5
    assert selection_ratio(VISION, LLM, n=128, pool=5, blocks=27, text_tokens=512) < 1.5
    assert selection_ratio(VISION, LLM, n=128, pool=12, blocks=27, text_tokens=128) > 1.5


def at_full_size(**fields):
    given = {"blocks": 27, "lora": Lora(), "n": 128, "pool": 3, "vision_width": 1024, "text_tokens": 128, "batch": 8}
    return lora_memory(LLM, **given | {"checkpointing": True} | fields)


def test_stage_2_of_the_full_size_fits_one_gpu():
    memory, plain = at_full_size(), at_full_size(checkpointing=False)
    assert memory.frozen == pytest.approx(2 * (27 * 46.8e6 + 233.4e6), rel=0.01)
    assert memory.trained == memory.gradients == memory.optimizer / 2
    assert 70e6 < memory.trained / 4 < 80e6
    assert memory.total < 12e9
    assert 30e9 < plain.total < 80e9
    assert plain.activations > 10 * memory.activations
    assert at_full_size(batch=1).activations == memory.activations / 8


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_activations_are_those_that_torch_keeps(checkpointing, tmp_path):
    tiny_mllm.write_checkpoints(tmp_path)
    tiny_mllm.write_llm(tmp_path / "llm", layers=7)
    settings = tiny_mllm.settings(tmp_path)
    world = tiny_mllm.World(tmp_path / "world", settings)
    selector = new_selector(settings, seed=0, dtype=torch.bfloat16, replies=False)
    lora = Lora(r=4, dropout=0)
    prepare(selector, SecondStage(lora=lora, gradient_checkpointing=checkpointing))
    reader = Reader(settings, selector.tokenizer, VideoFeatures([world.features]))
    batch = reader.importance([one for one in world.examples if one.text == world.examples[0].text][:4])
    weights = {one.untyped_storage().data_ptr() for one in selector.network.state_dict().values()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        loss = selector.network(batch)
    config = selector.network.trunk.config
    memory = lora_memory(
        config, blocks=6, lora=lora, n=8, pool=2, vision_width=32, text_tokens=len(batch.texts[0]), batch=4,
        checkpointing=checkpointing,
    )  # fmt: skip
    # what is computed anew for one block comes on top only in the backward pass
    one = (lora_memory(config, blocks=1, lora=lora, n=8, pool=2, vision_width=32, text_tokens=len(batch.texts[0]),
                       batch=4, checkpointing=False).activations) if checkpointing else 0  # fmt: skip
    measured = sum(size for size, _ in kept.values())
    assert loss.isfinite()
    assert memory.activations == pytest.approx(measured + one, rel=0.25)
