"""Becomes an engine: takes on an identity, ties its life to its starter, then executes the engine's binary.

Run by file path, never imported: `python -I -S child.py PARENT SIGNAL IDENTITY FOLDER [COMMAND...]`. A program of its
own, because doing this between fork and exec inside a threaded Python process can deadlock. Standard library only.
Without a command it only tries identity and folder. Exit 126 and one line on stderr when a step is refused.

IDENTITY: `same`, `as:UID:GID`, or `userns:UID` (a new user namespace in which we are UID; files keep our real owner).
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def enter_namespace(uid: int) -> None:
    """Give this process a user namespace in which it is `uid`; raises OSError where the kernel refuses."""
    me, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "user namespace")
    Path("/proc/self/setgroups").write_text("deny")  # the kernel wants it before a gid_map written without privilege
    Path("/proc/self/uid_map").write_text(f"{uid} {me} 1")
    Path("/proc/self/gid_map").write_text(f"{uid} {group} 1")


def become(identity: str) -> None:
    """Switch to `identity` for good."""
    kind, *numbers = identity.split(":")
    if kind == "userns":
        enter_namespace(int(numbers[0]))
    elif kind == "as":
        os.setgroups([])
        os.setgid(int(numbers[1]))
        os.setuid(int(numbers[0]))


def die_with(parent: int, number: int) -> None:
    """Ask the kernel for signal `number` when the starter dies; must come last, a change of identity clears it."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(126)


def main(arguments: list[str]) -> None:
    """Run the steps in order; does not return when a command was given."""
    parent, number, identity, folder, *command = arguments
    try:
        become(identity)
        os.chdir(folder)
        die_with(int(parent), int(number))
        os.umask(0o077)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if command:
            os.execv(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as fault:
        print(f"FATAL: {fault.strerror}: {fault.filename or identity}", file=sys.stderr)
        sys.exit(126)


main(sys.argv[1:])
