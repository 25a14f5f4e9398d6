# SPDX-License-Identifier: Apache-2.0
"""Vectors of simd/archsimd (Go 1.26, GOEXPERIMENT=simd): structs to read, one register to pass."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """package main

import "simd/archsimd"

type pair struct {
	v archsimd.Int32x4
	n int
}

//go:noinline
func mix(x archsimd.Int32x4, f float64, a [2]int, n int) (archsimd.Int32x4, float64, int) {
	return x.Add(x), f * 2, a[0] + a[1] + n
}

//go:noinline
func wide(p pair, f float64, x archsimd.Float64x4, n int) (float64, pair) {
	p.n += n
	_ = x
	return f, p
}

func main() {
	var v archsimd.Int32x4
	var w archsimd.Float64x4
	_, f, n := mix(v, 1.5, [2]int{10, 20}, 7)
	_, p := wide(pair{v, n}, f, w, 9)
	println(p.n)
}
"""


def variables(path: Path, function: str) -> list[dict[str, Any]]:
    out = subprocess.check_output([ROOT / "build/offsets", "params", path, function], text=True)
    found: list[dict[str, Any]] = json.loads(out)["params"]
    return found


@pytest.mark.parametrize("version", ["1.26", "1.27"])
def test_a_vector_is_one_word_of_a_float_register(go_program: Callable[..., Path], version: str) -> None:
    """The rule's places against those that the compiler wrote down, where it did."""
    path = go_program(PROGRAM, version, experiment="simd")
    places = {}
    for function in ("main.mix", "main.wide"):
        for v in variables(path, function):
            places[function, v["name"]] = [p.get("reg", p["place"]) for p in v["abi"]]
            if v.get("location") and not v["result"]:
                assert v["abi"] == v["location"], v
    assert places == {
        ("main.mix", "x"): ["xmm0"],
        ("main.mix", "f"): ["xmm1"],
        ("main.mix", "a"): ["cfa"],
        ("main.mix", "n"): ["rax"],
        ("main.mix", "~r0"): ["xmm0"],
        ("main.mix", "~r1"): ["xmm1"],
        ("main.mix", "~r2"): ["rax"],
        ("main.wide", "p"): ["xmm0", "rax"],
        ("main.wide", "f"): ["xmm1"],
        ("main.wide", "x"): ["xmm2"],
        ("main.wide", "n"): ["rbx"],
        ("main.wide", "~r0"): ["xmm0"],
        ("main.wide", "~r1"): ["xmm1", "rax"],
    }
