#include "sources/nvml/returns.h"

#include <gtest/gtest.h>

#include <set>

namespace gputach::nvml {
namespace {

std::set<int> codes_with(Status status) {
  std::set<int> codes;
  for (const ReturnInfo& row : known_returns())
    if (row.status == status) codes.insert(static_cast<int>(row.code));
  return codes;
}

std::set<int> codes_with(Reaction reaction) {
  std::set<int> codes;
  for (const ReturnInfo& row : known_returns())
    if (row.reaction == reaction) codes.insert(static_cast<int>(row.code));
  return codes;
}

TEST(Returns, EveryPublishedCodeHasARow) {
  std::set<int> known;
  for (const ReturnInfo& row : known_returns()) known.insert(static_cast<int>(row.code));
  std::set<int> published = {999};
  for (int code = 0; code <= 30; ++code) published.insert(code);
  EXPECT_EQ(known, published);
}

TEST(Returns, EveryRowIsFoundByItsCode) {
  for (const ReturnInfo& row : known_returns()) {
    EXPECT_EQ(info_of(row.code).text, row.text);
    EXPECT_EQ(info_of(row.code).code, row.code);
  }
}

TEST(Returns, StatusesAreThoseThatClientsAreTold) {
  EXPECT_EQ(codes_with(Status::ok), (std::set{0}));
  EXPECT_EQ(codes_with(Status::unsupported), (std::set{3, 12, 22, 24, 26, 30}));
  EXPECT_EQ(codes_with(Status::driver_too_old), (std::set{13, 25}));
  EXPECT_EQ(codes_with(Status::no_permission), (std::set{4}));
  EXPECT_EQ(codes_with(Status::lost), (std::set{15}));
  EXPECT_EQ(codes_with(Status::timed_out), (std::set{10}));
}

TEST(Returns, ReactionsSeparateTheDeviceFromTheProcess) {
  EXPECT_EQ(codes_with(Reaction::none), (std::set{0}));
  EXPECT_EQ(codes_with(Reaction::permanent), (std::set{3, 4, 12, 13, 22, 24, 25, 26, 30}));
  EXPECT_EQ(codes_with(Reaction::device_down), (std::set{8, 11, 15, 16, 17, 28}));
  EXPECT_EQ(codes_with(Reaction::restart), (std::set{1, 9, 18}));
}

TEST(Returns, TextsAreNvidiasOwn) {
  EXPECT_EQ(text_of(Return::gpu_is_lost), "GPU is lost");
  EXPECT_EQ(text_of(Return::driver_not_loaded), "Driver Not Loaded");
  EXPECT_EQ(text_of(Return::unknown), "Unknown Error");
}

TEST(Returns, ACodeFromTheFutureIsAnOrdinaryFailureWithItsNumber) {
  for (const int code : {31, 1234, -1}) {
    EXPECT_EQ(text_of(Return{code}), "unknown error " + std::to_string(code));
    EXPECT_EQ(info_of(Return{code}).status, Status::failed);
    EXPECT_EQ(info_of(Return{code}).reaction, Reaction::skip);
    EXPECT_EQ(info_of(Return{code}).code, Return{code});
  }
}

}  // namespace
}  // namespace gputach::nvml
