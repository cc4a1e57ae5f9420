"""Processes end together and none is left behind, however the launch ends."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from firsthand.launching.plan import InlineParameter, Process
from firsthand.launching.supervisor import command_line, run_processes

STUBBORN = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; print('up'); time.sleep(600)"


def python(name, code, ends_all=False):
    return Process(name, (sys.executable, "-c", textwrap.dedent(code)), ends_all)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False


def wait_until(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)


def test_lines_carry_the_name_and_the_result_is_zero():
    output = io.StringIO()
    assert run_processes([python("a-1", "print('one'); print('two')"), python("b-2", "print('three')")], output) == 0
    lines = output.getvalue().splitlines()
    assert [line for line in lines if line.startswith("[a-1]")] == ["[a-1] one", "[a-1] two"]
    assert "[b-2] three" in lines


def test_a_failure_is_the_launchs_failure():
    output = io.StringIO()
    assert run_processes([python("a-1", "raise SystemExit(3)")], output) == 1
    assert "a-1 ended with exit code 3" in output.getvalue()


def test_a_failure_can_be_the_end_of_all(tmp_path):
    output = io.StringIO()
    marker = str(tmp_path / "up")
    other = python("other-2", f"import time; open({marker!r}, 'w'); time.sleep(600)")
    wait = f"import os, time\nwhile not os.path.exists({marker!r}): time.sleep(0.01)\n"
    assert run_processes([python("a-1", wait + "raise SystemExit(3)"), other], output, failure_ends_all=True) == 1
    assert "a-1 failed: SIGINT to other-2" in output.getvalue()


def test_the_end_of_one_can_be_the_end_of_all(tmp_path):
    output = io.StringIO()
    marker = str(tmp_path / "up")
    other = python("other-2", f"import time; open({marker!r}, 'w'); time.sleep(600)")
    main = python("main-1", f"import os, time\nwhile not os.path.exists({marker!r}): time.sleep(0.01)", ends_all=True)
    processes = [main, other]
    assert run_processes(processes, output) == 0  # by our SIGINT is a good end
    assert "SIGINT to other-2" in output.getvalue()


def test_who_ignores_signals_is_killed(tmp_path):
    output = io.StringIO()
    marker = str(tmp_path / "up")
    main = python("main-2", f"import os, time\nwhile not os.path.exists({marker!r}): time.sleep(0.01)", ends_all=True)
    processes = [python("stubborn-1", STUBBORN.replace("print('up')", f"open({marker!r}, 'w')")), main]
    assert run_processes(processes, output, grace=0.3) == 1
    text = output.getvalue()
    assert (
        text.index("SIGINT to stubborn-1") < text.index("SIGTERM to stubborn-1") < text.index("SIGKILL to stubborn-1")
    )


def test_no_grandchild_is_left_behind(tmp_path):
    code = f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
    """
    assert run_processes([python("parent-1", code)], io.StringIO()) == 0
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not alive(pid))


LAUNCH = """
import sys
from firsthand.launching.plan import Process
from firsthand.launching.supervisor import run_processes
child = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
sys.exit(run_processes([Process("child-1", (sys.executable, "-c", child, sys.argv[1]), False)]))
"""


@pytest.fixture
def launcher(tmp_path):
    """A launcher in a process of its own, and the id of its only child."""
    file = tmp_path / "pid"
    process = subprocess.Popen([sys.executable, "-c", LAUNCH, str(file)], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: file.exists() and file.read_text())
    yield process, int(file.read_text())
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_well(launcher, number):
    process, child = launcher
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "SIGINT to child-1" in output
    assert not alive(child)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_even_a_killed_launcher_leaves_nothing(launcher):
    process, child = launcher
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not alive(child))


def test_a_program_that_cannot_start_leaves_nothing(tmp_path):
    marker = tmp_path / "pid"
    code = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(FileNotFoundError):
        run_processes([python("a-1", code), Process("b-2", ("/no/such/program",), False)], io.StringIO())
    if marker.exists() and marker.read_text():
        wait_until(lambda: not alive(int(marker.read_text())))


def test_parameters_become_files(tmp_path):
    process = Process("camera-1", ("camera", "--params-file", InlineParameter("/**", "rate", 5.0)), False)
    words = command_line(process, tmp_path)
    assert words[:2] == ["camera", "--params-file"]
    assert Path(words[2]).read_text() == "{/**: {ros__parameters: {rate: 5.0}}}\n"
