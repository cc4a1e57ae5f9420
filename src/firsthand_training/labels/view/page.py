"""A page on a clip that stands alone: what was found, how sure it is, the ways of hands and head, a few pictures."""

import base64
import html
import io
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no screen needed

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from firsthand_training.episodes.durable import write_text
from firsthand_training.labels.view.labelled_clip import LabelledClip

COLORS = ("#2a93c9", "#e07b14")  # left and right hand
STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
body { color: #222 } img, video { max-width: 100% }
table { border-collapse: collapse } td { padding: .15rem 1.2rem .15rem 0 }
h1 { font-size: 1.4rem } .note { color: #a33 }"""


def write_page(clip: LabelledClip, film: Path | None, output: Path) -> Path:
    """Write an .html file; `film` is linked by its name, its pictures are on the page.

    Returns:
        `output`.
    """
    title = f"{clip.video.name}, frames {clip.labels.frames[0]} to {clip.labels.frames[-1]}"
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in facts(clip))
    notes = "".join(f'<p class="note">{html.escape(str(note))}</p>' for note in clip.scene.notes)
    body = f"<h1>{html.escape(title)}</h1><table>{rows}</table>{notes}{_film(film)}{_inline(_plot(clip))}"
    write_text(
        output,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>{body}</body></html>\n",
    )
    return output


def facts(clip: LabelledClip) -> list[tuple[str, str]]:
    """What there is to know of a clip, a name and a text each."""
    scene, labels = clip.scene, clip.labels
    count = len(labels.frames)
    focal, error = float(scene.intrinsics[0, 0]), float(scene.reprojection_error[0])
    way = np.linalg.norm(np.nanmax(labels.origin, axis=0) - np.nanmin(labels.origin, axis=0))
    camera = (
        f"moves within {1e3 * way:.0f} mm; {len(scene.points)} points, reprojection error {error:.2f} px"
        if scene.parallax[0]
        else "too little motion to see depth: its turning is known, its place is not"
    )
    return [
        ("duration", f"{clip.seconds[-1]:.2f} s, {count} frames"),
        (
            "measured",
            ", ".join(f"{side} {labels.measured[:, k].mean():.0%}" for k, side in enumerate(("left", "right"))),
        ),
        ("camera", f"focal length {focal:.0f} px of {scene.size[0]}x{scene.size[1]}; {camera}"),
        ("vertical", f"known to {np.degrees(float(scene.gravity_sigma[0])):.1f} deg (1 sigma)"),
        ("size", f"from {labels.scale_source[0]}, known to {float(labels.scale_sigma[0]):.1%} (1 sigma)"),
        (
            "wrists",
            f"{_middle(labels.wrist_sigma, 1e3)} mm, {_middle(labels.rotation_sigma, 180 / np.pi)} deg (1 sigma)",
        ),
        ("fingertips in the wrist frame", f"{_middle(labels.tips_sigma, 1e3)} mm (1 sigma)"),
    ]


def _middle(sigma: "np.typing.NDArray[np.floating]", unit: float) -> str:
    known = sigma[np.isfinite(sigma)]
    return f"{unit * float(np.median(known)):.0f}" if len(known) else "?"


def _plot(clip: LabelledClip) -> Figure:
    """Wrists in F_R with their sigmas, and how far the fingertips are spread, over time."""
    figure, panels = plt.subplots(4, 1, figsize=(10, 9), sharex=True, layout="constrained")
    for side, color in enumerate(COLORS):
        wrist, sigma = clip.state.wrist_positions[:, side], clip.labels.wrist_sigma[:, side]
        for axis in range(3):
            panels[axis].plot(clip.seconds, wrist[:, axis], color=color, label=("left", "right")[side])
            panels[axis].fill_between(
                clip.seconds, wrist[:, axis] - sigma, wrist[:, axis] + sigma, color=color, alpha=0.2, linewidth=0
            )
        tips = clip.state.fingertips_in_wrist[:, side]
        panels[3].plot(clip.seconds, 1e3 * np.linalg.norm(tips[:, 0] - tips[:, 1], axis=-1), color=color)
    for panel, label in zip(panels, ("forward [m]", "left [m]", "up [m]", "thumb to index [mm]"), strict=True):
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_title("wrists in the robot frame, with one sigma; the opening of thumb and index finger", fontsize=10)
    panels[0].legend(frameon=False, ncols=2)
    panels[3].set_xlabel("time [s]")
    return figure


def _film(film: Path | None) -> str:
    if film is None:
        return ""
    still = film.with_suffix(".png")
    picture = _embedded(still.read_bytes()) if still.exists() else ""
    return f'<p><a href="{html.escape(film.name)}">{html.escape(film.name)}</a></p>{picture}'


def _inline(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return _embedded(buffer.getvalue())


def _embedded(png: bytes) -> str:
    return f'<p><img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'
