// Purpose: what all routes share: settings, readiness, pages that never change, and the stats page in its wire form.
// Owns: those pages.
// Threads: the io thread; `drain` from any.
// Fails: never.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/counters.h"
#include "http/counters.h"
#include "http/message.h"
#include "publish/snapshot.h"

namespace gputach {

using ContentPtr = std::shared_ptr<const http::Content>;

class Site {
 public:
  // What the page about the daemon itself shows.
  struct Activity {
    Duration uptime{};
    const Counters& counters;
    const http::Counters& http;
  };
  struct Settings {
    std::string cors_origin = "*";  // empty: no browser page of another origin may read
    std::function<Activity()> activity{};
  };

  explicit Site(Settings settings);

  [[nodiscard]] const Settings& settings() const { return settings_; }
  // Header lines for an answer that pages of other origins may read; empty when none may.
  [[nodiscard]] const std::string& cors_fields() const { return cors_fields_; }

  // The same snapshot and form give the same content, so that it is made once and not once per client.
  [[nodiscard]] ContentPtr stats_content(const SnapshotPtr& snapshot, MissingFields form);

  void drain() { draining_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

 private:
  struct Made {
    SnapshotPtr from;  // held, so that its address cannot come back for another one
    ContentPtr content;
  };

  Settings settings_;
  std::string cors_fields_;
  std::atomic<bool> draining_ = false;
  Made made_[2];
};

// Helpers for handlers.
[[nodiscard]] http::Response json_response(int status, std::string body, std::string_view more_fields = {});
[[nodiscard]] http::Response error_response(int status, std::string_view text, std::string_view more_fields = {});

}  // namespace gputach
