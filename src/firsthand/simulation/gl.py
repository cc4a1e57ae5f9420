"""MuJoCo with an off-screen OpenGL behind it.

Import `mujoco` from here: the backend has to be named in the environment before MuJoCo is imported. EGL is tried first,
then OSMesa; a `MUJOCO_GL` that is already set is left alone.
"""

import ctypes
import os

from firsthand.errors import SimulationError

HELP = "install one with: apt-get install libegl1 libgl1-mesa-dri (EGL) or apt-get install libosmesa6 (OSMesa)"

_EGL_PLATFORM_DEVICE = 0x313F


def find_backend() -> str | None:
    """The name of an OpenGL backend that works on this machine, or None."""
    chosen = os.environ.get("MUJOCO_GL")
    if chosen:
        return chosen
    if _egl_works():
        return "egl"
    return "osmesa" if _loads("libOSMesa.so.8") or _loads("libOSMesa.so") else None


def require_backend() -> str:
    """The backend in use.

    Raises:
        SimulationError: Neither EGL nor OSMesa works here.
    """
    if BACKEND is None:
        raise SimulationError(f"no off-screen OpenGL: neither libEGL nor libOSMesa gives a display here; {HELP}")
    return BACKEND


def _egl_works() -> bool:
    """Whether some EGL device can be initialised, as MuJoCo is going to do it."""
    library = _loads("libEGL.so.1")
    if library is None:
        return False
    library.eglGetProcAddress.restype = ctypes.c_void_p
    addresses = [library.eglGetProcAddress(name) for name in (b"eglQueryDevicesEXT", b"eglGetPlatformDisplayEXT")]
    if not all(addresses):
        return False
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    query = ctypes.CFUNCTYPE(ctypes.c_uint, integer, pointer, ctypes.POINTER(integer))(addresses[0])
    get_display = ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(addresses[1])
    library.eglInitialize.argtypes = [pointer, pointer, pointer]
    devices, count = (pointer * 16)(), integer(0)
    if not query(16, ctypes.cast(devices, pointer), ctypes.byref(count)):
        return False
    displays = [get_display(_EGL_PLATFORM_DEVICE, device, None) for device in devices[: count.value]]
    return any(display and library.eglInitialize(display, None, None) for display in displays)


def _loads(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:  # not on this machine: the next candidate is tried
        return None


BACKEND = find_backend()
if BACKEND is not None:
    os.environ["MUJOCO_GL"] = BACKEND

import mujoco  # noqa: E402 -- see the module's first line

__all__ = ["BACKEND", "find_backend", "mujoco", "require_backend"]
