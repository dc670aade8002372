"""The reference of the command line, from the commands themselves."""

from typing import Any

import typer

from relume.cli import build_app

OWN = "Options"


def commands_page() -> str:
    """Return every command with its arguments and options."""
    lines = [
        "# Commands",
        "",
        (
            "Every command and option, as `relume COMMAND --help` has them. A default in brackets "
            "is what an option is when it is left out. A mistake gives one line on stderr and exit "
            "code 2; a fault of Relume's own gives 1; Ctrl-C gives 130. Codes with other meanings "
            "stand at their command."
        ),
    ]
    group: Any = typer.main.get_command(build_app())
    for name, command in sorted(group.commands.items()):
        lines += ["", f"## relume {name}", "", *_command(name, command)]
    return "\n".join(lines) + "\n"


def command_names() -> list[str]:
    """Return the names of all commands."""
    group: Any = typer.main.get_command(build_app())
    return sorted(group.commands)


def _command(name: str, command: Any) -> list[str]:
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-")]
    usage = " ".join(command.collect_usage_pieces(typer.Context(command)))
    lines = [f"`relume {name} {usage}`", "", _text(command.help), ""]
    if arguments:
        lines += ["| argument | |", "|---|---|"]
        lines += [f"| `{_metavar(each)}` | {_cell(each.help)} |" for each in arguments]
        lines += [""]
    panels: dict[str, list[Any]] = {}
    for each in options:
        if not each.hidden:
            panels.setdefault(each.rich_help_panel or OWN, []).append(each)
    for panel, members in panels.items():
        heading = panel.lower() if panel != OWN else "option"
        lines += [f"| {heading} | |", "|---|---|"]
        lines += [f"| {_names(each)} | {_cell(each.help)}{_default(each)} |" for each in members]
        lines += [""]
    return lines


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag or option.is_bool_flag else f" {option.metavar or _kind(option)}"
    return ", ".join(f"`{name}{value}`" for name in names)


def _kind(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    named = {int: "N", float: "NUMBER"}
    inner = getattr(annotation, "__args__", (annotation,))[0]
    return named.get(inner, option.opts[0].lstrip("-").replace("-", "_").upper())


def _default(option: Any) -> str:
    if option.default in (None, False, (), []) or "[" in (option.help or ""):
        return ""
    return f" [{getattr(option.default, 'value', option.default)}]"


def _text(help_text: str | None) -> str:
    return (help_text or "").replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")


def _cell(help_text: str | None) -> str:
    return _text(help_text).replace("|", "\\|")
