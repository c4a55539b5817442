#include "app/token_files.h"

#include <algorithm>
#include <array>

#include "app/bounded_file.h"
#include "app/flag_values.h"

namespace gputach {
namespace {

constexpr std::size_t token_bytes_max = 4096;

constexpr auto exposures =
    std::to_array<Exposure>({Exposure::contract, Exposure::read, Exposure::sensitive, Exposure::admin});
static_assert(exposures.size() == exposure_count);

bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~+/").find(c) != std::string_view::npos;
}

}  // namespace

Result<std::vector<TokenFile>> parse_token_files(std::string_view text) {
  std::vector<TokenFile> files;
  if (text.empty()) return files;
  for (const std::string_view part : split_list(text)) {
    const std::size_t sign = part.find('=');
    const auto exposure = std::ranges::find(exposures, part.substr(0, sign), [](Exposure e) { return to_string(e); });
    if (sign == std::string_view::npos || sign + 1 == part.size() || exposure == exposures.end())
      return fail(ErrorCode::invalid,
                  "EXPOSURE=FILE, separated by commas, where EXPOSURE is contract, read, sensitive or admin");
    if (std::ranges::find(files, *exposure, &TokenFile::exposure) != files.end())
      return fail(ErrorCode::invalid, "a list with each exposure once");
    files.push_back({*exposure, std::string(part.substr(sign + 1))});
  }
  return files;
}

Result<std::string> token_in(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const std::string_view token = text;
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.empty()) return fail(ErrorCode::invalid, "holds no token");
  if (!std::ranges::all_of(text, is_token_character))
    return fail(ErrorCode::invalid, "holds characters that a bearer token cannot have (RFC 6750 section 2.1)");
  return std::string(token);
}

Result<Tokens> read_tokens(std::span<const TokenFile> files) {
  Tokens tokens;
  for (const TokenFile& file : files) {
    const std::string where = "token of " + std::string(to_string(file.exposure)) + ": ";
    const Result<std::string> text = read_bounded_file(file.path, token_bytes_max);
    if (!text) return fail(text.error().code, where + text.error().context);
    Result<std::string> token = token_in(*text);
    if (!token) return fail(token.error().code, where + file.path + " " + token.error().context);
    tokens[static_cast<std::size_t>(file.exposure)] = *std::move(token);
  }
  return tokens;
}

}  // namespace gputach
