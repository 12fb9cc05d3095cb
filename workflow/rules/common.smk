"""What all rules share: the package on the path, the checked config, wildcard constraints. No rules here.

The only code of this folder that is no rule. Every cluster job runs it again: it imports little, opens no dataset."""

import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

# The bits of a result depend on how many threads its sums are split among: one, unless a rule says otherwise itself.
# CUDA sums in a fixed order only if it is told so before it starts.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Packages of ~/.local would come before those of a conda environment.
os.environ.update(THREADS, CUBLAS_WORKSPACE_CONFIG=":4096:8", PYTHONNOUSERSITE="1")

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow/src"))

from hedgerow import _places, config as settings
from hedgerow.layout import REC
from hedgerow.provenance import digest, template
from hedgerow.study import Study

DEPLOYMENT = {str(method) for method in workflow.deployment_settings.deployment_method}
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
try:
    config = settings.complete(config, SCHEMA)
    settings.check_folders(config, Path("results/index"))
    settings.check_frozen(config, SCHEMA, Path("results/derivatives"))
    # Images say where a study is computed, the others what `why` and `verify` tell: none is kept with the results.
    RECORDING, AGAINST = config.pop("recording"), config.pop("against")
    IMAGES = settings.images(config.pop("images"), ROOT / "containers/images.json", "apptainer" in DEPLOYMENT)
    if "apptainer" in DEPLOYMENT:
        SHOWN = (config["datasets"], os.environ.get("APPTAINER_BIND", ""), _places.folders(config), AGAINST)
        os.environ.update(APPTAINER_BIND=settings.binds(*SHOWN), HEDGEROW_IMAGES=yaml.safe_dump(IMAGES))
    listed = lambda dataset: checkpoints.index.get(dataset=dataset).output.recordings
    STUDY = Study(config, listed, workflow.remote_exec)
    STUDY.check()
except settings.ConfigError as error:
    raise WorkflowError(str(error)) from None


pathvars:
    study=config["study"],


wildcard_constraints:
    dataset="[a-zA-Z0-9-]+",
    recipe="[a-zA-Z0-9]+",
    selection="[a-zA-Z0-9]+",
    feature="[a-zA-Z0-9]+",
    model="[a-zA-Z0-9-]+",
    network="[a-zA-Z0-9-]+",
    part="[0-9]+of[0-9]+",
    seed="[0-9]+",
    fold="[a-zA-Z0-9-]+",
    block="recipe|feature-[a-zA-Z0-9]+",
    rec=REC,
