#include "relay/chunked_reader.h"

namespace gputach::relay {

ChunkedBatch take_chunks(ChunkedReader& reader, std::string_view bytes, bool in_chunks, std::string& out) {
  using State = ChunkedBatch::State;
  const std::size_t before = out.size();
  ChunkedBatch batch{State::need_more, 0, 0};
  do {
    const ChunkedReader::Piece piece = reader.next_piece(bytes.substr(batch.consumed));
    batch.state = piece.state;
    batch.consumed += piece.consumed;
    out += piece.data;
  } while (batch.state == State::need_more && batch.consumed < bytes.size());

  if (batch.state == State::bad) {
    out.resize(before);
    return batch;
  }
  batch.data_bytes = out.size() - before;
  if (!in_chunks) return batch;
  if (batch.data_bytes > 0) {
    // The size is known only now; what moves is one read's worth of data at most.
    out.insert(before, ChunkHead(batch.data_bytes).text());
    out += chunk_end;
  }
  if (batch.state == State::done) out += last_chunk;
  return batch;
}

std::string_view data_of(const ChunkedBatch& batch, bool in_chunks, std::string_view out) {
  if (batch.data_bytes == 0) return {};
  std::size_t after = 0;
  if (in_chunks) after = chunk_end.size() + (batch.state == ChunkedBatch::State::done ? last_chunk.size() : 0);
  return out.substr(out.size() - after - batch.data_bytes, batch.data_bytes);
}

}  // namespace gputach::relay
