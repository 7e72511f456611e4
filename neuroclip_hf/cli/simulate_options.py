"""Options that several simulations share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", help="Folder to make.")]
Subjects = Annotated[str, typer.Option(help="Numbers of the subjects, with commas.")]
Concepts = Annotated[int, typer.Option(help="Training concepts.")]
TestConcepts = Annotated[int, typer.Option(help="Test concepts, one picture each.")]
ImagesPerConcept = Annotated[int, typer.Option(help="Pictures of a training concept.")]
TrainRepeats = Annotated[int, typer.Option(help="Showings of a training picture.")]
TestRepeats = Annotated[int, typer.Option(help="Showings of a test picture.")]
Sessions = Annotated[int, typer.Option(help="Sessions of a subject, with a training and a test recording each.")]
Snr = Annotated[float, typer.Option(help="Root mean square of the pictures' part over the background's.")]
ImageSize = Annotated[int, typer.Option(help="Pixels a side.")]
Rate = Annotated[int, typer.Option(help="Sampling rate in Hz.")]
Channels = Annotated[str | None, typer.Option(help="Names of channels, with commas; all by default.")]
BadChannels = Annotated[
    str | None, typer.Option(help="Which of them are bad: flat, noisy or drifting; with commas. None by default.")
]
Seed = Annotated[int, typer.Option(help="Equal seeds and settings give equal bytes.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier simulation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON line.")]
