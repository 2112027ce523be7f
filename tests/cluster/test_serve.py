"""The service on a real Ray Serve: two fronts and several engine replicas, in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest
from openai import OpenAI

from cluster.conftest import Cluster
from soak import books
from soak.clients import Load
from support.live import image

pytestmark = [pytest.mark.scale, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
TWO = {"fronts": {"min_replicas": 2, "max_replicas": 2, "num_cpus": 0.1}}
ONE_FRONT = {"fronts": {"num_cpus": 0.1}}


def engines(least: int, most: int, **more: float) -> dict[str, object]:
    return {"engines": {"min_replicas": least, "max_replicas": most, "num_cpus": 0.1, **more}}


def under_load(cluster: Cluster, seed: int, meanwhile: Callable[[Load], None]) -> Load:
    """Run `meanwhile` with clients that note every byte; then their questions all have an end."""

    async def run() -> Load:
        load = Load([cluster], [cluster.key], seed)
        asking = [asyncio.create_task(load.client(number)) for number in range(100 * seed, 100 * seed + 8)]
        try:
            await asyncio.to_thread(meanwhile, load)
        finally:
            load.stopping = True
            await asyncio.gather(*asking)
        return load

    return asyncio.run(run())


def settle(cluster: Cluster) -> None:
    """Wait until nothing is reserved any more."""
    cluster.wait_for(lambda: books.outcomes(cluster.database)["reserved"] == 0)


def test_pictures_plain_answers_and_streams_cross_the_cluster(cluster: Cluster) -> None:
    cluster.run(TWO | engines(2, 2))
    client = OpenAI(base_url=f"{cluster.url}/v1", api_key=cluster.key)
    messages = [{"role": "user", "content": [image(), {"type": "text", "text": "é <eos>"}]}]

    plain = client.chat.completions.create(model="sightline/scripted", messages=messages)
    stream = list(client.chat.completions.create(model="sightline/scripted", messages=messages, stream=True))
    refused = cluster.ask("<fail>")

    assert plain.choices[0].message.content == "[32x32] é <eos>"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "[32x32] é <eos>"
    assert (refused.status_code, refused.json()["error"]["code"]) == (500, "engine_error")
    assert refused.headers.get_list("x-request-id") == [refused.headers["x-request-id"]]  # one


def test_fronts_count_a_keys_requests_together(cluster: Cluster) -> None:
    cluster.run(TWO | engines(1, 1))

    statuses = [cluster.ask(key=cluster.slow_key).status_code for _ in range(14)]

    assert len(cluster.replicas("front")) == 2
    assert statuses.count(200) in (10, 11)  # a bucket fills while it is emptied
    assert statuses.count(429) == 14 - statuses.count(200)


def test_client_that_leaves_frees_the_replica_within_a_step(cluster: Cluster) -> None:
    cluster.run(ONE_FRONT | engines(1, 1), step_s=0.05, max_running=1)
    body = {
        "model": "sightline/scripted",
        "stream": True,
        "messages": [{"role": "user", "content": "word " * 2000}],
    }
    head = {"authorization": f"Bearer {cluster.key}"}

    with httpx2.stream("POST", f"{cluster.url}/v1/chat/completions", json=body, headers=head, timeout=60) as answer:
        next(answer.iter_lines())
    took_s = cluster.wait_for(lambda: cluster.ask("a b c").status_code == 200, timeout_s=30)

    assert took_s < 5  # the whole answer takes 100


def test_killed_replica_costs_no_unstarted_request_and_the_ledger_adds_up(cluster: Cluster) -> None:
    cluster.run(TWO | engines(2, 2), step_s=0.02)
    killed: list[str] = []

    def kill(load: Load) -> None:
        for _ in range(3):
            cluster.wait_for(lambda: len(cluster.replicas()) == 2)
            name, pid = next(iter(cluster.replicas().items()))
            answered = load.outcomes["200"]
            cluster.wait_for(lambda more=answered + 20: load.outcomes["200"] >= more)
            os.kill(pid, signal.SIGKILL)
            killed.append(name)
            cluster.wait_for(lambda dead=name: dead not in cluster.replicas() and len(cluster.replicas()) == 2)

    load = under_load(cluster, 1, kill)
    settle(cluster)

    assert len(set(killed)) == 3
    assert books.problems(cluster.database, load.asked) == []
    print(f"3 replicas killed: {dict(load.outcomes)}")
    plain = [asked for asked in load.asked if not asked.stream]
    assert plain
    assert all(asked.answers for asked in plain)  # nothing of these was sent before their end: they moved


def test_plain_answer_that_is_half_done_begins_again_elsewhere(cluster: Cluster) -> None:
    cluster.run(ONE_FRONT | engines(1, 1), step_s=0.05)
    text = " ".join(f"w{number}" for number in range(60))

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cluster.ask, text)
        time.sleep(1.5)  # of three: the replica has said several times how far it is
        os.kill(*cluster.replicas().values(), signal.SIGKILL)
        answer = asked.result()
    settle(cluster)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == text
    assert answer.json()["usage"]["completion_tokens"] == 60


def test_replicas_follow_the_load_up_and_down_again(cluster: Cluster) -> None:
    scaling = {"target_ongoing_requests": 2, "upscale_delay_s": 1, "downscale_delay_s": 2, "look_back_period_s": 2}
    cluster.run(TWO | engines(1, 2, **scaling), step_s=0.05)
    times: list[float] = []
    assert len(cluster.replicas()) == 1

    load = under_load(cluster, 2, lambda _: times.append(cluster.wait_for(lambda: len(cluster.replicas()) == 2)))
    times.append(cluster.wait_for(lambda: len(cluster.replicas()) == 1))
    settle(cluster)

    print(f"1 → 2 in {times[0]:.1f} s, 2 → 1 in {times[1]:.1f} s, {dict(load.outcomes)}")
    assert books.problems(cluster.database, load.asked) == []
    assert set(load.outcomes) <= {"200", "200 again", "409"}


def test_service_is_not_ready_without_a_replica_and_again_when_there_is_one(cluster: Cluster) -> None:
    cluster.run(ONE_FRONT | engines(1, 1))
    [(name, pid)] = cluster.replicas().items()

    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    cluster.wait_for(lambda: not cluster.is_ready())
    refused = cluster.ask()
    cluster.wait_for(cluster.is_ready)

    assert refused.status_code in (200, 503)  # 200 where the new replica was quicker
    assert name not in cluster.replicas()
    assert cluster.ask().status_code == 200
