#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs for the system's python3, so that `sudo gopherscope …` and `sudo python3 -m tracer …` work from any folder;
# .venv cannot do that, because sudo resets PATH. Under /usr/local, the administrator's own tree: the package manager's files
# are not touched, which is what --break-system-packages would otherwise be a warning about.
#   scripts/install.sh install | uninstall
# With TARGET=FOLDER it installs into that folder alone, for PYTHONPATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-/usr/bin/python3}
unset PYTHONHOME PYTHONPATH
cd_away() { cd /; } # not where a package named tracer lies in the working directory

pip() { "$python" -m pip --disable-pip-version-check "$@"; }
managed() { # pip older than 23.0.1 does not know the option, and does not need it
  if "$python" -m pip install --help | grep -q -- --break-system-packages; then echo --break-system-packages; fi
}

# Manual page and completion, made of the parser, below a folder like /usr/local/share. They are asked of the copy.
pages() { # ROOT
  (
    cd "$copy"
    install -d "$1"/man/man1 "$1"/bash-completion/completions "$1"/zsh/site-functions "$1"/fish/vendor_completions.d
    "$python" -m tracer.manual >"$1/man/man1/gopherscope.1"
    "$python" -m tracer.completion bash >"$1/bash-completion/completions/gopherscope"
    "$python" -m tracer.completion zsh >"$1/zsh/site-functions/_gopherscope"
    "$python" -m tracer.completion fish >"$1/fish/vendor_completions.d/gopherscope.fish"
  )
}
share=/usr/local/share

case ${1-} in
  install)
    # A copy, so that root leaves no files of its own in the checkout.
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    cp -r setup.py pyproject.toml README.md LICENSE tracer offsets collector bpf_c "$copy"
    rm -f "$copy"/tracer/_*.so
    export PIP_ROOT_USER_ACTION=ignore
    quietly=(--quiet --no-deps --no-build-isolation --no-index)
    if [ -n "${TARGET-}" ]; then
      pip install "${quietly[@]}" --target "$TARGET" "$copy"
      pages "$TARGET/share"
      exit
    fi
    # shellcheck disable=SC2046 # nothing or one option
    pip install "${quietly[@]}" --force-reinstall $(managed) "$copy"
    pages "$share"
    (cd_away && "$python" -m tracer --version)
    (cd_away && command -v gopherscope >/dev/null) || echo "note: /usr/local/bin is not on this PATH" >&2
    echo "installed: sudo gopherscope …, sudo python3 -m tracer …"
    ;;
  uninstall)
    # shellcheck disable=SC2046
    (cd_away && PIP_ROOT_USER_ACTION=ignore pip uninstall --quiet --yes $(managed) gopherscope)
    rm -f "$share"/{man/man1/gopherscope.1,bash-completion/completions/gopherscope} \
      "$share"/{zsh/site-functions/_gopherscope,fish/vendor_completions.d/gopherscope.fish}
    ;;
  *)
    sed -n '7s/^# *//p' "$0"
    exit 2
    ;;
esac
