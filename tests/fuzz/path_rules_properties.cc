// What must hold for every path: one that is judged allowed is no denied one to any reader, however lenient: one that
// undoes escapes once or twice, takes a backslash for a slash, drops parameters, empty and dot segments, or the case.
#include <array>
#include <cctype>
#include <vector>

#include "fuzz/target.h"
#include "relay/path_rules.h"

namespace gputach::fuzz {
namespace {

using relay::PathRules;
using relay::PathVerdict;

constexpr auto denied = std::to_array<std::string_view>({"/sleep", "/admin", "/v1/secret/deep"});
constexpr std::string_view deny_list = "/sleep,/admin/*,/v1/secret/*";

const PathRules& rules() {
  static const PathRules made = PathRules::parse("", deny_list).value();
  return made;
}

int hex(char c) {
  const std::size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(std::tolower(c)));
  return digit == std::string_view::npos ? -1 : static_cast<int>(digit);
}

std::string unescape(const std::string& path) {
  std::string text;
  for (std::size_t at = 0; at < path.size(); ++at) {
    const bool escape = path[at] == '%' && at + 2 < path.size() && hex(path[at + 1]) >= 0 && hex(path[at + 2]) >= 0;
    text += escape ? static_cast<char>(hex(path[at + 1]) * 16 + hex(path[at + 2])) : path[at];
    if (escape) at += 2;
  }
  return text;
}

std::string with_slashes(std::string path) {
  std::ranges::replace(path, '\\', '/');
  return path;
}

std::string in_lower_case(std::string path) {
  for (char& c : path) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return path;
}

std::string until_first(const std::string& path, std::string_view ends) {
  return path.substr(0, std::min(path.find_first_of(ends), path.size()));
}

// Parameters of segments, empty segments and dot segments are gone.
std::string flat(const std::string& path) {
  std::vector<std::string> segments;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string segment = until_first(path.substr(at, end - at), ";");
    at = end + 1;
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  std::string text;
  for (const std::string& segment : segments) text += "/" + segment;
  return text.empty() ? "/" : text;
}

bool is_denied(const std::string& path) {
  for (const std::string_view one : denied) {
    const std::string_view root = one == "/v1/secret/deep" ? std::string_view("/v1/secret") : one;
    if (path == root) return true;
    if (root != "/sleep" && path.starts_with(std::string(root) + "/")) return true;
  }
  return false;
}

}  // namespace

std::string check_path_rules(std::string_view bytes) {
  const ExactCopy exact(bytes);
  const PathVerdict verdict = rules().judge(exact.view());
  if (PathRules().judge(exact.view()) != PathVerdict::allowed) return "without rules something is refused";
  const std::string path(bytes);
  if (verdict != PathVerdict::allowed) {
    const bool plain =
        path.starts_with('/') && path.find_first_not_of("abcdefghijklmnopqrstuvwxyz/") == std::string::npos;
    return plain && flat(path) == path && !is_denied(path) ? "a plain path that no rule names is refused" : "";
  }
  std::vector<std::string> readings = {path};
  const auto read_as = [&readings](auto reader) {
    for (std::size_t i = 0, count = readings.size(); i < count; ++i) readings.push_back(reader(readings[i]));
  };
  read_as(unescape);
  read_as(unescape);
  read_as(with_slashes);
  read_as([](const std::string& text) { return until_first(text, std::string_view("?#\0", 3)); });
  read_as(flat);
  read_as(in_lower_case);
  for (const std::string& reading : readings) {
    if (is_denied(reading)) return "allowed, and to some reader it is " + reading;
  }
  return {};
}

}  // namespace gputach::fuzz
