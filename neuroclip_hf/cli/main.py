"""The command `neuroclip`: its verbs, and what all of them share.

Grammar: files are positional and may repeat; lists are comma-separated (`--subjects 1,2`); settings of a recipe are
`name=value`; results go to stdout (with `--json` as one JSON line), progress and logs to stderr; an existing output is
never touched without `--overwrite`. Bad input exits with code 2 and one message.
"""

import signal
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from neuroclip_hf.cli import (
    ablate,
    categories,
    check,
    compare,
    demo,
    download,
    evaluate,
    export,
    generate,
    import_,
    index,
    info,
    match,
    prepare,
    pull,
    push,
    push_data,
    report,
    reproduce,
    retrieve,
    simulate,
    space,
    stream,
    train,
)
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import set_verbosity

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

app = typer.Typer(
    name="neuroclip",
    help="Train, evaluate and share models that find the picture somebody saw from a recording of their brain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.add_typer(download.app, name="download")
app.add_typer(simulate.app, name="simulate")
app.add_typer(prepare.app, name="prepare")
app.command("check")(check.check)
app.command("info")(info.info)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("categories")(categories.categories)
app.command("match")(match.match)
app.command("compare")(compare.compare)
app.command("ablate")(ablate.ablate)
app.command("reproduce")(reproduce.reproduce)
app.command("generate")(generate.generate)
app.command("index")(index.index)
app.command("retrieve")(retrieve.retrieve)
app.command("stream")(stream.stream)
app.command("report")(report.report)
app.command("space")(space.space)
app.command("push")(push.push)
app.command("push-data")(push_data.push_data)
app.command("pull")(pull.pull)


def _print_version(wanted: bool) -> None:
    if wanted:
        from neuroclip_hf import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _all_verbs(
    verbosity: str = typer.Option("info", help="What is logged: debug, info, warning, error (no progress bars)."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    set_verbosity(verbosity)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; defects of this package keep their traceback."""
    command = typer.main.get_command(app)
    words = None if arguments is None else list(arguments)
    try:
        code = command.main(args=words, prog_name="neuroclip", standalone_mode=False)
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except FloatingPointError as error:
        return _complain(str(error), FAILED)
    except TyperException as error:
        return _complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # Typer itself turns Ctrl-C within a verb into this code, without a word
        return _complain("interrupted; nothing was left under the final name.", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    if message:  # empty where help was shown instead
        print(f"Error: {message}", file=sys.stderr)
    return code


def run() -> None:
    """Entry point of the command `neuroclip`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a scheduler stops cleans up as after Ctrl-C
    sys.exit(main())


if __name__ == "__main__":
    run()
