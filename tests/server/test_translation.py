"""What the service says in Korean: all that it can say, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lookalike
from lookalike.server.middleware.translation import in_korean, korean, prefers_korean
from tests.service import COLLECTION, InProcess

PACKAGE = Path(lookalike.__file__).parent
KOREAN = korean()

# All sentences of these are messages.
SPEAKING = (
    "errors", "server/http/problems", "search/hits", "search/search", "search/listing", "search/background",
    "search/nonsense", "images/regions", "classification/classifier", "evaluation/judgement",
    "evaluation/calibrator", "embedders/builtin/concepts", "metric_learning/corrections",
)  # fmt: skip
# What is no message, or is put together of messages.
SILENT = {
    ", ", ", {}", "{}: {}", "{} = {}", "{} {}", "{} {} {}", "{}; {}; {}; {}", " ", "%s: %s",
    " (not counted yet)", "tuple[object, ...]", "tuple[float, float, float, float]", "of this request",
    "Not Found", "Method Not Allowed", "There was an error parsing the body",
    "Missing boundary in multipart.",
    "concepts 1; centred by script; softmax at 0.07 over texts; sum of directions",
    'Bearer realm="lookalike"',
}  # fmt: skip
# Put together where a template is filled in: `Age.text`.
MADE = {"{} added", "{} removed", "{} changed", "{} (not counted yet)"}


def template(node: ast.AST) -> str | None:
    """Return a text of the program, with {} for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{[^{}]*\}", "{}", node.value)
    return None


def sentences(path: Path, *, refusals: bool) -> Iterator[str]:
    """Yield what a module can say: all texts with a space, or those of what the service refuses."""
    tree = ast.parse(path.read_bytes())
    parts = {id(part) for each in ast.walk(tree) if isinstance(each, ast.JoinedStr) for part in each.values}
    parts |= {
        id(part)
        for each in ast.walk(tree)
        if isinstance(each, ast.FormattedValue) and each.format_spec is not None
        for part in ast.walk(each.format_spec)
    }
    parts |= {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    refused = {
        id(part)
        for each in ast.walk(tree)
        if isinstance(each, ast.Call) and ast.unparse(each.func) in ("Refused", "Overloaded")
        for argument in each.args
        for part in ast.walk(argument)
    }
    for node in ast.walk(tree):
        text = template(node)
        if text and " " in text and id(node) not in parts and (not refusals or id(node) in refused):
            yield text


def test_all_that_can_be_said_is_said_in_both_languages() -> None:
    said = {text for name in SPEAKING for text in sentences(PACKAGE / f"{name}.py", refusals=False)}
    for path in (PACKAGE / "server").rglob("*.py"):
        said |= set(sentences(path, refusals=True))
    assert said - SILENT - KOREAN.keys() == set()


def test_nothing_is_translated_that_nobody_says() -> None:
    every = {text for path in PACKAGE.rglob("*.py") for text in sentences(path, refusals=False)}
    assert KOREAN.keys() - every - MADE == set()


def test_every_message_has_its_parts_and_is_korean() -> None:
    for english, said in KOREAN.items():
        filled = said.format(*(f"<{place}>" for place in range(english.count("{}"))))
        assert re.search("[가-힣]", filled) or english == "SQL: {}"
        typed = set(re.findall(r"`[^`{]*`", english))
        assert typed <= set(re.findall(r"`[^`{]*`", said)), "what is typed stays"


def test_what_is_in_the_list_is_worded_whatever_is_in_it() -> None:
    assert (
        in_korean("no image of collection 'a b' has the id 12")
        == "컬렉션 'a b'에 아이디가 12인 이미지가 없습니다"
    )
    said = in_korean("no collection 'x': the store has a, b; `lookalike index PATH --collection x` makes it")
    assert said.startswith("컬렉션 'x'이(가) 없습니다. 저장소에 있는 것: a, b. `lookalike index")
    assert in_korean("a.jpg: has changed since it was indexed") == "a.jpg: 색인한 뒤에 바뀌었습니다"
    age = "confidence is as judged on 5 images at 2026; since then 1 added, 2 changed"
    assert in_korean(age) == "신뢰도는 2026에 이미지 5개로 잰 것입니다. 그 뒤: 1개 추가, 2개 변경"
    assert in_korean("nobody says this: or that, {0}") == "nobody says this: or that, {0}"


@pytest.mark.parametrize(
    ("accepted", "gets"),
    [
        ("ko", True), ("ko-KR,ko;q=0.9,en-US;q=0.8", True), ("en,ko", False), ("en;q=0.5, ko", True),
        ("de, ko;q=0.1", True), ("ko;q=0", False), ("*", False), ("", False), ("ko;q=much", False),
        ("korean", False),
    ],
)  # fmt: skip
def test_who_prefers_korean_gets_it(accepted: str, gets: bool) -> None:
    assert prefers_korean(accepted) == gets


def test_answers_are_said_in_the_language_that_was_asked_for(service: InProcess) -> None:
    wants = {"Accept-Language": "ko"}
    path = f"/v1/collections/{COLLECTION}"
    missing = f"{path}/images/{'0' * 32}"
    english = service.client.get(missing).json()
    answer = service.client.get(missing, headers=wants)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == "ko"
    assert "이미지가 없습니다" in answer.json()["detail"]
    assert {**answer.json(), "detail": english["detail"]} == english
    # Remarks too; what programs read, and what users have said, stays.
    first = service.ask("browse", {"limit": 1})["images"][0]["id"]
    said = {"fields": {"reason": "the store is empty"}}
    assert service.client.patch(f"{path}/images/{first}", json=said).status_code == 200
    assert service.client.get(f"{path}/images/{first}", headers=wants).json()["fields"]["reason"] == (
        "the store is empty"
    )
    query = {"terms": [{"text": "천"}], "k": 60}
    here = service.client.post(f"{path}/search", json=query).json()
    there = service.client.post(f"{path}/search", json=query, headers=wants).json()
    assert here["remarks"][0].startswith("words are read by efficientnet-lite0. It knows everyday things")
    assert here["model"] == "efficientnet-lite0"
    assert there["remarks"][0].startswith("말을 읽는 모델은 efficientnet-lite0입니다. 일상의 사물을")
    assert {**there, "remarks": here["remarks"]} == here
    # Refused before any route, and what is no JSON.
    assert "메서드를 받지 않습니다" in service.client.put(path, headers=wants).json()["detail"]
    picture = service.client.get(f"{path}/images/{first}/thumbnail", headers=wants)
    assert picture.headers["content-type"] == "image/webp"
    assert service.client.head("/healthz", headers=wants).status_code in (200, 405)
