# SPDX-License-Identifier: Apache-2.0
"""Which processes are to be traced, and by what: watcher → criteria → kind of executable → attacher.

ports · criteria    what a user asks for            procfs   what runs, and which ports it listens on
kernel_events       that it changed, at once        watcher  what changed since the last look
kinds               what made an executable         attacher one set of probes for each executable
pipeline            all of it, one behind another
"""
