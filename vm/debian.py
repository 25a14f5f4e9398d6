# SPDX-License-Identifier: Apache-2.0
"""Packages of any Debian release through apt-get, in a folder that the system's apt never sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

from needs import NoSpaceError, VmError, find_tool, require_tools, run_tool

# The package that always depends on the newest kernel of its suite.
META_PACKAGE = "linux-image-amd64"

_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)
_TOOLS = {"apt-get": "apt", "apt-cache": "apt", "dpkg": "dpkg"}

# While a package is unpacked, it and its files are there at once; the lists of sid come on top.
_LISTS_BYTES = 120 << 20

_NO_SPACE = re.compile(r"no space left on device|enough free space", re.IGNORECASE)
_RELEASE_URI = re.compile(r"^'(\S+?)/+dists/([^'\s]+)/InRelease'")
_IMAGE = re.compile(r"^linux-image-(\d\S*)$")


@dataclass(frozen=True)
class Wanted:
    """Where to look for a kernel: suites, tried in this order, and the start of its version."""

    suites: tuple[str, ...]
    version_prefix: str


@dataclass(frozen=True)
class Choice:
    """The packages that make up one kernel."""

    suite: str
    package: str  # the one that is named after the kernel
    version: str
    release: str
    packages: tuple[str, ...]  # all to be unpacked, as NAME=VERSION
    download_bytes: int
    unpacked_bytes: int


def program(name: str) -> str:
    """The path of one of apt's or dpkg's programs. Raises VmError where there is none."""
    require_tools({name: _TOOLS[name]})
    path = find_tool(name)
    assert path is not None
    return path


def check(done: subprocess.CompletedProcess[str], what: str) -> None:
    """Raises VmError with `what` and the program's own reason if it failed."""
    if done.returncode == 0:
        return
    if _NO_SPACE.search(done.stderr + done.stdout):
        raise NoSpaceError(f"{what}: no space left on the disk of the cache")
    raise VmError(f"{what}: {reason(done.stderr) or f'exit status {done.returncode}'}")


def reason(stderr: str) -> str:
    """The first error line of apt or dpkg, without its mark; else the last line with anything."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        match = re.match(r"(?:E|Err|dpkg\S*: error):? (.*)", line)
        if match:
            return match.group(1)
    return lines[-1] if lines else ""


def choose_mirror(printed: str) -> str | None:
    """The machine's own Debian mirror, from what `apt-get --print-uris update` prints.

    A repository of Debian proper ends in /debian; those of security updates have no other
    suites, and repositories of others can name their suites as Debian does. None if there is none.
    """
    for line in printed.splitlines():
        match = _RELEASE_URI.match(line)
        if match and match.group(1).endswith("/debian") and "security" not in match.group(2):
            return match.group(1)
    return None


def find_mirror(environ: Mapping[str, str] = os.environ) -> str:
    """VM_MIRROR, else the mirror that this machine's apt is set up with. Raises VmError."""
    own = environ.get("VM_MIRROR")
    if own:
        return own.rstrip("/")
    done = run_tool([program("apt-get"), "--print-uris", "update"])
    mirror = choose_mirror(done.stdout)
    if mirror is None:
        raise VmError(
            "apt on this machine is not set up with a Debian mirror",
            "set VM_MIRROR to the address of one, or VM_KERNEL to a folder with a local kernel",
        )
    return mirror


def apt_config(folder: Path) -> str:
    """A configuration that turns every path of apt into `folder`, and off what others hooked in."""
    return f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "-";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
"""


def prepare(folder: Path, mirror: str, suite: str) -> Path:
    """Makes an apt folder of its own for one suite; returns its configuration file."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "state/status").touch()
    keyring = next((path for path in _KEYRINGS if Path(path).is_file()), None)
    # Other indexes that the system's apt may be set up to fetch (Contents, icons) are left out.
    options = "target=Packages" + (f" signed-by={keyring}" if keyring else "")
    (folder / "sources.list").write_text(f"deb [{options}] {mirror} {suite} main\n")
    config = folder / "apt.conf"
    config.write_text(apt_config(folder))
    return config


def parse_stanza(text: str) -> dict[str, str]:
    """The first paragraph of `apt-cache show`, its one-line fields."""
    fields: dict[str, str] = {}
    for line in text.lstrip("\n").splitlines():
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields[name] = value.strip()
    return fields


def dependencies(stanza: Mapping[str, str]) -> list[str]:
    """Names of the packages that a stanza depends on; of alternatives the first."""
    parts = stanza.get("Depends", "").split(",")
    return [words[0] for words in (part.split() for part in parts) if words]


def kernel_release(meta: Mapping[str, str]) -> str | None:
    """The release (as `uname -r` has it) of the kernel that the meta package stands for."""
    for name in dependencies(meta):
        match = _IMAGE.match(name)
        if match:
            return match.group(1)
    return None


def choose(suite: str, wanted: Wanted, show: Callable[[str], str]) -> Choice | None:
    """What to fetch of a suite; None if its kernel is not the one that is wanted.

    `show` gives what `apt-cache show` prints for a package. Up to Debian 13 the kernel is one
    package; later the image package only depends on those with the image, the modules and the
    lists of modules (linux-binary-, linux-modules-, linux-base-RELEASE).
    """
    release = kernel_release(parse_stanza(show(META_PACKAGE)))
    if release is None:
        return None
    package = f"linux-image-{release}"
    image = parse_stanza(show(package))
    version = image.get("Version", "")
    if not version or not version.startswith(wanted.version_prefix):
        return None
    stanzas = [image]
    for name in dependencies(image):
        if name.startswith("linux-") and name.endswith(f"-{release}"):
            stanzas.append(parse_stanza(show(name)))
    return Choice(
        suite=suite,
        package=package,
        version=version,
        release=release,
        packages=tuple(f"{s.get('Package')}={s.get('Version')}" for s in stanzas),
        download_bytes=sum(int(s.get("Size", "0")) for s in stanzas),
        unpacked_bytes=sum(int(s.get("Installed-Size", "0")) << 10 for s in stanzas),
    )


def download(wanted: Wanted, folder: Path, say: Callable[[str], None]) -> Choice:
    """Downloads a kernel's packages into `folder`/debs; apt's own files go to `folder`/apt.

    Raises VmError when no suite has the kernel, the network fails or the disk is too small.
    """
    debs = folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    mirror = find_mirror()
    problems = []
    for suite in wanted.suites:
        apt = folder / "apt" / suite
        config = prepare(apt, mirror, suite)
        say(f"reading what Debian's {suite} has")
        try:
            done = run_tool([program("apt-get"), "-c", str(config), "-q", "update"])
            check(done, f"the list of packages of {suite} could not be fetched")
            choice = choose(suite, wanted, partial(_show, config))
        except NoSpaceError:
            raise
        except VmError as error:
            problems.append(str(error))
            continue
        if choice is None:
            problems.append(f"{suite} has no kernel {wanted.version_prefix or 'at all'}")
            continue
        _require_space(folder, choice)
        say(f"fetching {choice.package} {choice.version} ({choice.download_bytes >> 20} MiB)")
        command = [
            program("apt-get"),
            "-c",
            str(config),
            "-q",
            "download",
            *choice.packages,
        ]
        check(
            run_tool(command, cwd=debs),
            f"the package {choice.package} could not be fetched",
        )
        return choice
    raise VmError("; ".join(problems))


def _show(config: Path, package: str) -> str:
    command = [
        program("apt-cache"),
        "-c",
        str(config),
        "show",
        "--no-all-versions",
        package,
    ]
    done = run_tool(command)
    return done.stdout if done.returncode == 0 else ""


def _require_space(folder: Path, choice: Choice) -> None:
    needed = choice.download_bytes + choice.unpacked_bytes + _LISTS_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoSpaceError(f"{needed >> 20} MiB are needed and {free >> 20} MiB are free in {folder.parent}")
