"""Films for tests, coded by PyAV itself: scenes of one colour each, with a white mark that wanders."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

Colour = tuple[int, int, int]

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
SIZE = 64
RATE = 10


def film(
    path: Path,
    scenes: Sequence[Colour] = (RED, GREEN, BLUE),
    *,
    seconds: float = 3,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (SIZE, SIZE),
    times: Sequence[int] = (),
    container: str | None = None,
    rate: int = RATE,
    sound: float = 0,
) -> Path:
    """Write a film of scenes that are equally long.

    Args:
        path: of the file.
        scenes: their colours.
        seconds: how long it is.
        codec: by which it is coded.
        pixels: the form of its pixels.
        size: width and height.
        times: when each frame is shown, in milliseconds; by default as often as it takes.
        container: by default as the name says.
        rate: frames a second.
        sound: seconds of silence that it has beside them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(times) or round(seconds * rate)
    with av.open(str(path), "w", format=container) as file:
        stream = cast(VideoStream, file.add_stream(codec, rate=rate, options={"g": "10"}))
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        # MPEG-1 has no other times.
        stream.codec_context.time_base = Fraction(1, rate if codec == "mpeg1video" else 1000)
        stream.time_base = Fraction(1, 1000)
        heard = file.add_stream("aac", rate=8000) if sound else None
        for number in range(count):
            colours = np.full((size[1], size[0], 3), scenes[number * len(scenes) // count], np.uint8)
            colours[: size[1] // 8, number % size[0] :][:, : size[0] // 8] = 255
            frame = av.VideoFrame.from_ndarray(colours, format="rgb24")
            frame.pts = times[number] if times else number * 1000 // rate
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if heard is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, round(sound * 8000)), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 8000
            file.mux(heard.encode(silence))
            file.mux(heard.encode())
    return path


def sound(path: Path) -> Path:
    """Write a second of sound without pictures."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
