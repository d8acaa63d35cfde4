#!/usr/bin/env python3
"""Free ports of this machine that no client gets before somebody listens: below those that systems give out by themselves.

Usage: ports.py COUNT
"""

import os
import socket
import sys

FIRST, LAST = 20_000, 32_000


def free(count):
    """So many different ones. Processes that run at the same time begin at different places."""
    found, span = [], LAST - FIRST
    for offset in range(span):
        port = FIRST + (os.getpid() * 61 + offset) % span
        with socket.socket() as each:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports from {FIRST} to {LAST}")


if __name__ == "__main__":
    print(*free(int(sys.argv[1])))
