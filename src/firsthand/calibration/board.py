"""A ChArUco board: a chessboard whose white squares carry markers, so that every corner says which one it is.

Its frame is OpenCV's: origin at a corner of the board, x along the columns, y along the rows, [m].
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CalibrationError

Array = NDArray[np.floating]
Picture = NDArray[np.uint8]

INCH = 0.0254  # [m]
FEWEST_CORNERS = 6  # of a board that counts as seen


@dataclass(frozen=True)
class BoardView:
    """A board's corners in one picture."""

    ids: NDArray[np.intp]  # (n,), rows of `Board.corners`
    pixels: Array  # (n, 2)


@dataclass(frozen=True)
class Board:
    """How the board is printed.

    Raises:
        CalibrationError: Sizes that cannot be.
    """

    columns: int = 6  # squares
    rows: int = 4
    square: float = 0.030  # [m]; measure it on the print
    marker: float = 0.023  # [m]

    def __post_init__(self) -> None:
        if self.columns < 3 or self.rows < 3 or self.columns * self.rows > 100:
            raise CalibrationError(f"expected 3x3 to 10x10 squares, got {self.columns}x{self.rows}")
        if not 0 < self.marker < self.square < 1:
            raise CalibrationError(f"expected 0 < marker < square < 1 m, got {self.marker} and {self.square}")

    @cached_property
    def corners(self) -> Array:
        """(n, 3) inner corners in the board's frame, [m]."""
        return np.asarray(self._charuco.getChessboardCorners(), dtype=float)

    def draw(self, dpi: int = 300) -> Picture:
        """The board to print at `dpi`, (H, W), without a margin."""
        pixels = round(self.square / INCH * dpi)
        return np.asarray(self._charuco.generateImage((pixels * self.columns, pixels * self.rows), marginSize=0))

    def find(self, picture: Picture) -> BoardView | None:
        """The board's corners in a picture (H, W, 3) RGB, to a fraction of a pixel; None if it is not to be seen."""
        corners, ids, _, _ = self._detector.detectBoard(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        if ids is None or len(ids) < FEWEST_CORNERS:
            return None
        return BoardView(ids.reshape(-1).astype(np.intp), corners.reshape(-1, 2).astype(float))

    @cached_property
    def _charuco(self) -> "cv2.aruco.CharucoBoard":
        dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square, self.marker, dictionary)

    @cached_property
    def _detector(self) -> "cv2.aruco.CharucoDetector":
        parameters = cv2.aruco.DetectorParameters()
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        return cv2.aruco.CharucoDetector(self._charuco, detectorParams=parameters)
