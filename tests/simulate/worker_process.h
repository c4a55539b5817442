// Purpose: the inside of one simulated worker process: the Crew under test, its reader threads as actors that are in
//          calls of the simulated hardware, its timer, and a stream to the server.
// Units: Instant and Duration.
// Owns: the crew. Timeline and hardware must outlive it; events outlive it only through the shared pointer.
// Threads: one.
// Fails: what breaks an invariant is told to the timeline.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "simulate/hardware.h"
#include "sources/worker/crew.h"

namespace gputach::simulate {

// What arrives at the server.
struct Message {
  enum class Kind : unsigned char { progress, ready, refused, sample };
  Kind kind{};
  std::uint64_t ask_id = 0;
  bool usable = false;    // one device at least has figures
  bool complete = false;  // all of them have
  bool restart_wanted = false;
  Instant began{};  // when the reading of its figures did
};

class WorkerProcess : public std::enable_shared_from_this<WorkerProcess> {
 public:
  using Send = std::function<void(const Message&)>;

  WorkerProcess(Timeline& timeline, Hardware& hardware, Send send);

  void open();
  // An ask arrived in its socket.
  void ask(std::uint64_t id, Duration budget, Duration overrun);
  void stop_until(Instant end) { stopped_until_ = end; }
  // Killed or ended: nothing happens in it any more.
  void end() { ended_ = true; }
  [[nodiscard]] bool ended() const { return ended_; }
  // It was in a call for this device at that time: a first handle may take long without any fault.
  [[nodiscard]] bool in_call_at(unsigned device, Instant time) const {
    const Call& call = calls_[device];
    return call.began <= time && (call.out || call.returned >= time);
  }
  [[nodiscard]] bool was_stopped_since(Instant since) const { return stopped_until_ >= since; }

 private:
  struct Call {
    bool out = false;
    std::uint64_t pass = 0;  // in which it began, or began last
    Instant began{}, returned{};
    bool read = false;  // it returned in the pass in which it began
  };
  struct Asked {
    std::uint64_t id;
    Duration budget, overrun;
  };

  void later(Duration delay, void (WorkerProcess::*work)(std::uint64_t), std::uint64_t argument = 0);
  void read_on(Crew::Reader reader);
  void call_returned(Crew::Reader reader, unsigned device, bool first);
  void wake(std::uint64_t);
  void receive();
  void follow_alarm();
  void alarm_rings(std::uint64_t number);
  void look_at_answer();
  void check_rows(const std::vector<Entity>& rows);
  void check_row(const Entity& row) const;
  void budget_is_over(std::uint64_t pass);
  void say(const Message& message);

  Timeline& timeline_;
  Hardware& hardware_;
  Send send_;
  bool ended_ = false;
  Instant stopped_until_{};
  Instant last_said_{};

  std::optional<Crew> crew_;
  Instant alarm_ = Instant::max();
  std::uint64_t alarm_number_ = 0;
  unsigned readers_ = 0;
  std::deque<Asked> inbox_;
  bool leader_waits_ = false;

  // Kept apart from the crew, to judge it.
  std::vector<Call> calls_;
  std::uint64_t pass_ = 0;
  Instant pass_began_{};
  Asked asked_{};
  bool answered_ = false;
  bool first_of_pass_ = false;
  std::set<unsigned> unreached_;  // in the pass before
};

}  // namespace gputach::simulate
