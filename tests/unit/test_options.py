# SPDX-License-Identifier: Apache-2.0
"""Values of options: what is understood, and what each wrong one is told."""

from __future__ import annotations

import argparse

import pytest

from tracer.cli.options import duration, integer, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4096", 4096),
        ("64k", 65536),
        ("64K", 65536),
        ("64kB", 65536),
        ("64 KiB", 65536),
        ("256M", 268435456),
        ("1G", 1073741824),
        ("2G", 2147483648),
        (" 16M ", 16777216),
    ],
)
def test_size(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "M", "lots", "-1M", "1.5M", "0x1000", "64kk", "٣M", "1e6"])
def test_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        size(text)
    assert str(error.value) == f"{text!r} is no size: a number with k, M or G, like 256M"


@pytest.mark.parametrize("text", ["0", "4095", "1k", "2147483649", "3G", "9" * 30])
def test_size_out_of_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        size(text)
    assert str(error.value) == f"{text!r}: between 4k and 2G"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("0.5", 0.5), (".5", 0.5), ("5.", 5.0), ("500ms", 0.5), ("2s", 2.0), ("2m", 120.0), ("1h", 3600.0)],
)
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1d", "nan", "inf", "1e3", "5 5", "٣"])
def test_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        duration(text)
    assert str(error.value) == f"{text!r} is no duration: seconds, or a number with ms, s, m or h"


@pytest.mark.parametrize("text", ["0", "0.0", "0ms", "99999999h", "1" * 400])
def test_duration_out_of_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        duration(text)
    assert str(error.value) == f"{text!r}: longer than nothing and at most ten years"


def test_integer() -> None:
    parse = integer(1, 97)
    assert [parse(t) for t in ("1", "07", "97")] == [1, 7, 97]
    for text in ("0", "98"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{text}: between 1 and 97$"):
            parse(text)
    for text in ("", "x", "-1", "1.0", "0x1", "1_0", "٣", "1" * 21):
        with pytest.raises(argparse.ArgumentTypeError) as error:
            parse(text)
        assert str(error.value) == f"{text!r} is no whole number"
