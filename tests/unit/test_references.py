"""The works that can be cited: a BibTeX file that BibTeX can read, with all that components cite."""

import re

import pybtex.database
import pytest

from framesift.answering.answerers.internvl3 import Internvl3
from framesift.core.components import FAMILIES, implementation, kinds
from framesift.core.errors import InputError
from framesift.papers.references import REFERENCES, bibtex, entries_of, read_bibliography
from framesift.scoring.scorers.siglip import Siglip
from framesift.selection.selectors.imported import PUBLISHED

REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title"},
}


@pytest.fixture(scope="module")
def parsed():
    """The entries as a parser of BibTeX reads them; it raises for anything that BibTeX would not take."""
    return pybtex.database.parse_string(REFERENCES.read_text(encoding="ascii"), "bibtex").entries


def test_every_key_is_in_the_references():
    named = {key for family in FAMILIES for kind in kinds(family) for key in implementation(family, kind).cites}
    named |= {key for work in PUBLISHED.values() for key in work.cites}
    named |= {*Siglip.work({"model": "google/siglip2-base"}).cites, *Internvl3.work({"model": "InternVL3_5"}).cites}
    assert named <= set(read_bibliography())


def test_arxiv_numbers_in_docstrings_are_those_of_the_entries(parsed):
    """A selector that names an arXiv number cites an entry that has it."""
    for kind in kinds("selectors"):
        cls = implementation("selectors", kind)
        for number in re.findall(r"\d{4}\.\d{5}", getattr(cls, "source", "")):
            assert number in {parsed[key].fields.get("eprint") for key in cls.cites}, kind


def test_entries_are_those_that_bibtex_reads(parsed):
    """Keys once, whatever their case; each entry as a text of its own."""
    assert list(read_bibliography()) == list(parsed.keys())
    for key, text in read_bibliography().items():
        assert pybtex.database.parse_string(text, "bibtex").entries[key] == parsed[key]


def test_entries_have_the_fields_of_their_type(parsed):
    for key, entry in parsed.items():
        found = {*(name.lower() for name in entry.fields), *entry.persons}
        assert entry.type in REQUIRED, key
        assert REQUIRED[entry.type] <= found, key
        assert all(value.strip() for value in entry.fields.values()), key
        assert ("year" in entry.fields) == (key != "framesift"), key
        assert re.fullmatch(r"\d{4}|", entry.fields.get("year", "")), key
        if eprint := entry.fields.get("eprint"):
            assert re.fullmatch(r"\d{4}\.\d{4,5}", eprint), key
            assert entry.fields["archiveprefix"] == "arXiv", key


def test_entries_name_their_authors_so_that_every_style_can_shorten_them():
    for key, text in read_bibliography().items():
        assert "arXiv preprint" not in text
        authors = re.search(r"author\s*=\s*\{(.*?)\},?\n", text, flags=re.DOTALL)[1]
        names = [name for name in re.split(r"\s+and\s+", authors) if name != "others"]
        assert all("," in name or name.startswith("{") for name in names), key


def test_keys_name_the_first_author_and_the_year(parsed):
    for key, entry in parsed.items():
        if key != "framesift":
            authors = re.search(r"author\s*=\s*\{(.*?)\},?\n", read_bibliography()[key], flags=re.DOTALL)[1]
            family = re.sub(r"\\.|[^A-Za-z]", "", authors.split(",")[0].split(" and ")[0]).lower()
            assert key.startswith(family.replace("molder", "moelder"))
            assert entry.fields["year"] in key


def test_no_paper_is_in_the_file_twice(parsed):
    titles = [re.sub(r"[^a-z0-9]", "", entry.fields["title"].lower()) for entry in parsed.values()]
    numbers = [entry.fields["eprint"] for entry in parsed.values() if "eprint" in entry.fields]
    assert len(set(titles)) == len(titles)
    assert len(set(numbers)) == len(numbers)


def test_bibtex_gives_what_is_asked_for_once_and_can_be_read_again():
    text = bibtex(["tang2025aks", "wilson1927interval", "tang2025aks"])
    assert list(entries_of(text)) == ["tang2025aks", "wilson1927interval"]
    assert list(pybtex.database.parse_string(text, "bibtex").entries) == ["tang2025aks", "wilson1927interval"]
    assert bibtex([]) == ""
    with pytest.raises(InputError, match="tang2025aks"):
        bibtex(["tang2025ask"])


def test_works_of_a_plugin_are_found_beside_those_of_the_file():
    own = "@misc{me2026mine,\n  title = {Mine}\n}"
    assert bibtex(["me2026mine"], more=[own]) == own + "\n"
    assert bibtex(["tang2025aks"], more=["@misc{tang2025aks,\n}"]) == bibtex(["tang2025aks"])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.bib: cannot be read"):
        read_bibliography(tmp_path / "none.bib")
