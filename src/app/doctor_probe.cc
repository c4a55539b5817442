#include "app/doctor_probe.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <type_traits>

#include "app/doctor_surroundings.h"

namespace gputach {
namespace {

using nvml::Device;
using nvml::Functions;
using nvml::Return;

// The child's. Driver functions carry no context, so what the wrappers need stands at a fixed place.
struct Recording {
  int socket = -1;
  Functions driver;
  SystemClock clock;
  std::vector<Device> handles;  // by index
};
Recording recording;

void tell(ProbeEvent event, std::string_view text = {}) {
  text.copy(event.text, sizeof event.text - 1);
  if (::send(recording.socket, &event, sizeof event, MSG_NOSIGNAL) != sizeof event) ::_exit(0);  // nobody listens
}

template <std::size_t Size>
struct FixedText {
  char bytes[Size] = {};
  consteval FixedText(const char (&text)[Size]) { std::ranges::copy(text, bytes); }
  [[nodiscard]] constexpr std::string_view view() const { return {bytes, Size - 1}; }
};

template <class... Args>
std::int32_t gpu_of(const Args&... args) {
  if constexpr (sizeof...(Args) == 0) {
    return -1;
  } else {
    const auto& first = std::get<0>(std::tie(args...));
    using First = std::remove_cvref_t<decltype(first)>;
    if constexpr (std::is_same_v<First, std::uint32_t>) {
      return static_cast<std::int32_t>(first);
    } else if constexpr (std::is_same_v<First, Device>) {
      const auto found = std::ranges::find(recording.handles, first);
      return found == recording.handles.end() ? -1 : static_cast<std::int32_t>(found - recording.handles.begin());
    } else {
      return -1;
    }
  }
}

void remember_handle(std::uint32_t index, const Device* device) {
  recording.handles.resize(std::max<std::size_t>(recording.handles.size(), index + 1));
  recording.handles[index] = *device;
}

template <FixedText Name, auto Member, class Fn>
struct Timed;
template <FixedText Name, auto Member, class... Args>
struct Timed<Name, Member, Return(Args...)> {
  static Return call(Args... args) {
    const std::int32_t gpu = gpu_of(args...);
    tell({.kind = ProbeEvent::Kind::calling, .gpu = gpu}, Name.view());
    const Instant began = recording.clock.now();
    const Return code = (recording.driver.*Member)(args...);
    const Duration took = recording.clock.now() - began;
    tell({.kind = ProbeEvent::Kind::returned, .code = static_cast<std::int32_t>(code), .took_ns = took.count()});
    if constexpr (std::is_same_v<Return(Args...), nvml::DeviceGetHandleByIndexFn>) {
      if (code == Return::success) remember_handle(args...);
    }
    return code;
  }
};

// A function that the library lacks is not called by wrapping it.
template <FixedText Name, auto Member>
void time_calls(Functions& functions) {
  using Fn = std::remove_pointer_t<std::remove_reference_t<decltype(functions.*Member)>>;
  if (functions.*Member != nvml::Absent<Fn>::call) functions.*Member = Timed<Name, Member, Fn>::call;
}

// clang-format off
constexpr auto wrappers = std::to_array<void (*)(Functions&)>({
    time_calls<"nvmlInit_v2",                         &Functions::init>,
    time_calls<"nvmlSystemGetDriverVersion",          &Functions::driver_version>,
    time_calls<"nvmlDeviceGetCount_v2",               &Functions::device_count>,
    time_calls<"nvmlDeviceGetHandleByIndex_v2",       &Functions::device_by_index>,
    time_calls<"nvmlDeviceGetName",                   &Functions::name>,
    time_calls<"nvmlDeviceGetUUID",                   &Functions::uuid>,
    time_calls<"nvmlDeviceGetUtilizationRates",       &Functions::utilization_rates>,
    time_calls<"nvmlDeviceGetMemoryInfo_v2",          &Functions::memory_info_v2>,
    time_calls<"nvmlDeviceGetMemoryInfo",             &Functions::memory_info>,
    time_calls<"nvmlDeviceGetTemperatureV",           &Functions::temperature_v>,
    time_calls<"nvmlDeviceGetTemperature",            &Functions::temperature>,
    time_calls<"nvmlDeviceGetPowerUsage",             &Functions::power_usage>,
    time_calls<"nvmlDeviceGetPowerManagementLimit",   &Functions::power_management_limit>,
    time_calls<"nvmlDeviceGetEnforcedPowerLimit",     &Functions::enforced_power_limit>,
    time_calls<"nvmlDeviceGetFanSpeed",               &Functions::fan_speed>,
    time_calls<"nvmlDeviceGetEncoderUtilization",     &Functions::encoder_utilization>,
    time_calls<"nvmlDeviceGetDecoderUtilization",     &Functions::decoder_utilization>,
    time_calls<"nvmlDeviceGetMigMode",                &Functions::mig_mode>,
    time_calls<"nvmlDeviceGetMaxMigDeviceCount",      &Functions::max_mig_device_count>,
    time_calls<"nvmlDeviceGetMigDeviceHandleByIndex", &Functions::mig_device_by_index>,
});
// clang-format on
static_assert(wrappers.size() == sizeof(Functions) / sizeof(void*), "a driver function is not timed");

std::string loaded_file(const std::string& given_path) {
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), std::istreambuf_iterator<char>());
  const std::string file = mapped_driver_library(text);
  return file.empty() ? given_path : file;
}

void read_passes(NvmlReader& reader, unsigned gpus, const ProbeOptions& options) {
  std::vector<unsigned> shown;
  for (unsigned gpu = 0; gpu < gpus; ++gpu) {
    Entity entity(Scope::gpu, gpu);
    if (reader.prepare_device(gpu, entity)) shown.push_back(gpu);
  }
  tell({.kind = ProbeEvent::Kind::opened, .code = static_cast<std::int32_t>(gpus)}, reader.why());
  const Instant begin_until = recording.clock.now() + options.passes_max;
  for (unsigned pass = 0; pass < options.passes && recording.clock.now() < begin_until; ++pass) {
    for (const unsigned gpu : shown) {
      Entity entity(Scope::gpu, gpu);
      reader.read_device(gpu, entity);
    }
  }
}

// The child's life. It ends when it is killed.
[[noreturn]] void probe(int socket, const ProbeOptions& options) {
  ::prctl(PR_SET_NAME, "gputach-probe");
  recording.socket = socket;
  tell({.kind = ProbeEvent::Kind::loading});
  const auto library = nvml::Library::open(options.nvml.library_path);
  if (!library) {
    tell({.kind = ProbeEvent::Kind::unusable}, library.error().context);
  } else {
    tell({.kind = ProbeEvent::Kind::loaded, .code = library->simulated() ? 1 : 0},
         loaded_file(options.nvml.library_path));
    recording.driver = library->functions();
    Functions timed = recording.driver;
    for (const auto wrap : wrappers) wrap(timed);
    const auto origin = library->simulated() ? nvml::Origin::simulator : nvml::Origin::driver;
    NvmlReader reader(nvml::Library(timed, origin), options.nvml, recording.clock);
    if (const Result<unsigned> gpus = reader.open(); gpus) {
      read_passes(reader, *gpus, options);
    } else {
      const bool none = gpus.error().code == ErrorCode::no_gpus;
      tell({.kind = ProbeEvent::Kind::refused, .code = none ? 1 : 0}, reader.why());
    }
  }
  tell({.kind = ProbeEvent::Kind::finished});
  for (;;) ::pause();
}

constexpr auto reap_patience = limits::spawner_exit;
constexpr int reap_poll_ms = 2;

}  // namespace

void ProbeReport::take(const ProbeEvent& event) {
  const std::string_view text(event.text, ::strnlen(event.text, sizeof event.text));
  switch (event.kind) {
    case ProbeEvent::Kind::loading: pending = Pending{.name = "dlopen"}; return;
    case ProbeEvent::Kind::loaded:
      pending.reset();
      loaded = true;
      simulated = event.code != 0;
      library_file = text;
      return;
    case ProbeEvent::Kind::unusable:
    case ProbeEvent::Kind::refused:
      pending.reset();
      complaint = text;
      no_gpus = event.code != 0;
      return;
    case ProbeEvent::Kind::calling: pending = Pending{.name = std::string(text), .gpu = event.gpu}; return;
    case ProbeEvent::Kind::returned: break;
    case ProbeEvent::Kind::opened:
      opened = true;
      description = text;
      gpus = static_cast<unsigned>(event.code);
      phase = Phase::reading;
      return;
    case ProbeEvent::Kind::finished: end = End::finished; return;
  }
  if (!pending) return;
  if (pending->name == "nvmlInit_v2") {
    init = Return{event.code};
    init_took = Duration(event.took_ns);
  }
  auto call = std::ranges::find_if(calls, [&](const Call& c) { return c.name == pending->name && c.phase == phase; });
  if (call == calls.end()) call = calls.insert(call, Call{pending->name, phase, {}});
  call->took.emplace_back(event.took_ns);
  pending.reset();
}

Probe::Probe(ProbeOptions options, const Clock& clock, Fd socket, pid_t child)
    : options_(std::move(options)), clock_(clock), socket_(std::move(socket)), child_(child) {}

Probe::Probe(Probe&& other) noexcept
    : options_(std::move(other.options_)),
      clock_(other.clock_),
      socket_(std::move(other.socket_)),
      child_(std::exchange(other.child_, -1)) {}

Probe::~Probe() {
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  reap(reap_patience, nullptr);
}

Result<Probe> Probe::start(const ProbeOptions& options, const Clock& clock) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("cannot create the probe's socket", errno);
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot fork the probe", errno);
  if (child == 0) {
    ours.reset();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before the line above took effect
    probe(theirs.get(), options);
  }
  return Probe(options, clock, std::move(ours), child);
}

ProbeReport Probe::collect() {
  ProbeReport report;
  while (report.end == ProbeReport::End::not_run) {
    const bool reading = report.phase == ProbeReport::Phase::reading;
    const Duration patience = reading ? options_.call_max : options_.start_call_max;
    const timespec timeout = to_timespec(patience);
    pollfd wait{socket_.get(), POLLIN, 0};
    const int ready = ::ppoll(&wait, 1, &timeout, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      report.end = ProbeReport::End::hung;
      if (!report.pending) report.pending = ProbeReport::Pending{};
      report.pending->waited = patience;
      ::kill(child_, SIGKILL);
      report.pending->unkillable = !reap(reap_patience, nullptr);
      break;
    }
    ProbeEvent event;
    if (::recv(socket_.get(), &event, sizeof event, 0) == sizeof event) {
      report.take(event);
    } else {
      report.end = ProbeReport::End::died;
      reap(reap_patience, &report.wait_status);
    }
  }
  return report;
}

bool Probe::reap(Duration patience, int* wait_status) {
  const Instant deadline = clock_.now() + patience;
  int status = 0;
  // The kernel gives no wait with a deadline for one child; a few short polls at the very end are bounded and plain.
  while (::waitpid(child_, &status, WNOHANG) == 0) {
    if (clock_.now() >= deadline) return false;
    ::poll(nullptr, 0, reap_poll_ms);
  }
  child_ = -1;
  if (wait_status != nullptr) *wait_status = status;
  return true;
}

}  // namespace gputach
