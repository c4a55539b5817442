#include "relay/chunk_writer.h"

#include <cassert>
#include <charconv>

namespace gputach::relay {

ChunkHead::ChunkHead(std::size_t data_bytes) {
  assert(data_bytes > 0);
  char* end = std::to_chars(text_.data(), text_.data() + 16, data_bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  size_ = static_cast<std::size_t>(end - text_.data());
}

void append_chunk_head(std::string& out, std::size_t data_bytes) {
  out += ChunkHead(data_bytes).text();
}

void append_chunk(std::string& out, std::string_view data) {
  if (data.empty()) return;
  append_chunk_head(out, data.size());
  out += data;
  out += chunk_end;
}

}  // namespace gputach::relay
