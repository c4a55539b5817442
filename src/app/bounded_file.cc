#include "app/bounded_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace gputach {

Result<std::string> read_bounded_file(const std::string& path, std::size_t bytes_max) {
  // Not to wait for the writer of a pipe.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail_errno(path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, path + " is not a file");
  std::string text(bytes_max + 1, '\0');  // one more tells whether there is more
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(path, errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  if (length > bytes_max)
    return fail(ErrorCode::invalid, path + " holds more than " + std::to_string(bytes_max) + " bytes");
  text.resize(length);
  return text;
}

}  // namespace gputach
