// Purpose: the one vocabulary for operations that can fail on an expected path.
// Owns: nothing; an Error is a value.
// Threads: any.
// Fails: never; `context` is a sentence for people, `code` is what the program decides by.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace gputach {

enum class ErrorCode : unsigned char {
  invalid,          // what was given cannot be understood: configuration, message, argument
  io,               // the operating system refused or failed
  closed,           // the other end has gone
  timed_out,        // no answer before the deadline
  stopped,          // the worker process is not there
  not_initialized,  // the driver library is missing or refuses to start
  no_gpus,          // the driver works and has no GPU to show
  all_failed,       // GPUs are there, and not one of them could be read
};

inline constexpr std::size_t error_code_count = 8;

[[nodiscard]] std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code{};
  std::string context;

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string context) {
  return std::unexpected(Error{code, std::move(context)});
}

// "what: No such file or directory"
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int error_number);

}  // namespace gputach
