"""Who comes first where the processor is short: the robot, then those who look on and write down.

All of it is asked for, and things work without, only less evenly: root has the right, or whoever was given it.
"""

import os
from pathlib import Path

GREED = -10  # of nice(2): nine times the share
AUTOGROUP = Path("/proc/self/autogroup")  # Linux gives each session a share, and niceness counts within it only


def take_precedence(priority: int) -> bool:
    """Ask for SCHED_FIFO for the calling thread, and for the threads and processes that it starts from now on.

    Args:
        priority: 1 to 99; 0 does not ask.

    Returns:
        Whether it was granted.
    """
    if priority <= 0 or not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return False
    return True


def take_more_time() -> bool:
    """Ask for a larger share for this process; call it before it has threads, which inherit it.

    Returns:
        Whether it was granted.
    """
    try:
        os.nice(GREED)
        AUTOGROUP.write_text(str(GREED), encoding="ascii")
    except OSError:
        return False
    return True


def stand_back(niceness: int) -> None:
    """Let everybody else go before this process, whatever it inherited.

    Args:
        niceness: 1 to 19, added to that of the process.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(niceness)
