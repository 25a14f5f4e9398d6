# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels, unpacked into a cache without being installed.

    python3 vm/kernels.py [--refresh] [--list] [NAME...]

A kernel lies in CACHE/kernels/NAME, with NAME.json beside it that tells what it is. It counts as
cached only when both are there. Nothing is asked of the network then, so `newest` stays what it
was until --refresh.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import debian
from needs import NoSpaceError, VmError, cache_dir, run_tool, tool

LOCAL_HINT = (
    "VM_KERNEL=FOLDER takes a local kernel instead: a folder with an unpacked kernel package "
    "(vmlinuz, and lib/modules or usr/lib/modules)"
)

# Suites that have each kernel, the preferred first, and how its version starts.
KERNELS: Mapping[str, debian.Wanted] = {
    "6.1": debian.Wanted(("bookworm",), "6.1."),
    "6.12": debian.Wanted(("bookworm-backports", "trixie"), "6.12."),
    "newest": debian.Wanted(("sid",), ""),
}


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: where its image and its modules are."""

    name: str  # 6.1, 6.12, newest; for a folder of the user's own, its path
    release: str  # what `uname -r` says in the guest
    image: Path
    modules: Path  # the folder RELEASE under lib/modules


@dataclass(frozen=True)
class Record:
    """What the JSON file beside a cached kernel tells."""

    name: str
    package: str
    version: str  # Debian's version of the package
    release: str
    suite: str


def locate(folder: Path, name: str) -> Kernel:
    """The one kernel under `folder`. Raises VmError if there is none, or more than one."""
    if not folder.is_dir():
        raise VmError(f"{folder} is not a folder", LOCAL_HINT)
    found = {}
    for base in (folder / "lib/modules", folder / "usr/lib/modules"):
        for modules in sorted(base.glob("*")) if base.is_dir() else ():
            if (modules / "kernel").is_dir():
                found[modules.name] = modules.resolve()
    if not found:
        raise VmError(
            f"{folder} has no lib/modules/RELEASE/kernel or usr/lib/modules/…",
            LOCAL_HINT,
        )
    if len(found) > 1:
        raise VmError(
            f"{folder} holds {len(found)} kernels ({', '.join(found)})",
            "unpack one kernel's packages into a folder of their own",
        )
    [(release, modules)] = found.items()
    places = [
        folder / "boot" / f"vmlinuz-{release}",
        modules / "vmlinuz",
        *sorted((folder / "boot").glob("vmlinuz*")),
        *sorted(folder.glob("vmlinuz*")),
        folder / "bzImage",
    ]
    for image in places:
        if image.is_file():
            return Kernel(name, release, image.resolve(), modules)
    raise VmError(f"{folder} has modules of {release} but no vmlinuz", LOCAL_HINT)


def from_environment(environ: Mapping[str, str] = os.environ) -> Kernel | None:
    """The kernel in VM_KERNEL, None if that is unset. Raises VmError if there is no kernel."""
    folder = environ.get("VM_KERNEL")
    if not folder:
        return None
    path = Path(folder).absolute()
    return locate(path, str(path))


def read_record(kernels: Path, name: str) -> Record | None:
    """The record of a cached kernel; None if there is none or it cannot be understood."""
    try:
        data = json.loads((kernels / f"{name}.json").read_text())
        fields = {key: str(data[key]) for key in Record.__dataclass_fields__}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Record(**fields)


def cached(kernels: Path, name: str) -> Kernel | None:
    """The kernel NAME if it is in the cache whole, else None."""
    record = read_record(kernels, name)
    if record is None:
        return None
    try:
        kernel = locate(kernels / name, name)
    except VmError:
        return None
    return kernel if kernel.release == record.release else None


@contextlib.contextmanager
def use(name: str, cache: Path | None = None, refresh: bool = False) -> Iterator[Kernel]:
    """The kernel NAME, fetched if it is not in the cache (or if `refresh`).

    A shared lock on it is held until the end of the `with`, so that no other run replaces it
    meanwhile. Raises VmError if it cannot be had.
    """
    if name not in KERNELS:
        raise VmError(f"no kernel {name!r}", f"there are: {', '.join(KERNELS)}")
    kernels = (cache or cache_dir()) / "kernels"
    try:
        kernels.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(os.open(kernels / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o666))
    except OSError as error:
        kernel = cached(kernels, name)  # a cache on a read-only disk
        if kernel is None or refresh:
            raise VmError(
                f"the cache {kernels} cannot be written: {error.strerror}",
                "VM_CACHE=FOLDER puts it elsewhere",
            ) from None
        yield kernel
        return
    with lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            kernel = cached(kernels, name)
            if kernel is not None and not refresh:
                yield kernel
                return
            _lock_alone(lock.fileno(), name)
            # Another run may have been first, while nobody held the lock.
            if refresh or cached(kernels, name) is None:
                fetch(name, kernels)
                refresh = False


def _lock_alone(lock: int, name: str) -> None:
    """Turns the lock into one that nobody shares, and says so when that means to wait."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"vm: kernel {name} is in use by another run: waiting", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def fetch(name: str, kernels: Path) -> Record:
    """Downloads and unpacks the kernel NAME into the folder `kernels`; the lock must be held.

    Everything happens in a folder beside the final one, which is renamed when it is whole and
    removed when anything fails. Raises VmError.
    """
    wanted = KERNELS[name]
    partial, old = kernels / f".{name}.partial", kernels / f".{name}.old"
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        tree = partial / "tree"
        tree.mkdir(parents=True)
        choice = debian.download(wanted, partial, say=lambda text: _say(name, text))
        for package in sorted((partial / "debs").iterdir()):
            _unpack(package, tree)
            package.unlink()
        kernel = locate(tree, name)
        base = kernel.modules.parents[2]
        done = run_tool([tool("depmod"), "-b", str(base), kernel.release])
        debian.check(done, f"depmod could not index the modules of {kernel.release}")
        record = Record(name, choice.package, choice.version, kernel.release, choice.suite)
        _install(tree, kernels / name, old, record)
        _say(name, f"unpacked Linux {kernel.release} into {kernels / name}")
        return record
    except OSError as error:
        raise NoSpaceError(f"kernel {name} could not be kept in {kernels}: {error.strerror}") from None
    except VmError as error:
        hint = error.hint or LOCAL_HINT
        raise VmError(f"kernel {name}: {error}", hint) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _unpack(package: Path, tree: Path) -> None:
    done = run_tool([debian.program("dpkg"), "-x", str(package), str(tree)])
    debian.check(done, f"{package.name} could not be unpacked")


def _install(tree: Path, final: Path, old: Path, record: Record) -> None:
    """Puts an unpacked tree in place. At no moment is there a record with the wrong tree."""
    listing = final.with_name(f"{record.name}.json")
    listing.unlink(missing_ok=True)
    if final.exists():
        final.rename(old)
    tree.rename(final)
    draft = final.with_name(f".{record.name}.json")
    try:
        draft.write_text(json.dumps(asdict(record), indent=2) + "\n")
        draft.replace(listing)
    except OSError:
        draft.unlink(missing_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        raise


def _say(name: str, text: str) -> None:
    print(f"vm: kernel {name}: {text}", file=sys.stderr)


def describe(kernels: Path, name: str) -> str:
    """One line on a kernel: what is in the cache under its name."""
    record = read_record(kernels, name)
    if record is None or cached(kernels, name) is None:
        return f"{name}\tnot in the cache"
    return f"{name}\t{record.release}\t{record.package} {record.version} ({record.suite})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="vm/kernels.py",
        description="Fetch stock Debian kernels into the cache.",
        allow_abbrev=False,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(KERNELS)}; default: all")
    parser.add_argument("--refresh", action="store_true", help="fetch again what is in the cache")
    parser.add_argument("--list", action="store_true", help="only tell what is in the cache")
    options = parser.parse_args(arguments)
    names = options.names or list(KERNELS)
    kernels = cache_dir() / "kernels"
    try:
        for name in names:
            if not options.list:
                with use(name, refresh=options.refresh):
                    pass
            elif not re.fullmatch(r"[\w.]+", name) or name not in KERNELS:
                raise VmError(f"no kernel {name!r}", f"there are: {', '.join(KERNELS)}")
            print(describe(kernels, name))
    except VmError as error:
        print(error.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
