#include "relay/gateway_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/response_head.h"
#include "relay/upstream_head.h"

namespace gputach::relay {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(GatewayError, SaysItInTheShapeThatOpenAiClientsParse) {
  const http::Content content = gateway_error(GatewayFault::refused);
  EXPECT_EQ(content.status, 502);
  EXPECT_EQ(content.body, R"({"error":{"message":"the engine refused the connection","type":"server_error",)"
                          R"("code":"connection_refused"}})");
  EXPECT_EQ(content.fields,
            "Content-Type: application/json\r\nCache-Control: no-store\r\n"
            "Proxy-Status: gputach; error=connection_refused\r\n");
}

TEST(GatewayError, MapsEachSituationToItsStatusAndErrorType) {
  const struct {
    GatewayFault fault;
    int status;
    std::string_view error;
    bool retry_after;
  } expected[] = {
      {GatewayFault::path_denied, 403, "http_request_denied", false},
      {GatewayFault::request_malformed, 400, "http_request_error", false},
      {GatewayFault::request_timeout, 408, "http_request_error", false},
      {GatewayFault::loop, 502, "proxy_loop_detected", false},
      {GatewayFault::draining, 503, "destination_unavailable", true},
      {GatewayFault::queue_full, 503, "connection_limit_reached", true},
      {GatewayFault::engine_starting, 503, "connection_refused", true},
      {GatewayFault::refused, 502, "connection_refused", false},
      {GatewayFault::connect_timeout, 504, "connection_timeout", false},
      {GatewayFault::closed_early, 502, "connection_terminated", false},
      {GatewayFault::response_malformed, 502, "http_protocol_error", false},
      {GatewayFault::response_head_too_large, 502, "http_response_header_section_size", false},
      {GatewayFault::response_incomplete, 502, "http_response_incomplete", false},
      {GatewayFault::internal, 500, "proxy_internal_error", false},
  };
  for (const auto& row : expected) {
    const http::Content content = gateway_error(row.fault);
    EXPECT_EQ(content.status, row.status) << row.error;
    EXPECT_THAT(content.fields, HasSubstr("error=" + std::string(row.error) + "\r\n"));
    EXPECT_EQ(content.fields.contains("Retry-After: "), row.retry_after) << row.error;
  }
}

TEST(GatewayError, IsAValidResponseForEveryFault) {
  for (std::size_t i = 0; i < gateway_fault_count; ++i) {
    const http::Content content = gateway_error(static_cast<GatewayFault>(i), "why");
    std::string bytes;
    http::append_response_head(bytes, content, "", "", http::AfterResponse::close);
    UpstreamHead head;
    const auto outcome = parse_upstream_head(bytes, 0, 4096, Answering::other, head);
    ASSERT_EQ(outcome.state, http::HeadState::complete) << bytes;
    EXPECT_FALSE(head.reason.empty()) << "no reason phrase for " << head.status;
    EXPECT_EQ(content.status == 503, content.fields.contains("Retry-After: ")) << bytes;
  }
}

TEST(GatewayError, TellsClientFaultsFromServerFaults) {
  EXPECT_THAT(gateway_error(GatewayFault::request_malformed).body, HasSubstr(R"("type":"invalid_request_error")"));
  EXPECT_THAT(gateway_error(GatewayFault::internal).body, HasSubstr(R"("type":"server_error")"));
}

TEST(GatewayError, EscapesTheDetailInBothPlaces) {
  const http::Content content = gateway_error(GatewayFault::response_malformed, "a \"b\"\\\r\nX: \xc3\xa4");
  EXPECT_THAT(content.body, HasSubstr(R"(not valid HTTP: a \"b\"\\\r\nX: )"));
  EXPECT_THAT(content.fields, HasSubstr(R"(; details="a \"b\"\\??X: ??")"
                                        "\r\n"));
  EXPECT_THAT(content.fields, Not(HasSubstr("\nX:")));
}

}  // namespace
}  // namespace gputach::relay
