// What Node's http serves for proxy_smuggling_test.py: each request is written down, then answered with its own name.
//
// node server.mjs SEEN   the file that gets one line for each request: connection, method, target
import fs from "node:fs";
import http from "node:http";

const seen = fs.openSync(process.argv[2], "a");

function answer(request, response) {
  const text = `${request.method} ${request.url}`;
  response.writeHead(200, { "content-type": "text/plain", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

const server = http.createServer((request, response) => {
  fs.writeSync(seen, `${request.socket.remotePort} ${request.method} ${request.url}\n`);
  if (request.url.startsWith("/unread")) {
    answer(request, response); // as a check of keys does, which answers before the body
    return;
  }
  request.on("end", () => answer(request, response));
  request.resume();
});
server.on("clientError", (error, socket) => {
  const cut = ["ECONNRESET", "HPE_INVALID_EOF_STATE"].includes(error.code); // a request that broke off is none
  if (!cut) fs.writeSync(seen, `${socket.remotePort} MALFORMED ${error.code}\n`);
  socket.destroy();
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
