"""The letter a response claims: rule by rule, and beside the parsers of lmms-eval's tasks."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framesift.answering.lmms.startup import no_guessing
from framesift.answering.lmms.tasks import read_task
from framesift.judging.option_parser import parse_letter, without_reasoning

LETTERS = "ABCDE"
OPTIONS = ("red", "blue", "green", "a yellow one", "the man sits down")

ONE_LETTER = ["B", "b", " B \n", "B.", "(B)", "B)", "[B]", "**B**", "`B`", '"B"', "$B$", "B:", "(b).", "Option B", "B!"]
WITH_ITS_TEXT = ["B. blue", "B: Blue.", "(B) blue", "B) blue", "B blue", "b. blue", "**B. blue**", "B - blue", "B.blue"]
TEXT_ALONE = ["blue", "Blue.", '"blue"', "  BLUE  ", "*blue*"]
FINAL = [
    "<answer>B</answer>",
    "It is red.\n<answer> (B) blue </answer>",
    "so \\boxed{B}",
    "\\boxed{\\text{B}}",
    "The answer is A. No: the final answer is B.",
    "**Final answer:** B",
    "Final answer: blue",
]
STATED = [
    "Answer: B",
    "**Answer:** B",
    "**Answer**: **B**",
    "Answer:\nB",
    "The answer is B",
    "The answer is: B",
    "The answer is:\n\n**B**",
    "the answer is (b)",
    "the answer is b.",
    "The answer is (B), not (A).",
    "The answer to the question is B.",
    "The best answer is:B",
    "Best option: (B)",
    "The correct option is B because red is not seen.",
    "The correct choice is option B.",
    "The answer is most likely B, since it moves.",
    "The answer is 'B'.",
    "The correct answer is **B. blue**.",
    "The answer is blue.",
    "The answer is B. blue",
    "I choose B",
    "I would go with option B.",
    "B is the correct answer.",
    "(A) is incorrect, (B) is correct",
    "Among A, B and C, the answer is B.",
]
PLACED = [
    "B. Something else altogether.",
    "(B) it turns\nbecause of the wind",
    "B: it turns",
    "B because it turns",
    "B, since it turns",
    "Let me see.\n\nB",
    "Let me see.\n(B)",
    "I looked twice.\nB. blue",
    "A. red\nB. blue\nC. green\nThe answer is B.",
    "B\nB\nB",
]
MENTIONED = ["I think it is (B).", "Option A is wrong. Option B is right.", "It looks like option B to me, not (A)."]
CLAIMS = ONE_LETTER + WITH_ITS_TEXT + TEXT_ALONE + FINAL + STATED + PLACED + MENTIONED

NOTHING = [
    "",
    "   ",
    "!!!!!!!!",
    "Cannot tell.",
    "A man walks",
    "The answer is A man.",
    "Because of the colour",
    "C stops, and then looks around.",
    "The answer is C stops and looks.",
    "A.M.",
    "E.g. nothing",
    "F",
    "The answer is F.",
    "It is not (B).",
    "Neither (A) nor (B) is seen.",
    "I don't think the answer is B.",
    "If the answer is B, it moves.",
    "B is not the correct answer.",
    "(B) is wrong",
    "The wrong answer is B.",
    "blue sky",
]
SEVERAL = [
    "A or B",
    "Both A and B",
    "AB",
    "A, B",
    "(A) or (B)",
    "The answer is A or B.",
    "The answer is A, B and C.",
    "The answer is A. The answer is B.",
    "A. The answer is B.",
    "B. green",
    "The answer is B. green",
    "A\nB",
    "A. red\nB. blue\nC. green",
    "<answer>A</answer> <answer>B</answer>",
]


@pytest.mark.parametrize("response", CLAIMS)
def test_a_claim_is_understood(response):
    assert parse_letter(response, LETTERS, OPTIONS) == "B"


@pytest.mark.parametrize("response", NOTHING)
def test_without_a_claim_there_is_no_letter(response):
    assert parse_letter(response, LETTERS, OPTIONS) is None


@pytest.mark.parametrize("response", SEVERAL)
def test_two_claims_are_none(response):
    assert parse_letter(response, LETTERS, OPTIONS) is None


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("I saw that the man sits down at last.", "E"),
        ("It is not clear that the man sits down.", None),
        ("There is a yellow one, and the man sits down.", None),
        ("A. red\nE. the man sits down\nWho knows?", None),
    ],
)
def test_a_long_option_may_be_quoted(response, letter):
    assert parse_letter(response, LETTERS, OPTIONS) == letter


def test_an_option_that_begins_another():
    options = ("the man sits down", "the man sits down again")
    assert parse_letter("I saw that the man sits down again.", "AB", options) == "B"


def test_options_that_are_letters_are_asked_for_by_letter():
    assert parse_letter("A", "ABCD", ("C", "B", "A", "D")) == "A"
    assert parse_letter("The answer is C.", "ABCD", ("C", "B", "A", "D")) == "C"


def test_an_article_and_an_option_are_a_text():
    assert parse_letter("A dog", "AB", ("cat", "dog")) == "B"
    assert parse_letter("A dog", "AB", ("dog", "cat")) == "A"
    assert parse_letter("a dog", "ABC", ("dog", "cat", "a dog")) is None
    assert parse_letter("C dog", "ABC", ("cat", "dog", "cow")) is None


def test_the_same_text_twice_is_ambiguous():
    assert parse_letter("blue", "AB", ("blue", "Blue.")) is None
    assert parse_letter("B. blue", "ABC", ("red", "blue", "green")) == "B"


def test_a_person_called_c():
    """EgoSchema calls the wearer of the camera so."""
    options = ("C drinks from a cup", "C sits down", "C leaves")
    assert parse_letter("C sits down", "ABC", options) == "B"
    assert parse_letter("B. C sits down", "ABC", options) == "B"
    assert parse_letter("C leaves.", "ABC", options) == "C"
    assert parse_letter("C looks up", "ABC", options) is None


@pytest.mark.parametrize(
    ("response", "rest"),
    [
        ("<think>A. (A)</think>B", "B"),
        ("<think>\nred?\n</think>\n\nThe answer is B.", "The answer is B."),
        ("A it is </think> (B)", "(B)"),
        ("<think>The answer is B", ""),
        ("<analysis>A</analysis>B<thinking>C</thinking>", "B"),
        ("B", "B"),
    ],
)
def test_reasoning_is_no_response(response, rest):
    assert without_reasoning(response) == rest
    assert parse_letter(response, LETTERS, OPTIONS) == ("B" if rest else None)


#: Response; what we understand; what lmms-eval's parsers do: that of VideoMME, MLVU and LVBench; LongVideoBench;
#: EgoSchema; NExT-QA.
COMPARED = [
    ("B", "B", "B", "B", "B", "B"),
    ("(B)", "B", "B", "B", "B", "B"),
    ("B.", "B", "B", "B", "B", "B"),
    ("B) blue", "B", "B", "B", None, None),
    ("b", "B", None, None, None, None),
    ("The answer is (C).", "C", "C", "C", "C", "C"),
    ("Best option: (A)", "A", "A", "A", "A", "A"),
    ("Answer: B", "B", "B", "A", "B", "B"),
    ("blue", "B", None, None, None, None),
    ("The answer is blue.", "B", None, None, None, None),
    ("<answer>B</answer>", "B", "B", "B", None, None),
    ("A. red\nB. blue\nC. green\nThe answer is B.", "B", "A", "A", "A", "B"),
    ("Option A is wrong. Option C is right.", "C", "C", "A", "A", "C"),
    ("B, because A is not seen", "B", "B", "B", "A", "A"),
    ("I saw that the man sits down.", "E", None, None, None, "E"),
    ("It is not (B).", None, "B", "B", "B", "B"),
    ("Both A and B", None, "B", "B", "A", "B"),
    ("Cannot tell.", None, "C", "C", None, None),
    ("A man walks", None, "A", "A", "A", "A"),
    ("C stops and looks around", None, "C", "C", "C", "C"),
    ("Because of the colour", None, "B", "B", None, None),
    ("I do not see it, sorry.", None, None, None, None, None),
]


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: case[0])
def test_beside_the_parsers_of_the_tasks(case):
    response, *expected = case
    texts = dict(zip(LETTERS, OPTIONS, strict=True))
    lettered = {letter: f"{letter}. {text}" for letter, text in texts.items()}  # as EgoSchema has them

    def parser(yaml, name="parse_multi_choice_response"):
        return read_task(yaml)["process_results"].__globals__[name]

    with no_guessing():
        found = [
            parse_letter(response, LETTERS, OPTIONS),
            parser("videomme/videomme.yaml", "extract_characters_regex")(response),
            parser("longvideobench/longvideobench_val_v.yaml")(response, list(LETTERS), texts),
            parser("egoschema/egoschema_subset.yaml")(response, list(LETTERS), lettered)[0],
            parser("nextqa/nextqa_mc_test.yaml")(response, list(LETTERS), texts),
        ]
    assert [letter or None for letter in found] == expected


words = st.text(alphabet="abcdefghij klmnop", min_size=3, max_size=20).filter(lambda text: len(text.split()) > 1)
options_of_some_letters = st.lists(words, min_size=2, max_size=8, unique_by=lambda text: " ".join(text.split()))


@settings(deadline=None)
@given(st.text(), options_of_some_letters)
def test_whatever_is_said_gives_one_of_the_letters_or_none(response, options):
    letters = "ABCDEFGH"[: len(options)]
    assert parse_letter(response, letters, options) in {*letters, None}


@pytest.mark.parametrize(
    "part", ["The answer is ", "(", "A", "not (A) ", "the ", "A. red\n", " ", "\n", "option A ", "*"]
)
def test_the_longest_response_takes_no_time(part):
    start = time.perf_counter()
    parse_letter(part * (30_000 // len(part)) + ".", LETTERS, OPTIONS)
    assert time.perf_counter() - start < 2


FORMS = [
    "{}", "({})", "{}.", "{})", "**{}**", "Answer: {}", "The answer is {}.", "The answer is ({}).", "{} is correct.",
    "Best option: ({})", "Well.\n{}", "<answer>{}</answer>", "<think>perhaps ({other})</think>{}",
]  # fmt: skip


@settings(deadline=None)
@given(options_of_some_letters, st.data())
def test_every_form_of_every_letter(options, data):
    letters = "ABCDEFGH"[: len(options)]
    letter, other = data.draw(st.permutations(letters))[:2]
    for form in FORMS:
        assert parse_letter(form.format(letter, other=other), letters, options) == letter
        assert parse_letter(f"\n {form.format(letter, other=other)}\t\n", letters, options) == letter
    text = options[letters.index(letter)]
    assert parse_letter(text.upper() + ".", letters, options) == letter
    assert parse_letter(f"{letter}. {text}", letters, options) == letter
    assert parse_letter(f"{letter}. {options[letters.index(other)]}", letters, options) is None
    assert parse_letter(f"The answer is {letter}. The answer is {other}.", letters, options) is None


@settings(deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ,\n", max_size=60), options_of_some_letters)
def test_small_letters_that_are_no_option_claim_nothing(response, options):
    said = " ".join(response.split()).strip(" ,")
    if len(said) > 1 and not any(" ".join(text.split()) in said for text in options) and "answer" not in said:
        assert parse_letter(said, "ABCDEFGH"[: len(options)], options) is None
