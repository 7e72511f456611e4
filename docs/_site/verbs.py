"""The page of verbs, from the command line's own help."""

from collections.abc import Iterator
from typing import Any

import typer

from neuroclip_hf.cli.main import app


def verb_pages() -> str:
    """Every verb with its usage, arguments and options, in the order of `neuroclip --help`."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="neuroclip")
    verbs = list(leaves(command, context))
    rows = [f"| [`{one.command_path}`](#{_anchor(one)}) | {_cell(_short(verb))} |" for verb, one in verbs]
    table = "\n".join(["| verb | what it does |", "|---|---|", *rows])
    every = "## For every verb\n\n" + "\n".join(_table(command, context))
    return "\n\n".join([table, every, *(_verb(verb, one) for verb, one in verbs)])


def leaves(command: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """The verbs below a command, each with its context, whose `command_path` is what is typed."""
    for name in command.list_commands(context):
        verb = command.get_command(context, name)
        below = typer.Context(verb, info_name=name, parent=context)
        if hasattr(verb, "list_commands"):
            yield from leaves(verb, below)
        else:
            yield verb, below


def _verb(verb: Any, context: Any) -> str:
    usage = " ".join([context.command_path, *verb.collect_usage_pieces(context)])
    heading = f"## {context.command_path} {{ #{_anchor(context)} }}"
    return "\n\n".join([heading, _escape(verb.help or ""), f"```text\n{usage}\n```", "\n".join(_table(verb, context))])


def _table(verb: Any, context: Any) -> Iterator[str]:
    yield "| | what it does |"
    yield "|---|---|"
    for parameter in verb.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            said = _cell(getattr(parameter, "help", None) or "")
            yield f"| `{_flat(record[0])}` | {said}{_default(parameter, context)} |"


def _default(parameter: Any, context: Any) -> str:
    if parameter.required:
        return " *Required.*"
    value = parameter.get_default(context, call=False)
    if value is None or value is False or value == "" or value == () or parameter.name == "version":
        return ""
    return f" *Default: `{'yes' if value is True else value}`.*"


def _short(verb: Any) -> str:
    return (verb.help or "").split("\n\n")[0]


def _anchor(context: Any) -> str:
    return context.command_path.replace(" ", "-")


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    return _escape(_flat(text))


def _escape(text: str) -> str:
    """Nothing in it is taken for HTML or emphasis; what stands between backticks stays."""
    parts = text.split("`")
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
        for number, part in enumerate(parts)
    )
