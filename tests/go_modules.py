# SPDX-License-Identifier: Apache-2.0
"""Builds programs that need modules, at pinned versions, through the Go module proxy; kept as go_versions does."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from go_versions import BUILD_PATIENCE, VERSIONS, BuildError, building, cache_dir, goroot

PROGRAMS = Path(__file__).resolve().parent / "live" / "programs"

# What the tests of services run with: (version of the library, of Go), every day, and with `make test-all` also MORE.
NET_HTTP = ("1.19", "1.24", "1.26", "1.27")
GRPC = (("1.85.0", "1.26"), ("1.64.1", "1.24"), ("1.50.1", "1.19"))
GRPC_MORE = (("1.85.0", "1.27"), ("1.64.1", "1.21"), ("1.64.1", "1.27"), ("1.50.1", "1.24"))
EXAMPLES = (("1.85.0", "1.26"), ("1.64.1", "1.26"))  # helloworld, route_guide
EXAMPLES_MORE = (("1.85.0", "1.27"), ("1.64.1", "1.25.14"), ("1.64.1", "1.27"))
GIN = (("1.12.0", "1.27"), ("1.9.1", "1.21"))
GIN_MORE = (("1.12.0", "1.25.14"), ("1.12.0", "1.26"), ("1.11.0", "1.26"), ("1.9.1", "1.24"), ("1.9.1", "1.27"))
X_NET = (("0.60.0", "1.27"),)
X_NET_MORE = (("0.58.0", "1.26"), ("0.51.0", "1.26"), ("0.26.0", "1.21"), ("0.10.0", "1.19"))
GRPC_EXAMPLES = "v0.0.0-20260825154716-030ee8becb20"


def build(
    source: Path | None,
    package: str,
    requires: dict[str, str],
    version: str = "1.26",
    replace: dict[str, str] | None = None,
) -> Path:
    """The program that `package` ("." for source, else an import path) makes, with these modules. Raises BuildError."""
    exact = VERSIONS.get(version, version)
    files = {p.name: p.read_bytes() for p in sorted(source.iterdir()) if p.suffix == ".go"} if source else {}
    key = hashlib.sha256(repr((sorted(files.items()), package, requires, exact, replace)).encode()).hexdigest()[:20]
    folder = cache_dir() / f"{exact}-modules-{key}"
    program = folder / (package.rpartition("/")[2] if package != "." else "program")
    if program.exists():
        return program
    with building(key):
        if program.exists():
            return program
        root = goroot(version)
        env = dict(os.environ, GOROOT=root, GOTOOLCHAIN="local", GO111MODULE="on", CGO_ENABLED="0")
        env["GOFLAGS"] = "-trimpath -mod=mod -buildvcs=false"
        if exact.startswith("1.19"):
            env["GODEBUG"] = "goindex=0"
        with tempfile.TemporaryDirectory(dir=cache_dir()) as text:
            work = Path(text)
            for name, content in files.items():
                (work / name).write_bytes(content)
            mod = ["module example.com/program", f"go {'.'.join(exact.split('.')[:2])}"]
            mod += [f"require {module} {v}" for module, v in requires.items()]
            mod += [f"replace {module} => {module} {v}" for module, v in (replace or {}).items()]
            (work / "go.mod").write_text("\n".join(mod) + "\n")
            run = subprocess.run(
                [f"{root}/bin/go", "build", "-p", "2", "-o", "program", package],
                cwd=work, env=env, capture_output=True, text=True, timeout=BUILD_PATIENCE,
            )  # fmt: skip
            if run.returncode:
                raise BuildError(f"Go {exact}, {requires}: {run.stderr.strip()[-600:]}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o755)
            (work / "program").rename(program)
    return program


def health(grpc: str, go: str) -> Path:
    """tests/live/programs/health with this version of grpc-go."""
    return build(PROGRAMS / "health", ".", {"google.golang.org/grpc": f"v{grpc}"}, go)


def gin(version: str, go: str) -> Path:
    return build(PROGRAMS / "ginweb", ".", {"github.com/gin-gonic/gin": f"v{version}"}, go)


def h2c(net: str, go: str) -> Path:
    """tests/live/programs/h2c with this version of golang.org/x/net."""
    return build(PROGRAMS / "h2c", ".", {"golang.org/x/net": f"v{net}"}, go)


def grpc_example(package: str, grpc: str, go: str = "1.26") -> Path:
    """helloworld/greeter_server … of grpc-go's own examples, with this version of grpc-go. They need Go 1.25."""
    name = "google.golang.org/grpc"
    requires = {f"{name}/examples": GRPC_EXAMPLES, name: f"v{grpc}"}
    return build(None, f"{name}/examples/{package}", requires, go, replace={name: f"v{grpc}"})


def greetings(grpc: str, go: str = "1.26") -> Path:
    """tests/live/programs/greetings, which calls grpc-go's helloworld, with this version of grpc-go."""
    name = "google.golang.org/grpc"
    requires = {f"{name}/examples": GRPC_EXAMPLES, name: f"v{grpc}"}
    return build(PROGRAMS / "greetings", ".", requires, go, replace={name: f"v{grpc}"})


# The modules of Kubernetes that its own go.mod replaces by folders beside it.
STAGING = (
    *("api", "apiextensions-apiserver", "apimachinery", "apiserver", "cli-runtime", "client-go"),
    *("cloud-provider", "cluster-bootstrap", "code-generator", "component-base", "component-helpers"),
    *("controller-manager", "cri-api", "cri-client", "csi-translation-lib", "dynamic-resource-allocation"),
    *("endpointslice", "externaljwt", "kms", "kube-aggregator", "kube-controller-manager", "kube-proxy"),
    *("kube-scheduler", "kubectl", "kubelet", "metrics", "mount-utils", "pod-security-admission"),
    *("sample-apiserver"),
)


def apiserver() -> Path:
    """Kubernetes' API server: more than 100 MB, most of it debug information. Takes minutes to build."""
    return build(
        None,
        "k8s.io/kubernetes/cmd/kube-apiserver",
        {"k8s.io/kubernetes": "v1.32.3"},
        "1.24",
        replace={f"k8s.io/{name}": "v0.32.3" for name in STAGING},
    )


def otel_collector() -> Path:
    """tests/live/programs/otelcol. Of newer versions the proxy does not have all modules."""
    name = "go.opentelemetry.io/collector"
    requires = {f"{name}/{part}": "v0.160.0" for part in ("otelcol", "receiver/otlpreceiver", "exporter/debugexporter")}
    return build(PROGRAMS / "otelcol", ".", {**requires, f"{name}/confmap/provider/fileprovider": "v1.66.0"}, "1.26")
