"""The files of the page: how they are served, and what holds for all of them without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lookalike.server.routes.page import WEB, Page
from tests.service import InProcess

SCRIPTS = sorted((WEB / "js").rglob("*.js"))
VENDORED = sorted((WEB / "vendor").glob("*.js"))
STYLES = sorted((WEB / "css").glob("*.css"))

# Where a text could become markup or a program.
SINKS = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", r"document\.write", r"\beval\(", "new Function",
    "cssText", "DOMParser",
)  # fmt: skip

# Text on a ground: WCAG 2.2, 1.4.3, asks for 4.5; edges and marks: 1.4.11 asks for 3.
TEXTS = [
    ("ink", "paper"), ("ink", "card"), ("ink", "sunk"), ("soft", "paper"), ("soft", "card"), ("soft", "sunk"),
    ("accent", "paper"), ("accent", "card"), ("accent", "accent-soft"), ("on-accent", "accent"),
    ("on-accent", "accent-strong"), ("good", "card"), ("good", "paper"), ("bad", "card"), ("bad", "bad-soft"),
    ("ink", "bad-soft"), ("warn", "warn-soft"), ("warn", "card"),
]  # fmt: skip
EDGES = [("edge", "card"), ("edge", "paper"), ("accent", "sunk"), *[(f"mark-{n}", "card") for n in range(8)]]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


def addresses(text: str) -> list[str]:
    return [
        value
        for _, attributes in Elements(text).found
        for name, value in attributes.items()
        if name in ("href", "src") and value
    ]


def test_the_page_and_all_it_names_are_served_with_their_types(service: InProcess) -> None:
    answer = service.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    named = [address for address in addresses(answer.text) if not address.startswith("#")]
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for address in named:
        assert address.startswith("/static/"), address
        file = service.client.get(address)
        assert file.status_code == 200, address
        assert file.headers["content-type"].startswith(types[Path(address).suffix])
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in file.headers["cache-control"]
    assert len([address for address in named if address.endswith(".js")]) == len(SCRIPTS + VENDORED) + 1
    assert len([address for address in named if address.endswith(".css")]) == len(STYLES)


def test_a_browser_that_has_a_file_is_told_so(service: InProcess) -> None:
    script = next(each for each in addresses(service.client.get("/").text) if each.endswith(".js"))
    for address in ("/", script):
        first = service.client.get(address)
        again = service.client.get(address, headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
        assert service.client.get(address, headers={"If-None-Match": '"x"'}).status_code == 200
        head = service.client.head(address)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(first.content))


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "js/none.js",
        "../page.py",
        "..%2fpage.py",
        "js/..%2f..%2f..%2fpage.py",
        "%2e%2e/page.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "js/main.js%00",
        "js\\main.js",
        "",
    ],
)
def test_nothing_but_the_files_of_the_page_is_served(service: InProcess, path: str) -> None:
    version = Page().version
    answer = service.client.get(f"/static/{version}/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "root:" not in answer.text


def test_files_of_another_version_are_gone(service: InProcess) -> None:
    assert service.client.get("/static/0123456789abcdef/js/main.js").status_code == 404


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "index.html").write_text('<script type="module" src="/static/js/a.js"></script>')
    (tmp_path / "js" / "a.js").write_text("1")
    (tmp_path / "secret.key").write_text("no file of the page")
    one = Page(tmp_path)
    assert set(one.files) == {"js/a.js"}
    assert f'src="/static/{one.version}/js/a.js"' in one.page.content.decode()
    (tmp_path / "js" / "a.js").write_text("2")
    two = Page(tmp_path)
    assert two.version != one.version
    assert two.page.etag != one.page.etag
    assert Page(tmp_path).version == two.version


def test_nothing_in_the_page_stands_in_its_markup() -> None:
    """What the Content-Security-Policy forbids is not there either."""
    elements = Elements((WEB / "index.html").read_text())
    assert elements.inline == ""
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES, WEB / "index.html"], ids=lambda path: path.name)
def test_each_file_is_small_names_no_other_address_and_makes_no_markup(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}
    if path.suffix == ".js":
        assert not re.search("|".join(SINKS), text)
        assert len(text.splitlines()) <= 300 or "messages" in path.parts
        assert max(map(len, text.splitlines())) <= 160 or "messages" in path.parts
        for other in re.findall(
            r"^import .*? from \"(.*?)\";$|^import \"(.*?)\";$", text, re.MULTILINE | re.DOTALL
        ):
            assert (path.parent / "".join(other)).resolve() in SCRIPTS + VENDORED
        assert text.startswith("// ")


def test_the_libraries_of_the_page_are_as_the_registry_has_them() -> None:
    """Each file has the sum of the registry's, but for names of other packages that became addresses."""
    manifest = json.loads((WEB / "vendor" / "manifest.json").read_text())
    assert {path.name for path in VENDORED} == set(manifest["files"])
    for name, origin in manifest["files"].items():
        text = (WEB / "vendor" / name).read_text()
        for package, address in origin.get("specifiers", {}).items():
            assert f'from"{address}"' in text
            text = text.replace(f'from"{address}"', f'from"{package}"')
        assert hashlib.sha256(text.encode()).hexdigest() == origin["sha256"], name
    assert {each["package"] for each in manifest["files"].values()} == set(manifest["packages"])
    documented = (WEB.parents[3] / "docs" / "dependencies.md").read_text()
    for name, package in manifest["packages"].items():
        assert (WEB / "vendor" / package["licence_file"]).read_text().strip()
        assert package["integrity"].startswith("sha512-")
        assert f"{name} {package['version']} ({package['licence']})" in documented


def test_the_scripts_import_each_other_one_way() -> None:
    imports = {
        path.name: {Path(each).name for each in re.findall(r'from "(\./.*?)";', path.read_text())}
        for path in SCRIPTS
    }
    done: set[str] = set()
    while len(done) < len(imports):
        ready = {name for name, needs in imports.items() if name not in done and needs <= done}
        assert ready, f"in a circle: {sorted(set(imports) - done)}"
        done |= ready


def colours(dark: bool) -> dict[str, tuple[int, int, int]]:
    """Return the colours of the page by their names."""
    light, separator, night = (WEB / "css" / "tokens.css").read_text().partition("@media")
    assert separator
    text = light + night if dark else light
    return {
        name: (int(value[0:2], 16), int(value[2:4], 16), int(value[4:6], 16))
        for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6});", text)
    }


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Return the contrast of two colours, 1 … 21 (WCAG 2.2, "contrast ratio" and "relative luminance")."""

    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [each / 255 for each in colour]
        red, green, blue = (
            each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_told_apart(dark: bool) -> None:
    found = colours(dark)
    assert contrast((0, 0, 0), (255, 255, 255)) == 21
    for pairs, least in ((TEXTS, 4.5), (EDGES, 3.0)):
        for one, other in pairs:
            assert contrast(found[one], found[other]) >= least, (
                one,
                other,
                contrast(found[one], found[other]),
            )


def test_both_schemes_have_all_colours() -> None:
    light, _, night = (WEB / "css" / "tokens.css").read_text().partition("@media")
    light_names, dark_names = (set(re.findall(r"--([\w-]+):", each)) for each in (light, night))
    assert light_names == dark_names
    styles = "".join(path.read_text() for path in STYLES if path.name != "tokens.css")
    # What a part has for itself, and what a script measures.
    own = set(re.findall(r"^ +--([\w-]+):", styles, re.MULTILINE))
    measured = set(re.findall(r'"--([\w-]+)"', "".join(path.read_text() for path in SCRIPTS)))
    assert set(re.findall(r"var\(--([\w-]+)", styles)) - own - measured <= light_names
