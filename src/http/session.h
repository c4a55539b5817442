// Purpose: private to this folder: one connection from its first byte to its end.
// Units: bytes; Instants of the server's clock.
// Owns: its socket, its input and what of an answer could not be sent yet. SessionShared outlives every session.
// Threads: the io thread.
// Fails: by ending the connection; the reason is counted in SessionShared::counters.
// Source: RFC 9112 section 9; nginx 1.22 for lingering close.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange_log.h"
#include "http/input_buffer.h"
#include "http/link.h"
#include "http/loop_watch.h"
#include "http/net.h"
#include "http/request_head.h"
#include "http/response_head.h"
#include "http/server.h"

namespace gputach::http {

// What the connections of one io thread have in common. `head` and `out` are scratch: a session uses them between two
// suspensions and leaves `out` empty whenever it suspends, so an idle connection keeps neither.
struct SessionShared {
  SessionShared(Settings settings_in, Handler handler_in, const Clock& clock_in)
      : settings(std::move(settings_in)), limits(settings.limits), handler(std::move(handler_in)), clock(clock_in) {}

  const Settings settings;
  Limits limits;
  const Handler handler;
  const Clock& clock;
  Counters counters;
  LoopWatch watch{clock, counters.stalls};
  RequestHead head;
  std::string out;
  DateLine date;
  RequestIds ids;
  bool stopping = false;
};

class Session {
 public:
  // What comes with a connection. `tls` is null for plain bytes.
  struct Arrival {
    net::Socket socket;
    std::unique_ptr<TlsChannel> tls;
    Entrance entrance = Entrance::common;
  };

  Session(SessionShared& shared, Arrival arrival);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // One of the two is spawned, once; the session lives until it has ended.
  net::Awaitable<> serve();
  net::Awaitable<> refuse();

  void sweep(Instant now);  // ends what has taken too long
  void stop();              // idle: close; else the next answer is the last one
  void abort();             // close whatever happens

 private:
  enum class Phase : unsigned char { handshake, idle, head, body, handler, carried, write, linger };

  // What a Respond holds, so that it may outlive its session.
  struct Gate {
    Session* session;
  };
  class Responder;
  struct KeepResume;
  class Awake;

  // These do I/O and may suspend. False: the connection is finished, and the reason is known.
  net::Awaitable<bool> handshake();
  net::Awaitable<bool> read_more(Phase phase);
  net::Awaitable<bool> read_more_tls(std::span<char> space);
  net::Awaitable<bool> wait(TlsState wanted);
  net::Awaitable<bool> drain_body();
  net::Awaitable<bool> late_response();
  net::Awaitable<bool> carry();
  net::Awaitable<bool> send_rest();
  net::Awaitable<bool> yield();
  net::Awaitable<> send_and_linger();

  void begin_exchange();
  [[nodiscard]] bool carrier_takes() const;
  void reject_head(HeadError error);
  void reject(HeadError error);  // response_ becomes the last answer
  void call_handler();
  void request_dropped();
  void handler_failed(std::string_view what);
  void deliver(Response response);
  void resume();
  // These never suspend. False: something is left for send_rest, or the connection is broken. They take no temporary
  // where a co_await follows in the same expression: g++ 12 miscompiles that.
  [[nodiscard]] bool answer();
  [[nodiscard]] bool flush();
  [[nodiscard]] bool send(std::shared_ptr<const Content> body_by_reference);
  void keep_rest(std::size_t sent, std::shared_ptr<const Content> body_by_reference);
  void log_answer(const Content& content);
  // Around every co_await that waits for an event: `rest` before it, `wake` after it.
  void rest(Phase phase);
  void enter(Phase phase);
  void wake();
  void drop_input();
  void close();

  SessionShared& shared_;
  Link link_;
  std::unique_ptr<ExchangeLog> log_;  // null when nobody observes
  InputBuffer input_;
  std::uint64_t served_ = 0;
  std::string peer_;        // once a carrier has asked for it
  unsigned answered_ = 0;   // since the last wait
  std::size_t judged_ = 0;  // bytes of input_ known to be no whole head

  Instant since_{};
  Phase phase_ = Phase::idle;
  Entrance entrance_;
  bool awake_ = false;
  bool timed_out_ = false;
  bool aborted_ = false;

  // The request in progress.
  bool head_only_ = false;  // HEAD: the answer has no body
  bool last_ = false;       // the connection ends after its answer
  bool dropped_ = false;    // its Respond was destroyed without a call
  std::shared_ptr<Gate> gate_;
  std::optional<Response> response_;
  std::optional<net::Resume> resume_;  // set while the handler keeps us waiting

  // What the kernel did not take: first rest_, then the body of rest_body_ from rest_body_at_.
  std::string rest_;
  std::shared_ptr<const Content> rest_body_;
  std::size_t rest_body_at_ = 0;
};

}  // namespace gputach::http
