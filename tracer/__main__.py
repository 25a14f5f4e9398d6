# SPDX-License-Identifier: Apache-2.0
"""`python -m tracer` and `gopherscope`: see tracer.cli."""

import signal
import sys

# Until a trace answers Ctrl-C itself, it ends the process without a word: Python's own answer is a traceback
# from the middle of an import. So this stands before the imports.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    from tracer import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
