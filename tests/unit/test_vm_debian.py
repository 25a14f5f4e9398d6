# SPDX-License-Identifier: Apache-2.0
"""How vm/ gets packages of another Debian release. No network: what apt prints is given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import debian
import kernels
import needs

PRINTED_URIS = """\
'https://packages.example.org/tool/dists/bookworm/InRelease' a 0
'http://mirror.example.net/debian-security/dists/bookworm-security/InRelease' b 0
'http://mirror.example.net/debian/dists/bookworm-updates/InRelease' c 0
'http://other.example.net/debian/dists/bookworm/InRelease' d 0
'http://mirror.example.net/debian/dists/bookworm/main/binary-amd64/Packages.xz' e 0
"""

# One package holds everything, as in Debian 12 and its backports.
BACKPORTS = {
    "linux-image-amd64": """\
Package: linux-image-amd64
Version: 6.12.95-1~bpo12+1
Depends: linux-image-6.12.95+deb12-amd64 (= 6.12.95-1~bpo12+1)
Size: 1484
""",
    "linux-image-6.12.95+deb12-amd64": """\
Package: linux-image-6.12.95+deb12-amd64
Version: 6.12.95-1~bpo12+1
Installed-Size: 106911
Depends: kmod, initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Description: Linux 6.12 for 64-bit PCs (signed)
 The Linux kernel 6.12 and modules.
 Depends: this line belongs to the description
Size: 106422608

Package: linux-image-6.12.95+deb12-amd64
Version: 6.12.1-1
""",
}

# The image package only ties together those that hold something.
SID = {
    "linux-image-amd64": """\
Package: linux-image-amd64
Version: 7.2.13-1
Depends: linux-base-amd64 (= 7.2.13-1), linux-image-7.2.13+deb14-amd64 (= 7.2.13-1)
""",
    "linux-image-7.2.13+deb14-amd64": """\
Package: linux-image-7.2.13+deb14-amd64
Version: 7.2.13-1
Installed-Size: 15
Depends: dracut | linux-initramfs-tool, linux-base-7.2.13+deb14-amd64 (= 7.2.13-1), \
linux-binary-7.2.13+deb14-amd64 (= 7.2.13-1), linux-modules-7.2.13+deb14-amd64 (= 7.2.13-1)
Size: 1892
""",
    "linux-base-7.2.13+deb14-amd64": """\
Package: linux-base-7.2.13+deb14-amd64
Version: 7.2.13-1
Installed-Size: 963
Size: 469412
""",
    "linux-binary-7.2.13+deb14-amd64": """\
Package: linux-binary-7.2.13+deb14-amd64
Version: 7.2.13-1
Installed-Size: 14220
Size: 14252084
""",
    "linux-modules-7.2.13+deb14-amd64": """\
Package: linux-modules-7.2.13+deb14-amd64
Version: 7.2.13-1
Installed-Size: 109569
Size: 110095088
""",
}


def done(status: int, stderr: str = "", stdout: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(["program"], status, stdout, stderr)


def shower(packages: dict[str, str]) -> Callable[[str], str]:
    return lambda name: packages.get(name, "")


# Choosing packages


def test_mirror_is_the_first_of_debian_proper() -> None:
    assert debian.choose_mirror(PRINTED_URIS) == "http://mirror.example.net/debian"


def test_no_mirror_among_other_repositories() -> None:
    printed = "\n".join(PRINTED_URIS.splitlines()[:2])
    assert debian.choose_mirror(printed) is None
    assert debian.choose_mirror("") is None


def test_mirror_of_the_user_goes_first() -> None:
    mirror = debian.find_mirror({"VM_MIRROR": "http://mine.example.org/debian/"})
    assert mirror == "http://mine.example.org/debian"


def test_a_machine_without_a_debian_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "program", lambda name: name)
    monkeypatch.setattr(debian, "run_tool", lambda command: done(0))
    with pytest.raises(needs.VmError) as caught:
        debian.find_mirror({})
    assert caught.value.report() == (
        "error: apt on this machine is not set up with a Debian mirror\n"
        "hint: set VM_MIRROR to the address of one, or VM_KERNEL to a folder with a local kernel"
    )


def test_choice_of_a_kernel_in_one_package() -> None:
    wanted = kernels.KERNELS["6.12"]
    assert debian.choose("bookworm-backports", wanted, shower(BACKPORTS)) == debian.Choice(
        suite="bookworm-backports",
        package="linux-image-6.12.95+deb12-amd64",
        version="6.12.95-1~bpo12+1",
        release="6.12.95+deb12-amd64",
        packages=("linux-image-6.12.95+deb12-amd64=6.12.95-1~bpo12+1",),
        download_bytes=106422608,
        unpacked_bytes=106911 * 1024,
    )


def test_choice_of_a_kernel_in_several_packages() -> None:
    choice = debian.choose("sid", kernels.KERNELS["newest"], shower(SID))
    assert choice is not None
    assert choice.release == "7.2.13+deb14-amd64"
    assert choice.packages == (
        "linux-image-7.2.13+deb14-amd64=7.2.13-1",
        "linux-base-7.2.13+deb14-amd64=7.2.13-1",
        "linux-binary-7.2.13+deb14-amd64=7.2.13-1",
        "linux-modules-7.2.13+deb14-amd64=7.2.13-1",
    )
    assert choice.download_bytes == 1892 + 469412 + 14252084 + 110095088
    assert choice.unpacked_bytes == (15 + 963 + 14220 + 109569) * 1024


@pytest.mark.parametrize("packages", [SID, {}, {"linux-image-amd64": BACKPORTS["linux-image-amd64"]}])
def test_no_choice_where_the_kernel_is_not(packages: dict[str, str]) -> None:
    assert debian.choose("trixie", kernels.KERNELS["6.12"], shower(packages)) is None


def test_version_6_1_is_not_6_12() -> None:
    assert debian.choose("bookworm", kernels.KERNELS["6.1"], shower(BACKPORTS)) is None


def test_of_alternatives_the_first() -> None:
    stanza = {"Depends": "kmod, dracut | initramfs-tools (>= 0.120), linux-base (>= 4.3~),"}
    assert debian.dependencies(stanza) == ["kmod", "dracut", "linux-base"]
    assert debian.dependencies({}) == []


def test_apt_is_kept_in_its_folder(tmp_path: Path) -> None:
    config = debian.prepare(tmp_path, "http://mirror.example.net/debian", "sid")
    source = (tmp_path / "sources.list").read_text()
    assert source.startswith("deb [target=Packages")
    assert source.endswith("] http://mirror.example.net/debian sid main\n")
    if shutil.which("apt-config") is None:
        pytest.skip("skipped, because apt is not installed")
    dump = subprocess.run(["apt-config", "-c", str(config), "dump"], capture_output=True, text=True, check=True).stdout
    values = dict(line.rstrip(";").split(" ", 1) for line in dump.splitlines())
    assert values["Dir::State::lists"] == f'"{tmp_path}/state/lists"'
    assert values["Dir::State::status"] == f'"{tmp_path}/state/status"'
    assert values["Dir::Cache"] == f'"{tmp_path}/cache"'
    assert values["Dir::Etc::sourcelist"] == f'"{tmp_path}/sources.list"'
    assert values["Dir::Etc::sourceparts"] == '"-"'
    assert not [name for name in values if name.startswith("APT::Update::Post-Invoke") and name.endswith("::")]


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            "W: careful\nE: Failed to fetch http://x  404\nE: Some\n",
            "Failed to fetch http://x  404",
        ),
        (
            "dpkg-deb: error: 'x.deb' is not a Debian format archive\n",
            "'x.deb' is not a Debian format archive",
        ),
        ("one\n\ntwo\n", "two"),
        ("", ""),
    ],
)
def test_reason_of_a_failure(stderr: str, expected: str) -> None:
    assert debian.reason(stderr) == expected


@pytest.mark.parametrize(
    "stderr",
    [
        "E: You don't have enough free space in /x/.\n",
        "dpkg-deb: error: cannot copy: No space left on device\n",
        "E: Write error - write (28: No space left on device)\n",
    ],
)
def test_full_disk_is_told_in_one_line(stderr: str) -> None:
    with pytest.raises(needs.NoSpaceError) as caught:
        debian.check(done(100, stderr), "x.deb could not be unpacked")
    assert caught.value.report() == (
        "error: x.deb could not be unpacked: no space left on the disk of the cache\n"
        "hint: VM_CACHE=FOLDER puts the cache on another disk"
    )


def test_failure_without_words() -> None:
    with pytest.raises(needs.VmError, match=r"^it failed: exit status 7$"):
        debian.check(done(7), "it failed")
    debian.check(done(0, "W: only a warning"), "it failed")


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, dict[str, str]]], list[str]]:
    """Stands for apt with the packages of some suites; gives the list of what was called."""

    def install(suites: dict[str, dict[str, str]]) -> list[str]:
        calls: list[str] = []

        def run_tool(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
            suite = Path(command[2]).parent.name
            calls.append(f"{suite} {command[-1]}")
            if suite not in suites:
                return done(100, "E: Could not resolve the mirror's name")
            if command[3] == "show":
                return done(0, stdout=suites[suite].get(command[-1], ""))
            if "download" in command and cwd is not None:
                (cwd / "kernel.deb").write_bytes(b"deb")
            return done(0)

        monkeypatch.setattr(debian, "program", lambda name: name)
        monkeypatch.setattr(debian, "run_tool", run_tool)
        monkeypatch.setattr(debian, "find_mirror", lambda: "http://mirror.example.net/debian")
        return calls

    return install


Apt = Callable[[dict[str, dict[str, str]]], "list[str]"]


def test_second_suite_when_the_first_is_gone(apt: Apt, tmp_path: Path) -> None:
    calls = apt({"trixie": BACKPORTS})
    choice = debian.download(kernels.KERNELS["6.12"], tmp_path, say=lambda text: None)
    assert choice.suite == "trixie"
    assert [path.name for path in (tmp_path / "debs").iterdir()] == ["kernel.deb"]
    assert calls == [
        "bookworm-backports update",
        "trixie update",
        "trixie linux-image-amd64",
        "trixie linux-image-6.12.95+deb12-amd64",
        "trixie linux-image-6.12.95+deb12-amd64=6.12.95-1~bpo12+1",
    ]


def test_no_suite_has_it(apt: Apt, tmp_path: Path) -> None:
    apt({"trixie": SID})
    with pytest.raises(needs.VmError) as caught:
        debian.download(kernels.KERNELS["6.12"], tmp_path, say=lambda text: None)
    assert str(caught.value) == (
        "the list of packages of bookworm-backports could not be fetched: "
        "Could not resolve the mirror's name; trixie has no kernel 6.12."
    )


def test_disk_that_is_too_small(apt: Apt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = apt({"sid": SID})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=7 << 20))
    with pytest.raises(needs.NoSpaceError, match=r"^360 MiB are needed and 7 MiB are free in "):
        debian.download(kernels.KERNELS["newest"], tmp_path / "x", say=lambda text: None)
    assert not [call for call in calls if "=" in call], "something was downloaded"


def test_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_tool", lambda name: None)
    with pytest.raises(needs.VmError, match=r"^apt-get is not installed$"):
        debian.program("apt-get")
