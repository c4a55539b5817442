// Purpose: private to those who move bytes: who carries a request elsewhere instead of having it answered here.
// Owns: a Carrier nothing of the connection; Client lives in the session while carry() runs.
// Threads: the io thread.
// Fails: carry() never throws on purpose; whatever happens it leaves an outcome.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "http/input_buffer.h"
#include "http/link.h"
#include "http/loop_watch.h"
#include "http/request_head.h"
#include "http/server.h"

namespace gputach::http {

class Carrier {
 public:
  enum class After : unsigned char {
    keep_alive,  // answered; another request may follow on the connection
    end,         // answered: the connection closes
    cut,         // the answer could not be completed, which its framing shows: the connection closes at once
    reset,       // the same where an end of the connection would look like the end of the answer
    answer,      // nothing was sent yet: `content` is the answer
  };

  // The client's side of one exchange, and what became of it.
  struct Client {
    Link& link;
    InputBuffer& input;  // begins with the head
    LoopWatch& watch;
    const Limits& limits;   // they may change meanwhile, as may `stopping`
    std::string_view peer;  // address and port
    std::string_view id;    // for X-Request-Id; empty when requests have none
    const bool& stopping;
    bool keep_alive;  // another request may follow, as far as the connection is concerned

    After after = After::reset;
    bool close = true;     // with After::answer: nothing can follow it, since not all of the request has been read
    bool stalled = false;  // it took no byte for limits.write_timeout
    std::shared_ptr<const Content> content{};
    int status = 0;                // 0: none was sent
    std::uint64_t body_bytes = 0;  // of the answer
  };

  virtual ~Carrier() = default;

  // Before the loop runs: what it may use until detach().
  virtual void attach(net::Executor executor, LoopWatch& watch) = 0;
  // Decided on the head alone, before a body is looked at.
  [[nodiscard]] virtual bool takes(const Request& request) const = 0;
  // `head` is scratch of the io thread: gone at the first wait.
  virtual net::Awaitable<> carry(Client& client, const RequestHead& head) = 0;
  // Time is up: whoever waits for something else than its client is woken and fails.
  virtual void abort() = 0;
  // The loop has ended: what belongs to it (sockets, timers) has to go before it does.
  virtual void detach() = 0;
};

}  // namespace gputach::http
