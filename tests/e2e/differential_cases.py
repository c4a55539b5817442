"""What is sent to gputach and to nginx, and what both answer: the corpus of differential_test.py.

Each case is sent with a second request behind it that asks for another page and for the end of the connection. The
outcome is the list of the statuses that come back until the connection ends:

    (200, 404)   the first request is served, and the second gets its own answer
    (400,)       the first is refused, and the connection ends with that

Some bodies hold a third request. Whoever reads the body's length otherwise than the sender would answer it, with 204.
"""

import dataclasses

SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"  # 404
HIDDEN = b"OPTIONS /proxy/stats HTTP/1.1\r\nHost: x\r\n\r\n"  # 204, if somebody takes it for a request
HIDDEN_SIZE = len(HIDDEN)

SERVED = (200, 404)
BAD = (400,)

# Reasons that several rows share.
BARE_LF = "RFC 9112 section 2.2: a bare LF may end a line or not; where servers differ in that, requests are smuggled."
CHUNK_LF = "RFC 9112 section 7.1: a chunk's lines end in CRLF; only in place of a header line's may a bare LF be taken."
NO_REPAIR = "RFC 9112 section 3: single spaces part the request line; repairs of it let requests be smuggled."
AS_SENT = "Own choice: paths are compared as they are sent, so that two servers in a row cannot read one path as two."


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    sent: bytes
    outcome: tuple  # gputach's; nginx's, too, where it does not follow here
    nginx: tuple | None = None
    why: str = ""  # one sentence: why we differ

    @property
    def nginx_outcome(self):
        return self.outcome if self.nginx is None else self.nginx


def get(fields="", target="/proxy/stats", method="GET", version="HTTP/1.1", host="Host: x\r\n", body=b""):
    return f"{method} {target} {version}\r\n{host}{fields}\r\n".encode("latin-1") + body


def chunked(body):
    return get("Transfer-Encoding: chunked\r\n", body=body)


VALID = [
    Case("a plain request", get(), SERVED),
    Case("HEAD", get(method="HEAD"), SERVED),
    Case("an unknown page", get(target="/nothing"), (404, 404)),
    Case("a method this page does not take", get(method="DELETE"), (405, 404)),
    Case("a method nobody knows", get(method="BREW"), (405, 404)),
    Case("OPTIONS", get(method="OPTIONS"), (204, 404)),
    Case("a query", get(target="/proxy/stats?a=b?c&d"), SERVED),
    Case("three pipelined requests", get() + get(target="/nothing") + get(), (200, 404, 200, 404)),
    Case("absolute-form", get(target="http://x/proxy/stats"), SERVED),
    Case("absolute-form that names another host than Host", get(target="http://y:81/proxy/stats", host="Host: x\r\n"),
         SERVED),
    Case("absolute-form in HTTP/1.0 without Host", get(target="http://x/proxy/stats", version="HTTP/1.0", host=""),
         (200,)),
    Case("HTTP/1.0 without Host", get(version="HTTP/1.0", host=""), (200,)),
    Case("HTTP/1.0 with Connection: keep-alive", get("Connection: keep-alive\r\n", version="HTTP/1.0"), (200,), SERVED,
         "RFC 9112 section 9.3: keep-alive of HTTP/1.0 may be honoured or not; we end such a connection."),
    Case("Connection: close", get("Connection: close\r\n"), (200,)),
    Case("Connection: close in a list", get("Connection: foo , Close\r\n"), (200,)),
    Case("Connection: closed", get("Connection: closed\r\n"), SERVED, (200,),
         "RFC 9110 section 7.6.1: options are whole tokens; nginx looks for the letters anywhere."),
    Case("one empty line before the request", b"\r\n" + get(), SERVED),
    Case("a body of a known length", get(f"Content-Length: {HIDDEN_SIZE}\r\n", body=HIDDEN), SERVED),
    Case("a length with leading zeros", get(f"Content-Length: 000{HIDDEN_SIZE}\r\n", body=HIDDEN), SERVED),
    Case("a body of length 0", get("Content-Length: 0\r\n"), SERVED),
    Case("a chunked body", chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (HIDDEN_SIZE, HIDDEN)), SERVED),
    Case("a chunked body with extensions", chunked(b"3;a=\"b c\"\r\nabc\r\n0;d\r\n\r\n"), SERVED),
    Case("a chunked body with a trailer", chunked(b"3\r\nabc\r\n0\r\nA: b\r\nC:\r\n\r\n"), SERVED),
    Case("a trailer that names a length", chunked(b"0\r\nContent-Length: 5\r\n\r\n"), SERVED),
    Case("chunked in mixed case", get("transfer-encoding: \t ChunKed \r\n", body=b"0\r\n\r\n"), SERVED, (501,),
         "RFC 9110 section 5.5: white space around a value is no part of it, and tabs are; nginx strips spaces only."),
    Case("Expect: 100-continue with its body at once",
         get("Expect: 100-continue\r\nContent-Length: 3\r\n", body=b"abc"), SERVED, (100, 200, 404),
         "RFC 9110 section 10.1.1: a server may leave 100 out when the body has begun to arrive."),
    Case("Expect: 100-continue in HTTP/1.0",
         get("Expect: 100-continue\r\nContent-Length: 3\r\n", version="HTTP/1.0", body=b"abc"), (200,)),
    Case("bytes beyond ASCII in a value", get("A: \x80\xff\r\n"), SERVED),
    Case("a head of 12 KiB", get("A: " + "a" * 6000 + "\r\nB: " + "b" * 6000 + "\r\n"), SERVED),
    Case("a target of 8000 bytes", get(target="/" + "a" * 7999), (404, 404)),
    Case("OPTIONS *", get(target="*", method="OPTIONS"), (204, 404), BAD,
         "RFC 9112 section 3.2.4: the asterisk is a valid target of OPTIONS; nginx does not know it."),
]

FRAMING = [
    Case("two lengths", get("Content-Length: 0\r\nContent-Length: 5\r\n", body=b"abcde"), BAD),
    Case("two lengths that are the same", get("Content-Length: 5\r\nContent-Length: 5\r\n", body=b"abcde"), BAD),
    Case("a list of lengths", get("Content-Length: 5, 5\r\n", body=b"abcde"), BAD),
    Case("a length and chunked", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), BAD),
    Case("chunked and a length", get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body=b"0\r\n\r\n"), BAD),
    Case("an unknown coding", get("Transfer-Encoding: gzip\r\n"), (501,)),
    Case("the coding identity", get("Transfer-Encoding: identity\r\n"), (501,)),
    Case("an unknown coding before chunked", get("Transfer-Encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"), (501,)),
    Case("chunked twice", get("Transfer-Encoding: chunked, chunked\r\n", body=b"0\r\n\r\n"), BAD, (501,),
         "RFC 9112 section 6.1: a sender must not apply chunked twice, so the message is malformed, and 400 says so."),
    Case("chunked twice in two fields", get("Transfer-Encoding: chunked\r\n" * 2, body=b"0\r\n\r\n"), BAD),
    Case("chunked that is not the last coding", get("Transfer-Encoding: chunked, gzip\r\n", body=b"0\r\n\r\n"), BAD,
         (501,), "RFC 9112 section 6.3: such a request has no length that can be known, and gets 400."),
    Case("chunked with a parameter", get("Transfer-Encoding: chunked;a=b\r\n", body=b"0\r\n\r\n"), BAD, (501,),
         "RFC 9112 section 7: the coding chunked has no parameters, so the field is malformed."),
    Case("a vertical tab before chunked", get("Transfer-Encoding: \x0bchunked\r\n", body=b"0\r\n\r\n"), BAD, (501,),
         "RFC 9110 section 5.5: a control character in a value is an error of the sender."),
    Case("an empty coding", get("Transfer-Encoding:\r\n"), BAD, (501,),
         "RFC 9112 section 6.1: the list of codings has at least one element, so the field is malformed."),
    Case("chunked in HTTP/1.0", get("Transfer-Encoding: chunked\r\n", version="HTTP/1.0", body=b"0\r\n\r\n"), BAD),
    Case("a length with a plus", get("Content-Length: +5\r\n", body=b"abcde"), BAD),
    Case("a length with a minus", get("Content-Length: -5\r\n", body=b"abcde"), BAD),
    Case("a length with a space inside", get("Content-Length: 1 0\r\n", body=b"abcde"), BAD),
    Case("a length in hexadecimal", get("Content-Length: 0x5\r\n", body=b"abcde"), BAD),
    Case("an empty length", get("Content-Length:\r\n"), BAD),
    Case("a length beyond 64 bits", get("Content-Length: 18446744073709551621\r\n", body=b"abcde"), BAD),
    Case("a length beyond what is drained", get("Content-Length: 1000000000\r\n"), (413,)),
    Case("a body that ends early", get("Content-Length: 1000\r\n", body=b"abc"), (), (200,),
         "RFC 9112 section 8: an incomplete request need not be answered; nginx answers before it has the body."),
]

CHUNKS = [
    Case("a chunk size with a plus", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a chunk size with a minus", chunked(b"-3\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a chunk size with 0x", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a space before a chunk size", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a space after a chunk size", chunked(b"3 \r\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 7.1.1: white space may stand there only before an extension."),
    Case("a space within a chunk size", chunked(b"0 3\r\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 7.1: a size is digits; what follows a space is no extension without a semicolon."),
    Case("a chunk size beyond 64 bits", chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("no chunk size", chunked(b"\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a bare LF after a chunk size", chunked(b"3\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         CHUNK_LF),
    Case("a bare CR after a chunk size", chunked(b"3\rabc\r\n0\r\n\r\n"), BAD),
    Case("a bare LF in a chunk extension", chunked(b"3;a\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         CHUNK_LF),
    Case("a NUL in a chunk extension", chunked(b"3;\0\r\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 7.1.1: an extension is made of tokens and quoted strings, which have no NUL."),
    Case("a chunk that is longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), BAD),
    Case("a chunk that is shorter than its size", chunked(b"5\r\nabc\r\n0\r\n\r\n"), BAD),
    Case("a bare LF after a chunk", chunked(b"3\r\nabc\n0\r\n\r\n"), BAD, SERVED,
         CHUNK_LF),
    Case("nothing after a chunk", chunked(b"3\r\nabc0\r\n\r\n"), BAD),
    Case("a bare LF at the end of the body", chunked(b"0\r\n\n"), BAD, SERVED,
         BARE_LF),
    Case("a bare LF after a trailer", chunked(b"0\r\nA: b\n\r\n"), BAD, SERVED,
         BARE_LF),
    Case("a folded trailer", chunked(b"0\r\nA: b\r\n c\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 5.2: a folded line may be refused, in the trailers as in the head."),
    Case("a trailer without a colon", chunked(b"0\r\nA\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 7.1.2: trailers have the syntax of header lines."),
    Case("a request where the trailers should be", chunked(b"0\r\n" + HIDDEN), BAD, SERVED,
         "RFC 9112 section 7.1.2: trailers have the syntax of header lines, which a request line has not."),
    Case("chunk extensions of 5000 bytes", chunked(b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n"), BAD, SERVED,
         "RFC 9112 section 7.1.1: a server ought to limit the length of extensions; ours is 4096 bytes for a body."),
]

HOST = [
    Case("no Host", get(host=""), BAD),
    Case("no Host beside absolute-form", get(target="http://x/proxy/stats", host=""), BAD),
    Case("two Hosts", get("Host: y\r\n"), BAD),
    Case("two Hosts that are the same", get("Host: x\r\n"), BAD),
    Case("an empty Host", get(host="Host:\r\n"), SERVED, BAD,
         "RFC 9112 section 3.2: a client whose target has no authority sends an empty Host."),
    Case("a Host with a path", get(host="Host: x/y\r\n"), BAD),
    Case("a Host with a user", get(host="Host: u@x\r\n"), BAD, SERVED,
         "RFC 9110 section 7.2: Host is a host and a port; a user is no part of either."),
    Case("a Host with a space", get(host="Host: x y\r\n"), BAD),
    Case("a list of Hosts", get(host="Host: x, y\r\n"), BAD),
    Case("a Host with letters for a port", get(host="Host: x:8y\r\n"), BAD, SERVED,
         "RFC 9112 section 3.2: an invalid Host gets 400, and a port is digits."),
    Case("a Host in open brackets", get(host="Host: [::1\r\n"), BAD, SERVED,
         "RFC 9112 section 3.2: an invalid Host gets 400, and an address in brackets has both."),
]

LINES = [
    Case("a space before the colon", get("A : b\r\n"), BAD),
    Case("a space before the colon of a length", get("Content-Length : 5\r\n", body=b"abcde"), BAD),
    Case("a tab before the colon of a coding", get("Transfer-Encoding\t: chunked\r\n", body=b"0\r\n\r\n"), BAD),
    Case("a line without a colon", get("A\r\n"), BAD, SERVED,
         "RFC 9112 section 5: a header line has a colon; nginx passes over lines it cannot read."),
    Case("a line without a name", get(": b\r\n"), BAD),
    Case("a name that is no token", get("A(b): c\r\n"), BAD, SERVED,
         "RFC 9110 section 5.1: a name is a token; nginx passes over lines it cannot read."),
    Case("an underscore in a name", get("A_b: c\r\n"), SERVED),
    Case("a folded value", get("A: b\r\n c\r\n"), BAD),
    Case("a folded coding", get("Transfer-Encoding:\r\n chunked\r\n", body=b"0\r\n\r\n"), BAD),
    Case("a first line that begins with a space", get(host=" A: b\r\nHost: x\r\n"), BAD),
    Case("bare LFs", get("A: b\r\n").replace(b"\r\n", b"\n"), BAD, SERVED,
         BARE_LF),
    Case("a bare LF after the request line", get().replace(b"\r\n", b"\n", 1), BAD, SERVED,
         BARE_LF),
    Case("a bare LF that hides a field", get("A: b\nContent-Length: 5\r\n", body=b"abcde"), BAD, SERVED,
         BARE_LF),
    Case("a bare LF at the end of the head", get()[:-2] + b"\n", BAD, SERVED,
         BARE_LF),
    Case("a bare CR in a value", get("A: b\rc\r\n"), BAD),
    Case("a bare CR that hides a field", get("A: b\rContent-Length: 5\r\n"), BAD),
    Case("two CRs before an LF", get("A: b\r\r\n"), BAD, SERVED,
         "RFC 9112 section 2.2: a CR that no LF follows makes the message invalid."),
    Case("a NUL in a value", get("A: b\0c\r\n"), BAD),
    Case("a NUL in a name", get("A\0: c\r\n"), BAD),
    Case("a control character in a value", get("A: \x01\r\n"), BAD, SERVED,
         "RFC 9110 section 5.5: a value with control characters is invalid, and may be refused."),
    Case("a head of 20 KiB", get(("A: " + "a" * 4000 + "\r\n") * 5), (431,), SERVED,
         "RFC 9110 section 5.4: each server sets its limit; ours is 16 KiB, nginx's 4 buffers of 8 KiB."),
    Case("a field of 17 KiB", get("A: " + "a" * 17000 + "\r\n"), (431,), BAD,
         "RFC 6585 section 5: 431 is the status for header fields that are too large."),
    Case("150 fields", get("A: b\r\n" * 150), (431,), SERVED,
         "RFC 9110 section 5.4: each server sets its limit; ours is 100 fields."),
]

REQUEST_LINE = [
    Case("two empty lines before the request", b"\r\n\r\n" + get(), BAD, SERVED,
         "RFC 9112 section 2.2: at least one empty line ought to be ignored; we ignore one, nginx any number."),
    Case("an LF before the request", b"\n" + get(), BAD, SERVED,
         "RFC 9112 section 2.2: what may be ignored before a request is a CRLF."),
    Case("a space before the request", b" " + get(), BAD),
    Case("a NUL before the request", b"\0" + get(), BAD),
    Case("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 32, BAD),
    Case("a PROXY line before the request", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), BAD),
    Case("two spaces before the target", get(target=" /proxy/stats"), BAD, SERVED,
         NO_REPAIR),
    Case("two spaces before the version", get(target="/proxy/stats "), BAD, SERVED,
         NO_REPAIR),
    Case("a space after the version", get(version="HTTP/1.1 "), BAD, SERVED,
         NO_REPAIR),
    Case("tabs for spaces", get().replace(b" ", b"\t", 2), BAD),
    Case("a bare CR before the version", get(target="/proxy/stats\r"), BAD),
    Case("no target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n", BAD),
    Case("no version", b"GET /proxy/stats\r\n", BAD, (b"{}",),
         "RFC 9112 section 3: a request line has a version; nginx still speaks HTTP/0.9, without status and header."),
    Case("HTTP/0.9", get(version="HTTP/0.9"), (505,), BAD,
         "RFC 9110 section 15.6.6: 505 is the status for a major version that is not spoken."),
    Case("HTTP/1.2", get(version="HTTP/1.2"), (505,), SERVED,
         "Own choice: RFC 9110 section 2.5 would read it as HTTP/1.1; nobody speaks it, so nobody is lost."),
    Case("HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,), BAD,
         "RFC 9110 section 15.6.6: 505 is the status for a major version that is not spoken."),
    Case("HTTP/1.10", get(version="HTTP/1.10"), BAD, SERVED,
         "RFC 9112 section 2.3: a version has one digit on each side of the dot."),
    Case("HTTP/11", get(version="HTTP/11"), BAD, (505,),
         "RFC 9112 section 2.3: this is no version at all, so 400 and not 505."),
    Case("http/1.1", get(version="http/1.1"), BAD),
    Case("a method that is no token", get(method="G(T"), BAD),
    Case("a method in lower case", get(method="get"), (405, 404), BAD,
         "RFC 9110 section 9.1: a method is any token, so get is one that this page does not take."),
    Case("a method of 40 letters", get(method="A" * 40), (501,), (405, 404),
         "RFC 9112 section 3: a method longer than any that is known gets 501."),
    Case("CONNECT", get(method="CONNECT", target="x:80"), (501,), BAD,
         "RFC 9110 section 15.6.2: 501 is the status for a method that is not supported for any resource."),
    Case("an authority for a target", get(target="x:80"), BAD),
    Case("the asterisk with GET", get(target="*"), BAD),
    Case("a target without a slash", get(target="proxy/stats"), BAD),
    Case("another scheme", get(target="ftp://x/proxy/stats"), BAD, SERVED,
         "RFC 9110 section 7.4: a request for a resource that is not ours is misdirected, and no ftp resource is."),
    Case("absolute-form with a user", get(target="http://u@x/proxy/stats"), BAD),
    Case("absolute-form without a host", get(target="http:///proxy/stats"), BAD),
    Case("a fragment", get(target="/proxy/stats#a"), BAD, SERVED,
         "RFC 9112 section 3.2: a target has no fragment, and who cuts it off does not see the target that others do."),
    Case("a target beyond ASCII", get(target="/\xc3\xa4"), BAD, (404, 404),
         "RFC 3986 section 2: a URI is made of ASCII, so the request line is invalid and gets 400."),
    Case("a NUL in the target", get(target="/proxy/stats\0"), BAD),
    Case("a target of 9000 bytes", get(target="/" + "a" * 9000), (414,)),
    Case("a target with encoded letters", get(target="/proxy/%73tats"), (404, 404), SERVED,
         AS_SENT),
    Case("a target with dot segments", get(target="/proxy/x/../stats"), (404, 404), SERVED,
         AS_SENT),
    Case("a target with two slashes", get(target="//proxy/stats"), (404, 404)),
]

GROUPS = {
    "Valid requests": VALID,
    "The length of a body": FRAMING,
    "Chunks": CHUNKS,
    "Host": HOST,
    "Header lines": LINES,
    "The request line": REQUEST_LINE,
}
