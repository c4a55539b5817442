#include "base/build_info.h"
#include "base/text_buffer.h"
#include "routes/handlers.h"
#include "routes/site.h"

namespace gputach {

http::Response handle_version(const Call&) {
  TextBuffer out;
  out << R"({"name":"gputach","version":)";
  out.json_string(build_info::version);
  out << R"(,"commit":)";
  out.json_string(build_info::commit);
  out << R"(,"compiler":)";
  out.json_string(build_info::compiler);
  out << '}';
  return json_response(200, out.take());
}

http::Response handle_traffic(const Call& call) {
  if (!call.site.settings().traffic) return error_response(503, "not known yet");
  return json_response(200, call.site.settings().traffic());
}

http::Response handle_configuration(const Call& call) {
  if (!call.site.settings().configuration) return error_response(503, "not known yet");
  return json_response(200, call.site.settings().configuration());
}

// Both lists leave out what does not exist for those who ask.
http::Response handle_route_list(const Call& call) {
  TextBuffer out;
  out << R"({"routes":[)";
  for (bool first = true; const Route& route : routes()) {
    if (!is_served(route.exposure, call.entrance)) continue;
    out << (first ? "" : ",") << R"({"path":)";
    out.json_string(route.path);
    out << R"(,"methods":["GET","HEAD","OPTIONS"],"exposure":)";
    out.json_string(to_string(route.exposure));
    out << R"(,"help":)";
    out.json_string(route.help);
    out << '}';
    first = false;
  }
  out << "]}";
  return json_response(200, out.take());
}

// The table's texts are ours and hold nothing that HTML would read as markup; a test sees to that.
http::Response handle_index(const Call& call) {
  TextBuffer out;
  out << "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>gputach</title>\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem}"
         "td{padding:.2rem 1rem .2rem 0;vertical-align:top}</style>\n<h1>gputach "
      << build_info::version << "</h1>\n<table>\n";
  for (const Route& route : routes()) {
    if (!is_served(route.exposure, call.entrance)) continue;
    out << "<tr><td><a href=\"" << route.path << "\"><code>" << route.path << "</code></a></td><td>" << route.help
        << "</td></tr>\n";
  }
  out << "</table>\n";
  auto content = std::make_shared<http::Content>();
  content->fields =
      "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n";
  content->body = out.take();
  return {std::move(content), {}, false};
}

http::Response handle_root(const Call&) {
  auto content = std::make_shared<http::Content>();
  content->status = 302;
  content->fields = "Location: /proxy/\r\nCache-Control: no-store\r\n";
  return {std::move(content), {}, false};
}

}  // namespace gputach
