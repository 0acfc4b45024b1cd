"""The command check: holds all that is kept against its checksums."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, format_option, global_options, model_options
from lookalike.cli.output import SHOWN, counted, print_line, print_rest, print_table, print_text
from lookalike.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.integrity.finding import Finding


@click.command()
@click.option(
    "--uploads",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIRECTORY",
    help="Also the pictures that were added to a service: what it was given as --uploads.",
)
@click.option("--repair", is_flag=True, help="Mend what can be mended, and say what cannot.")
@click.option("--all", "everything", is_flag=True, help="Show all that was found.")
@format_option
@global_options
@model_options
def check(settings: Settings, uploads: Path | None, repair: bool, everything: bool, form: str) -> int:
    """Verify a store, the cache folder and added pictures.

    Those that were added to a service are verified with --uploads. Every vector, every label and every kept
    feature is read and held against its checksum. The exit code is 1 where damage was found, mended or not.
    """
    with settings.open(told=False) as database, progress_bar("reading", quiet=settings.quiet) as progress:
        found = database.check(uploads=uploads, repair=repair, progress=progress)
    findings, pictures = found.findings, found.pictures
    counts = {"records": found.records, "features": found.features, "pictures": pictures}
    if form == "jsonl":
        for finding in findings:
            print_line({"type": "damage", **asdict(finding)})
        mended = sum(finding.mended for finding in findings)
        print_line({"type": "summary", **counts, "damages": len(findings), "mended": mended})
    else:
        _print(findings, None if everything else SHOWN)
        read = [counted(found.records, "record"), f"the features of {counted(found.features, 'image')}"]
        read += [] if pictures is None else [counted(pictures, "added picture")]
        print_text(f"read: {', '.join(read)}; {_verdict(findings)}")
    return int(bool(findings))


def _print(findings: Sequence[Finding], shown: int | None) -> None:
    if findings:
        print_table(
            ("where", "damage", ""),
            [
                (_where(finding), finding.damage, "mended" if finding.mended else finding.todo)
                for finding in findings[:shown]
            ],
        )
        print_rest(len(findings), shown, "damages")


def _where(finding: Finding) -> str:
    parts = [finding.place]
    if finding.collection is not None:
        parts.append(f"collection {finding.collection}")
    if finding.id is not None:
        parts.append(f"record {finding.id}")
    if finding.path is not None:
        parts.append(finding.path)
    return ", ".join(parts)


def _verdict(findings: Sequence[Finding]) -> str:
    if not findings:
        return "all is as it was written"
    mended = sum(finding.mended for finding in findings)
    return f"{counted(len(findings), 'damage')}, {mended:,} mended"
