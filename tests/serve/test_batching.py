"""The queue: batches gather across requests, in order, with bounds; nothing is mixed up or lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from detoxlab.serve.pool.batching import Batch, Queue, QueueFullError, WorkerLostError
from detoxlab.serve.pool.messages import Reply, Scored, Task, packed, unpacked


def queue(scorers: int = 1, **options: Any) -> Queue:
    given = {"batch_size": 4, "batch_wait": 0.0, "most": 100, "longest_wait": 5.0} | options
    return Queue(scorers, clock=asyncio.get_running_loop().time, **given)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def finish(batch: Batch) -> None:
    """Score a text by its length, so that its own score can be told from others'."""
    batch.finish([Scored((float(len(text)),)) for text in batch.texts])


async def work(line: Queue, seen: list[list[str]]) -> None:
    while True:
        batch = await line.take()
        seen.append(batch.texts)
        await asyncio.sleep(0)
        finish(batch)


def test_texts_of_many_requests_are_one_batch_and_each_gets_its_own() -> None:
    async def test() -> None:
        line = queue()
        asked = [asyncio.create_task(line.score(0, ["x" * n], [])) for n in range(1, 7)]
        await asyncio.sleep(0)
        assert line.waiting == 6
        first, second = await line.take(), await line.take()
        assert [len(text) for text in first.texts] == [1, 2, 3, 4]
        assert [len(text) for text in second.texts] == [5, 6]
        assert line.waiting == 0
        finish(second)
        finish(first)
        found = await asyncio.gather(*asked)
        assert [rows[0].values for rows in found] == [(n,) for n in range(1, 7)]

    run(test)


def test_a_request_larger_than_a_batch_is_split_and_put_together() -> None:
    async def test() -> None:
        line, seen = queue(), list[list[str]]()
        worker = asyncio.create_task(work(line, seen))
        texts = ["x" * n for n in range(1, 11)]
        rows = await line.score(0, texts, [0, 5, 9])
        assert [row.values[0] for row in rows] == list(range(1, 11))
        assert [len(one) for one in seen] == [4, 4, 2]
        worker.cancel()

    run(test)


def test_the_places_of_texts_whose_language_is_asked_for_move_with_them() -> None:
    async def test() -> None:
        line = queue(batch_size=5)
        tasks = [
            asyncio.create_task(line.score(0, ["a", "b"], [0])),
            asyncio.create_task(line.score(0, ["c", "d"], [1])),
            asyncio.create_task(line.score(0, ["e"] * 7, [0, 6])),
        ]
        await asyncio.sleep(0)
        batches = [await line.take() for _ in range(3)]
        assert [batch.detect for batch in batches] == [[0, 3], [0], [1]]
        for batch in batches:
            finish(batch)
        await asyncio.gather(*tasks)

    run(test)


def test_scorers_have_lines_of_their_own_and_the_oldest_goes_first() -> None:
    async def test() -> None:
        line = queue(2)
        tasks = [asyncio.create_task(line.score(at, ["x"], [])) for at in (1, 0, 1)]
        await asyncio.sleep(0)
        batches = [await line.take(), await line.take()]
        assert [(batch.scorer, len(batch.texts)) for batch in batches] == [(1, 2), (0, 1)]
        for batch in batches:
            finish(batch)
        await asyncio.gather(*tasks)

    run(test)


def test_a_batch_waits_for_company_no_longer_than_said() -> None:
    async def test() -> None:
        line = queue(batch_wait=0.05)
        clock = asyncio.get_running_loop().time
        begun = clock()
        first = asyncio.create_task(line.score(0, ["a"], []))
        taking = asyncio.create_task(line.take())
        await asyncio.sleep(0.01)
        second = asyncio.create_task(line.score(0, ["b"], []))
        batch = await taking
        assert (batch.texts, clock() - begun >= 0.05) == (["a", "b"], True)
        full = [asyncio.create_task(line.score(0, ["c"] * 4, []))]
        await asyncio.sleep(0)
        begun = clock()
        whole = await line.take()
        assert clock() - begun < 0.05
        finish(batch)
        finish(whole)
        await asyncio.gather(first, second, *full)

    run(test)


def test_a_full_queue_says_when_to_come_back() -> None:
    async def test() -> None:
        line = queue(most=10)
        line.admit()
        task = asyncio.create_task(line.score(0, ["x"] * 30, []))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError) as full:
            line.admit()
        assert full.value.seconds == 1
        line.scored(10, 10.0)  # a text per second
        assert line.seconds_to_room() == 15
        task.cancel()

    run(test)


def test_a_text_that_waits_too_long_is_given_up_and_not_scored() -> None:
    async def test() -> None:
        line = queue(longest_wait=0.02)
        with pytest.raises(QueueFullError):
            await line.score(0, ["x"], [])
        later = asyncio.create_task(line.score(0, ["y"], []))
        await asyncio.sleep(0)
        batch = await line.take()
        assert batch.texts == ["y"]
        assert line.waiting == 0
        finish(batch)
        await later

    run(test)


def test_a_batch_whose_process_ended_is_scored_by_another_once() -> None:
    async def test() -> None:
        line = queue()
        task = asyncio.create_task(line.score(0, ["x", "y"], [1]))
        await asyncio.sleep(0)
        line.give_back(await line.take())
        assert line.waiting == 2
        again = await line.take()
        assert (again.texts, again.detect) == (["x", "y"], [1])
        line.give_back(again)
        with pytest.raises(WorkerLostError):
            await task
        assert line.waiting == 0

    run(test)


def test_a_client_that_left_takes_no_place_in_a_batch() -> None:
    async def test() -> None:
        line = queue()
        gone = asyncio.create_task(line.score(0, ["gone"] * 2, []))
        here = asyncio.create_task(line.score(0, ["here"], []))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        batch = await line.take()
        assert (batch.texts, line.waiting) == (["here"], 0)
        finish(batch)
        await here

    run(test)


def test_messages_are_read_back() -> None:
    task = Task(1, ["a", "\U0001f600"], [1])
    reply = Reply([Scored((0.5, None), "empty"), Scored(())])
    assert unpacked(packed(task)[4:], Task) == task
    assert unpacked(packed(reply)[4:], Reply) == reply
