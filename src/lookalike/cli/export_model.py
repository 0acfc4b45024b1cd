"""The command export-model: writes a torch model as an ONNX folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import Settings, global_options, option
from lookalike.cli.output import counted, print_text
from lookalike.output_files import check_new_folder

if TYPE_CHECKING:
    from PIL.Image import Image

# A text that says how far two runtimes agree, and not how far one was patient.
_PHOTOGRAPHS = 32


@click.command("export-model")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@option(
    "--weights",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="LOOKALIKE_WEIGHTS",
    help="Folder with the model's weights, as the hub has them; nothing is fetched.",
)
@option(
    "--photographs",
    type=click.Path(path_type=Path, exists=True),
    help="A picture, or a folder of them, to compare both with.",
    default_text="two that scikit-learn brings",
)
@global_options
def export_model(
    settings: Settings, model: str, folder: Path, weights: Path | None, photographs: Path | None
) -> None:
    """Write MODEL as an ONNX model into FOLDER.

    `--model onnx:FOLDER` reads it on machines without torch. Weights that are not on this machine are fetched
    from the model hub. Afterwards both are compared, and nothing is written if they differ.
    """
    from lookalike.embedders.registry import open_embedder

    # Weights may have to be fetched first: a folder that is wrong is told before.
    check_new_folder(folder)
    embedder = open_embedder(model, settings.cache, weights=weights, device="cpu", download=True)
    # Torch takes seconds to import: a name that is wrong is told before.
    from lookalike.embedders.torch.exporting import export

    report = export(embedder, folder, settings.cache, _pictures(photographs, embedder.input_size))
    what = counted(report.photographs, "photograph")
    if report.sentences:
        what += f" and {counted(report.sentences, 'sentence')}"
    print_text(
        f"{report.folder}: {report.size / 1e6:,.1f} MB; on {what} both give the same vectors: similarity at "
        f"least {report.similarity:.6f}, numbers of vectors of length 1 within {report.difference:.0e}"
    )
    if report.left_out is not None:
        warn(f"the text side is left out: {report.left_out}", quiet=settings.quiet)


def _pictures(path: Path | None, at_least: int) -> list[Image]:
    """Decode the first pictures below a path, by name."""
    from lookalike.errors import InvalidArgument, UnusableImage
    from lookalike.images import decoding

    if path is None:
        return []
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            found.append(decoding.decode(file.read_bytes(), str(file), at_least=at_least))
        except UnusableImage:
            continue
        if len(found) == _PHOTOGRAPHS:
            break
    if not found:
        raise InvalidArgument(f"no picture in {path}")
    return found
