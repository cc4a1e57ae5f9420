"""ROS 2 nodes, one thin file each: messages to arrays, one call, arrays to messages."""
