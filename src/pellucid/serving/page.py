"""The web page at `/`, by Gradio: upload a picture or select an example, add damage, compare, read class, damage and uncertainty, download.

Gradio stores uploaded and restored pictures in a temporary folder, and deletes them within two hours and when the server stops. Pictures
are predicted by the same service as those of the API, within the same limits.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before it is imported: nothing may be sent anywhere

import gradio as gr
from fastapi import FastAPI

from pellucid.inference.lines import COUNTED
from pellucid.inference.maps import WHITE, draw_map, draw_mask, uncertainty_map
from pellucid.pictures import Picture, Pixels, encode_png
from pellucid.serving import page_work as work
from pellucid.serving.page_requests import PageRequests
from pellucid.serving.refusal import Refusal
from pellucid.serving.service import Service

KEEP_SECONDS = 3600
"""Age in seconds at which downloads are deleted, and from which on Gradio's own files are, with the interval between its checks."""

FORM_BYTES = 2_000
"""Size in bytes of an uploaded form without its file, so that the browser refuses what the server would refuse, with a message."""

AT_ONCE = 8
"""Number of pictures of the page that are processed at a time."""

STYLE = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important }
.report table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
.report :is(table, thead, tbody, tr) { border: none !important }
.report :is(th, td) { text-align: left; padding: .25rem .5rem !important; border: none !important;
  border-bottom: 1px solid var(--border-color-primary) !important }
.report .unlikely { opacity: .55 }
#examples { min-width: 0 !important }
#examples .grid-wrap { height: auto !important; min-height: 0 !important; max-height: none !important;
  padding-top: 1.5rem; overflow: hidden }
#examples .grid-container { grid-template-columns: repeat(5, minmax(0, 1fr)) !important; gap: 4px }
#examples .thumbnail-lg { min-width: 0; width: 100% }
#examples .caption-label { font-size: 10px; padding: 0 3px; left: 0; right: 0; bottom: 0; max-width: none; border-radius: 0 }
#slider img, #mask img, #uncertainty img { image-rendering: pixelated }
"""


UPLOADS = 64
"""Files of the largest size that visitors' files may take together."""


def mount_page(app: FastAPI, service: Service) -> tuple[Callable[[], None], Callable[[], None]]:
    """Mount the page at `/`; returns a function that ends its endless connections, and one that deletes its files."""
    folder = TemporaryDirectory(prefix="pellucid-page-")
    place = Path(folder.name).resolve()  # as Gradio has the paths of its files; on macOS a link leads to the temporary folders
    os.environ["GRADIO_TEMP_DIR"] = str(place)
    blocks = build_page(service, place)
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=max(1, service.limits.max_bytes - FORM_BYTES),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        # System fonts: the default theme loads its fonts from another host.
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=STYLE,
    )
    mounted: Any = app.routes[-1]
    gradio_app = mounted.app
    mounted.app = PageRequests(gradio_app, place, UPLOADS * service.limits.max_bytes)

    def delete() -> None:
        with suppress(OSError):
            folder.cleanup()

    return gradio_app.stop_event.set, delete


def build_page(service: Service, folder: Path) -> gr.Blocks:
    """Build the layout and the events of the page; folder: for downloads."""

    async def show(content: bytes | None, example: float | None, damage: str, strength: float, seed: float | None) -> list[Any]:
        """The inputs -> the outputs of the page; a refusal becomes an error message."""
        if content is None and example is None:
            return [None, gr.update(value=None, interactive=False), None, "", "", *[gr.update(visible=False, value=None)] * 2]
        try:
            with service.admit() as admission:
                async with asyncio.timeout(service.limits.timeout):
                    if content is not None:
                        clean = await service.decode_content(content, 0, admission)
                    else:
                        clean = Picture(work.example_pictures()[int(example or 0)])
                    picture = await service.run(work.add_damage, clean, damage, strength / 100, int(seed or 0))
                    prediction = await service.predict(picture)
                    own = folder / secrets.token_hex(16)
                    try:
                        return list(await service.run(_shown, clean, picture, prediction, damage, own))
                    finally:
                        asyncio.get_running_loop().call_later(KEEP_SECONDS, partial(shutil.rmtree, own, ignore_errors=True))
        except Refusal as refusal:
            raise gr.Error(refusal.message.replace("picture 0", "the picture"), print_exception=False) from None
        except TimeoutError:
            message = f"Expected a result within {service.limits.timeout:g} seconds, found none; take a smaller picture, or try again."
            raise gr.Error(message, print_exception=False) from None

    def take_example(event: gr.SelectData, damage: str) -> tuple[Any, int, str]:
        """Select an example instead of a file, with damage."""
        return None, int(event.index), work.EXAMPLE_DAMAGE if damage == work.NONE else damage

    blocks: gr.Blocks
    with gr.Blocks(title="Pellucid", delete_cache=(KEEP_SECONDS, KEEP_SECONDS), analytics_enabled=False) as blocks:
        gr.Markdown(_heading(service))
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                file = gr.File(label="Drop a picture", type="binary", height=140, elem_id="file")
                gallery = gr.Gallery(
                    [(work.display(each), name) for each, name in zip(work.example_pictures(), work.CLASSES, strict=True)],
                    label="or take an example",
                    columns=5,
                    allow_preview=False,
                    format="png",
                    interactive=False,
                    buttons=[],
                    elem_id="examples",
                )
                damage = gr.Dropdown(work.damage_choices(), value=work.NONE, label="Damage to add", elem_id="damage")
                with gr.Row():
                    strength = gr.Slider(
                        0, 100, 50, step=1, label="Strength in %", interactive=False, min_width=150, info="of a single kind; suites draw it"
                    )
                    seed = gr.Number(0, precision=0, minimum=0, maximum=2**31, label="Seed", min_width=100, info="of what is drawn")
                example = gr.Number(None, visible=False)
            with gr.Column(scale=3, min_width=300):
                slider = gr.ImageSlider(label="before | after", format="png", interactive=False, buttons=["fullscreen"], elem_id="slider")
                download = gr.DownloadButton("Download the restored picture", interactive=False, elem_id="download")
                label = gr.Label(label="Class", num_top_classes=5, elem_id="label")
                figures = gr.HTML(elem_id="figures", elem_classes="report")
                report = gr.HTML(elem_id="report", elem_classes="report")
                with gr.Row():
                    mask = _map("Lost pixels, in white", "mask")
                    uncertainty = _map(f"Estimated error, white: {100 * WHITE:.0f} % or more", "uncertainty")
        inputs, outputs = [file, example, damage, strength, seed], [slider, download, label, figures, report, mask, uncertainty]
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": AT_ONCE, "concurrency_id": "show"}
        file.upload(lambda: None, None, example, api_visibility="private").then(show, inputs, outputs, **quiet)
        file.clear(show, inputs, outputs, **quiet)
        gallery.select(take_example, damage, [file, example, damage], api_visibility="private").then(show, inputs, outputs, **quiet)
        damage.input(lambda name: gr.update(interactive=name in work.single_damages()), damage, strength, api_visibility="private").then(
            show, inputs, outputs, **quiet
        )
        strength.release(show, inputs, outputs, **quiet)
        seed.submit(show, inputs, outputs, **quiet)
        seed.blur(show, inputs, outputs, **quiet)
    blocks.queue(max_size=service.limits.max_in_flight)
    return blocks


def _shown(clean: Picture, picture: Picture, prediction: Any, damage: str, folder: Path) -> tuple[Any, ...]:
    """The outputs of the page; folder: a new one, for the download."""
    restored = picture.pixels if prediction.restored is None else prediction.restored
    figures = None if damage == work.NONE or prediction.restored is None else work.measure_picture(clean.pixels, picture.pixels, restored)
    target = None
    if prediction.restored is not None:
        folder.mkdir()
        target = folder / "restored.png"
        target.write_bytes(encode_png(replace(picture, pixels=restored)))
    missing = "PSNR and SSIM need the undamaged picture: add damage to one, and they are here."
    notes = "; ".join([*(text for name, text in COUNTED.items() if getattr(prediction, name)), *picture.notes])
    return (
        (work.display(picture.pixels), work.display(restored)),
        gr.update(value=target and str(target), interactive=target is not None),
        prediction.probabilities,
        work.metrics_html(figures, missing if target else "This model does not restore pictures."),
        work.damage_html(prediction) + (f"<p>{work.escape(notes)}</p>" if notes else ""),
        _update_map(None if prediction.mask is None or not prediction.mask.any() else draw_mask(prediction.mask)),
        _update_map(None if prediction.restored is None else draw_map(uncertainty_map(picture.pixels, restored))),
    )


def _map(label: str, name: str) -> gr.Image:
    """A hidden picture of a value for each pixel."""
    return gr.Image(label=label, format="png", height=220, min_width=220, visible=False, interactive=False, buttons=[], elem_id=name)


def _update_map(drawn: Pixels | None) -> Any:
    """Show a picture in a `_map`, or hide it."""
    return gr.update(visible=False, value=None) if drawn is None else gr.update(visible=True, value=work.display(drawn))


def _heading(service: Service) -> str:
    classes, size = service.predictor.classes, service.predictor.image_size
    if not classes:
        return f"# Pellucid\nRestores a damaged picture. The model learned from pictures of {size} pixels a side."
    some = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    return (
        f"# Pellucid\nRestores and classifies a damaged picture. The model has {len(classes)} classes ({some}), learned from "
        f"pictures of {size} pixels a side, and assigns one of them to every picture."
    )
