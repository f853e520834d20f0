"""What another value of each key of the configuration makes run again, and what going back costs.

The keys come from the models, so that a new one fails here until it says what it costs. Nothing is run: the graphs of
jobs before and after are compared as Snakemake does (`forecast.py`, which `test_reruns.py` holds against dry runs).
Each key is changed in a small configuration of its own (`rerun_worlds.py`): one table, two selectors, one of which
needs what the key belongs to.
"""

import pytest

from forecast import rules
from keys import keys
from project import Project
from rerun_worlds import Forecaster

KEYS = keys()


def each(*names, **counts):
    return dict.fromkeys(names, 1) | counts


NOTHING: dict[str, int] = {}
GROUPED = each("make_table", "make_report", "make_figures", "make_manifest", "compare_published")
MEASURED = each("measure_selections")
NAMED = GROUPED | each("write_methods")
JUDGED = NAMED | each("judge_answers")
ONE_ROW = JUDGED | each("evaluate")
ALL_ROWS = JUDGED | each(evaluate=2)
ONE_SELECTION = ONE_ROW | MEASURED | each("select_frames")
ONE_SCORER = ONE_SELECTION | each("score_frames", "merge_scores")
ONE_ENCODER = ONE_SELECTION | each("embed_frames")
FETCHED = each("download_checkpoint")
SELECTIONS = ALL_ROWS | MEASURED | each(select_frames=2)
VIDEOS = SELECTIONS | each("index_videos", "assign_shards", "score_frames", "merge_scores")
LABELS = VIDEOS | each("convert_labels")
DATASET = LABELS | each("download_dataset")
IMPORTED = ONE_ROW | MEASURED | each("import_selection")
RELEASED = ONE_SELECTION | each("import_outscores")
RUN = JUDGED | each("import_run")
DEMO_WORLD = (  # two scorers, three selectors, a control, two shards
    JUDGED
    | MEASURED
    | each("make_demo_labels", "convert_labels", "index_videos", "assign_shards")
    | each(make_demo_video=12, score_frames=4, merge_scores=2, select_frames=5, evaluate=6)
)
FAR_WORLD = VIDEOS | each("make_demo_labels", "convert_labels", make_demo_video=12)
LABELLED = ONE_SELECTION | each("label_frames", "merge_scores")
ONE_STAGE = ONE_SCORER | each("train_selector")
BOTH_STAGES = ONE_SCORER | each(train_selector=2)
SEEN = BOTH_STAGES | each(embed_frames=2)  # videos to train on, and others to validate on

CONNECTION = "api_key_env parallel timeout max_retries price_in price_out"
ASKED = "base_url served temperature token_limit seed extra"

#: What a key costs: for the part of its name before the last points, costs and the keys that have them.
COSTS = [
    (
        "",
        {
            "max_jobs": NOTHING,
            "plugins": NOTHING,
            "decoder": ONE_SCORER,
            "seed": ALL_ROWS | MEASURED | each("select_frames"),
        },
    ),  # a selector that draws, a control
    ("candidates", {"rule per_second": VIDEOS}),
    (
        "datasets.*",
        {
            "label keep_archives max_excluded shards chunks": NOTHING,
            "data_dir labels videos subtitles repo revision": DATASET,
            "question_ids video_ids groups limit": DATASET,
            "download": LABELS,
            "length_tolerance": VIDEOS,
            "evidence": GROUPED | MEASURED,
        },
    ),
    ("datasets.custom", {"answer_form": LABELS}),
    ("datasets.custom.columns", {"question options answer video question_id groups evidence": LABELS}),
    (
        "scorers.*",
        {
            "label": NAMED | MEASURED,
            "batch_size": NOTHING,
            "dtype text text_cleaning max_tokens": ONE_SCORER,
            "model revision": ONE_SCORER | FETCHED,
        },
    ),
    ("scorers.sevila", {"form options_style localizer": ONE_SCORER}),
    ("scorers.blip_itm", {"first_token": ONE_SCORER}),
    ("scorers.mllm_selector", {"n template encoder llm": ONE_SCORER}),
    (
        "scorers.pseudo_labels.labels",
        {
            "vlm": LABELLED | FETCHED,
            "llm n n_label weight retries text max_side": LABELLED,
            "explanation_tokens caption_tokens reply_tokens": LABELLED,
            "prompts.spatial prompts.caption prompts.temporal": LABELLED,
            "vlm[scorer].exponent": LABELLED,
            "vlm[scorer].scorer": LABELLED | FETCHED | each("score_frames", merge_scores=2),
            "llm[peaks].prominence": LABELLED,
        },
    ),
    *(
        (
            f"scorers.pseudo_labels.labels.{labeller}[transformers]",
            {
                "label batch_size": NOTHING,
                "dtype attn_implementation template": LABELLED,
                "model revision": LABELLED | FETCHED,
            },
        )
        for labeller in ("vlm", "llm")
    ),
    *(
        (
            f"scorers.pseudo_labels.labels.{labeller}[openai_api]",
            {CONNECTION: NOTHING, ASKED: LABELLED, "model continues image_format": LABELLED},
        )
        for labeller in ("vlm", "llm")
    ),
    ("scorers.aks_outscores", {"folder": NOTHING, "scores": RELEASED}),
    (
        "encoders.*",
        {"label batch_size": NOTHING, "dtype": ONE_ENCODER, "model revision": ONE_ENCODER | FETCHED},
    ),
    ("encoders.dino", {"pooling": ONE_ENCODER}),
    ("encoders.patches", {"pool layer frames": NOTHING}),  # no table can use it, and a training has one of its own
    ("selectors.*", {"label": NAMED | MEASURED}),
    ("selectors.adaptive", {"broad context floor": ONE_SELECTION}),
    ("selectors.adard", {"tau eps": ONE_SELECTION}),
    ("selectors.aks", {"variant s_thr max_depth t2 ratio": ONE_SELECTION}),
    ("selectors.bolt", {"variant power": ONE_SELECTION}),
    ("selectors.cats", {"rho": ONE_SELECTION}),
    ("selectors.dig", {"variant window": ONE_SELECTION}),
    ("selectors.dpselect", {"window": ONE_SELECTION}),
    ("selectors.facility_location", {"alpha": ONE_SELECTION}),
    (
        "selectors.focus",
        {
            "variant coarse_every_sec fine_every_sec zoom_ratio final_min_arms final_max_arms": ONE_SELECTION,
            "min_coarse_segments min_zoom_segments extra_samples_per_region min_variance": ONE_SELECTION,
            "fine_uniform_ratio interpolation top_ratio temperature region_half_window_sec": ONE_SELECTION,
            "min_gap_sec gap_ratio disable_gap_below": ONE_SELECTION,
        },
    ),
    ("selectors.frag", {"variant proposals": ONE_SELECTION}),
    ("selectors.imported", {"format selection original": IMPORTED}),
    ("selectors.kfc", {"variant max_nodes radius low_rank": ONE_SELECTION}),
    ("selectors.maxinfo", {"variant rank tol norm": ONE_SELECTION}),
    ("selectors.mdp3", {"lam segment": ONE_SELECTION}),
    ("selectors.mdp3_global", {"lam": ONE_SELECTION}),
    ("selectors.mmr", {"lam": ONE_SELECTION}),
    ("selectors.nms", {"divisor": ONE_SELECTION}),
    ("selectors.qframe", {"variant tau gain max_candidates high mid low": ONE_SELECTION}),
    ("selectors.random", {"draw": ONE_SELECTION}),
    ("selectors.uniform", {"convention": ONE_SELECTION}),
    (
        "selectors.wfs_sb",
        {
            "variant wavelet drift height_factor prominence_factor min_distance_ratio": ONE_SELECTION,
            "min_distance_absolute w_duration w_mean w_max w_var strictness temperature lambda_": ONE_SELECTION,
        },
    ),
    (
        "answerers.*",
        {
            "label": NAMED,
            "variant_of": NAMED,
            CONNECTION: NOTHING,
            ASKED: ALL_ROWS,
            "max_new_tokens dtype attn_implementation min_pixels max_pixels conv_template": ALL_ROWS,
            "long_side yarn": ALL_ROWS,
            "model revision": ALL_ROWS | FETCHED,
        },
    ),
    (
        "answerers.*.retake",
        {
            "budget_tokens ratio ratio_length chunk_frames encoder_frames dpselect dpselect_ratio window": ALL_ROWS,
            "patch_sync pivot_fill reforge text_after scores prompt_tokens layer_budget temporal_budget": ALL_ROWS,
            "reference_bug": ALL_ROWS,
        },
    ),
    ("answerers.llava_onevision", {"mm_spatial_pool_mode": ALL_ROWS}),
    ("answerers.llava_vid", {"add_time_instruction mm_spatial_pool_mode mm_newline_position": ALL_ROWS}),
    (
        "answerers.openai_api",
        {"frames_as image_format jpeg_quality max_side timestamps detail": ALL_ROWS},
    ),
    ("answerers.pllava", {"pooling_shape lora_alpha system video_alone answer_start": ALL_ROWS}),
    ("answerers.qwen2_vl", {"mrope": ALL_ROWS}),
    ("answerers.qwen2_5_vl", {"mrope": ALL_ROWS}),
    ("answerers.qwen3_vl", {"wrapper": ALL_ROWS}),
    (
        "trained.*",
        {
            "gpus": NOTHING,
            "labels": BOTH_STAGES | each(label_frames=2),
            "data validation instructions initial": BOTH_STAGES,
            "stages": ONE_SCORER,  # the second one is left out, and the first there
        },
    ),
    ("trained.*.selector.vision", {"label batch_size": NOTHING, "dtype pool layer": SEEN}),
    ("trained.*.selector.vision", {"model revision": SEEN | FETCHED, "frames": SEEN | each(label_frames=2)}),
    (
        "trained.*.selector",
        {
            "order read_out head_width head_norm template max_tokens": BOTH_STAGES,
            "text": BOTH_STAGES | each(label_frames=2),
            "llm.model llm.revision": BOTH_STAGES | FETCHED,
        },
    ),
    *(
        (
            f"trained.*.stages[{stage}]",
            {
                "micro_batch gradient_checkpointing save_every": NOTHING,
                "tasks train_llm learning_rate epochs seed batch_size by_video shift max_steps warmup": cost,
                "weight_decay clip precision validate_every recall_at saved_as": cost,
                "lora.r lora.alpha lora.dropout lora.targets": cost,
            },
        )
        for stage, cost in ((1, BOTH_STAGES), (2, ONE_STAGE))
    ),
    ("judges.*", {"model max_new_tokens": JUDGED, ASKED: JUDGED, CONNECTION: NOTHING}),
    ("runs.*", {"samples results": RUN, "answerer method budget": NAMED}),
    (
        "tables.*",  # three selectors
        {
            "dataset": DATASET | ONE_ENCODER | each(select_frames=3, evaluate=3),
            "answerers protocol prompt subtitles": JUDGED | each(evaluate=3),
            # another scorer with embeddings: for the one that needs scores, and for the one that needs embeddings
            "scorers": ONE_SCORER | ONE_ENCODER | FETCHED | each(select_frames=2, evaluate=2),
            "encoder": ONE_ENCODER | FETCHED,
            "selectors": ONE_SELECTION,
            "pairs": JUDGED | MEASURED,
            "budgets": JUDGED | MEASURED | each(select_frames=3, evaluate=3),
            "baseline": NAMED | MEASURED,
            "controls": ONE_ROW,
            "unparsed judge": JUDGED,
            "runs": RUN,
            "group_by": GROUPED,
        },
    ),
    (
        "demo.world",
        {
            "prefix seed short_seconds medium_seconds long_seconds fps frame_size crf decoys": DEMO_WORLD,
            "one_moment_questions two_moments_questions whole_video_questions": DEMO_WORLD,
            "short_videos medium_videos long_videos": DEMO_WORLD | each(make_demo_video=13),
        },
    ),
    (
        "demo.worlds.*",
        {
            "prefix seed short_seconds medium_seconds long_seconds fps frame_size crf decoys": FAR_WORLD,
            "one_moment_questions two_moments_questions whole_video_questions": FAR_WORLD,
            "short_videos medium_videos long_videos": FAR_WORLD | each(make_demo_video=13),
        },
    ),
]
EXPECTED = {
    f"{owner}.{key}".removeprefix("."): cost
    for owner, costs in COSTS
    for words, cost in costs.items()
    for key in words.split()
}
#: Of the keys of one part with one cost the first is tried in `make test`, the others in `make test-all`.
LATER = {f"{owner}.{key}".removeprefix(".") for owner, costs in COSTS for words in costs for key in words.split()[1:]}
#: What goes on at paths that do not depend on settings, so that going back makes it again: seconds, and no model.
AT_ONE_PLACE = JUDGED | MEASURED
#: Keys of what stands in files of the user's or is made from them: what is behind stays at its place.
INPUT = ("datasets", "runs", "demo")


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    return Forecaster(Project(tmp_path_factory.mktemp("costs") / "project", {}))


@pytest.mark.parametrize("name", [pytest.param(key, marks=pytest.mark.slow) if key in LATER else key for key in KEYS])
def test_another_value_costs_exactly(name, forecaster):
    there, back = forecaster.costs(KEYS[name])
    assert name in EXPECTED, f"{name} has no entry: add it to COSTS in {__file__} (today it would cost {there})"
    assert there == EXPECTED[name]
    if KEYS[name].section not in INPUT:
        assert back == {rule: count for rule, count in there.items() if rule in AT_ONE_PLACE}


def test_every_entry_is_a_key():
    assert EXPECTED.keys() - KEYS.keys() == set()


def test_every_rule_depends_on_some_key(tmp_path):
    """`all` only collects what others make."""
    known = {rule for cost in EXPECTED.values() for rule in cost}
    assert known == rules(Project(tmp_path / "project", {})) - {"all"}
