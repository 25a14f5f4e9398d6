# SPDX-License-Identifier: Apache-2.0
"""Which rules fit a program, by what is in it; and why the others do not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tracer.errors import TracerError
from tracer.plan import Plan, Program, ReadOptions
from tracer.services.rules import STANDARD_LIBRARY, Field, Hook, Rule, Version

# A string of a request is cut here: more of each would make every event larger.
STRING_SIZE = 256
ELEMENTS = 32


@dataclass(frozen=True)
class FittedHook:
    hook: Hook
    function: str
    fields: tuple[tuple[str, str], ...]  # (name, expression)
    missing: tuple[tuple[str, str], ...]  # (name of a field that is not required, why it cannot be had)


@dataclass(frozen=True)
class Verdict:
    """What became of one rule. `why` is "" where it fits."""

    rule: Rule
    why: str
    hooks: tuple[FittedHook, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()  # (function of a hook that is not required, why)
    relevant: bool = True  # the library is in the program

    @property
    def fits(self) -> bool:
        return not self.why


def reading(expressions: Iterable[str], at_return: bool) -> ReadOptions:
    """How the plan of one hook reads. Pointers are shown as such: an expression says how far to go."""
    texts = tuple(expressions)
    return ReadOptions(
        args=bool(texts),
        results=at_return and bool(texts),
        returns=at_return,
        optional=not texts,
        string_size=STRING_SIZE,
        depth=0,
        elements=ELEMENTS,
        expressions=texts,
    )


class Checker:
    """Holds rules against one program."""

    def __init__(self, program: Program, groups: Collection[str] = ()) -> None:
        """groups: what is asked for beyond the usual: "headers", "connection", "queue"."""
        self._program = program
        self._groups = set(groups)
        self._names: set[str] | None = None
        self._modules = program.modules
        self._go = parse_version(program.go_version.removeprefix("go"))

    def check(self, rule: Rule) -> Verdict:
        if rule.group and rule.group not in self._groups:
            return Verdict(rule, f"not asked for (--{rule.group})", relevant=False)
        why = self._selected(rule)
        if why:
            return Verdict(rule, why, relevant=rule.module == STANDARD_LIBRARY)
        fitted, missing = [], []
        for hook in rule.hooks:
            if hook.group and hook.group not in self._groups:
                continue
            if hook.since is not None and not self._reaches(rule, hook.since):
                continue
            if hook.before is not None and self._reaches(rule, hook.before):
                continue
            if hook.beside and hook.beside not in self._modules:
                continue
            try:
                fitted.append(self._fit(hook))
            except TracerError as e:
                if hook.required:
                    return Verdict(rule, e.message)
                missing.append((hook.functions[0], e.message))
        return Verdict(rule, "", tuple(fitted), tuple(missing))

    def _version(self, rule: Rule) -> Version | None:
        """Of the rule's module in this program; None: it is not there. (): there, its version is not told."""
        if rule.module == STANDARD_LIBRARY:
            return self._go
        if rule.module not in self._modules:
            return None
        return parse_version(self._modules[rule.module])

    def _reaches(self, rule: Rule, since: Version) -> bool:
        version = self._version(rule)
        return version is not None and (not version or version >= since)

    def _selected(self, rule: Rule) -> str:
        version = self._version(rule)
        if version is None:
            return f"{rule.module} is not in the program"
        name = "Go" if rule.module == STANDARD_LIBRARY else rule.module
        if version and version < rule.since:
            return f"{name} {shown(version)} is older than {shown(rule.since)}"
        if version and rule.before is not None and version >= rule.before:
            return f"{name} {shown(version)} is not before {shown(rule.before)}"
        return ""

    def _fit(self, hook: Hook) -> FittedHook:
        if self._names is None:
            self._names = {f.name for f in self._program.functions()}
        function = next((f for f in hook.functions if f in self._names), None)
        if function is None:
            others = f" (nor has it {', '.join(hook.functions[1:])})" if len(hook.functions) > 1 else ""
            raise TracerError(f"the program has no {hook.functions[0]}{others}")
        wanted = [f for f in hook.fields if not f.group or f.group in self._groups]
        first = [(f.name, f.expressions[0]) for f in wanted]
        if not self._why_not(function, hook, [e for _, e in first]):
            return FittedHook(hook, function, tuple(first), ())
        fields, missing = [], []
        for field in wanted:
            expression, why = self._first_that_fits(function, hook, field)
            if expression:
                fields.append((field.name, expression))
            elif field.required:
                raise TracerError(f"{function}: {why}")
            else:
                missing.append((field.name, why))
        if not fields:
            why = self._why_not(function, hook, [])
            if why:
                raise TracerError(why)
        return FittedHook(hook, function, tuple(fields), tuple(missing))

    def _first_that_fits(self, function: str, hook: Hook, field: Field) -> tuple[str, str]:
        """(expression, ""), or ("", why the first does not fit)."""
        reasons = []
        for expression in field.expressions:
            why = self._why_not(function, hook, [expression])
            if not why:
                return expression, ""
            reasons.append(f"{expression}: {why}")
        return "", reasons[0]

    def _why_not(self, function: str, hook: Hook, expressions: list[str]) -> str:
        """Why this cannot be read there; "" where it can."""
        try:
            plan = self._program.plan([function], [], reading(expressions, hook.at_return))
        except TracerError as e:
            return e.message.removeprefix(f"{function}: ")
        try:
            return _cannot(plan, hook.at_return)
        finally:
            plan.close()


def _cannot(plan: Plan, at_return: bool) -> str:
    for function in plan.functions():
        if function.refused or not function.sites:
            return function.refused or "no site was found"
        for site in function.sites:
            if site.entry == at_return:
                continue
            for value in site.values:
                # one part that is missing (a length) is shown as such; nothing of it is no field
                if value.unreadable and not value.places:
                    return f"{value.name} cannot be read: {value.unreadable[0]}"
    return ""


def parse_version(text: str) -> Version:
    """ "v1.64.0-dev" → (1, 64, 0); () where it is none (a local build, "(devel)")."""
    match = re.match(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?", text, re.ASCII)
    return tuple(int(x) for x in match.groups() if x is not None) if match else ()


def shown(version: Version) -> str:
    return ".".join(map(str, version))
