# SPDX-License-Identifier: Apache-2.0
"""Expressions: the grammar, the types, every error with its place, and that no text does any harm.

The parser and the resolver run by themselves (expression_harness.c, with sanitizers), against types made by hand.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from c_programs import c_program
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent.parent
SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

Ask = Callable[[Sequence[str]], "list[str]"]


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [ROOT / "tests/unit/expression_harness.c", *sorted((ROOT / "offsets").glob("expression*.c"))]
    sources += [ROOT / f"offsets/{name}.c" for name in ("error", "types", "func_name")]
    return c_program(tmp_path_factory.mktemp("expressions"), sources, SANITIZE)


def ask(harness: Path, texts: Sequence[str], *args: str) -> list[str]:
    """One answer for each text."""
    lines = "".join(t.encode("utf-8", "surrogateescape").hex() + "\n" for t in texts)
    run = subprocess.run([harness, *args], input=lines, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-4000:]
    answers = run.stdout.splitlines()
    assert len(answers) == len(texts)
    return answers


@pytest.fixture
def parsed(harness: Path) -> Callable[[str], str]:
    return lambda text: ask(harness, [text])[0]


@pytest.fixture
def typed(harness: Path) -> Callable[[str], str]:
    return lambda text: ask(harness, [text], "typed")[0]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("n", "n"),
        ("~r0", "~r0"),
        ("größe", r"gr\xc3\xb6\xc3\x9fe"),
        ("r.URL.Path", "(. (. r URL) Path)"),
        (" ( r ) . URL ", "(. r URL)"),
        ("xs[0].Name", "(. (key xs 0) Name)"),
        ("xs[:8].Name", "(. (range xs 0 8) Name)"),
        ("xs[1:5][2:]", "(range (range xs 1 5) 2)"),
        ('m["k"].Name', '(. (key m "k") Name)'),
        ("*p.Next", "(* (. p Next))"),
        ("(*p).Next", "(. (* p) Next)"),
        ("**p", "(* (* p))"),
        ("err.(*net.OpError).Op", "(. (is err *net.OpError) Op)"),
        ("x.( map[string]struct { a int } )", "(is x map[string]struct { a int })"),
        ("len(s)", "(len s)"),
        ("cap(xs[0])", "(cap (key xs 0))"),
        ("len.cap", "(. len cap)"),
        ("a, b ,\tc", "a, b, c"),
        ("a, b, a", "a, b"),
        ("a == b", "(== a b)"),
        ("a || b && !c", "(|| a (&& b (! c)))"),
        ("(a || b) && c", "(&& (|| a b) c)"),
        ("d > 10ms", "(> d 10000000)"),
        ("d > -1h2m3.5s", "(> d -3723500000000)"),
        (
            "d > 1.25us || d < 3\u00b5s || d == 2\u03bcs || d == 7ns",
            "(|| (|| (|| (> d 1250) (< d 3000)) (== d 2000)) (== d 7))",
        ),
        ("len(s) > 3 && !ok || n == -1", "(|| (&& (> (len s) 3) (! ok)) (== n -1))"),
        ("a != b || a < b || a <= b || a >= b", "(|| (|| (|| (!= a b) (< a b)) (<= a b)) (>= a b))"),
        ("0x1F == 0b1_1", "(== 31 3)"),
        ("0o17 == 'a'", "(== 15 97)"),
        ("'\\n' == '\\''", "(== 10 39)"),
        ("18446744073709551615 == 1.5e3", "(== 18446744073709551615 1500)"),
        ("-9223372036854775808 == -0.5", "(== -9223372036854775808 -0.5)"),
        ("-0 == true", "(== 0 true)"),
        (r'"a\n\x41\u00e9\101\"" == nil', r'(== "a\x0aA\xc3\xa9A"" nil)'),
        (r"`raw\n`", r'"raw\x5cn"'),
    ],
)
def test_grammar(parsed: Callable[[str], str], text: str, tree: str) -> None:
    assert parsed(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 0, "a name or a value is missing at the end"),
        ("a.", 2, "a field's name is missing at the end"),
        ("a.3", 2, "a field's name is expected here"),
        ("a[", 2, "a name or a value is missing at the end"),
        ("a[1", 3, "']' is missing at the end"),
        ("a]", 1, "a comma or the end is expected here"),
        ("a,,b", 2, "a name or a value is expected here"),
        ("a b", 2, "a comma or the end is expected here"),
        ("*", 1, "a name or a value is missing at the end"),
        ("-x", 1, "a number is expected here"),
        ('-"abc"', 1, "a number is expected here"),
        ("a == - `abc`", 7, "a number is expected here"),
        ("a[1:-1]", 4, "a number is expected here"),
        ("a[-1:]", 2, "a bound is a number of at most 65535"),
        ("a[:65536]", 3, "a bound can be at most 65535"),
        ("a[3:1]", 3, "the lower bound is above the upper one"),
        ("a.(", 2, "a parenthesis that is not closed"),
        ("a.(*b", 2, "a parenthesis that is not closed"),
        ("a.()", 3, "a type is missing"),
        ("a.b()", 3, "methods of the program cannot be called; hint: only len and cap can be called"),
        ("f(x)", 1, "functions of the program cannot be called; hint: only len and cap can be called"),
        ("a < b < c", 6, "comparisons do not chain; hint: join two comparisons with &&"),
        ("a = b", 2, "this character means nothing here; hint: equality is =="),
        ("a & b", 2, "this character means nothing here; hint: conditions are joined with && and ||"),
        ("größe.#", 6, "this character means nothing here"),
        ("01", 0, "a number with a leading zero; octal numbers begin with 0o"),
        ("0x", 2, "this is no number"),
        ("12ab", 2, "this is no number"),
        ("3mss", 1, "this is no number"),
        ("1m30", 1, "this is no number"),
        ("xs[:3s]", 4, "a number is expected here"),
        ("xs[3s:]", 3, "a bound is a number of at most 65535"),
        ("d > 2562048h", 4, "a duration of more than 292 years"),
        ("1e+", 1, "a number's exponent is missing"),
        ("18446744073709551616", 0, "a number with more than 64 bits"),
        ("-9223372036854775809", 1, "a number with more than 64 bits"),
        ('"abc', 0, "a string without its end"),
        (r'"\q"', 1, "an unknown escape sequence"),
        (r'"\x4"', 1, "an escape sequence of 2 digits is cut short"),
        (r'"\400"', 1, "an escape sequence for what is no character"),
        (r'"\ud800"', 1, "an escape sequence for what is no character"),
        ("''", 0, "one character and a ' must follow this; hint: strings stand in double quotes"),
        ("'ab'", 0, "one character and a ' must follow this; hint: strings stand in double quotes"),
    ],
)
def test_syntax_errors(parsed: Callable[[str], str], text: str, column: int, message: str) -> None:
    assert parsed(text) == f"error: {message}; in: {column} {text}"


def test_what_is_shown_of_the_text(parsed: Callable[[str], str]) -> None:
    """Around the place, on one line, with nothing that steers a terminal."""
    assert parsed("a\t\x1b[2J") == "error: this character means nothing here; in: 2 a ?[2J"
    assert parsed("a.\udcff") == "error: this character means nothing here; in: 2 a.?"
    long = "a" * 100 + "#" + "b" * 100
    assert parsed(long) == f"error: this character means nothing here; in: 61 …{'a' * 60}#{'b' * 39}…"


def test_bounds(parsed: Callable[[str], str]) -> None:
    assert parsed("a" * 4095) == "a" * 4095
    assert parsed("a" * 4096) == "error: an expression of more than 4095 bytes"
    # one level is the expression itself
    assert parsed("(" * 31 + "a" + ")" * 31) == "a"
    for deep in ("(" * 32 + "a", "*" * 33 + "a", "a" + ".b" * 33, "a" + "[0" * 40, "len(" * 40):
        assert "more than 32 levels within each other" in parsed(deep)
    assert "an expression of more than 255 parts" in parsed("||".join(["a"] * 300))
    assert parsed(",".join(f"a{i}" for i in range(64))).count(",") == 63
    assert parsed(",".join(f"a{i}" for i in range(65))) == "error: more than 64 expressions"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("n", "n :int params"),
        ("r", "r :string results"),
        ("~r1 == n", "(== ~r1 n) :bool params results"),
        # pointers are followed as Go does, and fields of embedded structs found
        ("t.Name", "(. t Name) :string params"),
        ("p.Name", "(. (* p) Name) :string params"),
        ("(*pp).Name", "(. (* (* pp)) Name) :string params"),
        ("p.Next.Next.Name", "(. (* (. (* (. (* p) Next)) Next)) Name) :string params"),
        ("p.Deep", "(. (* (. (* p) Base)) Deep) :int params"),
        ("p.A", "(. (. (* (. (* p) Base)) Inner) A) :int params"),
        ("p.Both", "(. (. (* p) Other) Both) :int params"),
        ("p.Inner.Both", "(. (. (* (. (* p) Base)) Inner) Both) :int params"),
        ("two.Other.Both", "(. (. two Other) Both) :int params"),
        # elements
        ("xs[3]", "(index xs 3) :main.T params"),
        ("arr[2]", "(index arr 2) :int params"),
        ("parr[1]", "(index (* parr) 1) :int params"),
        ("s[0]", "(index s 0) :uint8 params"),
        ("matrix[1][2]", "(index (index matrix 1) 2) :int params"),
        ('m["k"].Name', '(. (key m "k") Name) :string params'),
        ("small[255]", "(key small 255) :int params"),
        # ranges
        ("xs[1:3]", "(range xs 1 3) :[]main.T params"),
        ("s[1:3]", "(range s 1 3) :string params"),
        ("parr[1:]", "(range (* parr) 1 3) :[3]int params"),
        ("xs[1:5][1]", "(index xs 2) :main.T params"),
        ("xs[1:5][1:2]", "(range xs 2 3) :[]main.T params"),
        ("xs[:2].Name", "(. (each xs 0 2) Name) :list of string params"),
        ("xs[2:].A", "(. (. (* (. (each xs 2) Base)) Inner) A) :list of int params"),
        ("xs[:3].Kids[0].Name", "(. (index (. (each xs 0 3) Kids) 0) Name) :list of string params"),
        ("xs[:2].Kids[:2].Name", "(. (each (. (each xs 0 2) Kids) 0 2) Name) :list of list of string params"),
        # the rest
        ("*p", "(* p) :main.T params"),
        ("err.(main.T).Name", "(. (is err main.T) Name) :string params"),
        ("xs[:2].Err.(*main.T).Name", "(. (* (is (. (each xs 0 2) Err) *main.T)) Name) :list of string params"),
        ("len(s)", "(len s) :int params"),
        ("len(m)", "(len m) :int params"),
        ("cap(ch)", "(cap ch) :int params"),
        ("len(parr)", "(len (* parr)) :int params"),
        # conditions
        ("n == 3 && ok", "(&& (== n 3) ok) :bool params"),
        ("f == 3", "(== f 3) :bool params"),
        ("f < 2.5", "(< f 2.5) :bool params"),
        ("-1 <= n", "(<= -1 n) :bool params"),
        ('s >= "x"', '(>= s "x") :bool params'),
        ("!(ok != false)", "(! (!= ok false)) :bool params"),
        ("err == nil", "(== err nil) :bool params"),
        ("nil != xs", "(!= nil xs) :bool params"),
        ("p == p.Next", "(== p (. (* p) Next)) :bool params"),
    ],
)
def test_types(typed: Callable[[str], str], text: str, tree: str) -> None:
    assert typed(text) == tree


LISTED = "there is n, u, s, ok, f, err, t, p …"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("q", 0, f"there is no parameter or result 'q'; hint: {LISTED}"),
        ("matrx", 0, "there is no parameter or result 'matrx'; hint: did you mean 'matrix'?"),
        ("p.Nam", 2, "main.T has no field 'Nam'; hint: did you mean 'Name'?"),
        ("p.Next.dEEP", 7, "main.T has no field 'dEEP'; hint: did you mean 'Deep'?"),
        (
            "p.zzzzzz",
            2,
            "main.T has no field 'zzzzzz'; hint: there is Name, Base, Other, Next, Kids, Err, Inner, Deep …",
        ),
        (
            "two.Both",
            4,
            "'Both' is ambiguous: several structs in main.Two have it; hint: name the embedded struct too",
        ),
        ("n.x", 2, "int has no fields"),
        ("pp.Name", 3, "**main.T has no fields"),
        (
            "err.Op",
            4,
            "an interface (error) has no fields; hint: name the type that it holds: x.(*pkg.T).Field",
        ),
        ("*n", 0, "int is no pointer"),
        ("*void", 0, "what this points to is not in the debug information"),
        ("n[0]", 0, "int has no elements"),
        ("m[:3]", 0, "map[string]main.T has no elements"),
        ("xs[n]", 3, "an index is a literal"),
        ("xs[1.5]", 3, "an index of []main.T is a number"),
        ("xs[-1]", 3, "an index is not negative"),
        ("xs[65536]", 3, "an index can be at most 65535"),
        ("arr[3]", 4, "[3]int has only 3 elements"),
        ("arr[:4]", 3, "[3]int has only 3 elements"),
        ("xs[1:5][4]", 8, "the range has only 4 elements"),
        ("xs[1:5][:5]", 7, "the range has only 4 elements"),
        ("xs[65000:][65000]", 11, "an index can be at most 65535"),
        (
            "xs[:100].Kids[:2].Name",
            13,
            "these are more than 128 values; hint: bound the range: xs[:8].Name",
        ),
        ("m[3]", 2, "this is no string"),
        ('small["x"]', 6, "this is no uint8"),
        ("small[256]", 6, "the number does not fit uint8"),
        ("small[-1]", 6, "the number does not fit uint8"),
        (
            "err.( *main.Nope)",
            6,
            "the program has no type '*main.Nope'; hint: a type has its package's whole path: *net/http.Request",
        ),
        *(
            (
                text,
                text.index("*"),
                "the program has no type '*main.Nope'; hint: a type has its package's whole path: *net/http.Request",
            )
            for text in ("err. (*main.Nope)", "err . ( *main.Nope )", "(err).(*main.Nope).Op", "p.Err.  (*main.Nope)")
        ),
        (
            "err.(error)",
            5,
            "'error' is an interface, and an interface holds no other; hint: name the type that it holds",
        ),
        ("n.(main.T)", 0, "int is no interface"),
        ("len(n)", 4, "int has no length"),
        ("cap(s)", 4, "string has no capacity"),
        ("len(xs[:3])", 4, "the length of a range is not read"),
        ("!n", 1, "a condition is wanted here, and this is int"),
        ("ok && 3", 6, "a condition is wanted here, and this is a number"),
        ("n == 3.5", 5, "this is no int"),
        ('n == "x"', 5, "this is no int"),
        ("s == 3", 5, "this is no string"),
        ("s == nil", 5, "this is no string"),
        ("u < 256", 4, "the number does not fit uint8"),
        ("n == 9223372036854775808", 5, "the number does not fit int"),
        ("n == u", 0, "int and uint8 are not compared"),
        ("n > 10ms", 4, "int is no duration"),
        ("xs[3s]", 3, "an index of []main.T is a number"),
        ("n == s", 0, "int and string are not compared"),
        ("1 == 1", 0, "two literals are compared"),
        ("ok < true", 0, "bool has no order; == and != can be asked"),
        ("p < nil", 0, "*main.T has no order; == and != can be asked"),
        ("t == t", 0, "main.T is not compared; hint: name what in it is to be compared"),
        ('xs[:2].Name == "a"', 0, "a range is not compared; hint: name one element"),
        ("s[1:] == s", 0, "a range is not compared; hint: name one element"),
    ],
)
def test_type_errors(typed: Callable[[str], str], text: str, column: int, message: str) -> None:
    assert typed(text) == f"error: {message}; in: {column} {text}"


# ---- no text does any harm ----------------------------------------------------------------------------------

WORDS = [
    *("n", "p", "xs", "m", "err", "s", "t", "arr", "two", "Name", "Next", "Kids", "Base", "Both", "len", "cap"),
    *("true", "nil", "0", "1", "65535", "-", "3.5", "'a'", '"k"', "`", '"', "\\", "'"),
    *(".", ".", ".", ",", "(", ")", "[", "]", ":", "*", "!", "==", "<", "&&", "||", " ", "(*main.T)", "é", "\x01"),
]
ANSWER = re.compile(r"error: .+; in: (\d+) .*|error: [^;]+")


def check(texts: Sequence[str], answers: Sequence[str]) -> None:
    """Whatever is no tree is an error whose place lies in the line that is shown."""
    for text, answer in zip(texts, answers):
        if "error: " not in answer:
            continue
        match = ANSWER.fullmatch(answer[answer.index("error: ") :])
        assert match, (text, answer)
        if match[1]:
            shown = answer.split("; in: ", 1)[1].split(" ", 1)[1]
            assert 0 <= int(match[1]) <= len(shown), (text, answer)


def test_words_in_any_order(harness: Path) -> None:
    chance = random.Random(20269)
    texts = ["".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 24))) for _ in range(20011)]
    for args in ((), ("typed",)):
        answers = ask(harness, texts, *args)
        check(texts, answers)
        assert sum("error" not in a for a in answers) > 200  # not all of them are nonsense


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=40))
def test_any_text(harness: Path, texts: list[str]) -> None:
    texts = [t.replace("\x00", "?").encode("utf-8", "replace").decode() for t in texts]
    check(texts, ask(harness, texts, "typed"))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=40))
def test_any_bytes(harness: Path, texts: list[bytes]) -> None:
    decoded = [t.replace(b"\x00", b"?").decode("utf-8", "surrogateescape") for t in texts]
    check(decoded, ask(harness, decoded, "typed"))
