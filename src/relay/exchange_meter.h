// Purpose: measures one exchange while its bytes go by, and tells Traffic.
// Units: bytes of bodies without their framing; Instants of the server's clock.
// Owns: its place in both bodies: about 1 KiB; the names in a list of models. Traffic must outlive it.
// Threads: the io thread.
// Fails: never. Destroyed without finish() it leaves no trace but what it told before.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"
#include "relay/gateway_error.h"
#include "relay/model_names.h"
#include "relay/route_class.h"
#include "relay/traffic.h"
#include "relay/usage_peek.h"

namespace gputach::relay {

// As the fields of its message say.
[[nodiscard]] BodyForm body_form(std::span<const http::Field> fields);

enum class Outcome : unsigned char { complete, client_abort, engine_abort };

class ExchangeMeter {
 public:
  // `now`: the request's head is there. `request_form` by body_form() of its fields.
  ExchangeMeter(Traffic& traffic, RouteClass route, BodyForm request_form, Instant now);
  ~ExchangeMeter();
  ExchangeMeter(const ExchangeMeter&) = delete;
  ExchangeMeter& operator=(const ExchangeMeter&) = delete;

  void request_body(std::string_view bytes);
  // The head of the engine's final answer is there; not for 1xx other than 101.
  void answer(int status, BodyForm form, Instant now);
  void response_body(std::string_view bytes, Instant now);
  // The proxy failed the request; `status` is 0 when the client got none.
  void gateway_error(GatewayFault fault, int status);
  // Once, at the end; afterwards nothing is counted.
  void finish(Outcome outcome, Instant now);

  [[nodiscard]] bool is_finished() const { return finished_; }
  // What the client's body asked for, while it is known; for logs.
  [[nodiscard]] std::string_view requested_model() const { return request_.model(); }

 private:
  [[nodiscard]] Traffic::Model model();

  Traffic& traffic_;
  RequestPeek request_;
  std::optional<ResponsePeek> response_;
  std::unique_ptr<ModelNames> reported_;  // while the engine's list of models goes by
  Traffic::Model model_;
  Instant began_;
  std::optional<Instant> last_content_;
  std::uint64_t request_bytes_ = 0;
  std::uint64_t response_bytes_ = 0;
  int status_ = 0;
  RouteClass route_;
  bool finished_ = false;
};

}  // namespace gputach::relay
