#include "relay/model_names.h"

#include "relay/usage_peek.h"

namespace gputach::relay {
namespace {

constexpr JsonTree tree({{"data.id", 0}});

}  // namespace

ModelNames::ModelNames() : scanner_(tree) {}

void ModelNames::on_value(unsigned char /*what*/, JsonKind kind, std::string_view text) {
  const bool usable = kind == JsonKind::string && !text.empty() && text.size() <= model_name_bytes_max;
  if (usable && names_.size() < reported_models_max) names_.emplace_back(text);
}

std::vector<std::string> model_names(std::string_view page) {
  ModelNames found;
  found.feed(page);
  return found.names();
}

}  // namespace gputach::relay
