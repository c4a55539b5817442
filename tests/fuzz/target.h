// Purpose: what one fuzz target is: properties of one parser of untrusted bytes. The same functions are driven by
//          libFuzzer (fuzzer.cc) and, over the corpus, by plain tests (corpus_test.cc).
// Units: bytes.
// Owns: nothing; everything is a value.
// Threads: any.
// Fails: a property that does not hold is named in the answer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gputach::fuzz {

// Empty when all properties hold for `bytes`; else a sentence that says which does not.
using Check = std::string (*)(std::string_view bytes);

struct Target {
  std::string_view name;  // of its folder below corpus/, too
  std::size_t bytes_max;  // longer inputs say nothing new
  Check check;
};

[[nodiscard]] std::string check_request_head(std::string_view bytes);
[[nodiscard]] std::string check_chunked(std::string_view bytes);
[[nodiscard]] std::string check_listen_address(std::string_view bytes);
[[nodiscard]] std::string check_accept_encoding(std::string_view bytes);
[[nodiscard]] std::string check_bearer(std::string_view bytes);
[[nodiscard]] std::string check_upstream_head(std::string_view bytes);
[[nodiscard]] std::string check_relayed_chunks(std::string_view bytes);
[[nodiscard]] std::string check_forwarded_request(std::string_view bytes);
[[nodiscard]] std::string check_path_rules(std::string_view bytes);
[[nodiscard]] std::string check_usage_peek(std::string_view bytes);

[[nodiscard]] std::span<const Target> targets();

// A copy of exactly the right size on the heap, so that the address sanitizer sees a read past the end.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view bytes)
      : bytes_(std::make_unique_for_overwrite<char[]>(bytes.size())), size_(bytes.size()) {
    std::ranges::copy(bytes, bytes_.get());
  }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

}  // namespace gputach::fuzz
