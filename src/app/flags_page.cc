#include "app/flags.h"

namespace gputach {
namespace {

constexpr std::string_view opening =
    "# Flags\n\n"
    "Printed by `gputach docs flags`. A flag on the command line goes before its environment variable, and that "
    "before\n"
    "the file that `--config` names. Durations carry their unit: `500ms`, `1s`, `2m`. Bytes may: `8192`, `16KiB`, "
    "`1MiB`.\n"
    "What is counted shows at `/proxy/v1/daemon`.\n\n"
    "| flag | variable | default | reload | meaning |\n|---|---|---|---|---|\n";

constexpr std::string_view closing =
    "\n## The file\n\n"
    "TOML, whose keys are the flags without their dashes; lists may be arrays. A key that is not in the table is an\n"
    "error, as is one of a bad value: the sentence names file, line and key. `config` itself cannot stand in it.\n\n"
    "```toml\n"
    "listen = [\"[::]:8080\", \"unix:/run/gputach/socket\"]\n"
    "devices = [0, 1]\n"
    "cache-ttl = \"500ms\"\n"
    "connections-max = 1024\n"
    "token-files = \"sensitive=/run/secrets/gputach\"\n"
    "```\n\n"
    "On SIGHUP the file and the token files are read again. When anything in them is wrong, the log says what, and "
    "all\n"
    "stays as it was. Otherwise new values of flags marked `live` take effect, and the log names them and those that\n"
    "wait for a restart. The worker process, which reads the GPUs, keeps its log level until it is restarted.\n";

}  // namespace

std::string flags_page() {
  std::string page(opening);
  for (const Flag& flag : flags()) {
    page +=
        "| `--" + std::string(flag.name) + " " + std::string(flag.value_name) + "` | `" + variable_of(flag) + "` | ";
    page += flag.default_value.empty() ? "" : "`" + std::string(flag.default_value) + "`";
    page += " | " + std::string(to_string(flag.reload)) + " | " + std::string(flag.help) + " |\n";
  }
  return page + std::string(closing);
}

}  // namespace gputach
