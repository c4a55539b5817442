// Purpose: which paths of the engine clients may reach (--allow-paths, --deny-paths).
// Owns: its rules as text. A default-constructed object has none and allows everything.
// Threads: any once made; const functions are pure.
// Fails: parse says which entry cannot be used and why.
// Source: RFC 3986 sections 2 (percent-encoding) and 5.2.4 (dot segments), RFC 9110 section 7.7 (the path is forwarded
//         as it came).
//
// The path goes on byte for byte, so what counts is how the engine might read it, not how we do. Denied rules therefore
// look at the path with its escapes undone, letters of any case and a slash at the end ignored. Where readers are known
// to differ nobody needs a path, and the whole request is refused: empty, "." and ".." segments (plain or escaped),
// ";", a backslash, escapes of escapes, escapes of controls, spaces and bytes outside of ASCII, broken escapes. The one
// exception is %2F, which clients write inside model names: it has to pass as a slash and as a plain character.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gputach::relay {

enum class PathVerdict : unsigned char {
  allowed,
  denied,   // by a rule, or by not being in the list of allowed ones: 403
  unclear,  // some reader could take it for another path: 400
};

class PathRules {
 public:
  static constexpr std::size_t rules_max = 256;  // of each list, presets included

  PathRules() = default;

  // Lists of "/exact", "/folder/*", "/beginning*" and "preset:NAME", separated by commas; spaces around entries are
  // ignored. A preset in `deny` denies what it holds to be unsafe. A preset in `allow` allows what it holds to be safe,
  // and still denies the rest of it. Denied wins over allowed; no allowed entry at all allows whatever is not denied.
  [[nodiscard]] static Result<PathRules> parse(std::string_view allow, std::string_view deny);

  // `path` as it stands in the request, without the query; "*" for OPTIONS *.
  [[nodiscard]] PathVerdict judge(std::string_view path) const;

  [[nodiscard]] bool empty() const { return allow_.empty() && deny_.empty(); }

 private:
  [[nodiscard]] bool denies(std::string_view reading) const;
  [[nodiscard]] bool allows(std::string_view reading) const;

  std::vector<std::string> allow_;
  std::vector<std::string> deny_;
};

}  // namespace gputach::relay
