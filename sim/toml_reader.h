// Purpose: typed values out of a TOML document, with parameters filled in and the line of the first error; private to
//          scenario.cc, the only unit that pays for the TOML parser.
// Owns: the parameters; nodes and the source's name must outlive the reader.
// Threads: one.
// Fails: the first error sticks as "SOURCE:LINE: what"; every read gives some harmless value from then on.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "return_codes.h"
#include "scenario.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace gputach::sim {

using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

inline Scalar scalar_of(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_string()) return value->get();
  return {};
}

// `base` is for integers only.
template <class Number, class... Base>
std::optional<Number> parse_number(std::string_view text, Base... base) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base...);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// A parameter from outside has no type of its own: it is what it looks like.
inline Scalar scalar_of(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (const auto number = parse_number<std::int64_t>(text)) return *number;
  if (const auto number = parse_number<double>(text)) return *number;
  return std::string(text);
}

// Reads typed values; the first error sticks, and what is read after it no longer matters.
class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {}

  [[nodiscard]] bool failed() const { return !error_.empty(); }
  [[nodiscard]] std::string take_error() { return std::move(error_); }

  void error_at(const toml::node& node, std::string_view what) { error_at(node.source().begin.line, what); }
  void error_at(unsigned line, std::string_view what) {
    if (failed()) return;
    error_ = std::string(source_) + ":" + std::to_string(line) + ": " + std::string(what);
  }

  void parameters(const toml::table& defaults, const std::vector<Parameter>& given) {
    for (const auto& [key, node] : defaults) {
      Scalar value = scalar_of(node);
      if (value.index() == 0) error_at(node, "a parameter is a number, a string, true or false");
      parameters_.insert_or_assign(std::string(key.str()), std::move(value));
    }
    for (const Parameter& parameter : given) {
      const auto found = parameters_.find(parameter.name);
      if (found == parameters_.end()) return error_at(1, "the scenario has no parameter `" + parameter.name + "`");
      found->second = scalar_of(std::string_view(parameter.text));
    }
  }

  // The value itself, or the parameter that a string "$name" stands for.
  Scalar scalar(const toml::node& node) {
    Scalar value = scalar_of(node);
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr || !text->starts_with('$')) return value;
    const auto found = parameters_.find(text->substr(1));
    if (found != parameters_.end()) return found->second;
    error_at(node, "no parameter `" + *text + "` in [parameters]");
    return {};
  }

  double number(const toml::node& node, double min, double max) {
    const Scalar value = scalar(node);
    double number = std::nan("");
    if (const auto* integer = std::get_if<std::int64_t>(&value)) number = static_cast<double>(*integer);
    if (const auto* real = std::get_if<double>(&value)) number = *real;
    if (number >= min && number <= max) return number;
    error_at(node, "expected a number from " + shown(min) + " to " + shown(max));
    return min;
  }

  std::int64_t integer(const toml::node& node, std::int64_t min, std::int64_t max) {
    const Scalar value = scalar(node);
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number != nullptr && *number >= min && *number <= max) return *number;
    error_at(node, "expected an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }

  std::string text(const toml::node& node) {
    Scalar value = scalar(node);
    auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && text->size() <= text_bytes_max && text->find('\0') == std::string::npos) {
      return std::move(*text);
    }
    error_at(node, "expected a string of at most " + std::to_string(text_bytes_max) + " bytes");
    return {};
  }

  bool flag(const toml::node& node) {
    const Scalar value = scalar(node);
    if (const auto* flag = std::get_if<bool>(&value)) return *flag;
    error_at(node, "expected true or false");
    return false;
  }

  // A name or a number.
  nvml::Return code(const toml::node& node) {
    const Scalar value = scalar(node);
    if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0 && *number <= 9999) {
      return static_cast<nvml::Return>(*number);
    }
    if (const auto* name = std::get_if<std::string>(&value)) {
      if (const auto code = find_return_code(*name)) return *code;
    }
    error_at(node, "expected a return code: a number or a name such as \"GPU_IS_LOST\"");
    return nvml::Return::unknown;
  }

  Symbol symbol_named(std::string_view name, const toml::node& node) {
    if (const auto symbol = find_symbol(name)) return *symbol;
    error_at(node, "`" + std::string(name) + "` is not a function that the simulated driver exports");
    return {};
  }

  // A name or a list of names; "*" is the empty list.
  std::vector<Symbol> symbols(const toml::node& node) {
    std::vector<Symbol> symbols;
    if (const auto* array = node.as_array()) {
      for (const auto& element : *array) symbols.push_back(symbol_named(text(element), element));
      if (symbols.empty()) error_at(node, "the list is empty");
      return symbols;
    }
    if (const std::string name = text(node); name != "*") symbols.push_back(symbol_named(name, node));
    return symbols;
  }

  // 3, [0, 3], "0,3" or "all", which is the empty list.
  std::vector<unsigned> gpus(const toml::node& node) {
    std::vector<unsigned> gpus;
    if (const auto* array = node.as_array()) {
      for (const auto& element : *array) gpus.push_back(static_cast<unsigned>(integer(element, 0, gpus_max - 1)));
      if (gpus.empty()) error_at(node, "the list is empty");
      return gpus;
    }
    const Scalar value = scalar(node);
    const auto* list = std::get_if<std::string>(&value);
    if (list == nullptr) return {static_cast<unsigned>(integer(node, 0, gpus_max - 1))};
    if (*list == "all") return {};
    for (std::size_t begin = 0; begin <= list->size();) {
      const std::size_t end = std::min(list->find(',', begin), list->size());
      const auto gpu = parse_number<unsigned>(std::string_view(*list).substr(begin, end - begin));
      if (!gpu || *gpu >= gpus_max) {
        error_at(node, "expected a GPU index, a list of them or \"all\"");
        return {};
      }
      gpus.push_back(*gpu);
      begin = end + 1;
    }
    return gpus;
  }

 private:
  static std::string shown(double number) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
    return {buffer.data(), end};
  }

  std::string_view source_;
  std::string error_;
  std::map<std::string, Scalar, std::less<>> parameters_;
};

}  // namespace gputach::sim
