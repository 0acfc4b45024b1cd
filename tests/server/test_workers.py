"""What requests wait in: pictures and texts of many are embedded together, and none is lost or mistaken."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.errors import InvalidArgument
from lookalike.ingest.embedding import EmbeddedFile
from lookalike.server.http.problems import Overloaded
from lookalike.server.workers.embedding_queue import MOST_LONG, EmbeddingQueue
from lookalike.server.workers.thread_pool import ThreadPool
from lookalike.sources.uploads import Upload
from lookalike.types import Features, Skipped
from tests.costly_pictures import saved
from tests.mean_colours import MeanColours, mean_colours, picture
from tests.service import COLLECTION, InProcess
from tests.service import until as until_met

SECONDS = 30.0


class Gate:
    """Lets calls through one by one, or all."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()

    def release(self) -> None:
        self._open.set()

    def __call__(self) -> None:
        self.entered.release()
        assert self._open.wait(SECONDS)


class Gated(MeanColours):
    """Waits at a gate in each call."""

    def __init__(self, batch_size: int = 1, fingerprint: str = "c0" * 32) -> None:
        super().__init__(batch_size)
        self.fingerprint = fingerprint
        self.gate = Gate()

    def embed(self, images: Sequence[Image.Image]) -> Features:
        self.gate()
        return super().embed(images)


class Reader:
    """Reads texts: a text is its length, and some are refused as models refuse them."""

    vocabulary = None
    text_fingerprint = "ab" * 32

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate
        self.calls: list[list[str]] = []

    def embed_texts(self, texts: Sequence[str]) -> Features:
        if self.gate is not None:
            self.gate()
        self.calls.append(list(texts))
        for text in texts:
            if text.startswith("bad"):
                raise InvalidArgument(f"{text!r} has no words")
        return np.array([[len(text)] for text in texts], np.float32)


def upload(seed: int) -> Upload:
    out = io.BytesIO()
    picture(seed).save(out, "png")
    return Upload(f"{seed}.png", out.getvalue())


def is_of(answer: EmbeddedFile | Skipped, seed: int) -> bool:
    return isinstance(answer, EmbeddedFile) and np.array_equal(answer.features, mean_colours(picture(seed)))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the threads of a queue do."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


@pytest.fixture
def nothing_kept(tmp_path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(tmp_path / "cache", "c0" * 32, MeanColours.dimension)
    yield cache
    cache.close()


@pytest.fixture
def make_queue() -> Iterator[Callable[..., EmbeddingQueue]]:
    made = []

    def make(limit: int = 100, workers: int = 1) -> EmbeddingQueue:
        made.append(EmbeddingQueue(limit, 10_000, workers))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def test_pictures_of_many_requests_go_to_the_model_together(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(), Gated(batch_size=4)

    async def ask() -> list[list[EmbeddedFile | Skipped]]:
        asked = [asyncio.ensure_future(queue.pictures([upload(0)], model, nothing_kept))]
        await until(lambda: model.gate.entered.acquire(blocking=False))
        asked += [
            asyncio.ensure_future(queue.pictures([upload(seed)], model, nothing_kept))
            for seed in range(1, 12)
        ]
        await until(lambda: queue.waiting == 11)
        model.gate.release()
        return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert all(len(answer) == 1 and is_of(answer[0], seed) for seed, answer in enumerate(answers))
    assert model.calls == [1, 4, 4, 3]
    assert (queue.batches, queue.embedded, queue.waiting) == (4, 12, 0)


def test_threads_share_what_waits(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    """One that took all of it would leave the others with nothing to do."""
    queue, model = make_queue(workers=2), Gated(batch_size=16)

    async def ask() -> None:
        await asyncio.gather(asyncio.ensure_future(released()), queue.pictures(sent, model, nothing_kept))

    async def released() -> None:
        await until(lambda: queue.waiting == 0)
        model.gate.release()

    sent = [upload(seed) for seed in range(8)]
    asyncio.run(ask())
    assert len(model.calls) >= 2
    assert max(model.calls) <= 4


def test_a_model_that_takes_one_at_a_time_gets_one_at_a_time(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(), MeanColours()
    sent = [upload(seed) for seed in range(20)]
    answers = asyncio.run(_pictures(queue, sent, model, nothing_kept))
    assert all(is_of(answer, seed) for seed, answer in enumerate(answers))
    assert model.calls == [1] * 20


async def _pictures(queue: EmbeddingQueue, *asked: Any) -> list[EmbeddedFile | Skipped]:
    return await queue.pictures(*asked)


def test_pictures_of_two_models_and_texts_are_never_mixed(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, one, two, reader = make_queue(), Gated(8), Gated(8, "d0" * 32), Reader()

    async def ask() -> list[Any]:
        first = asyncio.ensure_future(queue.pictures([upload(100)], one, nothing_kept))
        await until(lambda: one.gate.entered.acquire(blocking=False))
        asked: list[Awaitable[Any]] = [first]
        for turn in range(4):
            asked += [
                asyncio.ensure_future(queue.pictures([upload(turn)], one, nothing_kept)),
                asyncio.ensure_future(queue.pictures([upload(turn), upload(turn + 10)], two, nothing_kept)),
                asyncio.ensure_future(queue.texts(["a" * (turn + 1)], reader)),
            ]
        await until(lambda: queue.waiting == 16)
        one.gate.release()
        two.gate.release()
        return await asyncio.gather(*asked)

    _, *answers = asyncio.run(ask())
    for turn in range(4):
        first, second, text = answers[3 * turn : 3 * turn + 3]
        assert is_of(first[0], turn)
        assert [is_of(second[0], turn), is_of(second[1], turn + 10)] == [True, True]
        assert text[0].tolist() == [turn + 1]
    assert (one.calls, two.calls, [len(call) for call in reader.calls]) == ([1, 4], [8], [4])


def test_an_unusable_picture_and_one_that_is_known_keep_their_places(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(), MeanColours(8)
    known = asyncio.run(_pictures(queue, [upload(1)], model, nothing_kept))[0]
    assert isinstance(known, EmbeddedFile)
    # A question leaves no trace: only what others kept is known.
    assert nothing_kept.get(known.digest) is None
    nothing_kept.put({known.digest: known.features})
    sent = [upload(0), Upload("a.txt", b"text"), upload(1), upload(2)]
    found = asyncio.run(_pictures(queue, sent, model, nothing_kept))
    assert [isinstance(each, Skipped) for each in found] == [False, True, False, False]
    assert [is_of(found[0], 0), is_of(found[2], 1), is_of(found[3], 2)] == [True] * 3
    assert model.embedded == 3


def test_a_model_that_fails_fails_only_those_who_asked_it(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    class Broken(Gated):
        def embed(self, images: Sequence[Image.Image]) -> Features:
            self.gate()
            raise MemoryError("no room")

    queue, broken, model = make_queue(), Broken(8, "d0" * 32), MeanColours(8)

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(queue.pictures([upload(9)], broken, nothing_kept))]
        await until(lambda: broken.gate.entered.acquire(blocking=False))
        for seed in range(3):
            asked.append(asyncio.ensure_future(queue.pictures([upload(seed)], model, nothing_kept)))
            asked.append(asyncio.ensure_future(queue.pictures([upload(seed)] * 2, broken, nothing_kept)))
        await until(lambda: queue.waiting == 9)
        broken.gate.release()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    assert all(isinstance(answer, MemoryError) for answer in (answers[0], *answers[2::2]))
    assert all(is_of(answer[0], seed) for seed, answer in enumerate(answers[1::2]))
    # The thread is still there.
    assert is_of(asyncio.run(_pictures(queue, [upload(5)], model, nothing_kept))[0], 5)


def test_a_text_that_is_refused_fails_only_its_request(make_queue: Callable[..., EmbeddingQueue]) -> None:
    queue, reader = make_queue(), Reader(Gate())
    assert reader.gate is not None
    gate = reader.gate

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(queue.texts(["first"], reader))]
        await until(lambda: gate.entered.acquire(blocking=False))
        asked += [
            asyncio.ensure_future(queue.texts(texts, reader))
            for texts in (["good", "better"], ["fine", "bad one"], ["best"])
        ]
        await until(lambda: queue.waiting == 5)
        gate.release()
        return await asyncio.gather(*asked, return_exceptions=True)

    _, good, refused, best = asyncio.run(ask())
    assert [row.tolist() for row in good] == [[4], [6]]
    assert str(refused) == "'bad one' has no words"
    assert best[0].tolist() == [4]
    assert reader.calls[1] == ["good", "better", "fine", "bad one", "best"]


def test_who_has_gone_is_not_waited_for(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(), Gated(batch_size=3)

    async def ask() -> list[Any]:
        first = asyncio.ensure_future(queue.pictures([upload(0)], model, nothing_kept))
        await until(lambda: model.gate.entered.acquire(blocking=False))
        asked = [
            asyncio.ensure_future(queue.pictures([upload(seed), upload(seed + 10)], model, nothing_kept))
            for seed in range(1, 6)
        ]
        await until(lambda: queue.waiting == 10)
        for gone in (asked[0], asked[2], first):
            gone.cancel()
        await asyncio.sleep(0)
        model.gate.release()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    gone = [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert gone == [True, False, True, False, False]
    for seed in (2, 4, 5):
        assert [is_of(answers[seed - 1][0], seed), is_of(answers[seed - 1][1], seed + 10)] == [True, True]
    # The one that was under way, and three requests of two.
    assert model.embedded == 1 + 6
    assert queue.embedded == 7


def test_a_full_queue_refuses_and_says_when_to_ask_again(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(limit=3), Gated()

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(queue.pictures([upload(0)], model, nothing_kept))]
        await until(lambda: model.gate.entered.acquire(blocking=False))
        asked.append(asyncio.ensure_future(queue.pictures([upload(1), upload(2)], model, nothing_kept)))
        await until(lambda: queue.waiting == 2)
        with pytest.raises(Overloaded) as refused:  # all of a request or nothing of it
            await queue.pictures([upload(3), upload(4)], model, nothing_kept)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        asked.append(asyncio.ensure_future(queue.pictures([upload(5)], model, nothing_kept)))
        await until(lambda: queue.waiting == 3)
        model.gate.release()
        return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert [len(answer) for answer in answers] == [1, 2, 1]
    assert model.embedded == 4


def long_upload(number: int) -> Upload:
    """A picture that may take long to decode; a small one."""
    return Upload(f"{number}.tif", saved(picture(number), "TIFF", compression="jpeg"))


def test_pictures_that_may_take_long_keep_nobody_else_waiting(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, slow, quick = make_queue(workers=1), Gated(fingerprint="d0" * 32), MeanColours()

    async def ask() -> tuple[Any, list[Any]]:
        def put(number: int) -> asyncio.Future[Any]:
            return asyncio.ensure_future(queue.pictures([long_upload(number)], slow, nothing_kept))

        long = [put(0)]
        await until(lambda: slow.gate.entered.acquire(blocking=False))
        # One is at the model, so many wait, and two are too many.
        long += [put(number) for number in range(1, MOST_LONG + 3)]
        await until(lambda: sum(each.done() for each in long) == 2)
        assert queue.waiting == MOST_LONG
        answer = await queue.pictures([upload(1)], quick, nothing_kept)
        assert sum(each.done() for each in long) == 2
        slow.gate.release()
        return answer, await asyncio.gather(*long, return_exceptions=True)

    answer, answers = asyncio.run(ask())
    assert is_of(answer[0], 1)
    refused = [each for each in answers if isinstance(each, Overloaded)]
    assert [each.headers for each in refused] == [{"Retry-After": "10"}] * 2
    embedded = [each for each in answers if isinstance(each, list) and isinstance(each[0], EmbeddedFile)]
    assert len(embedded) == MOST_LONG + 1


def test_long_pictures_that_were_accepted_are_embedded_before_the_end(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(workers=1), Gated()

    async def ask() -> list[Any]:
        asked = [
            asyncio.ensure_future(queue.pictures([make(number)], model, nothing_kept))
            for number in range(4)
            for make in (upload, long_upload)
        ]
        await until(lambda: model.gate.entered.acquire(blocking=False))
        closing = asyncio.get_running_loop().run_in_executor(None, queue.close)
        model.gate.release()
        answers = await asyncio.gather(*asked)
        await closing
        return answers

    assert [type(answer[0]) for answer in asyncio.run(ask())] == [EmbeddedFile] * 8


def test_what_waits_is_refused_when_the_time_is_over(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model, work, gate = make_queue(workers=1), Gated(), ThreadPool(1, 10), Gate()

    async def ask() -> tuple[list[Any], list[Any]]:
        asked = [
            asyncio.ensure_future(queue.pictures([make(number)], model, nothing_kept))
            for number in range(3)
            for make in (upload, long_upload)
        ]
        calls = [asyncio.ensure_future(work.run(gate)) for _ in range(3)]
        await until(lambda: model.gate.entered.acquire(blocking=False))
        await until(lambda: gate.entered.acquire(blocking=False))
        queue.abort()
        work.abort()
        with pytest.raises(Overloaded):
            await queue.pictures([upload(9)], model, nothing_kept)
        with pytest.raises(Overloaded):
            await work.run(gate)
        await until(lambda: sum(each.done() for each in asked) >= 4)
        model.gate.release()
        gate.release()
        return (
            await asyncio.gather(*asked, return_exceptions=True),
            await asyncio.gather(*calls, return_exceptions=True),
        )

    answers, calls = asyncio.run(ask())
    work.close()
    refused = [each for each in answers if isinstance(each, Overloaded)]
    assert 4 <= len(refused) <= 5  # the one or two that the model had are answered
    assert "the service stopped before this was done" in str(refused[0])
    assert [type(each) for each in calls] == [type(None), Overloaded, Overloaded]


def test_what_was_accepted_is_answered_before_the_end(
    make_queue: Callable[..., EmbeddingQueue], nothing_kept: FeatureCache
) -> None:
    queue, model = make_queue(workers=2), Gated(batch_size=2)

    async def ask() -> list[Any]:
        asked = [
            asyncio.ensure_future(queue.pictures([upload(seed)], model, nothing_kept)) for seed in range(9)
        ]
        await until(lambda: queue.embedded >= 2)
        ended = asyncio.get_running_loop().run_in_executor(None, queue.close)
        while True:  # it may not have begun to close
            late = asyncio.ensure_future(queue.pictures([upload(len(asked))], model, nothing_kept))
            await asyncio.sleep(0.001)
            if late.done():
                break
            asked.append(late)
        assert isinstance(late.exception(), Overloaded)
        model.gate.release()
        await ended
        return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert len(answers) >= 9
    assert all(is_of(answer[0], seed) for seed, answer in enumerate(answers))


_REQUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "model": st.integers(0, 2),
            "seeds": st.lists(st.integers(0, 30), min_size=1, max_size=5),
            "cancelled": st.booleans(),
            "pause": st.booleans(),
        }
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(requests=_REQUESTS, workers=st.integers(1, 3), limit=st.integers(1, 60), size=st.integers(1, 6))
def test_whatever_is_asked_everybody_gets_their_own_answers(
    requests: list[dict[str, Any]], workers: int, limit: int, size: int
) -> None:
    class Odd(Reader):
        """Fails where a text of its own is among those that it gets."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.text_fingerprint = f"{number:064}"

    readers = [Odd(number) for number in range(3)]
    queue = EmbeddingQueue(limit, 10_000, workers)

    def text(seed: int) -> str:
        return "bad" if seed == 30 else "x" * seed

    async def one(request: dict[str, Any]) -> list[list[float]]:
        rows = await queue.texts([text(seed) for seed in request["seeds"]], readers[request["model"]])
        return [row.tolist() for row in rows]

    async def ask() -> list[Any]:
        asked = []
        for request in requests:
            asked.append(asyncio.ensure_future(one(request)))
            if request["pause"]:
                await asyncio.sleep(0)
            if request["cancelled"]:
                asked[-1].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    try:
        answers = asyncio.run(ask())
    finally:
        queue.close()
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, asyncio.CancelledError):
            assert request["cancelled"]
        elif isinstance(answer, Overloaded):
            assert sum(len(each["seeds"]) for each in requests) > limit
        elif isinstance(answer, InvalidArgument):
            assert 30 in request["seeds"]
        else:
            assert answer == [[seed] for seed in request["seeds"]]
            assert 30 not in request["seeds"]
    assert queue.waiting == 0
    assert queue.embedded <= sum(len(request["seeds"]) for request in requests)
    assert queue.batches <= queue.embedded


def test_nothing_of_a_request_is_held_after_its_answer(make_queue: Callable[..., EmbeddingQueue]) -> None:
    class Text(str):
        __slots__ = ("__weakref__",)

    class Forgetful(Reader):
        def embed_texts(self, texts: Sequence[str]) -> Features:
            return np.array([[len(text)] for text in texts], np.float32)

    queue, work = make_queue(), ThreadPool(1, 10)

    async def ask() -> list[weakref.ref[Text]]:
        text, other = Text("a text"), Text("another")
        await queue.texts([text], Forgetful())
        assert await work.run(lambda: len(other)) == 7
        return [weakref.ref(text), weakref.ref(other)]

    async def held() -> None:
        references = await ask()

        def gone() -> bool:
            gc.collect()
            return all(reference() is None for reference in references)

        await until(gone)

    asyncio.run(held())
    work.close()


def test_work_returns_raises_and_refuses() -> None:
    work = ThreadPool(2, 3)
    gate = Gate()

    def fails(error: BaseException) -> None:
        raise error

    async def ask() -> None:
        assert await work.run(lambda: 1 + 1) == 2
        with pytest.raises(KeyError):
            await work.run(lambda: fails(KeyError("a")))
        # Neither may end the loop, nor be lost in a future that does not take it.
        for error in (StopIteration(1), SystemExit(3), KeyboardInterrupt()):
            with pytest.raises(RuntimeError, match=type(error).__name__):
                await work.run(lambda error=error: fails(error))  # type: ignore[misc]
        done: list[int] = []
        held = [asyncio.ensure_future(work.run(gate)) for _ in range(2)]
        waits = asyncio.ensure_future(work.run(lambda: done.append(1)))
        await until(lambda: work.under_way == 3)
        with pytest.raises(Overloaded):
            await work.run(lambda: None)
        waits.cancel()
        await until(lambda: work.under_way == 2)
        after = asyncio.ensure_future(work.run(lambda: done.append(2)))
        await until(lambda: work.under_way == 3)
        gate.release()
        await asyncio.gather(*held, after)
        assert done == [2]
        assert work.under_way == 0
        accepted = [asyncio.ensure_future(work.run(time.monotonic)) for _ in range(3)]
        await asyncio.sleep(0)
        work.close()
        assert len(await asyncio.gather(*accepted)) == 3
        with pytest.raises(Overloaded):
            await work.run(lambda: None)

    asyncio.run(ask())


def test_a_call_is_patient_with_a_thread_at_work_but_not_for_ever() -> None:
    async def ask(work: ThreadPool, *, patient: bool) -> None:
        gate, names = Gate(), []

        def hold() -> None:
            names.append(threading.current_thread().name)
            gate()

        held = asyncio.ensure_future(work.run(hold))
        await until(lambda: gate.entered.acquire(blocking=False))
        others = [
            asyncio.ensure_future(work.run(lambda: names.append(threading.current_thread().name)))
            for _ in range(5)
        ]
        if patient:
            await until(lambda: work.under_way == 6)
        else:
            await asyncio.gather(*others)
        gate.release()
        await asyncio.gather(held, *others)
        assert len(names) == 6
        assert (len(set(names)) == 1) == patient

    for patience in (0.0, 0.01, 3600.0):
        work = ThreadPool(3, 10, patience)
        asyncio.run(ask(work, patient=patience > 1))
        work.close()


def gated(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Let the model of the service wait at a gate, once the service has no questions of its own to it."""
    until_met(lambda: service.client.get("/readyz").status_code == 200)
    model = service.database.embedder("efficientnet-lite0")
    gate, embed = Gate(), model.embed

    def wait(images: Sequence[Image.Image]) -> Features:
        gate()
        return embed(images)

    monkeypatch.setattr(model, "embed", wait)
    return gate


def new_pictures(strangers: list[Path], count: int) -> list[bytes]:
    """Return photographs that nobody has seen: turned, and one pixel apart from each other."""
    made = []
    for number in range(count):
        with Image.open(strangers[number % len(strangers)]) as photograph:
            turned = photograph.convert("RGB").transpose(Image.Transpose.ROTATE_90)
        turned.putpixel((0, 0), (number % 256, number // 256, 7))
        out = io.BytesIO()
        turned.save(out, "png")
        made.append(out.getvalue())
    return made


def test_a_service_with_a_full_queue_answers_503_and_goes_on(
    make_service: Callable[..., InProcess], strangers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(queue=2, workers=1)
    gate = gated(service, monkeypatch)
    path = f"/v1/collections/{COLLECTION}/search"
    first, second, third = new_pictures(strangers, 3)
    with ThreadPoolExecutor(2) as clients:
        held = clients.submit(service.client.post, path, files={"image": first})
        assert gate.entered.acquire(timeout=SECONDS)
        waiting = clients.submit(service.client.post, path, files=[("image", second), ("image", third)])
        until_met(lambda: service.service.embedding_queue.waiting == 2)
        refused = service.client.post(path, files={"image": third})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["error"] == "Overloaded"
        # What needs no model is answered.
        assert service.client.get(f"/v1/collections/{COLLECTION}").status_code == 200
        gate.release()
        assert [future.result().status_code for future in (held, waiting)] == [200, 200]
    assert service.client.post(path, files={"image": third}).status_code == 200


def test_many_clients_at_once_get_their_own_answers(service: InProcess, strangers: list[Path]) -> None:
    pictures = new_pictures(strangers, 48)
    path = f"/v1/collections/{COLLECTION}"
    asked = [
        (f"{path}/search", {"query": '{"k": 3}'})
        if number % 3
        else (f"{path}/classify", {"query": '{"by": "label"}'})
        for number in range(len(pictures))
    ]

    def ask(number: int) -> Any:
        where, query = asked[number]
        answer = service.client.post(where, data=query, files={"image": ("a.png", pictures[number])})
        assert answer.status_code == 200, answer.text
        return answer.json()

    alone = [ask(number) for number in range(len(pictures))]
    assert len({str(answer) for answer in alone}) > len(pictures) // 2
    until_met(lambda: service.client.get("/readyz").status_code == 200)
    before = service.service.embedding_queue.embedded
    with ThreadPoolExecutor(24) as clients:
        together = list(clients.map(ask, [number for _ in range(3) for number in range(len(pictures))]))
    assert together == alone * 3
    embedding = service.service.embedding_queue
    assert embedding.embedded - before == 3 * len(pictures)
    assert (embedding.waiting, service.service.store_pool.under_way) == (0, 0)
