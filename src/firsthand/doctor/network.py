"""The network interface that leads to robot and headset: there, up, with an address, and multicast goes through it."""

import array
import fcntl
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from firsthand.doctor.finding import Finding, fail, ok, skip, warn

INTERFACES = Path("/sys/class/net")
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
ROBOT_NETWORK = "192.168.123."
GROUP = "239.255.0.1"  # where DDS participants announce themselves
UP, MULTICAST, LOOPBACK = 0x1, 0x1000, 0x8  # IFF_*
SIOCGIFADDR = 0x8915
TIMEOUT = 1.0  # [s]
GOOD_BUFFER = 2 << 20  # [bytes]


def check_network(interface: str) -> Iterator[Finding]:
    """Everything about the interface that leads to the robot; nothing is sent where none was named."""
    yield check_receive_buffer()
    if not interface:
        yield skip("interface", "none named", "name the one that leads to the robot: --interface eth0")
        return
    state = check_interface(interface)
    yield state
    if state.level == "fail":
        return
    yield check_address(interface, address_of(interface))
    yield check_multicast(interface)


def check_interface(name: str, interfaces: Path = INTERFACES) -> Finding:
    """Whether an interface exists, is up and has a cable in it."""
    what, folder = f"interface {name}", interfaces / name
    if not folder.exists():
        there = ", ".join(sorted(path.name for path in interfaces.iterdir()))
        return fail(what, "does not exist", f"one of {there}")
    flags = int((folder / "flags").read_text(), 16)
    if not flags & UP:
        return fail(what, "is down", f"sudo ip link set {name} up")
    if (folder / "operstate").read_text().strip() == "down":
        return fail(what, "has no cable or no network", "plug it in; see `ip link`")
    if not flags & (MULTICAST | LOOPBACK):
        return fail(what, "does no multicast, which DDS finds its peers by", f"sudo ip link set {name} multicast on")
    if (folder / "wireless").exists():
        return warn(what, "is wireless", "drive the robot over a cable: DDS streams at 500 Hz do not bear Wi-Fi")
    return ok(what, "is up")


def check_address(name: str, address: str | None) -> Finding:
    """Whether an interface has an address, in the robot's network."""
    what = f"address of {name}"
    if address is None:
        return fail(what, "none", f"sudo ip addr add {ROBOT_NETWORK}99/24 dev {name}")
    if address.startswith(("127.", ROBOT_NETWORK)):
        return ok(what, address)
    return warn(
        what, f"{address}, not in the robot's network {ROBOT_NETWORK}0/24",
        f"sudo ip addr add {ROBOT_NETWORK}99/24 dev {name}, if an H1-2 is on this cable",
    )  # fmt: skip


def check_multicast(name: str, timeout: float = TIMEOUT) -> Finding:
    """Whether a datagram to DDS's group comes back over an interface."""
    what, address = f"multicast on {name}", address_of(name)
    if address is None:
        return skip(what, "no address to send from", "")
    try:
        _send_to_group(address, timeout)
    except TimeoutError:
        return fail(
            what, f"a datagram to {GROUP} did not come back in {timeout} s",
            f"let UDP through the firewall (sudo ufw allow in on {name}), or list peers by address",
        )  # fmt: skip
    except OSError as error:
        return fail(what, error.strerror or str(error), f"sudo ip route add 224.0.0.0/4 dev {name}")
    return ok(what, f"{GROUP} is heard")


def check_receive_buffer(file: Path = RECEIVE_BUFFER) -> Finding:
    """Whether pictures over UDP find room in the kernel."""
    if not file.is_file():
        return skip("UDP buffer", "this machine does not say", "")
    size = int(file.read_text())
    if size >= GOOD_BUFFER:
        return ok("UDP buffer", f"{size >> 10} KiB")
    return warn("UDP buffer", f"{size >> 10} KiB", f"between computers: sudo sysctl net.core.rmem_max={GOOD_BUFFER}")


def address_of(name: str) -> str | None:
    """The IPv4 address of an interface; None if it has none."""
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            answer = fcntl.ioctl(one.fileno(), SIOCGIFADDR, array.array("B", request).tobytes())
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _send_to_group(address: str, timeout: float) -> None:
    """Join the group on an address, send to it, and wait for what was sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(timeout)
        one.bind(("", 0))
        membership = socket.inet_aton(GROUP) + socket.inet_aton(address)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)  # it need not leave this machine
        one.sendto(b"firsthand doctor", (GROUP, one.getsockname()[1]))
        one.recv(64)
