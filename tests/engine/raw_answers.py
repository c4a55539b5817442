"""Answers that no engine should give, byte for byte: `X-Fault: raw name=NAME`."""

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"transfer-encoding: chunked\r\n\r\n"
_SECOND = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond"

# Each breaks a rule that a gateway has to see: 502 and the connection closed, or a body that never ends cleanly.
REFUSED = {
    # Not HTTP/1.
    "garbage": b"this is not HTTP at all\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "tls_alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "http2_settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "http09": b"<html>an answer without a head</html>",
    "nothing_but_lines": b"\r\n" * 4096,
    # The status line.
    "version_2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "version_missing": b"200 OK\r\ncontent-length: 0\r\n\r\n",
    "status_missing": b"HTTP/1.1 \r\ncontent-length: 0\r\n\r\n",
    "status_two_digits": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "status_four_digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "status_zero": b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n",
    "status_not_digits": b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
    # The length.
    "two_lengths": _OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "list_of_lengths": _OK + b"content-length: 5, 6\r\n\r\nhello!",
    "length_negative": _OK + b"content-length: -5\r\n\r\nhello",
    "length_plus": _OK + b"content-length: +5\r\n\r\nhello",
    "length_hex": _OK + b"content-length: 0x5\r\n\r\nhello",
    "length_empty": _OK + b"content-length:\r\n\r\nhello",
    "length_overflow": _OK + b"content-length: 18446744073709551621\r\n\r\nhello",
    "length_and_chunked": _OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "coding_unknown": _OK + b"transfer-encoding: zebra\r\n\r\nhello",
    "coding_chunked_twice": _OK + b"transfer-encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "coding_not_last": _OK + b"transfer-encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "coding_in_http10": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    # Header fields.
    "no_colon": _OK + b"this line has none\r\ncontent-length: 5\r\n\r\nhello",
    "empty_name": _OK + b": value\r\ncontent-length: 5\r\n\r\nhello",
    "bad_name": _OK + b"na(me: value\r\ncontent-length: 5\r\n\r\nhello",
    "first_line_folded": _OK + b" folded: value\r\ncontent-length: 5\r\n\r\nhello",
    "bare_cr": _OK + b"x-one: a\rb\r\ncontent-length: 5\r\n\r\nhello",
    "nul": _OK + b"x-one: a\0b\r\ncontent-length: 5\r\n\r\nhello",
    "bare_lf": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    # Chunks.
    "chunk_size_bad": _CHUNKED + b"5g\r\nhello\r\n0\r\n\r\n",
    "chunk_size_empty": _CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk_size_negative": _CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk_size_prefixed": _CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk_size_overflow": _CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk_size_zeros": _CHUNKED + b"0" * 65536 + b"5\r\nhello\r\n0\r\n\r\n",
    "chunk_end_missing": _CHUNKED + b"5\r\nhello0\r\n\r\n",
    "chunk_longer": _CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk_bare_lf": _CHUNKED + b"5\nhello\n0\n\n",
    "chunk_extension_endless": _CHUNKED + b"5;x=" + b"y" * (1 << 20),
    "trailers_endless": _CHUNKED + b"5\r\nhello\r\n0\r\n" + b"x-more: of the same\r\n" * 65536,
    "no_final_line": _CHUNKED + b"5\r\nhello\r\n0\r\n",
    # Interim answers.
    "switch_not_asked_for": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nabc",
    "interim_only": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "interim_endless": b"HTTP/1.1 102 Processing\r\n\r\n" * 10000,
}

# These can be read in one way only, or repaired as RFC 9112 says; then the connection is not to be used again where
# bytes are left over.
READABLE = {
    "http10": b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello",
    "equal_lengths": _OK + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "no_reason": b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello",
    "status_unknown": b"HTTP/1.1 299 Whatever\r\ncontent-length: 5\r\n\r\nhello",
    "space_before_colon": _OK + b"content-length : 5\r\n\r\nhello",
    "folded": _OK + b"x-one: a\r\n b\r\ncontent-length: 5\r\n\r\nhello",
    "latin1_value": _OK + b"x-one: caf\xe9\r\ncontent-length: 5\r\n\r\nhello",
    "empty_value": _OK + b"x-one:\r\ncontent-length: 5\r\n\r\nhello",
    "chunk_extension": _CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n',
    "chunk_size_padded": _CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n",
    "coding_upper_case": _OK + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "body_with_204": b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
    "body_with_304": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello",
    "chunked_204": b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "two_answers": _OK + b"content-length: 5\r\n\r\nhello" + _SECOND,
    "hop_by_hop": _OK + b"connection: close, x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\n"
    b"proxy-connection: close\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello",
    "repeated_fields": _OK + b"set-cookie: a=1\r\nset-cookie: b=2\r\nvary: a\r\nvary: b\r\n"
    b"content-length: 5\r\n\r\nhello",
}

ANSWERS = REFUSED | READABLE
