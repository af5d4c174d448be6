"""An engine under torch.compile, for tests."""

import torch

from lib.training.engine import Engine


def compile_step(engine: Engine) -> None:
    """Let torch.compile fuse the engine's network and its control; engines of one arm share what is compiled."""
    engine.model.encode = torch.compile(engine.model.encode, fullgraph=True, dynamic=False)
    engine.model.decode = torch.compile(engine.model.decode, fullgraph=True, dynamic=False)
    engine.control = torch.compile(engine.control, fullgraph=True, dynamic=False)
