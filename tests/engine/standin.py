#!/usr/bin/env python3
"""Stands in for an inference engine: vLLM's routes over HTTP/1.1 as uvicorn writes it, and faults on demand.

It prints one line when it is ready, "standin listening address=... control=...", and ends at SIGTERM.
/standin/ on either address serves what it saw and takes orders; see README.md in this folder.
"""

import argparse
import asyncio
import dataclasses
import itertools
import json
import os
import signal
import ssl
import sys
import traceback
import urllib.parse

import connection as connections
import exchange as exchanges
import faults
import generation
import listener
import message
import record
import routes
import scheduler

# What uvicorn 0.54 says to what httptools cannot read.
INVALID = (b"HTTP/1.1 400 Bad Request\r\nserver: uvicorn\r\ncontent-type: text/plain; charset=utf-8\r\n"
           b"content-length: 30\r\nconnection: close\r\n\r\nInvalid HTTP request received.")  # fmt: skip


@dataclasses.dataclass
class Settings:
    model: str = "tiny-random"
    tokens: int = 16  # where a request does not say
    token_rate: float = 100.0  # tokens per second of each request; 0 is as fast as possible
    prompt_ms: float = 5.0  # prefill
    max_running: int = 256  # further requests queue
    keep_alive_s: float = 5.0  # uvicorn's idle limit in vLLM
    requests_per_connection: int = 0  # closes after so many without having said so; 0 is never
    healthy: bool = True
    force_usage: bool = False
    api_key: str = ""

    def update(self, values):
        for name, value in values.items():
            if name not in {field.name for field in dataclasses.fields(self)}:
                raise ValueError(f"there is no setting {name!r}")
            setattr(self, name, type(getattr(self, name))(value))


class Engine:
    def __init__(self, settings):
        self.settings = settings
        self.book = record.Book()
        self.scheduler = scheduler.Scheduler(settings)
        self.load = 0
        self.armed = {"fault": "", "times": None, "path": "/"}
        self.internal_errors = 0
        self.listener = None
        self._numbers = itertools.count(1)

    # Connections.

    def client_connection(self):
        return connections.Connection(next(self._numbers), self.book, self._serve_client)

    def control_connection(self):
        return connections.Connection(0, self.book, self._serve_requests, counted=False)

    async def _serve_client(self, connection):
        if self.listener.mode == "silent":
            connection.stop_reading()
            await connection.until_gone()
        elif self.listener.mode == "reset":
            connection.reset()
        elif self.listener.mode == "open":
            await self._serve_requests(connection)

    async def _serve_requests(self, connection):
        idle_s = None  # uvicorn limits only the time between two requests
        while (head := await self._read_head(connection, idle_s)) is not None:
            try:
                request = message.parse_head(head)
                body = message.Body(connection, request)
            except message.Malformed as error:
                self.book.saw_malformed(error, head)
                connection.write(INVALID)
                return
            if request.path.startswith("/standin/"):
                connection.not_counted()
                go_on = await self._order(connection, request, body)
            else:
                go_on = await self._exchange(connection, request, body)
            if not go_on:
                return
            idle_s = self.settings.keep_alive_s

    async def _read_head(self, connection, idle_s):
        try:
            return await connection.read_head(idle_s)
        except message.Malformed as error:
            self.book.saw_malformed(error, b"")
            connection.write(INVALID)
            return None

    # One request.

    async def _exchange(self, connection, request, body):
        """True when the connection can be used again."""
        connection.requests += 1
        its_record = self.book.begin(connection, connection.requests, request)
        exchange = exchanges.Exchange(self, connection, request, body, its_record)
        try:
            connection.begin(exchange)
            await self._answer(exchange)
            return await self._wind_up(exchange)
        except (connections.Gone, asyncio.CancelledError):
            self.book.end(its_record, "aborted", connection.gone_ns)
            raise
        except exchanges.Broken:
            return False
        except message.Malformed as error:
            self.book.saw_malformed(error, b"")
            self.book.end(its_record, "faulted")
            if exchange.status is None:
                connection.write(INVALID)
            return False
        except Exception:  # a defect of the stand-in itself must not look like a fault that was asked for
            traceback.print_exc()
            self.internal_errors += 1
            self.book.end(its_record, "faulted")
            connection.reset()
            return False
        finally:
            connection.end()

    async def _answer(self, exchange):
        try:
            text = self._fault_text(exchange.request)
            if text:
                fault = faults.parse(text)
                exchange.record.fault = text
                if await faults.TABLE[fault.name].apply(exchange, fault):
                    return
            await routes.dispatch(exchange)
        except (faults.BadFault, generation.BadRequest) as error:
            await exchange.error(400, str(error))

    def _fault_text(self, request):
        text = request.header("x-fault") or request.query.get("fault")
        if text or not self.armed["fault"] or not request.path.startswith(self.armed["path"]):
            return text
        if self.armed["times"] is not None:
            if self.armed["times"] <= 0:
                return None
            self.armed["times"] -= 1
        return self.armed["fault"]

    async def _wind_up(self, exchange):
        connection, body = exchange.connection, exchange.body
        if not exchange.closes and not body.complete:
            async for _ in body.pieces():
                pass
        self.book.end(exchange.record, "finished")
        if exchange.manner.afterwards:
            await asyncio.sleep(exchange.manner.afterwards_s)
            connection.write(exchange.manner.afterwards)
        limit = self.settings.requests_per_connection
        return not exchange.closes and not (limit and connection.requests >= limit)

    # Orders.

    async def _order(self, connection, request, body):
        content = await body.read()
        name = request.path.removeprefix("/standin/")
        try:
            answer = await self._obey(name, request.query, json.loads(content or b"{}"))
            status = 200 if answer is not None else 404
        except (ValueError, KeyError, faults.BadFault) as error:
            status, answer = 400, {"error": str(error)}
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        fields = [("content-type", "application/json"), ("content-length", str(len(data)))]
        connection.write(message.status_line(status) + message.field_lines(fields) + b"\r\n" + data)
        return request.keep_alive

    async def _obey(self, name, query, ask):
        if name == "faults":
            return faults.as_text()
        if name == "clear":
            self.book.clear()
        elif name == "settings":
            self.settings.update(ask)
            return dataclasses.asdict(self.settings)
        elif name == "fault":
            if ask.get("fault"):
                faults.parse(ask["fault"])
            self.armed = {"fault": ask.get("fault", ""), "times": ask.get("times"), "path": ask.get("path", "/")}
        elif name == "listener":
            await self.listener.set_mode(query["mode"])
        elif name == "drop":
            for connection in list(self.book.open):
                (connection.reset if query.get("how") == "reset" else connection.transport.close)()
        elif name != "state":
            return None
        return self.state(int(query.get("last", 100)))

    def state(self, last):
        queue = {"running": self.scheduler.running, "waiting": self.scheduler.waiting}
        return self.book.state(last) | {"queue": queue, "listener": self.listener.mode,
                                        "internal_errors": self.internal_errors}  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT or the path of a Unix socket")
    parser.add_argument("--control", default="127.0.0.1:0", help="a second address, which no fault reaches")
    parser.add_argument("--tls-certificate", metavar="FILE")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--until-stdin-ends", action="store_true", help="so that it never outlives who started it")
    parser.add_argument("--faults", action="store_true", help="list the faults and end")
    for field in dataclasses.fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool or field.type == "bool":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args()


def tls_context(arguments):
    if not arguments.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.tls_certificate, arguments.tls_key)
    return context


async def run(arguments):
    engine = Engine(Settings(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Settings)}))
    engine.listener = listener.Listener(listener.parse_address(arguments.listen), engine.client_connection,
                                        tls_context(arguments))  # fmt: skip
    control = listener.Listener(listener.parse_address(arguments.control), engine.control_connection)
    await engine.listener.set_mode("open")
    await control.set_mode("open")
    print(f"standin listening address={engine.listener.address} control={control.address}", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if arguments.until_stdin_ends:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else ended.set())
    await ended.wait()
    engine.listener.stop()
    control.stop()


def main():
    arguments = parse_arguments()
    if arguments.faults:
        print(faults.as_text())
        return 0
    asyncio.run(run(arguments))
    sys.stdout.flush()
    os._exit(0)  # exchanges that are still open end as those of an engine that died


if __name__ == "__main__":
    sys.exit(main())
