// What must hold for every Accept-Encoding: the choice is that of a naive reading, which knows all weights by heart,
// and several fields say what one list says. A line of the input is a field.
#include <map>
#include <optional>
#include <vector>

#include "fuzz/target.h"
#include "http/accept_encoding.h"

namespace gputach::fuzz {
namespace {

using http::Coding;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string in_lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

Coding choose(const std::vector<std::string>& values) {
  std::vector<http::Field> fields;
  for (const std::string& value : values) fields.push_back({"Accept-Encoding", value});
  return http::choose_coding(fields);
}

// Every weight that may be written, in thousandths.
std::map<std::string, int> make_qvalues() {
  std::map<std::string, int> values = {{"0", 0}, {"0.", 0}, {"1", 1000}, {"1.", 1000}};
  for (const std::string zeros : {"0", "00", "000"}) values["1." + zeros] = 1000;
  for (int n = 0; n < 1000; ++n) {
    const std::string digits = std::to_string(1000 + n).substr(1);
    values["0." + digits] = n;
    if (n % 10 == 0) values["0." + digits.substr(0, 2)] = n;
    if (n % 100 == 0) values["0." + digits.substr(0, 1)] = n;
  }
  return values;
}

std::string trim(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// Of one element; nothing when it is malformed.
std::optional<std::pair<std::string, int>> read_element(const std::string& element) {
  static const std::map<std::string, int> qvalues = make_qvalues();
  const std::size_t semicolon = element.find(';');
  const std::string coding = trim(element.substr(0, semicolon));
  if (coding.find_first_of(" \t") != std::string::npos) return std::nullopt;
  if (semicolon == std::string::npos) return std::pair(coding, 1000);
  const std::string weight = trim(element.substr(semicolon + 1));
  if (coding.empty() || !weight.starts_with("q=") || !qvalues.contains(weight.substr(2))) return std::nullopt;
  return std::pair(coding, qvalues.at(weight.substr(2)));
}

// RFC 9110 section 12.5.3; the lowest weight of a coding counts.
Coding choose_naively(const std::vector<std::string>& values) {
  std::map<std::string, int> weights;
  for (const std::string& value : values) {
    for (const std::string& element : split(in_lower_case(value), ',')) {
      const auto read = read_element(element);
      if (!read) return Coding::identity;
      const auto [name, weight] = *read;
      const std::string coding = name == "x-gzip" ? "gzip" : name;
      const auto [known, fresh] = weights.emplace(coding, weight);
      if (!fresh) known->second = std::min(known->second, weight);
    }
  }
  const auto weight_of = [&](const std::string& coding) {
    for (const std::string& name : {coding, std::string("*")}) {
      if (const auto known = weights.find(name); known != weights.end()) return known->second;
    }
    return 0;
  };
  return weight_of("gzip") > 0 && weight_of("gzip") >= weight_of("identity") ? Coding::gzip : Coding::identity;
}

}  // namespace

std::string check_accept_encoding(std::string_view bytes) {
  const std::vector<std::string> values = split(bytes, '\n');
  const Coding chosen = choose(values);
  if (chosen != choose_naively(values)) return "the naive reading chooses otherwise";
  std::string list = values.front();
  for (std::size_t i = 1; i < values.size(); ++i) list += "," + values[i];
  return chosen == choose({list}) ? "" : "one list says something else than its parts";
}

}  // namespace gputach::fuzz
