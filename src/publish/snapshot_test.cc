#include "publish/snapshot.h"

#include <gtest/gtest.h>

#include <thread>

namespace gputach {
namespace {

TEST(Snapshot, EachFormIsMadeOnceAndSharedByAllThreads) {
  Sample sample;
  sample.entities.emplace_back(Scope::gpu, 0u);
  sample.entities[0].condition = Status::ok;
  for (Reading& reading : sample.entities[0].readings) reading = Reading::missing(Status::unsupported);
  const Snapshot snapshot(sample);
  std::vector<const StatsPage*> pages(4);
  std::vector<std::thread> threads;
  for (auto& page : pages) threads.emplace_back([&] { page = &snapshot.stats(MissingFields::listed_in_body); });
  for (auto& thread : threads) thread.join();
  for (const auto* page : pages) EXPECT_EQ(page, pages[0]);
  EXPECT_NE(pages[0]->body.find("\"unsupported\":[\"utilization_percent\""), std::string::npos);
  EXPECT_EQ(snapshot.stats(MissingFields::in_header).body.find("unsupported"), std::string::npos);
}

}  // namespace
}  // namespace gputach
