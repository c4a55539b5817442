// GPUs that were lost and come back at other places of the enumeration.
#include <gtest/gtest.h>

#include <utility>

#include "sources/nvml/fake_driver.h"
#include "sources/nvml/nvml_source.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;
using nvml::Return;

class Order : public ::testing::Test {
 protected:
  ManualClock clock;
  nvml::FakeDriver driver{4};
  std::unique_ptr<NvmlReader> reader;
  std::vector<Entity> entities;

  void start() {
    reader = std::make_unique<NvmlReader>(driver.library(), NvmlOptions(), clock);
    ASSERT_EQ(reader->open(), driver.gpus.size());
    entities.resize(driver.gpus.size());
    for (unsigned slot = 0; slot < entities.size(); ++slot) ASSERT_TRUE(reader->prepare_device(slot, entities[slot]));
    read();
  }
  void read() {
    for (unsigned slot = 0; slot < entities.size(); ++slot) reader->read_device(slot, entities[slot]);
  }
  void lose(unsigned index) {
    for (const auto& [symbol, address] : nvml::fake::symbols()) driver.gpus[index]->always(symbol, Return::gpu_is_lost);
  }
  void repair_all() {
    for (const auto& gpu : driver.gpus) gpu->scripts.clear();
  }
};

TEST_F(Order, TwoThatHaveChangedPlacesNeedAFreshEnumeration) {
  start();
  lose(1);
  lose(2);
  read();
  EXPECT_FALSE(reader->needs_restart());
  repair_all();
  std::swap(driver.gpus[1], driver.gpus[2]);
  clock.advance(1s);
  read();
  EXPECT_TRUE(reader->needs_restart()) << "or each would stand in the other's slot for ever";
  for (const unsigned slot : {1u, 2u}) EXPECT_EQ(entities[slot].condition, Status::lost) << "never as the other one";
  start();
  for (unsigned slot = 0; slot < entities.size(); ++slot) {
    EXPECT_EQ(entities[slot].condition, Status::ok);
    EXPECT_EQ(entities[slot].uuid, driver.gpus[slot]->uuid);
  }
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(Order, OneThatIsGoneIsNoReasonForIt) {
  start();
  const auto gone = driver.gpus[1];
  lose(1);
  driver.gpus.erase(driver.gpus.begin() + 1);
  for (int second = 0; second < 5; ++second) {
    clock.advance(1s);
    read();
    EXPECT_FALSE(reader->needs_restart()) << "2 stands at place 1 now, and is read by the handle it has";
    EXPECT_EQ(entities[2].condition, Status::ok);
  }
}

}  // namespace
}  // namespace gputach
