#include "relay/relay.h"

#include <optional>
#include <random>
#include <utility>

#include "http/carrier.h"
#include "relay/exchange.h"
#include "relay/relay_shared.h"

namespace gputach::relay {
namespace {

constexpr std::chrono::milliseconds sweep_period{500};  // how late a limit may be noticed

// Tells our own Via from that of another gputach before or behind us.
std::string make_pseudonym() {
  constexpr std::string_view digits = "0123456789abcdefghijkmnpqrstuvwxyz";
  std::random_device random;
  std::string name = "gputach-";
  for (int i = 0; i < 8; ++i) name += digits[random() % digits.size()];
  return name;
}

class Relay final : public http::Carrier {
 public:
  Relay(const RelaySettings& settings, const Clock& clock)
      : takes_(settings.takes), shared_(settings.address, settings.limits, make_pseudonym(), clock) {}

  [[nodiscard]] bool takes(const http::Request& request) const override { return takes_(request); }

  net::Awaitable<> carry(Client& client, const http::RequestHead& head) override {
    if (!timer_) timer_.emplace(client.link.socket().get_executor());
    Exchange exchange(shared_, client, head);
    arm();
    co_await exchange.run();
  }

  void abort() override { shared_.pool.abort(); }
  void detach() override {
    timer_.reset();
    shared_.pool.close_idle();
  }

 private:
  // Runs only while there is something to watch: an idle proxy sleeps.
  void arm() {
    if (armed_ || (shared_.exchanges.empty() && shared_.pool.resting())) return;
    armed_ = true;
    timer_->expires_after(sweep_period);
    timer_->async_wait([this](net::ErrorCode error) {
      armed_ = false;
      if (error) return;
      const Instant now = shared_.clock.now();
      for (Exchange* exchange : shared_.exchanges) exchange->sweep(now);
      shared_.pool.sweep(now);
      arm();
    });
  }

  std::function<bool(const http::Request&)> takes_;
  RelayShared shared_;
  std::optional<net::Timer> timer_;
  bool armed_ = false;
};

}  // namespace

std::unique_ptr<http::Carrier> make_relay(const RelaySettings& settings, const Clock& clock) {
  return std::make_unique<Relay>(settings, clock);
}

}  // namespace gputach::relay
