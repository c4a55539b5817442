#include "http/server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <list>
#include <new>
#include <utility>

#include "base/log.h"
#include "http/carrier.h"
#include "http/listen_socket.h"
#include "http/net.h"
#include "http/session.h"

namespace gputach::http {
namespace {

namespace asio = net::asio;

constexpr int accepted_before_yield = 64;
constexpr std::size_t refusals_max = 64;  // connections over the limit that are told so at the same time
constexpr std::chrono::milliseconds accept_backoff{100};

enum class Accepting : unsigned char { drained, more, exhausted };

// A descriptor kept free: with it, a client that finds us without descriptors is still told so.
class ReserveDescriptor {
 public:
  ReserveDescriptor() { open(); }
  ~ReserveDescriptor() { close(); }
  ReserveDescriptor(const ReserveDescriptor&) = delete;
  ReserveDescriptor& operator=(const ReserveDescriptor&) = delete;

  void open() { descriptor_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_ = -1;
};

class AsioServer final : public Server {
 public:
  AsioServer(Settings settings, Handler handler, const Clock& clock)
      : shared_(std::move(settings), std::move(handler), clock) {}
  AsioServer(const AsioServer&) = delete;
  AsioServer& operator=(const AsioServer&) = delete;
  ~AsioServer() override {
    ended_ = true;
    remove_files();
  }

  Result<void> listen();
  const std::vector<ListenOn>& addresses() const override { return addresses_; }
  void run() override;
  void post(std::move_only_function<void()> work) override;
  void after(std::chrono::milliseconds delay, std::move_only_function<void()> work) override;
  void set_limits(const Limits& limits) override { shared_.limits = limits; }
  void stop(std::chrono::milliseconds grace) override;
  const Counters& counters() const override { return shared_.counters; }

 private:
  struct Listener {
    net::Acceptor acceptor;
    net::Timer backoff;
    net::Protocol protocol;
    ListenKind kind;
    Entrance entrance;
    std::string address;
    FileIdentity file;
    bool waiting = false;  // for clients, or for the end of the backoff
  };
  class AtEnd;

  void keep_going();
  void wait_for_clients(Listener& listener);
  void accept_from(Listener& listener);
  Accepting accept_some(Listener& listener);
  void start_session(const Listener& listener, int descriptor);
  Result<void> add_listener(ListenSocket& socket, Entrance entrance);
  Result<void> load_certificate();
  void end_session(std::list<Session>::iterator session, const std::exception_ptr& failure);
  void shed(Listener& listener);
  void arm_sweep();
  void remove_files();
  void begin_stop(std::chrono::milliseconds grace);

  SessionShared shared_;
  bool ended_ = false;
  asio::io_context context_{1};  // destroyed after what refers to it, with the frames of unfinished coroutines
  asio::executor_work_guard<net::Executor> keep_running_{context_.get_executor()};
  std::list<Session> sessions_;
  std::list<Listener> listeners_;
  std::vector<ListenOn> addresses_;
  std::unique_ptr<TlsCertificate> certificate_;  // null without a tls: address
  net::Timer sweep_timer_{context_};
  net::Timer grace_timer_{context_};
  bool sweep_armed_ = false;
  ReserveDescriptor reserve_;
};

Result<void> AsioServer::listen() {
  for (const ListenOn& wanted : shared_.settings.listen) {
    auto sockets = open_listen_sockets(wanted.address);
    if (!sockets) return std::unexpected(std::move(sockets.error()));
    for (ListenSocket& socket : *sockets)
      if (auto added = add_listener(socket, wanted.entrance); !added) return added;
  }
  if (listeners_.empty()) return fail(ErrorCode::invalid, "there is no address to listen on");
  return load_certificate();
}

Result<void> AsioServer::add_listener(ListenSocket& socket, Entrance entrance) {
  const net::Protocol protocol(socket.family(), socket.family() == AF_UNIX ? 0 : IPPROTO_TCP);
  Listener& listener = listeners_.emplace_back(net::Acceptor(context_), net::Timer(context_), protocol, socket.kind(),
                                               entrance, socket.address(), socket.file());
  net::ErrorCode error;
  const int descriptor = socket.release();
  listener.acceptor.assign(protocol, descriptor, error);
  if (error) {
    ::close(descriptor);
    return fail(ErrorCode::io, "cannot listen on " + listener.address + ": " + error.message());
  }
  addresses_.push_back({listener.address, entrance});
  return {};
}

Result<void> AsioServer::load_certificate() {
  if (std::ranges::find(listeners_, ListenKind::tls, &Listener::kind) == listeners_.end()) return {};
  const TlsFiles& files = shared_.settings.tls;
  if (files.certificate.empty() || files.key.empty())
    return fail(ErrorCode::invalid, "a tls: address needs a certificate and its key");
  auto loaded = TlsCertificate::load(files);
  if (!loaded) return std::unexpected(std::move(loaded.error()));
  certificate_ = *std::move(loaded);
  return {};
}

void AsioServer::run() {
  if (shared_.settings.carrier != nullptr) shared_.settings.carrier->attach(context_.get_executor(), shared_.watch);
  for (bool running = true; running;) {
    try {
      keep_going();
      context_.run();
      running = false;
    } catch (
        const std::exception& error) {  // of posted work, or of ours when memory runs out: sessions catch their own
      bump(shared_.counters.work_failures);
      log_line(LogLevel::error, "work_failed", {{"what", error.what()}});
    }
  }
  if (shared_.settings.carrier != nullptr) shared_.settings.carrier->detach();
}

// Starts what an exception has ended. Without memory even for that, connections are served and it is tried again.
void AsioServer::keep_going() {
  for (Listener& listener : listeners_) {
    while (!listener.waiting && !shared_.stopping) {
      try {
        wait_for_clients(listener);
      } catch (const std::bad_alloc&) {
        context_.run_for(accept_backoff);
      }
    }
  }
  arm_sweep();
}

void AsioServer::post(std::move_only_function<void()> work) {
  asio::post(context_, [this, work = std::move(work)]() mutable {
    const WatchedTurn turn(shared_.watch);
    work();
  });
}

void AsioServer::after(std::chrono::milliseconds delay, std::move_only_function<void()> work) {
  auto timer = std::make_unique<net::Timer>(context_, delay);
  net::Timer& waiting = *timer;
  waiting.async_wait([this, timer = std::move(timer), work = std::move(work)](net::ErrorCode error) mutable {
    const WatchedTurn turn(shared_.watch);
    if (!error) work();
  });
}

void AsioServer::stop(std::chrono::milliseconds grace) {
  post([this, grace] { begin_stop(grace); });
}

// No coroutine: when starting an operation throws, Asio 1.81 destroys the coroutine and completes nothing.
void AsioServer::wait_for_clients(Listener& listener) {
  listener.acceptor.async_wait(net::Acceptor::wait_read, [this, &listener](net::ErrorCode error) {
    listener.waiting = false;
    if (!error && !shared_.stopping) accept_from(listener);
  });
  listener.waiting = true;
}

// What it throws run() catches, and begins to wait again.
void AsioServer::accept_from(Listener& listener) {
  Accepting accepting = Accepting::more;
  try {
    accepting = accept_some(listener);
  } catch (const std::bad_alloc&) {  // costs one connection, not the listener
    accepting = Accepting::exhausted;
  }
  if (accepting != Accepting::exhausted) return wait_for_clients(listener);
  bump(shared_.counters.accept_failures);
  shed(listener);
  listener.backoff.expires_after(accept_backoff);
  listener.backoff.async_wait([this, &listener](net::ErrorCode error) {
    listener.waiting = false;
    if (!error && !shared_.stopping) wait_for_clients(listener);
  });
  listener.waiting = true;
}

// Ends a session when its coroutine has, also when Asio destroys the coroutine without completing it.
class AsioServer::AtEnd {
 public:
  AtEnd(AsioServer* server, std::list<Session>::iterator session) : server_(server), session_(session) {}
  AtEnd(AtEnd&& other) noexcept : server_(std::exchange(other.server_, nullptr)), session_(other.session_) {}
  AtEnd& operator=(AtEnd&&) = delete;
  ~AtEnd() {
    if (server_ != nullptr && !server_->ended_)
      server_->end_session(session_, std::make_exception_ptr(std::bad_alloc()));
  }

  void operator()(const std::exception_ptr& failure) {
    std::exchange(server_, nullptr)->end_session(session_, failure);
  }

 private:
  AsioServer* server_;
  std::list<Session>::iterator session_;
};

Accepting AsioServer::accept_some(Listener& listener) {
  const WatchedTurn turn(shared_.watch);
  for (int i = 0; i < accepted_before_yield; ++i) {
    const int descriptor = ::accept4(listener.acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      start_session(listener, descriptor);
      continue;
    }
    switch (errno) {
      case EAGAIN: return Accepting::drained;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM: return Accepting::exhausted;
      default: break;  // this one connection failed before it was accepted (man 2 accept)
    }
  }
  return Accepting::more;
}

void AsioServer::start_session(const Listener& listener, int descriptor) {
  net::Socket socket(context_);
  net::ErrorCode error;
  if (!socket.assign(listener.protocol, descriptor, error)) socket.non_blocking(true, error);
  if (error) {
    bump(shared_.counters.accept_failures);
    if (!socket.is_open()) ::close(descriptor);
    return;
  }
  bump(shared_.counters.accepted);
  const bool over = sessions_.size() >= shared_.limits.connections_max;
  if (over) bump(shared_.counters.refused);
  if (sessions_.size() >= shared_.limits.connections_max + refusals_max) return;
  Session::Arrival arrival{std::move(socket), nullptr, listener.entrance};
  if (listener.kind == ListenKind::tls)
    arrival.tls = certificate_->channel(descriptor, shared_.watch.now(), shared_.counters);
  const auto session = sessions_.emplace(sessions_.end(), shared_, std::move(arrival));
  bump(shared_.counters.active);
  AtEnd at_end(this, session);
  asio::co_spawn(context_, over ? session->refuse() : session->serve(), std::move(at_end));
  arm_sweep();
}

void AsioServer::end_session(std::list<Session>::iterator session, const std::exception_ptr& failure) {
  if (failure != nullptr) {
    bump(shared_.counters.session_failures);
    log_line(LogLevel::error, "session_failed");
  }
  sessions_.erase(session);
  shared_.out.clear();  // of a session that ended in the middle of an answer
  shared_.counters.active.fetch_sub(1, std::memory_order_relaxed);
  if (shared_.stopping && sessions_.empty()) context_.stop();
}

// Out of descriptors: accept with the reserved one, say 503, close. Without it clients would hang in the backlog.
void AsioServer::shed(Listener& listener) {
  const Content content = error_content(503, "too many connections");
  std::string bytes;
  append_response_head(bytes, content, "Retry-After: 1\r\n", shared_.date.line(shared_.clock.now(), shared_.clock),
                       AfterResponse::close);
  bytes += content.body;
  for (int i = 0; i < accepted_before_yield; ++i) {
    reserve_.close();
    const int descriptor = ::accept4(listener.acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      bump(shared_.counters.refused);
      if (listener.kind != ListenKind::tls && ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
        char unread[2048];
        ::shutdown(descriptor, SHUT_WR);
        while (::recv(descriptor, unread, sizeof unread, 0) == sizeof unread) continue;
      }
      ::close(descriptor);
    }
    reserve_.open();
    if (descriptor < 0) return;
  }
}

// Runs only while there are connections: an idle server sleeps.
void AsioServer::arm_sweep() {
  if (sweep_armed_ || sessions_.empty()) return;
  sweep_timer_.expires_after(shared_.limits.sweep_period);
  sweep_timer_.async_wait([this](net::ErrorCode error) {
    sweep_armed_ = false;
    if (error) return;
    const WatchedTurn turn(shared_.watch);
    for (Session& session : sessions_) session.sweep(shared_.watch.now());
    arm_sweep();
  });
  sweep_armed_ = true;  // not before: what throws has armed nothing
}

void AsioServer::remove_files() {
  for (Listener& listener : listeners_) remove_listen_file(listener.address, listener.file);
}

void AsioServer::begin_stop(std::chrono::milliseconds grace) {
  if (std::exchange(shared_.stopping, true)) return;
  remove_files();  // while still listening: who comes after us finds no file of a dead server
  for (Listener& listener : listeners_) {
    net::ErrorCode ignored;
    listener.acceptor.close(ignored);
    listener.backoff.cancel();
  }
  if (sessions_.empty()) return context_.stop();
  for (Session& session : sessions_) session.stop();
  grace_timer_.expires_after(grace);
  grace_timer_.async_wait([this](net::ErrorCode error) {
    if (error) return;
    for (Session& session : sessions_) session.abort();
    if (shared_.settings.carrier != nullptr) shared_.settings.carrier->abort();
  });
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(Settings settings, Handler handler, const Clock& clock) {
  auto server = std::make_unique<AsioServer>(std::move(settings), std::move(handler), clock);
  if (auto listening = server->listen(); !listening) return std::unexpected(std::move(listening.error()));
  return server;
}

}  // namespace gputach::http
