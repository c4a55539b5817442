#include "http/accept_encoding.h"

#include <algorithm>
#include <optional>

#include "http/field_text.h"

namespace gputach::http {
namespace {

constexpr std::string_view field_name = "accept-encoding";
constexpr int weight_max = 1000;  // weights have three decimals at most

// What was said so far; empty for a coding that was not named.
struct Weights {
  std::optional<int> gzip;
  std::optional<int> identity;
  std::optional<int> any_other;
};

// This runs for each request: plain loops over the few bytes there are, and sizes before letters.
constexpr bool is_space(char c) {
  return c == ' ' || c == '\t';
}

std::string_view without_spaces_before(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

// `name` in lower case. equal_without_case() says the same in three times the time.
bool is_name(std::string_view text, std::string_view name) {
  if (text.size() != name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool other_case = name[i] >= 'a' && text[i] == name[i] - 'a' + 'A';
    if (text[i] != name[i] && !other_case) return false;
  }
  return true;
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths.
std::optional<int> parse_qvalue(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int value = text[0] == '1' ? weight_max : 0;
  int digit_worth = 100;
  for (const char c : text.substr(std::min<std::size_t>(text.size(), 2))) {
    if (c < '0' || c > '9') return std::nullopt;
    value += (c - '0') * digit_worth;
    digit_worth /= 10;
  }
  return value <= weight_max ? std::optional(value) : std::nullopt;
}

// weight = OWS ";" OWS "q=" qvalue; `text` begins after the semicolon.
std::optional<int> parse_weight(std::string_view text) {
  text = trim(text);
  if (!is_name(text.substr(0, 2), "q=")) return std::nullopt;
  return parse_qvalue(text.substr(2));
}

void note(std::optional<int>& weight, int value) {
  weight = std::min(value, weight.value_or(weight_max));
}

// False when the element is malformed. Codings that we do not make only have to be framed.
bool read_element(std::string_view element, Weights& weights) {
  element = without_spaces_before(element);
  std::size_t end = 0;
  while (end < element.size() && element[end] != ';' && !is_space(element[end])) ++end;
  const std::string_view coding = element.substr(0, end);
  element = without_spaces_before(element.substr(end));
  int weight = weight_max;
  if (!element.empty()) {
    if (element.front() != ';' || coding.empty()) return false;
    const std::optional<int> given = parse_weight(element.substr(1));
    if (!given) return false;
    weight = *given;
  }
  if (is_name(coding, "gzip") || is_name(coding, "x-gzip")) {
    note(weights.gzip, weight);
  } else if (is_name(coding, "identity")) {
    note(weights.identity, weight);
  } else if (coding == "*") {
    note(weights.any_other, weight);
  }
  return true;  // an empty element is none (RFC 9110 section 5.6.1.2)
}

bool read_list(std::string_view list, Weights& weights) {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (!read_element(list.substr(0, comma), weights)) return false;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

Coding choose_coding(std::span<const Field> fields) {
  Weights weights;
  bool named = false;
  for (const Field& field : fields) {
    if (!is_name(field.name, field_name)) continue;
    if (!read_list(field.value, weights)) return Coding::identity;
    named = true;
  }
  if (!named) return Coding::identity;
  const int gzip = weights.gzip.value_or(weights.any_other.value_or(0));
  // Identity is always acceptable unless excluded; where nobody gave it a weight, a coding that is wanted goes first.
  const int identity = weights.identity.value_or(weights.any_other.value_or(0));
  return gzip > 0 && gzip >= identity ? Coding::gzip : Coding::identity;
}

}  // namespace gputach::http
