// Purpose: the small grammar that field values share: optional white space and comma-separated lists.
// Owns: nothing; everything is a view into the text given.
// Threads: any; pure, no allocation.
// Fails: never.
// Source: RFC 9110 sections 5.6.1 (lists) and 5.6.3 (white space).
#pragma once

#include <string_view>

namespace gputach::http {

[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The element before the next comma, trimmed; `list` keeps what follows the comma. False when nothing is left. Empty
// elements are handed out as well.
[[nodiscard]] constexpr bool next_element(std::string_view& list, std::string_view& element) {
  if (list.data() == nullptr) return false;
  const std::size_t comma = list.find(',');
  element = trim(list.substr(0, comma));
  list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  return true;
}

}  // namespace gputach::http
