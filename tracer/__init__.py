# SPDX-License-Identifier: Apache-2.0
"""gopherscope: trace the functions of running Go programs.

`python -m tracer --help` shows the command line. Importing this package does nothing else: the C core
and BCC are loaded by the modules that need them, when they need them.
"""

__version__ = "0.1.0"
