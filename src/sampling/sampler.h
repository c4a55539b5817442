// Purpose: the one thread that asks the sources. It sleeps until a pass is wanted or a source has something to tend.
// Units: Duration.
// Owns: the sources and the thread. `clock` and `counters` must outlive it.
// Threads: start() and stop() by the owner; request() from any; sources and `emit` are called on the sampler's thread.
// Fails: a source that fails is logged; when nothing was read the sample carries that failure.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/counters.h"
#include "base/fd.h"
#include "sources/source.h"

namespace gputach {

class Sampler {
 public:
  using Emit = std::function<void(Sample)>;

  Sampler(std::vector<std::unique_ptr<Source>> sources, Duration pass_timeout, const Clock& clock, Counters& counters,
          Emit emit);
  ~Sampler();

  void start();
  // Asks for one pass; requests made while one is going on lead to one more. Never blocks.
  void request();
  // Ends a pass that is going on, which emits what it has, and joins the thread.
  void stop();

 private:
  void run();
  void pass();
  void collect(Sample& sample);
  void turn(bool& running);
  void count(const Sample& sample);

  std::vector<std::unique_ptr<Source>> sources_;
  const Duration pass_timeout_;
  const Clock& clock_;
  Counters& counters_;
  const Emit emit_;
  const Fd wanted_;   // eventfd: a pass is wanted
  const Fd stopped_;  // eventfd: readable for good once the end has come
  std::thread thread_;
};

}  // namespace gputach
