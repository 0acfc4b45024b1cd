"""Objects are named as people write them, and what a server refuses is told without its words."""

from __future__ import annotations

import os
import re
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs, quote_plus
from xml.sax.saxutils import escape

import pytest

from lookalike.errors import ExtraMissing, InvalidArgument, PathNotFound, SourceDenied, SourceError
from lookalike.sources import buckets
from lookalike.sources.files import find
from lookalike.sources.locations import location, location_of, readable_location
from lookalike.sources.objects import ObjectPath, ObjectSource, list_objects, object_path
from lookalike.uris import record_id
from tests.cli.json_lines import lines
from tests.conftest import CommandLine
from tests.mean_colours import save
from tests.servers.s3 import KEY, SECRET, Bucket

GROUP = pytest.mark.xdist_group("s3")


# Names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a b/한.jpg", "s3://bucket/a%20b/%ED%95%9C.jpg"),
        ("gs://bucket/100%25+&=?#.jpg", "gs://bucket/100%2525+&=%3F%23.jpg"),
        ("az://container/s3:/a.jpg", "az://container/s3:/a.jpg"),
        ("s3://bucket/👩‍🔧.jpg", "s3://bucket/%F0%9F%91%A9%E2%80%8D%F0%9F%94%A7.jpg"),
    ],
)
def test_an_object_is_named_as_people_write_it_and_recorded_as_a_uri(text: str, uri: str) -> None:
    path = location(text)
    assert isinstance(path, ObjectPath)
    assert (str(path), path.as_uri()) == (text, uri)
    assert location_of(uri) == path
    assert location(f"{text}/") == path


def test_parts_of_a_key_are_as_those_of_a_path() -> None:
    root, path = object_path("s3://bucket/parts"), object_path("s3://bucket/parts/good/a.jpg")
    assert (path.name, path.suffix, path.key, path.scheme) == ("a.jpg", ".jpg", "parts/good/a.jpg", "s3")
    assert path.is_relative_to(root)
    assert path.relative_to(root).as_posix() == "good/a.jpg"
    assert [str(each) for each in path.parents][:3] == [
        "s3://bucket/parts/good",
        "s3://bucket/parts",
        "s3://bucket",
    ]
    assert root / "good" / "a.jpg" == path


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///a.jpg",
        "s3://b//a.jpg",
        "s3://b/a//b.jpg",
        "s3://b/../a.jpg",
        "s3://b/a\nb.jpg",
        f"s3://b/{'한' * 342}",
        # These would be parts of an address, and another bucket than the record's.
        "s3://user:password@bucket/a.jpg",
        "s3://bucket:80/a.jpg",
        "s3://bucket?x=1/a.jpg",
        "s3://my bucket/a.jpg",
    ],
)
def test_keys_that_cannot_be_asked_for_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        location(text)
    assert location_of(text.replace("\n", "%0A")) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("S3://bucket/a", "write s3://bucket/prefix"),
        ("s3a://bucket/a", "write s3://bucket/prefix"),
        ("abfss://bucket/a", "write az://bucket/prefix"),
        ("https://bucket.s3.example.com/a", "write s3://bucket/prefix; AWS_ENDPOINT_URL"),
    ],
)
def test_what_other_programs_call_objects_is_told(text: str, meant: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(meant)):
        location(text)


def test_records_objects_are_asked_for_only_where_the_environment_says_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert readable_location("s3://bucket/a.jpg") is None
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert readable_location("s3://bucket/a.jpg") == object_path("s3://bucket/a.jpg")
    assert readable_location("gs://bucket/a.jpg") is None


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets._obstore.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ExtraMissing, match=r"lookalike\[objects\]"):
        find(object_path("s3://bucket/a"))
    buckets._obstore.cache_clear()


# A server that refuses --------------------------------------------------------------------------------------


def silent_about(error: BaseException, *more: str) -> None:
    said = "".join(traceback.format_exception(error))
    for secret in (SECRET, KEY, "Signature=", "StringToSign", "HostId", *more):
        assert secret not in said, secret


@GROUP
# The real one is drawn anew by each worker, and names of tests have to agree.
@pytest.mark.parametrize("value", ["wrong+secret", SECRET[:-1]], ids=["another", "cut off"])
def test_a_wrong_secret_is_refused_and_never_printed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    bucket.put({"a.jpg": b"a"})
    path = bucket.path("a.jpg")
    assert path.read_bytes() == b"a"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", value)
    asked: list[Callable[[], object]] = [lambda: list(list_objects(bucket.path())), path.read_bytes]
    for ask in asked:
        with pytest.raises(SourceDenied, match="SignatureDoesNotMatch") as caught:
            ask()
        silent_about(caught.value, value)
    # A HEAD has no words: it may be that one object.
    with pytest.raises(PermissionError) as refused:
        path.stat()
    silent_about(refused.value, value)


@GROUP
def test_an_unknown_key_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    with pytest.raises(SourceError) as caught:
        find(bucket.path())
    silent_about(caught.value, "somebody-else")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_ACCESS_KEY_ID", f"{KEY}\n", "AWS_ACCESS_KEY_ID .* a line end"),
        ("AWS_REGION", "eu\nwest", "AWS_REGION .* a line end"),
        ("AWS_SECRET_ACCESS_KEY", "", "there is only AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000", "AWS_ENDPOINT_URL .* is no address"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:99999", "AWS_ENDPOINT_URL .* is no address"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=said) as caught:
        find(object_path("s3://bucket/a"))
    silent_about(caught.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://bucket/a", "GOOGLE_APPLICATION_CREDENTIALS .* names no file"),
        ("az://container/a", "AZURE_STORAGE_ACCOUNT_NAME is not in the environment"),
    ],
)
def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, uri: str, said: str) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file.json")
    with pytest.raises(SourceError, match=said):
        find(object_path(uri))


@contextmanager
def serving(answer: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on the loopback, and yield the address."""
    with HTTPServer(("127.0.0.1", 0), answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def refusing(status: int, code: str) -> Iterator[str]:
    """Serve nothing but one error, as a server of Amazon has it that was not at hand."""
    content = f"<Error><Code>{code}</Code></Error>".encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

    with serving(Answer) as address:
        yield address


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "InvalidObjectState", PermissionError, "restore it first"),
        (400, "KMS.DisabledException", PermissionError, "its key refuses it"),
        (301, "PermanentRedirect", SourceError, "in another region than AWS_REGION says"),
    ],
)
def test_what_amazon_refuses_is_told_of_the_object_or_the_bucket(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: type[Exception], said: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with refusing(status, code) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(kind, match=said) as caught:
            object_path("s3://bucket/a.jpg").content()
    silent_about(caught.value)


@GROUP
def test_a_forged_signature_is_refused(bucket: Bucket) -> None:
    bucket.put({"a.jpg": b"a", "b.jpg": b"b"})
    url = ObjectSource(bucket.path()).sign(bucket.path("a.jpg").as_uri(), 60)
    assert url is not None
    assert SECRET not in url
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"a"
    forged = url[:-1] + ("0" if url[-1] != "0" else "1")
    for changed in (forged, url.replace("/a.jpg", "/b.jpg"), url.replace("Expires=60", "Expires=6000")):
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(changed, timeout=10)
        caught.value.close()


@GROUP
def test_what_is_not_there_is_told(bucket: Bucket) -> None:
    with pytest.raises(SourceError, match="no such bucket"):
        find(object_path("s3://no-such-bucket/a"))
    bucket.put({"parts/a.jpg": b"a"})
    for key in ("", "none", "par", "parts/a"):
        path = bucket.path(key)
        if key:
            with pytest.raises(PathNotFound, match=f"s3://.*{key}"):
                find(path)
        assert not path.is_file()
    with pytest.raises(PathNotFound, match="a pattern is given by --include"):
        find(bucket.path("parts/*.jpg"))
    with pytest.raises(FileNotFoundError, match="no such object"):
        bucket.path("parts/none.jpg").read_bytes()


@contextmanager
def listing(*pages: Sequence[str], refused: bool = False) -> Iterator[str]:
    """Serve a listing of keys that S3 may hold, and the server of these tests may not.

    Args:
        pages: of keys.
        refused: requests that are signed in their address are.
    """
    entry = '<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"e"</ETag>'
    entry += "<Size>1</Size></Contents>"

    def body(number: int, encoded: bool) -> str:
        more = number + 1 < len(pages)
        said = f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
        said += "<EncodingType>url</EncodingType>" if encoded else ""
        keys = [quote_plus(key) if encoded else escape(key) for key in pages[number]]
        form = (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>{}</IsTruncated>'
        )
        return f"{form.format(str(more).lower())}{said}{''.join(map(entry.format, keys))}</ListBucketResult>"

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(self.path.partition("?")[2])
            signed = "X-Amz-Signature" in asked
            answer = body(int(asked.get("continuation-token", ["0"])[0]), "encoding-type" in asked).encode()
            self.send_response(403 if signed and refused else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            pass

    with serving(Answer) as address:
        yield address


def test_a_key_with_two_slashes_is_skipped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bad = ["parts//b+ 한.jpg", "parts/./c.json", "parts/../d.jpg"]
    good = ["parts/(1).jpg", "parts/a +%&.jpg", "parts/한.jpg", "parts/z.jpg"]
    with listing(good[:1], [good[1], *bad[:2], good[2]], [bad[2], good[3]]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        found = find(object_path("s3://bucket/parts"))
        with pytest.raises(SourceError, match=r"an object is called 'parts//b"):
            list(list_objects(object_path("s3://bucket/parts")))
    assert [str(path) for path in found.images] == sorted(f"s3://bucket/{key}" for key in good)
    assert sorted(each.path for each in found.skipped) == sorted(f"s3://bucket/{key}" for key in bad)
    assert all("rename it" in each.reason for each in found.skipped)
    with listing(["parts//b.jpg"]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        (only,) = find(object_path("s3://bucket/parts")).skipped
    assert only.path == "s3://bucket/parts//b.jpg"


def test_a_key_that_cannot_be_asked_for_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with listing(["parts/a.jpg", "parts//b.jpg"], refused=True) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(SourceError, match=r"an object is called 'parts//b\.jpg'") as refused:
            find(object_path("s3://bucket/parts"))
        silent_about(refused.value)
    with listing(["parts/", "parts/a.jpg", "parts/deep/", "parts/deep/b.jpg", "/parts/a.jpg"]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        found = find(object_path("s3://bucket"))
    assert [str(path) for path in found.images] == ["s3://bucket/parts/a.jpg", "s3://bucket/parts/deep/b.jpg"]
    assert [each.path for each in found.skipped] == ["s3://bucket/parts/a.jpg"]


# The command line -------------------------------------------------------------------------------------------


@GROUP
def test_commands_take_objects_as_they_take_files(
    lookalike: CommandLine, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    data = [save(folder / f"{n}.png", n).read_bytes() for n in range(6)]
    names = ("good/a b.png", "good/한국.png", "good/100%.png", "bad/a+b.png", "bad/😀.png", "bad/?#.png")
    bucket.put({f"parts/{name}": one for name, one in zip(names, data, strict=True)})
    root = bucket.path("parts")
    out, _ = lookalike("index", root)
    assert "6 added (labels: folders" in out
    assert "6 unchanged" in lookalike("index", f"{root}/")[0]
    out, _ = lookalike("search", f"{root}/good/100%.png", "-k", "1")
    assert f"{root}/good/100%.png" in out
    out, _ = lookalike("classify", f"{root}/bad/?#.png", "--by", "label", "-k", "1")
    assert "label = bad" in out or "label = good" in out
    out, _ = lookalike("delete", "images", f"{root}/good/한국.png")
    assert "1 record deleted" in out
    assert "1 added, 5 unchanged" in lookalike("index", root)[0]
    uri = bucket.path("parts/good/한국.png").as_uri()
    assert "1 record deleted" in lookalike("delete", "images", uri)[0]
    assert record_id(uri) == record_id(bucket.path("parts/good/한국.png").as_uri())
    table = f"image,label\ngood/a b.png,worn\n{root}/bad/😀.png,torn\n".encode()
    bucket.put({"parts/right.csv": table})
    out, _ = lookalike("label", "--from", f"{root}/right.csv", "--format", "jsonl")
    # They come in order of their ids, which the bucket's name decides.
    assert sorted((line["uri"], line["fields"]["label"]) for line in lines(out) if "uri" in line) == [
        (bucket.path("parts/bad/😀.png").as_uri(), "torn"),
        (bucket.path("parts/good/a b.png").as_uri(), "worn"),
    ]
    assert "no such file or folder: s3://" in lookalike("label", "--from", f"{root}/none.csv", code=2)[1]
    # What cannot be asked for is named as it is.
    (folder / "list.txt").write_text("/parts/good/a.png\nparts/good/a b.png")
    out, _ = lookalike("index", root, "--manifest", folder / "list.txt")
    assert f"{bucket.uri}//parts/good/a.png" in out


@GROUP
def test_no_secret_is_in_what_commands_print(
    lookalike: CommandLine, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong+secret")
    out, err = lookalike("index", bucket.path("parts"), code=1)
    assert "the server refuses access (SignatureDoesNotMatch)" in err
    for secret in ("wrong+secret", KEY, "StringToSign"):
        assert secret not in out + err
