"""Kills a process right before one of its system calls that change a file: ``ptrace`` through ctypes, Linux only.

    run(work, folder, stop_at) -> calls seen below `folder` before the process ended, or was killed at call `stop_at`

`work` runs in a fork, with all its threads; a call counts when it creates, writes, syncs, renames, links, cuts or
removes a file, or makes a folder. Fork only where no other thread runs.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from pathlib import Path

TRACEME, CONT_SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
OPTIONS = 1 | 8 | 0x100000
"""Mark system calls, follow threads, and kill what is traced when the tracer ends."""
WALL = 0x40000000
O_CREAT = 0o100
BY_DESCRIPTOR = {
    "x86_64": {1, 18, 20, 74, 75, 77, 277, 285, 296, 328},
    "aarch64": {46, 47, 64, 66, 68, 70, 82, 83, 84, 287},
}
BY_NAME = {"x86_64": {82, 83, 86, 87, 258, 263, 264, 265, 316}, "aarch64": {34, 35, 37, 38, 276}}
OPENAT = {"x86_64": 257, "aarch64": 56}
MACHINE = platform.machine()
supported = platform.system() == "Linux" and MACHINE in OPENAT

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(what: int, pid: int, address: int | None, data: object) -> int:
    return int(_libc.ptrace(what, pid, address, data))


def _changes(pid: int, folder: str) -> bool:
    """Whether thread `pid`, which is about to make a system call, will change a file below `folder`."""
    info = ctypes.create_string_buffer(88)
    _ptrace(GET_SYSCALL_INFO, pid, len(info), info)
    entry, _, _, _, number, first, _, third = struct.unpack_from("<B3xIQQQQQQ", info.raw)
    if entry != 1:
        return False
    if number in BY_NAME[MACHINE]:
        return True
    if number == OPENAT[MACHINE]:
        return bool(third & O_CREAT)
    if number not in BY_DESCRIPTOR[MACHINE]:
        return False
    try:
        return str(Path(f"/proc/{pid}/fd/{first}").readlink()).startswith(folder)
    except OSError:
        return False


def _child(work: Callable[[], None], traced: bool) -> None:
    status = 1
    try:
        if traced:
            if _ptrace(TRACEME, 0, None, None) != 0:
                os._exit(77)
            os.kill(os.getpid(), signal.SIGSTOP)
        work()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def plain(work: Callable[[], None]) -> int:
    """Run `work` in a fork to its end, untraced. Returns its exit status."""
    pid = os.fork()
    if pid == 0:
        _child(work, False)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(work: Callable[[], None], folder: Path, stop_at: int) -> tuple[int, bool]:
    """Run `work` in a fork until it is about to make its change number `stop_at` (from 0) below `folder`, and kill it.

    Returns how many changes it made, and whether it was killed. Raises PermissionError where tracing is forbidden.
    """
    pid = os.fork()
    if pid == 0:
        _child(work, True)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status):
        raise PermissionError("this system does not let a process trace its child")
    _ptrace(SETOPTIONS, pid, None, OPTIONS)
    _ptrace(CONT_SYSCALL, pid, None, 0)
    seen, killed = 0, False
    while True:
        try:
            thread, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return seen, killed
        if not os.WIFSTOPPED(status):
            continue
        what, deliver = os.WSTOPSIG(status), 0
        if what == signal.SIGTRAP | 0x80:
            if not killed and _changes(thread, str(folder)):
                if seen == stop_at:
                    killed = True
                    os.kill(pid, signal.SIGKILL)
                    continue
                seen += 1
        elif what not in (signal.SIGTRAP, signal.SIGSTOP):
            deliver = what
        _ptrace(CONT_SYSCALL, thread, None, deliver)
