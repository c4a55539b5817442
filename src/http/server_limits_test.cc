// What bounds the server and how it ends: timeouts, connection limit, descriptors, stop, work from other threads.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <numeric>

#include "http/server.h"
#include "http/server_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

TEST(ServerLimits, ClosesIdleConnectionsSilently) {
  Settings settings = local_settings();
  settings.limits.idle_timeout = 50ms;
  RunningServer server(settings);
  Client fresh(server.port());
  Client used(server.port());
  used.send(get("/"));
  EXPECT_EQ(body_of(used.response()), "/");
  EXPECT_EQ(fresh.until_closed(), "");
  EXPECT_EQ(used.until_closed(), "");
  EXPECT_EQ(server->counters().idle_timeouts, 2U);
}

TEST(ServerLimits, AnswersASlowHeadWith408EvenIfItTrickles) {
  Settings settings = local_settings();
  settings.limits.head_timeout = 100ms;
  RunningServer server(settings);
  Client client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nA: ");
  EXPECT_TRUE(eventually([&] {
    std::this_thread::sleep_for(1ms);  // tidy: a byte now and then is what is tested
    return !client.send("x") || server->counters().head_timeouts == 1;
  }));
  EXPECT_TRUE(client.until_closed().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
}

TEST(ServerLimits, AnswersASlowBodyWith408) {
  Settings settings = local_settings();
  settings.limits.head_timeout = 50ms;
  RunningServer server(settings);
  Client client(server.port());
  client.send(get("/first") + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(body_of(client.response()), "/first");
  EXPECT_TRUE(client.until_closed().starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(server->counters().body_timeouts, 1U);
}

TEST(ServerLimits, ClosesOnAClientThatDoesNotRead) {
  Settings settings = local_settings();
  settings.limits.write_timeout = 50ms;
  RunningServer server(settings, [](const Request&, Respond respond) {
    respond(Response{text(std::string(20'000'000, 'x')), {}, false});
  });
  Client client(server.port(), 4096);
  client.send(get("/"));
  EXPECT_TRUE(eventually([&] { return server->counters().write_timeouts == 1 && server->counters().active == 0; }));
}

TEST(ServerLimits, DoesNotLingerForever) {
  Settings settings = local_settings();
  settings.limits.linger_timeout = 50ms;
  RunningServer server(settings);
  Client client(server.port());
  client.send(get("/", "Connection: close\r\n"));
  EXPECT_TRUE(client.until_closed().ends_with("\r\n\r\n/"));
  EXPECT_TRUE(eventually([&] { return server->counters().active == 0; })) << "our side is still open";
}

TEST(ServerLimits, TellsWhoComesOverTheLimitAndServesTheRest) {
  Settings settings = local_settings();
  settings.limits.connections_max = 2;
  RunningServer server(settings);
  Client first(server.port());
  auto second = std::make_unique<Client>(server.port());
  for (Client* client : {&first, second.get()}) {
    client->send(get("/"));
    EXPECT_EQ(body_of(client->response()), "/");
  }
  {
    Client third(server.port());
    third.send(get("/"));
    const std::string response = third.until_closed();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << response;
    EXPECT_NE(response.find("\r\nRetry-After: 1\r\n"), std::string::npos) << response;
    EXPECT_FALSE(third.was_reset());
  }
  EXPECT_EQ(server->counters().refused, 1U);
  second.reset();
  EXPECT_TRUE(eventually([&] { return server->counters().active == 1; }));
  Client fourth(server.port());
  fourth.send(get("/again"));
  EXPECT_EQ(body_of(fourth.response()), "/again");
}

TEST(ServerLimits, TellsClientsWhenItIsOutOfDescriptorsAndRecovers) {
  RunningServer server;
  std::vector<Client> clients(3);  // sockets made while there are descriptors
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{static_cast<rlim_t>(clients.back().descriptor()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (Client& client : clients) {
    client.connect(server.port());
    const std::string response = client.until_closed();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 503 ")) << response;
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_GE(server->counters().accept_failures, 1U);
  EXPECT_GE(server->counters().refused, clients.size());
  EXPECT_TRUE(eventually([&] {
    Client client(server.port());
    client.send(get("/again"));
    return body_of(client.response()) == "/again";
  }));
}

TEST(ServerLimits, SleepsWhenThereIsNothingToDo) {
  RunningServer server;
  {
    Client client(server.port());
    client.send(get("/"));
    client.response();
  }
  ASSERT_TRUE(eventually([&] { return server->counters().active == 0; }));
  std::atomic<int> thread{0};
  server.on_io_thread([&] { thread = ::gettid(); });
  const auto switches = [&] {
    std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
    unsigned long count = 0;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) count = std::stoul(line.substr(24));
    }
    return count;
  };
  std::this_thread::sleep_for(50ms);  // tidy: the last sweep is at most sweep_period away
  const unsigned long before = switches();
  std::this_thread::sleep_for(200ms);  // tidy: nothing happens meanwhile, which is what is tested
  EXPECT_GT(before, 0U);
  EXPECT_EQ(switches(), before);
}

TEST(ServerStop, ClosesIdleConnectionsAtOnce) {
  RunningServer server;
  Client client(server.port());
  client.send(get("/"));
  EXPECT_EQ(body_of(client.response()), "/");
  server.stop(1h);
  EXPECT_EQ(client.until_closed(), "");
}

TEST(ServerStop, LetsARequestInProgressFinish) {
  std::vector<Respond> waiting;
  RunningServer server(local_settings(),
                       [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
  Client client(server.port());
  client.send(get("/"));
  std::size_t count = 0;
  ASSERT_TRUE(eventually([&] {
    server.on_io_thread([&] { count = waiting.size(); });
    return count == 1;
  }));
  server->stop(1h);
  server.on_io_thread([&] { waiting.front()(Response{text("done"), {}, false}); });
  EXPECT_TRUE(client.until_closed().ends_with("Connection: close\r\n\r\ndone"));
  server.join();
}

TEST(ServerStop, ClosesTheRestWhenTheGraceIsOver) {
  std::vector<Respond> waiting;  // outlives the server
  {
    RunningServer server(local_settings(),
                         [&](const Request&, Respond respond) { waiting.push_back(std::move(respond)); });
    Client asked(server.port());
    asked.send(get("/"));
    Client half(server.port());
    half.send("GET / HT");
    std::size_t count = 0;
    ASSERT_TRUE(eventually([&] {
      server.on_io_thread([&] { count = waiting.size(); });
      return count == 1 && server->counters().active == 2;
    }));
    server.stop(20ms);
    EXPECT_EQ(asked.until_closed(), "");
    EXPECT_EQ(half.until_closed(), "");
  }
  waiting.front()(Response{text("late"), {}, false});
}

TEST(ServerStop, IsNotHeldUpByALingeringClient) {
  RunningServer server;
  Client client(server.port());
  client.send(get("/", "Connection: close\r\n"));
  EXPECT_EQ(body_of(client.response()), "/");
  server.stop(1h);
}

TEST(ServerStop, WorksBeforeRunAndWithoutIt) {
  const SystemClock clock;
  auto server = Server::open(local_settings(), echo_path, clock);
  ASSERT_TRUE(server);
  (*server)->stop(0ms);
  (*server)->run();
  auto never_run = Server::open(local_settings(), echo_path, clock);
  ASSERT_TRUE(never_run);
  (*never_run)->post([] {});
}

TEST(ServerWork, RunsPostedWorkInOrderFromManyThreads) {
  RunningServer server;
  std::vector<std::vector<int>> seen(4);  // written by the io thread only
  std::vector<std::thread> posters;
  for (std::size_t poster = 0; poster < seen.size(); ++poster) {
    posters.emplace_back([&, poster] {
      for (int i = 0; i < 1000; ++i) server->post([&, poster, i] { seen[poster].push_back(i); });
    });
  }
  for (std::thread& poster : posters) poster.join();
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  server.on_io_thread([&] {
    for (const std::vector<int>& numbers : seen) EXPECT_EQ(numbers, expected);
  });
}

TEST(ServerWork, RunsDelayedWorkNotBeforeItsTime) {
  RunningServer server;
  const auto begin = std::chrono::steady_clock::now();
  std::promise<int> first;
  std::atomic<int> order{0};
  server->after(60ms, [&] { first.set_value(++order); });
  server->after(20ms, [&] { ++order; });
  auto result = first.get_future();
  ASSERT_EQ(result.wait_for(patience), std::future_status::ready);
  EXPECT_EQ(result.get(), 2);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 60ms);
  server->after(1h, [] {});  // does not hold up the end
}

TEST(ServerWork, SurvivesWorkThatThrows) {
  RunningServer server;
  server->post([] { throw std::runtime_error("a bug"); });
  Client client(server.port());
  client.send(get("/"));
  EXPECT_EQ(body_of(client.response()), "/");
  EXPECT_EQ(server->counters().work_failures, 1U);
}

TEST(ServerWork, CanBeStoppedByManyThreadsUnderLoad) {
  RunningServer server;
  std::vector<Client> connections;
  for (int i = 0; i < 4; ++i) connections.emplace_back(server.port());
  std::vector<std::thread> clients;
  for (Client& client : connections) {
    clients.emplace_back([&client] {
      while (client.send(get("/load")) && body_of(client.response()) == "/load") continue;
    });
  }
  EXPECT_TRUE(eventually([&] { return server->counters().requests > 200; }));
  std::thread other([&] { server->stop(1h); });
  server.stop(1h);
  other.join();
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace gputach::http
