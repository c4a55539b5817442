// Purpose: one thing that has figures (today: a GPU): who it is, how it is, and one reading per metric of its scope.
// Units: those of the catalogue.
// Owns: its strings and readings; a value, copyable and comparable.
// Threads: one while it is filled, any afterwards.
#pragma once

#include <cassert>
#include <string>
#include <vector>

#include "base/limits.h"
#include "model/catalogue.h"
#include "model/reading.h"

namespace gputach {

struct Entity {
  Scope scope = Scope::gpu;
  unsigned index = 0;  // the driver's own number, never renumbered by us
  std::string name;
  std::string uuid;
  // ok, or why this entity as a whole has no figures; `fault` then says it in words ("GPU is lost").
  Status condition = Status::not_read;
  std::string fault;
  std::vector<Reading> readings;

  Entity() : Entity(Scope::gpu, 0) {}
  Entity(Scope scope_, unsigned index_) : scope(scope_), index(index_), readings(metric_count(scope_)) {}

  [[nodiscard]] const Reading& operator[](MetricId metric) const {
    assert(metric.scope == scope);
    return readings[metric.column];
  }
  [[nodiscard]] Reading& operator[](MetricId metric) {
    assert(metric.scope == scope);
    return readings[metric.column];
  }
  bool operator==(const Entity&) const = default;
};

}  // namespace gputach
