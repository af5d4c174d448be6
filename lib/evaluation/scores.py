"""DCI, SAP and the FactorVAE score of a measured run, from its posterior means (lib/disentanglement.py)."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lib.disentanglement import dci, factor_vae_score, sap_score
from lib.evaluation.posteriors import read_posterior
from lib.evaluation.records import kept
from lib.files import write_sealed
from lib.locks import only_one
from lib.refusal import Refusal
from lib.runs.provenance import provenance
from lib.runs.run import Run
from lib.runs.settings import EvaluationConfig
from lib.training.device import reproducible

# What scores.json depends on: the posteriors, and the draws made from them.
POSTERIOR = ("position_stride", "evaluation_batch")
SETTINGS = (*POSTERIOR, "evaluation_seed", "dci_samples")
ENTRIES = ("config", "images", "dci", "sap", "factor_vae")  # of scores.json


def measure_scores(run: Run, config: EvaluationConfig, progress: bool = True) -> dict[str, Any]:
    """Score an evaluated run, or read what was scored with the same SETTINGS; returns scores.json.

    All factors count, shape among them. SAP and the FactorVAE score have their published sizes, DCI learns from
    `dci_samples` images and is tested on half as many.

    Raises ValueError where the run was not evaluated, or on other images than the settings name.
    """
    path, settings = run.path / "scores.json", config.only(SETTINGS)
    if kept(run.path / "evaluation.json", config.only(POSTERIOR)) is None:
        raise Refusal(f"{run.path} was not evaluated with these settings; evaluate it first.")
    if (found := kept(path, settings, ENTRIES)) is not None:
        return found
    with only_one(run.path / ".lock"):  # another process may have been faster
        return kept(path, settings, ENTRIES) or _score(run, config, path, progress)


def _score(run: Run, config: EvaluationConfig, path: Path, progress: bool) -> dict[str, Any]:
    started = time.perf_counter()
    mean, _, sizes = read_posterior(run)

    def generator() -> torch.Generator:  # anew for each score: none depends on another's draws
        return torch.Generator().manual_seed(config.evaluation_seed)

    with reproducible(run.config().threads):
        trees = asdict(dci(mean, sizes, generator(), config.dci_samples, config.dci_samples // 2, progress))
        content = {
            "config": config.only(SETTINGS),
            "weights_sha256": run.weights_sha256,
            "images": len(mean),
            "dci": trees | {"importance": trees["importance"].tolist()},
            "sap": sap_score(mean, sizes, generator()),
            "factor_vae": factor_vae_score(mean, sizes, generator()),
            "seconds": time.perf_counter() - started,
            "provenance": provenance(torch.device("cpu")),
        }
    write_sealed(path, content)
    return content
