"""Rebuilds the data of `lookalike.embedders.builtin.concepts`; for developers, a few minutes.

The packages are fetched by hand, into a folder of their own:

    apt-get download fonts-noto-color-emoji unicode-cldr-core
    npm pack @lobehub/fluent-emoji-3d@1.1.0 emoji-datasource-twitter@16.0.0
    .venv/bin/python tools/build_concepts.py FOLDER

It writes emoji.tsv and concepts.npz beside classes.tsv and groups.tsv, and prints the checksum that belongs
into concepts_data.py; the same packages, libraries and processor give the same bytes. The licences are in
src/lookalike/embedders/builtin/data/README.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lookalike.embedders.builtin.concepts_data import DATA, unit
from lookalike.embedders.builtin.concepts_e5 import MultilingualE5
from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

CLDR = "usr/share/unicode/cldr/common"
FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SKIN_TONES = {chr(code) for code in range(0x1F3FB, 0x1F400)}
# Languages whose words are centred on a mean of their own, and those that share one; `concepts.language`.
LANGUAGES = {
    "en": ("en",),
    "ko": ("ko",),
    "ja": ("ja",),
    "zh": ("zh",),
    "other": ("ru", "ar", "hi", "th", "el"),
}
# Tuned on pictures that the test set does not have: docs/text.md. Dimensions are what costs < 0.01 of recall.
TEXT_DIMENSIONS = 224
ANCHOR_DIMENSIONS = 256
STYLE_DIMENSIONS = 64
ANCHOR_SHRINKAGE = 3.0
CLASS_SHRINKAGE = 30.0


def unpacked(package: Path, folder: Path) -> Path:
    """Unpack a Debian package."""
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


def names(cldr: Path, language: str) -> dict[str, str]:
    """Return the short name of every emoji, by its characters without variation selectors."""
    found = {}
    for folder in ("annotations", "annotationsDerived"):
        for node in ET.parse(cldr / folder / f"{language}.xml").iter("annotation"):  # noqa: S314 a file of ours
            if node.get("type") == "tts" and node.text:
                found[str(node.get("cp")).replace("\ufe0f", "")] = node.text
    return found


def on_white(image: Image.Image) -> Image.Image:
    """Return an image of mode RGB."""
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def drawn(font: ImageFont.FreeTypeFont, emoji: str) -> Image.Image | None:
    """Return an emoji as the font draws it; None where the font has no picture for it."""
    canvas = Image.new("RGBA", (136, 128))
    ImageDraw.Draw(canvas).text((0, 0), emoji, font=font, embedded_color=True)
    if canvas.getbbox() is None or font.getlength(emoji) > 150:
        return None
    return on_white(canvas) if np.asarray(canvas)[..., 3].mean() >= 5 else None


def packed_images(package: Path, folder: str) -> dict[str, Image.Image]:
    """Return the emoji of an npm package whose files are named by their code points."""
    found = {}
    with tarfile.open(package) as archive:
        for member in archive:
            path = Path(member.name)
            if path.parent.as_posix() != folder or not set(path.stem) <= set("0123456789abcdef-"):
                continue
            codes = [int(code, 16) for code in path.stem.split("-") if code]
            if any(code > sys.maxunicode for code in codes):
                continue
            characters = "".join(map(chr, codes)).replace("\ufe0f", "")
            content = archive.extractfile(member)
            if content is not None and not SKIN_TONES & set(characters):
                found[characters] = on_white(Image.open(io.BytesIO(content.read())))
    return found


def quantised(matrix: Matrix) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows as int8, and what to multiply each with."""
    scale = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / 127
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def principal(matrix: Matrix, dimensions: int) -> tuple[Matrix, Matrix]:
    """Return the first principal directions (about zero) as rows, and the matrix along them."""
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    basis = vectors[:, np.argsort(-values)[:dimensions]].T
    basis *= np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)])[:, None]
    basis = basis.astype(np.float16).astype(np.float64)
    return basis, matrix @ basis.T


def anchors(styles: Sequence[Matrix]) -> tuple[Matrix, Matrix, Matrix]:
    """Return a vector for each emoji, and the directions in which styles differ with their damping.

    A vector is the mean of the emoji's pictures, whitened by what differs between pictures of the same emoji:
    Fisher's discriminant, with a class for each emoji.
    """
    stack = np.stack([unit(style) for style in styles])
    stack = stack - stack.mean(axis=1, keepdims=True)
    means = stack.mean(axis=0)
    residue = (stack - means).reshape(-1, stack.shape[2])
    covariance = residue.T @ residue / len(residue)
    size = len(covariance)
    level = np.trace(covariance) / size
    whitened = unit(means @ np.linalg.inv(covariance + ANCHOR_SHRINKAGE * level * np.eye(size)))
    basis, _ = principal(residue, STYLE_DIMENSIONS)
    variances = np.einsum("ij,jk,ik->i", basis, covariance, basis)
    return whitened, basis, variances / (variances + CLASS_SHRINKAGE * level)


def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table beside the data."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def members(ranges: str) -> list[int]:
    """Return the classes of `0-6 389`."""
    ends = [part.split("-") for part in ranges.split()]
    return [number for end in ends for number in range(int(end[0]), int(end[-1]) + 1)]


def embedded_words(e5: MultilingualE5, rows: Iterable[str]) -> tuple[Matrix, list[int]]:
    """Return a centred unit vector for each word of comma-separated ones, and the row it came from."""
    words = [(word.strip(), number) for number, row in enumerate(rows) for word in row.split(",")]
    vectors = np.stack([e5.passage(word) for word, _ in words]).astype(np.float64)
    return unit(vectors - vectors.mean(axis=0)), [number for _, number in words]


def pictures(sources: Path, folder: Path) -> dict[str, list[Image.Image]]:
    """Return three pictures of each emoji that all sources have."""

    def one(pattern: str) -> Path:
        return next(iter(sorted(sources.glob(pattern))), sources / pattern)

    tree = unpacked(one("fonts-noto-color-emoji_*.deb"), folder)
    font = ImageFont.truetype(tree / FONT, 109)
    fluent = packed_images(one("lobehub-fluent-emoji-3d-*.tgz"), "package/assets")
    twemoji = packed_images(one("emoji-datasource-twitter-*.tgz"), "package/img/twitter/64")
    unpacked(one("unicode-cldr-core_*.deb"), folder)
    found = {}
    for emoji in names(folder / CLDR, "en"):
        if len(emoji) <= 3 and emoji in fluent and emoji in twemoji and (noto := drawn(font, emoji)):
            found[emoji] = [noto, fluent[emoji], twemoji[emoji]]
    return found


def language_means(
    e5: MultilingualE5, words: Mapping[str, Mapping[str, str]], emoji: Sequence[str]
) -> Matrix:
    """Return the mean of queries in each of `LANGUAGES`."""

    def mean(language: str) -> Matrix:
        texts = [words[language][one] for one in emoji if one in words[language]]
        found: Matrix = np.stack([e5.query(text) for text in texts]).astype(np.float64).mean(axis=0)
        return found

    return np.stack([np.mean([mean(each) for each in group], axis=0) for group in LANGUAGES.values()])


def main() -> None:
    """Build the data from the packages in the folder that the command line names."""
    (sources,) = map(Path, sys.argv[1:])
    e5 = MultilingualE5()
    with tempfile.TemporaryDirectory() as folder:
        model = EfficientNetLite0(Path(folder) / "cache")
        images = pictures(sources, Path(folder))
        languages = {language for group in LANGUAGES.values() for language in group}
        words = {language: names(Path(folder) / CLDR, language) for language in sorted(languages)}
        emoji = [one for one in images if one in words["ko"]]
        styles = [model.embed([images[one][style] for one in emoji]).astype(np.float64) for style in range(3)]
    with (DATA / "emoji.tsv").open("w", encoding="utf-8", newline="") as file:
        file.write("emoji\tenglish\tkorean\n")
        file.writelines(f"{one}\t{words['en'][one]}\t{words['ko'][one]}\n" for one in emoji)

    whitened, style_basis, damping = anchors(styles)
    anchor_basis, along = principal(whitened, ANCHOR_DIMENSIONS)
    classes, groups = table("classes.tsv"), table("groups.tsv")
    texts, concepts = [], []
    for first, rows in (
        (0, classes),
        (len(classes), groups),
        (len(classes) + len(groups), table("emoji.tsv")),
    ):
        for language in ("english", "korean"):
            vectors, numbers = embedded_words(e5, [row[language] for row in rows])
            texts.append(vectors)
            concepts += [first + number for number in numbers]
    text_basis, text_rows = principal(np.concatenate(texts), TEXT_DIMENSIONS)
    quantised_rows, scales = quantised(text_rows)
    grouped = [members(row["classes"]) for row in groups]
    np.savez_compressed(
        DATA / "concepts.npz",
        language_means=language_means(e5, words, emoji).astype(np.float32),
        text_basis=text_basis.astype(np.float16),
        text_rows=quantised_rows,
        text_scales=scales,
        text_concepts=np.array(concepts, np.int16),
        group_members=np.array([number for group in grouped for number in group], np.int16),
        group_sizes=np.array([len(group) for group in grouped], np.int16),
        anchor_basis=anchor_basis.astype(np.float16),
        anchor_rows=quantised(along)[0],
        style_basis=style_basis.astype(np.float16),
        style_damping=damping.astype(np.float32),
    )
    content = (DATA / "concepts.npz").read_bytes()
    sys.stdout.write(f"{len(emoji)} emoji, {len(concepts)} texts, {len(content)} bytes\n")
    sys.stdout.write(f'DATA_SHA256 = "{hashlib.sha256(content).hexdigest()}"\n')


if __name__ == "__main__":
    main()
