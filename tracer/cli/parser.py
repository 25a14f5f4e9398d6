# SPDX-License-Identifier: Apache-2.0
"""argparse, with examples first in the help and errors raised instead of printed."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any, NoReturn

from tracer.errors import UsageError

__all__ = ["Namespace", "Parser"]


class Parser(argparse.ArgumentParser):
    """examples: lines shown before everything else, as they would be typed."""

    examples: str = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, add_help=False, **kwargs)
        self.add_argument("-h", "--help", action="help", help="show this and end")

    def format_help(self) -> str:
        text = super().format_help()
        if not self.examples:
            return text
        lines = [f"  {line}".rstrip() for line in self.examples.strip().splitlines()]
        return "examples:\n" + "\n".join(lines) + "\n\n" + text

    def error(self, message: str) -> NoReturn:
        # argparse names the option and says what is wrong with it
        raise UsageError(message, hint=f"{self.prog.replace('[', '').replace(']', '')} --help")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """`-b, --binary FILE` instead of `-b FILE, --binary FILE`."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        metavar = self._format_args(action, self._get_default_metavar_for_optional(action))
        return ", ".join(action.option_strings) + " " + metavar
