// Purpose: the whole protocol between server and worker: one fixed request, and bounded frames as answers.
// Units: durations in nanoseconds; lengths in bytes.
// Owns: values only. FrameBuffer holds at most limits::frame_bytes_max bytes plus one read.
// Threads: one per object; the functions are pure.
// Fails: decode with `invalid` on anything that encode did not make: too long, cut short, unknown values, spare bytes.
//        Both ends are the same binary, so there is no version; what is guarded against is a worker gone mad.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/entity.h"

namespace gputach {

// Server to worker: read all devices now.
struct Ask {
  std::uint64_t id = 0;
  std::int64_t budget_ns = 0;          // devices not begun by then are not read
  std::int64_t device_overrun_ns = 0;  // a device that takes longer keeps its thread, the others go on
};
static_assert(sizeof(Ask) == 24);

// Worker to server.
struct WorkerFrame {
  enum class Kind : std::uint8_t {
    progress,  // a device handle arrived while starting
    ready,     // passes may be asked for
    refused,   // the driver library does not start: `error`, and `why` for the log; the worker ends
    sample,    // the answer to an Ask
  };
  Kind kind = Kind::progress;
  std::uint64_t ask_id = 0;
  bool simulated = false;
  bool restart_wanted = false;  // only a fresh process can read again
  Error error;
  std::string why;
  std::vector<Entity> entities;

  bool operator==(const WorkerFrame&) const = default;
};

// Length prefix and payload, ready to be written to the stream.
[[nodiscard]] std::string encode_frame(const WorkerFrame& frame);
[[nodiscard]] Result<WorkerFrame> decode_frame(std::string_view payload);

// Cuts a byte stream into frames.
class FrameBuffer {
 public:
  void append(std::string_view bytes) { bytes_.append(bytes); }
  // The next whole frame, nothing yet, or `invalid` (the stream cannot be used any more).
  [[nodiscard]] Result<std::optional<WorkerFrame>> next();
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

}  // namespace gputach
