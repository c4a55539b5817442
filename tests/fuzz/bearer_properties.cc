// What must hold for every Authorization: a token passes when it is the secret, byte for byte, and in no other case. A
// line of the input is a field.
#include <algorithm>
#include <vector>

#include "fuzz/target.h"
#include "routes/access.h"

namespace gputach::fuzz {
namespace {

const std::string secret = "s3cret-token~+/==";

bool is_bearer(std::string_view value) {
  constexpr std::string_view lower = "bearer";
  constexpr std::string_view upper = "BEARER";
  if (value.size() > lower.size() && value[lower.size()] != ' ') return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (i >= value.size() || (value[i] != lower[i] && value[i] != upper[i])) return false;
  }
  return true;
}

TokenCheck check_naively(const std::vector<std::string_view>& values) {
  if (values.empty()) return TokenCheck::missing;
  if (values.size() > 1) return TokenCheck::wrong;
  if (!is_bearer(values.front())) return TokenCheck::missing;
  std::string_view token = values.front().substr(sizeof "bearer" - 1);
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token == secret ? TokenCheck::passed : TokenCheck::wrong;
}

}  // namespace

std::string check_bearer(std::string_view bytes) {
  const ExactCopy exact(bytes);
  std::vector<std::string_view> values;
  for (std::string_view rest = exact.view(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    values.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::vector<http::Field> fields = {{"Host", "a"}};
  for (const std::string_view value : values) fields.push_back({"authorization", value});
  http::Request request;
  request.fields = fields;
  Tokens tokens;
  if (check_token(Exposure::admin, request, tokens) != TokenCheck::passed) return "without a secret nothing is asked";
  tokens[static_cast<std::size_t>(Exposure::admin)] = secret;
  if (check_token(Exposure::read, request, tokens) != TokenCheck::passed) return "the secret of another is asked for";
  return check_token(Exposure::admin, request, tokens) == check_naively(values) ? "" : "the naive check says otherwise";
}

}  // namespace gputach::fuzz
