// Every code from every call.
#include <gtest/gtest.h>

#include "sources/nvml/readers_fixture.h"

namespace gputach::nvml {
namespace {

// The codes that a case is tried with, and what is expected of them, written down apart from the table under test.
enum class Expect : unsigned char { absent, failed, down };
struct CodeCase {
  int code;
  Expect expect;
  Status status;
};

CodeCase expectation(int code) {
  switch (code) {
    case 3:
    case 12:
    case 22:
    case 24:
    case 26:
    case 30: return {code, Expect::absent, Status::unsupported};
    case 13:
    case 25: return {code, Expect::absent, Status::driver_too_old};
    case 4: return {code, Expect::absent, Status::no_permission};
    case 15: return {code, Expect::down, Status::lost};
    case 1:
    case 8:
    case 9:
    case 11:
    case 16:
    case 17:
    case 18:
    case 28: return {code, Expect::down, Status::failed};
    case 10: return {code, Expect::failed, Status::timed_out};
    default: return {code, Expect::failed, Status::failed};
  }
}

std::vector<CodeCase> code_cases() {
  std::vector<CodeCase> cases;
  for (int code = 1; code <= 30; ++code) cases.push_back(expectation(code));
  cases.push_back(expectation(999));
  cases.push_back(expectation(1234));
  return cases;
}

// One GPU that knows nothing of the earlier cases.
class Case : public Readers {
 public:
  Case(const CallCase& call, const CodeCase& code) : call_(call), code_(code) {
    if (call.preferred != nullptr) gpu.always(call.preferred, Return::not_supported);
  }
  void TestBody() override {}

  void keep_failing() {
    gpu.always(call_.symbol, Return{code_.code});
    const PassEnd end = read();
    switch (code_.expect) {
      case Expect::absent: return expect_absence(end);
      case Expect::failed: return expect_failure(end);
      case Expect::down: return expect_down(end);
    }
  }
  void fail_once() {
    gpu.next(call_.symbol, Return{code_.code});
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(entity.condition, Status::ok);
    EXPECT_EQ(entity.fault, "");
    for (const MetricId metric : call_.metrics) EXPECT_TRUE(entity[metric].ok());
  }

 private:
  void expect_absence(PassEnd end) {
    EXPECT_EQ(end, Return::success);
    EXPECT_EQ(entity.condition, Status::ok);
    EXPECT_EQ(gpu.asked[call_.symbol], 1u) << "an absence is not asked for twice";
    for (const MetricId metric : call_.metrics) {
      if (call_.has_fallback) {
        EXPECT_TRUE(entity[metric].ok());
      } else if (call_.preferred != nullptr && code_.status == Status::driver_too_old) {
        EXPECT_EQ(entity[metric], Reading::missing(Status::unsupported)) << "the preferred call's answer tells more";
      } else {
        EXPECT_EQ(entity[metric], Reading::missing(code_.status));
      }
    }
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(gpu.asked[call_.symbol], 0u) << "not in the next pass either";
  }
  void expect_failure(PassEnd end) {
    EXPECT_EQ(end, Return::success);
    EXPECT_EQ(entity.condition, code_.status);
    EXPECT_EQ(entity.fault, expected_fault());
    EXPECT_EQ(gpu.asked[call_.symbol], 2u) << "tried once more, and not thrice";
    for (const MetricId metric : call_.metrics) EXPECT_EQ(entity[metric], Reading::missing(code_.status));
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(gpu.asked[call_.symbol], 2u) << "a failure is not remembered";
  }
  void expect_down(PassEnd end) {
    EXPECT_EQ(end, Return{code_.code});
    EXPECT_EQ(entity.condition, code_.status);
    EXPECT_EQ(entity.fault, expected_fault());
    EXPECT_EQ(gpu.asked[call_.symbol], code_.status == Status::lost ? 1u : 2u);
    for (const Reading& reading : entity.readings) EXPECT_EQ(reading, Reading::missing(code_.status));
  }
  [[nodiscard]] std::string expected_fault() const {
    return code_.status == Status::lost ? "GPU is lost" : call_.fault_name + (": " + text_of(Return{code_.code}));
  }

  const CallCase& call_;
  const CodeCase& code_;
};

TEST(ReadersByCode, ACodeThatStaysFromEveryCall) {
  for (const CallCase& call : call_cases) {
    for (const CodeCase& code : code_cases()) {
      SCOPED_TRACE(call.symbol + (": " + std::to_string(code.code)));
      Case(call, code).keep_failing();
    }
  }
}

TEST(ReadersByCode, AFailureThatPassesIsNeverSeen) {
  for (const CallCase& call : call_cases) {
    for (const CodeCase& code : code_cases()) {
      if (code.expect == Expect::absent || code.status == Status::lost) continue;
      SCOPED_TRACE(call.symbol + (": " + std::to_string(code.code)));
      Case(call, code).fail_once();
    }
  }
}

}  // namespace
}  // namespace gputach::nvml
