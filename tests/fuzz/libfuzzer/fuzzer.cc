// The entry points of libFuzzer: one program for all targets; GPUTACH_FUZZ_TARGET names the one that runs.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "fuzz/target.h"

namespace {

const gputach::fuzz::Target* target = nullptr;

void say(const std::string& line) {
  const std::string whole = line + "\n";
  static_cast<void>(::write(STDERR_FILENO, whole.data(), whole.size()) == 0);
}

}  // namespace

extern "C" {
// libFuzzer looks for these two by name.
[[gnu::visibility("default")]] int LLVMFuzzerInitialize(int* argc, char*** argv);
[[gnu::visibility("default")]] int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
}

int LLVMFuzzerInitialize(int*, char***) {
  const char* const name = std::getenv("GPUTACH_FUZZ_TARGET");
  for (const gputach::fuzz::Target& one : gputach::fuzz::targets()) {
    if (name != nullptr && one.name == name) target = &one;
  }
  if (target != nullptr) return 0;
  say("GPUTACH_FUZZ_TARGET names no target; there are:");
  for (const gputach::fuzz::Target& one : gputach::fuzz::targets()) say("  " + std::string(one.name));
  std::exit(1);
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > target->bytes_max) return -1;  // not worth keeping
  const std::string broken = target->check({reinterpret_cast<const char*>(data), size});
  if (broken.empty()) return 0;
  say("broken property: " + broken);
  std::abort();
}
