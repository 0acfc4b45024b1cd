"""Pictures of things that can be drawn in a few lines, and that a network that saw photographs knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageDraw

SIDE = 300


class Drawing(NamedTuple):
    """What a drawing shows, in English and in Korean, and what draws it."""

    english: str
    korean: str
    draw: Callable[[ImageDraw.ImageDraw], None]


def _traffic_light(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, SIDE, SIDE), "lightblue")
    draw.rectangle((105, 20, 195, 280), (30, 30, 30))
    for middle, colour in ((60, "red"), (150, "gold"), (240, "lime")):
        draw.ellipse((115, middle - 35, 185, middle + 35), colour)


def _smiling_face(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((30, 30, 270, 270), "yellow", "black", 5)
    draw.ellipse((95, 95, 125, 135), "black")
    draw.ellipse((175, 95, 205, 135), "black")
    draw.arc((90, 110, 210, 220), 20, 160, "black", 8)


def _keyboard(draw: ImageDraw.ImageDraw) -> None:
    draw.rounded_rectangle((10, 80, 290, 220), 10, (40, 40, 40))
    for row in range(5):
        for column in range(13):
            left, top = 18 + column * 20.5, 88 + row * 26
            draw.rounded_rectangle((left, top, left + 17, top + 20), 3, (90, 90, 90))


def _umbrella(draw: ImageDraw.ImageDraw) -> None:
    draw.pieslice((40, 40, 260, 260), 180, 360, "red")
    draw.line((150, 150, 150, 250), "black", 6)
    draw.arc((150, 230, 190, 270), 0, 180, "black", 6)


def _balloon(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, SIDE, SIDE), "deepskyblue")
    draw.ellipse((80, 20, 220, 180), "red")
    draw.polygon((140, 178, 160, 178, 150, 195), "red")
    draw.line((150, 195, 150, 290), "black", 2)


def _crossword(draw: ImageDraw.ImageDraw) -> None:
    for row in range(10):
        for column in range(10):
            box = (column * 30, row * 30, column * 30 + 30, row * 30 + 30)
            draw.rectangle(box, "black" if (row * 7 + column * 3) % 5 == 0 else "white", "black")


DRAWINGS = {
    "traffic_light": Drawing("a traffic light", "신호등", _traffic_light),
    "smiling_face": Drawing("a smiling face", "웃는 얼굴", _smiling_face),
    "keyboard": Drawing("a computer keyboard", "키보드", _keyboard),
    "umbrella": Drawing("an umbrella", "우산", _umbrella),
    "balloon": Drawing("a balloon", "풍선", _balloon),
    "crossword": Drawing("a crossword puzzle", "십자말풀이", _crossword),
}


def drawn(name: str) -> Image.Image:
    """Draw one of them."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    DRAWINGS[name].draw(ImageDraw.Draw(image))
    return image
