// Purpose: `gputach probe URL`: an exec probe for images that have neither shell nor curl.
// Units: in the types.
// Owns: one connection while it runs.
// Threads: main, the only one.
// Fails: returns an exit status; why the probe fails is one sentence on standard error.
#pragma once

#include <string>
#include <vector>

#include "app/probe_url.h"
#include "base/clock.h"

namespace gputach {

struct ProbeOptions {
  std::string url;
  std::string timeout = "1s";
  std::vector<std::string> headers;
};

struct Probe {
  std::string shown_url;
  ProbeUrl url;
  std::string request;
  Duration timeout{};
};

// What was asked for, or what is wrong with it. Pure.
[[nodiscard]] Result<Probe> make_probe(const ProbeOptions& options);

// 0: a status of 200 to 399 came in time, as a kubelet judges; 1: anything else.
[[nodiscard]] int run_probe(const Probe& probe);

}  // namespace gputach
