"""The page in a real Chromium: a person's whole path, and files that are no pictures."""

import asyncio
import base64
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import servers
from bad_files import BAD, ODD
from PIL import Image
from servers import decoded, encoded, picture
from test_serving_process import started

from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.inference import Prediction, Predictor
from pellucid.models import build_model
from pellucid.pictures import Picture
from pellucid.serving import page_work as work
from pellucid.serving.service import Service

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WAIT = 120_000
"""Milliseconds; Gradio's page has many files, and the cores may be busy."""


def test_examples_are_ten_pictures() -> None:
    assert len(work.example_pictures()) == len(work.CLASSES) == 10
    assert {each.shape for each in work.example_pictures()} == {(32, 32, 3)}


@pytest.mark.parametrize("name", work.damage_choices())
def test_every_damage_can_be_added(name: str) -> None:
    clean = Picture(picture(40, 48))
    damaged = work.add_damage(clean, name, 1.0, 3)
    assert damaged.pixels.shape == clean.pixels.shape
    assert damaged.pixels.dtype == np.uint8
    assert (work.add_damage(clean, name, 1.0, 3).pixels == damaged.pixels).all()
    deep = work.add_damage(Picture((clean.pixels.astype(np.uint16)) * 257), name, 1.0, 3)
    assert deep.pixels.dtype == np.uint16


def test_figures_are_those_of_the_protocol() -> None:
    clean = work.example_pictures()[0]
    noisy = work.add_damage(Picture(clean), "gaussian noise", 0.5, 0).pixels
    figures = work.measure_picture(clean, noisy, clean)
    mse = ((clean.astype(float) - noisy) ** 2).mean() / 255**2
    assert figures.psnr[0] == pytest.approx(-10 * np.log10(mse), abs=1e-3)
    assert figures.ssim[1] == pytest.approx(1)
    assert "equal" in work.metrics_html(figures, "")
    assert "too small" in work.metrics_html(work.measure_picture(clean[:5], noisy[:5], noisy[:5]), "")


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (32, 32), (2000, 10), (1, 1601)])
def test_what_is_shown_has_a_size_to_look_at(size: tuple[int, int]) -> None:
    shown = work.display(picture(*size))
    assert max(shown.shape) <= work.MAX_DISPLAY_SIDE
    assert shown.dtype == np.uint8


def test_the_report_has_the_warnings_of_a_line(tmp_path: Path) -> None:
    from pellucid.serving.page import _shown

    image = Picture(picture())
    prediction = Prediction("ship", 1.0, {"ship": 1.0}, image.pixels, left=True, unfamiliar=True)
    assert "found undamaged and left; unlike the training pictures" in _shown(image, image, prediction, work.NONE, tmp_path / "new")[4]


def test_a_model_that_restores_names_no_classes(tmp_path: Path) -> None:
    from pellucid.serving.page import _heading

    config = replace(servers.CONFIG, tasks="restore")
    save_model(tmp_path / "model", build_model(config, 3, servers.DAMAGES).eval(), ModelMetadata(config, servers.CLASSES, servers.DAMAGES))
    service = Service(Predictor.load(tmp_path / "model", "cpu"))
    assert service.describe()["classes"] == []
    assert "class" not in _heading(service)


def test_a_classified_picture_is_not_offered_as_a_restored_one(tmp_path: Path) -> None:
    from pellucid.serving.page import _shown

    image = Picture(picture())
    shown = _shown(image, image, Prediction("ship", 1.0, {"ship": 1.0}, None), work.NONE, tmp_path)
    assert (shown[1]["value"], shown[1]["interactive"]) == (None, False)
    assert "does not restore" in shown[3]


def test_a_restored_picture_is_deleted_with_its_folder_though_nobody_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.serving import page

    async def visit() -> None:
        show = next(each.fn for each in page.build_page(service, files).fns.values() if each.fn.__name__ == "show")
        service.start()
        await show(None, 0, work.NONE, 50, 0)
        [folder] = files.iterdir()
        assert (folder / "restored.png").is_file()
        async with asyncio.timeout(30):
            while folder.exists():
                await asyncio.sleep(0.1)
        await service.close()

    monkeypatch.setattr(page, "KEEP_SECONDS", 0.4)
    model, files = tmp_path / "model", tmp_path / "files"
    files.mkdir()
    config = servers.CONFIG
    save_model(model, build_model(config, 3, servers.DAMAGES).eval(), ModelMetadata(config, servers.CLASSES, servers.DAMAGES))
    service = Service(Predictor.load(model, "cpu"))
    asyncio.run(visit())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; install Debian's package chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


SECRET = "the token of the page"
CREDENTIALS = {"username": "me", "password": SECRET}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a page with a token and with limits, and its folder of temporary files."""
    folder = tmp_path_factory.mktemp("page")
    limits = ("--timeout", 200, "--max-bytes", 100_000, "--max-pixels", 1_000_000)
    with started(*limits, PELLUCID_TOKEN=SECRET, GRADIO_ANALYTICS_ENABLED="False", TMPDIR=str(folder)) as (_, address):
        yield address, folder


@pytest.mark.parametrize("size", [(1200, 1000), (375, 812)], ids=["desktop", "phone"])
def test_the_whole_path_of_a_person(browser: Any, size: tuple[int, int], guarded: tuple[str, Path]) -> None:
    address, folder = guarded
    (folder / "mine.png").write_bytes(encoded(Image.fromarray(picture(50, 60)), "PNG"))
    (folder / "no.png").write_text("no picture")
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, http_credentials=CREDENTIALS, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    hosts, failures, refused = set(), [], []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    page.goto(address)

    page.locator("#examples .thumbnail-item").nth(8).click()  # the ship
    page.wait_for_selector("#figures td")
    assert page.locator("#label h2").inner_text().strip() == "ship"
    cells = page.locator("#figures td").all_inner_texts()
    assert float(cells[2]) > float(cells[0]) + 2  # dB
    assert "gaussian noise" in page.locator("#report").inner_text()
    page.locator("#mask img").scroll_into_view_if_needed()  # it loads when it is looked at
    page.locator("#uncertainty img").scroll_into_view_if_needed()
    shown = "[...document.querySelectorAll(':is(#slider, #mask, #uncertainty) img')].filter(image => image.naturalWidth)"
    page.wait_for_function(f"{shown}.length >= 4")
    page.screenshot(path=folder / "page.png", full_page=True)
    if "PELLUCID_SCREENSHOTS" in os.environ:
        shutil.copy(folder / "page.png", Path(os.environ["PELLUCID_SCREENSHOTS"]) / f"page-{size[0]}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0] + 1

    sources = page.locator("#slider img").evaluate_all("images => images.map(image => image.src)")
    assert all(source.endswith(".png") for source in sources)  # without loss

    with page.expect_download() as downloading:
        page.locator("#download").click()
    downloading.value.save_as(folder / "restored.png")
    assert decoded((folder / "restored.png").read_bytes()).shape == (32, 32, 3)

    before = page.locator("#figures").inner_text()
    page.locator("#damage input").click()
    page.get_by_role("option", name="salt pepper" if "salt pepper" in work.damage_choices() else "gaussian noise", exact=True).click()
    page.wait_for_function("before => document.querySelector('#figures').innerText !== before", arg=before)

    page.locator("#file input[type=file]").set_input_files(folder / "mine.png")
    page.wait_for_function("document.querySelectorAll('#slider img')[0]?.naturalWidth == 420")  # 60 pixels, enlarged 7 times
    page.locator("#damage input").click()
    page.get_by_role("option", name="none", exact=True).click()
    page.wait_for_function("document.querySelector('#figures').innerText.includes('need the undamaged picture')")

    page.get_by_label("Clear").or_(page.get_by_label("Remove this file")).first.click()
    page.locator("#file input[type=file]").set_input_files(folder / "no.png")
    page.wait_for_selector("text=Expected a picture")
    assert hosts == {address.removeprefix("http://")}
    assert not failures
    assert not [url for url in refused if "upload_progress" not in url]  # Gradio loses track of short uploads
    context.close()

    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/file=/etc/passwd"):
        assert httpx2.get(address + path).status_code == 401
    for path in (
        "/etc/passwd",
        str(folder / "mine.png"),
    ):  # with the token, too, files of the machine are none of a visitor's business
        assert httpx2.get(f"{address}/gradio_api/file={path}", auth=("me", SECRET)).status_code in (403, 404)


TOLD = re.compile(r"Expected .+ the picture, found .+; .+\.|File\(s\) exceed the maximum allowed size of .+")


def test_bad_and_unusual_files_that_are_dropped(browser: Any, guarded: tuple[str, Path]) -> None:
    page = browser.new_page(http_credentials=CREDENTIALS)
    page.set_default_timeout(WAIT)
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(guarded[0])
    zone = page.locator("#file button.upload-container")
    for name, content in (BAD | {"too many bytes.png": bytes(99_000), "far too many bytes.png": bytes(200_000)}).items():
        zone.wait_for()
        drop(page, "#file button.upload-container", name, content)
        toast = page.locator(".toast-body")
        toast.wait_for()
        told = toast.inner_text().removeprefix("Error").strip(" \n×")
        assert re.fullmatch(r"Expected .+ the picture, found .+; .+\.|File\(s\) exceed the maximum allowed size of .+", told), (
            name,
            told,
        )
        assert not page.locator("#slider img").count(), name
        page.locator(".toast-close").click()
        toast.wait_for(state="detached")
        if not zone.is_visible():
            page.locator("#file").get_by_label("Clear").or_(page.locator("#file").get_by_label("Remove this file")).first.click()
    for name, content in ODD.items():
        zone.wait_for()
        drop(page, "#file button.upload-container", name, content)
        page.wait_for_selector("#label h2")
        page.wait_for_selector("#uncertainty img")
        assert "first of 2 frames" in page.locator("#report").inner_text() or name != "frames.gif"
        page.locator("#file").get_by_label("Clear").or_(page.locator("#file").get_by_label("Remove this file")).first.click()
        page.wait_for_selector("#label h2", state="detached")
    assert not failures
    page.close()


def drop(page: Any, where: str, name: str, content: bytes) -> None:
    """Drop a file."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
          return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    page.dispatch_event(where, "drop", {"dataTransfer": transfer})
