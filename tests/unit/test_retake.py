"""Compression inside a network: without loss where nothing is dropped, and exactly to its budget where something is."""

import copy
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from framesift.answering.retake import generation
from framesift.answering.retake.budgets import chunk_ratios, kept, layer_ratios
from framesift.answering.retake.dpselect import choose
from framesift.answering.retake.generation import compress, reforged
from framesift.answering.retake.pivotkv import (
    PivotCache,
    PivotLayer,
    Watch,
    _flash,
    _sdpa,
    attention_received,
    rotated,
    select,
    unrotated,
)
from framesift.answering.retake.settings import Retake
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from tiny_retake import KINDS, VIDEO, World, world

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

PLAIN = {"budget_tokens": None, "dpselect": "none"}
NEW = 8


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


def answer(network, inputs, **options):
    settings = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 2}
    return network.generate(**inputs, **(settings | options))


def answer_and_logits(network, inputs):
    """Tokens, and the logits (new tokens, vocabulary) as the head gives them (`generate` would round them)."""
    seen = []
    handle = network.lm_head.register_forward_hook(lambda module, arguments, output: seen.append(output[0, -1]))
    tokens = answer(network, inputs)
    handle.remove()
    return tokens, torch.stack(seen)


def compressed(of: World, **settings):
    """A copy of the world's network with compression, and that compression."""
    network = copy.deepcopy(of.network)
    return network, compress(network, Retake(**settings))


class Positions:
    """Position ids that the text model turns its tokens by, call by call; the rotations of reforging left out."""

    def __init__(self, network):
        self.calls: list[torch.Tensor] = []
        self._next = False
        text = network.model.language_model
        text.register_forward_pre_hook(self._begin)
        text.rotary_emb.register_forward_hook(self._turned)

    def _begin(self, module, arguments):
        self._next = True

    def _turned(self, module, arguments, output):
        if self._next:
            self.calls.append(arguments[1].reshape(-1, arguments[1].shape[-1]))
            self._next = False


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("chunk_frames", [2, 6, 10, 1000])
def test_prefill_in_chunks_is_prefill_at_once(kind, dtype, tolerance, chunk_frames):
    plain = world(kind, dtype)
    network, _ = compressed(plain, **PLAIN, chunk_frames=chunk_frames, encoder_frames=4)
    expected, logits = answer_and_logits(plain.network, plain.inputs)
    found, own_logits = answer_and_logits(network, plain.inputs)
    assert torch.equal(found, expected), "generation goes on the same"
    assert (own_logits - logits).abs().max() <= tolerance * logits.abs().max()


@pytest.mark.parametrize("reforge", [False, True])
@pytest.mark.parametrize(("ratio", "chunk_frames"), [(0.5, 4), (0.25, 8), (0.3, 6), (0.01, 6)])
def test_every_layer_holds_exactly_its_budget(kind, ratio, chunk_frames, reforge):
    plain = world(kind)
    network, compression = compressed(plain, ratio=ratio, chunk_frames=chunk_frames, reforge=reforge)
    answer(network, plain.inputs)
    frames = 1 if kind == "llava_onevision" else 2
    chunk = min(chunk_frames, plain.steps) // frames * plain.step_tokens
    sizes = [min(chunk, plain.video_tokens - start) for start in range(0, plain.video_tokens, chunk)]
    expected = plain.text_tokens - 1 + sum(max(1, int(ratio * size)) for size in sizes)
    assert compression.kept.tokens == (expected,) * 3
    assert compression.kept.prompt == plain.inputs["input_ids"].shape[1]


def test_a_budget_in_tokens_is_kept_and_a_long_enough_one_loses_nothing(kind):
    plain = world(kind)
    length = plain.inputs["input_ids"].shape[1]
    network, compression = compressed(plain, budget_tokens=length // 2, chunk_frames=4)
    answer(network, plain.inputs)
    # text is never dropped, so that a little more than the budget stays
    assert length // 2 - 6 <= max(compression.kept.tokens) <= length // 2 + plain.text_tokens
    network, compression = compressed(plain, budget_tokens=length, chunk_frames=4)
    expected, _ = answer_and_logits(plain.network, plain.inputs)
    assert torch.equal(answer(network, plain.inputs), expected)
    assert compression.kept.tokens == (length - 1,) * 3


@pytest.mark.parametrize("chunk_frames", [4, 6])
@pytest.mark.parametrize("text_after", ["released", "paper"])
def test_positions_go_on_where_the_kept_tokens_end(kind, chunk_frames, text_after):
    plain = world(kind)
    network, _ = compressed(plain, ratio=0.4, chunk_frames=chunk_frames, text_after=text_after)
    seen = Positions(network)
    answer(network, plain.inputs)
    time = [call[0] for call in seen.calls]
    assert all(bool((later.min() > earlier[0]).all()) for earlier, later in pairwise(time)), "time never goes back"
    *_, text, first, second = seen.calls[: len(seen.calls) - NEW + 2]
    assert [int(first[0, 0]), int(second[0, 0])] == [int(text[0, -1]) + 1, int(text[0, -1]) + 2]
    dense = Positions(plain.network)
    answer(plain.network, plain.inputs)
    assert int(text[0, 0]) < int(dense.calls[0][0, -6]), "the time axis was closed up"
    if kind == "llava_onevision":
        return
    rows = dense.calls[0][1, -6:-1]
    if text_after == "released":
        assert torch.equal(text[1], rows), "time alone moves"
    else:
        assert torch.equal(text[0], text[1])
        assert torch.equal(text[0], text[2])


def test_text_starts_after_the_largest_id_of_the_video(kind):
    plain = world(kind)
    network, _ = compressed(plain, **PLAIN, chunk_frames=4)
    seen = Positions(network)
    answer(network, plain.inputs)
    before, text = torch.cat(seen.calls[: -NEW - 1], dim=1), seen.calls[-NEW - 1]
    assert int(text.min()) == int(before.max()) + 1


def test_tokens_go_on_after_the_layer_that_is_furthest(kind, monkeypatch):
    """Each layer keeps tokens of its own, so that the first layer is not always the one that ends last."""
    ends = []

    def recorded(*arguments):
        new = reforged(*arguments)
        ends.append(int(new.reshape(-1, new.shape[-1])[0].max()))
        return new

    monkeypatch.setattr(generation, "reforged", recorded)
    network, _ = compressed(world(kind), ratio=0.2, chunk_frames=8)
    seen = Positions(network)
    answer(network, world(kind).inputs)
    starts = {int(call[0, 0]) for call in seen.calls}
    chunks = [ends[first : first + 3] for first in range(0, len(ends), 3)]
    assert any(max(chunk) > chunk[0] for chunk in chunks)
    assert {max(chunk) + 1 for chunk in chunks} <= starts


def golden():
    found = np.load(GOLDEN / "pivotkv_golden.npz")
    cases = json.loads(str(found["meta"]))
    return found, [case for case in cases if f"{case['name']}__text0__pos" in found]


@pytest.mark.parametrize("number", range(2))
def test_the_released_steps(number):
    """One attention layer through text, two chunks of video and text, as the release computes it."""
    found, cases = golden()
    case = cases[number]
    layer, position_cache = PivotLayer(), []
    turn = Turning(case)
    for step in case["steps"]:

        def given(what, step=step):
            return torch.from_numpy(found[f"{case['name']}__{step}__{what}"])

        positions, added = given("pos"), given("k_raw").shape[2]
        query, key = (rotated(given(f"{what}_raw"), *turn(positions)) for what in "qk")
        torch.testing.assert_close(query, given("q_rot"), rtol=0, atol=1e-5)
        layer.update(key, given("v"))
        keep = torch.arange(added)
        if step.startswith("vid"):
            upright = (*turn(positions), case["attention_scaling"]) if case["reforge"] else None
            watch = Watch(added, slice(None), upright)
            watch.see(0, query, key, case["head_dim"] ** -0.5)
            count = kept(case["ratio"], added)
            pivots = given("pivot") if case["pivots"] else None
            keep, move, old = select(watch.scores[0], count, pivots, 1.0), None, positions
            positions = old[..., keep]
            if case["reforge"]:
                positions = reforged(positions, count, added)

                def move(keys, old=old[..., keep], new=positions):
                    return rotated(unrotated(keys, *turn(old), case["attention_scaling"]), *turn(new))

            layer.evict(added, keep, move)
        assert keep.tolist() == given("kept").tolist()
        position_cache.append(positions)
        torch.testing.assert_close(layer.keys, given("cache_k"), rtol=0, atol=1e-5)
        assert torch.equal(layer.values, given("cache_v"))
        assert torch.equal(torch.cat(position_cache, dim=-1), given("cache_pos"))


class Turning:
    """cos and sin as transformers has them, of the golden cases."""

    def __init__(self, case):
        self.case = case

    def __call__(self, positions):
        size, scaling = self.case["head_dim"], self.case["attention_scaling"]
        frequencies = self.case["theta"] ** (-torch.arange(0, size, 2).float() / size)
        angles = positions[..., None] * frequencies  # (axes, 1, tokens, size / 2) or (1, tokens, size / 2)
        if section := self.case["mrope_section"]:
            parts = angles.split(section, dim=-1)
            angles = torch.cat([part[axis] for axis, part in enumerate(parts)], dim=-1)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos() * scaling, angles.sin() * scaling


def test_moving_a_key_is_turning_the_raw_key_anew():
    turn = Turning(golden()[1][0] | {"attention_scaling": 1.1386})
    raw = torch.randn(1, 2, 5, 16, dtype=torch.float64)
    old, new = torch.arange(15).reshape(3, 1, 5), torch.randint(0, 50, (3, 1, 5))
    moved = rotated(unrotated(rotated(raw, *turn(old)), *turn(old), 1.1386), *turn(new))
    torch.testing.assert_close(moved, rotated(raw, *turn(new)), rtol=0, atol=1e-6)


def test_scores_have_mean_one_and_need_one_head_of_keys_at_a_time():
    query, key = torch.randn(1, 6, 10, 8), torch.randn(1, 2, 7, 8)
    scores = attention_received(query, key, 0.3)
    weights = torch.softmax(query @ key.repeat_interleave(3, dim=1).transpose(2, 3) * 0.3, dim=-1)
    torch.testing.assert_close(scores, weights.mean(dim=(0, 1, 2)) * 7)
    assert float(scores.mean()) == pytest.approx(1)


def test_pivots_that_fit_are_all_kept_under_inf_and_few_of_them_as_released():
    torch.manual_seed(0)
    scores = torch.rand(100) * 2
    pivots = torch.zeros(100, dtype=torch.bool)
    pivots[::7] = True
    chosen = select(scores, 20, pivots, float("inf"))
    assert set(torch.nonzero(pivots).flatten().tolist()) <= set(chosen.tolist())
    assert chosen.tolist() == sorted(chosen.tolist())
    assert len(chosen) == 20
    released = select(scores, 20, pivots, 1.0)
    assert not set(torch.nonzero(pivots).flatten().tolist()) & set(released.tolist())


def test_marks_reach_the_cache(kind, monkeypatch):
    """With marks that come before all else, every marked token that fits is kept, in every layer; else it is not."""
    plain, evict = world(kind), PivotLayer.evict
    for fill in ("inf", "1.0"):
        kept_tokens: list[list[int]] = []

        def watched(layer, tokens, keep, rotate=None, kept_tokens=kept_tokens):
            kept_tokens.append(keep.tolist())
            evict(layer, tokens, keep, rotate)

        monkeypatch.setattr(PivotLayer, "evict", watched)
        network, compression = compressed(plain, ratio=0.5, chunk_frames=8, pivot_fill=fill)
        answer(network, plain.inputs)
        prompt = compression.prompt(plain.inputs["input_ids"], plain.inputs)
        marks = [prompt.pivots[start - prompt.start : stop - prompt.start] for start, stop in prompt.chunks]
        missed = 0
        for call, tokens in enumerate(kept_tokens):
            marked = set(torch.nonzero(marks[call // 3]).flatten().tolist())
            assert len(marked) <= max(1, len(tokens)), "they fit"
            missed += len(marked - set(tokens))
        assert (missed == 0) == (fill == "inf")


def test_dropped_steps_leave_before_the_language_model(kind):
    plain = world(kind)
    network, compression = compressed(plain, budget_tokens=None, dpselect="drop", dpselect_ratio=0.5)
    tokens = answer(network, plain.inputs)
    steps = max(1, round(0.5 * plain.steps))
    assert compression.kept.tokens == (plain.text_tokens - 1 + plain.tail + steps * plain.step_tokens,) * 3
    assert tokens.shape[1] == plain.inputs["input_ids"].shape[1] + NEW, "the prompt comes back as it was given"
    assert torch.equal(tokens[:, :-NEW], plain.inputs["input_ids"])


def test_dropping_is_the_same_as_a_video_of_the_steps_that_stay(kind):
    plain = world(kind)
    network, compression = compressed(plain, budget_tokens=None, dpselect="drop", dpselect_ratio=0.5, patch_sync=True)
    found, logits = answer_and_logits(network, plain.inputs)
    video = compression.family.video(plain.inputs, 4)
    steps = choose(video.change, 0.5, 3, True).steps[:, 0]
    media = plain.inputs["pixel_values_videos"]
    ids = plain.inputs["input_ids"]
    gone = (plain.steps - len(steps)) * plain.step_tokens
    shorter = {"input_ids": torch.cat([ids[:, :4], ids[:, 4 + gone :]], dim=1)}
    shorter["attention_mask"] = torch.ones_like(shorter["input_ids"])
    if kind == "llava_onevision":
        shorter["pixel_values_videos"] = media[:, steps]
    else:
        shorter["pixel_values_videos"] = media.reshape(plain.steps, -1, media.shape[-1])[steps].flatten(0, 1)
        shorter["video_grid_thw"] = torch.tensor([[len(steps), *plain.inputs["video_grid_thw"][0, 1:]]])
        shorter["mm_token_type_ids"] = 2 * (shorter["input_ids"] == VIDEO).int()
        if kind == "qwen2_5_vl":
            shorter["second_per_grid_ts"] = plain.inputs["second_per_grid_ts"]
    expected, own_logits = answer_and_logits(plain.network, shorter)
    assert torch.equal(found[:, -NEW:], expected[:, -NEW:])
    torch.testing.assert_close(logits, own_logits, rtol=0, atol=1e-10)


def test_one_frame_is_enough(kind):
    plain = world(kind, steps=1)
    for mode in ("mask", "drop"):
        network, compression = compressed(plain, ratio=0.5, dpselect=mode)
        answer(network, plain.inputs)
        assert min(compression.kept.tokens) > plain.text_tokens - 1


def test_layers_may_keep_different_numbers(kind):
    plain = world(kind)
    network, compression = compressed(plain, ratio=0.3, chunk_frames=8, layer_budget="adakv")
    answer(network, plain.inputs)
    even = compressed(plain, ratio=0.3, chunk_frames=8)
    answer(even[0], plain.inputs)
    assert len(set(compression.kept.tokens)) > 1
    chunks = 2 * plain.steps // 8 + 1
    assert abs(sum(compression.kept.tokens) - sum(even[1].kept.tokens)) <= 3 * chunks


def test_the_question_may_ask_and_is_not_remembered(kind):
    plain = world(kind)
    own = compressed(plain, ratio=0.3, chunk_frames=8)
    asked = compressed(plain, ratio=0.3, chunk_frames=8, scores="prompt", prompt_tokens=4)
    answers = [answer_and_logits(network, plain.inputs)[1] for network, _ in (own, asked)]
    assert own[1].kept == asked[1].kept
    assert not torch.allclose(*answers)
    again = compressed(plain, ratio=1.0, chunk_frames=8, scores="prompt")
    assert torch.equal(answer(again[0], plain.inputs), answer(plain.network, plain.inputs))


def test_chunks_that_change_more_keep_more_and_all_together_the_budget():
    ratios = chunk_ratios(0.3, [0.1, 0.5, 0.1, 0.3], [100, 100, 100, 20])
    assert ratios[1] > ratios[3] > ratios[0] == ratios[2]
    assert sum(ratio * size for ratio, size in zip(ratios, [100, 100, 100, 20], strict=True)) == pytest.approx(
        0.3 * 320
    )
    full = chunk_ratios(0.5, [10.0, 0.1, 0.1], [10, 10, 10])
    assert full[0] == 1
    assert sum(full) == pytest.approx(1.5)
    assert chunk_ratios(0.5, [0.0, 0.0], [10, 30]) == [0.5, 0.5], "nothing changes"


def test_layers_share_by_where_the_highest_scores_are():
    low, high = torch.full((50,), 0.5), torch.full((50,), 1.5)
    ratios = layer_ratios(0.25, [low, high])
    assert ratios[1] > 0.4 > 0.1 > ratios[0] > 0
    assert sum(ratios) == pytest.approx(0.5)
    assert layer_ratios(0.25, [low, low.clone()]) != [0, 0.5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_beams": 2}, "beam search"),
        ({"cache_implementation": "static"}, "static cache"),
        ({"past_key_values": PivotCache(3)}, "cache from outside"),
        ({"pixel_values_videos": None}, "without a video"),
        ({"pixel_values": torch.zeros(1)}, "single pictures"),
    ],
    ids=str,
)
def test_what_is_not_done_is_refused(change, said):
    plain = world("qwen2_vl")
    network, _ = compressed(plain, ratio=0.5)
    with pytest.raises(InputError, match=said):
        network.generate(**(plain.inputs | change))


def test_two_prompts_or_two_videos_are_refused():
    plain = world("qwen2_vl")
    network, _ = compressed(plain, ratio=0.5)
    twice = {name: torch.cat([value, value]) for name, value in plain.inputs.items()}
    with pytest.raises(InputError, match="several prompts"):
        network.generate(**twice)
    with pytest.raises(InputError, match="2 videos"):
        network.generate(**(plain.inputs | {"video_grid_thw": twice["video_grid_thw"]}))


def test_a_network_of_another_kind_is_refused():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, vocab_size=10)  # fmt: skip
    with pytest.raises(InputError, match="qwen2_vl, qwen2_5_vl, llava_onevision"):
        compress(Qwen2ForCausalLM(config), Retake())


def test_marks_of_pooled_tokens_follow_their_patches():
    """A change in one corner of one frame marks the token over that corner; laid over in order, it does not."""
    plain = world("llava_onevision", steps=6)
    pixels = torch.zeros_like(plain.inputs["pixel_values_videos"]) + 0.1
    pixels[:, 3:, :, 16:, 16:] = 2.0  # the last of 3 x 3 patches, from the fourth frame on
    inputs = plain.inputs | {"pixel_values_videos": pixels}
    _, compression = compressed(plain, ratio=0.5)
    video = compression.family.video(inputs, 4)
    assert video.change.shape == (6, 4)
    assert video.patches.shape == (6, 9)
    pivots = compression.prompt(inputs["input_ids"], inputs).pivots
    assert pivots.shape == (6 * 4 + 1,)
    assert pivots[3 * 4 + 3], "the last of four tokens of the fourth frame"
    assert not pivots[-1], "the line feed"
    wrong = compressed(plain, ratio=0.5, reference_bug=True)[1].prompt(inputs["input_ids"], inputs).pivots
    expected = choose(video.patches, 1.0, 3, False).peaks.flatten()[:25]
    assert torch.equal(wrong, expected)
    assert not torch.equal(wrong, pivots)


def test_flash_attention_is_asked_for_the_same(monkeypatch):
    """A stand-in for the library: (1, tokens, heads, dimensions), fewer heads of keys, causal to the last key."""

    def flash_attn_func(query, key, value, softmax_scale, causal):
        assert causal
        return _sdpa(*(states.transpose(1, 2) for states in (query, key, value)), softmax_scale)

    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_func=flash_attn_func))
    query, key, value = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    torch.testing.assert_close(_flash(query, key, value, 0.3), _sdpa(query, key, value, 0.3))


@pytest.mark.parametrize(("added", "kept_before"), [(5, 0), (5, 4), (1, 8)])
def test_attention_is_causal_to_the_last_key(added, kept_before):
    torch.manual_seed(0)
    keys = kept_before + added
    query, key, value = torch.randn(1, 4, added, 8), torch.randn(1, 2, keys, 8), torch.randn(1, 2, keys, 8)
    weights = query @ key.repeat_interleave(2, dim=1).transpose(2, 3) * 0.3
    later = torch.ones(added, keys, dtype=torch.bool).triu(kept_before + 1)
    expected = weights.masked_fill(later, -torch.inf).softmax(dim=-1) @ value.repeat_interleave(2, dim=1)
    torch.testing.assert_close(_sdpa(query, key, value, 0.3), expected.transpose(1, 2))


@pytest.mark.slow
def test_the_benchmark_shows_memory_that_does_not_grow_with_the_video():
    program = SCRIPTS.parents[1] / "tools" / "bench_retake.py"
    options = ["--frames", "32", "64", "--grid", "2", "2", "--budget", "60", "--pairs", "1"]
    env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, program, *options], env=env, capture_output=True, text=True, check=True)
    line = re.compile(r" *(\d+) +\d+  (\S.*?)  +[\d.]+ +(\d+) ")
    held = {(int(found[1]), found[2]): int(found[3]) for found in map(line.match, done.stdout.splitlines()) if found}
    assert held[64, "ordinary"] - held[32, "ordinary"] == held[64, "in chunks"] - held[32, "in chunks"] == 64
    for arm in ("PivotKV", "PivotKV, positions in scores", "PivotKV, asked by the question"):
        assert abs(held[64, arm] - held[32, arm]) <= 30, "the share falls as the video grows; text always stays"
