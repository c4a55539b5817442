// Purpose: the files that hold the bearer tokens.
// Units: bytes.
// Owns: values. They are secrets: no log line and no error text may hold one.
// Threads: any; read_tokens() reads files and belongs on main.
// Fails: with a sentence for the user that names the file, never what it holds.
// Source: RFC 6750 section 2.1 (b68token), RFC 9110 section 11.2.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "routes/access.h"

namespace gputach {

struct TokenFile {
  Exposure exposure;
  std::string path;

  bool operator==(const TokenFile&) const = default;
};

// "sensitive=/run/secrets/a,admin=/run/secrets/b", each exposure at most once; empty for none. Pure.
[[nodiscard]] Result<std::vector<TokenFile>> parse_token_files(std::string_view text);

// The token in a file's text, which may end with line breaks. Pure.
[[nodiscard]] Result<std::string> token_in(std::string_view text);

[[nodiscard]] Result<Tokens> read_tokens(std::span<const TokenFile> files);

}  // namespace gputach
