"""Which option a response names: one parser for all multiple-choice benchmarks.

The tasks of lmms-eval have a parser each. Some take the first capital A to E of any text (the C of "Cannot tell"),
some the A of "A man walks", some pick an option at random if they find none. This one finds an option only if the
response claims it, and none if it claims two.

Text inside ``<think>``, ``<thinking>`` or ``<analysis>`` does not count. The first rule below that finds anything
decides; if it finds more than one letter, the response is ambiguous.

1. The whole response is a letter (``B``, ``(B)``, ``B.``, ``**b**``, ``Option B``), a letter with an option's text
   (``B. red``, ``B red``), or an option's text. Case, outer quotes and full stops do not matter here. What could be
   either, an option whose text is a letter, is taken for the letter. A letter with the text of another option claims
   both; ``A`` or ``I`` and a space before such a text are words.
2. A place for the final answer: ``<answer>B</answer>``, ``\\boxed{B}``, ``Final answer: B``.
3. A claim. In words: ``the answer is B``, ``Answer: B``, ``best option: (B)``, ``the correct choice is option B``,
   ``I choose B``, ``B is correct``; the first two kinds with an option's text too. Or by its place: a first line that
   begins with a letter and a mark (``B. ...``, ``(B) ...``, ``B: ...``, ``B because ...``), and any line that is a
   letter, or a letter with its option's text. Lines that begin with several letters list the options, and are left
   out from here on.
4. A mention: ``(B)`` or ``option B``.
5. An option's text of three words or more somewhere in the response.

In rules 3 and 4 letters are capitals, unless in brackets or at the end. A letter before a plain word is a word, since
`A` is an article, and `C` a person in EgoSchema: ``the answer is A man``, ``C stops``. From rule 3 on nothing counts
that the words around it deny: ``not (B)``, ``option B is wrong``, ``I doubt that the answer is B``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

#: Characters after "the answer is" that are read: more than the longest option.
_REACH = 1000
#: Words that an option's text needs to count within a longer response; fewer may be there by chance.
QUOTED_WORDS = 3

_REASONING = r"think|thinking|analysis"
_OPENING, _CLOSING = r"[\s(\[{*_`\"'“‘$]*", r"[\s)\]}*_`\"'”’$.,:;!?]*"
_ADVERB = r"(?:\s+(?:most\s+likely|likely|probably|clearly|definitely|therefore|thus|indeed|simply)\b)?"
_ADJECTIVES = r"(?:(?:the|my|most|best|correct|right|final|likely|appropriate|suitable|single)\s+){0,5}"
_STATEMENT = re.compile(
    rf"\b{_ADJECTIVES}(?:answer|option|choice)\b(?:\s+to\s+(?:the|this)\s+question)?[*_]*\s*"
    rf"(?:\b(?:is|would\s+be|should\s+be|must\s+be|seems\s+to\s+be|appears\s+to\s+be)\b{_ADVERB}|[:=])[*_:]*"
    r"|\bI\s*(?:would|will|['’]ll|['’]d)?\s*(?:choose|select|pick|go\s+with)\b:?",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"<answer>(?P<tag>.*?)(?:</answer>|$)|\\boxed\{(?:\\text\{)?(?P<box>[^{}]*)\}"
    r"|\bfinal\s+(?:answer|choice)[*_]*\s*(?:\bis\b|:)[*_:]*(?P<line>[^\n]*)",
    re.IGNORECASE | re.DOTALL,
)
_DENIAL = (
    r"\b(?:not|neither|nor|never|cannot|\w+n['’]t|doubt|except|without|than|over|wrong|incorrect|if|whether"
    r"|(?:eliminat|exclud)\w+|rul(?:e|es|ed|ing)\s+out)\b"
)
#: Words that deny or suppose the next three words of their clause, or for mentions of their sentence.
_DENIED_CLAUSE = re.compile(_DENIAL + r"(?:[^\w.,;:\n]+\w+){0,3}[^\w.,;:\n]*$", re.IGNORECASE)
_DENIED_SENTENCE = re.compile(_DENIAL + r"(?:[^\w.;\n]+\w+){0,3}[^\w.;\n]*$", re.IGNORECASE)
_DENIED_AFTER = re.compile(
    r"(?:[^\w.,;\n]+\w+){0,2}?[^\w.,;\n]+(?:not|cannot|\w+n['’]t|incorrect|wrong|false|unlikely|ruled\s+out|eliminated|excluded)\b",
    re.IGNORECASE,
)


def parse_letter(response: str, letters: Sequence[str], options: Sequence[str]) -> str | None:
    """The option that a response claims.

    Parameters
    ----------
    response : str
        What the model wrote.
    letters : sequence of str
        A capital for each option.
    options : sequence of str
        Their texts, in the same order.

    Returns
    -------
    str or None
        One of `letters`; None if the response claims no option, or several.

    Examples
    --------
    >>> options = ["a red car", "a blue car", "a bus"]
    >>> parse_letter("The answer is (B).", "ABC", options)
    'B'
    >>> parse_letter("Well, I see a blue car there.", "ABC", options)
    'B'
    >>> parse_letter("Cannot tell.", "ABC", options) is None
    True
    >>> parse_letter("It is either A or B.", "ABC", options) is None
    True
    """
    text = without_reasoning(response)
    if not text or not letters:
        return None
    parser = _Parser(tuple(letters), tuple(options))
    for rule in (parser.whole, parser.final, parser.claimed, parser.mentioned, parser.quoted):
        if found := rule(text):
            return found.pop() if len(found) == 1 else None
    return None


def without_reasoning(response: str) -> str:
    """A response without the model's reasoning.

    Some chat templates open the reasoning in the prompt, so everything before a lone closing tag is reasoning.
    Everything after an opening tag without a closing one is too: the response was cut off before its answer.

    Examples
    --------
    >>> without_reasoning("<think>It could be A.</think> B")
    'B'
    >>> without_reasoning("It could be A.</think> B")
    'B'
    """
    text = _without_closed_reasoning(response)
    text = re.split(rf"</(?:{_REASONING})>", text, flags=re.IGNORECASE)[-1]
    return re.split(rf"<(?:{_REASONING})>", text, flags=re.IGNORECASE)[0].strip()


def _without_closed_reasoning(response: str) -> str:
    """Like re.sub of ``<(name)>.*?</\\1>``, which would take hours for a text with many opening tags."""
    kept, start, never_closed = [], 0, set()
    for opening in re.finditer(rf"<({_REASONING})>", response, flags=re.IGNORECASE):
        name = opening[1].lower()
        if opening.start() < start or name in never_closed:
            continue
        closing = re.compile(f"</{name}>", re.IGNORECASE).search(response, opening.end())
        if closing is None:
            never_closed.add(name)
            continue
        kept.append(response[start : opening.start()])
        start = closing.end()
    return " ".join([*kept, response[start:]])


class _Parser:
    """The rules for the options of one question; each returns the letters that it finds in a text."""

    def __init__(self, letters: tuple[str, ...], options: tuple[str, ...]) -> None:
        self.options = [(letter, _plain(option)) for letter, option in zip(letters, options, strict=True)]
        self.patterns = _patterns(letters)

    def whole(self, text: str) -> set[str]:
        if match := self.patterns.alone.fullmatch(text):
            return {match[1].upper()}
        return self._named(text) | self._with_text(text)

    def final(self, text: str) -> set[str]:
        found = set()
        for match in _FINAL.finditer(text):
            place = next(part for part in match.groups() if part is not None).strip()
            found |= self.whole(place) or self._letter_at_start(place)
        return found

    def claimed(self, text: str) -> set[str]:
        lines = self._without_lists(text)
        found = set(self._stated("\n".join(lines)))
        for number, line in enumerate(lines):
            alone = self.patterns.alone.fullmatch(line)
            if alone and alone[1].isupper():
                found.add(alone[1])
            found |= self._with_text(line)
            starting = self.patterns.starting.match(line)
            if starting and number == 0 and not _DENIED_AFTER.match(line, starting.end(1)):
                found.add(starting[1])
        return found

    def mentioned(self, text: str) -> set[str]:
        text = "\n".join(self._without_lists(text))
        return {
            match[1] or match[2]
            for match in self.patterns.mention.finditer(text)
            if not _denied_before(_DENIED_SENTENCE, text, match.start()) and not _DENIED_AFTER.match(text, match.end())
        }

    def quoted(self, text: str) -> set[str]:
        plain = _plain("\n".join(self._without_lists(text)))
        found = {}
        for letter, option in self.options:
            match = re.search(rf"(?<!\w){re.escape(option)}(?!\w)", plain) if option else None
            if match and len(option.split()) >= QUOTED_WORDS:
                before = _denied_before(_DENIED_SENTENCE, plain, match.start())
                if not before and not _DENIED_AFTER.match(plain, match.end()):
                    found[letter] = option
        # an option may be the beginning of another
        return {one for one, text in found.items() if not any(text in other != text for other in found.values())}

    def _named(self, text: str) -> set[str]:
        """The options whose text this is."""
        plain = _plain(text)
        return {letter for letter, option in self.options if option and option == plain}

    def _with_text(self, text: str) -> set[str]:
        """The letter of a letter with an option's text, and the letter of that option."""
        match = self.patterns.leading.match(text)
        if not match:
            return set()
        named = self._named(text[match.end() :])
        letter = match[1].upper()
        article = letter in "AI" and not match[2].strip() and letter not in named
        return named if article else named and named | {letter}

    def _letter_at_start(self, text: str) -> set[str]:
        match = self.patterns.answer.match(text)
        return {next(letter for letter in match.groups() if letter).upper()} if match else set()

    def _stated(self, text: str) -> Iterator[str]:
        for match in _STATEMENT.finditer(text):
            if _denied_before(_DENIED_CLAUSE, text, match.start()):
                continue
            line = text[match.end() : match.end() + _REACH].lstrip().split("\n")[0]
            sentence = re.split(r"[.;](?:\s|$)", line)[0]
            yield from (
                self._with_text(line) or self._letter_at_start(line) or self._named(line) or self._named(sentence)
            )
        for match in self.patterns.correct.finditer(text):
            if not _denied_before(_DENIED_CLAUSE, text, match.start()):
                yield match[1]

    def _without_lists(self, text: str) -> list[str]:
        """The lines of a text, without blank ones and those that list options."""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        starts: list[set[str]] = []
        for line in lines:
            match = self.patterns.starting.match(line)
            starts.append({match[1]} if match and not self.patterns.alone.fullmatch(line) else self._with_text(line))
        if len(set().union(*starts)) > 1:
            return [line for line, start in zip(lines, starts, strict=True) if not start]
        return lines


class _Patterns:
    """Regular expressions for a set of letters. The groups of a pattern are where the letter may be."""

    def __init__(self, letters: tuple[str, ...]) -> None:
        capital, small = "".join(letters), "".join(letters).lower()
        either = f"[{capital}{small}]"
        #: a second letter, as in "A or B", makes it no claim
        single = rf"(?!\s*(?:,\s*(?:and|or)\b|,|/|&|\b(?:and|or)\b)\s*[(\[]?[{capital}](?![\w'’]))"
        after = r"(?=\s*(?:[)\]}*_`\"'”’$.,;:!?](?!\w)|$|\n|[-–—]\s|(?:because|since|which)\b))"
        self.alone = re.compile(rf"{_OPENING}(?:(?i:option|choice|answer)\s+)?({either}){_CLOSING}")
        self.leading = re.compile(rf"{_OPENING}({either})([)\]*_.:,]+\s*|\s+[-–—]?\s*)")
        self.starting = re.compile(
            rf"[*_`(\[]*([{capital}])(?:[*_`]*[.:)\]]+[*_`]*(?=\s|$)|\s+[-–—]\s|,?\s+(?:because|since)\b){single}"
        )
        self.answer = re.compile(
            rf"\s*(?:(?i:option|choice|letter)\b:?\s*)?"
            rf"(?:[(\[{{*_`\"'“‘$]+\s*({either})(?=\s*[)\]}}*_`\"'”’$.]){single}"
            rf"|([{capital}])(?![\w'’-]){after}{single}"
            rf"|([{small}])(?=[.)]?\s*$))",
        )
        self.correct = re.compile(
            rf"(?<![\w'’])[(\[*_]{{0,4}}([{capital}])[)\]*_]{{0,4}}[ \t]+(?i:is|seems[ ]to[ ]be|appears[ ]to[ ]be)"
            rf"[ \t]+(?i:(?:the|most|likely)[ \t]+)*(?i:correct|right|best|answer)\b"
        )
        self.mention = re.compile(rf"[(\[]([{capital}])[)\]]|\b(?i:option|choice)\s+([{capital}])(?![\w'’-])")


@lru_cache(maxsize=32)
def _patterns(letters: tuple[str, ...]) -> _Patterns:
    return _Patterns(letters)


def _denied_before(pattern: re.Pattern[str], text: str, start: int) -> bool:
    return bool(pattern.search(text[max(0, start - 100) : start]))


def _plain(text: str) -> str:
    """A text without case, outer quotes, marks and extra spaces, which models change when they repeat it."""
    return " ".join(text.split()).strip(" .,;:!?*_`\"'“”‘’").casefold()
