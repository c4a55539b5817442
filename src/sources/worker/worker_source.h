// Purpose: the server's view of the driver: a Source that asks the worker and blocks no longer than it was told.
//          Thin I/O around Supervisor: descriptors in, events; actions out, bytes and signals.
// Owns: the spawner's control socket, the worker's stream.
// Threads: the sampler's.
// Fails: read() with the errors of Supervisor; the text is what a client sees.
#pragma once

#include <memory>

#include "base/counters.h"
#include "sources/source.h"
#include "sources/worker/frame.h"
#include "sources/worker/spawner.h"
#include "sources/worker/supervisor.h"

namespace gputach {

class WorkerSource final : public Source {
 public:
  // `clock` and `counters` must outlive it; null where nobody asks how often workers are replaced.
  WorkerSource(Spawner spawner, Supervisor::Settings settings, const Clock& clock, Counters* counters = nullptr);
  ~WorkerSource() override;

  [[nodiscard]] std::string_view name() const override { return "nvml"; }
  [[nodiscard]] Result<void> read(Sample& draft, Instant deadline, int interrupt) override;
  // For one-shot commands, which have nobody to answer meanwhile: returns when the worker can be asked, or with the
  // reason why it cannot; timed_out when it may still come.
  [[nodiscard]] Result<void> wait_until_ready(Instant deadline, int interrupt);
  [[nodiscard]] Upkeep upkeep() const override;
  void tend() override;

 private:
  // False when it was the interrupt that became readable.
  [[nodiscard]] bool wait_for_news(Instant deadline, int interrupt);
  void dispatch(const Supervisor::Event& event);
  void perform(const Supervisor::Action& action);
  void act(const Supervisor::Spawn&);
  void act(const Supervisor::SendAsk& action);
  void act(const Supervisor::Kill& action);
  void act(const Supervisor::Finish& action);
  void act(const Supervisor::ReplaceSpawner&);
  void receive_from_spawner();
  void receive_from_worker();
  void take(WorkerFrame frame);
  void count(Counters::Count Counters::* counter) const;

  const Clock& clock_;
  Counters* const counters_;
  Spawner spawner_;
  Supervisor supervisor_;
  bool spawner_gone_ = false;
  Fd worker_;
  pid_t worker_pid_ = -1;
  FrameBuffer frames_;
  Duration timeout_;

  // The read that is going on.
  std::optional<WorkerFrame> answer_;
  std::optional<Supervisor::Finish> finished_;
  Instant asked_{};  // when the worker was told to begin
  WallTime asked_at_{};
};

}  // namespace gputach
