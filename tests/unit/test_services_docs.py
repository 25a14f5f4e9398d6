# SPDX-License-Identifier: Apache-2.0
"""docs/services.md is what the rules make; the examples of deployments are accepted by the program that they start."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

from tracing import ROOT

from tracer import cli
from tracer.discover.criteria import Criterion, parse_file
from tracer.discover.ports import parse_ports
from tracer.services.rules import all_rules

DEPLOY = ROOT / "examples" / "deploy"


def test_the_page_is_made_from_the_rules() -> None:
    run = subprocess.run([sys.executable, ROOT / "scripts" / "services_doc.py", "--check"], check=False)
    assert run.returncode == 0, "docs/services.md is not what the rules say: make services-doc"
    page = (ROOT / "docs" / "services.md").read_text()
    for rule in all_rules():
        assert f"### {rule.name}\n" in page
        assert all(f"`{function}`" in page for hook in rule.hooks for function in hook.functions)


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in all_rules()]
    assert len(set(names)) == len(names) == 8


def test_the_criteria_of_the_unit() -> None:
    assert parse_file(str(DEPLOY / "gopherscope.ini")) == [
        Criterion(parse_ports("8080"), re.compile("/shop-.*"), name="shop"),
        Criterion(parse_ports("8000-8999"), name="others"),
    ]


def test_the_commands_of_the_deployments() -> None:
    unit = (DEPLOY / "gopherscope.service").read_text()
    (command,) = re.findall(r"^ExecStart=/usr/local/bin/gopherscope (.*)$", unit, re.MULTILINE)
    (words,) = re.findall(r"^ +args: \[(.*)\]$", (DEPLOY / "daemonset.yaml").read_text(), re.MULTILINE)
    for given in (shlex.split(command), [word.strip().strip('"') for word in words.split(",")]):
        verb, rest = cli.split_verb(given)
        assert verb == "services"
        cli.make_parser(verb).parse_args(rest)
