# SPDX-License-Identifier: Apache-2.0
"""What scripts/test_vm.py makes of a run, and scripts/kernels_doc.py of all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tracing import until

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import kernels_doc
import test_vm as script  # puts vm/ and tests/vm/ into sys.path

# isort: split
import ahead
import children
import guest
import kernels
import needs

JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.vm.test_tracing" name="test_a" time="1"/>
<testcase classname="tests.vm.test_tracing" name="test_b[x]" time="1"><failure message="m">text</failure></testcase>
<testcase classname="tests.vm.test_tracing" name="test_c" time="1"><error message="m">text</error></testcase>
<testcase classname="tests.vm.test_tracing" name="test_d" time="1"><skipped message="why not">text</skipped></testcase>
</testsuite></testsuites>"""


def test_results_of_pytest(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    result = script.Result("6.1")
    script.read_junit(path, result)
    assert result.passed == ["test_tracing::test_a"]
    assert result.failed == ["test_tracing::test_b[x]", "test_tracing::test_c"]
    assert result.skipped == {"test_tracing::test_d": "why not"}
    assert result.problems == ["failed: test_tracing::test_b[x]", "failed: test_tracing::test_c"]


@pytest.mark.parametrize("text", ["", "<testsuites><testsuite><testcase name='a'", None])
def test_a_run_that_did_not_end(text: str | None, tmp_path: Path) -> None:
    """Its file is torn or not there: no test passed, and that is a problem whatever the status."""
    path = tmp_path / "junit.xml"
    if text is not None:
        path.write_text(text)
    for status, problem in (
        (124, "the tests did not end well: exit status 124"),
        (0, "no test ran"),
    ):
        result = script.Result("6.1", status=status)
        script.read_junit(path, result)
        assert result.problems == [problem]


def test_the_largest_count_of_a_program_stays(tmp_path: Path) -> None:
    path = tmp_path / "facts"
    counts = ([10, 500, 1000], [90, 40, 1000], [20, 700, 1000], [30, 600, 1000])
    facts = [{"name": "verifier call_few", "value": value} for value in counts]
    path.write_text("".join(json.dumps(fact) + "\n" for fact in [*facts, {"name": "other", "value": 1}]))
    result = script.Result("6.1")
    script.read_facts(path, result)
    assert result.facts == {"verifier call_few": [20, 700, 1000], "other": 1}


def test_what_a_performed_return_costs_is_told() -> None:
    """With what is asked beside it. It depends on what else the machine does, so it fails no run."""
    facts = {"performed return": {"ns": 251, "stepped_ns": 1000}}
    result = script.Result("newest", passed=["a"], facts=facts)
    assert result.problems == []
    (line,) = script.figures([result])
    assert line.endswith("251 ns performed by the program, 1000 ns single-stepped: 0.251; asked: at most 0.25")


def test_what_is_run_on_a_kernel_of_ones_own() -> None:
    """No other is booted: the tests of the machine itself fetch one, and boot it by its name."""
    for runs, more in (([], ["own"]), (["machine", "6.1"], []), (["own"], ["own"])):
        plans = script.chosen(runs, long=False, spread=False, own_kernel=True)
        assert [plan.name for plan in plans] == ["folder", *more]
    every = [plan.name for plan in script.chosen([], long=True, spread=False, own_kernel=False)]
    assert every == [plan.name for plan in script.PLANS]


def test_without_qemu_or_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told from tests that fail, before anything is built; this machine's own kernel needs neither."""
    for module in (guest, ahead):
        for name in ("build_all", "compile_all"):
            monkeypatch.setattr(module, name, lambda: None, raising=False)
    monkeypatch.setattr(script, "OUT", tmp_path)
    monkeypatch.setattr(script, "run", lambda plan, more, timeout: script.Result(plan.name, passed=["a"]))
    monkeypatch.setattr(children, "take_signals", lambda: None)
    monkeypatch.setattr(kernels, "KERNELS", {})
    monkeypatch.setattr(needs, "find_tool", lambda name: None if "qemu" in name else name)
    monkeypatch.delenv("VM_KERNEL", raising=False)
    assert script.main(["own"]) == 0
    assert script.main(["machine"]) == 3
    assert capsys.readouterr().err.startswith("error: qemu-system-x86_64 is not installed\nhint: ")
    monkeypatch.setattr(needs, "find_tool", lambda name: name)
    assert script.main(["machine"]) == 0
    assert script.main(["6.1"]) == 3
    assert capsys.readouterr().err.startswith("error: no kernel '6.1'\n")
    monkeypatch.setenv("VM_KERNEL", str(tmp_path / "none"))
    assert script.main([]) == 3
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/none is not a folder\n")


RUNS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_vm as script
import ahead, guest
guest.build_all = ahead.compile_all = lambda: None
script.require = lambda plans, own_kernel: None
script.ROOT = script.OUT = Path(sys.argv[2])
told = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
script.in_guest = lambda plan, more, timeout: ([sys.executable, "-c", told], {})
sys.exit(script.main(["--jobs", "2", "6.1", "newest", "6.12"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_machines_too(number: signal.Signals, tmp_path: Path) -> None:
    """Those that run; the third is not begun."""
    done = subprocess.Popen(
        [sys.executable, "-c", RUNS, str(Path(script.__file__).parent), str(tmp_path)],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # the tests themselves may run under nohup
    )
    outputs = [tmp_path / name / "output" for name in ("newest", "6.1")]
    pids: list[int] = []
    try:
        until(lambda: all(path.exists() and path.read_text().endswith("\n") for path in outputs), "two machines", 15)
        pids += [int(path.read_text()) for path in outputs]
        done.send_signal(number)
        assert done.wait(20) == 128 + number
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert not (tmp_path / "6.12").exists()
    finally:
        for pid in (done.pid, *pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done.wait()


def test_what_failed_is_run_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone where it is known; all where the run did not end. What passed at the second run is told."""
    monkeypatch.setattr(script, "OUT", tmp_path)
    plan = script.Plan("6.1", "6.1")
    asked = []

    def run(plan: script.Plan, more: list[str], timeout: int) -> script.Result:
        asked.append(more)
        return script.Result(plan.name, passed=["test_tracing::test_b"])

    monkeypatch.setattr(script, "run", run)
    for last, tests, passed, again in (
        (
            script.Result("6.1", status=1, passed=["test_tracing::test_a"], failed=["test_tracing::test_b"]),
            ["tests/vm/test_tracing.py::test_b"],
            ["test_tracing::test_a", "test_tracing::test_b"],
            ["test_tracing::test_b"],
        ),
        (script.Result("6.1", status=124), [], ["test_tracing::test_b"], ["all"]),
    ):
        plan.folder.mkdir(exist_ok=True)
        (plan.folder / "output").write_text("why")
        (tmp_path / "6.1.json").write_text(json.dumps(asdict(last)))
        now = script.run_again(plan, [], 1)
        assert (asked[-1], now.passed, now.again, now.problems) == (tests, passed, again, [])
        assert (tmp_path / "6.1.failed").read_text() == "why"


def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(kernels_doc.DATA.read_text())
    return loaded


def test_the_page_is_what_is_made_of_the_results() -> None:
    """Nobody has written into docs/kernels.md by hand."""
    assert kernels_doc.PAGE.read_text() == kernels_doc.page(data())


def test_every_run_that_the_page_shows_was_good() -> None:
    for run in (part for whole in data().values() for part in kernels_doc.parts(whole)):
        assert (run["status"], run["failed"]) == (0, []), run["name"]
        assert run["passed"], run["name"]


def test_a_kernel_that_allows_other_things_is_told() -> None:
    then, now = data(), data()
    (check,) = (c for c in now["6.1"]["facts"]["doctor"]["checks"] if c["name"] == "ring_buffer")
    check["ok"] = False
    now["6.1"]["facts"]["detach perf"]["seconds"] *= 2  # measured: may differ
    assert kernels_doc.differences(now, then) == ["6.1: BPF ring buffer: no, the page says yes"]
    assert kernels_doc.differences(then, then) == []


def test_what_rewriting_does_on_a_kernel() -> None:
    """Done in a run of its own; where no such test is for a kernel, that it refuses is what there is to tell."""
    told = "test_rewriting::test_refused"
    done = ["test_rewriting::test_every_call[1.15]", "test_rewriting::test_every_result[1.15]"]
    done += [f"{told}[--set-1.26]", f"{told}[--skip-1.26]"]
    run = {"name": "6.12", "passed": ["test_a"], "failed": [], "rewriting": {"passed": done, "failed": []}}
    stack, registers = (
        kernels_doc.changed("every_call", "every_result", version=version) for version in (r"1\.15", r"1\.26")
    )
    skipped = kernels_doc.changed("skipped", "skipped_where_wanted", refused="--skip")
    assert [stack(run), registers(run), skipped(run)] == ["exact", "refused", "refused"]
    assert kernels_doc.changed("every_call_that_is_wanted", version=r"1\.15")(run) == "–"
    run["rewriting"] = {"passed": done, "failed": ["test_rewriting::test_skipped[1.15]"]}
    assert skipped(run) == "**fails**"
    del run["rewriting"]
    assert stack(run) == "–"


def test_a_row_of_which_some_tests_did_not_run() -> None:
    """It is not called exact for those that did."""
    run = {"name": "6.1", "passed": ["test_rewriting::test_stacks_that_grow[1.26]"], "failed": []}
    titles = dict(kernels_doc.FEATURES)
    show = titles["`rewrite`: stacks that grow, collections, the race detector"]
    assert show(run) == "in part"
    run["passed"] += ["test_rewriting::test_stress[1.26-race]"]
    assert show(run) == "exact"
