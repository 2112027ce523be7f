"""One request to one upstream, from its first byte to its answer's last; deltas out, or a failure of the upstream."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sightline.core import Delta, GenerateRequest, ModelInfo
from sightline.engines.upstream.body import BodyWriter, written
from sightline.engines.upstream.client import Client, Response
from sightline.engines.upstream.delta_reader import DeltaReader
from sightline.engines.upstream.failures import Failure, Reason, of_status
from sightline.engines.upstream.usage_bounds import UsageBounds


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as one upstream has it. `dialect` is what kind of server it is."""

    info: ModelInfo
    writer: BodyWriter
    dialect: str


class Exchange:
    """A request and its answer as it comes: `read` until it gives nothing, `close` at any time.

    It fails where nothing comes for `timeout_s` although somebody reads; a client that reads slowly is not waited for.
    """

    _reader: DeltaReader

    def __init__(
        self, client: Client, url: str, model: ServedModel, request: GenerateRequest, timeout_s: float
    ) -> None:
        self._client = client
        self._url = url
        self._model = model
        self._request = request
        self._timeout_s = timeout_s
        self._response: Response | None = None
        self._waiting: asyncio.Timeout | None = None
        self._abandoned: Reason | None = None
        self.heard_at = time.monotonic()
        """When something came last, on the monotonic clock."""
        self.streams = request.stream
        self.has_begun = False
        """Whether the upstream works on it: it has said something, or, where it does not stream, taken it."""
        self.is_over = False

    async def read(self) -> list[Delta]:
        """Return the deltas that came at once, none when there are no more.

        Raises:
            Failure: the upstream failed.
            ServiceError: it refused the request, and would again.
        """
        if self.is_over:
            return []
        try:
            if self._abandoned:  # while its client did not read
                raise Failure(self._abandoned)
            async with asyncio.timeout(self._timeout_s) as self._waiting:
                response = self._response or await self._send()
                return await self._read(response)
        except TimeoutError as error:
            self.close()
            raise Failure(self._abandoned or "idle_timeout") from error
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            self.close()
            raise Failure("invalid_response") from error
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """End the connection at once, and so the work, unless the answer is whole. Twice does no harm."""
        self.is_over = True
        if self._response is not None:
            self._response.close()

    def abandon(self, reason: Reason) -> None:
        """Fail it from outside: now if somebody waits for it, else when it is read next."""
        if self._abandoned:
            return
        self._abandoned = reason
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _send(self) -> Response:
        bounds = UsageBounds(self._request, self._model.info)
        body = await written(self._model.writer.write, self._request)
        self.heard_at = time.monotonic()
        self._reader = DeltaReader(bounds, self.heard_at)
        response = self._response = await self._client.send("POST", f"{self._url}/v1/chat/completions", body)
        if response.status != 200:
            # Only what a refusal of the request says is of use: nobody else is to wait for a body that may not come.
            raise of_status(response.status, await response.error() if 400 <= response.status < 500 else b"")
        if not self._request.stream:
            self.has_begun = True  # nobody else is to do it, too
        return response

    async def _read(self, response: Response) -> list[Delta]:
        if self._request.stream:
            while data := await response.read():
                self.heard_at, self.has_begun = time.monotonic(), True
                if deltas := self._reader.feed(data):
                    return deltas
            last = self._reader.end()
        else:
            last = self._reader.whole(await response.body())
        self.close()
        return [last]
