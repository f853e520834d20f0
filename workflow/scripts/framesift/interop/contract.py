"""Contract checks: what the workflow expects of each family of components, to call from a test of your own.

Each check runs the component on small made-up inputs and raises AssertionError for the first promise that it breaks.

Examples
--------
>>> from framesift.selection.selectors.topk import TopK
>>> check_selector(TopK())
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from framesift.answering.answerers import Answerer, AnswerRequest
from framesift.answering.lmms.task import ID_COLUMN, Frames
from framesift.answering.lmms.tasks import check_columns, text_of
from framesift.core.components import Component, Work
from framesift.core.plugins import usable_kind
from framesift.core.spec import canonical_json
from framesift.data.benchmarks import Dataset
from framesift.data.questions import Question
from framesift.papers.references import entries_of, read_bibliography
from framesift.scoring.encoders import Encoder
from framesift.scoring.scorers import Scorer, ScoreSource, TwoTowers
from framesift.selection.selectors import Candidates, Selector, choose

if TYPE_CHECKING:
    from PIL.Image import Image

#: Texts that are asked of scorers and answerers.
_TEXTS = ("What digit is on the red star?", "who is on a blue circle", "red")


def _promise(kept: object, message: str) -> None:
    if not kept:
        raise AssertionError(message)


def check_class(cls: type[Component]) -> None:
    """Check what a component's class says of itself: kind, title, works to cite, and a meaning of each parameter.

    Raises
    ------
    AssertionError
        With the attribute that is missing or wrong, and what was expected.
    """
    name, kind = cls.__name__, cls.model_fields["kind"].default
    _promise(
        isinstance(kind, str) and usable_kind(kind), f'{name}: declare kind: Literal["mine"] = "mine", not {kind!r}'
    )
    _promise(vars(cls).get("__doc__"), f"{name}: write a docstring: what it does, and where that was published")
    _promise(cls.title, f"{name}.title: say what a text calls it, such as title = 'AKS'")
    known = {**entries_of(cls.bibtex), **read_bibliography()}
    _promise(
        not cls.bibtex or entries_of(cls.bibtex),
        f"{name}.bibtex: expected entries that end with a brace at the start of a line",
    )
    missing = [key for key in cls.cites if key not in known]
    _promise(not missing, f"{name}.cites: there is no entry of {', '.join(missing)}; add it to {name}.bibtex")
    _promise(cls.version is None or cls.version >= 1, f"{name}.version: expected a whole number from 1, or None")
    for field, info in cls.model_fields.items():
        _promise(info.description or field == "kind", f"{name}.{field}: give it a description, Field(description=...)")
    work = cls.work({"kind": kind})
    _promise(isinstance(work, Work) and work.title, f"{name}.work: expected a Work with a title")
    json.dumps(cls.model_json_schema())


def check_component(component: Component) -> None:
    """Check a class and that its spec holds all that decides results, as plain values.

    Raises
    ------
    AssertionError
    """
    check_class(type(component))
    spec = component.spec()
    again = type(component).model_validate({**component.model_dump(), **json.loads(canonical_json(spec))})
    _promise(again.spec() == spec, f"{type(component).__name__}.spec: made again from its JSON, the spec differs")
    named = component.model_copy(update={"label": "another name"})
    _promise(named.spec() == spec, f"{type(component).__name__}.spec: a label must be no part of it")


def check_selector(selector: Selector) -> None:
    """Check a selector: its class, and what it chooses from candidates of many numbers and kinds.

    Parameters
    ----------
    selector : Selector
        With the parameters to check; the fair variant, if there are several.

    Raises
    ------
    AssertionError
        If it breaks the protocol (exactly min(budget, candidates) distinct frames), reads what it does not declare to
        need, depends on anything but its input and, if it declares `random`, the generator, or changes its input.
    """
    check_component(selector)
    name = type(selector).__name__
    for candidates in _candidates(selector):
        for budget in (1, 2, 3, 8, 64):
            first, again, other = (
                choose(selector, candidates, budget, np.random.default_rng(seed)).positions for seed in (0, 0, 1)
            )
            _promise(
                len(first) == len(set(first.tolist())) == min(budget, len(candidates)),
                f"{name}.select: gave {first.tolist()} of {len(candidates)} candidates for a budget of {budget}",
            )
            _promise(np.array_equal(first, again), f"{name}.select: the same input gave two different choices")
            _promise(selector.random or np.array_equal(first, other), f"{name}.random: set it, since `select` draws")


def _candidates(selector: Selector) -> Iterator[Candidates]:
    """Candidates of several numbers, with what the selector needs and no more; their arrays cannot be written to."""
    for n in (1, 2, 9, 64, 200):
        draw = np.random.default_rng(n)
        vectors = draw.standard_normal((n + 1, 16))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for scores in (draw.random(n), np.repeat([0.25, 0.75], [n // 2, n - n // 2]), np.zeros(n)):
            arrays = {"times": np.arange(n, dtype=float)}
            spans = ((n / 4, n / 3), (n / 2, n / 2)) if selector.needs_evidence else ()
            arrays["scores"] = scores if selector.needs_scores else np.empty(0)
            arrays["embeddings"] = vectors[:-1].copy() if selector.needs_embeddings else np.empty(0)
            arrays["query"] = vectors[-1].copy() if selector.needs_query else np.empty(0)
            for array in arrays.values():
                array.flags.writeable = False
            yield replace(Candidates(**arrays, question=_TEXTS[0]), spans=spans)  # type: ignore[arg-type]


def check_encoder(encoder: Encoder, device: str = "cpu") -> None:
    """Check an encoder: its class, and its features of random pictures. This loads the model.

    Raises
    ------
    AssertionError
        If features have another shape or type than promised, depend on the other pictures of a batch, or are the same
        for all pictures.
    """
    import torch

    check_component(encoder)
    name = type(encoder).__name__
    _promise(encoder.weights(), f"{name}.weights: expected a text that identifies the weights")
    loaded = encoder.load(device)
    with torch.inference_mode():
        together = encoder.features(loaded, _pixels(encoder, loaded, device))
        if not encoder.keeps_features:
            return
        _promise(
            torch.is_tensor(together) and together.device.type == "cpu",
            f"{name}.features: expected a tensor on the CPU",
        )
        _promise(len(together) == 5, f"{name}.features: expected one row a picture, 5, not {len(together)}")
        if encoder.vectors:
            found = f"{str(together.dtype).removeprefix('torch.')} of shape {tuple(together.shape)}"
            _promise(
                together.dtype == torch.float32 and together.ndim == 2, f"{name}.features: float32 (5, d), not {found}"
            )
        alone = torch.cat([encoder.features(loaded, one[None]) for one in _pixels(encoder, loaded, device)])
    difference = float((together.float() - alone.float()).abs().max())
    _promise(
        difference < 1e-3, f"{name}.features: a picture alone differs by {difference:.2g} from the same in a batch"
    )
    _promise(float(together.float().std(dim=0).max()) > 0, f"{name}.features: the same for all pictures")


def check_scorer(scorer: ScoreSource, device: str = "cpu") -> None:
    """Check a scorer: its class, its features, and its scores of random pictures. This loads the model.

    A source of scores that are made elsewhere has nothing but its class to check.

    Raises
    ------
    AssertionError
        If scores have another shape or type than promised, are not finite, or depend on the other texts.
    """
    check_component(scorer)
    if not isinstance(scorer, Scorer):
        return
    import torch

    name = type(scorer).__name__
    question = Question(question_id="q", video_id="v", question=_TEXTS[0], options=("one", "two"), answer="A")
    _promise(_TEXTS[0] in scorer.query(question), f"{name}.query: does not hold the question")
    if scorer.feature_encoder() is scorer:
        check_encoder(scorer, device)
    loaded = scorer.load(device)
    with torch.inference_mode():
        features = scorer.features(loaded, _pixels(scorer, loaded, device))
        scores = scorer.scores(loaded, features, list(_TEXTS))
        alone = np.concatenate([scorer.scores(loaded, features, [text]) for text in _TEXTS], axis=1)
    _promise(isinstance(scores, np.ndarray) and scores.dtype == np.float32, f"{name}.scores: expected a float32 array")
    _promise(scores.shape == (5, 3), f"{name}.scores: expected shape (5 pictures, 3 texts), not {scores.shape}")
    _promise(np.isfinite(scores).all(), f"{name}.scores: some are NaN or infinite")
    _promise(np.abs(scores - alone).max() < 1e-3, f"{name}.scores: the score of a text depends on the other texts")
    if isinstance(scorer, TwoTowers):
        text = scorer.text_features(loaded, _TEXTS[0])
        _promise(tuple(text.shape) == (1, features.shape[1]), f"{name}.text_features: shape (1, {features.shape[1]})")


def _pixels(encoder: Encoder, loaded: Any, device: str) -> Any:
    """Five random pictures, as the encoder is given them."""
    draw = np.random.default_rng(0)
    form = encoder.pictures(loaded)
    prepared = [form.prepare(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(5)]
    return form.normalised(np.stack(prepared), device)


def check_dataset(dataset: Dataset) -> None:
    """Check a dataset: its class, how it reads its example, and what a model is asked about it.

    The prompts are checked if lmms-eval is installed.

    Raises
    ------
    AssertionError
        If the example cannot be read, a field that is missing raises anything but KeyError or ValueError, or a prompt
        is another text than `asked` says.
    """
    check_component(dataset)
    name, example = type(dataset).__name__, dict(dataset.example)
    question = dataset.question(dict(example))
    _promise(isinstance(question, Question), f"{name}.question: expected a Question")
    _promise(
        bool(question.options) != dataset.lmms_task.open, f"{name}.lmms_task.open: set if questions have no options"
    )
    for field in example:
        try:
            dataset.question({key: value for key, value in example.items() if key != field})
        except (KeyError, ValueError):
            pass
        except Exception as error:
            raise AssertionError(f"{name}.question: without {field!r} it raises {type(error).__name__}") from error
    _promise(dataset.file_name(question.video_id), f"{name}.file_name: expected the name of a video")
    _promise(
        set(dataset.asked) == set(dataset.prompts), f"{name}.asked: expected a text for each of {list(dataset.prompts)}"
    )
    document = {**dataset.document(example, question), ID_COLUMN: question.question_id}
    check_columns(dataset.lmms_task, [document])
    for prompt, settings in dataset.prompts.items():
        try:
            text = text_of(document, {"framesift": {"yaml": dataset.lmms_task.yaml, "prompt": settings}})
        except ModuleNotFoundError:
            return
        _promise(text == dataset.asked[prompt], f"{name}.asked[{prompt!r}]: the model is asked {text!r}")


def check_answerer(answerer: Answerer, device: str = "cpu") -> None:
    """Check an answerer: its class, and what it passes on of two sets of frames. This loads the model.

    Raises
    ------
    AssertionError
        If it answers anything but text, reports other frames than it was given, or the same pixels for other pictures.
    """
    check_component(answerer)
    name = type(answerer).__name__
    _promise(answerer.weights(), f"{name}.weights: expected a text that identifies the weights")
    loaded = answerer.load(device)
    first, again, other = (loaded.answer(_request(answerer, _frames(answerer, seed))) for seed in (0, 0, 1))
    _promise(isinstance(first.text, str), f"{name}: expected a text as the answer, not {first.text!r}")
    expected = _frames(answerer, 0)
    _promise(
        first.given.frames == expected.frames,
        f"{name}: was given frames {expected.frames}, reports {first.given.frames}",
    )
    _promise(
        first.given.times == expected.times, f"{name}: was given times {expected.times}, reports {first.given.times}"
    )
    _promise(first.given.pixels == again.given.pixels, f"{name}: the same pictures have two digests of pixels")
    _promise(first.given.pixels != other.given.pixels, f"{name}: other pictures have the same digest of pixels")
    _promise(first.text == again.text, f"{name}: the same question about the same pictures gave two answers")


def _frames(answerer: Answerer, seed: int) -> Frames:
    from PIL import Image

    draw = np.random.default_rng(seed)
    frames = Frames("question")
    images: list[Image.Image] = [
        Image.fromarray(draw.integers(0, 256, (120, 160, 3), dtype=np.uint8)) for _ in range(4)
    ]
    frames[:] = [answerer.picture(image) for image in images]
    frames.frames, frames.times, frames.fps, frames.n_frames = [3, 40, 41, 299], [0.3, 4.0, 4.1, 29.9], 10.0, 300
    return frames


def _request(answerer: Answerer, frames: Frames) -> AnswerRequest:
    """A question about frames, as the workflow asks it through lmms-eval."""
    from lmms_eval.api.instance import Instance

    text = f"{_TEXTS[0]}\nA. one\nB. two"
    messages = [{"role": "user", "content": [{"type": "video", "url": frames}, {"type": "text", "text": text}]}]
    generation = {"max_new_tokens": 4, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}
    media: Any = messages if answerer.chat else [frames]
    middle = (lambda _: media, generation) if answerer.chat else (generation, lambda _: media)
    request = Instance(
        request_type="generate_until",
        arguments=(text, *middle, 0, "task", "test"),
        idx=0,
        metadata={"task": "task", "doc_id": 0, "repeats": 1},
    )
    documents = {"task": {"test": [{ID_COLUMN: "question"}]}}
    return AnswerRequest(frames, text, messages if answerer.chat else None, dict(generation), request, documents)


#: The check of each family.
CHECKS = {
    "datasets": check_dataset,
    "encoders": check_encoder,
    "scorers": check_scorer,
    "selectors": check_selector,
    "answerers": check_answerer,
}
