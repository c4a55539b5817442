#include "relay/relay.h"

#include <exception>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "http/carrier.h"
#include "relay/exchange.h"
#include "relay/fetch.h"
#include "relay/model_names.h"
#include "relay/relay_shared.h"

namespace gputach::relay {
namespace {

constexpr std::chrono::milliseconds sweep_period{500};  // how late a limit may be noticed
constexpr std::chrono::milliseconds watch_period{10};   // a client is watched from the second one on
constexpr Duration models_period = std::chrono::seconds(60);

// Tells our own Via from that of another gputach before or behind us.
std::string make_pseudonym() {
  constexpr std::string_view digits = "0123456789abcdefghijkmnpqrstuvwxyz";
  std::random_device random;
  std::string name = "gputach-";
  for (int i = 0; i < 8; ++i) name += digits[random() % digits.size()];
  return name;
}

}  // namespace

class Relay::Impl final : public http::Carrier {
 public:
  Impl(RelaySettings settings, Traffic& traffic, const Clock& clock)
      : takes_(std::move(settings.takes)), shared_(std::move(settings), make_pseudonym(), traffic, clock) {}

  [[nodiscard]] bool takes(const http::Request& request) const override { return takes_(request); }

  net::Awaitable<> carry(Client& client, const http::RequestHead& head) override {
    ask_models();
    {
      // Not in the frame: g++ 12 calls the frame's own allocation mismatched when it is that large.
      const auto exchange = std::make_unique<Exchange>(shared_, client, head);
      arm();
      arm_watch();
      std::exception_ptr failure;
      try {
        co_await exchange->run();
      } catch (...) {  // memory has run out
        failure = std::current_exception();
      }
      if (failure) co_await exchange->abandon();
    }
    if (shared_.exchanges.empty() && when_empty_) std::exchange(when_empty_, nullptr)();
  }

  void abort() override {
    shared_.pool.abort();
    for (Exchange* exchange : shared_.exchanges) exchange->abort();
  }
  void attach(net::Executor executor, http::LoopWatch& watch) override {
    executor_ = executor;
    shared_.pool.attach(executor);
    watch_ = &watch;
    timer_.emplace(executor);
    watch_timer_.emplace(executor);
  }
  void detach() override {
    timer_.reset();
    watch_timer_.reset();
    shared_.pool.close_idle();
  }

  using Receive = std::move_only_function<void(const Fetched&)>;

  // A page of the engine, for `receive` to look at. Who asks while it is on its way gets it as well, so that nobody can
  // make us ask an engine for more than one of each at a time.
  void ask(std::string_view path, Receive receive) {
    auto& [of, question] = *questions_.try_emplace(std::string(path)).first;
    question.receivers.push_back(std::move(receive));
    if (question.receivers.size() > 1) return;
    ++asking_;
    net::asio::co_spawn(*executor_, fetch(shared_, *executor_, *watch_, of, question.page),
                        [this, &question](const std::exception_ptr&) {
                          --asking_;
                          Question answered = std::exchange(question, {});
                          for (Receive& tell : answered.receivers) tell(answered.page);
                        });
    arm();
  }

  void drain(std::function<void()> when_empty) {
    shared_.draining = true;
    if (shared_.exchanges.empty()) return when_empty();
    when_empty_ = std::move(when_empty);
  }

 private:
  struct Question {
    Fetched page;
    std::vector<Receive> receivers;
  };

  // Which names may become labels. Asked only while there is traffic; a page that does not come changes nothing. An
  // engine that wants a key is not asked again: its log would fill with refusals.
  void ask_models() {
    const Instant now = watch_->now();
    if (models_due_ && now < *models_due_) return;
    models_due_ = now + models_period;
    ask("/v1/models", [this](const Fetched& page) {
      if (page.status == 200) shared_.traffic.set_models(model_names(page.body));
      if (page.status == 401 || page.status == 403) models_due_ = Instant::max();
    });
  }

  // Runs only while there is something to watch: an idle proxy sleeps.
  void arm() {
    if (armed_ || (shared_.exchanges.empty() && shared_.pool.resting() && asking_ == 0)) return;
    timer_->expires_after(sweep_period);
    timer_->async_wait([this](net::ErrorCode error) {
      armed_ = false;
      if (error) return;
      const Instant now = shared_.clock.now();
      for (Exchange* exchange : shared_.exchanges) exchange->sweep(now);
      shared_.pool.sweep(now);
      arm();
    });
    armed_ = true;
  }

  // Runs only while there are exchanges whose client is not watched.
  void arm_watch() {
    if (watch_armed_) return;
    watch_timer_->expires_after(watch_period);
    watch_timer_->async_wait([this](net::ErrorCode error) {
      watch_armed_ = false;
      if (error) return;
      const http::WatchedTurn turn(*watch_);
      bool all = true;
      for (Exchange* exchange : shared_.exchanges) all = exchange->watch() && all;
      if (!all) arm_watch();
    });
    watch_armed_ = true;
  }

  std::function<bool(const http::Request&)> takes_;
  RelayShared shared_;
  std::optional<net::Executor> executor_;
  http::LoopWatch* watch_ = nullptr;
  std::optional<net::Timer> timer_;
  std::optional<net::Timer> watch_timer_;
  std::optional<Instant> models_due_;
  std::map<std::string, Question> questions_;  // by path; there are two
  std::size_t asking_ = 0;                     // questions on their way
  std::function<void()> when_empty_;
  bool armed_ = false;
  bool watch_armed_ = false;
};

Relay::Relay(RelaySettings settings, Traffic& traffic, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(settings), traffic, clock)) {}

Relay::~Relay() = default;

http::Carrier& Relay::carrier() {
  return *impl_;
}

void Relay::ask_health(std::move_only_function<void(bool healthy)> answer) {
  impl_->ask("/health", [answer = std::move(answer)](const Fetched& page) mutable { answer(page.status == 200); });
}

void Relay::drain(std::function<void()> when_empty) {
  impl_->drain(std::move(when_empty));
}

}  // namespace gputach::relay
