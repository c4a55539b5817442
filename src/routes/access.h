// Purpose: who may see a route: by the listener a request came through, and by bearer token.
// Owns: nothing. Tokens are a value that holds secrets: nothing prints them.
// Threads: any; pure.
// Fails: never; what cannot be understood is refused.
// Source: RFC 6750 sections 2.1 and 3, RFC 9110 sections 11.1 (scheme without case), 11.6.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "http/message.h"

namespace gputach {

// What kind of thing a route shows.
enum class Exposure : unsigned char {
  contract,   // the engine's clients and its probes build on it
  read,       // figures and facts about machine and daemon
  sensitive,  // what tells users apart
  admin,      // how the daemon is set up, and what changes it
};
inline constexpr std::size_t exposure_count = 4;

[[nodiscard]] std::string_view to_string(Exposure exposure);

// Whether such a route exists for those who come in there. Where it does not, it is answered as an unknown path.
[[nodiscard]] bool is_served(Exposure exposure, http::Entrance entrance);

using Tokens = std::array<std::string, exposure_count>;  // by Exposure; empty: none is asked for

[[nodiscard]] inline const std::string& token_of(Exposure exposure, const Tokens& tokens) {
  return tokens[static_cast<std::size_t>(exposure)];
}

enum class TokenCheck : unsigned char { passed, missing, wrong };

// Another scheme than Bearer counts as missing, two Authorization fields as wrong.
[[nodiscard]] TokenCheck check_token(Exposure exposure, const http::Request& request, const Tokens& tokens);

// The time this takes depends on the length of `given` alone, which the client knows.
[[nodiscard]] bool equal_in_constant_time(std::string_view given, std::string_view secret);

}  // namespace gputach
