#include "http/input_buffer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace gputach::http {

std::span<char> InputBuffer::prepare() {
  if (empty()) {
    clear();
    const std::size_t idle = std::min(idle_bytes_, bytes_max_);
    if (capacity_ != idle) resize(idle);
  }
  if (begin_ > 0 && capacity_ - end_ < capacity_ / 2) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    if (capacity_ >= bytes_max_) return {};
    resize(std::min(capacity_ * 2, bytes_max_));
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

void InputBuffer::commit(std::size_t received) {
  assert(received <= capacity_ - end_);
  end_ += received;
}

void InputBuffer::consume(std::size_t used) {
  assert(used <= end_ - begin_);
  begin_ += used;
}

void InputBuffer::cut(std::size_t from, std::size_t count) {
  assert(from + count <= end_ - begin_);
  char* const hole = bytes_.get() + begin_ + from;
  std::memmove(hole, hole + count, end_ - begin_ - from - count);
  end_ -= count;
}

void InputBuffer::resize(std::size_t capacity) {
  auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
  if (!empty()) std::memcpy(bytes.get(), bytes_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  bytes_ = std::move(bytes);
  capacity_ = capacity;
}

}  // namespace gputach::http
