#include "relay/pool.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/at_exit.h"
#include "base/list_place.h"
#include "http/keep_alive.h"

namespace gputach::relay {
namespace {

namespace asio = net::asio;

constexpr std::chrono::milliseconds backlog_pause{10};  // before a Unix socket is tried again

struct Endpoint {
  net::Protocol protocol;
  net::Protocol::endpoint address;
};

template <class SocketAddress>
Endpoint endpoint_of(const SocketAddress& address, std::size_t size, int family, int protocol) {
  return {net::Protocol(family, protocol), net::Protocol::endpoint(&address, size, protocol)};
}

// The text has been checked when it was parsed.
Endpoint to_endpoint(const UpstreamAddress& upstream) {
  if (upstream.kind == UpstreamAddress::Kind::unix_socket) {
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    upstream.host.copy(local.sun_path, sizeof local.sun_path - 1);
    const bool abstract = upstream.host.starts_with('@');
    if (abstract) local.sun_path[0] = '\0';
    return endpoint_of(local, offsetof(sockaddr_un, sun_path) + upstream.host.size() + (abstract ? 0 : 1), AF_UNIX, 0);
  }
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, upstream.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(upstream.port);
    return endpoint_of(v4, sizeof v4, AF_INET, IPPROTO_TCP);
  }
  sockaddr_in6 v6{};
  ::inet_pton(AF_INET6, upstream.host.c_str(), &v6.sin6_addr);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(upstream.port);
  return endpoint_of(v6, sizeof v6, AF_INET6, IPPROTO_TCP);
}

// Tokens leave as they come. What the kernel does not take costs speed or notice, and no request.
void set_options(int descriptor, int family) {
  if (family == AF_UNIX) return;
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)http::keep_alive(descriptor);
}

// Idle means silent: an end, or bytes that nobody asked for, make it useless (RFC 9112 section 9.2).
// What TLS says of itself, such as a new session ticket, is read on the way and is no matter.
bool is_silent(http::Link& link) {
  char byte = 0;
  if (link.is_tls()) return link.tls()->read({&byte, 1}).state == http::TlsState::want_read;
  const ssize_t got = ::recv(link.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && errno == EAGAIN;
}

}  // namespace

struct Pool::KeepResume {
  Waiting* waiting;
  template <class Resume>
  void operator()(Resume&& resume) const {
    waiting->resume.emplace(std::forward<Resume>(resume));
  }
};

Pool::Pool(UpstreamAddress address, std::unique_ptr<http::TlsConnector> tls, const RelayLimits& limits,
           Traffic& traffic, const Clock& clock)
    : address_(std::move(address)), tls_(std::move(tls)), limits_(limits), traffic_(traffic), clock_(clock) {}

bool Pool::take(Lent& lent) {
  if (lent_ >= limits_.connections_max) return false;
  lent.link = take_idle();
  lent.reused = lent.link != nullptr;
  if (lent.reused) ++lent_;
  return lent.reused;
}

net::Awaitable<> Pool::acquire(http::Link& client, http::CoroutineTurn& turn, bool fresh, Lent& lent) {
  if (lent_ < limits_.connections_max) {
    ++lent_;
  } else if (waiting_.size() >= limits_.queue_max) {
    lent.error = GatewayFault::queue_full;
    co_return;
  } else {
    co_await wait_for_turn(client, turn, lent);
    if (lent.error) co_return;
  }
  AtExit give_back([this] { release(nullptr); });
  lent.link = fresh ? nullptr : take_idle();
  lent.reused = lent.link != nullptr;
  if (!lent.reused) {
    if (lent_ + idle_.size() > limits_.connections_max) idle_.pop_front();
    co_await connect(turn, lent);
  }
  if (lent.link != nullptr) give_back.disarm();
}

// Leaves a place among the lent ones, or an error.
net::Awaitable<> Pool::wait_for_turn(http::Link& client, http::CoroutineTurn& turn, Lent& lent) {
  const ListPlace<Waiting> place(waiting_, Waiting{.since = clock_.now(), .client = &client});
  traffic_.add_queued();
  const AtExit leave([this] { traffic_.remove_queued(); });
  const KeepResume keep_resume{&*place};
  const net::UseAwaitable token;
  turn.rest();
  co_await asio::async_initiate<const net::UseAwaitable, void()>(keep_resume, token);
  turn.wake();
  lent.client_left = client.peer_has_left();
  if (place->granted && lent.client_left) release(nullptr);  // the next one's
  if (!place->granted || lent.client_left) lent.error = GatewayFault::queue_full;
}

net::Awaitable<> Pool::connect(http::CoroutineTurn& turn, Lent& lent) {
  const Endpoint to = to_endpoint(address_);
  net::Socket socket(*executor_);
  net::ErrorCode error;
  socket.open(to.protocol, error);
  if (!error) socket.non_blocking(true, error);
  if (error) {  // no descriptor or no memory is left; others give theirs back
    lent.error = GatewayFault::queue_full;
    lent.detail = "no socket can be opened";
    co_return;
  }
  set_options(socket.native_handle(), to.protocol.family());
  auto channel = tls_ == nullptr ? nullptr : tls_->channel(socket.native_handle());
  auto link = std::make_unique<http::Link>(std::move(socket), std::move(channel));
  const ListPlace<Connecting> place(connecting_, Connecting{link.get(), clock_.now()});
  if (to.protocol.family() == AF_UNIX) {
    error = co_await connect_local(turn, *link, to.address);
  } else {
    turn.rest();
    const auto connected = co_await link->socket().async_connect(to.address, net::use_tuple);
    turn.wake();
    error = std::get<0>(connected);
  }
  if (error == asio::error::operation_aborted) {
    lent.error = GatewayFault::connect_timeout;
  } else if (error) {
    lent.error = was_up_ ? GatewayFault::refused : GatewayFault::engine_starting;
  } else {
    was_up_ = true;
    if (link->is_tls()) co_await shake_hands(turn, *link, lent);
  }
  if (!lent.error) lent.link = std::move(link);
}

// A Unix socket whose backlog is full says so at once and cannot be waited for (EAGAIN, man 2 connect); Asio takes that
// for a connection.
net::Awaitable<net::ErrorCode> Pool::connect_local(http::CoroutineTurn& turn, http::Link& link,
                                                   net::Protocol::endpoint address) {
  const Instant end = clock_.now() + limits_.connect_timeout;
  net::Timer pause(*executor_);
  for (;;) {
    if (::connect(link.socket().native_handle(), address.data(), static_cast<socklen_t>(address.size())) == 0) {
      co_return net::ErrorCode();
    }
    if (errno != EAGAIN) co_return net::ErrorCode(errno, asio::error::get_system_category());
    if (aborted_ || clock_.now() >= end) co_return asio::error::operation_aborted;
    pause.expires_after(backlog_pause);
    turn.rest();
    co_await pause.async_wait(net::use_tuple);
    turn.wake();
  }
}

// Within the time that connecting may take.
net::Awaitable<> Pool::shake_hands(http::CoroutineTurn& turn, http::Link& link, Lent& lent) {
  using enum http::Link::Handshake;
  const http::Link::Handshake outcome = co_await link.handshake(turn);
  if (outcome == done) co_return;
  lent.detail = outcome == failed ? link.tls()->refusal() : std::string_view{};
  if (outcome == cancelled) {
    lent.error = GatewayFault::connect_timeout;
  } else {
    lent.error = lent.detail.empty() ? GatewayFault::tls_failed : GatewayFault::certificate_refused;
  }
}

std::unique_ptr<http::Link> Pool::take_idle() {
  const Instant now = clock_.now();
  while (!idle_.empty()) {
    Idle newest = std::move(idle_.back());
    idle_.pop_back();
    if (now - newest.since < limits_.reuse_within && is_silent(*newest.link)) return std::move(newest.link);
  }
  return nullptr;
}

void Pool::release(std::unique_ptr<http::Link> link) {
  --lent_;
  if (link != nullptr) idle_.push_back({std::move(link), clock_.now()});
  give_turn();
}

// The place of a connection that came free goes to who waits longest.
void Pool::give_turn() {
  for (auto place = waiting_.begin(); place != waiting_.end() && lent_ < limits_.connections_max; ++place) {
    if (!place->resume) continue;  // woken already
    ++lent_;
    wake(place, true);
  }
}

// Posted, not called: the caller is in the middle of something.
void Pool::wake(std::list<Waiting>::iterator waiting, bool granted) {
  waiting->granted = granted;
  asio::post(*executor_, *std::move(waiting->resume));
  waiting->resume.reset();
}

void Pool::sweep(Instant now) {
  while (!idle_.empty() && now - idle_.front().since >= limits_.reuse_within) idle_.pop_front();
  for (const Connecting& one : connecting_)
    if (now - one.since >= limits_.connect_timeout) one.link->cancel();
  for (auto place = waiting_.begin(); place != waiting_.end(); ++place) {
    const bool too_long = now - place->since >= limits_.queue_wait_max;
    if (place->resume && (too_long || place->client->peer_has_left())) wake(place, false);
  }
}

void Pool::abort() {
  aborted_ = true;
  for (const Connecting& one : connecting_) one.link->cancel();
  for (auto place = waiting_.begin(); place != waiting_.end(); ++place)
    if (place->resume) wake(place, false);
}

}  // namespace gputach::relay
