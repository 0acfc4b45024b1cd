"""The command delete: removes a collection, or single records of it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from lookalike.cli.options import Settings, global_options
from lookalike.cli.output import counted, print_text
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.sources.files import absolute
from lookalike.uris import file_uri, record_id

# RFC 3986, section 3.1, and two slashes: a path may well have a colon in it.
_URI = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")


@click.command()
@click.argument("name", metavar="COLLECTION")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--using", metavar="NAME", help="Only this vector of the collection.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@global_options
def delete(settings: Settings, name: str, images: tuple[str, ...], using: str | None, *, yes: bool) -> None:
    """Delete a collection, only the records of some IMAGEs, or one of its vectors; no image file is touched.

    An IMAGE is a path, an id or a URI. A vector that another was fitted to, or the last one, cannot go alone.
    """
    with settings.open() as database:
        collection = database[name]
        found = collection.info()
        if images and using is not None:
            raise InvalidArgument("either some images are deleted, or with --using a vector of all")
        if images:
            wanted = [_id_of(image) for image in images]
            there = {record.id for record in collection.get(wanted)}
            there |= {damage.id for damage in collection.damage()}
            for image, key in zip(images, wanted, strict=True):
                if key not in there:
                    raise InvalidArgument(
                        f"not in collection {found.name!r}: {display(image)}; nothing was deleted"
                    )
            removed = collection.remove(wanted)
            print_text(f"{counted(removed, 'record')} deleted from {found.name}")
            return
        if using is not None:
            collection.drop_vector(using)
            print_text(f"the vector {using} of {found.name} is deleted")
            return
        if not yes:
            if not sys.stdin.isatty():
                raise InvalidArgument(f"deleting {found.name!r} needs a yes: add --yes")
            question = f"Delete collection {found.name!r} with {found.count:,} records?"
            if not click.confirm(question, err=True):
                print_text("nothing was deleted")
                return
        deleted = collection.delete()
        print_text(f"{counted(deleted.count, 'record')} deleted with collection {deleted.name}")


def _id_of(image: str) -> str:
    """Return the id of the record that a path names, whose file may be gone, or a URI, or an id."""
    if _is_id(image):
        return image
    if _URI.match(image) and not os.path.lexists(image):
        return record_id(image)
    return record_id(file_uri(absolute(Path(image))))


def _is_id(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")
