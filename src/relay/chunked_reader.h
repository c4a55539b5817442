// Purpose: carries a chunked body from one connection to the other: takes its chunks apart and puts the data of what
//          has arrived together again, as one chunk or as it is. Extensions and trailers stay behind.
// Units: bytes.
// Owns: nothing; the reader is the state of one body and is made anew for each.
// Threads: one; pure; allocates only what `out` needs to grow.
// Fails: with State::bad, for good. The body must then not look complete to whoever gets it.
// Source: RFC 9112 section 7.1; 7.1.2 lets a recipient drop trailers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/chunked.h"
#include "relay/chunk_writer.h"  // for whoever goes on with the body that take_chunks began

namespace gputach::relay {

using ChunkedReader = http::ChunkedDecoder;

struct ChunkedBatch {
  using State = http::ChunkedState;

  State state;
  std::size_t consumed;    // all of `bytes` with need_more; up to and including the last byte of the body with done
  std::size_t data_bytes;  // appended to `out`, chunk framing not counted
};

// Appends the data in `bytes` to `out`: in one chunk, and the last chunk where the body ends, if `in_chunks`. No data,
// no chunk: an empty one would end the body. With bad nothing is appended.
[[nodiscard]] ChunkedBatch take_chunks(ChunkedReader& reader, std::string_view bytes, bool in_chunks, std::string& out);

// The data that a batch has appended to `out`.
[[nodiscard]] std::string_view data_of(const ChunkedBatch& batch, bool in_chunks, std::string_view out);

}  // namespace gputach::relay
