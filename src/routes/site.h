// Purpose: what all routes share: settings, tokens, readiness, and the stats page in its wire forms.
// Owns: those forms, of the snapshots they were last asked of: at most four at a time.
// Threads: the io thread; `drain` from any.
// Fails: never.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/counters.h"
#include "http/accept_encoding.h"
#include "http/counters.h"
#include "http/message.h"
#include "publish/gzip.h"
#include "publish/snapshot.h"
#include "routes/access.h"

namespace gputach {

using ContentPtr = std::shared_ptr<const http::Content>;

// What the readiness probe asks for beyond a server that serves.
struct ReadyRequires {
  bool engine = false;  // its own word on its health
  bool gpu = false;     // figures of at least one GPU, no older than the cache's TTL
};
// Whether the engine is healthy; answered on the io thread, once.
using AskEngine = std::function<void(std::move_only_function<void(bool)>)>;

class Site {
 public:
  // What the page about the daemon itself shows.
  struct Activity {
    Duration uptime{};
    const Counters& counters;
    const http::Counters& http;
    std::uint64_t access_lines_dropped = 0;  // of the access log
  };
  struct Settings {
    std::string cors_origin = "*";  // empty: no browser page of another origin may read
    Tokens tokens{};
    ReadyRequires ready_requires{};
    AskEngine ask_engine{};  // null where there is no engine
    std::function<Activity()> activity{};
    std::function<std::string()> configuration{};  // JSON for GET /proxy/v1/config
    std::function<std::string()> traffic{};        // JSON for GET /proxy/v1/proxy
  };

  explicit Site(Settings settings);

  [[nodiscard]] const Settings& settings() const { return settings_; }
  // Header lines for an answer that pages of other origins may read; empty when none may.
  [[nodiscard]] const std::string& cors_fields() const { return cors_fields_; }

  // In force from the next request on, also for pages that are made already.
  void set_cors_origin(std::string origin);

  [[nodiscard]] const Tokens& tokens() const { return settings_.tokens; }
  // In force from the next request on.
  void set_tokens(Tokens tokens) { settings_.tokens = std::move(tokens); }

  // The same snapshot, form and coding give the same content, so that it is made once and not once per client. A page
  // that is not worth coding is the same content in both.
  [[nodiscard]] ContentPtr stats_content(const SnapshotPtr& snapshot, MissingFields form, http::Coding coding);

  // How often a page was made in its gzip form.
  [[nodiscard]] std::uint64_t gzip_pages() const { return gzip_pages_; }

  void drain() { draining_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

 private:
  struct Made {
    SnapshotPtr from;  // held, so that its address cannot come back for another one
    ContentPtr content;
  };

  [[nodiscard]] ContentPtr make_plain(const Snapshot& snapshot, MissingFields form) const;
  [[nodiscard]] ContentPtr make_gzip(const ContentPtr& plain);

  Settings settings_;
  std::string cors_fields_;
  std::atomic<bool> draining_ = false;
  Gzip gzip_;
  std::uint64_t gzip_pages_ = 0;
  Made made_[2][http::coding_count];
};

// Helpers for handlers.
[[nodiscard]] http::Response json_response(int status, std::string body, std::string_view more_fields = {});
[[nodiscard]] http::Response error_response(int status, std::string_view text, std::string_view more_fields = {});

}  // namespace gputach
