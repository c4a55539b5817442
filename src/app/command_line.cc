#include "app/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/build_info.h"

namespace gputach {
namespace {

constexpr int usage_error = 2;

CommandLine done(int exit_status) {
  CommandLine line;
  line.exit_status = exit_status;
  return line;
}

CommandLine refuse(const std::string& sentence) {
  std::fprintf(stderr, "gputach: %s\n", sentence.c_str());
  return done(usage_error);
}

CommandLine print(const std::string& text) {
  return done(std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : 1);
}

struct Parsed {
  std::map<std::string_view, std::string> values;  // flag name -> text on the command line
};

void add_flags(CLI::App& command, Command kind, Parsed& parsed) {
  for (const Flag& flag : flags()) {
    if (kind == Command::worker && !flag.for_worker) continue;
    std::string help(flag.help);
    if (!flag.default_value.empty()) help += " Default: " + std::string(flag.default_value) + ".";
    help += " [" + variable_of(flag) + "]";
    command
        .add_option_function<std::string>(
            "--" + std::string(flag.name),
            [&parsed, name = flag.name](const std::string& value) { parsed.values[name] = value; }, help)
        ->type_name(std::string(flag.value_name))
        ->expected(1);
  }
}

// The command line goes before the environment.
std::vector<Given> collect(Command kind, const Parsed& parsed) {
  std::vector<Given> given;
  for (const Flag& flag : flags()) {
    if (kind == Command::worker && !flag.for_worker) continue;
    if (const auto found = parsed.values.find(flag.name); found != parsed.values.end()) {
      given.push_back({flag.name, found->second, "--" + std::string(flag.name)});
    } else if (const char* value = std::getenv(variable_of(flag).c_str())) {
      given.push_back({flag.name, value, variable_of(flag)});
    }
  }
  return given;
}

CommandLine configure(Command command, const Parsed& parsed) {
  const std::vector<Given> given = collect(command, parsed);
  Result<Config> config = make_config(given);
  if (!config) return refuse(config.error().context);
  CommandLine line;
  line.command = command;
  line.config = *std::move(config);
  line.worker_arguments = worker_arguments(given);
  return line;
}

std::string version_text() {
  std::string text = "gputach ";
  text += build_info::version;
  text += " (";
  text += build_info::commit;
  text += ", ";
  text += build_info::compiler;
  text += ")\n";
  return text;
}

}  // namespace

CommandLine read_command_line(int argc, const char* const* argv) {
  CLI::App app("GPU telemetry for the pod of an LLM engine: GET /proxy/stats, from NVML.", "gputach");
  app.require_subcommand(1);
  Parsed parsed;
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM.");
  add_flags(*serve, Command::serve, parsed);
  CLI::App* worker = app.add_subcommand("worker", "Read GPUs for a server (started by it, not by hand).")->group("");
  add_flags(*worker, Command::worker, parsed);
  CLI::App* version = app.add_subcommand("version", "Print version, commit and compiler.");
  CLI::App* docs = app.add_subcommand("docs", "Print a page of the documentation.");
  std::string page;
  docs->add_option("page", page, "flags")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* command : app.get_subcommands()) return print(command->help("gputach"));
    return print(app.help());
  } catch (const CLI::ParseError& error) {
    return refuse(std::string(error.what()) + " (gputach --help lists what there is)");
  }
  if (*version) return print(version_text());
  if (*docs)
    return page == "flags" ? print(flags_page()) : refuse("there is no page \"" + page + "\"; there is: flags");
  return configure(*worker ? Command::worker : Command::serve, parsed);
}

}  // namespace gputach
