"""Prompts of the demo's answerer, and the word-level tokenizers of all demo models."""

from __future__ import annotations

from framesift.demo.text import LETTERS, SHARES
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES

SPECIAL_WORDS = ["<pad>", "<unk>", "<bos>", "<eos>", "<image>", "<video>"]
PLAIN_WORDS = [
    "what",
    "which",
    "how",
    "often",
    "digit",
    "digits",
    "color",
    "shape",
    "is",
    "are",
    "on",
    "the",
    "with",
    "carries",
    "and",
    "border",
    "of",
    "in",
    "a",
    "an",
    "question",
    "instruct",
    "reply",
    "?",
    ".",
    ",",
    ":",
    ";",
]

# lmms-eval's videomme task puts these two fixed sentences round every question; the answerer reads each as one word
INSTRUCTION = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
REPLY_REQUEST = "Answer with the option's letter from the given choices directly."


def build_prompt(question: str, options: list[str]) -> str:
    """The text that lmms-eval's videomme task gives to a model for a question with its lettered options."""
    return f"{INSTRUCTION}\n{question}\n" + "\n".join(options) + f"\n\n{REPLY_REQUEST}"


def build_tokenizer(answers: bool):
    """Word-level tokenizer.

    Parameters
    ----------
    answers : bool
        True for the answerer (keeps the option letters in capitals and adds no marks of its own), False for the
        scorers (lower case, begin and end marks).
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = LETTERS if answers else [letter.lower() for letter in LETTERS]
    words = dict.fromkeys(SPECIAL_WORDS + letters + COLOUR_NAMES + SHAPES + DIGITS + SHARES + PLAIN_WORDS)
    vocabulary = {word: index for index, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    if answers:
        core.normalizer = normalizers.Sequence(
            [
                normalizers.Replace(INSTRUCTION, " instruct "),
                normalizers.Replace(REPLY_REQUEST, " reply "),
                *[normalizers.Replace(word, word.lower()) for word in ("What", "Which", "How")],
            ]
        )
    else:
        core.normalizer = normalizers.Lowercase()
        marks = [(mark, vocabulary[mark]) for mark in ("<bos>", "<eos>")]
        core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=marks)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=4096 if answers else 64,
    )
    if answers:
        tokenizer.add_special_tokens({"extra_special_tokens": ["<image>", "<video>"]})
    return tokenizer
