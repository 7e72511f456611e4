"""The page and what happens on it; the only file that knows Gradio."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.retrieving import events_of
from neuroclip_hf.logging import get_logger
from neuroclip_hf.processing.channel_plan import HOW_TO_INTERPOLATE
from neuroclip_hf.processing.inputs import TrialsInForm, read_trials
from neuroclip_hf.space import page
from neuroclip_hf.space.decoding import answer, averaging_curve
from neuroclip_hf.space.shelf import Shelf
from neuroclip_hf.space.uploads import ALONE, HEADER, LARGEST_UPLOAD, read_upload

if TYPE_CHECKING:
    import gradio as gr

TITLE = "Which picture was seen?"
KEEP_UPLOADS = 600
"""Seconds after which uploads and what visitors opened are forgotten (ours)."""
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "Liberation Mono", "monospace")
HOW_TO = f"""
A recording with an event at every picture's onset, named after the picture: {", ".join(f"`{one}`" for one in ALONE)}
(FIF also with epochs, as `..._epo.fif`), or BrainVision's `{HEADER}`, `.vmrk` and `.eeg` chosen together;
{LARGEST_UPLOAD >> 20} MB at most. Download an example to see an `.npz`: `brain` (trials, channels, samples),
`channel_names`, `sampling_rate`, `unit`, and `image_files` with `image_id`, the picture of each trial.
Nothing is kept, and nothing pickled is read.
"""
_FORGOTTEN = "The recording was forgotten after a while: pick or upload it again."
_DEFECT = "Something went wrong that should not have, and was logged. Try another recording, or load the page again."


def build(shelf: Shelf) -> "gr.Blocks":
    """The page of a shelf."""
    import gradio as gr

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEEP_UPLOADS, KEEP_UPLOADS)) as blocks:
        gr.Markdown(f"# {TITLE}\n{_lead(shelf)}")
        opened = gr.State(None, time_to_live=KEEP_UPLOADS)
        with gr.Row():
            with gr.Column(min_width=300):
                example = gr.Radio(list(shelf.examples), label="Pick an example", elem_id="examples")
                if shelf.examples:
                    gr.DownloadButton("Download an example", value=str(next(iter(shelf.examples.values()))), size="sm")
            with gr.Column(min_width=300):
                upload = gr.File(label="Or upload a recording", file_count="multiple", height=150, elem_id="upload")
                interpolate = gr.Checkbox(False, label="Interpolate electrodes that are missing")
                with gr.Accordion("What can be uploaded", open=False):
                    gr.Markdown(HOW_TO)
        status = gr.HTML(elem_id="status")
        with gr.Column(visible=False) as result:
            with gr.Row():
                event = gr.Dropdown([], label="Event", elem_id="event", min_width=280)
                count = gr.Slider(1, 2, step=1, label="Trials averaged, from the first", elem_id="count")
            gr.Markdown("## Pictures found")
            found = gr.HTML(elem_id="found")
            gr.Markdown("## The epochs")
            epochs = gr.HTML(elem_id="epochs")
            gr.Markdown("## Which channels and times mattered")
            mattered = gr.HTML(elem_id="mattered")
            gr.Markdown("## What averaging changes\nOver all pictures of the recording that the gallery knows.")
            averaging = gr.HTML(elem_id="averaging")
        shown = [status, count, found, epochs, mattered]
        everything = [opened, result, event, averaging, *shown]
        settings: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
        open_example, open_upload = (functools.partial(one, shelf) for one in (_open_example, _open_upload))
        by_example, by_upload = (_friendly(one, len(everything) + 1) for one in (open_example, open_upload))
        example.input(by_example, [example], [*everything, upload], **settings)
        gr.on([upload.upload, interpolate.input], by_upload, [upload, interpolate], [*everything, example], **settings)
        show = functools.partial(_show, shelf)
        event.input(_friendly(functools.partial(show, None), len(shown), 0), [opened, event], shown, **settings)
        # By key as by pointer; of the numbers on the way to the last only those are shown that there is time for.
        again, settings["trigger_mode"] = _friendly(_reorder(show), len(shown), 0), "always_last"
        count.input(again, [count, opened, event], shown, **settings)
    return blocks


def serve(shelf: Shelf, *, host: str | None = None, port: int | None = None, wait: bool = True) -> str:
    """Serve the page until Ctrl-C, or in the background; nothing but this server is asked by the page.

    Args:
        shelf (`Shelf`): what is shown.
        host (`str`, *optional*): address to listen on; this machine alone by default, or what GRADIO_SERVER_NAME says.
        port (`int`, *optional*): by default the first free one from 7860 on.
        wait (`bool`): whether to block.

    Returns:
        The page's address.
    """
    import gradio as gr

    theme = gr.themes.Default(font=list(SANS), font_mono=list(MONO))
    blocks = build(shelf)
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=LARGEST_UPLOAD,
        allowed_paths=[str(path) for path in shelf.examples.values()],
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
        state_session_capacity=100,
        theme=theme,
        css=page.STYLE,
        head=page.script(LARGEST_UPLOAD),
    )
    get_logger().info("the Space is at %s; Ctrl-C ends it", address)
    if wait:
        blocks.block_thread()
    return str(address)


def _lead(shelf: Shelf) -> str:
    size = len(shelf.gallery.gallery.ids)
    words = f"Pick a recording of somebody who looked at pictures: the model says which of {size} pictures fit best."
    if shelf.simulated:
        words += " **The recordings and pictures are simulated**: they show how it works, and nothing about brains."
    return words if shelf.pictures_shown else f"{words} The pictures may not be passed on: tiles stand for them."


def _open_example(shelf: Shelf, name: str) -> list[Any]:
    path = shelf.examples.get(name)
    if path is None:
        raise InputError(f"There is no example {name!r}: pick one of the list.")
    return _open(shelf, name, read_trials(path, shelf.processor.feature_extractor))


def _open_upload(shelf: Shelf, files: Sequence[str] | None, interpolate: bool) -> list[Any]:
    if not files:  # the box was ticked before anything was uploaded
        return []
    if not all(map(os.path.exists, files)):
        raise InputError(_FORGOTTEN)
    names = [Path(file).name for file in files]
    try:
        trials = read_upload(files, shelf.processor.feature_extractor, interpolate=interpolate)
    except InputError as error:  # the words are those for programs and the command line
        raise InputError(str(error).replace(HOW_TO_INTERPOLATE, "tick the box")) from error
    return _open(shelf, ", ".join(names), trials)


def _open(shelf: Shelf, name: str, trials: TrialsInForm) -> list[Any]:
    import gradio as gr

    events = events_of(trials)
    curve = page.averaging_html(averaging_curve(shelf, trials), len(shelf.gallery.gallery.ids))
    first = next(iter(events))
    choices = gr.Dropdown(choices=[(page.short(name), name) for name in events], value=first)
    _, *shown = _show(shelf, None, trials, first)
    status = page.said(page.opened_text(name, trials, len(events)))
    # Last, the other way to choose a recording is emptied, so that the same can be chosen there again.
    return [trials, gr.Column(visible=True), choices, curve, status, *shown, None]


def _show(shelf: Shelf, count: int | None, trials: TrialsInForm | None, event: str) -> list[Any]:
    """What is shown of an event; `count` None averages all of its trials."""
    import gradio as gr

    if trials is None:
        raise InputError(_FORGOTTEN)
    most = len(events_of(trials).get(event, ()))
    found = answer(shelf, trials, event, int(count or most))
    slider = gr.Slider(minimum=1, maximum=max(2, most), value=int(count or most), interactive=most > 1)
    form = shelf.processor.feature_extractor
    texts = [page.found_html(shelf, found), page.epochs_html(form, found), page.mattered_html(found)]
    return [gr.skip(), slider, *texts]


def _reorder(show: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    import gradio as gr

    def shown(count: int, trials: TrialsInForm | None, event: str) -> list[Any]:
        status, _, *rest = show(count, trials, event)
        return [status, gr.skip(), *rest]  # the slider stays where the visitor has it

    return shown


def _friendly(work: Callable[..., list[Any]], outputs: int, status: int = 4) -> Callable[..., list[Any]]:
    """What can be said to a visitor stands at `status` of the outputs, and nothing stays of an earlier recording.

    Work that gives an empty list changes nothing.
    """
    import gradio as gr

    def safely(*given: Any) -> list[Any]:
        try:
            return work(*given) or [gr.skip()] * outputs
        except InputError as error:
            text = str(error)
        except Exception:  # a visitor can do nothing about a defect, and must not see its traceback
            get_logger().exception("a defect, met on the page")
            text = _DEFECT
        answers: list[Any] = [gr.skip()] * outputs
        answers[status] = page.refused(text)
        if status:
            answers[:4], answers[-1] = [None, gr.Column(visible=False), gr.skip(), ""], None
        return answers

    return safely
