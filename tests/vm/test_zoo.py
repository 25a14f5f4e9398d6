# SPDX-License-Identifier: Apache-2.0
"""A spread of `make matrix` (tests/matrix) on each kernel: no value is wrong, what is missing is missing for reasons
that are known of the machine on which expected.json was written, and for no others."""

from __future__ import annotations

import json

import guest
import pytest
import zoo
from compare import report

pytestmark = pytest.mark.vm

EXPECTED = json.loads((zoo.HERE / "expected.json").read_text())


@pytest.mark.timeout(600)  # an emulated processor runs the zoo, the tracer and the comparison
@pytest.mark.parametrize(("version", "build"), guest.ZOO)
def test_zoo(version: str, build: str) -> None:
    # one by one, where there are perf events alone, hundreds of probes must be asked for
    force = () if guest.allowed("cookie_multi") else ("--force",)
    tally = zoo.check(version, build, rounds=guest.ZOO_ROUNDS, options=force)
    assert not tally.wrong, report(tally)
    known = EXPECTED[f"{version} {build}"]
    assert not set(tally.honest) - set(known["honest"]), report(tally)
    assert tally.calls == guest.ZOO_CALLS[version], report(tally)
    guest.note(f"zoo {version} {build}", [tally.calls, tally.right, sum(tally.honest.values())])
