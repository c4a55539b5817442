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
  });
  return table;
}

}  // namespace gputach::fuzz
