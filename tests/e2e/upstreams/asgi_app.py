"""What uvicorn serves for proxy_smuggling_test.py: each request is written down, then answered with its own name.

SEEN  the file that gets one line for each request: connection, method, target
"""

import os

SEEN = open(os.environ["SEEN"], "a", buffering=1, encoding="latin-1")  # noqa: SIM115  (as long as the process)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return  # a WebSocket is refused by that
    target = scope["raw_path"].decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    SEEN.write(f"{scope['client'][1]} {scope['method']} {target}\n")
    if not target.startswith("/unread"):  # as a check of keys does, which answers before the body
        while (await receive()).get("more_body"):
            pass
    text = f"{scope['method']} {target}".encode("latin-1")
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]})
    await send({"type": "http.response.body", "body": text})
