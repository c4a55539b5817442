#include "app/config_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "app/bounded_file.h"
#include "base/limits.h"
#include "base/text_buffer.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace gputach {
namespace {

std::string place(std::string_view path, toml::source_index line) {
  return std::string(path) + ":" + std::to_string(line);
}

// A key is anything; in a sentence it is one line.
std::unexpected<Error> refuse_key(const std::string& where, std::string_view key, std::string_view what) {
  TextBuffer text;
  text << where << ": ";
  text.json_string(key.substr(0, limits::label_bytes_max));
  text << ' ' << what;
  return fail(ErrorCode::invalid, text.take());
}

std::string number_text(double number) {
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

// Nothing for dates and tables. A NUL would end a path early.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_integer()) return std::to_string(value->get());
  if (const auto* value = node.as_floating_point()) return number_text(value->get());
  const auto* text = node.as_string();
  if (text == nullptr || text->get().find('\0') != std::string::npos) return std::nullopt;
  return text->get();
}

// An array is a list, and a list is written with commas: no element may have one.
std::optional<std::string> value_text(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return scalar_text(node);
  std::string list;
  for (bool first = true; const toml::node& element : *array) {
    const std::optional<std::string> text = scalar_text(element);
    if (!text || text->empty() || text->find(',') != std::string::npos) return std::nullopt;
    if (!std::exchange(first, false)) list += ',';
    list += *text;
  }
  return list;
}

Result<Given> read_key(const toml::key& key, const toml::node& node, std::string_view path) {
  const std::string where = place(path, key.source().begin.line);
  const Flag* flag = find_flag(key.str());
  if (flag == nullptr) return refuse_key(where, key.str(), "is no flag (gputach docs flags lists them)");
  if (flag->name == config_flag) return refuse_key(where, key.str(), "cannot stand in the file itself");
  std::optional<std::string> text = value_text(node);
  if (!text)
    return refuse_key(where, key.str(), "takes a string, a number, or an array of those whose elements have no comma");
  return Given{flag->name, *std::move(text), where + " " + std::string(flag->name)};
}

}  // namespace

Result<std::vector<Given>> parse_config_file(std::string_view text, std::string_view path) {
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    TextBuffer sentence;  // the parser quotes what it found
    sentence << place(path, parsed.error().source().begin.line) << ": ";
    sentence.json_string(parsed.error().description());
    return fail(ErrorCode::invalid, sentence.take());
  }
  struct Row {
    const toml::key* key;
    const toml::node* node;
  };
  std::vector<Row> rows;  // in the order of the lines; a TOML table has that of the names
  for (const auto& [key, node] : parsed.table()) rows.push_back({&key, &node});
  std::ranges::sort(rows, {}, [](const Row& row) { return row.key->source().begin; });
  std::vector<Given> all;
  for (const Row& row : rows) {
    Result<Given> given = read_key(*row.key, *row.node, path);
    if (!given) return std::unexpected(std::move(given).error());
    all.push_back(*std::move(given));
  }
  return all;
}

Result<std::vector<Given>> read_config_file(const std::string& path) {
  const Result<std::string> text = read_bounded_file(path, config_file_bytes_max);
  if (!text) return std::unexpected(text.error());
  return parse_config_file(*text, path);
}

}  // namespace gputach
