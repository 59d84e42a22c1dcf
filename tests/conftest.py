"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let typer import a click newer than itself, which warns."""
    config.addinivalue_line("filterwarnings", "ignore:.*removed in Click 9:DeprecationWarning")


@pytest.fixture
def eicp() -> Path:
    """Give the folder of the real pages, or skip with a word."""
    folder = Path(os.environ.get("ECGBOOK_DATA") or "data") / "eicp"
    if not folder.is_dir():
        pytest.skip(f"no real pages: {folder} is absent (set ECGBOOK_DATA to the folder that holds eicp/)")
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Compute with one thread: threads that wait for each other on a busy machine take ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
