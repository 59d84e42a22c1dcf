"""Fixtures for all tests."""

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


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


@pytest.fixture(scope="session")
def chromium():
    """A running headless Chromium, one for all tests: Playwright starts no second one in a process."""
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on the PATH: CI must have one")
        pytest.skip("no Chromium on the PATH: nothing was looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A page of the browser that remembers what it asked for and what it complained about."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.requested, page.complaints = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("requestfailed", lambda request: page.complaints.append(f"failed: {request.url}"))
    page.on("response", lambda response: response.status >= 400 and page.complaints.append(response.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()
