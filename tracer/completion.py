# SPDX-License-Identifier: Apache-2.0
"""Completion for shells, made of the parsers: `python -m tracer.completion bash|zsh|fish` writes it to standard output.

What a value is, its metavar tells: FILE and PID are completed by the shell, PATTERN with the functions of the file
that -b names.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tracer import cli

HEAD = "# Made of the parser by tracer/completion.py.\n"
FUNCTIONS_MAX = 500  # names that are offered at once


@dataclass(frozen=True)
class Option:
    names: tuple[str, ...]
    help: str
    value: str  # "FILE", "PID", "PATTERN", another metavar; "" where it takes none
    choices: tuple[str, ...]
    optional: bool  # the value can be left out


@dataclass(frozen=True)
class Verb:
    name: str
    help: str
    options: tuple[Option, ...]
    positional: str  # metavar of what is no option; ""
    takes_command: bool


def verbs() -> list[Verb]:
    """What can be completed, as the parsers have it."""
    found = []
    for name, help in cli.VERBS.items():
        actions = cli.make_parser(name)._actions
        positional = next((str(a.metavar) for a in actions if not a.option_strings), "")
        found.append(
            Verb(
                name,
                help,
                tuple(_option(a) for a in actions if a.option_strings),
                positional,
                bool(getattr(cli.verb_module(name), "TAKES_COMMAND", False)),
            )
        )
    return found


def _option(action: argparse.Action) -> Option:
    help = " ".join((action.help or "").replace("%%", "%").split())
    choices = tuple(map(str, action.choices or ()))
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    return Option(tuple(action.option_strings), help, value, choices, action.nargs == "?")


def _short(help: str) -> str:
    """The beginning of a help text, for a list that is chosen from."""
    return help.split("; ")[0].split(": ")[0].split(" (")[0]


# ---- bash -------------------------------------------------------------------------------------------------------

BASH = """\
_gopherscope_functions() { # of the file that -b names
    local i file= name
    for ((i = 1; i < COMP_CWORD - 1; i++)); do
        case ${COMP_WORDS[i]} in -b | --binary) file=${COMP_WORDS[i + 1]} ;; esac
    done
    [[ -n $file ]] || return
    while IFS= read -r name; do
        COMPREPLY+=("$(printf %q "$name")")
    done < <("${COMP_WORDS[0]}" list -b "${file/#\\~/$HOME}" -- "${cur//\\\\/}*" 2>/dev/null | head -n @MAX@)
}

_gopherscope_value() { # METAVAR
    case $1 in
        FILE) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        PID) mapfile -t COMPREPLY < <(cd /proc && compgen -G "$cur*" | grep -x '[0-9]*') ;;
        PATTERN) _gopherscope_functions ;;
    esac
}

_gopherscope() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=@DEFAULT@ takes_command=1 i options=
    COMPREPLY=()
    if ((COMP_CWORD > 1)); then
        case ${COMP_WORDS[1]} in
@VERBS@
        esac
    fi
    if ((takes_command)); then
        for ((i = 1; i < COMP_CWORD; i++)); do
            if [[ ${COMP_WORDS[i]} == -- ]]; then
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((i + 1))
                else
                    mapfile -t COMPREPLY < <(compgen -A file -- "$cur")
                fi
                return
            fi
        done
    fi
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]] && ((COMP_CWORD > 1)); then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $verb:$prev in
@VALUES@
    esac
    case $cur in
        -*)
            case $verb in
@OPTIONS@
            esac
            mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
            ;;
        *)
            if ((COMP_CWORD == 1)); then
                mapfile -t COMPREPLY < <(compgen -W "@NAMES@" -- "$cur")
            else
                case $verb in
@POSITIONALS@
                esac
            fi
            ;;
    esac
}
complete -F _gopherscope gopherscope
"""


def bash() -> str:
    known = verbs()
    values, options, positionals = [], [], []
    for verb in known:
        for o in verb.options:
            patterns = " | ".join(f"{verb.name}:{name}" for name in o.names)
            if o.choices:
                words = " ".join(o.choices)
                values.append(f'{patterns}) mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$cur"); return ;;')
            elif o.value and not o.optional:
                values.append(f"{patterns}) _gopherscope_value {shlex.quote(o.value)}; return ;;")
        options.append(f'{verb.name}) options="{" ".join(name for o in verb.options for name in o.names)}" ;;')
        if verb.positional:
            positionals.append(f"{verb.name}) _gopherscope_value {verb.positional} ;;")
    names = [f"{v.name}) verb={v.name} takes_command={int(v.takes_command)} ;;" for v in known]
    return HEAD + (
        BASH.replace("@DEFAULT@", cli.DEFAULT_VERB)
        .replace("@MAX@", str(FUNCTIONS_MAX))
        .replace("@VERBS@", _indented(names, 12))
        .replace("@VALUES@", _indented(values, 8))
        .replace("@OPTIONS@", _indented(options, 16))
        .replace("@NAMES@", " ".join(v.name for v in known))
        .replace("@POSITIONALS@", _indented(positionals, 20))
    )


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


# ---- zsh --------------------------------------------------------------------------------------------------------

ZSH = """\
#compdef gopherscope
@HEAD@
_gopherscope_functions() { # of the file that -b names
    local at=${words[(I)-b|--binary]} file
    ((at)) || return 1
    file=${(Q)words[at + 1]}
    local -a names
    names=("${(@f)$(gopherscope list -b "${file/#\\~/$HOME}" -- "${(Q)PREFIX}*" 2>/dev/null | head -n @MAX@)}")
    compadd -a names
}

_gopherscope() {
    local verb=@DEFAULT@
    local -a verbs
    verbs=(
@VERBS@
    )
    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
        _describe -t verbs verb verbs
        return
    fi
    if [[ -n ${(M)verbs:#$words[2]:*} ]]; then
        verb=$words[2]
        shift words
        ((CURRENT--))
    fi
    case $verb in
@CASES@
    esac
}

_gopherscope "$@"
"""

ZSH_VALUES = {"FILE": "_files", "PID": "_pids", "PATTERN": "_gopherscope_functions"}


def _zsh_text(text: str) -> str:
    return "".join("\\" + c if c in ":[]\\" else c for c in text)


def zsh() -> str:
    known = verbs()
    names = [shlex.quote(f"{v.name}:{_zsh_text(v.help)}") for v in known]
    cases = []
    for verb in known:
        specs = []
        for o in verb.options:
            for name in o.names:
                spec = f"*{name}[{_zsh_text(_short(o.help))}]"
                if o.value:
                    action = f"({' '.join(o.choices)})" if o.choices else ZSH_VALUES.get(o.value, "")
                    spec += f"{'::' if o.optional else ':'}{_zsh_text(o.value)}:{action}"
                specs.append(shlex.quote(spec))
        if verb.takes_command:
            specs.append(shlex.quote("*::command:_normal"))
        elif verb.positional:
            specs.append(shlex.quote(f"*:{verb.positional}:{ZSH_VALUES.get(verb.positional, '')}"))
        cases.append(f"{verb.name})\n" + _indented(["_arguments -S \\", *(f"    {s} \\" for s in specs)], 12))
        cases[-1] = cases[-1].removesuffix(" \\") + "\n" + " " * 12 + ";;"
    return (
        ZSH.replace("@HEAD@\n", HEAD)
        .replace("@DEFAULT@", cli.DEFAULT_VERB)
        .replace("@MAX@", str(FUNCTIONS_MAX))
        .replace("@VERBS@", _indented(names, 8))
        .replace("@CASES@", _indented(cases, 8))
    )


# ---- fish -------------------------------------------------------------------------------------------------------

FISH = """\
function __gopherscope_verb # the verb of the line that is being typed
    set -l words (commandline -opc)
    if test (count $words) -gt 1; and contains -- $words[2] @NAMES@
        echo $words[2]
    else
        echo @DEFAULT@
    end
end

function __gopherscope_is
    test (__gopherscope_verb) = $argv[1]; and not __gopherscope_in_command
end

function __gopherscope_in_command
    contains -- -- (commandline -opc); and contains -- (__gopherscope_verb) @COMMANDS@
end

function __gopherscope_no_verb
    test (count (commandline -opc)) -eq 1
end

function __gopherscope_functions # of the file that -b names
    set -l words (commandline -opc)
    for i in (seq 2 (math (count $words) - 1))
        if contains -- $words[$i] -b --binary
            gopherscope list -b $words[(math $i + 1)] -- (commandline -ct)"*" 2>/dev/null | head -n @MAX@
            return
        end
    end
end

complete -c gopherscope -f
complete -c gopherscope -n __gopherscope_in_command -F
"""

FISH_VALUES = {"FILE": "-rF", "PID": "-xa '(__fish_complete_pids)'", "PATTERN": "-xa '(__gopherscope_functions)'"}


def fish() -> str:
    known = verbs()
    names = " ".join(v.name for v in known)
    lines = [f"complete -c gopherscope -n __gopherscope_no_verb -a {v.name} -d {_fish(v.help)}" for v in known]
    for verb in known:
        condition = f"complete -c gopherscope -n '__gopherscope_is {verb.name}'"
        for o in verb.options:
            flags = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in o.names)
            value = ""
            if o.choices:
                value = f" -xa '{' '.join(o.choices)}'"
            elif o.value and not o.optional:
                value = " " + FISH_VALUES.get(o.value, "-x")
            lines.append(f"{condition} {flags}{value} -d {_fish(_short(o.help))}")
        if verb.positional in FISH_VALUES:
            lines.append(f"{condition} {FISH_VALUES[verb.positional]}".replace(" -rF", " -F").replace(" -xa", " -a"))
    body = FISH.replace("@NAMES@", names).replace("@DEFAULT@", cli.DEFAULT_VERB).replace("@MAX@", str(FUNCTIONS_MAX))
    body = body.replace("@COMMANDS@", " ".join(v.name for v in known if v.takes_command))
    return HEAD + body + "\n".join(lines) + "\n"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def completions() -> Iterator[tuple[str, str]]:
    """(shell, what it reads)."""
    yield from (("bash", bash()), ("zsh", zsh()), ("fish", fish()))


if __name__ == "__main__":
    sys.stdout.write(dict(completions())[sys.argv[1]])
