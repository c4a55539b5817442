// Purpose: what the tests of this folder share: the real hub, routes and dispatcher over a lambda for the driver.
// Owns: all of it.
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "publish/hub.h"
#include "routes/dispatcher.h"
#include "routes/site.h"

namespace gputach {

struct World {
  ManualClock clock;
  unsigned passes = 0;
  Counters counters;
  http::Counters http_counters;
  std::uint64_t access_lines_dropped = 0;
  Site site;
  Hub hub{{.flight = {.ttl = std::chrono::seconds(1), .wait_max = std::chrono::seconds(3), .waiters_max = 2},
           .overdue = {}},
          clock,
          [this] { ++passes; },
          [](Duration, std::move_only_function<void()>) {}};
  Dispatcher dispatcher{site, hub};

  http::Entrance entrance = http::Entrance::common;  // of the requests to come
  std::vector<http::Field> fields;                   // the same

  explicit World(std::string origin = "*", Tokens tokens = {})
      : site({.cors_origin = std::move(origin),
              .tokens = std::move(tokens),
              .activity =
                  [this] {
                    return Site::Activity{clock.now().time_since_epoch(), counters, http_counters,
                                          access_lines_dropped};
                  },
              .configuration = [] { return std::string("[]"); },
              .traffic = [] { return std::string("{}"); }}) {}

  struct Answer {
    bool given = false;
    http::Response response;
    [[nodiscard]] std::string fields() const { return response.content->fields + std::string(response.extra_fields); }
    [[nodiscard]] int status() const { return response.content->status; }
    [[nodiscard]] const std::string& body() const { return response.content->body; }
    [[nodiscard]] bool has(std::string_view text) const { return fields().find(text) != std::string::npos; }
  };

  using AnswerPtr = std::shared_ptr<Answer>;  // shared with the respond function, which may be called late

  AnswerPtr send(std::string_view method, std::string_view target) {
    auto answer = std::make_shared<Answer>();
    http::Request request;
    request.method = method;
    request.target = target;
    request.entrance = entrance;
    request.fields = fields;
    const std::size_t mark = target.find('?');
    request.path = target.substr(0, mark);
    request.query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
    dispatcher(request, [answer](http::Response response) {
      EXPECT_FALSE(answer->given) << "answered once";
      *answer = {true, std::move(response)};
    });
    return answer;
  }
  Answer get(std::string_view target, std::string_view method = "GET") { return *send(method, target); }
  void publish(bool good = true, bool simulated = false, unsigned gpus = 1) {
    Sample sample;
    sample.collected = clock.now();
    sample.simulated = simulated;
    if (good) {
      for (unsigned i = 0; i < gpus; ++i) {
        Entity& gpu = sample.entities.emplace_back(Scope::gpu, 3 + i);
        gpu.condition = Status::ok;
        for (Reading& reading : gpu.readings) reading = Reading::of(0.5);
        gpu[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
      }
    } else {
      sample.failure = Error{ErrorCode::not_initialized, "NVML not initialized"};
    }
    hub.publish(std::make_shared<const Snapshot>(std::move(sample)));
  }
};

}  // namespace gputach
