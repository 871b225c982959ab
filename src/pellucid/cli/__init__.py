"""The command line."""

import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from typing import Any

from jsonargparse import Namespace

from pellucid.cli.commands import COMMANDS, RESUMABLE
from pellucid.cli.flags import SHORT, command_parser, summary
from pellucid.cli.parser import Parser
from pellucid.errors import UserError
from pellucid.recipe import Recipe

STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""

SPIN_COUNT = "2000"
"""Turns of the loop in which a thread of GNU's OpenMP waits for the others before it yields its core, by default up to 300,000.

Beside another busy program, threads that wait keep the cores from those that they wait for: of recipe `quick`, 7 steps were computed in
15 seconds, and 104 in 17 seconds with 2,000 turns. On idle cores nothing is lost.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake is one sentence and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read when torch is imported
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # likewise: what MPS lacks is computed on the CPU
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        encoding = None if sys.stdout.isatty() else "utf-8"  # of files, such as that of --print_config, whatever the locale
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")  # file names need not be valid UTF-8
    status = 2
    try:
        command, settings = parse(arguments)
        COMMANDS[command](**settings)
        return
    except UserError as error:
        message = str(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pellucid"):
            raise
        message = (
            f"Expected the package {error.name} for 'pellucid {arguments[0]}', found it not installed; pip install pellucid with all that "
            "it needs."
        )
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"Expected room on the disk, found none ({error.filename or error}); make room, and go on."
        elif error.filename is not None:  # such as a name that is too long, or a folder without permission
            message = f"Expected a path that can be used, found {error.filename} ({error.strerror}); choose another."
        else:
            raise
    except KeyboardInterrupt:
        advice = "; the same command with --resume goes on from here" if arguments[0] in RESUMABLE else ""
        message, status = f"stopped{advice}.", STOPPED
    print(f"pellucid: {message}", file=sys.stderr)
    sys.exit(status)


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Parse the command line: the name of the command, and the arguments of its function."""
    if arguments[:1] in (["train"], ["compare"]):  # short, as for evaluate; the parser would read it as a file of settings
        arguments = _file_first([re.sub(r"^--data(?=$|=)", "--data.dataset", argument) for argument in arguments])
    parser = Parser(prog="pellucid", description="Restore and classify damaged images with one network.")
    parser.add_argument("--version", action="version", version=f"pellucid {version('pellucid')}")
    subcommands = parser.add_subcommands(required=True, metavar="COMMAND")
    for name in COMMANDS:
        subcommands.add_subcommand(name, command_parser(name, arguments), help=summary(name))
    namespace = parser.parse_args(arguments)
    values = _instantiate(parser, namespace)
    return namespace.subcommand, _build_recipe(values, arguments) if "recipe" in values else values


def _file_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--config FILE` directly after the command: the parser takes them in their order, and flags go over the file."""
    command, *rest = arguments
    files: list[str] = []
    while (index := next((i for i, argument in enumerate(rest) if re.match(r"--config($|=)", argument)), None)) is not None:
        end = index + (1 if "=" in rest[index] else 2)
        if command == "compare" and end < len(rest) and not rest[end].startswith("-"):
            end += 1  # the question, which a flag with several values before the file would take
        files += rest[index:end]
        del rest[index:end]
    return [command, *files, *rest]


def _instantiate(parser: Parser, namespace: Namespace) -> dict[str, Any]:
    """The values of a command's flags, with settings as objects; raises `UserError` for invalid ones."""
    parsed = namespace[namespace.subcommand]
    for part in ("data", "model", "objective", "training") if "recipe" in parsed else ():
        if not isinstance(parsed[part], Namespace):
            raise UserError(f"Expected settings by their names under '{part}', such as training: {{epochs: 3}}, found {parsed[part]!r}.")
    try:
        values: dict[str, Any] = parser.instantiate(namespace)[namespace.subcommand].as_dict()
    except UserError:
        raise
    except (TypeError, ValueError) as error:  # jsonargparse lists what each type of a setting says
        lines = [line.strip().removeprefix("- ") for line in str(error).splitlines()]
        sentences = [line for line in lines if line.startswith("Expected ") and "<class" not in line]
        raise UserError(
            sentences[0] if sentences else f"Expected settings that make a recipe, found others: {' '.join(str(error).split())}"
        ) from error
    return values


def _build_recipe(values: dict[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Replace the settings of a recipe, and its short flags, by the recipe."""
    recipe = Recipe(**{field.name: values.pop(field.name) for field in fields(Recipe)})
    flags = {argument.partition("=")[0] for argument in arguments}
    short = {name: value for name in SHORT if (value := values.pop(name, None)) is not None}
    for name in list(short):  # one out of a file gives way to the setting's own flag
        if f"--training.{name}" in flags and f"--{name.replace('_', '-')}" not in flags:
            del short[name]
    del values["config"]
    return values | {"recipe": replace(recipe, training=replace(recipe.training, **short))}
