"""The argument parser: no abbreviations, and errors in one sentence with the closest match."""

import argparse
import codecs
import difflib
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser, DefaultHelpFormatter, Namespace  # type: ignore[attr-defined]

from pellucid.cli.commands import COMMANDS
from pellucid.settings import NAMES

KINDS = {kind.__name__: words for kind, words in NAMES.items()}
"""Names of the parser's types in error messages, as in those of `Settings`."""


class Help(DefaultHelpFormatter):
    """Help formatter that omits types which metavars or defaults already show."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = str(super()._get_help_string(action))
        if str(self._get_type_str(action)).startswith(("Optional[tuple", "tuple")):
            return text
        return text.replace("type: %(type)s, ", "").replace(", type: %(type)s", "").replace(" (type: %(type)s)", "")


class SettingsFile(ActionConfigFile):
    """Reads the file of `--config` in UTF-8, or in UTF-16, as PowerShell writes it, whatever the locale."""

    @staticmethod
    def apply_config(parser: ArgumentParser, cfg: Namespace, dest: str, value: str) -> None:
        """Add the settings in the file `value` to `cfg`."""
        if os.path.isfile(value):  # noqa: PTH113 - pathlib raises for names that are too long, as settings in place of a file are
            value = read_settings(Path(value))
        ActionConfigFile.apply_config(parser, cfg, dest, value)


def read_settings(path: Path) -> str:
    """The text of a file of settings; raises `TypeError` if it is none."""
    import yaml

    content = path.read_bytes()
    try:
        text = content.decode("utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
        settings = yaml.safe_load(text)
    except UnicodeError as error:
        raise TypeError(f"Expected settings in UTF-8 in {path}, found another encoding ({error}); save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise TypeError(f"Expected settings as YAML in {path}, found an error in parsing them: {error}") from error
    if not isinstance(settings, dict | None):
        raise TypeError(f"Expected settings by their names in {path}, such as 'epochs: 3', found other text.")
    return text if settings else "{}"


class Parser(ArgumentParser):
    """Argument parser without abbreviations, whose errors are one sentence with the closest match."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Help, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error as one sentence and exit with status 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        flags = [option for action in parser._actions for option in action.option_strings]
        message = re.sub(r"a (?:typing\.)?Literal\[(.*?)\]", lambda found: f"one of {found[1].replace(chr(39), '')}", message)
        message = re.sub(r"an? <class '(\w+)'>", lambda found: KINDS.get(found[1], found[1]), message)
        for command in COMMANDS:
            message = message.replace(f" {command}.", " ")
        for word in re.findall(r"(?<![\w-])--[\w.-]+|(?<=invalid choice: ')[^']+", message):
            known = flags if word.startswith("--") else re.findall(r"'([^']+)'", message.partition("choose from")[2])
            if word not in known and (close := difflib.get_close_matches(word, known, 1)):
                message += f"; did you mean {close[0]}?"
        parser.print_usage(sys.stderr)
        program = parser.prog.replace(" [options]", "")
        print(f"pellucid: {' '.join(message.split())} ({program} --help lists all options)", file=sys.stderr)
        sys.exit(2)
