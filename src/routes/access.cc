#include "routes/access.h"

#include <algorithm>

namespace gputach {
namespace {

constexpr std::string_view field_name = "Authorization";
constexpr std::string_view scheme = "Bearer";

struct Row {
  std::string_view name;
  bool common;      // through --listen
  bool restricted;  // through --private-listen
};

// By Exposure.
constexpr std::array<Row, exposure_count> table = {{
    {"contract", true, true},
    {"read", true, true},
    {"sensitive", false, true},
    {"admin", false, true},
}};

const Row& row_of(Exposure exposure) {
  return table[static_cast<std::size_t>(exposure)];
}

}  // namespace

std::string_view to_string(Exposure exposure) {
  return row_of(exposure).name;
}

bool is_served(Exposure exposure, http::Entrance entrance) {
  return entrance == http::Entrance::restricted ? row_of(exposure).restricted : row_of(exposure).common;
}

bool equal_in_constant_time(std::string_view given, std::string_view secret) {
  if (secret.empty()) return given.empty();
  // Volatile, so that no compiler leaves the loop at the first difference.
  volatile unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    difference = difference | static_cast<unsigned char>(given[i] ^ secret[i % secret.size()]);
  return difference == 0;
}

TokenCheck check_token(Exposure exposure, const http::Request& request, const Tokens& tokens) {
  const std::string& secret = token_of(exposure, tokens);
  if (secret.empty()) return TokenCheck::passed;
  const http::Field* credentials = nullptr;
  for (const http::Field& field : request.fields) {
    if (!http::equal_without_case(field.name, field_name)) continue;
    if (credentials != nullptr) return TokenCheck::wrong;
    credentials = &field;
  }
  if (credentials == nullptr) return TokenCheck::missing;
  std::string_view value = credentials->value;
  if (!http::equal_without_case(value.substr(0, value.find(' ')), scheme)) return TokenCheck::missing;
  value.remove_prefix(scheme.size());
  value.remove_prefix(std::min(value.size(), value.find_first_not_of(' ')));
  return equal_in_constant_time(value, secret) ? TokenCheck::passed : TokenCheck::wrong;
}

}  // namespace gputach
