#include "sources/nvml/returns.h"

#include <algorithm>
#include <array>

namespace gputach::nvml {
namespace {

using enum Reaction;

// The texts of 21, 22 and of 24 to 30 are not published; they are the words of the header.
// clang-format off
constexpr auto table = std::to_array<ReturnInfo>({
    {Return::success,                   "Success",                         Status::ok,             none},
    {Return::uninitialized,             "Uninitialized",                   Status::failed,         restart},
    {Return::invalid_argument,          "Invalid Argument",                Status::failed,         skip},
    {Return::not_supported,             "Not Supported",                   Status::unsupported,    permanent},
    {Return::no_permission,             "Insufficient Permissions",        Status::no_permission,  permanent},
    {Return::already_initialized,       "Already Initialized",             Status::failed,         skip},
    {Return::not_found,                 "Not Found",                       Status::failed,         skip},
    {Return::insufficient_size,         "Insufficient Size",               Status::failed,         skip},
    {Return::insufficient_power,        "Insufficient External Power",     Status::failed,         device_down},
    {Return::driver_not_loaded,         "Driver Not Loaded",               Status::failed,         restart},
    {Return::timeout,                   "Timeout",                         Status::timed_out,      skip},
    {Return::irq_issue,                 "Interrupt Request Issue",         Status::failed,         device_down},
    {Return::library_not_found,         "NVML Shared Library Not Found",   Status::unsupported,    permanent},
    {Return::function_not_found,        "Function Not Found",              Status::driver_too_old, permanent},
    {Return::corrupted_inforom,         "Corrupted infoROM",               Status::failed,         skip},
    {Return::gpu_is_lost,               "GPU is lost",                     Status::lost,           device_down},
    {Return::reset_required,            "GPU requires reset",              Status::failed,         device_down},
    {Return::operating_system, "GPU access blocked by the operating system", Status::failed, device_down},
    {Return::lib_rm_version_mismatch,   "Driver/library version mismatch", Status::failed,         restart},
    {Return::in_use,                    "In use by another client",        Status::failed,         skip},
    {Return::memory,                    "Insufficient Memory",             Status::failed,         skip},
    {Return::no_data,                   "No Data",                         Status::failed,         skip},
    {Return::vgpu_ecc_not_supported,    "vGPU ECC Not Supported",          Status::unsupported,    permanent},
    {Return::insufficient_resources,    "Insufficient Resources",          Status::failed,         skip},
    {Return::freq_not_supported,        "Frequency Not Supported",         Status::unsupported,    permanent},
    {Return::argument_version_mismatch, "Argument Version Mismatch",       Status::driver_too_old, permanent},
    {Return::deprecated,                "Deprecated",                      Status::unsupported,    permanent},
    {Return::not_ready,                 "Not Ready",                       Status::failed,         skip},
    {Return::gpu_not_found,             "GPU Not Found",                   Status::failed,         device_down},
    {Return::invalid_state,             "Invalid State",                   Status::failed,         skip},
    {Return::reset_type_not_supported,  "Reset Type Not Supported",        Status::unsupported,    permanent},
    {Return::unknown,                   "Unknown Error",                   Status::failed,         skip},
});
// clang-format on

constexpr int last_consecutive = 30;

consteval bool row_is_found_by_its_code() {
  for (int code = 0; code <= last_consecutive; ++code)
    if (table[static_cast<std::size_t>(code)].code != Return{code}) return false;
  return true;
}
static_assert(table.size() == last_consecutive + 2 && row_is_found_by_its_code());
static_assert(table.back().code == Return::unknown);
// A figure is called absent exactly when it is not asked for again, and only success is an answer.
static_assert(std::ranges::all_of(table, [](const ReturnInfo& row) {
  return is_permanent_absence(row.status) == (row.reaction == Reaction::permanent) &&
         (row.status == Status::ok) == (row.reaction == Reaction::none) && !row.text.empty();
}));

}  // namespace

ReturnInfo info_of(Return code) {
  const int number = static_cast<int>(code);
  if (number >= 0 && number <= last_consecutive) return table[static_cast<std::size_t>(number)];
  if (code == Return::unknown) return table.back();
  return {code, {}, Status::failed, Reaction::skip};
}

std::string text_of(Return code) {
  const std::string_view text = info_of(code).text;
  if (!text.empty()) return std::string(text);
  return "unknown error " + std::to_string(static_cast<int>(code));
}

std::span<const ReturnInfo> known_returns() {
  return table;
}

}  // namespace gputach::nvml
