#include "app/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

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

// A command, and what may be chosen for it; the first choice is the default.
struct CommandRow {
  Command command;
  std::string_view name;
  std::string_view help;
  std::optional<FlagUse> flags;  // those of this use and of the uses after it
  std::string_view choice;       // how its own option is called; none when empty
  std::array<std::string_view, 2> choices;
};

// clang-format off
constexpr auto commands = std::to_array<CommandRow>({
    {Command::serve,   "serve",   "Serve until SIGTERM.",                                    FlagUse::serving, "",         {}},
    {Command::once,    "once",    "Read the GPUs once, print the figures and leave.",        FlagUse::asking,  "--format", {"json", "table"}},
    {Command::doctor,  "doctor",  "Find out what stands between gputach and the GPUs.",      FlagUse::serving, "--format", {"text", "json"}},
    {Command::record,  "record",  "Write what the GPUs answer as a scenario of the simulated driver.", FlagUse::asking, "", {}},
    {Command::worker,  "worker",  "Read GPUs for a server (started by it, not by hand).",    FlagUse::driver,  "",         {}},
    {Command::probe,   "probe",   "Ask a server for one page, for exec probes: 0 when its status is 200 to 399, else 1.", {}, "",   {}},
    {Command::version, "version", "Print version, commit and compiler.",                     {},               "",         {}},
    {Command::docs,    "docs",    "Print a page of the documentation.",                      {},               "page",     {"flags", ""}},
});
// clang-format on

struct Parsed {
  std::map<std::string_view, std::string> values;  // flag name -> text on the command line
  std::string choice;
  RecordOptions record;
  ProbeOptions probe;
};

bool knows(const CommandRow& row, const Flag& flag) {
  return row.flags && flag.use >= *row.flags;
}

void add_flags(CLI::App& command, const CommandRow& row, Parsed& parsed) {
  for (const Flag& flag : flags()) {
    if (!knows(row, flag)) continue;
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
std::vector<Given> collect(const CommandRow& row, const Parsed& parsed) {
  std::vector<Given> given;
  for (const Flag& flag : flags()) {
    if (!knows(row, flag)) continue;
    if (const auto found = parsed.values.find(flag.name); found != parsed.values.end()) {
      given.push_back({flag.name, found->second, "--" + std::string(flag.name)});
    } else if (const char* value = std::getenv(variable_of(flag).c_str())) {
      given.push_back({flag.name, value, variable_of(flag)});
    }
  }
  return given;
}

CommandLine configure(const CommandRow& row, const Parsed& parsed) {
  std::vector<Given> outside = collect(row, parsed);
  Result<Setup> setup = make_setup(outside, *row.flags);
  if (!setup) return refuse(setup.error().context);
  CommandLine line;
  line.command = row.command;
  line.choice = parsed.choice;
  line.record = parsed.record;
  line.outside = std::move(outside);
  line.worker_arguments = worker_arguments(setup->given);
  line.setup = *std::move(setup);
  return line;
}

CommandLine prepare_probe(const Parsed& parsed) {
  Result<Probe> probe = make_probe(parsed.probe);
  if (!probe) return refuse(probe.error().context);
  CommandLine line;
  line.command = Command::probe;
  line.probe = *std::move(probe);
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

void add_record_options(CLI::App& command, RecordOptions& options) {
  constexpr unsigned seconds_max = 3600;
  command.add_option("--output", options.output, "File to write; - is standard output.")->type_name("FILE");
  command.add_option("--seconds", options.seconds, "How long figures are watched, to record their range. Default: 0.")
      ->type_name("NUMBER")
      ->check(CLI::Range(0U, seconds_max));
  command
      .add_option_function<std::string>(
          "--identities",
          [&options](const std::string& value) {
            options.identities = value == "real" ? nvml::Identities::real : nvml::Identities::replaced;
          },
          "Whether UUIDs and serial numbers are written as they are. Default: replaced.")
      ->check(CLI::IsMember({"replaced", "real"}));
}

void add_probe_options(CLI::App& command, ProbeOptions& options) {
  command
      .add_option("url", options.url,
                  "http://ADDRESS:PORT/PATH, https://ADDRESS:PORT/PATH (the certificate is not verified, as a kubelet "
                  "does not) or unix:SOCKET:/PATH; of names only localhost is known.")
      ->required();
  command.add_option("--timeout", options.timeout, "How long the answer's status may take in all. Default: 1s.")
      ->type_name("DURATION");
  command.add_option("--header", options.headers, "A header to send, as 'Name: value'; may be repeated.")
      ->type_name("HEADER")
      ->expected(1)
      ->take_all();
}

void add_command(CLI::App& app, const CommandRow& row, Parsed& parsed) {
  CLI::App* command = app.add_subcommand(std::string(row.name), std::string(row.help));
  if (row.command == Command::worker) command->group("");  // not listed
  add_flags(*command, row, parsed);
  if (row.command == Command::record) add_record_options(*command, parsed.record);
  if (row.command == Command::probe) add_probe_options(*command, parsed.probe);
  if (row.choice.empty()) return;
  std::vector<std::string> choices;
  for (const std::string_view choice : row.choices)
    if (!choice.empty()) choices.emplace_back(choice);
  command->preparse_callback([&parsed, first = choices.front()](std::size_t) { parsed.choice = first; });
  CLI::Option* option = command->add_option(std::string(row.choice), parsed.choice)->check(CLI::IsMember(choices));
  if (!row.choice.starts_with('-')) option->required();
}

}  // namespace

CommandLine read_command_line(int argc, const char* const* argv) {
  CLI::App app("GPU telemetry for the pod of an LLM engine: GET /proxy/stats, from NVML.", "gputach");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text);
  Parsed parsed;
  for (const CommandRow& row : commands) add_command(app, row, parsed);
  // CLI11 would say that a subcommand is required.
  if (argc > 1 && argv[1][0] != '-' && std::ranges::find(commands, argv[1], &CommandRow::name) == commands.end())
    return refuse("there is no command \"" + std::string(argv[1]) + "\" (gputach --help lists what there is)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion&) {
    return print(version_text());
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* command : app.get_subcommands()) return print(command->help("gputach"));
    return print(app.help());
  } catch (const CLI::ParseError& error) {
    return refuse(std::string(error.what()) + " (gputach --help lists what there is)");
  }
  const std::string name = app.get_subcommands().front()->get_name();
  const CommandRow& row = *std::ranges::find(commands, name, &CommandRow::name);
  switch (row.command) {
    case Command::version: return print(version_text());
    case Command::docs: return print(flags_page());
    case Command::probe: return prepare_probe(parsed);
    case Command::serve:
    case Command::once:
    case Command::doctor:
    case Command::record:
    case Command::worker: break;
  }
  return configure(row, parsed);
}

}  // namespace gputach
