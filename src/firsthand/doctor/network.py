"""The network interface that leads to robot and headset: there, up, with an address, and multicast goes through it."""

import ctypes
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from firsthand.doctor.finding import Finding, fail, ok, skip, warn

INTERFACES = Path("/sys/class/net")
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
ROBOT_NETWORK = IPv4Network("192.168.123.0/24")
GROUP = "239.255.0.1"  # where DDS participants announce themselves
UP, MULTICAST, LOOPBACK = 0x1, 0x1000, 0x8  # IFF_*
NOT_RUNNING = ("down", "lowerlayerdown", "dormant", "notpresent")  # of operstate; lo says unknown
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
    addresses = addresses_of(interface)
    yield check_address(interface, addresses)
    yield check_multicast(interface, addresses)


def check_interface(name: str, interfaces: Path = INTERFACES) -> Finding:
    """Whether an interface exists, is up and has a cable in it."""
    what, folder = f"interface {name}", interfaces / name
    if not folder.exists():
        there = ", ".join(sorted(path.name for path in interfaces.iterdir()))
        return fail(what, "does not exist", f"one of {there}")
    flags = int((folder / "flags").read_text(), 16)
    if not flags & UP:
        return fail(what, "is down", f"sudo ip link set {name} up")
    if (folder / "operstate").read_text().strip() in NOT_RUNNING:
        return fail(what, "has no cable or no network", "plug it in; see `ip link`")
    if not flags & (MULTICAST | LOOPBACK):
        return fail(what, "does no multicast, which DDS finds its peers by", f"sudo ip link set {name} multicast on")
    if (folder / "wireless").exists():
        return warn(what, "is wireless", "drive the robot over a cable: DDS streams at 500 Hz do not bear Wi-Fi")
    return ok(what, "is up")


def check_address(name: str, addresses: Sequence[IPv4Interface]) -> Finding:
    """Whether an interface has an address from which the robot's are reached."""
    what, listed = f"address of {name}", ", ".join(map(str, addresses))
    good = [one for one in addresses if one.ip in ROBOT_NETWORK or one.is_loopback]
    add = f"sudo ip addr add {ROBOT_NETWORK[99]}/24 dev {name}"
    if not addresses:
        return fail(what, "none", add)
    if not good:
        return warn(
            what, f"{listed}, not in the robot's network {ROBOT_NETWORK}", f"{add}, if an H1-2 is on this cable"
        )
    narrow = [one for one in good if not one.is_loopback and one.network.prefixlen > ROBOT_NETWORK.prefixlen]
    if len(narrow) == len(good):
        return fail(
            what, f"{narrow[0]}: a network of its own, so nothing that the robot asks is answered",
            f"sudo ip addr del {narrow[0]} dev {name}; {add}",
        )  # fmt: skip
    return ok(what, listed)


def check_multicast(name: str, addresses: Sequence[IPv4Interface], timeout: float = TIMEOUT) -> Finding:
    """Whether a datagram to DDS's group comes back over an interface."""
    what = f"multicast on {name}"
    if not addresses:
        return skip(what, "no address to send from", "")
    try:
        _send_to_group(str(addresses[0].ip), timeout)
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


class _SocketAddress(ctypes.Structure):
    _fields_ = (("family", ctypes.c_ushort), ("port", ctypes.c_ushort), ("address", ctypes.c_ubyte * 4))


class _InterfaceAddress(ctypes.Structure):
    pass


_InterfaceAddress._fields_ = (
    ("next", ctypes.POINTER(_InterfaceAddress)), ("name", ctypes.c_char_p), ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_SocketAddress)), ("netmask", ctypes.POINTER(_SocketAddress)),
)  # fmt: skip


def addresses_of(name: str) -> tuple[IPv4Interface, ...]:
    """All IPv4 addresses of an interface with their networks; an interface may have several."""
    libc, first = ctypes.CDLL(None), ctypes.POINTER(_InterfaceAddress)()
    if libc.getifaddrs(ctypes.byref(first)):
        return ()
    found, one = [], first
    while one:
        entry = one.contents
        if entry.name.decode() == name and entry.address and entry.address.contents.family == socket.AF_INET:
            address, mask = (socket.inet_ntoa(bytes(part.contents.address)) for part in (entry.address, entry.netmask))
            found.append(IPv4Interface(f"{address}/{mask}"))
        one = entry.next
    libc.freeifaddrs(first)
    return tuple(found)


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
