"""How reliably messages travel (REP-2003): publishers offer reliability, each reader takes what it needs."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

PUBLISH = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Every publisher of ours, unless named below."""

LATEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Readers of a stream who want the newest value and can do without any one of them: images, joint states."""

EVERY = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""Readers who must not miss one: chunks, status."""

RECORD = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
"""The recorder: room for 0.8 s of a 250 Hz stream while the system is busy elsewhere."""

CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""/clock, both ends, as every ROS 2 node reads it."""

LATCHED = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""What changes seldom, of which no change may be missed, and which late readers need too: the gate's state."""

ESTOP_READERS = (EVERY, LATEST)
"""Between them they hear every publisher of an emergency stop, surely where it offers that; twice does no harm."""
