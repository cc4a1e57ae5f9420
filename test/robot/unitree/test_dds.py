"""The robot's DDS: only the version that does it no harm, and only where it is told to speak."""

import importlib.metadata
import time

import pytest

from firsthand.errors import RobotError
from firsthand.robot.unitree import dds, wire
from firsthand.robot.unitree.topics import LOW_CMD, LOW_STATE


@pytest.fixture
def link(dds_domain):
    links = []

    def make(**where):
        links.append(dds.Link(**({"domain": dds_domain} | where)))
        return links[-1]

    yield make
    for one in links:
        one.close()


def until(take, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not (found := take()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.002)
    return found


@pytest.mark.parametrize("version", ["11.0.1", "0.10.5"])
def test_other_versions_are_refused_with_the_recipe(monkeypatch, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    with pytest.raises(RobotError, match=rf"0\.10\.2; here is {version}") as refusal:
        dds.require_cyclonedds()
    assert "apt-get install cyclonedds-dev" in str(refusal.value)
    assert "CYCLONEDDS_HOME" in str(refusal.value)


def test_none_at_all_is_refused_with_the_recipe(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(RobotError, match=r"there is none here[\s\S]*apt-get install cyclonedds-dev"):
        dds.require_cyclonedds()


def test_two_libraries_in_one_process_are_refused():
    ours, ros = "/usr/lib/x86_64-linux-gnu/libddsc.so.0.10.2", "/opt/ros/jazzy/lib/libddsc.so.0.10.5"
    dds.check_libraries([ours])
    dds.check_libraries(["/site-packages/cyclonedds.libs/libddsc-4038630c.so.0.10.2"])
    with pytest.raises(RobotError, match=r"two CycloneDDS libraries.*rmw_fastrtps"):
        dds.check_libraries([ours, ros])
    with pytest.raises(RobotError, match=r"the library loaded is .*0\.10\.5"):
        dds.check_libraries([ros])


def test_the_library_of_this_process_is_found(cyclonedds):
    assert len(dds.loaded_libraries()) == 1


def test_bytes_arrive_as_they_were_sent(link):
    reader, writer = link().reader(LOW_CMD), link().writer(LOW_CMD)
    payload = wire.encode(wire.seal(wire.blank(wire.LOW_CMD)))

    def take():
        writer.write(payload)
        return reader.latest()

    assert until(take) == payload


def test_a_slow_reader_gets_the_newest(link):
    reader, writer = link().reader(LOW_STATE), link().writer(LOW_STATE)
    state = wire.blank(wire.LOW_STATE)

    def take():
        writer.write(wire.encode(state))
        return reader.latest()

    until(take)
    for tick in range(1, 51):
        state["tick"] = tick
        writer.write(wire.encode(state))
    last = until(lambda: [p for p in reader.take() if wire.decode(p, wire.LOW_STATE)["tick"] == 50])
    assert len(last) == 1
    assert reader.latest() is None


def test_other_domains_do_not_hear(link, dds_domain):
    here, elsewhere = link().reader(LOW_CMD), link(domain=dds_domain + 20).reader(LOW_CMD)
    writer = link().writer(LOW_CMD)

    def take():
        writer.write(wire.encode(wire.blank(wire.LOW_CMD)))
        return here.latest()

    until(take)
    assert elsewhere.latest() is None


def test_an_interface_that_does_not_exist_is_named_with_those_that_do(cyclonedds):
    with pytest.raises(RobotError, match=r"interface 'eth77'[\s\S]*Interfaces here: .*lo"):
        dds.Link("eth77", domain=229)


def test_loopback_is_where_nothing_else_is_named(link):
    assert link().interface == "lo"
    settings = dds.configuration("lo")
    assert 'name="lo"' in settings
    assert "<AllowMulticast>false" in settings
    assert "127.0.0.1" in settings
    assert "AllowMulticast" not in dds.configuration("eth0")


def test_one_process_has_one_interface_a_domain(link, dds_domain):
    link()
    with pytest.raises(RobotError, match=rf"domain {dds_domain} over 'lo', not 'eth0'"):
        dds.Link("eth0", domain=dds_domain)
