"""True or False as a probability: sums over the forms of both words, for logits of any size."""

import math

import numpy as np
import pytest

import tiny_labellers
import tiny_qwen
from framesift.core.errors import InputError
from framesift.training.labels.true_or_false import (
    FORMS,
    log_sum_exp,
    sum_over_forms,
    token_forms,
    truth_probability,
    without_verdict,
)


def probability(logits, forms):
    """By the definition, in numbers of any size."""
    sums = sum_over_forms(dict(enumerate(logits)), forms)
    return truth_probability(sums["true"], sums["false"])


def test_equal_logits_are_a_coin_toss():
    assert probability([3.0, 3.0], [(0, 1)]) == 0.5


def test_forms_of_a_word_are_added_before_they_are_compared():
    # True: e^1 + e^2, False: e^0 + e^0.5
    expected = (math.e + math.e**2) / (math.e + math.e**2 + 1 + math.e**0.5)
    assert probability([1.0, 2.0, 0.0, 0.5], [(0, 2), (1, 3)]) == pytest.approx(expected, abs=1e-15)


def test_other_tokens_do_not_count():
    assert probability([0.0, 0.0, 50.0], [(0, 1)]) == 0.5


def test_a_constant_added_to_all_logits_changes_nothing():
    logits = np.array([0.3, -1.2, 2.0, 0.7])
    forms = [(0, 1), (2, 3)]
    assert probability(logits + 40.0, forms) == pytest.approx(probability(logits, forms), abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e4, -1e4], 1.0),
        ([-1e4, 1e4], 0.0),
        ([1e308, 1e308], 0.5),
        ([-1e308, -1e308], 0.5),
        ([1e308, -1e308], 1.0),
        ([800.0, 801.0], 1 / (1 + math.e)),
        ([-801.0, -800.0], 1 / (1 + math.e)),
        ([0.0, -math.inf], 1.0),
        ([-math.inf, 0.0], 0.0),
        ([-math.inf, -math.inf], None),
    ],
)
def test_extreme_logits_neither_overflow_nor_divide_by_zero(logits, expected):
    found = probability(logits, [(0, 1)])
    assert found == expected if expected is None else found == pytest.approx(expected, abs=1e-12)


def test_a_logit_that_is_no_number_is_no_verdict():
    assert probability([math.nan, math.nan], [(0, 1)]) is None
    assert truth_probability(math.nan, 0.0) is None
    assert truth_probability(None, None) is None


def test_small_probabilities_are_exact_in_both_directions():
    assert truth_probability(-40.0, 0.0) == pytest.approx(math.exp(-40), rel=1e-12)
    assert truth_probability(0.0, -40.0) == 1 - math.exp(-40)


def test_the_sum_of_exponentials_is_that_of_numpy():
    values = np.random.default_rng(0).normal(0, 300, 50)
    assert log_sum_exp(values) == pytest.approx(np.logaddexp.reduce(values), rel=1e-12)
    assert log_sum_exp([]) == -math.inf
    assert math.isnan(log_sum_exp([math.nan, 1.0]))


def test_a_word_that_a_server_does_not_list_is_improbable():
    sums = sum_over_forms({" True": -0.1, "The": -3.0}, FORMS)
    assert sums == {"true": -0.1, "false": None}
    assert truth_probability(sums["true"], sums["false"]) == 1.0


def test_all_forms_are_found_in_a_tokenizer_that_has_them():
    tokenizer = tiny_labellers.tokenizer()
    pairs = token_forms(tokenizer)
    assert len(pairs) == 6
    words = [tokenizer.convert_ids_to_tokens(list(pair)) for pair in pairs]
    assert sorted(words) == sorted([space + true, space + false] for space in ("Ġ", "") for true, false in
                                   (("True", "False"), ("true", "false"), ("TRUE", "FALSE")))  # fmt: skip


def test_a_form_that_only_one_word_has_counts_for_none():
    class Lopsided:
        unk_token_id = 0

        def __call__(self, word, add_special_tokens):
            known = {"True": [1], "False": [2], " True": [3], " False": [4, 5], "true": [0], "false": [6]}
            return {"input_ids": known.get(word, [7, 8])}

    assert token_forms(Lopsided()) == [(1, 2)]


def test_a_tokenizer_without_the_words_is_refused():
    with pytest.raises(InputError, match="no token for each of the words True and False"):
        token_forms(tiny_qwen._tokenizer())


def test_a_tokenizer_that_takes_both_words_for_one_is_refused():
    class Blind:
        unk_token_id = None
        name_or_path = "blind"

        def __call__(self, word, add_special_tokens):
            return {"input_ids": [5]}

    with pytest.raises(InputError, match="blind"):
        token_forms(Blind())


@pytest.mark.parametrize(
    ("reply", "explanation"),
    [
        ("A dog runs. It answers the question.\nFinal answer: True", "A dog runs. It answers the question."),
        ("A dog runs.\n\n**Final answer:** False", "A dog runs."),
        ("A dog runs.\nFinal Answer : true.", "A dog runs."),
        ("A dog runs. True", "A dog runs."),
        ("A dog runs.\n**False**.", "A dog runs."),
        ("True", ""),
        ("Final answer: True", ""),
        ("Final answer: True. Because final answer: False", ""),
        ("It would be wrong to say that this is true", "It would be wrong to say that this is true"),
        ("Nothing here helps the final answer", "Nothing here helps the final answer"),
        ("The sign says untrue", "The sign says untrue"),
        ("  a red star \n", "a red star"),
        ("", ""),
    ],
)
def test_an_explanation_ends_before_the_verdict(reply, explanation):
    assert without_verdict(reply) == explanation


def test_a_long_reply_without_a_word_is_read_at_once():
    assert without_verdict(" " * 1_000_000) == ""
    assert without_verdict("*" * 1_000_000 + "True") == ""
    assert len(without_verdict("final answer " * 100_000)) > 1_000_000
