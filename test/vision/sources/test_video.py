import av
import numpy as np
import pytest

from firsthand.errors import ImageError
from firsthand.vision.sources.video import VideoSource


def write_film(path, greys, size=(64, 36), rate=25):
    """A film of one grey level a picture; a tuple gives the left and the right half their own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "1"}
        for grey in greys:
            image = np.empty((size[1], size[0], 3), np.uint8)
            image[:, : size[0] // 2], image[:, size[0] // 2 :] = grey if isinstance(grey, tuple) else (grey, grey)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def greys(source, count=None):
    """The grey level of every picture, (n, 2), left and right."""
    found = []
    while (count is None or len(found) < count) and (frame := source.grab()) is not None:
        found.append(frame.images.mean(axis=(1, 2, 3)))
    return np.array(found)


def test_two_films_give_pairs_then_end(tmp_path):
    levels = np.arange(20, 100, 10)
    source = VideoSource([write_film(tmp_path / "l.mp4", levels), write_film(tmp_path / "r.mp4", levels + 100)])
    np.testing.assert_allclose(greys(source), np.stack([levels, levels + 100], axis=1), atol=3)
    assert source.grab() is None
    source.close()


def test_side_by_side_is_cut_in_halves(tmp_path):
    source = VideoSource([write_film(tmp_path / "both.mp4", [(40, 200), (60, 220)], size=(128, 36))])
    frame = source.grab()
    assert frame.images.shape == (2, 36, 64, 3)
    np.testing.assert_allclose(frame.images.mean(axis=(1, 2, 3)), [40, 200], atol=3)
    assert (source.intrinsics.width, source.intrinsics.height) == (64, 36)


@pytest.mark.parametrize(("rate", "shown"), [(50.0, [0, 0, 1, 1, 2, 2, 3, 3]), (12.5, [0, 2])])
def test_another_rate_repeats_or_leaves_out_pictures(tmp_path, rate, shown):
    film = write_film(tmp_path / "film.mp4", [20, 60, 100, 140])
    source = VideoSource([film, film], rate=rate)
    found = []
    while (frame := source.grab()) is not None:
        found.append((frame.time_ns, frame.images[0].mean()))
    times, levels = np.array(found).T
    np.testing.assert_allclose(levels, 20 + 40 * np.array(shown), atol=3)
    np.testing.assert_allclose(times, np.arange(len(shown)) * 1e9 / rate)


def test_a_loop_begins_again_and_its_time_goes_on(tmp_path):
    film = write_film(tmp_path / "film.mp4", [20, 60, 100])
    source = VideoSource([film, film], loop=True)
    np.testing.assert_allclose(greys(source, 7)[:, 0], [20, 60, 100, 20, 60, 100, 20], atol=3)
    assert source.grab().time_ns == 7 * 40_000_000


def test_a_field_of_view_of_ninety_degrees_is_half_the_width(tmp_path):
    film = write_film(tmp_path / "film.mp4", [20])
    assert VideoSource([film, film], field_of_view=90.0).intrinsics.fx == pytest.approx(32.0)


def test_bad_films_say_what_is_wrong(tmp_path):
    film, large = write_film(tmp_path / "a.mp4", [20]), write_film(tmp_path / "b.mp4", [20], size=(128, 72))
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(ImageError, match=r"one size, got .*a\.mp4 64x36 and .*b\.mp4 128x72"):
        VideoSource([film, large])
    with pytest.raises(ImageError, match=r"cannot open the video .*text\.mp4"):
        VideoSource([tmp_path / "text.mp4"])
    with pytest.raises(ImageError, match=r"or two \(left, right\); got 0"):
        VideoSource([])
