#include "relay/path_rules.h"

#include <algorithm>
#include <optional>

#include "http/field_text.h"
#include "relay/path_pattern.h"
#include "relay/path_presets.h"

namespace gputach::relay {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = lower_case(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that the escape at the start of `text` stands for.
std::optional<char> escaped_byte(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(static_cast<unsigned char>(high * 16 + low));
}

enum class EscapedSlash : unsigned char { is_slash, is_character };

// With all escapes undone once. An escaped slash that is to be a character becomes one that no rule contains.
std::string decode(std::string_view path, EscapedSlash escaped_slash) {
  std::string decoded;
  decoded.reserve(path.size());
  for (std::size_t at = 0; at < path.size(); ++at) {
    const std::optional<char> byte = escaped_byte(path.substr(at));
    char c = byte.value_or(path[at]);
    if (byte == '/' && escaped_slash == EscapedSlash::is_character) c = '|';
    decoded.push_back(c);
    if (byte) at += 2;
  }
  return decoded;
}

bool only_dots(std::string_view segment) {
  return std::ranges::all_of(segment, [](char c) { return c == '.'; });
}

// No two readers take this, escapes undone, for different paths. A last segment may be empty: a slash at the end.
bool is_clear(std::string_view decoded) {
  if (!decoded.starts_with('/')) return false;
  const auto plain = [](char c) { return c > ' ' && c <= '~' && !std::string_view(R"(%\;?#)").contains(c); };
  if (!std::ranges::all_of(decoded, plain)) return false;
  for (std::size_t at = 1; at < decoded.size();) {
    const std::size_t slash = std::min(decoded.find('/', at), decoded.size());
    if (only_dots(decoded.substr(at, slash - at))) return false;
    at = slash + 1;
  }
  return true;
}

std::string_view without_last_slash(std::string_view path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// What the most lenient reader makes of an unclear path: it only decides between the two ways of refusing it.
std::string flatten(std::string_view path) {
  std::string text(path);
  for (int pass = 0; pass < 2; ++pass) text = decode(text, EscapedSlash::is_slash);
  std::ranges::replace(text, '\\', '/');
  std::string flat;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    const std::string_view segment = std::string_view(text).substr(at, slash - at);
    const std::string_view name = segment.substr(0, segment.find_first_of(";?#"));
    if (name == "..") {
      const std::size_t parent = flat.rfind('/');
      flat.resize(parent == std::string::npos ? 0 : parent);
    } else if (!only_dots(name)) {
      flat.append("/").append(name);
    }
    at = slash + 1;
  }
  return flat.empty() ? "/" : flat;
}

std::unexpected<Error> refuse(std::string_view flag, std::string_view entry, std::string_view why) {
  std::string sentence(flag);
  sentence.append(": '").append(entry).append("' ").append(why);
  return fail(ErrorCode::invalid, std::move(sentence));
}

struct Lists {
  std::vector<std::string>& allow;
  std::vector<std::string>& deny;
};

Result<void> add_preset(std::string_view flag, PathDecision decision, std::string_view entry, Lists lists) {
  const std::span<const PathPresetRow> preset = path_preset(entry.substr(entry.find(':') + 1));
  if (preset.empty()) return refuse(flag, entry, "is no preset; there is preset:vllm-safe");
  for (const PathPresetRow& row : preset) {
    if (row.decision == PathDecision::deny) lists.deny.emplace_back(row.pattern);
    if (row.decision == PathDecision::allow && decision == PathDecision::allow) lists.allow.emplace_back(row.pattern);
  }
  return {};
}

Result<void> add_entry(std::string_view flag, PathDecision decision, std::string_view entry, Lists lists) {
  if (entry.starts_with("preset:")) return add_preset(flag, decision, entry, lists);
  if (!entry.starts_with('/')) return refuse(flag, entry, "does not begin with a slash");
  const bool open_ended = entry.ends_with('*');
  const std::string_view path = open_ended ? entry.substr(0, entry.size() - 1) : entry;
  if (path.contains('*')) return refuse(flag, entry, "has a * elsewhere than at its end");
  if (!is_clear(path)) return refuse(flag, entry, "has escapes, empty or dot segments, or characters no route has");
  if (covers("/proxy/*", path)) return refuse(flag, entry, "names a path that is never forwarded");
  (decision == PathDecision::allow ? lists.allow : lists.deny)
      .emplace_back(open_ended ? entry : without_last_slash(entry));
  return {};
}

Result<void> add_list(std::string_view flag, PathDecision decision, std::string_view list, Lists lists) {
  if (http::trim(list).empty()) return {};
  for (std::string_view entry; http::next_element(list, entry);) {
    if (entry.empty()) return refuse(flag, entry, "is an empty entry");
    if (auto added = add_entry(flag, decision, entry, lists); !added) return added;
    if (std::max(lists.allow.size(), lists.deny.size()) > PathRules::rules_max) {
      return refuse(flag, entry, "is one entry too many");
    }
  }
  return {};
}

}  // namespace

Result<PathRules> PathRules::parse(std::string_view allow, std::string_view deny) {
  PathRules rules;
  const Lists lists{rules.allow_, rules.deny_};
  if (auto added = add_list("--allow-paths", PathDecision::allow, allow, lists); !added) {
    return std::unexpected(added.error());
  }
  if (auto added = add_list("--deny-paths", PathDecision::deny, deny, lists); !added) {
    return std::unexpected(added.error());
  }
  return rules;
}

bool PathRules::denies(std::string_view reading) const {
  const std::string_view path = without_last_slash(reading);
  return std::ranges::any_of(deny_, [path](const auto& rule) { return covers(rule, path, Letters::any_case); });
}

bool PathRules::allows(std::string_view reading) const {
  return allow_.empty() || std::ranges::any_of(allow_, [reading](const auto& rule) { return covers(rule, reading); });
}

PathVerdict PathRules::judge(std::string_view path) const {
  if (empty()) return PathVerdict::allowed;
  if (path == "*") return allow_.empty() ? PathVerdict::allowed : PathVerdict::denied;
  if (!path.contains('%')) {
    if (!is_clear(path)) return denies(flatten(path)) ? PathVerdict::denied : PathVerdict::unclear;
    return !denies(path) && allows(path) ? PathVerdict::allowed : PathVerdict::denied;
  }
  const std::string as_slash = decode(path, EscapedSlash::is_slash);
  const std::string as_character = decode(path, EscapedSlash::is_character);
  if (denies(as_slash) || denies(as_character)) return PathVerdict::denied;
  if (!is_clear(as_slash) || !is_clear(as_character)) {
    return denies(flatten(path)) ? PathVerdict::denied : PathVerdict::unclear;
  }
  if (allows(as_slash) != allows(as_character)) return PathVerdict::unclear;
  return allows(as_slash) ? PathVerdict::allowed : PathVerdict::denied;
}

}  // namespace gputach::relay
