#include "app/setup.h"

#include <algorithm>

#include "app/config_file.h"
#include "base/text_buffer.h"

namespace gputach {
namespace {

const Given* find_given(std::span<const Given> given, std::string_view flag) {
  const auto found = std::ranges::find(given, flag, &Given::flag);
  return found == given.end() ? nullptr : &*found;
}

std::string_view value_of(std::span<const Given> given, const Flag& flag) {
  const Given* one = find_given(given, flag.name);
  return one == nullptr ? flag.default_value : one->value;
}

// What was given goes before the file that it names.
Result<std::vector<Given>> complete(std::span<const Given> outside, FlagUse least) {
  std::vector<Given> all(outside.begin(), outside.end());
  const Given* named = find_given(outside, config_flag);
  if (named == nullptr || named->value.empty()) return all;
  Result<std::vector<Given>> file = read_config_file(named->value);
  if (!file) return fail(file.error().code, named->origin + ": " + file.error().context);
  for (Given& one : *file) {
    const bool known = find_flag(one.flag)->use >= least;
    if (known && find_given(outside, one.flag) == nullptr) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

Result<Setup> make_setup(std::span<const Given> outside, FlagUse least) {
  Result<std::vector<Given>> given = complete(outside, least);
  if (!given) return std::unexpected(std::move(given).error());
  Result<Config> config = make_config(*given);
  if (!config) return std::unexpected(std::move(config).error());
  return Setup{*std::move(given), *std::move(config)};
}

Changes changes_between(std::span<const Given> before, std::span<const Given> after) {
  Changes changes;
  for (const Flag& flag : flags()) {
    if (value_of(before, flag) == value_of(after, flag)) continue;
    (flag.reload == Reload::live ? changes.live : changes.restart).push_back(flag.name);
  }
  return changes;
}

std::vector<Given> after_reload(std::span<const Given> before, std::span<const Given> fresh) {
  std::vector<Given> given;
  for (const Flag& flag : flags()) {
    const Given* one = find_given(flag.reload == Reload::live ? fresh : before, flag.name);
    if (one != nullptr) given.push_back(*one);
  }
  return given;
}

std::string setup_json(std::span<const Given> given) {
  TextBuffer out;
  out << R"({"flags":{)";
  for (bool first = true; const Flag& flag : flags()) {
    const Given* one = find_given(given, flag.name);
    out << (first ? "\"" : ",\"") << flag.name << R"(":{"value":)";
    out.json_string(value_of(given, flag));
    out << R"(,"origin":)";
    out.json_string(one == nullptr ? std::string_view("default") : std::string_view(one->origin));
    out << R"(,"reload":")" << to_string(flag.reload) << "\"}";
    first = false;
  }
  out << "}}";
  return out.take();
}

}  // namespace gputach
