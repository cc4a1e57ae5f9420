"""The computer: room on the disk, what killed processes left behind, CPU clock, wall clock, real-time priority."""

import ctypes
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from firsthand.doctor.finding import Finding, fail, ok, skip, warn

SHARED_MEMORY = Path("/dev/shm")
CPUS = Path("/sys/devices/system/cpu")
PROCESSES = Path("/proc")
LEAST_DISK, GOOD_DISK = 1e9, 10e9  # [bytes]; both eyes at 60 Hz take 2 GB a minute
LEAST_SHARED_MEMORY = 256 << 20  # [bytes]
PRIORITY = 40  # of the control threads
UNSYNCHRONIZED = 0x0040  # STA_UNSYNC of timex.h
MAX_CLOCK_ERROR = 0.1  # [s]


def check_machine(recordings: Path) -> Iterator[Finding]:
    """Everything about this computer."""
    yield check_disk(recordings)
    yield check_room_in_shared_memory()
    yield check_leftovers()
    yield check_governor()
    yield check_clock(*clock_state())
    yield check_priority(resource.getrlimit(resource.RLIMIT_RTPRIO)[0], os.geteuid() == 0)


def check_disk(folder: Path, least: float = LEAST_DISK, good: float = GOOD_DISK) -> Finding:
    """Whether recordings have room, [bytes]."""
    there = folder
    while not there.exists():
        there = there.parent
    free, what = shutil.disk_usage(there).free, f"disk of {folder}"
    found = f"{free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK):
        return fail(what, f"{there} cannot be written", "record elsewhere: --recordings FOLDER, record:=FOLDER")
    if free < least:
        return fail(what, found, "free some, or record to another disk: record:=FOLDER")
    if free < good:
        return warn(what, found, "a minute of both eyes at 60 Hz takes up to 2 GB")
    return ok(what, found)


def check_room_in_shared_memory(folder: Path = SHARED_MEMORY, least: float = LEAST_SHARED_MEMORY) -> Finding:
    """Whether the transport of pictures between processes has room, [bytes]."""
    if not folder.is_dir():
        return warn(str(folder), "none", "nodes will use UDP: slower for pictures")
    free = shutil.disk_usage(folder).free
    if free < least:
        return fail(
            str(folder),
            f"{free / 1e6:.0f} MB free",
            "in Docker: --ipc host or --shm-size 512m; else `fastdds shm clean`",
        )
    return ok(str(folder), f"{free / 1e6:.0f} MB free")


def check_leftovers(folder: Path = SHARED_MEMORY, processes: Path = PROCESSES) -> Finding:
    """Whether killed ROS processes left files that can keep new ones from finding each other."""
    files = {path.name for pattern in ("fastrtps_*", "fastdds_*") for path in folder.glob(pattern)}
    mapped = _mapped(processes, folder)
    left = sorted(name for name in files - mapped if not name.endswith(("_el", "_mutex")))
    what = f"{folder}/fastdds*"
    if not left:
        return ok(what, f"{len(files)} files, all in use" if files else "nothing left behind")
    return warn(what, f"{len(left)} files of processes that are gone, {left[0]} first", "run `fastdds shm clean`")


def check_governor(cpus: Path = CPUS) -> Finding:
    """Whether the CPU's clock stays up."""
    names = {path.read_text().strip() for path in cpus.glob("cpu*/cpufreq/scaling_governor")}
    if not names:
        return skip("CPU governor", "this machine does not say", "")
    if names <= {"performance"}:
        return ok("CPU governor", "performance")
    return warn(
        "CPU governor", ", ".join(sorted(names)),
        "sudo cpupower frequency-set -g performance: a clock that sinks makes control ticks late",
    )  # fmt: skip


def check_clock(status: int | None, error: float | None) -> Finding:
    """Whether the wall clock is kept by a time server.

    Args:
        status: Of the kernel's clock, None where it does not say.
        error: That it estimates, at most, [s].
    """
    if status is None or error is None:
        return skip("clock", "this machine does not say whether it is synchronized", "")
    if status & UNSYNCHRONIZED:
        return warn(
            "clock", "not synchronized", "start chrony or systemd-timesyncd: stamps of two computers must be comparable"
        )
    if error > MAX_CLOCK_ERROR:
        return warn("clock", f"synchronized, but off by up to {error:.2f} s", "look at `chronyc tracking`")
    return ok("clock", f"synchronized, off by at most {error * 1e3:.1f} ms")


def check_priority(limit: int, root: bool = False) -> Finding:
    """Whether control threads may have real-time priority."""
    if root or limit == resource.RLIM_INFINITY or limit >= PRIORITY:
        return ok("real-time priority", "granted")
    return warn(
        "real-time priority", f"up to {limit}, wanted {PRIORITY}",
        "`@realtime - rtprio 50` in /etc/security/limits.d, or --ulimit rtprio=50 in Docker: ticks are late without",
    )  # fmt: skip


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def clock_state() -> tuple[int | None, float | None]:
    """The kernel's word on its clock: status bits, and the largest error, [s]."""
    libc, timex = ctypes.CDLL(None), _Timex()
    if not hasattr(libc, "adjtimex") or libc.adjtimex(ctypes.byref(timex)) < 0:
        return None, None
    return int(timex.status), int(timex.maxerror) / 1e6


def _mapped(processes: Path, folder: Path) -> set[str]:
    """Names of the files of a folder that some process has in its memory."""
    names = set()
    for maps in processes.glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it has ended, or is another user's
            continue
        names |= {line.rpartition("/")[2].split(" ")[0] for line in lines if f"{folder}/" in line}
    return names
