#include "simulate/worker_process.h"

#include <algorithm>
#include <utility>

namespace gputach::simulate {
namespace {

using namespace std::chrono_literals;

constexpr Duration thread_start_max = 500us;
constexpr MetricId stamp = id("power_watts");  // which pass a row's figures come from

}  // namespace

WorkerProcess::WorkerProcess(Timeline& timeline, Hardware& hardware, Send send)
    : timeline_(timeline), hardware_(hardware), send_(std::move(send)), calls_(hardware.devices()) {}

// A process that is stopped does everything later.
void WorkerProcess::later(Duration delay, void (WorkerProcess::*work)(std::uint64_t), std::uint64_t argument) {
  timeline_.after(delay, [self = shared_from_this(), work, argument] {
    if (self->ended_) return;
    if (self->timeline_.now < self->stopped_until_)
      return self->later(self->stopped_until_ - self->timeline_.now, work, argument);
    ((*self).*work)(argument);
  });
}

void WorkerProcess::open() {
  crew_.emplace(hardware_.devices(), timeline_.now, limits::worker_handle_late, limits::worker_handle_late_min);
  readers_ = 1;
  read_on(crew_->leader());
}

// What a reader thread does until it is in a call, waits for an ask, or ends.
void WorkerProcess::read_on(Crew::Reader reader) {
  if (reader != crew_->leader()) {
    --readers_;
    return;
  }
  const auto device = crew_->take(timeline_.now);
  follow_alarm();
  if (!device) {
    leader_waits_ = true;
    look_at_answer();
    return receive();
  }
  Call& call = calls_[*device];
  timeline_.check(!call.out, "a device is in one call at a time");
  if (std::exchange(first_of_pass_, false) && !unreached_.empty())
    timeline_.check(unreached_.contains(*device), "a device that was not reached is the first of the next pass");
  call = {.out = true, .pass = pass_, .began = timeline_.now, .returned = {}, .read = false};
  const bool first = crew_->starting();
  const Duration time = first ? hardware_.first_handle(*device) : hardware_.call(*device);
  timeline_.note("GPU " + std::to_string(*device) + " for " + std::to_string(time / 1ms) + " ms");
  timeline_.after(time, [self = shared_from_this(), reader, device = *device, first] {
    if (!self->ended_) self->call_returned(reader, device, first);
  });
}

void WorkerProcess::call_returned(Crew::Reader reader, unsigned device, bool first) {
  if (timeline_.now < stopped_until_) {
    timeline_.after(stopped_until_ - timeline_.now, [self = shared_from_this(), reader, device, first] {
      if (!self->ended_) self->call_returned(reader, device, first);
    });
    return;
  }
  Call& call = calls_[device];
  call.out = false;
  call.returned = timeline_.now;
  call.read = call.pass == pass_;
  Entity entity(Scope::gpu, device);
  entity.condition = hardware_.lost(device) ? Status::lost : Status::ok;
  entity[stamp] = Reading::of(static_cast<double>(call.pass));
  const bool leads = crew_->deliver(reader, device, !first || !hardware_.hidden(device), std::move(entity));
  timeline_.check(leads == (reader == crew_->leader()), "a reader that lost the lead is told so");
  if (first) say({.kind = Message::Kind::progress});
  if (!leads) look_at_answer();
  read_on(reader);
}

void WorkerProcess::ask(std::uint64_t ask, Duration budget, Duration overrun) {
  inbox_.push_back({ask, budget, overrun});
  later(0ms, &WorkerProcess::wake);
}

void WorkerProcess::wake(std::uint64_t) {
  if (leader_waits_) receive();
}

void WorkerProcess::receive() {
  if (inbox_.empty()) return;
  asked_ = inbox_.front();
  inbox_.pop_front();
  leader_waits_ = false;
  answered_ = false;
  first_of_pass_ = true;
  ++pass_;
  pass_began_ = timeline_.now;
  crew_->begin(asked_.id, timeline_.now, asked_.budget, asked_.overrun);
  // A timer and the start of a thread may lie between the end of the budget and the answer.
  later(asked_.budget + thread_start_max, &WorkerProcess::budget_is_over, pass_);
  read_on(crew_->leader());
}

void WorkerProcess::follow_alarm() {
  if (std::exchange(alarm_, crew_->alarm_at()) == crew_->alarm_at() || alarm_ == Instant::max()) return;
  later(std::max(alarm_ - timeline_.now, Duration(0)), &WorkerProcess::alarm_rings, ++alarm_number_);
}

void WorkerProcess::alarm_rings(std::uint64_t number) {
  if (number != alarm_number_ || alarm_ == Instant::max()) return;
  const auto late = crew_->alarmed(timeline_.now);
  follow_alarm();
  if (!late) return;
  timeline_.note("GPU " + std::to_string(*late) + " is late");
  timeline_.check(calls_[*late].out, "only a call that is out is late");
  ++readers_;
  timeline_.check(readers_ <= hardware_.devices() + 1, "one reader for each device and one more");
  later(timeline_.between(0us, thread_start_max), &WorkerProcess::read_on, crew_->leader());
}

void WorkerProcess::look_at_answer() {
  const Crew::Answer answer = crew_->answer();
  if (answer == Crew::Answer::none) return;
  if (answer == Crew::Answer::no_devices) {
    say({.kind = Message::Kind::refused});
    ended_ = true;
    return;
  }
  const auto rows = crew_->take_answer(timeline_.now);
  if (answer == Crew::Answer::ready) return say({.kind = Message::Kind::ready});
  timeline_.check(!std::exchange(answered_, true), "an ask is answered once");
  timeline_.check(crew_->ask_id() == asked_.id, "the answer belongs to the ask");
  check_rows(rows);
  const auto good = [](const Entity& row) { return row.condition == Status::ok; };
  say({.kind = Message::Kind::sample,
       .ask_id = crew_->ask_id(),
       .usable = std::ranges::any_of(rows, good),
       .complete = std::ranges::all_of(rows, good),
       .restart_wanted = !timeline_.healed() && timeline_.chance(2),
       .began = pass_began_});
}

void WorkerProcess::check_rows(const std::vector<Entity>& rows) {
  timeline_.check(std::ranges::is_sorted(rows, std::less_equal<>(), &Entity::index) || rows.size() == 1,
                  "one row for each device, in their order");
  unreached_.clear();
  for (const Entity& row : rows) {
    check_row(row);
    const Call& call = calls_[row.index];
    if (!call.out && call.pass != pass_ && row.fault == "not reached in time") unreached_.insert(row.index);
  }
}

void WorkerProcess::check_row(const Entity& row) const {
  const Call& call = calls_[row.index];
  if (call.read && call.pass == pass_) {
    timeline_.check(row.condition != Status::timed_out, "a device that was read in this pass is shown");
    timeline_.check(row[stamp] == Reading::of(static_cast<double>(pass_)), "its figures are those of this pass");
    return;
  }
  timeline_.check(row.condition == Status::timed_out, "what was not read in this pass is not shown");
  const bool over = timeline_.now >= pass_began_ + asked_.budget;
  const auto patience_min = (asked_.budget - 2 * asked_.overrun) / static_cast<int>(calls_.size());
  const bool late = call.pass == pass_ ? timeline_.now - call.began >= std::min(patience_min, asked_.overrun)
                                       : call.began < pass_began_ && row.fault != "not reached in time";
  timeline_.check(late || over, "a device without figures is late, or the time is over");
}

void WorkerProcess::budget_is_over(std::uint64_t pass) {
  if (pass != pass_ || answered_ || was_stopped_since(pass_began_)) return;
  const bool any = std::ranges::any_of(calls_, [&](const Call& c) { return c.read && c.pass == pass_; });
  timeline_.check(!any, "what was read leaves when the budget ends");
}

// The stream keeps the order.
void WorkerProcess::say(const Message& message) {
  last_said_ = std::max(last_said_, timeline_.now + timeline_.between(10us, 1ms));
  timeline_.after(last_said_ - timeline_.now, [self = shared_from_this(), message] { self->send_(message); });
}

}  // namespace gputach::simulate
