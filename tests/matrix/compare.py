# SPDX-License-Identifier: Apache-2.0
"""Holds what the tracer wrote against what the zoo wrote about itself, value by value.

Each value is right; or it is not shown and a remark says why (honest), and the remark fits; or it is wrong. Counted are
leaves: integers, floats, bools, strings, nils, addresses.

    python compare.py ZOO_LINES TRACE_LINES
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


class Number(str):
    """A number as the text that stood there."""

    __slots__ = ()

    @property
    def is_float(self) -> bool:
        return "." in self or "e" in self

    def equals(self, other: Number) -> bool:
        """The same number to the last digit; zeros of one sign."""
        if not self.is_float:
            return str(self) == str(other)
        a, b = Decimal(self), Decimal(other)
        return a == b and a.is_signed() == b.is_signed()


SPECIAL_FLOATS = ("NaN", "+Inf", "-Inf")


def read_lines(path: Path) -> list[JSON]:
    with path.open() as file:
        return [json.loads(line, parse_int=Number, parse_float=Number) for line in file]


@dataclass(frozen=True)
class Wrong:
    """A value, or a whole call, that is not what the program had."""

    function: str
    path: str
    got: str
    want: str
    why: str

    def __str__(self) -> str:
        return f"{self.function} {self.path}: {self.why}: got {self.got[:160]} want {self.want[:160]}"


@dataclass
class Limits:
    """What the tracer was asked for."""

    depth: int = 2
    elements: int = 64
    string_size: int = 256


@dataclass
class Tally:
    calls: int = 0
    right: int = 0
    honest: Counter[str] = field(default_factory=Counter)
    wrong: list[Wrong] = field(default_factory=list)
    floats: Counter[str] = field(default_factory=Counter)  # by "args" and "results"
    floats_null: Counter[str] = field(default_factory=Counter)
    honest_at: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def values(self) -> int:
        return self.right + sum(self.honest.values()) + len(self.wrong)


def _go_replacement(error: UnicodeError) -> tuple[str, int]:
    """As Go converts strings: each byte that is not UTF-8 becomes U+FFFD."""
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd", error.start + 1


codecs.register_error("go", _go_replacement)


def leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(leaves(v) for v in value.values())
    if isinstance(value, list):
        return sum(map(leaves, value))
    return 1


def float_leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(float_leaves(v) for v in value.values())
    if isinstance(value, list):
        return sum(map(float_leaves, value))
    return (isinstance(value, Number) and value.is_float) or (value in SPECIAL_FLOATS if type(value) is str else False)


def reason_of(remark: str) -> str:
    """A remark without its numbers and names: what is counted."""
    if remark.startswith(("depth", "cycle", "truncated", "partial", "bytes")):
        return remark.split(":")[0]
    return re.sub(r"\d+", "N", remark)


def same(function: str) -> str:
    """A function's name with [...] for the types of its instance."""
    while True:
        shorter = re.sub(r"\[[^\[\]]*\]", "\0", function)
        if shorter == function:
            return re.sub("\0+", "[...]", function.replace("\0", "[...]", 1) if function.count("\0") == 1 else function)
        function = shorter


# An expression without the dereferences that are outermost, and their number.
@dataclass(frozen=True)
class Expression:
    text: str
    stars: int = 0

    def __str__(self) -> str:
        return "*" * self.stars + self.text

    def _base(self) -> str:
        return f"({self})" if self.stars else self.text

    def deref(self) -> Expression:
        return Expression(self.text, self.stars + 1)

    def member(self, name: str) -> Expression:
        inner = Expression(self.text, max(0, self.stars - 1))
        return Expression(f"{inner._base()}.{name}")

    def index(self, key: object) -> Expression:
        return Expression(f"{self._base()}[{key}]")

    def assertion(self, name: str) -> Expression:
        return Expression(f"{self._base()}.({name})")


class Line:
    """One line of the tracer against one of the zoo."""

    def __init__(self, tally: Tally, limits: Limits, zoo: JSON, trace: JSON, meta: JSON) -> None:
        self.tally, self.limits = tally, limits
        self.meta = meta
        self.function: str = zoo["func"]
        self.kind = "results" if zoo.get("type") == "return" else "args"
        self.notes: dict[str, list[str]] = trace["notes"]
        self.zoo_notes: dict[str, list[str]] = zoo.get("notes", {})
        self.maps = set(zoo.get("maps", ()))
        self.open_notes = {(path, remark) for path, remarks in self.notes.items() for remark in remarks}

    # ---- outcomes

    def right(self, n: int = 1) -> None:
        self.tally.right += n

    def wrong(self, path: object, got: Any, want: Any, why: str) -> None:
        texts = (json.dumps(got, ensure_ascii=False), json.dumps(want, ensure_ascii=False))
        self.tally.wrong.append(Wrong(self.function, str(path), *texts, why))

    def honest(self, reason: str, missing: Any) -> None:
        n = max(1, leaves(missing))
        self.tally.honest[reason] += n
        self.tally.honest_at[reason][self.function] += n
        if reason.startswith("unreadable"):
            self.tally.floats[self.kind] += float_leaves(missing)
            self.tally.floats_null[self.kind] += float_leaves(missing)

    def remark(self, path: object, *words: str) -> str | None:
        """The first remark at that path which begins with one of the words. It is then accounted for."""
        for remark in self.notes.get(str(path), ()):
            if remark.startswith(words):
                self.open_notes.discard((str(path), remark))
                return remark
        return None

    # ---- values

    def without_results(self, want: JSON, got: JSON) -> tuple[JSON, JSON]:
        """Go 1.17's optimised code leaves results out; what was inferred has the names of the caller's variables."""
        said = any("results were inferred" in w or "leaves the results out" in w for w in self.meta["warnings"])
        if not said:
            return want, got
        if not got:
            for value in want.values():
                self.honest("results left out by Go 1.17", value)
            return {}, {}
        return want, dict(zip(want, got.values())) if len(want) == len(got) else got

    def values(self, kind: str, want: JSON, got: JSON) -> None:
        if not self.meta["params"] and not self.meta["results"] and self.no_types():
            for value in want.values():
                self.honest("no debug information", value)
            return
        if kind == "results":
            want, got = self.without_results(want, got)
        for name, value in want.items():
            if name in got:
                self.value(value, got[name], Expression(name), 0, ())
        for name in got:
            if name not in want:
                self.wrong(name, got[name], None, "there is no such parameter or result")
        for name in want:
            if name not in got:
                self.wrong(name, None, want[name], "missing")
        if list(want) != list(got) and sorted(want) == sorted(got):
            self.honest("in another order", None)
        for path, remark in sorted(self.open_notes):
            if not (path == "" and remark.startswith("on the system stack")):
                self.wrong(path, remark, None, "a remark about nothing that is missing")

    def no_types(self) -> bool:
        """The signature is not known, and that is said; Go's assembler writes none."""
        said = any(w.startswith("no debug information for this function") for w in self.meta["warnings"])
        return said or self.meta["file"].endswith(".s")

    def value(self, want: Any, got: Any, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        if got is None:
            self.nothing(want, at)
        elif want is None:
            self.wrong(at, got, want, "should be nil")
        elif isinstance(want, dict):
            self.object(want, got, at, hops, above)
        elif isinstance(want, list):
            if str(at) in self.maps:
                self.mapping(want, got, at, hops, above)
            else:
                self.list(want, got, at, hops, above)
        elif isinstance(want, Number):
            if isinstance(got, Number) and want.equals(got):
                self.tally.floats[self.kind] += want.is_float
                self.right()
            else:
                self.wrong(at, got, want, "another number")
        elif isinstance(want, str):
            self.string(want, got, at)
        elif want is got:
            self.right()
        else:
            self.wrong(at, got, want, "another value")

    def nothing(self, want: Any, at: Expression) -> None:
        remark = self.remark(at, "unreadable", "not decoded", "depth", "raced", "partial")
        if remark:
            self.honest(reason_of(remark), want)
        elif want is None:
            self.right()
        else:
            self.wrong(at, None, want, "null without a reason")

    def string(self, want: str, got: Any, at: Expression) -> None:
        if type(got) is not str:
            self.wrong(at, got, want, "no string")
            return
        raw = self.raw(want, self.zoo_notes.get(str(at), []))
        if "\ufffd" in want and "[" in at.text:  # in a map: the path of the zoo's remark need not be the tracer's
            known = {self.raw(want, remarks) for remarks in self.zoo_notes.values()}
            mine = [r for r in self.notes.get(str(at), []) if r.startswith("bytes")]
            raw = next((k for k in known if mine and k.startswith(self.raw(want, mine))), raw)
        remark = self.remark(at, "bytes")
        raw_got = self.raw(got, [remark] if remark else [])
        if raw_got.decode("utf-8", "go") != got:
            self.wrong(at, got, want, f"the text does not fit its remark {remark!r}")
        elif raw_got == raw:
            self.tally.floats[self.kind] += want in SPECIAL_FLOATS
            self.right()
        else:
            cut = self.remark(at, "truncated")
            if cut == f"truncated: {len(raw)} bytes" and raw.startswith(raw_got):
                enough = len(raw_got) > self.limits.string_size - 4
                self.honest("truncated" if enough else "truncated: shorter than asked for", want)
            else:
                self.wrong(at, got, want, f"another text, {len(raw_got)} bytes, remark {cut!r}")

    @staticmethod
    def raw(text: str, remarks: list[str]) -> bytes:
        for remark in remarks:
            if remark.startswith("bytes: "):
                return bytes.fromhex(remark[7:])
        return text.encode()

    def list(self, want: list[Any], got: Any, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        if not isinstance(got, list) or len(got) > len(want):
            self.wrong(at, got, want, "another length")
            return
        if not want:
            self.right()
        for i, (w, g) in enumerate(zip(want, got)):
            self.value(w, g, at.index(i), hops, above)
        if len(got) < len(want):
            self.rest(want[len(got) :], len(got), len(want), at)

    def rest(self, missing: Any, n: int, total: int, at: Expression, reason: str = "partial") -> None:
        remark = self.remark(at, "partial")
        if remark != f"partial: {n} of {total}":
            self.wrong(at, n, total, f"too few, remark {remark!r}")
        elif n >= self.limits.elements or reason != "partial":
            self.honest(reason, missing)
        else:
            self.honest("partial: fewer than asked for", missing)

    def mapping(self, want: Any, got: Any, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        """Entries in any order. Keys that are strings, integers or bools may be an object's."""
        as_pairs = [[k, v] for k, v in want.items()] if isinstance(want, dict) else want
        pairs = [[k, v] for k, v in got.items()] if isinstance(got, dict) else got
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            self.wrong(at, got, want, "no map")
            return
        if not want and not got:
            self.right()
        left = list(as_pairs)
        cut = False
        for i, (k, v) in enumerate(pairs):
            place = at.index(f"#{i}")
            remarks = self.notes.get(str(place), []) if isinstance(got, list) else []
            found = next((e for e in left if self.is_key(e[0], k, remarks)), None)
            if not found:
                self.wrong(at, k, None, "there is no such key, or it is there twice")
                continue
            left.remove(found)
            path = self.pair_path(at, found[0], place, isinstance(want, dict))
            if not isinstance(found[0], str) or isinstance(found[0], Number):
                self.right(leaves(k))
            for remark in remarks:  # of the key, and of its value where that has no path of its own
                cut = cut or remark.startswith(("truncated", "bytes"))
                if remark.startswith("truncated") and len(k) < len(found[0]):
                    self.honest("truncated", None)
                    self.open_notes.discard((str(place), remark))
                elif remark.startswith("bytes") and "\ufffd" in str(k):
                    self.open_notes.discard((str(place), remark))
            if "\ufffd" in str(k):  # where the key is text, it is part of the path
                cut = True
                text = k.replace("\\", "\\\\").replace('"', '\\"')
                if type(k) is str and type(v) is not str:
                    self.remark(at.index(f'"{text}"'), "bytes")
            self.value(found[1], v, path, hops, above)
        if isinstance(want, dict) and isinstance(got, list) and len(got) == len(want) and not cut:
            self.wrong(at, got, want, "a whole map with such keys is an object")
        if left:
            self.rest(left, len(pairs), len(as_pairs), at, "partial: of a map")

    def is_key(self, want: Any, got: Any, remarks: list[str]) -> bool:
        if isinstance(want, (dict, list)) or isinstance(got, (dict, list)):
            inner = Tally()
            line = Line(inner, self.limits, {"func": "", "notes": {}}, {"notes": {}}, self.meta)
            line.value(want, got, Expression("k"), 0, ())
            return not [w for w in inner.wrong if not w.why.startswith("no pointee and no remark")]
        if isinstance(want, Number) and isinstance(got, Number):
            return want.equals(got)
        if type(want) is str and type(got) is str and f"truncated: {len(want.encode())} bytes" in remarks:
            return want.startswith(got)
        return str(want) == str(got) and (want is None) == (got is None)

    def pair_path(self, at: Expression, key: Any, place: Expression, is_object: bool) -> Expression:
        """The path by which remarks name a map's value: m["k"], m[5], m[true], or m[#3] for other keys."""
        if is_object:
            text = str(key).replace("\\", "\\\\").replace('"', '\\"')
            forms = (at.index(f'"{text}"'), at.index(key))
            for form in forms:
                if any(path.lstrip("(*").startswith(form.text) for path in self.notes):
                    return form
        return place if any(path.lstrip("(*").startswith(place.text) for path in self.notes) else at.index(key)

    def object(self, want: JSON, got: Any, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        if str(at) in self.maps:
            self.mapping(want, got, at, hops, above)
        elif set(want) == {"value", "text"}:
            self.spoken(want, got, at, hops, above)
        elif not isinstance(got, dict):
            self.wrong(at, got, want, "no object")
        elif "ptr" in want:
            self.pointer(want, got, at, hops, above)
        elif "type" in want:
            self.interface(want, got, at, hops, above)
        elif list(want) != list(got):
            self.wrong(at, list(got), list(want), "other fields")
        else:
            if not want:
                self.right()
            for name, value in want.items():
                self.value(value, got[name], at.member(name), hops, above)

    def spoken(self, want: JSON, got: Any, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        """A value with the form that people read, which the tracer may leave out but not get wrong."""
        if isinstance(got, dict) and set(got) == {"value", "text"}:
            self.text(want["text"], got["text"], at)
            got = got["value"]
        else:
            self.honest("text not given", want["text"])
        self.value(want["value"], got, at, hops, above)

    def text(self, want: str, got: Any, at: Expression) -> None:
        if got == want or (isinstance(got, str) and _instant(got) is not None and _instant(got) == _instant(want)):
            self.right()
        else:
            self.wrong(at, got, want, "another text")

    def pointer(self, want: JSON, got: JSON, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        if want["ptr"] != got.get("ptr"):
            self.wrong(at, got, want, "another address")
            return
        self.right()
        if "func" in want and self.remark(at, "not decoded: captured variables"):
            self.honest("not decoded: captured variables", None)
        for name in ("len", "cap", "func"):
            if name in want:
                if name in got:
                    self.value(want[name], got[name], at, hops, above)
                else:
                    self.wrong(at, got, want, f"no {name}")
        if "to" in got and "to" in want:
            self.value(want["to"], got["to"], at.deref(), hops + 1, (*above, want["ptr"]))
        elif "to" in got:
            self.wrong(at, got, want, "followed further than the zoo was: raise its depth")
        elif "to" in want:
            remark = self.remark(at, "depth", "cycle", "unreadable", "not decoded") or ""
            early = remark.startswith("depth") and hops < self.limits.depth
            loose = remark.startswith("cycle") and want["ptr"] not in above
            if not remark or early or loose:
                self.wrong(at, got, want, f"no pointee and no remark that fits: {remark!r}")
            else:
                self.honest(reason_of(remark), want["to"])

    def interface(self, want: JSON, got: JSON, at: Expression, hops: int, above: tuple[str, ...]) -> None:
        if want["type"] != got.get("type"):
            self.wrong(at, got, want, "another dynamic type")
            return
        self.right()
        if "text" in got and "text" in want:
            self.text(want["text"], got["text"], at)
        elif "text" in want:
            self.honest("text not given", want["text"])
        elif "text" in got:
            self.wrong(at, got["text"], None, "a text of something that has none")
        if "value" not in got:
            self.wrong(at, got, want, "no value")
            return
        unknown = self.remark(at, "not decoded", "unreadable") if got["value"] is None else None
        if unknown:
            self.remark(at, "bytes")
            self.honest(reason_of(unknown), want["value"])
            return
        self.value(want["value"], got["value"], at.assertion(want["type"]), hops, above)


def _instant(text: str) -> tuple[datetime, str] | None:
    """A time as its second and its fraction."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if not found:
        return None
    second = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    return second, (found[2] or "").rstrip("0")


def _by_function(lines: Iterable[JSON]) -> dict[str, list[JSON]]:
    calls = defaultdict(list)
    for line in lines:
        if line["type"] == "call":
            calls[same(line["func"])].append(line)
    return calls


def compare(zoo: list[JSON], trace: list[JSON], limits: Limits | None = None, values: bool = True) -> Tally:
    """The n-th call of a function in the zoo is the n-th in the trace. Without `values`: calls, ends."""
    tally, limits = Tally(), limits or Limits()
    for lost in (e["lost"] for e in trace if e["type"] == "summary" and e["lost"] != "0"):
        tally.wrong.append(Wrong("", "", str(lost), "0", "events lost"))
    traced = _by_function(sorted((e for e in trace if e["type"] == "call"), key=lambda e: int(e["ts"])))
    ends = {
        "zoo": {e["call"]: e for e in zoo if e["type"] == "return"},
        "trace": {e["call"]: e for e in trace if e["type"] == "return"},
    }
    metas = {f["fid"]: f for e in trace if e["type"] == "meta" for f in e["functions"]}
    unnamed_left_out = any(re.match(r"go1\.(1[0-9]|2[01])\b", e["go"]) for e in trace if e["type"] == "meta")
    for function, calls in _by_function(zoo).items():
        got = traced.get(function, [])
        if len(got) != len(calls):
            tally.wrong.append(Wrong(function, "", str(len(got)), str(len(calls)), "the number of calls"))
            continue
        for want_call, got_call in zip(calls, got):
            tally.calls += 1
            want_end, got_end = ends["zoo"][want_call["call"]], ends["trace"].get(got_call["call"])
            meta = metas[got_call["fid"]]
            if unnamed_left_out:
                _leave_out_unnamed(tally, want_call["args"], got_call["args"])
            line = Line(tally, limits, want_call, got_call, meta)
            _goroutine(line, want_call, got_call)
            if values:
                line.values("args", want_call["args"], got_call["args"])
            if got_end is None:
                line.wrong("", None, want_end.get("results"), "no return")
                continue
            line = Line(tally, limits, want_end, got_end, meta)
            _goroutine(line, want_end, got_end)
            how, told = want_end.get("unwound"), got_end.get("unwound")
            if how != told:
                line.wrong("", got_end.get("unwound"), want_end.get("unwound"), "left in another way")
            elif "results" in want_end and values:
                line.values("results", want_end["results"], got_end["results"])
    return tally


def _leave_out_unnamed(tally: Tally, want: JSON, got: JSON) -> None:
    """Go up to 1.21 does not describe parameters without a name."""
    for name in [n for n in want if re.fullmatch(r"_\d+", n) and n not in got]:
        tally.honest["unnamed, left out by Go ≤ 1.21"] += leaves(want.pop(name))


def _goroutine(line: Line, want: JSON, got: JSON) -> None:
    if got["goid"] is None and line.remark("", "goroutine unknown"):
        line.honest("goroutine unknown", want["goid"])
    elif got["goid"] != want["goid"]:
        line.wrong("", got["goid"], want["goid"], "another goroutine")
    else:
        line.right()


def report(tally: Tally, most: int = 40) -> str:
    rows = [
        f"{tally.calls} calls; values: {tally.right} right, "
        f"{sum(tally.honest.values())} honest, {len(tally.wrong)} wrong"
    ]
    rows += [f"  {n:7} {reason}" for reason, n in tally.honest.most_common()]
    rows += [f"floats: {tally.floats_null[k]} of {n} {k} not shown" for k, n in sorted(tally.floats.items())]
    groups = Counter((w.function, re.sub(r"\d+", "N", w.path), w.why) for w in tally.wrong)
    firsts = {(w.function, re.sub(r"\d+", "N", w.path), w.why): w for w in reversed(tally.wrong)}
    rows += [f"WRONG {n:5}× {firsts[key]}" for key, n in groups.most_common(most)]
    return "\n".join(rows)


def main() -> int:
    zoo, trace = (read_lines(Path(arg)) for arg in sys.argv[1:3])
    tally = compare(zoo, trace)
    print(report(tally))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
