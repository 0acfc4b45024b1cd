"""A bucket's listing as an S3 server itself gives it: with keys that obstore has no names for.

obstore refuses a whole page of a listing for one key such as `a//b.jpg`. It signs requests all the same, by
whatever way it knows who we are; so the request is signed there, sent here, and its answer read here
(ListObjectsV2, https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
"""

from __future__ import annotations

import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus, urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

_SIGNED_FOR = timedelta(minutes=5)
_TIMEOUT_SECONDS = 60


def listed_pages(
    obstore: ModuleType, store: Any, store_at: Callable[[str], Any], prefix: str, after: str | None
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """List the objects below a prefix, in the order and the words of obstore, with any key.

    Args:
        obstore: the library.
        store: its store of the bucket.
        store_at: returns a store like it, whose bucket is at another address.
        prefix: whole names between slashes; empty for all.
        after: a key: only those that come after it.

    Raises:
        OSError: the server does not answer, or refuses.
        ValueError: what it answers is no listing.
    """
    asked = {
        "list-type": "2",
        "encoding-type": "url",
        "prefix": prefix and f"{prefix}/",
        "start-after": after or "",
    }
    signed = obstore.sign(store, "GET", "x", _SIGNED_FOR)
    address = signed.partition("?")[0].removesuffix("/x")
    more: dict[str, str] = {}
    while True:
        # A store appends what is asked for, here nothing, behind a slash: into a parameter that says nothing.
        listing = store_at(f"{address}?{urlencode({**asked, **more}, quote_via=quote, safe='')}&x-slash=")
        page = _answer(obstore.sign(listing, "GET", "", _SIGNED_FOR))
        yield [_object(each, page) for each in page.iter("Contents")]
        if page.findtext("IsTruncated") != "true":
            return
        more = {"continuation-token": page.findtext("NextContinuationToken", "")}


def _answer(url: str) -> ElementTree.Element:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 as obstore made it
            content = answer.read()
        page = ElementTree.fromstring(content)  # noqa: S314 from the server that is trusted with the keys
    except ElementTree.ParseError:
        raise ValueError("what the server answers is no listing") from None
    except urllib.error.HTTPError as error:
        raise OSError(f"status {error.code}") from None
    for each in page.iter():
        each.tag = each.tag.rpartition("}")[2]
    return page


def _object(said: ElementTree.Element, page: ElementTree.Element) -> dict[str, Any]:
    key = said.findtext("Key", "")
    if page.findtext("EncodingType") == "url":
        key = unquote_plus(key)
    return {
        "path": key.removeprefix("/").removesuffix("/"),
        "size": int(said.findtext("Size", "")),
        "e_tag": said.findtext("ETag"),
        "last_modified": datetime.fromisoformat(said.findtext("LastModified", "")),
        "version": None,
    }
