"""Citations: every kind has its entry, every entry can be read, and the text about a table says what its spec says."""

import re

import pytest
import yaml

from framesift.config.load import load_config, read_config
from framesift.core.components import FAMILIES, kinds
from framesift.core.errors import InputError
from framesift.papers import citations
from framesift.papers.citations import (
    WORKS,
    bibtex,
    keys_in,
    keys_of,
    latex,
    methods_text,
    read_bibliography,
    setup_of,
    work_of,
)

#: Kinds that are nobody's invention, or whose source is told by a parameter.
NEEDS_NONE = {
    ("datasets", "custom"),
    ("selectors", "imported"),
    ("selectors", "random"),
    ("selectors", "uniform"),
    ("answerers", "openai_api"),
}
ENTRY = """@article{one,
  author = {A. Body},
  title = {{ABC}: a {T}itle},
  journal = {Journal},
  year = 2024
}
"""


# Kinds and entries


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_has_an_entry_or_needs_none(family):
    assert set(WORKS[family]) == set(kinds(family))
    without = {(family, kind) for kind, work in WORKS[family].items() if not work.keys}
    assert without == {needless for needless in NEEDS_NONE if needless[0] == family}


def test_every_key_is_in_the_references():
    named = {key for works in WORKS.values() for work in works.values() for key in work.keys}
    named |= {key for work in citations.PUBLISHED.values() for key in work.keys}
    for kind, spec in (("siglip", {"model": "google/siglip2-base"}), ("internvl3", {"model": "x/InternVL3_5-8B-HF"})):
        named |= set(work_of("scorers" if kind == "siglip" else "answerers", {"kind": kind, **spec}).keys)
    assert named <= set(read_bibliography())


def test_arxiv_numbers_in_docstrings_are_those_of_the_entries():
    """A selector that names an arXiv number cites an entry that has it."""
    from framesift.core.components import implementation

    entries = read_bibliography()
    for kind in kinds("selectors"):
        source = getattr(implementation("selectors", kind), "source", "")
        for number in re.findall(r"\d{4}\.\d{5}", source):
            assert number in {entries[key].fields.get("eprint") for key in WORKS["selectors"][kind].keys}, kind


def test_published_selections_cite_whose_they_are():
    aks = {"kind": "imported", "format": "aks", "selection": "a.json", "original": "b.json"}
    assert keys_of(selectors=[aks]) == ("tang2025aks",)
    assert keys_of(selectors=[aks | {"format": "kfs_bench"}]) == ("li2026kfsbench",)


def test_one_kind_for_several_works_is_told_apart_by_its_checkpoint():
    assert keys_of(scorers=[{"kind": "siglip", "model": "google/siglip-so400m-patch14-384"}]) == ("zhai2023siglip",)
    assert "tschannen2025siglip2" in keys_of(scorers=[{"kind": "siglip", "model": "google/siglip2-so400m-patch14-384"}])
    assert keys_of(answerers=[{"kind": "internvl3", "model": "OpenGVLab/InternVL3-8B-hf"}]) == ("zhu2025internvl3",)
    assert keys_of(answerers=[{"kind": "internvl3", "model": "OpenGVLab/InternVL3_5-8B-HF"}]) == ("wang2025internvl35",)
    assert keys_of(scorers=[{"kind": "aks_outscores", "scores": "clip"}]) == ("tang2025aks", "radford2021clip")


def test_keys_come_once_and_in_order():
    keys = keys_of(
        dataset="videomme",
        selectors=["uniform", "aks", "topk", "bolt"],
        scorers=["clip", "blip_itm", "blip_itc"],
        encoders=["dino"],
        answerers=["llava_onevision", "llava_onevision_hf"],
    )
    assert keys == (
        *("fu2025videomme", "tang2025aks", "liu2025bolt", "radford2021clip", "li2022blip", "oquab2024dinov2"),
        "li2025llavaonevision",
    )


def test_an_unknown_kind_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"(?s)selector.*'bollt'.*did you mean 'bolt'"):
        keys_of(selectors=["bollt"])


# The file


def test_entries_have_author_title_and_a_year_but_for_framesift():
    for key, entry in read_bibliography().items():
        assert {"author", "title"} <= entry.fields.keys()
        assert ("year" in entry.fields) == (key != "framesift"), key
        assert "arXiv preprint" not in entry.text
        # names are "Family, Given", so that every style can shorten them
        names = [name for name in entry.fields["author"].split(" and ") if name != "others"]
        assert all("," in name or name.startswith("{") for name in names), key


def test_keys_name_the_first_author_and_the_year():
    for key, entry in read_bibliography().items():
        if key != "framesift":
            family = re.sub(r"\\.|[^A-Za-z]", "", entry.fields["author"].split(",")[0].split(" and ")[0]).lower()
            assert key.startswith(family.replace("molder", "moelder"))
            assert entry.fields["year"] in key


def test_no_paper_is_in_the_file_twice():
    entries = read_bibliography().values()
    titles = [re.sub(r"[^a-z0-9]", "", entry.fields["title"].lower()) for entry in entries]
    numbers = [entry.fields["eprint"] for entry in entries if "eprint" in entry.fields]
    assert len(set(titles)) == len(titles)
    assert len(set(numbers)) == len(numbers)


def test_a_value_keeps_its_inner_braces(tmp_path):
    file = tmp_path / "r.bib"
    file.write_text("% a comment\n\n" + ENTRY)
    entry = read_bibliography(file)["one"]
    assert entry.type == "article"
    assert dict(entry.fields) == {
        "author": "A. Body",
        "title": "{ABC}: a {T}itle",
        "journal": "Journal",
        "year": "2024",
    }


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (ENTRY + ENTRY, 7, "two entries"),
        (ENTRY + ENTRY.replace("{one", "{ONE"), 7, "two entries"),
        (ENTRY.replace("  journal = {Journal},\n", ""), 1, "lacks 'journal'"),
        (ENTRY.replace("@article", "@book"), 1, "type of entry"),
        (ENTRY.replace("2024", "{in print}"), 1, "four digits"),
        (ENTRY.replace("{Journal},", "{Journal}"), 4, "no comma"),
        (ENTRY.replace("{Journal}", "{Jour{nal}"), 4, "no comma"),
        (ENTRY.replace("{Journal}", "{Jour{{{nal}"), 4, "no value"),
        (ENTRY.replace("{Journal}", "{}"), 4, "empty"),
        (ENTRY.replace("journal", "Title"), 4, "twice"),
        (ENTRY.replace("{Journal}", '"Journal"'), 4, "no value"),
        (ENTRY.replace("Body", "Bödy"), 2, "not ASCII"),
        (ENTRY.replace("year = 2024", "year = 2024,\n  eprint = {cs/0101001}"), 1, "none of arXiv"),
        (ENTRY[:-2], 5, "no comma"),
        ("loose words\n" + ENTRY, 1, "no entry"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, text, line, problem):
    file = tmp_path / "r.bib"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"(?s)r\.bib: line {line}: .*{problem}"):
        read_bibliography(file)


def test_bibtex_gives_what_is_asked_for_once_and_can_be_read_again(tmp_path):
    text = bibtex(["tang2025aks", "wilson1927interval", "tang2025aks"])
    file = tmp_path / "r.bib"
    file.write_text(text)
    assert list(read_bibliography(file)) == ["tang2025aks", "wilson1927interval"]
    assert bibtex([]) == ""
    with pytest.raises(InputError, match="tang2025aks"):
        bibtex(["tang2025ask"])


# The text


def _setup(**changes):
    return {
        "dataset": {"kind": "longvideobench"},
        "budgets": [8, 32],
        "selectors": {"uniform": {"kind": "uniform"}, "mine": {"kind": "aks", "variant": "fair", "s_thr": 0.2}},
        "scorers": {
            "clip": {
                "kind": "clip",
                "model": "openai/clip-vit-base-patch32",
                "revision": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
                "dtype": "float32",
                "text": "question",
            }
        },
        "answerers": {
            "vlm": {"kind": "qwen2_vl", "model": "Qwen/Qwen2-VL-7B-Instruct", "revision": "a" * 40, "dtype": "bfloat16"}
        },
        "baseline": "uniform",
        "prompt": {"pre_prompt": "", "post_prompt": "50 % of_it\n"},
    } | changes


def test_the_text_says_what_the_spec_says():
    text = methods_text(_setup(n_questions=1337, n_videos=753, seed=7, versions={"lmms-eval": "0.7.3"}))
    for fact in (
        r"LongVideoBench (validation)~\cite{wu2024longvideobench} (1{,}337 questions, 753 videos)",
        "a budget of 8 and 32 frames",
        r"AKS~\cite{tang2025aks} (called \texttt{mine} in the table, \texttt{variant} fair, \texttt{s\_thr} 0.2)",
        r"\texttt{openai/clip-vit-base-patch32} at commit \texttt{3d74acf9a28c}, \texttt{float32}",
        r"Qwen2-VL~\cite{wang2024qwen2vl} (called \texttt{vlm} in the table, \texttt{Qwen/Qwen2-VL-7B-Instruct} at",
        r"\texttt{bfloat16}",
        r"protocol \texttt{fair}",
        r"\texttt{50 \% of\_it\textbackslash{}n} after it",
        "No subtitles are given.",
        r"Intervals (95\,\%) are expanded percentiles",
        r"Wilson's~\cite{wilson1927interval}",
        r"Differences are to \texttt{uniform}",
        r"10{,}000 bootstrap resamples of whole videos",
        r"exact two-sided McNemar test~\cite{mcnemar1947test}",
        r"Holm's procedure~\cite{holm1979procedure}",
        "The seed of all random draws is 7.",
        r"lmms-eval 0.7.3~\cite{zhang2025lmmseval}",
        r"\cite{moelder2021snakemake}",
    ):
        assert fact in text, fact


@pytest.mark.parametrize(
    ("changes", "there", "gone"),
    [
        ({"protocol": "released"}, r"scripts of AKS's release~\cite{tang2025aks}", r"\texttt{fair}"),
        ({"baseline": None}, "Wilson", "McNemar"),
        ({"unparsed": "lmms_eval"}, "random guesses", "counts as wrong"),
        ({"subtitles": "frames"}, "shown with the chosen frames", "No subtitles"),
        ({"prompt": {}}, "no other text", "after it"),
        ({"controls": ["blank"]}, "grey pictures", "another order"),
        ({"candidates": {"rule": "timestamp", "per_second": 2}}, "2 a second", r"\lfloor"),
        ({"dataset": {"kind": "videomme", "limit": 30}}, "the first 30 questions", "LongVideoBench"),
        ({"dataset": {"kind": "videomme"}, "in_form_of": True}, "a data set in the form of Video-MME", "of which"),
        (
            {"encoder": {"kind": "dino", "model": "x/y", "revision": "b" * 40}},
            r"DINOv2~\cite{oquab2024dinov2}",
            "of the scorer",
        ),
        ({"own_embeddings": True}, "are those of the scorer", "DINOv2"),
        ({"scorers": {}}, "We compare", "scored by"),
        ({"open_answers": True}, "Open answers are not judged", "counts as wrong"),
        ({"runs": [{"answerer": "GPT_4", "method": "own", "budget": 8}]}, r"GPT\_4 with own at 8 frames", "GPT_4"),
    ],
)
def test_another_spec_gives_another_text(changes, there, gone):
    text, usual = methods_text(_setup(**changes)), methods_text(_setup())
    assert there in text
    assert gone not in text
    assert text != usual


def test_a_judge_is_named_without_its_address():
    judge = {"model": "qwen3", "base_url": "http://127.0.0.1:8000/v1", "temperature": 0, "served": None}
    text = methods_text(_setup(dataset={"kind": "activitynetqa"}, open_answers=True, judge=judge))
    assert r"judged by a language model (\texttt{qwen3}, \texttt{temperature} 0)" in text
    assert "127.0.0.1" not in text


def test_a_local_checkpoint_is_named_without_its_path():
    local = {"vlm": {"kind": "qwen2_vl", "model": "/srv/someone/models/my_vlm", "revision": None}}
    text = methods_text(_setup(answerers=local))
    assert r"a local checkpoint, \texttt{my\_vlm}" in text
    assert "someone" not in text


def test_everything_the_text_cites_is_in_the_references():
    text = methods_text(_setup(selectors={kind: {"kind": kind} for kind in kinds("selectors")}))
    keys = keys_in(text)
    assert {"holm1979procedure", "sun2025mdp3", "framesift"} <= set(keys)
    assert all(f"{{{key}," in bibtex(keys) for key in keys)


def test_the_text_is_balanced_latex():
    names = {r"a_b\c{d": {"kind": "bolt", "power": -1}, "e&f#g$h%i~j^k": {"kind": "topk"}}
    text = methods_text(_setup(selectors=names, baseline=None))
    assert "$-1$" in text
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not set(bare) & set("&#%^_")


def test_latex_escapes_each_special_character_once():
    assert latex("\\") == r"\textbackslash{}"
    assert latex("a_b {50%} $x^2$ #1 & ~") == (r"a\_b \{50\%\} \$x\textasciicircum{}2\$ \#1 \& \textasciitilde{}")


def test_a_spec_that_is_none_is_refused_with_its_field():
    with pytest.raises(InputError, match="setup: budgets"):
        methods_text(_setup(budgets=[]))
    with pytest.raises(InputError, match="setup: colour"):
        methods_text(_setup(colour="red"))


@pytest.mark.parametrize("name", ["demo", "videomme", "longvideobench", "mlvu"])
def test_the_tables_of_the_default_configuration_have_a_text(name):
    config = read_config(citations.REFERENCES.with_name("config.yaml"))
    text = methods_text(setup_of(config, name))
    for label in config.tables[name].selectors:
        assert work_of("selectors", config.selectors[label].spec()).name in text
    assert ("in the form of" in text) == (config.tables[name].dataset == "demo")
    assert set(keys_in(text)) <= set(read_bibliography())


def test_the_setup_of_a_table_is_what_is_configured():
    config = load_config(
        yaml.safe_load(
            """
            seed: 3
            datasets: {mlvu: {kind: mlvu, limit: 20}}
            scorers: {clip: {kind: clip, model: ./clip}}
            encoders: {dino: {kind: dino, model: ./dino}}
            selectors: {uniform: {kind: uniform}, mmr: {kind: mmr, label: Marginal}, dp: {kind: dpselect}}
            answerers: {vlm: {kind: llava_onevision_hf, model: ./vlm, dtype: float16}}
            tables:
              t: {dataset: mlvu, answerers: [vlm], scorers: [clip], encoder: dino, selectors: [uniform, mmr, dp],
                  budgets: [4], prompt: plm, controls: [blank]}
              own: {dataset: mlvu, answerers: [vlm], scorers: [clip], selectors: [uniform, mmr], budgets: [4],
                    prompt: {pre_prompt: "Look. "}}
            """
        )
    )
    setup = setup_of(config, "t")
    assert list(setup["selectors"]) == ["uniform", "Marginal", "dp"]
    assert setup["encoder"]["kind"] == "dino"
    assert setup["prompt"] == {"pre_prompt": "", "post_prompt": "\nOnly give the best option."}
    assert (setup["seed"], setup["controls"], setup["dataset"]["limit"]) == (3, ["blank"], 20)
    assert not setup["own_embeddings"]
    own = setup_of(config, "own")
    assert own["own_embeddings"]
    assert own["prompt"] == {"pre_prompt": "Look. "}
    assert r"\texttt{Look. } before it" in methods_text(own)
    assert r"\texttt{float16}" in methods_text(own)


def test_compression_is_told_and_cited():
    config = read_config(citations.REFERENCES.with_name("config.yaml"))
    text = methods_text(setup_of(config, "retake_demo"))
    assert "compressed inside the network" in text
    assert r"\texttt{demo\_vlm + PivotKV}" in text
    assert "wang2024retake" in keys_in(text)
    assert "wang2025adaretake" not in keys_in(text)
    assert "compressed" not in methods_text(setup_of(config, "demo"))
    adapted = setup_of(config, "retake_demo")
    adapted["answerers"]["demo_vlm + PivotKV"]["retake"]["scores"] = "prompt"
    assert "wang2025adaretake" in keys_in(methods_text(adapted))
