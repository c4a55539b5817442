// Where clients come from and what is known of them: Unix sockets, entrances, ids, the observer, turns, reuse limits.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <numeric>
#include <set>

#include "http/exchange_log.h"
#include "http/loop_watch.h"
#include "http/server.h"
#include "http/server_test_kit.h"
#include "http/tls_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

std::string ask_unix(const std::string& path, std::string_view request) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (path.starts_with('@')) address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  std::string answer;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      ::send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char bytes[4096];
    ssize_t got = 0;
    while ((got = ::recv(descriptor, bytes, sizeof bytes, 0)) > 0) answer.append(bytes, static_cast<std::size_t>(got));
  }
  ::close(descriptor);
  return answer;
}

const std::string last_request = get("/here", "Connection: close\r\n");

TEST(ServerReach, ServesAUnixSocketAndRemovesItsFile) {
  const TemporaryFiles folder;
  const std::string path = folder.path("front.sock");
  {
    Settings settings = local_settings();
    settings.listen = {{"unix:" + path}, {"127.0.0.1:0"}};
    RunningServer server(settings);
    EXPECT_EQ(server->addresses().front().address, "unix:" + path);
    EXPECT_EQ(body_of(ask_unix(path, last_request)), "/here");
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0666U);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ServerReach, ServesAnAbstractUnixSocket) {
  const std::string name = "@gputach-test-" + std::to_string(::getpid());
  Settings settings = local_settings();
  settings.listen = {{"unix:" + name}};
  const RunningServer server(settings);
  EXPECT_EQ(body_of(ask_unix(name, last_request)), "/here");
}

TEST(ServerReach, ReplacesTheFileOfADeadServerButNotOfALivingOneNorAnythingElse) {
  const TemporaryFiles folder;
  const std::string path = folder.path("front.sock");
  Settings settings = local_settings();
  settings.listen = {{"unix:" + path}};
  const int dead = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  const RunningServer server(settings);
  EXPECT_EQ(body_of(ask_unix(path, last_request)), "/here");
  const SystemClock clock;
  EXPECT_EQ(Server::open(settings, echo_path, clock).error().context,
            "cannot listen on unix:" + path + ": Address already in use");
  EXPECT_EQ(body_of(ask_unix(path, last_request)), "/here");
  const std::string precious = folder.path("file");
  {
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(precious.c_str(), "w"));
  }
  settings.listen = {{"unix:" + precious}};
  EXPECT_FALSE(Server::open(settings, echo_path, clock));
  EXPECT_TRUE(std::filesystem::exists(precious));
}

TEST(ServerReach, LeavesTheFileOfAServerThatHasTakenItsPlace) {
  const TemporaryFiles folder;
  const std::string path = folder.path("front.sock");
  Settings settings = local_settings();
  settings.listen = {{"unix:" + path}};
  RunningServer first(settings);
  std::filesystem::remove(path);
  const RunningServer second(settings);
  first.stop(1s);
  EXPECT_EQ(body_of(ask_unix(path, last_request)), "/here");
}

TEST(ServerReach, LeavesNoFileWhenAnotherAddressCannotBeHad) {
  const TemporaryFiles folder;
  const std::string path = folder.path("front.sock");
  Settings settings = local_settings();
  settings.listen = {{"unix:" + path}, {"192.0.2.1:1"}};
  const SystemClock clock;
  EXPECT_FALSE(Server::open(settings, echo_path, clock));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ServerReach, TellsTheHandlerWhichKindOfListenerWasUsed) {
  Settings settings = local_settings();
  settings.listen = {{"127.0.0.1:0", Entrance::restricted}, {"127.0.0.1:0", Entrance::common}};
  RunningServer server(settings, [](const Request& request, Respond respond) {
    respond(Response{text(request.entrance == Entrance::restricted ? "restricted" : "common"), {}, false});
  });
  for (const ListenOn& one : server->addresses()) {
    const auto port = static_cast<std::uint16_t>(std::stoi(one.address.substr(one.address.rfind(':') + 1)));
    Client client(port);
    for (int round = 0; round < 2; ++round) {
      client.send(get("/"));
      EXPECT_EQ(body_of(client.response()), one.entrance == Entrance::restricted ? "restricted" : "common");
    }
  }
}

struct Seen {
  std::string id, method, target, peer;
  int status;
  std::uint64_t body_bytes;
  Duration took;
};

Observe into(std::vector<Seen>& all) {
  return [&all](const Exchange& e) {
    all.push_back({std::string(e.id), std::string(e.method), std::string(e.target), std::string(e.peer), e.status,
                   e.body_bytes, e.took});
  };
}

TEST(ServerReach, TellsTheObserverOfEveryAnswerWithTheIdThatTheClientSees) {
  std::vector<Seen> seen;
  Settings settings = local_settings();
  settings.observe = into(seen);
  RunningServer server(settings);
  Client client(server.port());
  client.send(get("/a?b=c") + get("/given", "X-Request-Id: abc-1\r\n") + get("/odd", "X-Request-Id: a b\r\n") +
              "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n" + "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy" +
              "GET / HTTP/1.1\r\n\r\n");
  std::vector<std::string> answers;
  for (int i = 0; i < 6; ++i) answers.push_back(client.response(i != 3));
  server.stop(1s);
  ASSERT_EQ(seen.size(), 6U);
  for (std::size_t i = 0; i < seen.size(); ++i)
    EXPECT_NE(answers[i].find("\r\nX-Request-Id: " + seen[i].id + "\r\n"), std::string::npos) << answers[i];
  EXPECT_EQ(seen[0].method, "GET");
  EXPECT_EQ(seen[0].target, "/a?b=c");
  EXPECT_EQ(seen[0].id.size(), 16U);
  EXPECT_EQ(seen[0].body_bytes, 2U);
  EXPECT_TRUE(seen[0].peer.starts_with("127.0.0.1:"));
  EXPECT_EQ(seen[1].id, "abc-1");
  EXPECT_NE(seen[2].id, "a b");
  EXPECT_EQ(seen[3].method, "HEAD");
  EXPECT_EQ(seen[3].body_bytes, 0U);
  EXPECT_EQ(seen[4].target, "/p");
  EXPECT_EQ(seen[5].status, 400);
  EXPECT_EQ(seen[5].method, "");
  for (const Seen& one : seen) EXPECT_GE(one.took, 0ns);
}

// The body moves the input in which method and target stood.
TEST(ServerReach, TellsTheObserverWhatWasAskedWhenTheBodyComesLate) {
  std::vector<Seen> seen;
  Settings settings = local_settings();
  settings.observe = into(seen);
  RunningServer server(settings);
  Client client(server.port());
  client.send(get("/before") + "POST /with-body HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer SECRET\r\nX: " +
              std::string(500, 'p') + "\r\nContent-Length: 3000\r\n\r\n");
  EXPECT_EQ(body_of(client.response()), "/before");
  ASSERT_TRUE(eventually([&] { return server->counters().requests == 2; }));
  client.send(std::string(3000, 'b'));
  EXPECT_EQ(body_of(client.response()), "/with-body");
  server.stop(1s);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].method, "POST");
  EXPECT_EQ(seen[1].target, "/with-body");
}

TEST(ServerReach, TellsTheObserverOfWhoWasRefused) {
  std::vector<Seen> seen;
  Settings settings = local_settings();
  settings.observe = into(seen);
  settings.limits.connections_max = 1;
  RunningServer server(settings);
  Client first(server.port());
  first.send(get("/"));
  EXPECT_EQ(body_of(first.response()), "/");
  Client second(server.port());
  const std::string answer = second.response();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 "));
  server.stop(1s);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].id.size(), 16U);
  EXPECT_LT(seen[1].took, 10s);
}

TEST(ServerReach, TellsTheObserverOfALateAnswerWhatWasAskedAndHowLongItTook) {
  std::vector<Seen> seen;
  Settings settings = local_settings();
  settings.observe = into(seen);
  std::vector<Respond> waiting;
  RunningServer server(settings, [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
  Client first(server.port());
  Client second(server.port());
  first.send(get("/first"));
  ASSERT_TRUE(eventually([&] { return server->counters().requests == 1; }));
  second.send(get("/second-target"));
  ASSERT_TRUE(eventually([&] { return server->counters().requests == 2; }));
  std::this_thread::sleep_for(5ms);  // tidy: the time that is measured
  server.on_io_thread([&] {
    for (Respond& respond : waiting) respond(Response{text("late"), {}, false});
  });
  EXPECT_EQ(body_of(first.response()), "late");
  EXPECT_EQ(body_of(second.response()), "late");
  server.stop(1s);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].target, "/first");
  EXPECT_EQ(seen[1].target, "/second-target");
  EXPECT_GE(seen[0].took, 5ms);
}

TEST(RequestIds, AreSaneAndNeverTheSame) {
  RequestIds ids;
  std::set<std::string> all;
  for (int i = 0; i < 10'000; ++i) all.insert(ids.next());
  EXPECT_EQ(all.size(), 10'000U);
  for (const std::string& id : all) EXPECT_TRUE(is_sane_request_id(id));
  for (const std::string_view id : {"", "a b", "a\"b", "a\\b", "\x80", "<"}) EXPECT_FALSE(is_sane_request_id(id)) << id;
  EXPECT_TRUE(is_sane_request_id(std::string(128, 'x')));
  EXPECT_FALSE(is_sane_request_id(std::string(129, 'x')));
}

TEST(ServerReach, ClosesAfterTheLastRequestThatAConnectionMayCarry) {
  Settings settings = local_settings();
  settings.limits.requests_per_connection_max = 3;
  RunningServer server(settings);
  Client client(server.port());
  client.send(get("/1") + get("/2") + get("/3") + get("/4"));
  EXPECT_EQ(client.response().find("Connection: close"), std::string::npos);
  EXPECT_EQ(client.response().find("Connection: close"), std::string::npos);
  const std::string third = client.response();
  EXPECT_NE(third.find("Connection: close"), std::string::npos);
  EXPECT_EQ(body_of(third), "/3");
  EXPECT_EQ(client.until_closed(), "");
  EXPECT_EQ(server->counters().used_up, 1U);
}

TEST(ServerReach, GivesOthersATurnAmongPipelinedRequests) {
  Settings settings = local_settings();
  settings.limits.pipelined_before_yield = 4;
  RunningServer server(settings);
  Client client(server.port());
  std::string burst;
  for (int i = 0; i < 12; ++i) burst += get("/x");
  client.send(burst);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(body_of(client.response()), "/x");
  EXPECT_TRUE(eventually([&] { return server->counters().active == 1; }));
  EXPECT_GE(server->counters().yields, 1U);
  EXPECT_LE(server->counters().yields, 3U);
}

TEST(ServerReach, TakesNewLimitsForTheConnectionsItHas) {
  RunningServer server;
  Client client(server.port());
  client.send(get("/1"));
  EXPECT_EQ(body_of(client.response()), "/1");
  const auto set = [&](auto change) {
    server.on_io_thread([&] {
      Limits limits = local_settings().limits;
      change(limits);
      server->set_limits(limits);
    });
  };
  const std::string long_field = "A: " + std::string(20'000, 'x') + "\r\n";
  set([](Limits& limits) { limits.head_bytes_max = 40'000; });
  client.send(get("/long", long_field));
  EXPECT_EQ(body_of(client.response()), "/long");
  set([](Limits& limits) { limits.head_bytes_max = 1024; });
  client.send(get("/long", long_field));
  EXPECT_TRUE(client.response().starts_with("HTTP/1.1 431 "));
  EXPECT_EQ(server->counters().heads_too_large, 1U);
  Client idle(server.port());
  set([](Limits& limits) { limits.idle_timeout = 10ms; });
  EXPECT_EQ(idle.until_closed(), "");
}

std::uint64_t turns(const Stalls& stalls) {
  return std::accumulate(stalls.turns.begin(), stalls.turns.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& count) { return sum + count.load(); });
}

TEST(ServerReach, MeasuresHowLongATurnKeepsTheLoop) {
  RunningServer server(local_settings(), [](const Request& request, Respond respond) {
    if (request.path == "/slow") std::this_thread::sleep_for(20ms);  // tidy: the stall that is measured
    echo_path(request, std::move(respond));
  });
  Client client(server.port());
  client.send(get("/fast"));
  EXPECT_EQ(body_of(client.response()), "/fast");
  client.send(get("/slow"));
  EXPECT_EQ(body_of(client.response()), "/slow");
  client.send(get("/fast"));
  EXPECT_EQ(body_of(client.response()), "/fast");
  const Stalls& stalls = server->counters().stalls;
  EXPECT_TRUE(eventually([&] { return turns(stalls) >= 4; }));  // accepting, and three requests
  EXPECT_GE(stalls.longest_ns, 20'000'000U);
  EXPECT_GE(stalls.total_ns, stalls.longest_ns);
  const auto slot = [](std::uint32_t us) {
    return static_cast<std::size_t>(std::ranges::find(Stalls::bounds_us, us) - Stalls::bounds_us.begin());
  };
  std::uint64_t long_turns = 0;
  for (std::size_t i = slot(50'000); i < stalls.turns.size(); ++i) long_turns += stalls.turns[i];
  EXPECT_GE(long_turns, 1U);
}

// Waiting for a late answer, for a slow reader or for the next request is no stall.
TEST(ServerReach, CountsNoWaitAsAStall) {
  std::vector<Respond> waiting;
  RunningServer server(local_settings(),
                       [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
  Client client(server.port(), 4096);
  client.send(get("/"));
  ASSERT_TRUE(eventually([&] { return server->counters().requests == 1; }));
  std::this_thread::sleep_for(1s);  // tidy: the wait that must not be counted
  server.on_io_thread([&] { waiting.front()(Response{text(std::string(8'000'000, 'x')), {}, false}); });
  std::this_thread::sleep_for(500ms);  // tidy: the answer waits for its reader
  EXPECT_EQ(body_of(client.response()).size(), 8'000'000U);
  EXPECT_LT(server->counters().stalls.longest_ns, 500'000'000U);
  EXPECT_GT(turns(server->counters().stalls), 3U);
}

}  // namespace
}  // namespace gputach::http
