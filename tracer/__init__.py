# SPDX-License-Identifier: Apache-2.0
"""gopherscope: trace the functions of running Go programs.

`python -m tracer --help` shows the command line. Importing this package does nothing else: the C core
and BCC are loaded by the modules that need them, when they need them.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """trace, open_recording: see tracer.api, which is imported when first asked for."""
    if name in ("trace", "open_recording"):
        from tracer import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
