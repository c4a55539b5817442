#include "return_codes.h"

#include <algorithm>
#include <array>

namespace gputach::sim {
namespace {

using nvml::Return;

struct Row {
  Return code;
  std::string_view name;
  const char* text;
};

constexpr auto rows = std::to_array<Row>({
    {Return::success, "SUCCESS", "Success"},
    {Return::uninitialized, "UNINITIALIZED", "Uninitialized"},
    {Return::invalid_argument, "INVALID_ARGUMENT", "Invalid Argument"},
    {Return::not_supported, "NOT_SUPPORTED", "Not Supported"},
    {Return::no_permission, "NO_PERMISSION", "Insufficient Permissions"},
    {Return::already_initialized, "ALREADY_INITIALIZED", "Already Initialized"},
    {Return::not_found, "NOT_FOUND", "Not Found"},
    {Return::insufficient_size, "INSUFFICIENT_SIZE", "Insufficient Size"},
    {Return::insufficient_power, "INSUFFICIENT_POWER", "Insufficient External Power"},
    {Return::driver_not_loaded, "DRIVER_NOT_LOADED", "Driver Not Loaded"},
    {Return::timeout, "TIMEOUT", "Timeout"},
    {Return::irq_issue, "IRQ_ISSUE", "Interrupt Request Issue"},
    {Return::library_not_found, "LIBRARY_NOT_FOUND", "NVML Shared Library Not Found"},
    {Return::function_not_found, "FUNCTION_NOT_FOUND", "Function Not Found"},
    {Return::corrupted_inforom, "CORRUPTED_INFOROM", "Corrupted infoROM"},
    {Return::gpu_is_lost, "GPU_IS_LOST", "GPU is lost"},
    {Return::reset_required, "RESET_REQUIRED", "GPU requires restart"},
    {Return::operating_system, "OPERATING_SYSTEM", "The operating system has blocked the request."},
    {Return::lib_rm_version_mismatch, "LIB_RM_VERSION_MISMATCH", "RM has detected an NVML/RM version mismatch."},
    {Return::in_use, "IN_USE", "In use by another client"},
    {Return::memory, "MEMORY", "Insufficient Memory"},
    {Return::no_data, "NO_DATA", "No data"},
    {Return::vgpu_ecc_not_supported, "VGPU_ECC_NOT_SUPPORTED",
     "The requested vgpu operation is not available on target device, because ECC is enabled"},
    {Return::insufficient_resources, "INSUFFICIENT_RESOURCES", "Ran out of critical resources, other than memory"},
    {Return::freq_not_supported, "FREQ_NOT_SUPPORTED", "The requested frequency is not supported"},
    {Return::argument_version_mismatch, "ARGUMENT_VERSION_MISMATCH", "Argument version mismatch"},
    {Return::deprecated, "DEPRECATED", "The requested functionality has been deprecated"},
    {Return::not_ready, "NOT_READY", "The system is not ready for the request"},
    {Return::gpu_not_found, "GPU_NOT_FOUND", "No GPUs were found"},
    {Return::invalid_state, "INVALID_STATE", "Resource not in correct state to perform requested operation"},
    {Return::reset_type_not_supported, "RESET_TYPE_NOT_SUPPORTED", "Reset not supported for given device/parameters"},
    {Return::unknown, "UNKNOWN", "Unknown Error"},
});

}  // namespace

std::optional<Return> find_return_code(std::string_view name) {
  const auto* const found = std::ranges::find(rows, name, &Row::name);
  if (found == rows.end()) return std::nullopt;
  return found->code;
}

const char* error_text(Return code) {
  const auto* const found = std::ranges::find(rows, code, &Row::code);
  return found == rows.end() ? rows.back().text : found->text;
}

}  // namespace gputach::sim
