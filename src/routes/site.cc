#include "routes/site.h"

#include <utility>

#include "encode/stats_json.h"

namespace gputach {
namespace {

constexpr std::string_view json_fields = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
constexpr std::string_view vary_fields = "Vary: Accept-Encoding\r\n";

std::string make_cors_fields(const std::string& origin) {
  if (origin.empty()) return {};
  return "Access-Control-Allow-Origin: " + origin +
         "\r\nAccess-Control-Expose-Headers: X-Cache, Gputach-Unsupported, Gputach-Simulated, Retry-After\r\n";
}

}  // namespace

Site::Site(Settings settings) : settings_(std::move(settings)), cors_fields_(make_cors_fields(settings_.cors_origin)) {}

void Site::set_cors_origin(std::string origin) {
  settings_.cors_origin = std::move(origin);
  cors_fields_ = make_cors_fields(settings_.cors_origin);
  for (auto& forms : made_)
    for (Made& made : forms) made = {};
}

ContentPtr Site::stats_content(const SnapshotPtr& snapshot, MissingFields form, http::Coding coding) {
  Made& made = made_[static_cast<std::size_t>(form)][static_cast<std::size_t>(coding)];
  if (made.from == snapshot) return made.content;
  ContentPtr content = coding == http::Coding::identity
                           ? make_plain(*snapshot, form)
                           : make_gzip(stats_content(snapshot, form, http::Coding::identity));
  made = {snapshot, std::move(content)};
  return made.content;
}

ContentPtr Site::make_plain(const Snapshot& snapshot, MissingFields form) const {
  const StatsPage& page = snapshot.stats(form);
  auto content = std::make_shared<http::Content>();
  content->status = page.failed ? 500 : 200;
  content->fields = json_fields;
  content->fields += vary_fields;
  content->fields += cors_fields_;
  if (!page.unsupported.empty()) content->fields += "Gputach-Unsupported: " + page.unsupported + "\r\n";
  if (snapshot.sample().simulated) content->fields += "Gputach-Simulated: ?1\r\n";
  content->body = page.body;
  return content;
}

// Errors stay readable for whoever looks at the wire.
ContentPtr Site::make_gzip(const ContentPtr& plain) {
  if (plain->status != 200) return plain;
  auto body = gzip_.compress(plain->body);
  if (!body) return plain;
  ++gzip_pages_;
  auto content = std::make_shared<http::Content>();
  content->fields = plain->fields + "Content-Encoding: gzip\r\n";
  content->body = *std::move(body);
  return content;
}

http::Response json_response(int status, std::string body, std::string_view more_fields) {
  auto content = std::make_shared<http::Content>();
  content->status = status;
  content->fields = json_fields;
  content->fields += more_fields;
  content->body = std::move(body);
  return {std::move(content), {}, false};
}

http::Response error_response(int status, std::string_view text, std::string_view more_fields) {
  return json_response(status, encode_error(text), more_fields);
}

}  // namespace gputach
