// load_driver --library FILE [--passes N]: how long the driver's own functions take in one pass over all GPUs, with the
// reader that the worker runs. ./dev bench subtracts it from what a miss costs. Every function of the table is
// wrapped; the wrapping clock's own time is measured and taken off.
#include <algorithm>
#include <cstdio>

#include "load_kit.h"
#include "sources/nvml/nvml_source.h"

namespace gputach::load {
namespace {

using nvml::Functions;

Functions real;         // NOLINT: wrappers are plain functions and know nothing else
Nanoseconds spent = 0;  // NOLINT
std::size_t calls = 0;  // NOLINT

template <auto member>
struct Timed;
template <class... Args, nvml::Return (*Functions::*member)(Args...)>
struct Timed<member> {
  static nvml::Return call(Args... args) {
    const Nanoseconds begin = now();
    const nvml::Return code = (real.*member)(args...);
    spent += now() - begin;
    ++calls;
    return code;
  }
};

// What passes call; the rest belongs to the opening.
template <auto... members>
Functions wrap(const Functions& functions) {
  Functions wrapped = functions;
  ((wrapped.*members = Timed<members>::call), ...);
  return wrapped;
}

Functions wrap_all(const Functions& functions) {
  return wrap<&Functions::utilization_rates, &Functions::memory_info_v2, &Functions::memory_info,
              &Functions::temperature_v, &Functions::temperature, &Functions::power_usage,
              &Functions::power_management_limit, &Functions::enforced_power_limit, &Functions::fan_speed,
              &Functions::encoder_utilization, &Functions::decoder_utilization, &Functions::mig_mode,
              &Functions::max_mig_device_count, &Functions::mig_device_by_index>(functions);
}

// The time between two readings of the clock, which every wrapped call has once inside.
double clock_ns() {
  std::vector<Nanoseconds> gaps;
  for (int i = 0; i < 10'000; ++i) {
    const Nanoseconds begin = now();
    gaps.push_back(now() - begin);
  }
  return Percentiles(std::move(gaps)).microseconds(0.5) * 1000;
}

void run(const Arguments& arguments) {
  const SystemClock clock;
  auto library = nvml::Library::open(std::string(arguments.needed("--library")));
  if (!library) give_up(library.error().context);
  real = library->functions();
  NvmlReader reader(nvml::Library(wrap_all(real), nvml::Origin::simulator), {}, clock);
  const Result<unsigned> slots = reader.open();
  if (!slots) give_up(slots.error().context);
  std::vector<Entity> gpus(*slots);
  for (unsigned slot = 0; slot < *slots; ++slot) {
    if (!reader.prepare_device(slot, gpus[slot])) give_up("a GPU is not shown");
  }
  std::vector<Nanoseconds> driver;
  std::vector<Nanoseconds> whole;
  const std::size_t passes = arguments.count("--passes", 2000);
  std::size_t calls_of_pass = 0;
  for (std::size_t i = 0; i < passes; ++i) {
    spent = 0;
    calls = 0;
    const Nanoseconds begin = now();
    for (unsigned slot = 0; slot < *slots; ++slot) reader.read_device(slot, gpus[slot]);
    whole.push_back(now() - begin);
    driver.push_back(spent);
    calls_of_pass = calls;
  }
  const double clock_us = clock_ns() * static_cast<double>(calls_of_pass) / 1000;
  const double driver_us = std::max(0.0, Percentiles(std::move(driver)).microseconds(0.5) - clock_us);
  std::printf(R"({"gpus":%u,"calls":%zu,"driver_us":%.2f,"reader_us":%.2f,"clock_us":%.2f})"
              "\n",
              *slots, calls_of_pass, driver_us,
              std::max(0.0, Percentiles(std::move(whole)).microseconds(0.5) - driver_us - 2 * clock_us), clock_us);
}

}  // namespace
}  // namespace gputach::load

int main(int argc, char** argv) {
  gputach::load::run(gputach::load::Arguments(argc, argv));
  return 0;
}
