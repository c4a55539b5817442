// What a client sees over real loopback sockets: framing, order, persistence, bodies. Limits and endings are in
// server_limits_test.cc.
#include "http/server.h"

#include <gtest/gtest.h>

#include "http/server_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

TEST(Server, AnswersWithDateAndLengthAndKeepsTheConnection) {
  RunningServer server;
  Client client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(get("/stats?x")));
    const std::string response = client.response();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ")) << response;
    EXPECT_TRUE(response.ends_with(" GMT\r\nContent-Length: 6\r\n\r\n/stats")) << response;
  }
  EXPECT_EQ(server->counters().accepted, 1U);
  EXPECT_EQ(server->counters().requests, 3U);
  EXPECT_EQ(server->counters().responses[2], 3U);
}

TEST(Server, AnswersHeadWithTheLengthAndNoBody) {
  RunningServer server;
  Client client(server.port());
  client.send("HEAD /stats HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next"));
  EXPECT_TRUE(client.response(false).ends_with("Content-Length: 6\r\n\r\n"));
  EXPECT_EQ(body_of(client.response()), "/next");
}

TEST(Server, SendsNeitherLengthNorBodyWith204And304) {
  for (const int status : {204, 304}) {
    RunningServer server(local_settings(), [status](const Request&, Respond respond) {
      respond({std::make_shared<const Content>(Content{status, "A: b\r\n", "ignored"}), "C: d\r\n", false});
    });
    Client client(server.port());
    client.send(get("/", "Connection: close\r\n"));
    const std::string response = client.until_closed();
    EXPECT_EQ(response.find("Content-Length"), std::string::npos) << response;
    EXPECT_NE(response.find("A: b\r\nC: d\r\n"), std::string::npos) << response;
    EXPECT_TRUE(response.ends_with("Connection: close\r\n\r\n")) << response;
  }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  Settings settings = local_settings();
  settings.limits.pipelined_before_yield = 7;
  RunningServer server(settings);
  Client client(server.port());
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += get("/" + std::to_string(i));
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(body_of(client.response()), "/" + std::to_string(i));
}

TEST(Server, AnswersWhatArrivesByteByByte) {
  RunningServer server;
  Client client(server.port());
  for (const char c : get("/one") + "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/three")) {
    ASSERT_TRUE(client.send({&c, 1}));
  }
  EXPECT_EQ(body_of(client.response()), "/one");
  EXPECT_EQ(body_of(client.response()), "/two");
  EXPECT_EQ(body_of(client.response()), "/three");
}

TEST(Server, AnswersAShortRequestBehindALongOneThatCameInPieces) {
  RunningServer server;
  Client client(server.port());
  client.send("GET /long HTTP/1.1\r\nHost: a\r\nA: " + std::string(500, 'x'));
  for (int turn = 0; turn < 3; ++turn) server.on_io_thread([] {});  // it has most likely read the first piece
  client.send("\r\n\r\n" + get("/short"));
  EXPECT_EQ(body_of(client.response()), "/long");
  EXPECT_EQ(body_of(client.response()), "/short");
}

TEST(Server, AnswersAHeadLargerThanItsFirstBuffer) {
  RunningServer server;
  Client client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.send(get("/large", "A: " + std::string(15'000, 'x') + "\r\n"));
    EXPECT_EQ(body_of(client.response()), "/large");
  }
}

TEST(Server, ClosesWhenTheClientOrTheVersionSaysSo) {
  RunningServer server;
  for (const std::string& request : {get("/", "Connection: close\r\n"), std::string("GET / HTTP/1.0\r\n\r\n"),
                                     std::string("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")}) {
    Client client(server.port());
    client.send(request + get("/never"));
    const std::string response = client.until_closed();
    EXPECT_TRUE(response.ends_with("Connection: close\r\n\r\n/")) << response;
    EXPECT_FALSE(client.was_reset());
  }
}

TEST(Server, AnswersAClientThatHasShutDownItsSide) {
  RunningServer server;
  Client client(server.port());
  client.send(get("/a") + get("/b"));
  client.shut_down_sending();
  EXPECT_EQ(body_of(client.response()), "/a");
  EXPECT_EQ(body_of(client.response()), "/b");
  EXPECT_EQ(client.until_closed(), "");
}

TEST(Server, DrainsBodiesSoThatTheNextRequestIsFramedRight) {
  RunningServer server;
  const std::string length = "POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + std::string(60'000, 'G');
  const std::string chunked =
      "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\nT: x\r\n\r\n";
  const std::string empty = "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
  Client client(server.port());
  ASSERT_TRUE(client.send(length + chunked + empty + length + get("/last")));
  for (const char* path : {"/l", "/c", "/e", "/l", "/last"}) EXPECT_EQ(body_of(client.response()), path);
  EXPECT_EQ(server->counters().rejected, 0U);
}

TEST(Server, AsksForABodyOnlyWhenItWillBeRead) {
  RunningServer server;
  Client client(server.port());
  client.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.response(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_EQ(body_of(client.response()), "/a");
  client.send("POST /b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(body_of(client.response()), "/b");
  client.send("POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 999999\r\n\r\n");
  EXPECT_TRUE(client.until_closed().starts_with("HTTP/1.1 413 "));
}

TEST(Server, RefusesBodiesBeyondTheLimit) {
  RunningServer server;
  std::string chunks;
  for (int i = 0; i < 100; ++i) chunks += "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  for (const std::string& request :
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x'),
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks}) {
    Client client(server.port());
    client.send(request);
    const std::string response = client.until_closed();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 413 Content Too Large\r\n")) << response;
    EXPECT_TRUE(response.ends_with("Connection: close\r\n\r\n{\"error\":\"the request body is too large\"}"))
        << response;
    EXPECT_FALSE(client.was_reset());
  }
}

TEST(Server, AnswersWhatItCannotFrameOnceAndCloses) {
  RunningServer server;
  const std::vector<std::pair<std::string, std::string>> rows{
      {"nonsense\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400"},
      {"GET / HTTP/3.0\r\n\r\n", "505"},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
      {"GET /" + std::string(9000, 'a'), "414"},
      {"GET / HTTP/1.1\r\nA: " + std::string(20'000, 'a'), "431"},
  };
  for (const auto& [bytes, status] : rows) {
    Client client(server.port());
    ASSERT_TRUE(client.send(get("/good") + bytes + std::string(100'000, 'z')));
    EXPECT_EQ(body_of(client.response()), "/good");
    const std::string response = client.until_closed();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 " + status + " ")) << response;
    EXPECT_NE(response.find("Content-Type: application/json\r\n"), std::string::npos);
    EXPECT_TRUE(body_of(response).starts_with("{\"error\":\"")) << response;
    EXPECT_FALSE(client.was_reset()) << status;
  }
  EXPECT_EQ(server->counters().rejected, rows.size());
}

TEST(Server, SendsALargeBodyToASlowReader) {
  std::string body;
  for (int i = 0; i < 1'000'000; ++i) body += std::to_string(10'000'000 + i);
  const auto content = text(body);
  RunningServer server(local_settings(), [&](const Request& request, Respond respond) {
    respond({request.path == "/large" ? content : text("small"), {}, false});
  });
  Client client(server.port(), 4096);
  client.send(get("/small") + get("/large") + get("/large") + get("/small"));
  EXPECT_EQ(body_of(client.response()), "small");
  EXPECT_TRUE(body_of(client.response()) == body);
  EXPECT_TRUE(body_of(client.response()) == body);
  EXPECT_EQ(body_of(client.response()), "small");
  EXPECT_TRUE(eventually([&] { return content.use_count() == 1; })) << "a sent body is let go";
}

TEST(Server, WaitsForALateAnswerAndKeepsTheOrder) {
  std::vector<Respond> waiting;
  RunningServer server(local_settings(), [&](const Request& request, Respond respond) {
    if (request.path != "/late") return echo_path(request, std::move(respond));
    waiting.push_back(std::move(respond));
  });
  Client client(server.port());
  client.send(get("/first") + get("/late") + get("/after"));
  EXPECT_EQ(body_of(client.response()), "/first") << "an earlier answer does not wait for a late one";
  server.on_io_thread([&] {
    ASSERT_EQ(waiting.size(), 1U);
    waiting.front()(Response{text("late"), {}, false});
    waiting.clear();
  });
  EXPECT_EQ(body_of(client.response()), "late");
  EXPECT_EQ(body_of(client.response()), "/after");
}

TEST(Server, AnswersAllWhoWaitForOneEvent) {
  std::vector<Respond> waiting;
  RunningServer server(local_settings(),
                       [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
  std::vector<Client> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back(server.port()).send(get("/") + get("/"));
  }
  for (int round = 0; round < 2; ++round) {
    std::size_t count = 0;
    ASSERT_TRUE(eventually([&] {
      server.on_io_thread([&] { count = waiting.size(); });
      return count == clients.size();
    }));
    server.on_io_thread([&] {
      for (Respond& respond : std::exchange(waiting, {})) respond(Response{text("now"), {}, false});
    });
    for (Client& client : clients) EXPECT_EQ(body_of(client.response()), "now");
  }
}

TEST(Server, DropsALateAnswerToAClientThatHasGone) {
  std::vector<Respond> waiting;
  RunningServer server(local_settings(),
                       [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
  const auto waiting_is = [&](std::size_t expected) {
    std::size_t count = 0;
    server.on_io_thread([&] { count = waiting.size(); });
    return count == expected;
  };
  Client gone(server.port());
  gone.send(get("/"));
  ASSERT_TRUE(eventually([&] { return waiting_is(1); }));
  gone.reset();
  server.on_io_thread([&] {
    waiting.front()(Response{text(std::string(100'000, 'x')), {}, false});
    waiting.clear();
  });
  EXPECT_TRUE(eventually([&] { return server->counters().active == 0; }));
}

TEST(Server, AnswersForAHandlerThatDropsTheRequest) {
  RunningServer server(local_settings(), [](const Request&, Respond) {});
  Client client(server.port());
  client.send(get("/") + get("/"));
  EXPECT_TRUE(client.until_closed().starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_EQ(server->counters().handler_failures, 1U);
}

TEST(Server, AnswersForAHandlerThatThrowsAndServesOn) {
  std::vector<Respond> kept;
  RunningServer server(local_settings(), [&](const Request& request, Respond respond) {
    if (request.path == "/keep") kept.push_back(std::move(respond));
    if (request.path != "/good") throw std::runtime_error("a bug");
    echo_path(request, std::move(respond));
  });
  std::vector<Client> clients;  // stay open, so that their sessions still linger below
  for (const char* path : {"/bad", "/keep"}) {
    Client& client = clients.emplace_back(server.port());
    client.send(get("/good") + get(path) + get("/good"));
    EXPECT_EQ(body_of(client.response()), "/good");
    const std::string response = client.until_closed();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 500 ")) << response;
    EXPECT_TRUE(response.ends_with("{\"error\":\"the request could not be handled\"}")) << response;
  }
  server.on_io_thread([&] {
    ASSERT_EQ(kept.size(), 1U);
    kept.clear();
  });
  EXPECT_EQ(server->counters().handler_failures, 2U);
  Client client(server.port());
  client.send(get("/good"));
  EXPECT_EQ(body_of(client.response()), "/good");
}

TEST(Server, ClosesWhenAResponseAsksForIt) {
  RunningServer server(local_settings(),
                       [](const Request&, Respond respond) { respond(Response{text("bye"), {}, true}); });
  Client client(server.port());
  client.send(get("/") + get("/"));
  EXPECT_TRUE(client.until_closed().ends_with("Connection: close\r\n\r\nbye"));
}

TEST(Server, ListensOnSeveralAddresses) {
  Settings settings = local_settings();
  settings.listen = {{"127.0.0.1:0"}, {"localhost:0"}, {"[::]:0"}};
  RunningServer server(settings);
  EXPECT_GE(server->addresses().size(), 3U);
  for (const auto& [address, entrance] : server->addresses()) {
    if (address.starts_with("[::1]")) continue;
    Client client(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    client.send(get("/here"));
    EXPECT_EQ(body_of(client.response()), "/here") << address;
  }
}

TEST(Server, RefusesToOpenWithoutAUsableAddress) {
  const SystemClock clock;
  EXPECT_FALSE(Server::open({.listen = {}}, echo_path, clock));
  EXPECT_FALSE(Server::open({.listen = {{"nowhere:1"}}}, echo_path, clock));
}

}  // namespace
}  // namespace gputach::http
