// Purpose: bytes received and not yet used. Small while a connection idles, larger only while a head needs it.
// Units: bytes.
// Owns: one allocation; none before the first prepare().
// Threads: one.
// Fails: prepare() returns nothing when the buffer is as large as it may be.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace gputach::http {

class InputBuffer {
 public:
  static constexpr std::size_t idle_bytes = 1024;  // unless set otherwise

  explicit InputBuffer(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  [[nodiscard]] std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  // Where to receive; views into the buffer end here. An empty buffer returns to its idle size.
  [[nodiscard]] std::span<char> prepare();
  void set_bytes_max(std::size_t bytes_max) { bytes_max_ = bytes_max; }  // what is held already stays
  void set_idle_bytes(std::size_t bytes) { idle_bytes_ = bytes; }        // the size of an empty buffer
  void commit(std::size_t received);

  // The first bytes are used up; views into the buffer stay valid.
  void consume(std::size_t used);
  // Takes `count` bytes out of the middle; views into the buffer before `from` stay valid.
  void cut(std::size_t from, std::size_t count);
  void clear() { begin_ = end_ = 0; }

 private:
  void resize(std::size_t capacity);

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t bytes_max_;
  std::size_t idle_bytes_ = idle_bytes;
};

}  // namespace gputach::http
