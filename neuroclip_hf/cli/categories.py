"""`neuroclip categories`: runs and a store -> which class was seen or imagined, RUN/categories.json."""

from pathlib import Path

import typer

from neuroclip_hf.cli.task_tables import Average, Data, Json, Overwrite, Runs, Subjects, Trials, ask


def categories(
    runs: Runs,
    data: Data,
    against: str = typer.Option(
        "texts", "--against", help="What stands for a class: texts (prompts) or images (its gallery pictures)."
    ),
    templates: Path | None = typer.Option(
        None,
        help="Text file, one prompt a line, {} for the class; by default the run's own and CLIP's seven for ImageNet.",
    ),
    trials: Trials = "test",
    average: Average = "all",
    protocol: str | None = typer.Option(
        None, help="bravl: single trials of perception, beside that paper's numbers where they are comparable."
    ),
    subjects: Subjects = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Decode the class of test trials among all classes of the test gallery, and write RUN/categories.json.

    Single trials and means of predictions are reported side by side, never mixed.
    """
    from neuroclip_hf.evaluation.categories import read_templates
    from neuroclip_hf.protocols.decoding import CategoryDecoding

    given = None if templates is None else read_templates(templates)
    task = CategoryDecoding(against, given, protocol)
    if protocol is not None and average == "all":
        average = "1"
    ask(task, runs, data, trials, average, subjects, overwrite, as_json)
