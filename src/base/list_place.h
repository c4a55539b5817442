// Purpose: a place in a list for as long as a scope or an object lasts, whatever ends it.
// Owns: the element, not the list, which must outlive it.
// Threads: those of the list.
// Fails: by the list's bad_alloc, in the constructor.
#pragma once

#include <list>
#include <utility>

namespace gputach {

template <class T>
class [[nodiscard]] ListPlace {
 public:
  ListPlace(std::list<T>& list, T element) : list_(list), place_(list.insert(list.end(), std::move(element))) {}
  ~ListPlace() { list_.erase(place_); }
  ListPlace(const ListPlace&) = delete;
  ListPlace& operator=(const ListPlace&) = delete;

  [[nodiscard]] T& operator*() const { return *place_; }
  [[nodiscard]] T* operator->() const { return &*place_; }

 private:
  std::list<T>& list_;
  typename std::list<T>::iterator place_;
};

}  // namespace gputach
