#include "publish/hub.h"

#include <utility>

namespace gputach {

Hub::Hub(Settings settings, const Clock& clock, AskForPass ask, After after)
    : settings_(std::move(settings)),
      clock_(clock),
      ask_(std::move(ask)),
      after_(std::move(after)),
      flight_(settings_.flight) {}

void Hub::fresh(Receive receive) {
  switch (flight_.request(clock_.now())) {
    case SingleFlight::Verdict::hit: receive(current_, CacheState::hit); return;
    case SingleFlight::Verdict::refused: receive(nullptr, CacheState::miss); return;
    case SingleFlight::Verdict::started:
      waiting_.push_back(std::move(receive));
      ask_();
      break;
    case SingleFlight::Verdict::joined: waiting_.push_back(std::move(receive)); break;
  }
  if (waiting_.size() == 1) watch();
}

void Hub::publish(SnapshotPtr snapshot) {
  const Sample& sample = snapshot->sample();
  flight_.finished(clock_.now(), sample.collected, snapshot->stats(MissingFields::in_header).failed);
  current_ = std::move(snapshot);
  deliver(CacheState::miss);
}

void Hub::deliver(CacheState state) {
  // A receiver may ask again at once; it then waits for the next pass.
  for (Receive& receive : std::exchange(waiting_, {})) receive(current_, state);
}

void Hub::watch() {
  if (watching_) return;
  watching_ = true;
  after_(flight_.due() - clock_.now(), [this] {
    watching_ = false;
    const Instant now = clock_.now();
    if (flight_.overdue(now)) {
      Sample late;
      late.collected = now;
      late.collected_at = clock_.wall();
      late.failure = settings_.overdue;
      current_ = std::make_shared<const Snapshot>(std::move(late));
      deliver(CacheState::miss);
    } else if (flight_.waiters() > 0) {
      watch();  // for others than those it was set for
    }
  });
}

}  // namespace gputach
