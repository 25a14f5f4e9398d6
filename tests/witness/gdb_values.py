# SPDX-License-Identifier: Apache-2.0
"""Runs inside gdb: stops at addresses, reads variables there by gdb's own reader of DWARF, prints JSON lines.

SITES: a JSON list of [address, function, names]. A value that gdb cannot show is {"unavailable": why}.
"""

import json
import os

import gdb  # type: ignore[import-not-found]

DEPTH = 2  # pointers followed, as the tracer does by default


def text(pointer, length):
    return bytes(gdb.selected_inferior().read_memory(int(pointer), length)).decode() if length else ""


def convert(value, depth):
    if value.is_optimized_out:
        return {"unavailable": "optimised out"}
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR):
        return int(value)
    if kind.code == gdb.TYPE_CODE_BOOL:
        return bool(value)
    if kind.code == gdb.TYPE_CODE_FLT:
        return float(value)
    if kind.code == gdb.TYPE_CODE_PTR:
        if int(value) == 0:
            return None
        return {"to": convert(value.dereference(), depth - 1)} if depth else {}
    if kind.code == gdb.TYPE_CODE_ARRAY:
        low, high = kind.range()
        return [convert(value[i], depth) for i in range(low, high + 1)]
    names = [f.name for f in kind.fields()]
    if names == ["str", "len"]:
        return text(value["str"], int(value["len"]))
    if names == ["array", "len", "cap"]:
        if int(value["array"]) == 0:
            return None
        return [convert((value["array"] + i).dereference(), depth) for i in range(int(value["len"]))]
    return {name: convert(value[name], depth) for name in names}


def read(name):
    try:
        return convert(gdb.selected_frame().read_var(name), DEPTH)
    except (gdb.error, ValueError) as error:
        return {"unavailable": str(error)}


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("set debuginfod enabled off")
gdb.execute("handle SIGURG SIGPIPE nostop noprint pass")
sites = {address: (function, names) for address, function, names in json.loads(os.environ["SITES"])}
for address in sites:
    gdb.Breakpoint(f"*{address:#x}")
gdb.execute("run")
while gdb.selected_inferior().pid:
    function, names = sites[int(gdb.selected_frame().pc())]
    print("HIT " + json.dumps([function, {name: read(name) for name in names}]))
    gdb.execute("continue")
