"""The first program of every child: asks the kernel to be killed with its parent, then becomes the service.

Run by path with ``python -I -S launcher.py PARENT_PID [NAME=VALUE ...] -- COMMAND ...``: a program of its own and not
a ``preexec_fn``, which may deadlock in a process with threads. It imports nothing of the project (20 ms).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Set the parent-death signal (survives exec), add the variables, exec the command."""
    separator = arguments.index("--")
    parent, variables, command = int(arguments[0]), arguments[1:separator], arguments[separator + 1 :]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"launcher: prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the signal was set
        os.kill(os.getpid(), signal.SIGKILL)
    added = dict(variable.split("=", 1) for variable in variables)
    try:
        os.execvpe(command[0], command, {**os.environ, **added})  # noqa: TID251, S606 - passes the environment on
    except OSError as error:
        sys.exit(f"launcher: cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
