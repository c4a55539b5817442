// What follows from every code of every call, pass after pass: the reaction that the code asks for, and nothing more.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sources/nvml/nvml_source.h"
#include "sources/nvml/readers_fixture.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;
using nvml::FakeDriver;
using nvml::Return;

// Written down apart from the table under test.
enum class Expect : unsigned char {
  absent,     // never asked again with this handle
  forbidden,  // as absent, but looked at once a minute
  skipped,    // asked again in each pass
  down,       // the GPU is left alone, then fetched anew
  restart,    // a fresh process is wanted
};

Expect expectation(int code) {
  switch (code) {
    case 3:
    case 12:
    case 13:
    case 22:
    case 24:
    case 25:
    case 26:
    case 30: return Expect::absent;
    case 4: return Expect::forbidden;
    case 8:
    case 11:
    case 15:
    case 16:
    case 17:
    case 28: return Expect::down;
    case 1:
    case 9:
    case 18: return Expect::restart;
    default: return Expect::skipped;
  }
}

std::vector<int> codes() {
  std::vector<int> all = {999, 1234};
  for (int code = 1; code <= 30; ++code) all.push_back(code);
  return all;
}

// Two GPUs, the first of which answers one call with one code, after a pass in which all was well.
class Case {
 public:
  Case(const nvml::CallCase& call, int code) : call_(call), code_(code) {
    if (call.preferred != nullptr) {
      for (const auto& each : driver_.gpus) each->always(call.preferred, Return::not_supported);
    }
    EXPECT_EQ(reader_.open(), 2u);
    for (unsigned slot = 0; slot < 2; ++slot) EXPECT_TRUE(reader_.prepare_device(slot, entities_[slot]));
    read();
    EXPECT_EQ(entities_[0].condition, Status::ok);
    gpu().always(call.symbol, Return{code});
  }

  void check() {
    read();
    const Expect expected = expectation(code_);
    EXPECT_EQ(reader_.needs_restart(), expected == Expect::restart);
    switch (expected) {
      case Expect::absent: return check_absent();
      case Expect::forbidden: return check_forbidden();
      case Expect::skipped: return check_skipped();
      case Expect::down:
      case Expect::restart: return check_down(expected);
    }
  }

 private:
  [[nodiscard]] nvml::FakeGpu& gpu() { return *driver_.gpus[0]; }

  void read() {
    gpu().asked.clear();
    for (unsigned slot = 0; slot < 2; ++slot) reader_.read_device(slot, entities_[slot]);
    EXPECT_EQ(entities_[1].condition, Status::ok) << "the other GPU is none of its business";
  }
  void read_after(Duration pause) {
    clock_.advance(pause);
    read();
  }

  void check_absent() {
    for (int minute = 0; minute < 5; ++minute) {
      read_after(1min);
      EXPECT_EQ(gpu().asked[call_.symbol], 0u);
      EXPECT_EQ(entities_[0].condition, Status::ok);
    }
    EXPECT_EQ(driver_.handles_asked[0], 1u);
  }
  void check_forbidden() {
    for (int second = 1; second < 60; ++second) {
      read_after(1s);
      EXPECT_EQ(gpu().asked[call_.symbol], 0u);
    }
    read_after(1s);
    EXPECT_EQ(gpu().asked[call_.symbol], 1u) << "once a minute";
    gpu().scripts.erase(call_.symbol);
    for (int second = 0; second < 60; ++second) read_after(1s);
    for (const MetricId metric : call_.metrics) EXPECT_TRUE(entities_[0][metric].ok()) << "given at last";
    EXPECT_EQ(driver_.handles_asked[0], 1u);
  }
  void check_skipped() {
    for (int pass = 0; pass < 5; ++pass) {
      EXPECT_EQ(gpu().asked[call_.symbol], 2u) << "once more in the same pass";
      EXPECT_NE(entities_[0].condition, Status::ok);
      read_after(1s);
    }
    gpu().scripts.erase(call_.symbol);
    read();
    EXPECT_EQ(entities_[0].condition, Status::ok);
    EXPECT_EQ(driver_.handles_asked[0], 1u);
    EXPECT_FALSE(reader_.needs_restart());
  }
  void check_down(Expect expected) {
    EXPECT_NE(entities_[0].condition, Status::ok);
    const unsigned fetched = driver_.handles_asked[0];
    read_after(999ms);
    EXPECT_EQ(gpu().calls(), 0u) << "left alone";
    EXPECT_EQ(driver_.handles_asked[0], fetched);
    gpu().scripts.erase(call_.symbol);
    read_after(1ms);
    EXPECT_EQ(driver_.handles_asked[0], fetched + 1);
    EXPECT_EQ(entities_[0].condition, Status::ok) << "and it is back";
    EXPECT_EQ(reader_.needs_restart(), expected == Expect::restart) << "what has parted stays parted";
  }

  const nvml::CallCase& call_;
  const int code_;
  ManualClock clock_;
  FakeDriver driver_{2};
  NvmlReader reader_{driver_.library(), {}, clock_};
  Entity entities_[2];
};

TEST(SourceByCode, EveryCodeFromEveryCallHasItsOwnReactionAndNoOther) {
  for (const nvml::CallCase& call : nvml::call_cases) {
    for (const int code : codes()) {
      SCOPED_TRACE(call.symbol + (": " + std::to_string(code)));
      Case(call, code).check();
    }
  }
}

}  // namespace
}  // namespace gputach
