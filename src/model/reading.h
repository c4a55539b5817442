// Purpose: a figure that cannot pass for another: a value and whether it is one. Missing never becomes zero by itself.
// Units: the value is in the base unit of its catalogue row.
// Owns: nothing; 16 bytes, copyable.
// Threads: any.
#pragma once

#include <string_view>

namespace gputach {

// The one vocabulary for "why is there no figure", used in every format.
enum class Status : unsigned char {
  not_read,        // nobody asked
  ok,              //
  unsupported,     // this board, mode or product does not have it
  driver_too_old,  // the driver library does not know the call
  no_permission,   // the driver refuses it to this process
  lost,            // the GPU fell off the bus or is unreachable
  timed_out,       // the call did not return before its deadline
  out_of_range,    // the driver answered with an impossible value
  failed,          // any other refusal
};
inline constexpr unsigned status_count = 9;

[[nodiscard]] std::string_view to_string(Status status);

// True when the figure does not exist here and asking again will not bring it (until the driver or the mode changes).
// False for ok and for failures, which are worth a second try.
[[nodiscard]] constexpr bool is_permanent_absence(Status status) {
  return status == Status::unsupported || status == Status::driver_too_old || status == Status::no_permission;
}

struct Reading {
  double value = 0;
  Status status = Status::not_read;

  [[nodiscard]] static constexpr Reading of(double value) { return {value, Status::ok}; }
  [[nodiscard]] static constexpr Reading missing(Status why) { return {0, why}; }
  [[nodiscard]] constexpr bool ok() const { return status == Status::ok; }
  bool operator==(const Reading&) const = default;
};

}  // namespace gputach
