// Purpose: private to this folder: one request on its way to the engine and its answer on the way back.
// Units: bytes; Instants of the server's clock.
// Owns: its connection to the engine while it lasts, and what it has read from it.
// Threads: the io thread. Two coroutines: run() carries the answer, upload() the request and then watches whether the
//          client is still there.
// Fails: before anything was sent to the client with a gateway error, afterwards by cutting the connection.
// Source: RFC 9110 section 7.6, RFC 9112 sections 6, 7, 8 and 9.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/list_place.h"
#include "http/carrier.h"
#include "http/chunked.h"
#include "http/input_buffer.h"
#include "relay/chunked_reader.h"
#include "relay/exchange_meter.h"
#include "relay/forward.h"
#include "relay/pool.h"
#include "relay/relay_shared.h"
#include "relay/upstream_head.h"

namespace gputach::relay {

class Exchange {
 public:
  // What `head` says is copied: it is gone at the first wait.
  Exchange(RelayShared& shared, http::Carrier::Client& client, const http::RequestHead& head);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  net::Awaitable<> run();
  void sweep(Instant now);
  // To be called from time to time until it is true: the client is watched, or need not be. Most answers are over
  // before the second call, and to watch costs as much as reading a request.
  [[nodiscard]] bool watch();
  void abort();  // its client is given up
  // After run() has thrown: nothing of it goes on.
  net::Awaitable<> abandon();

 private:
  struct KeepResume;

  // The way there.
  net::Awaitable<bool> reach_engine(http::CoroutineTurn& turn);
  void start_upload();
  [[nodiscard]] bool send_at_once();
  void spawn_upload();
  net::Awaitable<> upload();
  net::Awaitable<bool> upload_body(http::CoroutineTurn& turn);
  net::Awaitable<> watch_client(http::CoroutineTurn& turn);
  net::Awaitable<bool> read_client(http::CoroutineTurn& turn);
  net::Awaitable<bool> send_upstream(http::CoroutineTurn& turn, std::string_view first, std::string_view second);
  [[nodiscard]] std::string_view next_body_piece(std::string& out);
  void took(std::size_t size);
  net::Awaitable<> join_upload(http::CoroutineTurn& turn);

  // The way back. False: the answer cannot be completed.
  net::Awaitable<bool> read_head(http::CoroutineTurn& turn);
  net::Awaitable<bool> pass_interim(http::CoroutineTurn& turn);
  net::Awaitable<bool> pass_answer(http::CoroutineTurn& turn);
  net::Awaitable<bool> pass_body(http::CoroutineTurn& turn, std::string& out);
  [[nodiscard]] std::string_view next_answer_piece(std::string& out);
  net::Awaitable<bool> read_upstream(http::CoroutineTurn& turn);
  [[nodiscard]] bool send_now(std::string_view& first, std::string_view& second);
  net::Awaitable<bool> send_client(http::CoroutineTurn& turn, std::string_view first, std::string_view second);

  void judge(const http::Request& request);
  void forward_head(const http::Request& request, std::size_t head_bytes);
  void give_up();
  void finish_meter();
  void client_gone();
  void settle();
  void give_back_link();

  RelayShared& shared_;
  http::Carrier::Client& client_;
  ListPlace<Exchange*> place_;  // among all exchanges
  ExchangeMeter meter_;

  // The request.
  std::string head_text_;  // as the engine gets it
  RequestBody body_;
  std::uint64_t body_left_ = 0;  // with Framing::length
  ChunkedReader body_reader_;
  int client_minor_version_;
  bool may_retry_ = false;
  Answering answering_;
  bool awaits_continue_ = false;  // it sends its body when it is told to
  bool body_done_ = false;        // all of it was taken from the client: what follows there is the next request
  bool request_sent_ = false;     // all of it is on its way: what follows there would be the next request
  bool sent_any_ = false;         // of the request, to this connection
  bool uploading_ = false;        // the coroutine runs
  bool uploaded_ = false;         // it has been started
  bool ripe_ = false;             // watch() has been called
  bool finished_ = false;         // the answer is over: nothing to watch any more
  bool reading_client_ = false;   // its end would be noticed
  bool client_gone_ = false;
  std::optional<net::Resume> upload_joined_;

  // The answer.
  Pool::Lent lent_;
  bool given_back_ = false;
  http::InputBuffer input_;
  std::size_t judged_ = 0;
  BodyFraming from_engine_ = BodyFraming::none;
  BodyFraming to_client_ = BodyFraming::none;
  std::uint64_t answer_left_ = 0;  // with BodyFraming::length
  ChunkedReader answer_reader_;
  bool answer_done_ = false;
  bool engine_keeps_ = false;  // its connection can be used again
  bool engine_ended_ = false;  // it said that nothing follows
  http::AfterResponse after_ = http::AfterResponse::close;
  std::optional<GatewayFault> fault_;
  std::string_view detail_;                        // of the fault, for the client; a literal
  std::shared_ptr<const http::Content> own_word_;  // an answer that the engine is not asked for

  // Since when somebody is waited for; none when nobody is.
  std::optional<Instant> client_silent_since_;  // in the middle of its body
  std::optional<Instant> client_full_since_;    // it takes no byte
};

}  // namespace gputach::relay
