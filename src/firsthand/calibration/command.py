"""The command `firsthand calibrate`."""

import argparse
from pathlib import Path

CALIBRATE = """Measure this robot's own cameras and hands, from recordings of `firsthand launch record`.

  firsthand calibrate board --output board.png                print this, glue it on something flat, measure a square
  firsthand calibrate stereo BAG                              rows match, squares have their size, left is left
  firsthand calibrate eyes BAG --output mount.yaml            where the eyes are, from a board held in a hand
  firsthand calibrate eyes BAG --dot L_index_tip=green ...    ... or from bright dots on fingertips
  firsthand calibrate sides BAG                               which eye is left, which hand is left
  firsthand calibrate hands BAG --output strokes.yaml         how far each finger opens and closes

In the recordings for eyes, hold each of 20 to 40 postures for half a second, turned about more than one axis."""

LINKS = {"left": ("L_hand_base_link", "left_base_link"), "right": ("R_hand_base_link", "right_base_link")}


def add_calibrate_command(parser: argparse.ArgumentParser) -> None:
    """Sub-commands, one a thing that is measured."""
    from firsthand.robot.joints import HANDS_KNOWN

    parser.description, parser.formatter_class = CALIBRATE, argparse.RawDescriptionHelpFormatter
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    board = what.add_parser("board", help="draw the board to print")
    board.add_argument("--output", type=Path, default=Path("board.png"), help="PNG to write (default: %(default)s)")
    board.add_argument("--dpi", type=int, default=300, help="of the print (default: %(default)s)")
    _add_board_options(board)
    board.set_defaults(run=_run_board)

    stereo = what.add_parser("stereo", help="check rectification and scale on a recording that shows the board")
    stereo.add_argument("bag", type=Path)
    _add_board_options(stereo)
    stereo.set_defaults(run=_run_stereo)

    eyes = what.add_parser("eyes", help="find where the camera is mounted")
    eyes.add_argument("bag", type=Path)
    eyes.add_argument("--output", type=Path, default=Path("mount.yaml"), help="file to write (default: %(default)s)")
    eyes.add_argument("--picture", type=Path, help="reprojection to look at (default: OUTPUT with .png)")
    eyes.add_argument("--in-hand", choices=tuple(LINKS), default="left", help="which hand holds the board")
    eyes.add_argument("--dot", action="append", default=[], metavar="FRAME=COLOUR", help="dots in place of a board")
    eyes.add_argument("--postures", type=int, default=40, help="to use at most (default: %(default)s)")
    _add_board_options(eyes)
    eyes.set_defaults(run=_run_eyes)

    sides = what.add_parser("sides", help="check that left is left, for eyes and hands")
    sides.add_argument("bag", type=Path)
    sides.set_defaults(run=_run_sides)

    hands = what.add_parser("hands", help="find how far each finger opens and closes")
    hands.add_argument("bag", type=Path)
    hands.add_argument("--output", type=Path, default=Path("strokes.yaml"), help="file to write (default: %(default)s)")
    hands.set_defaults(run=_run_hands)
    for each in (eyes, sides, hands):
        each.add_argument("--hand", choices=HANDS_KNOWN, default="dfx", help="Inspire hand (default: %(default)s)")


def _add_board_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--columns", type=int, default=6, help="squares of the board (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=4, help="squares of the board (default: %(default)s)")
    parser.add_argument("--square", type=float, default=0.030, help="as printed, [m] (default: %(default)s)")
    parser.add_argument("--marker", type=float, default=0.023, help="as printed, [m] (default: %(default)s)")


def _run_board(options: argparse.Namespace) -> int:
    import cv2

    from firsthand.calibration.board import Board
    from firsthand.errors import CalibrationError

    board = Board(options.columns, options.rows, options.square, options.marker)
    if not cv2.imwrite(str(options.output), board.draw(options.dpi)):
        raise CalibrationError(f"cannot write {options.output}")
    size = f"{1e3 * board.square * board.columns:.0f} x {1e3 * board.square * board.rows:.0f} mm"
    print(f"{options.output} (print at {options.dpi} dpi: {size}; then measure a square and give it as --square)")
    return 0


def _run_stereo(options: argparse.Namespace) -> int:
    from firsthand.calibration.board import Board
    from firsthand.calibration.recording import Pictures
    from firsthand.calibration.stereo_check import check_board

    board = Board(options.columns, options.rows, options.square, options.marker)
    with Pictures(options.bag) as recording:
        pairs = (images for _, images in recording.pairs(recording.every(60)))
        check = check_board(pairs, board, recording.intrinsics)
    print(check)
    return 0 if check.good else 1


def _run_eyes(options: argparse.Namespace) -> int:
    import cv2

    from firsthand.calibration.board import Board
    from firsthand.calibration.eyes import EyesSettings, calibrate_eyes, draw_reprojection, write_mount
    from firsthand.errors import CalibrationError
    from firsthand.robot.description import urdf
    from firsthand.robot.joints import HANDS_KNOWN
    from firsthand.robot.model import RobotModel

    dots = tuple(_read_dot(text) for text in options.dot)
    board = None if dots else Board(options.columns, options.rows, options.square, options.marker)
    link = LINKS[options.in_hand][HANDS_KNOWN.index(options.hand)]
    model = RobotModel.load(urdf(options.hand))
    result = calibrate_eyes(options.bag, model, EyesSettings(board, link, dots, options.postures))
    print(result)
    written = write_mount(options.output, result)
    picture = options.picture or options.output.with_suffix(".png")
    if not cv2.imwrite(str(picture), cv2.cvtColor(draw_reprojection(result), cv2.COLOR_RGB2BGR)):
        raise CalibrationError(f"{written} is written, but the picture {picture} cannot be: is there such a folder?")
    print(f"{picture}: what was seen in green, where the result puts it in red")
    print(written)
    return 0


def _run_sides(options: argparse.Namespace) -> int:
    from firsthand.calibration.hand_sides import vote_on_hands
    from firsthand.calibration.recording import Recording
    from firsthand.calibration.stereo_check import vote_on_eyes
    from firsthand.robot.description import urdf
    from firsthand.robot.model import RobotModel

    model = RobotModel.load(urdf(options.hand))
    with Recording(options.bag, model.joints) as recording:
        eyes = vote_on_eyes(images for _, images in recording.pairs(recording.every(10)))
        hands = vote_on_hands(recording.samples(recording.every(200)), model, recording.intrinsics)
    print(eyes)
    print(hands)
    return 0 if eyes.answer == "left" and hands.answer == "right way round" else 1


def _run_hands(options: argparse.Namespace) -> int:
    from firsthand.calibration.hand_strokes import strokes_from_bag
    from firsthand.robot.description import urdf
    from firsthand.robot.hand_strokes import write_strokes
    from firsthand.robot.model import RobotModel

    fit = strokes_from_bag(options.bag, RobotModel.load(urdf(options.hand)))
    print(fit)
    print(write_strokes(options.output, fit.strokes))
    return 0


def _read_dot(text: str) -> tuple[str, str]:
    from firsthand.errors import CalibrationError

    frame, _, colour = text.partition("=")
    if not frame or not colour:
        raise CalibrationError(f"expected --dot FRAME=COLOUR, such as L_index_tip=green, got {text!r}")
    return frame, colour
