"""ROS in tests: a domain of its own for each worker, a context for each test, and waiting for facts, never for time."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Torch for CUDA brings triton. Its LLVM bears Mesa's, which renders in software, beside it only if it came first.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

# It names MuJoCo's OpenGL backend, which has to be before anybody imports MuJoCo, `importorskip` too.
with contextlib.suppress(ImportError):
    import firsthand.simulation.gl  # noqa: F401

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# Under nohup, or in the background of a script, pytest inherits ignored signals; tests send those of a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
TIMEOUT = 30.0  # [s], generous: it only passes when a test fails


@pytest.fixture(scope="session")
def ros_domain(tmp_path_factory) -> Iterator[int]:
    """A ROS domain that no other test process on this machine uses; also set for child processes."""
    pytest.importorskip("rclpy")
    domain_coordinator = pytest.importorskip("domain_coordinator")
    from firsthand.nodes.process import prepare_process

    clean_shared_memory()
    prepare_process()
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    with domain_coordinator.domain_id() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        yield domain


def clean_shared_memory() -> None:
    """Clear what killed processes left behind: it keeps new ones from finding each other."""
    beside = Path(sys.executable).parent / "fastdds"
    program = str(beside) if beside.exists() else shutil.which("fastdds")
    if program:
        subprocess.run([program, "shm", "clean"], capture_output=True, check=False, timeout=60)


class Ros:
    """One test's ROS context, its nodes, and an executor that turns only while the test waits for something."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []

    def make(self, node_class, **parameters):
        """A node of ours with parameters set as if on the command line."""
        from rclpy.parameter import Parameter

        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = node_class.__new__(node_class)
        try:
            node.__init__(context=self.context, parameter_overrides=overrides)
        except BaseException:
            with contextlib.suppress(Exception):  # it may have come far enough for others to see it, for ever
                node.destroy_node()
            raise
        return self.add(node)

    def node(self, name: str = "test"):
        """A plain node to publish and listen from."""
        from rclpy.node import Node

        return self.add(Node(name, context=self.context))

    def add(self, node):
        """Let the executor turn a node, and destroy it at the end."""
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def spin_until(self, condition: Callable[[], object], timeout: float = TIMEOUT, what: str = "") -> None:
        """Turn the executor until a condition holds; fail the test if it never does."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what or 'the condition'}"
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, client, request):
        """The response of a service, however long it takes to be there."""
        self.spin_until(client.service_is_ready, what=client.srv_name)
        future = client.call_async(request)
        self.spin_until(future.done, what=client.srv_name)
        return future.result()

    @staticmethod
    def end(processes) -> None:
        """Ask ROS processes to end: after a kill, this process could crash in its own shutdown (docs/ros.md)."""
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        clean_shared_memory()

    def close(self) -> None:
        """Shut nodes down as `firsthand.nodes.process.run` does, then the context."""
        for node in self.nodes:
            if hasattr(node, "shutdown"):
                node.shutdown()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def ros(ros_domain: int) -> Iterator[Ros]:
    """ROS for one test; skips it where rclpy is not installed."""
    one = Ros(ros_domain)
    yield one
    one.close()


@pytest.fixture(scope="session")
def cyclonedds():
    """The robot's DDS; skips where it is not installed, saying how it is."""
    from firsthand.errors import RobotError
    from firsthand.robot.unitree.dds import require_cyclonedds

    try:
        require_cyclonedds()
    except RobotError as error:
        pytest.skip(f"{str(error).splitlines()[0]} Build it with `make robot`.")


@pytest.fixture
def dds_domain(cyclonedds) -> Iterator[int]:
    """A DDS domain that no other test uses at the time; ROS's tests have those up to 100, these lie above."""
    domain_coordinator = pytest.importorskip("domain_coordinator")
    with domain_coordinator.domain_id() as domain:
        yield 100 + domain


class FakeRobotProcess:
    """`firsthand fake-robot` in a process of its own."""

    def __init__(self, domain: int, *options: str) -> None:
        command = [sys.executable, "-u", "-m", "firsthand.command", "fake-robot", "--domain", str(domain), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines = [self.process.stdout.readline()]
        assert self.lines[0].startswith("an H1-2"), "the fake robot did not start"

    def end(self) -> str:
        """End it as a terminal does; returns the last thing that it said."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.lines += self.process.communicate(timeout=TIMEOUT)[0].splitlines()
        return self.lines[-1]


@pytest.fixture
def fake_robot(dds_domain: int) -> Iterator[Callable[..., FakeRobotProcess]]:
    """Starts fake robots on the test's own domain."""
    pytest.importorskip("mujoco")
    running = []

    def start(*options: str) -> FakeRobotProcess:
        running.append(FakeRobotProcess(dds_domain, *options))
        return running[-1]

    yield start
    for one in running:
        one.end()
