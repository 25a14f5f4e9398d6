# SPDX-License-Identifier: Apache-2.0
"""Where float registers can be read at a return (track_return.c), and where a caller has those that it passes
(callers.c), on code written by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from c_programs import c_program

ROOT = Path(__file__).resolve().parents[2]

FRAME = "push %rbp\n mov %rsp, %rbp\n sub $0x20, %rsp"
LEAVE = "add $0x20, %rsp\n pop %rbp\n ret"

# name: (code, what is said of each return): where the site is (the RET, or bytes from the first instruction / bytes
# of the frame that are still there) and the places. The CFA is the stack pointer before the call; the frame's bytes
# are below it.
CASES: dict[str, tuple[str, str]] = {
    # ---- what the register was loaded from
    "slot": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n {LEAVE}", "+14/40 x0=cfa-40"),
    "f32slot": (f"{FRAME}\n movss 0xc(%rsp), %xmm0\n {LEAVE}", "+14/40 x0=cfa-36"),
    "slot_by_the_frame_pointer": (f"{FRAME}\n movsd -0x10(%rbp), %xmm0\n {LEAVE}", "+13/40 x0=cfa-32"),
    "slot_by_an_address": (f"{FRAME}\n lea 8(%rsp), %rcx\n movsd 8(%rcx), %xmm0\n {LEAVE}", "+18/40 x0=cfa-32"),
    "too_little_of_it": (f"{FRAME}\n movss 8(%rsp), %xmm0\n {LEAVE}", "ret"),
    "more_of_it": (f"{FRAME}\n movups 8(%rsp), %xmm0\n {LEAVE}", "+13/40 x0=cfa-40"),
    "of_the_caller": ("movsd 0x10(%rsp), %xmm0\n ret", "ret x0=cfa+8"),
    "pointer": ("movsd 0x18(%rax), %xmm0\n ret", "ret x0=[rax+24]"),
    "pointer_before": ("movsd -8(%rdx), %xmm0\n ret", "ret x0=[rdx-8]"),
    "pointer_out_of_reach": ("movsd 8(%r12), %xmm0\n ret", "ret"),
    "element": ("movsd 8(%rax,%rcx,8), %xmm0\n ret", "ret"),
    "address_of_32_bits": ("movsd 8(%eax), %xmm0\n ret", "ret"),
    "thread": ("movsd %fs:8(%rax), %xmm0\n ret", "ret"),
    "constant": ("movsd half(%rip), %xmm0\n ret", "ret x0=0x3fe0000000000000"),
    "f32constant": ("movss quarter(%rip), %xmm0\n ret", "ret x0=0x3e800000"),
    "of_the_program": ("movsd variable(%rip), %xmm0\n ret", "ret"),
    "zero": ("xorps %xmm3, %xmm3\n ret", "ret x3=0"),
    "zero_of_integers": ("pxor %xmm0, %xmm0\n ret", "ret x0=0"),
    "two_registers_are_no_zero": ("xorps %xmm1, %xmm0\n ret", "ret"),
    "register": ("movq %rbx, %xmm0\n ret", "ret x0=rbx"),
    "register_out_of_reach": ("movq %r12, %xmm0\n ret", "ret"),
    "f32register": ("movd %ecx, %xmm2\n ret", "ret x2=rcx"),
    "half_a_register": ("movd %ecx, %xmm2\n ret", "ret"),
    "stored": (f"{FRAME}\n addsd %xmm1, %xmm0\n movsd %xmm0, 8(%rsp)\n {LEAVE}", "+18/40 x0=cfa-40"),
    "stored_behind_a_pointer": ("addsd %xmm1, %xmm0\n movsd %xmm0, 8(%rax)\n ret", "ret x0=[rax+8]"),
    "stored_to_a_variable": ("addsd %xmm1, %xmm0\n movsd %xmm0, variable(%rip)\n ret", "ret"),
    "moved_to_a_register": ("addsd %xmm1, %xmm0\n movq %xmm0, %rcx\n ret", "ret x0=rcx"),
    # ---- copies and merges
    "copied": ("movq %rbx, %xmm3\n movaps %xmm3, %xmm0\n ret", "ret x0=rbx x3=rbx"),
    "copied_low": ("movq %rbx, %xmm3\n movsd %xmm3, %xmm0\n ret", "ret x0=rbx x3=rbx"),
    "f32copied_lowest": ("movd %ebx, %xmm3\n movss %xmm3, %xmm0\n ret", "ret x0=rbx x3=rbx"),
    "merged_half": ("movq %rbx, %xmm0\n movss %xmm3, %xmm0\n ret", "ret"),
    "merged_by_a_conversion": ("movq %rbx, %xmm0\n cvtsi2sd %rax, %xmm0\n ret", "ret"),
    "merged_high": ("movq %rbx, %xmm0\n movhps 8(%rax), %xmm0\n ret", "ret"),
    "computed": ("movq %rbx, %xmm0\n mulsd %xmm0, %xmm0\n ret", "ret"),
    "converted": ("movss 8(%rsp), %xmm0\n cvtss2sd %xmm0, %xmm0\n ret", "ret"),
    # ---- what was overwritten
    "slot_overwritten": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n mov %rax, 8(%rsp)\n {LEAVE}", "ret"),
    "slot_overwritten_in_part": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n movb $1, 0xf(%rsp)\n {LEAVE}", "ret"),
    "slot_beside": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n mov %rax, 0x10(%rsp)\n {LEAVE}", "+19/40 x0=cfa-40"),
    "slot_overwritten_by_16": (f"{FRAME}\n movsd 0x10(%rsp), %xmm0\n movups %xmm15, 8(%rsp)\n {LEAVE}", "ret"),
    "slot_pushed_over": ("movsd -8(%rsp), %xmm0\n push %rcx\n pop %rcx\n ret", "ret"),
    "slot_and_a_store_somewhere": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n mov %rcx, (%rdx)\n {LEAVE}", "ret"),
    "slot_and_a_variable": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n mov %rcx, variable(%rip)\n {LEAVE}", "+21/40 x0=cfa-40"),
    "slot_and_a_clearing": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n rep stosq\n {LEAVE}", "ret"),
    "pointer_and_a_variable": ("movsd 8(%rax), %xmm0\n mov %rcx, variable(%rip)\n ret", "ret"),
    "pointer_changed": ("movsd 8(%rax), %xmm0\n mov 8(%rax), %rax\n ret", "ret"),
    "pointer_changed_in_part": ("movsd 8(%rax), %xmm0\n mov $1, %ah\n ret", "ret"),
    "pointer_changed_by_a_multiplication": ("movsd 8(%rdx), %xmm0\n mul %rcx\n ret", "ret"),
    "pointer_exchanged": ("movsd 8(%rax), %xmm0\n xchg %rcx, %rax\n ret", "ret"),
    "pointer_and_an_unlock": ("movsd 8(%rax), %xmm0\n lock xadd %ecx, 16(%rbx)\n ret", "ret"),
    "pointer_and_an_exchange": ("movsd 8(%rax), %xmm0\n xchg %ecx, variable(%rip)\n ret", "ret"),
    "pointer_and_a_slot_written": (f"{FRAME}\n movsd 8(%rax), %xmm0\n mov %rcx, (%rsp)\n {LEAVE}", "ret"),
    "register_changed": ("movq %rbx, %xmm0\n add $1, %rbx\n ret", "ret"),
    "called": (f"{FRAME}\n movq %rbx, %xmm0\n movsd 8(%rsp), %xmm1\n call slot\n {LEAVE}", "ret"),
    "called_indirectly": (f"{FRAME}\n movsd 8(%rsp), %xmm1\n call *(%rdx)\n {LEAVE}", "ret"),
    "called_and_loaded": (f"{FRAME}\n call slot\n movsd 8(%rsp), %xmm1\n {LEAVE}", "+19/40 x1=cfa-40"),
    # ---- what is not known
    "avx_move": ("movq %rbx, %xmm0\n vmovsd 8(%rax), %xmm0\n ret", "ret"),
    "avx_elsewhere": ("movq %rbx, %xmm0\n vpaddd %ymm1, %ymm2, %ymm3\n ret", "ret"),
    "avx512": ("movq %rbx, %xmm0\n vpaddd %zmm1, %zmm2, %zmm0\n ret", "ret"),
    "avx512_vbmi": ("movq %rbx, %xmm0\n vpermb %zmm1, %zmm2, %zmm0\n ret", "ret"),
    "avx512_xmm": ("movq %rbx, %xmm0\n vpermb %xmm1, %xmm2, %xmm0{%k1}\n ret", "ret"),
    "fused": ("movq %rbx, %xmm0\n vfmadd231sd %xmm1, %xmm2, %xmm0\n ret", "ret"),
    "flags": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n pushf\n popf\n {LEAVE}", "ret"),
    "another_stack": ("mov %rax, %rsp\n movsd 8(%rsp), %xmm0\n mov %rcx, %rsp\n ret", "ret"),
    "stack_not_balanced": ("sub $8, %rsp\n movq %rbx, %xmm0\n ret", "ret"),
    # ---- what a signal may write to
    "below_the_stack": ("movsd -0x10(%rsp), %xmm0\n ret", "ret"),
    "frame_gone_before": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n add $0x20, %rsp\n pop %rbp\n mov %rcx, %rax\n ret", "ret"),
    "frame_gone_in_part": (
        f"{FRAME}\n movsd 8(%rsp), %xmm0\n add $0x10, %rsp\n mov %rcx, %rax\n add $0x10, %rsp\n "
        "pop %rbp\n ret",
        "ret",
    ),
    "pointer_read_before_the_frame_goes": (f"{FRAME}\n movsd 8(%rbx), %xmm0\n {LEAVE}", "+13/40 x0=[rbx+8]"),
    "pointer_that_may_lead_to_the_frame": (
        f"{FRAME}\n movsd 8(%rbx), %xmm0\n add $0x20, %rsp\n pop %rbp\n mov %rcx, %rax\n ret",
        "ret",
    ),
    "register_after_the_frame": (f"{FRAME}\n movq %rbx, %xmm0\n {LEAVE}", "ret x0=rbx"),
    "frame_of_128": ("sub $0x80, %rsp\n movsd (%rsp), %xmm0\n sub $-128, %rsp\n ret", "+12/128 x0=cfa-136"),
    # ---- several ways
    "joined_same": (
        f"{FRAME}\n test %rax, %rax\n je 1f\n movsd 8(%rsp), %xmm0\n "
        f"jmp 2f\n1: movsd 8(%rsp), %xmm0\n2: {LEAVE}",
        "+27/40 x0=cfa-40",
    ),
    "joined_different": (
        f"{FRAME}\n test %rax, %rax\n je 1f\n movsd 8(%rsp), %xmm0\n "
        f"jmp 2f\n1: movsd 0x10(%rsp), %xmm0\n2: {LEAVE}",
        "ret",
    ),
    "joined_with_a_value": (
        "test %rax, %rax\n je 1f\n movq %rbx, %xmm0\n jmp 2f\n1: addsd %xmm1, %xmm0\n2: ret",
        "ret",
    ),
    "joined_constants": ("xorps %xmm0, %xmm0\n test %rax, %rax\n je 1f\n movsd half(%rip), %xmm0\n1: ret", "ret"),
    "two_returns": (
        "test %rax, %rax\n je 1f\n movq %rbx, %xmm0\n ret\n1: movq %rcx, %xmm0\n ret",
        "ret x0=rbx; ret x0=rcx",
    ),
    "kept_in_a_loop": ("movq %rbx, %xmm0\n1: dec %rcx\n jne 1b\n ret", "ret x0=rbx"),
    "lost_in_a_loop": ("movq %rbx, %xmm0\n1: dec %rcx\n je 2f\n inc %rbx\n jmp 1b\n2: ret", "ret"),
    "jumped_to_the_epilogue": (
        f"{FRAME}\n movsd 8(%rsp), %xmm0\n test %rax, %rax\n je 1f\n addsd %xmm0, %xmm0\n1: {LEAVE}",
        "ret",
    ),
    "jumped_into_the_epilogue": (
        f"{FRAME}\n movsd 8(%rsp), %xmm0\n test %rax, %rax\n je 1f\n add $0x20, %rsp\n "
        "jmp 2f\n1: add $0x20, %rsp\n2: pop %rbp\n ret",
        "ret",
    ),
    "jump_through_a_table": ("movq %rbx, %xmm0\n test %rax, %rax\n je 1f\n jmp *(%rcx,%rax,8)\n1: ret", "ret"),
    "never_reached": ("ud2\n movq %rbx, %xmm0\n ret", "ret"),
    # ---- what a caller has: bytes from the stack pointer before the call / how many
    "calls_slot": (f"{FRAME}\n movsd 8(%rsp), %xmm0\n call slot\n {LEAVE}", "call x0=sp+8/8"),
    "calls_half": (f"{FRAME}\n movss 0xc(%rsp), %xmm1\n call slot\n {LEAVE}", "call x1=sp+12/4"),
    "calls_constant": ("movsd half(%rip), %xmm2\n call slot\n ret", "call x2=0x3fe0000000000000/8"),
    "calls_zero": ("xorps %xmm0, %xmm0\n call slot\n ret", "call x0=0/8"),
    "calls_a_variable": ("movsd variable(%rip), %xmm2\n call slot\n ret", "call"),
    "calls_two": (
        "movsd 8(%rsp), %xmm0\n movss 4(%rsp), %xmm1\n call slot\n movsd 16(%rsp), %xmm0\n call f32slot\n ret",
        "call x0=sp+8/8 x1=sp+4/4; call x0=sp+16/8",
    ),
    "calls_from_an_argument": ("movsd 0x30(%rsp), %xmm0\n sub $16, %rsp\n call slot\n ret", "call x0=sp+64/8"),
    "calls_from_below": ("movsd -8(%rsp), %xmm0\n call slot\n ret", "call"),
    "calls_from_what_was_let_go": ("movsd (%rsp), %xmm0\n add $16, %rsp\n call slot\n ret", "call"),
    "calls_pointer": ("movsd 8(%rcx), %xmm0\n call slot\n ret", "call"),
    "calls_frame_pointer": ("movsd -8(%rbp), %xmm0\n call slot\n ret", "call"),
    "calls_register": ("movq %rcx, %xmm0\n call slot\n ret", "call"),
    "calls_copied": ("movsd 8(%rsp), %xmm3\n movaps %xmm3, %xmm0\n call slot\n ret", "call x0=sp+8/8 x3=sp+8/8"),
    "calls_stored": ("addsd %xmm1, %xmm0\n movsd %xmm0, 8(%rsp)\n call slot\n ret", "call x0=sp+8/8"),
    "calls_computed": ("movsd 8(%rsp), %xmm0\n addsd %xmm0, %xmm0\n call slot\n ret", "call"),
    "calls_overwritten": ("movsd 8(%rsp), %xmm0\n mov %rax, 8(%rsp)\n call slot\n ret", "call"),
    "calls_and_a_store_somewhere": ("movsd 8(%rsp), %xmm0\n mov %rax, 8(%rcx)\n call slot\n ret", "call"),
    "calls_and_a_store_beside": ("movsd 8(%rsp), %xmm0\n mov %rax, 16(%rsp)\n call slot\n ret", "call x0=sp+8/8"),
    "calls_after_another_call": ("movsd 8(%rsp), %xmm0\n call slot\n call slot\n ret", "call x0=sp+8/8; call"),
    "calls_after_an_indirect_call": ("movsd 8(%rsp), %xmm0\n call *%rcx\n call slot\n ret", "call"),
    "calls_only_indirectly": ("movsd 8(%rsp), %xmm0\n call *%rcx\n ret", ""),
    "calls_where_a_branch_comes_in": ("movsd 8(%rsp), %xmm0\n1: call slot\n test %rax, %rax\n jne 1b\n ret", "call"),
    "calls_behind_where_one_comes_in": (
        "movsd 16(%rsp), %xmm1\n1: movsd 8(%rsp), %xmm0\n call slot\n test %rax, %rax\n jne 1b\n ret",
        "call x0=sp+8/8",
    ),
    "calls_behind_a_branch": ("movsd 8(%rsp), %xmm0\n test %rax, %rax\n je 1f\n call slot\n1: ret", "call"),
    "calls_beside_a_table": (
        "movsd 8(%rsp), %xmm0\n call slot\n test %rax, %rax\n je 1f\n jmp *(%rcx,%rax,8)\n1: ret",
        "call",
    ),
    "calls_behind_the_unknown": ("movsd 8(%rsp), %xmm0\n vpaddd %ymm1, %ymm2, %ymm3\n call slot\n ret", "call"),
    "calls_on_another_stack": ("mov %rax, %rsp\n movsd 8(%rsp), %xmm0\n call slot\n ret", "call"),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each function."""
    folder = tmp_path_factory.mktemp("floats")
    lines = [".text"]
    for name, (code, _) in CASES.items():
        label = name
        lines += [f".globl {label}", f".type {label}, @function", f"{label}: {code}", f".size {label}, . - {label}"]
    lines += ['.section .rodata,"a"', ".balign 8", "half: .double 0.5", "quarter: .float 0.25"]
    lines += [".data", ".balign 8", "variable: .double 0.5", ""]
    (folder / "code.s").write_text("\n".join(lines))
    for command in (["as", "-o", "code.o", "code.s"], ["ld", "-e", "slot", "-o", "code", "code.o"]):
        subprocess.run(command, cwd=folder, check=True)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libelf", "libdw", "capstone", "libdeflate"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    sources = [p for p in sorted((ROOT / "offsets").glob("*.c")) if p.name != "main.c" and "cmd_" not in p.name]
    options = ["-O0", "-g", f"-I{ROOT / 'offsets'}", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    harness = c_program(folder, [ROOT / "tests/unit/float_places_harness.c", *sources], options, flags)
    done = subprocess.run([harness, folder / "code"], stdout=subprocess.PIPE, text=True, check=True)
    parts = (line.partition(":") for line in done.stdout.splitlines())
    return {name: text.strip().removesuffix(";") for name, _, text in parts}


@pytest.mark.parametrize("name", list(CASES))
def test_a_function(said: dict[str, str], name: str) -> None:
    assert said[name] == CASES[name][1]


# The sixteenth result comes back at the bottom of the caller's frame, where `checked` has room for its first argument.
ROOM = """package main

import "fmt"

//go:noinline
func sixteen(v float64) (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p float64) {
	return v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v + 1
}

//go:noinline
func checked(a, b float64, n int) float64 {
	if n > 1000 {
		fmt.Println(n)
	}
	return a * b
}

//go:noinline
func leaf(a, b float64) float64 { return a * b }

//go:noinline
func toChecked(v float64, n int) float64 {
	a, _, _, _, _, _, _, _, _, _, _, _, _, _, _, p := sixteen(v)
	return checked(a, p, n)
}

//go:noinline
func toLeaf(v float64) float64 {
	a, _, _, _, _, _, _, _, _, _, _, _, _, _, _, p := sixteen(v)
	return leaf(a, p)
}

//go:noinline
func keeps(v float64, n int) float64 {
	x := leaf(v, 2)
	return checked(v, 0.5, n) + x
}

func main() { fmt.Println(toChecked(1, 2), toLeaf(3), keeps(4, 5)) }
"""


@pytest.mark.parametrize("version", ["1.17", "1.26"])
def test_what_a_stack_check_writes_to_is_not_the_callers(
    version: str, go_program: Callable[..., Path], offsets_cmd: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A function whose stack has to grow puts its arguments there first, and comes to its entry site after that."""
    path = go_program(ROOM, version)

    def known(function: str) -> list[tuple[int, str]]:
        (f,) = json.loads(offsets_cmd("plan", path, function).stdout)["functions"]
        return [(c["register"], c["at"]["kind"]) for c in f["sites"][0].get("callers", [])]

    assert known("main.checked") == [(0, "chunk"), (1, "constant")]  # of keeps alone
    assert known("main.leaf") == [(1, "chunk"), (0, "chunk"), (1, "constant")]
