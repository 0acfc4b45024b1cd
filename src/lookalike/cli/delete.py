"""The command delete: removes a collection, or single records of it."""

from __future__ import annotations

import sys

import click

from lookalike.cli.options import Settings, global_options
from lookalike.cli.output import counted, print_text
from lookalike.errors import InvalidArgument


@click.command()
@click.argument("name", metavar="COLLECTION")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--using", metavar="NAME", help="Only this vector of the collection.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@global_options
def delete(settings: Settings, name: str, images: tuple[str, ...], using: str | None, *, yes: bool) -> None:
    """Delete a collection, some records, or a vector.

    No image file is touched. An IMAGE is a path, an id or a URI, or what an attached table calls its picture;
    a film means all of its frames. A vector that another was fitted to, or the last one, cannot go alone.
    """
    with settings.open() as database:
        collection = database[name]
        found = collection.info()
        if images and using is not None:
            raise InvalidArgument("either some images are deleted, or with --using a vector of all")
        if images:
            try:
                wanted = collection.records.find_all(images)
            except InvalidArgument as error:
                raise InvalidArgument(f"{error}; nothing was deleted") from error
            removed = collection.remove(wanted)
            print_text(f"{counted(removed, 'record')} deleted from {found.name}")
            return
        if using is not None:
            collection.vectors.drop(using)
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
