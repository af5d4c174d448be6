"""Live curves in a real kernel: one picture, updated in place, gone when the training has ended well."""

import base64
from pathlib import Path

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from lib.dsprites import N_IMAGES

TRAIN = f"""
import numpy as np
import torch

from lib.data.dataset import Dataset
from lib.dsprites import render_packed
from lib.report.notebooks import live
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.train import train

torch.set_num_threads(1)
live.EVERY, live.SHARE = 0, float("inf")
pictures, png = [], live.png


def counted(*parts):
    pictures.append(None)
    if len(pictures) > LIMIT:
        raise KeyError("stopped")
    return png(*parts)


live.png = counted
images = np.random.default_rng(0).choice({N_IMAGES}, 1_000, replace=False)
data = Dataset(torch.from_numpy(render_packed(images)), "0" * 64, "rendered")
config = load_profile("smoke").training_config("adaptive", 1, steps=300, batch_size=8, device="cpu", snapshots=0)
watching = live.Live()
train(config, Run(FOLDER), data, progress=False, observer=watching)
watching.clear()
"""


def executed(folder: Path, pictures: int, allow_errors: bool) -> list:
    """The training cell and one that prints how many pictures were begun; more than `pictures` stop the training."""
    training = TRAIN.replace("FOLDER", repr(str(folder / "run"))).replace("LIMIT", str(pictures))
    notebook = new_notebook(cells=[new_code_cell(training), new_code_cell("print(len(pictures))")])
    return NotebookClient(notebook, timeout=120, allow_errors=allow_errors).execute().cells


def test_pictures_replace_each_other_and_go_at_the_end(tmp_path):
    training, counted = executed(tmp_path, 9, allow_errors=False)
    assert int(counted.outputs[0].text) == 3  # one per 100 steps
    assert training.outputs == []


def test_a_training_that_is_stopped_leaves_its_last_picture(tmp_path):
    training, counted = executed(tmp_path, 2, allow_errors=True)
    assert int(counted.outputs[0].text) == 3
    shown, error = training.outputs
    assert error.evalue == "'stopped'"
    assert list(shown.data) == ["image/png"]
    assert base64.b64decode(shown.data["image/png"]).startswith(b"\x89PNG")
