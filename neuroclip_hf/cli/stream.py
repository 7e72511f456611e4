"""`neuroclip stream`: a run and a live recording -> the pictures that fit best, while it is recorded."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from neuroclip_hf.cli.chosen_gallery import Approximate, Index, check_choice, open_index, open_pictures
from neuroclip_hf.cli.options import as_list, as_mapping
from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from neuroclip_hf.galleries import Gallery
    from neuroclip_hf.live.decoding import RunningDecoder
    from neuroclip_hf.live.display import Display
    from neuroclip_hf.live.session import LiveSession
    from neuroclip_hf.live.source import StreamForm, StreamSource


def stream(
    run: Path = typer.Argument(..., help="Folder of a run, or of a checkpoint."),
    gallery: Path | None = typer.Option(None, "--gallery", help="Folder of pictures to choose from."),
    index: Index = None,
    approximate: Approximate = False,
    name: str | None = typer.Option(None, "--stream", help="Name of the stream; else there must be one only."),
    markers: str | None = typer.Option(
        None, "--markers", help="Name of the stream of markers; else the one that there is, or a stimulus channel."
    ),
    top_k: int = typer.Option(5, help="Pictures an event."),
    unit: str | None = typer.Option(None, help="Of the samples, as in uV, where the stream does not say it."),
    events: str | None = typer.Option(None, help="Meaning of markers, as in '1=face,2=house'."),
    ignore: str | None = typer.Option(None, help="Markers to leave out: names or patterns with commas."),
    interpolate: bool = typer.Option(
        False, "--interpolate", help="Interpolate electrodes that are missing or cannot be used, as MNE does."
    ),
    marker_delay: float = typer.Option(0.0, help="Seconds from a marker to its picture, as a photodiode tells."),
    jitter: float = typer.Option(0.02, help="Seconds that sample times may stray; beyond it samples were lost."),
    subject: str = typer.Option("", help="Whose brain it is, if the run was trained on it: sub-01."),
    calibrate: Path | None = typer.Option(
        None, help="A recording of the same person or session, to fit mean, scale and whitening on; no label is used."
    ),
    wait: float = typer.Option(30.0, help="Seconds to look for the stream, first and whenever it is lost."),
    seconds: float | None = typer.Option(None, help="Read for so long; else until Ctrl-C."),
    answers: int | None = typer.Option(None, help="Stop after so many answers."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON line an answer or notice, and one at the end."),
) -> None:
    """Find, for each event of a Lab Streaming Layer stream, the pictures that fit best; the mean of repeats grows."""
    for option, value in (("--seconds", seconds), ("--answers", answers)):
        if value is not None and not value > 0:
            raise InputError(f"{option} {value}: give more than none.")
    check_choice(gallery, index, approximate)
    from neuroclip_hf.live.settings import LiveSettings

    settings = LiveSettings(
        unit=unit,
        interpolate=interpolate,
        ignore=tuple(as_list(ignore, "--ignore")),
        rename=as_mapping(events, "--events"),
        marker_delay=marker_delay,
        jitter=jitter,
        wait=wait,
    )
    from neuroclip_hf.live.lsl import LSLSource

    if calibrate is not None and not calibrate.exists():
        raise InputError(f"--calibrate {calibrate} does not exist: correct the path.")
    pictures = open_pictures(gallery, index)
    searched: Any = pictures if index is None else open_index(index, approximate)
    source = LSLSource(name, markers)
    from neuroclip_hf.checkpoints import load_run
    from neuroclip_hf.galleries import embed_gallery
    from neuroclip_hf.live import LiveSession, RunningDecoder
    from neuroclip_hf.live.reading_plan import ReadingPlan

    model, processor = load_run(run)
    if index is not None:
        searched.check(model, processor)
    found = _look_for(source, wait)
    ReadingPlan.of(processor.feature_extractor, found, settings)  # before a gallery is embedded for minutes
    if calibrate is not None:
        processor = processor.calibrate(calibrate, ignore=settings.ignore, interpolate=interpolate)
    decoder = RunningDecoder(model, processor, embed_gallery(model, processor, searched), top_k=top_k, subject=subject)
    display = _display(decoder, None if index is None else pictures, as_json)
    session = LiveSession(source, decoder, settings)
    _follow(session, display, seconds, answers)
    _summarise(session, decoder, as_json)


def _display(decoder: "RunningDecoder", pictures: "Gallery | None", as_json: bool) -> "Display":
    from neuroclip_hf.live.display import JsonLines, Screen, TextLines

    if as_json:
        return JsonLines()
    return Screen(decoder, pictures) if sys.stdout.isatty() else TextLines()


def _look_for(source: "StreamSource", wait: float) -> "StreamForm":
    from neuroclip_hf.live.source import StreamLost

    try:
        return source.connect(wait)
    except StreamLost as error:
        raise InputError(f"{error}: start it, or name another (--stream, --markers).") from None
    finally:
        source.close()


def _follow(session: "LiveSession", display: "Display", seconds: float | None, answers: int | None) -> None:
    """Show what comes until it ends; Ctrl-C is how one ends it."""
    with display:
        running = session.run(seconds)
        try:
            for item in running:
                display.show(item)
                if answers is not None and session.answers >= answers:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            running.close()


def _summarise(session: "LiveSession", decoder: "RunningDecoder", as_json: bool) -> None:
    from neuroclip_hf.live.display import print_line

    right, known = decoder.right_so_far()
    if as_json:
        counts = {"answers": session.answers, "left_out": session.left_out, "events": len(decoder.latest)}
        print_line({"kind": "end", **counts, "known": known, "right": right, "tier": decoder.tier})
        return
    typer.echo(
        f"{session.answers} answers on {len(decoder.latest)} events, {session.left_out} epochs left out; the best "
        f"picture of the mean was right for {right} of {known} events that the gallery knows ({decoder.tier})."
    )
