"""BLIP-2 as a scorer, SeViLA's localizer and DINOv2, with random weights, against what transformers itself computes."""

import numpy as np
import pytest
import torch
from transformers import BitImageProcessorPil, BlipImageProcessorPil

import tiny_scorers
from framesift.core.components import FAMILIES, build, kinds
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.cache import VideoCache
from tiny_scorers import by_pillow, features_of, random_images, scored, scorer

TEXTS = ["What digit is on the red star?", "who is on a blue circle", "red"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "of"
    tiny_scorers.write_blip2_itm(folder / "blip2")
    tiny_scorers.write_blip2_t5(folder / "sevila")
    tiny_scorers.write_dino(folder / "dino")
    tiny_scorers.write_dino(folder / "registers", registers=3)
    return folder


@pytest.fixture(scope="module")
def images():
    return random_images(5)


@pytest.mark.parametrize(
    ("kind", "fields"), [("blip2_itm", {}), ("sevila", {"form": "fixed"}), ("sevila", {"form": "released"})]
)
def test_batches_score_as_single_frames_and_texts_do(kind, fields, checkpoints, images):
    made = scorer(kind, checkpoints, **fields)
    loaded = made.load("cpu")
    together = scored(made, images, TEXTS, loaded=loaded)
    assert together.shape == (5, 3)
    assert together.dtype == np.float32
    alone = np.concatenate([scored(made, images, [text], batch=1, loaded=loaded) for text in TEXTS], axis=1)
    assert np.abs(together - alone).max() < 1e-5
    assert together.std(axis=0).min() > 1e-4  # the pictures matter, and so do the texts
    assert together.std(axis=1).min() > 1e-4
    assert not made.keeps_features


@pytest.mark.parametrize(
    ("kind", "dtype"), [("blip2_itm", "bfloat16"), ("blip2_itm", "float16"), ("sevila", "bfloat16")]
)
def test_half_precision_is_near(kind, dtype, checkpoints, images):
    near = scored(scorer(kind, checkpoints, dtype=dtype), images, TEXTS)
    assert near.dtype == np.float32
    assert np.abs(near - scored(scorer(kind, checkpoints), images, TEXTS)).max() < 0.1


# BLIP-2 matching


def matched_by_transformers(made, images, text, *, whole=True):
    """The whole processor and the whole forward; without `whole`, a text without the processor's placeholders."""
    model, processor = made.load("cpu")
    pixels = by_pillow(BlipImageProcessorPil, processor.image_processor, images)
    if whole:
        tokens = processor(images=images, text=[text] * len(images), return_tensors="pt")
        tokens.pop("pixel_values")
        assert tokens["input_ids"].shape[1] > model.config.num_query_tokens
    else:
        model.config.image_token_index = None
        tokens = processor.tokenizer([text] * len(images), return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        logits = model(pixel_values=pixels, use_image_text_matching_head=True, **tokens).logits_per_image
    return torch.softmax(logits, dim=1)[:, 1].numpy()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_blip2_matching_is_that_of_transformers(text, whole, checkpoints, images):
    theirs = matched_by_transformers(scorer("blip2_itm", checkpoints), images, text, whole=whole)
    assert np.abs(scored(scorer("blip2_itm", checkpoints), images, [text])[:, 0] - theirs).max() < 1e-5


def test_blip2_texts_are_whole_unless_told_otherwise(checkpoints, images):
    def of(text, **fields):
        return scored(scorer("blip2_itm", checkpoints, **fields), images, [text])

    long = " ".join(["red star on the blue circle"] * 8)
    assert (of(long) != of(long + " who")).any()
    assert (of(long, max_tokens=32) == of(long + " who", max_tokens=32)).all()
    assert (of("red. star!", text_cleaning="lavis") == of("Red star")).all()
    assert (of("red. star!") != of("red star")).any()


# SeViLA

ASKED = Question(
    question_id="q", video_id="v", question="What is on the (red) star?", options=("A digit.", "Nothing"), answer="A"
)
OPEN = Question(question_id="q", video_id="v", question="who", answer=None)
LONG = ASKED.model_copy(update={"question": " ".join(f"w{i}" for i in range(48)) + "?"})


@pytest.mark.parametrize(
    ("question", "fields", "prompt"),
    [
        (
            ASKED,
            {},
            "Question: What is on the (red) star? Candidate: A. A digit. B. Nothing . Is this a good frame can answer"
            " the question?",
        ),
        (
            ASKED,
            {"options_style": "joined"},
            "Question: What is on the (red) star? Candidate: A. A digit.B. Nothing. Is this a good frame can answer"
            " the question?",
        ),
        (
            ASKED,
            {"form": "released"},
            "question what is on the red star? candidate a a digit b nothing is this a good frame can answer"
            " the question?",
        ),
        (
            ASKED,
            {"form": "released", "options_style": "joined"},
            "question what is on the red star? candidate a a digit b nothing is this a good frame can answer"
            " the question?",
        ),
        # 50 words: "question", the 48 of the question, "candidate". Neither an option nor what is asked is left.
        (LONG, {"form": "released"}, "question " + " ".join(f"w{i}" for i in range(48)) + "? candidate"),
        (
            LONG,
            {},
            "Question: " + " ".join(f"w{i}" for i in range(48)) + "? Candidate: A. A digit. B. Nothing . Is this a good"
            " frame can answer the question?",
        ),
        (OPEN, {}, "Question: who. Is this a good frame can answer the question?"),
    ],
)
def test_the_prompt_of_sevila(question, fields, prompt, checkpoints):
    assert scorer("sevila", checkpoints, **fields).query(question) == prompt


def test_letters_that_stick_to_an_option_are_no_words_of_their_own(checkpoints):
    """The release joins Video-MME's options with nothing between them; one without a full stop takes the letter."""
    question = ASKED.model_copy(update={"options": ("Apples", "Pears")})
    joined = scorer("sevila", checkpoints, form="released", options_style="joined").query(question)
    assert joined.startswith("question what is on the red star? candidate a applesb pears is this")


def told_by_transformers(made, images, text, cut):
    """The two logits by the model's own forward, its placeholders between "Frame: " and the text, and by generate."""
    model, processor = made.load("cpu")
    words = tiny_scorers.T5_WORDS
    before = [words.index("Frame"), words.index(":"), words.index("▁")]
    image = [processor.tokenizer.convert_tokens_to_ids("<image>")] * model.config.num_query_tokens
    after = processor.tokenizer(text, truncation=True, max_length=cut).input_ids
    tokens = torch.tensor([before + image + after]).expand(len(images), -1)
    pixels = by_pillow(BlipImageProcessorPil, processor.image_processor, images)
    start = torch.zeros((len(images), 1), dtype=torch.long)
    with torch.inference_mode():
        logits = model(pixel_values=pixels, input_ids=tokens, decoder_input_ids=start).logits[:, 0]
        first = model.generate(
            pixel_values=pixels, input_ids=tokens, num_beams=1, max_new_tokens=3, do_sample=False,
            return_dict_in_generate=True, output_scores=True,
        ).scores[0]  # fmt: skip
    assert (logits - first).abs().max() < 1e-5
    return logits[:, words.index("yes")].numpy(), logits[:, words.index("no")].numpy()


@pytest.mark.parametrize("long", [False, True])
def test_sevila_is_the_first_word_of_transformers(long, checkpoints, images):
    text = " ".join(["red star on the blue circle"] * (20 if long else 1))  # 120 tokens, or 6
    yes, _ = told_by_transformers(scorer("sevila", checkpoints), images, text, 77)
    assert np.abs(scored(scorer("sevila", checkpoints, form="released"), images, [text])[:, 0] - yes).max() < 1e-5
    yes, no = told_by_transformers(scorer("sevila", checkpoints), images, text, 512)
    expected = 1 / (1 + np.exp(no - yes))
    assert np.abs(scored(scorer("sevila", checkpoints, form="fixed"), images, [text])[:, 0] - expected).max() < 1e-5


def as_lavis_saves(model):
    """The localizer of a checkpoint of SeViLA that has the Q-Former of `model`, among other things."""
    renamed = {}
    for name, tensor in model.state_dict().items():
        if name == "query_tokens":
            renamed["query_tokens_loc"] = tensor
        elif name.startswith("language_projection"):
            renamed[name.replace("language_projection", "t5_proj_loc")] = tensor
        elif name.startswith("vision_model.post_layernorm"):
            renamed[name.replace("vision_model.post_layernorm", "ln_vision_loc")] = tensor
        elif name.startswith("qformer.layernorm"):
            renamed[name.replace("qformer.layernorm", "Qformer_loc.bert.embeddings.LayerNorm")] = tensor
        elif name.startswith("qformer"):
            name = name.replace("crossattention.attention", "crossattention.self")
            name = name.replace(".attention.attention", ".attention.self")
            renamed[name.replace("qformer", "Qformer_loc.bert")] = tensor
    for name in ("query", "key", "value"):
        assert f"Qformer_loc.bert.encoder.layer.0.attention.self.{name}.weight" in renamed
        assert f"Qformer_loc.bert.encoder.layer.0.crossattention.self.{name}.weight" in renamed
    assert "Qformer_loc.bert.encoder.layer.1.output_query.LayerNorm.bias" in renamed
    others = {
        "Qformer_loc.bert.embeddings.position_ids": torch.arange(5)[None],
        "Qformer.bert.encoder.layer.0.attention.self.query.weight": torch.zeros(3),
        "query_tokens": torch.zeros(3),
        "ln_vision.weight": torch.zeros(3),
        "t5_proj.weight": torch.zeros(3),
    }
    return renamed | others


@pytest.fixture(scope="module")
def other(checkpoints):
    """A second model, whose Q-Former is the trained localizer here."""
    tiny_scorers.write_blip2_t5(checkpoints / "other", seed=1)
    return build("scorers", {"kind": "sevila", "model": str(checkpoints / "other")}).load("cpu")[0]


def test_the_localizer_takes_the_place_of_the_q_former(checkpoints, other, images, tmp_path):
    path = tmp_path / "sevila_pretrained.pth"
    torch.save({"model": as_lavis_saves(other), "epoch": 3, "config": {"run": {"seed": 42}}}, path)
    plain, trained = scorer("sevila", checkpoints), scorer("sevila", checkpoints, localizer=str(path))
    loaded = plain.load("cpu")
    model = loaded[0]
    model.qformer, model.query_tokens = other.qformer, other.query_tokens
    model.language_projection = other.language_projection
    model.vision_model.post_layernorm = other.vision_model.post_layernorm
    with torch.inference_mode():
        expected = plain.scores(loaded, features_of(plain, loaded, images), TEXTS)
    assert np.abs(scored(trained, images, TEXTS) - expected).max() < 1e-6
    assert np.abs(scored(plain, images, TEXTS) - expected).max() > 1e-3


def without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {"model": without(state, "query_tokens_loc")},
            "lacks 1 weights of the localizer: query_tokens_loc(.|\n)*expected: SeViLA's sevila_pretrained.pth",
        ),
        (
            lambda state: {"model": {name: state[name] for name in state if "_loc" not in name}},
            r"lacks \d+ weights of the localizer: Qformer_loc.bert.embeddings.LayerNorm.bias, .* \.\.\.",
        ),
        (
            lambda state: {
                "model": state | {"Qformer_loc.bert.encoder.layer.9.output_query.dense.bias": torch.ones(1)}
            },
            r"has 1 weights of a localizer that the model has no place for: Qformer_loc.bert.encoder.layer.9",
        ),
        (
            lambda state: {"model": state | {"t5_proj_loc.bias": torch.zeros(2048)}},
            r"has 1 weights of another shape than the model: t5_proj_loc.bias: \(2048,\), not \(32,\)",
        ),
        (lambda state: state, "has no weights under the key 'model'"),
        (lambda state: {"model": [1]}, "has no weights under the key 'model'"),
        (None, "is no checkpoint of torch"),
    ],
)
def test_a_localizer_that_does_not_fit(change, message, checkpoints, other, tmp_path):
    path = tmp_path / "file.pth"
    if change:
        torch.save(change(as_lavis_saves(other)), path)
    else:
        path.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=f"scorers: localizer: {message}"):
        scorer("sevila", checkpoints, localizer=str(path)).load("cpu")


def test_no_code_of_a_checkpoint_is_run(checkpoints, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("touched").touch, ())

    torch.save({"model": {}, "config": Evil()}, tmp_path / "file.pth")
    with pytest.raises(InputError, match="is no checkpoint of torch"):
        scorer("sevila", checkpoints, localizer=str(tmp_path / "file.pth")).load("cpu")
    assert not (tmp_path / "touched").exists()


def test_a_localizer_that_is_not_there(checkpoints, tmp_path):
    made = scorer("sevila", checkpoints, localizer=str(tmp_path / "gone.pth"))
    for use in (lambda: made.load("cpu"), made.weights):
        with pytest.raises(InputError, match=r"scorers: localizer: cannot be read \(No such file(.|\n)*gone\.pth"):
            use()


def test_the_localizer_is_part_of_what_identifies_the_weights(checkpoints, tmp_path):
    path = tmp_path / "file.pth"
    made = scorer("sevila", checkpoints, localizer=str(path))
    folders = set()
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        folders.add(VideoCache(made, {"rule": "index"}, "pyav", tmp_path).folder)
    assert len(folders) == 2
    plain = scorer("sevila", checkpoints)
    assert made.weights().startswith(plain.weights() + " ")
    assert plain.weights() == scorer("sevila", checkpoints, form="released").weights()


def test_a_language_model_without_yes(tmp_path, images):
    words = ["ja" if word == "yes" else word for word in tiny_scorers.T5_WORDS]
    tiny_scorers.write_blip2_t5(tmp_path / "sevila", words=words)
    with pytest.raises(InputError, match=r"the tokenizer has no token for 'yes'(.|\n)*expected: a BLIP-2 with FLAN-T5"):
        scored(scorer("sevila", tmp_path), images, TEXTS)


@pytest.mark.parametrize(
    "fields", [{"text": "question"}, {"dtype": "float16"}, {"form": "mine"}, {"options_style": "tabbed"}]
)
def test_settings_that_sevila_does_not_have(fields, checkpoints):
    (name,) = fields
    with pytest.raises(InputError, match=f"scorers sevila: {name}: "):
        scorer("sevila", checkpoints, **fields)


# DINOv2


def encoder(checkpoints, name="dino", **fields):
    return build("encoders", {"kind": "dino", "model": str(checkpoints / name), **fields})


def embedded(made, images, batch=5):
    loaded = made.load("cpu")
    with torch.inference_mode():
        parts = [features_of(made, loaded, images[i : i + batch]) for i in range(0, len(images), batch)]
    return torch.cat(parts).numpy()


def test_encoders_are_a_family_of_their_own():
    assert "encoders" in FAMILIES
    assert "dino" in kinds("encoders")


@pytest.mark.parametrize(
    ("name", "pooling", "tokens"),
    [
        *[("dino", "cls", slice(1)), ("dino", "mean", slice(1, None)), ("dino", "mean_all", slice(None))],
        *[
            ("registers", "cls", slice(1)),
            ("registers", "mean", slice(4, None)),
            ("registers", "mean_all", slice(None)),
        ],
    ],
)
def test_dino_is_that_of_transformers(name, pooling, tokens, checkpoints, images):
    made = encoder(checkpoints, name, pooling=pooling)
    assert made.keeps_features
    ours = embedded(made, images)
    assert (ours.dtype, ours.shape) == (np.float32, (5, 32))
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-6
    assert np.abs(ours - embedded(made, images, batch=1)).max() < 1e-6
    model, processor = made.load("cpu")
    with torch.inference_mode():
        hidden = model(pixel_values=by_pillow(BitImageProcessorPil, processor, images)).last_hidden_state
    theirs = hidden[:, tokens].mean(dim=1)
    theirs = (theirs / theirs.norm(dim=1, keepdim=True)).numpy()
    assert np.abs(ours - theirs).max() < 1e-5
    assert ours.std(axis=0).max() > 1e-3
