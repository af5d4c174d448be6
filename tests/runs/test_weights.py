"""Weight files: what they say of themselves, and that older ones, which say nothing, are read as well."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib.files import read_json
from lib.model import VAE, initialise
from lib.runs.profiles import published_profiles
from lib.runs.run import Run, weights_origin


@pytest.fixture
def model() -> VAE:
    model = VAE("conv")
    initialise(model, 0)
    return model


def test_weights_carry_their_configuration_step_and_commit(tiny_config, tmp_path, model):
    run, config = Run(tmp_path / "run"), tiny_config()
    run.claim(config)
    run.save_weights(model, commit="abc")
    run.save_weights(model, 40, "abc")
    assert weights_origin(run.path / "weights.safetensors") == {
        "config": config.as_mapping(), "step": config.steps, "commit": "abc",
    }  # fmt: skip
    assert weights_origin(run.snapshots()[40])["step"] == 40


def test_the_first_files_without_metadata_give_the_same_network(tiny_config, tmp_path, model):
    run = Run(str(tmp_path / "run"))
    run.claim(tiny_config())
    run.save_weights(model)
    path = run.path / "weights.safetensors"
    new = load_file(path)
    save_file(new, path)
    assert weights_origin(path) == {}
    again = run.load_model().state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())


def test_a_published_network_is_loaded_by_its_path():
    published = published_profiles()
    if not published:
        pytest.skip("nothing is published here")
    folder = published[0].published / "adaptive-seed1"
    model = Run(str(folder)).load_model()
    assert not model.training
    assert model.decode(torch.zeros(1, read_json(folder / "config.json")["latents"])).shape == (1, 1, 64, 64)


def test_the_header_is_the_same_in_every_process(tiny_config, tmp_path, model):
    """Several metadata entries would be written in an order that changes: there must be one."""
    run = Run(tmp_path / "run")
    run.claim(tiny_config())
    run.save_weights(model)
    content = (run.path / "weights.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["origin"]
