"""Wording of the demo's questions."""

from __future__ import annotations

LETTERS = ["A", "B", "C", "D"]
SHARES = ["never", "seldom", "mostly", "always"]


def digit_question(colour: str, shape: str) -> str:
    """Question of one moment: the digit on a coloured shape.

    Examples
    --------
    >>> digit_question("red", "triangle")
    'What digit is on the red triangle?'
    """
    return f"What digit is on the {colour} {shape}?"


def colour_question(digit: str) -> str:
    """Question of one moment: the colour of the shape with a digit."""
    return f"What color is the shape with the digit {digit}?"


def shape_question(digit: str) -> str:
    """Question of one moment: the shape that carries a digit."""
    return f"Which shape carries the digit {digit}?"


def two_digits_question(first: tuple[str, str], second: tuple[str, str]) -> str:
    """Question of two moments: the digits on two coloured shapes, each given as (colour, shape)."""
    return f"Which digits are on the {first[0]} {first[1]} and the {second[0]} {second[1]}?"


def border_question(colour: str) -> str:
    """Question of the whole video: how often the border has a colour."""
    return f"How often is the border {colour}?"
