#include <array>

#include "fuzz/target.h"

namespace gputach::fuzz {

std::span<const Target> targets() {
  static constexpr auto table = std::to_array<Target>({
      {"request_head", 20'000, check_request_head},
      {"chunked", 8'000, check_chunked},
      {"listen_address", 200, check_listen_address},
      {"accept_encoding", 300, check_accept_encoding},
      {"bearer", 300, check_bearer},
      {"upstream_head", 20'000, check_upstream_head},
      {"relayed_chunks", 8'000, check_relayed_chunks},
      {"forwarded_request", 20'000, check_forwarded_request},
      {"path_rules", 300, check_path_rules},
      {"usage_peek", 8'000, check_usage_peek},
  });
  return table;
}

}  // namespace gputach::fuzz
