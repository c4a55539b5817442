#include "relay/model_names.h"

#include "relay/json_peek.h"
#include "relay/usage_peek.h"

namespace gputach::relay {
namespace {

constexpr JsonTree tree({{"data.id", 0}});

class Names final : public JsonSink {
 public:
  void on_value(unsigned char /*what*/, JsonKind kind, std::string_view text) override {
    const bool usable = kind == JsonKind::string && !text.empty() && text.size() <= model_name_bytes_max;
    if (usable && names.size() < reported_models_max) names.emplace_back(text);
  }

  std::vector<std::string> names;
};

}  // namespace

std::vector<std::string> model_names(std::string_view page) {
  Names found;
  JsonScanner scanner(tree);
  scanner.feed(page, found);
  return std::move(found.names);
}

}  // namespace gputach::relay
