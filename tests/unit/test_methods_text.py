"""The text about a table says what its spec says, and cites for each component what its class declares."""

import re

import pytest
import yaml

from framesift.config.load import load_config, read_config
from framesift.core.components import kinds
from framesift.core.errors import InputError
from framesift.papers.methods_text import latex, methods_text, own_entries, setup_of, work_of
from framesift.papers.references import bibtex, keys_in, read_bibliography
from project import ROOT

CONFIG = ROOT / "config" / "config.yaml"


def keys_of(family, **spec):
    return work_of(family, spec).cites


def test_published_selections_cite_whose_they_are():
    aks = {"kind": "imported", "format": "aks", "selection": "a.json", "original": "b.json"}
    assert keys_of("selectors", **aks) == ("tang2025aks",)
    assert keys_of("selectors", **aks | {"format": "kfs_bench"}) == ("li2026kfsbench",)


def test_one_kind_for_several_works_is_told_apart_by_its_checkpoint():
    assert keys_of("scorers", kind="siglip", model="google/siglip-so400m-patch14-384") == ("zhai2023siglip",)
    assert "tschannen2025siglip2" in keys_of("scorers", kind="siglip", model="google/siglip2-so400m-patch14-384")
    assert keys_of("answerers", kind="internvl3", model="OpenGVLab/InternVL3-8B-hf") == ("zhu2025internvl3",)
    assert keys_of("answerers", kind="internvl3", model="OpenGVLab/InternVL3_5-8B-HF") == ("wang2025internvl35",)
    assert keys_of("scorers", kind="aks_outscores", scores="clip") == ("tang2025aks", "radford2021clip")


def test_an_unknown_kind_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"(?s)selector.*'bollt'.*did you mean 'bolt'"):
        work_of("selectors", {"kind": "bollt"})


def test_a_setup_carries_all_that_the_text_says_of_components():
    """The job that writes the text needs no class: plug-ins may not be installed in its environment."""
    setup = setup_of(read_config(CONFIG), "demo")
    text = methods_text(setup)
    for part in (setup["dataset"], *setup["selectors"].values(), *setup["answerers"].values()):
        part["kind"] = "unknown"
    assert methods_text(setup).replace("~", " ").split("We compare")[0] == text.replace("~", " ").split("We compare")[0]
    setup["selectors"]["aks"]["work"] = {"title": "Ours", "cites": ["me2026ours"], "bibtex": "@misc{me2026ours,\n}"}
    assert r"Ours~\cite{me2026ours}" in methods_text(setup)
    assert bibtex(["me2026ours"], more=own_entries(setup)) == "@misc{me2026ours,\n}\n"


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
        r"Intervals (95\,\%) of accuracies are expanded percentiles",
        r"Wilson's~\cite{wilson1927interval}",
        r"Differences are to \texttt{uniform}",
        r"10{,}000 bootstrap resamples of whole videos",
        r"adjusted~\cite{bell2002bias}, given where answers changed in at least 10 videos",
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
    config = read_config(CONFIG)
    text = methods_text(setup_of(config, name))
    for label in config.tables[name].selectors:
        assert work_of("selectors", config.selectors[label].spec()).title in text
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
    config = read_config(CONFIG)
    text = methods_text(setup_of(config, "retake_demo"))
    assert "compressed inside the network" in text
    assert r"\texttt{demo\_vlm + PivotKV}" in text
    assert "wang2024retake" in keys_in(text)
    assert "wang2025adaretake" not in keys_in(text)
    assert "compressed" not in methods_text(setup_of(config, "demo"))
    adapted = setup_of(config, "retake_demo")
    adapted["answerers"]["demo_vlm + PivotKV"]["retake"]["scores"] = "prompt"
    assert "wang2025adaretake" in keys_in(methods_text(adapted))
