"""`neuroclip match`: runs and a store -> recordings to pictures or texts, and back, RUN/matching.json."""

from pathlib import Path

import typer

from neuroclip_hf.cli.task_tables import Average, Data, Json, Overwrite, Runs, Subjects, Trials, ask


def match(
    runs: Runs,
    data: Data,
    against: str = typer.Option("images", "--against", help="images, or texts: captions, or concepts in a template."),
    captions: Path | None = typer.Option(
        None, help="JSON or CSV of texts by image id, for all gallery pictures; those of the store by default."
    ),
    trials: Trials = "test",
    average: Average = "all",
    subjects: Subjects = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Match test trials with pictures or texts in both directions, and write RUN/matching.json.

    Single trials and means of predictions are reported side by side, never mixed.
    """
    from neuroclip_hf.data.captions import read_texts
    from neuroclip_hf.protocols.decoding import Matching

    task = Matching(against, None if captions is None else read_texts(captions))
    ask(task, runs, data, trials, average, subjects, overwrite, as_json)
