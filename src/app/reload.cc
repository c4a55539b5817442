#include "app/reload.h"

#include <algorithm>
#include <utility>

#include "app/token_files.h"
#include "base/log.h"

namespace gputach {
namespace {

constexpr std::string_view token_flag = "token-files";

std::string listed(const std::vector<std::string_view>& names) {
  std::string list;
  for (const std::string_view name : names) {
    if (!list.empty()) list += ',';
    list += name;
  }
  return list.empty() ? "none" : list;
}

void refuse(const Error& error) {
  log_line(LogLevel::warning, "reload_refused", {{"reason", error.context}});
}

}  // namespace

Reloader::Reloader(std::vector<Given> outside, std::vector<Given> running, Tokens tokens, Apply apply)
    : outside_(std::move(outside)),
      running_(std::move(running)),
      tokens_(std::move(tokens)),
      apply_(std::move(apply)) {}

void Reloader::reload() {
  const Result<Setup> fresh = make_setup(outside_, FlagUse::serving);
  if (!fresh) return refuse(fresh.error());
  Result<Tokens> tokens = read_tokens(fresh->config.token_files);
  if (!tokens) return refuse(tokens.error());

  Changes changes = changes_between(running_, fresh->given);
  if (*tokens != tokens_ && std::ranges::find(changes.live, token_flag) == changes.live.end())
    changes.live.push_back(token_flag);
  running_ = after_reload(running_, fresh->given);
  tokens_ = *std::move(tokens);

  log_line(LogLevel::info, "reloaded", {{"changed", listed(changes.live)}, {"needs_restart", listed(changes.restart)}});
  log_threshold(fresh->config.log_level);
  apply_({.limits = fresh->config.limits,
          .cache_ttl = fresh->config.cache_ttl,
          .cors_origin = fresh->config.cors_origin,
          .tokens = tokens_,
          .shown = setup_json(running_)});
}

}  // namespace gputach
