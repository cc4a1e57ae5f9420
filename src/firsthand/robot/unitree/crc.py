"""The checksum of Unitree's humanoid messages: CRC-32, polynomial 0x04C11DB7, over 32-bit words from their high bit on.

It starts at all ones and nothing is reflected or inverted (CRC-32/MPEG-2 over the bytes of each word from high to low).
zlib has the reflected kind, in C: the same division, with the bits of what goes in and comes out turned around.
"""

import zlib

import numpy as np

ALL_ONES = 0xFFFFFFFF
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_of_words(data: bytes) -> int:
    """The checksum of whole little-endian words.

    Args:
        data: A multiple of four bytes: a message without the checksum at its end.
    """
    big_endian = np.frombuffer(data, dtype="<u4").byteswap().tobytes()
    reflected = zlib.crc32(big_endian.translate(_TURNED)) ^ ALL_ONES
    return int(f"{reflected:032b}"[::-1], 2)
