# SPDX-License-Identifier: Apache-2.0
"""These tests run inside a guest that scripts/test_vm.py has booted (`make test-vm`); elsewhere they are not there.

With GOPHERSCOPE_VM=local they run on this very kernel.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

collect_ignore_glob = [] if os.environ.get("GOPHERSCOPE_VM") else ["test_*.py"]
