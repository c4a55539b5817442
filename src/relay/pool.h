// Purpose: private to this folder: connections to the engine, a bounded number, reused while that is safe.
// Units: Instants of the server's clock.
// Owns: the idle connections; one that is lent belongs to its borrower, which gives it back or tells that it is gone.
// Threads: the io thread.
// Fails: acquire() with the situation that the client has to be told.
// Source: RFC 9112 sections 9.2, 9.3, 9.5, 9.7 (TLS). uvicorn closes an idle connection after 5 s (timeout_keep_alive).
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/link.h"
#include "http/loop_watch.h"
#include "http/tls_client.h"
#include "relay/gateway_error.h"
#include "relay/relay.h"
#include "relay/traffic.h"
#include "relay/upstream_address.h"

namespace gputach::relay {

namespace net = http::net;

class Pool {
 public:
  // `tls` is null where the engine speaks plain HTTP.
  Pool(UpstreamAddress address, std::unique_ptr<http::TlsConnector> tls, const RelayLimits& limits, Traffic& traffic,
       const Clock& clock);

  void attach(net::Executor executor) { executor_ = executor; }

  // What acquire() and connect() leave: a link, or why there is none.
  struct Lent {
    std::unique_ptr<http::Link> link;
    bool reused = false;
    bool client_left = false;  // while it waited
    std::optional<GatewayFault> error{};
    std::string_view detail{};  // of the error, for the client; a literal
  };

  // One that is idle, without a wait. False: acquire() has to be asked.
  [[nodiscard]] bool take(Lent& lent);
  // `fresh`: not one that has been used before. For `client`, which is gone from the queue once it has left.
  net::Awaitable<> acquire(http::Link& client, http::CoroutineTurn& turn, bool fresh, Lent& lent);
  // A connection beside the limit and its queue, which is not given back: for a question of our own, which must not
  // wait behind the clients'.
  net::Awaitable<> connect(http::CoroutineTurn& turn, Lent& lent);
  // Given back for reuse, or null when it has been closed.
  void release(std::unique_ptr<http::Link> link);

  void sweep(Instant now);  // closes what is idle for too long, fails what waits for too long
  void abort();
  void close_idle() { idle_.clear(); }
  [[nodiscard]] bool resting() const { return lent_ == 0 && idle_.empty() && waiting_.empty() && connecting_.empty(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] const UpstreamAddress& address() const { return address_; }

 private:
  struct Idle {
    std::unique_ptr<http::Link> link;
    Instant since;
  };
  struct Waiting {
    Instant since;
    http::Link* client;
    std::optional<net::Resume> resume{};
    bool granted = false;
  };
  struct Connecting {
    http::Link* link;
    Instant since;
  };
  struct KeepResume;

  [[nodiscard]] std::unique_ptr<http::Link> take_idle();
  net::Awaitable<> wait_for_turn(http::Link& client, http::CoroutineTurn& turn, Lent& lent);
  net::Awaitable<net::ErrorCode> connect_local(http::CoroutineTurn& turn, http::Link& link,
                                               net::Protocol::endpoint address);
  net::Awaitable<> shake_hands(http::CoroutineTurn& turn, http::Link& link, Lent& lent);
  void wake(std::list<Waiting>::iterator waiting, bool granted);
  void give_turn();

  UpstreamAddress address_;
  std::unique_ptr<http::TlsConnector> tls_;
  const RelayLimits limits_;
  Traffic& traffic_;
  const Clock& clock_;
  std::optional<net::Executor> executor_;  // of the io thread
  std::deque<Idle> idle_;                  // newest last
  std::list<Waiting> waiting_;
  std::list<Connecting> connecting_;
  std::size_t lent_ = 0;  // connections out, being made, or promised to one that waits
  bool aborted_ = false;
  bool was_up_ = false;  // the engine has taken a connection before: refusing now is a failure, not a start
};

}  // namespace gputach::relay
