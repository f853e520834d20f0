# Framesift: which frames of a long video should a video LLM see?
# This file is the contents page: the configuration is checked, then each stage brings its own rules.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")
# Everything is found from this file, so that the workflow runs in any folder, and as a module of another workflow.
HERE = Path(str(workflow.current_basedir))
sys.path.insert(0, str(HERE / "workflow" / "scripts"))

from framesift.config.load import load_config
from framesift.config.plan import Plan
from framesift.config.tables import Tables
from framesift.core.errors import InputError
from framesift.provenance.release import check_release, note_release

# The working folder may have a configuration of its own. It changes the one beside this file, as --configfile does.
if Path("config/config.yaml").is_file():

    configfile: "config/config.yaml"


try:
    check_release()
    plan = Plan(
        load_config(config, workflow.configfiles, HERE / "config" / "config.yaml")
    )
except InputError as error:
    raise WorkflowError(f"the configuration cannot be used\n  {error}") from None
sources, tables, program = plan.sources, Tables(plan), plan.program


wildcard_constraints:
    dataset="[a-z0-9_]+",
    table="[a-z0-9_]+",
    scorer="(?!aks_outscores-|pseudo_labels-)[a-z0-9_]+-[0-9a-f]{12}",
    labelled="pseudo_labels-[0-9a-f]{12}",
    selector="[a-z0-9_]+",
    training="[0-9a-f]{12}",
    encoder="[a-z0-9_]+-[0-9a-f]{12}",
    released="aks_outscores-[0-9a-f]{12}",
    selecting="(?!imported-)[a-z0-9_]+-[0-9]+-[0-9a-f]{12}",
    imported="imported-[0-9]+-[0-9a-f]{12}",
    answerer="[a-z0-9_]+-[0-9a-f]{12}",
    video="[A-Za-z0-9_-]+",


include: "rules/data.smk"
include: "rules/checkpoints.smk"
include: "rules/features.smk"
include: "rules/scores.smk"
include: "rules/training.smk"
include: "rules/selection.smk"
include: "rules/evaluation.smk"
include: "rules/tables.smk"
include: "rules/papers.smk"
include: "rules/report.smk"
include: "rules/demo.smk"


# A second or two each: on a cluster they would wait in a queue for longer than they run.
localrules:
    all,
    assign_shards,
    compare_published,
    convert_labels,
    write_methods,


# Snakemake would try each job in turn, and say little about why none of them works.
onstart:
    for folder in (
        Path("."),
        *Path(".").glob("results"),
        *Path("results").glob("*/"),
    ):
        if not os.access(folder, os.W_OK):
            raise WorkflowError(
                f"nothing can be written in {folder}/: it is read-only, or belongs to somebody else"
            )
    note_release()


# Every table whose labels are here, with its report. A table that is named on the command line says what it lacks.
rule all:
    default_target: True
    input:
        expand(
            (
                "results/tables/{table}.csv",
                "results/report/{table}.html",
                "results/manifests/{table}.json",
            ),
            table=plan.tables_at_hand(),
        ),
