// Purpose: the one way in which tables and flags name paths: exactly, a folder with everything below it, or what paths
//          begin with.
// Owns: nothing.
// Threads: any; pure.
// Fails: never.
#pragma once

#include <algorithm>
#include <string_view>

namespace gputach::relay {

enum class Letters : unsigned char { exact, any_case };

[[nodiscard]] constexpr char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// "/a/b" covers that path alone; "/a/*" covers "/a", "/a/" and all paths below it; "/a*" covers all that begin with
// "/a"; "/*" covers all.
[[nodiscard]] constexpr bool covers(std::string_view pattern, std::string_view path, Letters letters = Letters::exact) {
  const bool open_ended = pattern.ends_with('*');
  if (open_ended) pattern.remove_suffix(1);
  const bool folder = open_ended && pattern.ends_with('/');
  if (folder) pattern.remove_suffix(1);
  if (open_ended ? path.size() < pattern.size() : path.size() != pattern.size()) return false;
  if (folder && path.size() > pattern.size() && path[pattern.size()] != '/') return false;
  const std::string_view head = path.substr(0, pattern.size());
  if (letters == Letters::exact) return head == pattern;
  return std::ranges::equal(head, pattern, {}, lower_case, lower_case);
}

}  // namespace gputach::relay
