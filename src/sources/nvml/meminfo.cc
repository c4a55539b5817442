#include "sources/nvml/meminfo.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace gputach::nvml {
namespace {

constexpr std::uint64_t kibibyte = 1024;
constexpr std::uint64_t kibibytes_max = UINT64_MAX / kibibyte;

// The number of the line that begins with `name`, in bytes.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    std::uint64_t kibibytes = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), kibibytes);
    const std::string_view unit(rest, static_cast<std::size_t>(line.data() + line.size() - rest));
    if (error != std::errc{} || unit != " kB" || kibibytes > kibibytes_max) return std::nullopt;
    return kibibytes * kibibyte;
  }
  return std::nullopt;
}

}  // namespace

std::optional<SystemMemory> parse_meminfo(std::string_view text) {
  const auto total = field(text, "MemTotal:");
  const auto available = field(text, "MemAvailable:");
  if (!total || !available || *available > *total) return std::nullopt;
  return SystemMemory{.total = *total, .used = *total - *available};
}

std::optional<SystemMemory> read_meminfo(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  // Both figures stand in the first three lines.
  std::array<char, 1024> text{};
  const ssize_t length = ::read(file, text.data(), text.size());
  ::close(file);
  if (length <= 0) return std::nullopt;
  return parse_meminfo({text.data(), static_cast<std::size_t>(length)});
}

}  // namespace gputach::nvml
