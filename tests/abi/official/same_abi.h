// Purpose: whether one of our types is, for a caller of the library, the same as one of nvml.h.
// Source: the generated file next to it specialises Official for every struct, enum and handle of abi.h.
#pragma once

#include <cstddef>
#include <type_traits>

namespace gputach::abi_check {

// What a type of abi.h is called in nvml.h.
template <class Ours>
struct Official {
  using type = void;
};

template <class Ours, class Theirs>
consteval bool same_value() {
  if constexpr (std::is_const_v<Ours> || std::is_const_v<Theirs>) {
    return std::is_const_v<Ours> == std::is_const_v<Theirs> &&
           same_value<std::remove_const_t<Ours>, std::remove_const_t<Theirs>>();
  } else if constexpr (!std::is_void_v<typename Official<Ours>::type>) {
    return std::is_same_v<typename Official<Ours>::type, Theirs>;
  } else if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) {
    return same_value<std::remove_pointer_t<Ours>, std::remove_pointer_t<Theirs>>();
  } else if constexpr (std::is_array_v<Theirs>) {
    return sizeof(Ours) == sizeof(Theirs) && same_value<typename Ours::value_type, std::remove_extent_t<Theirs>>();
  } else if constexpr (std::is_enum_v<Theirs>) {
    // An enum of theirs for which we have no type of our own travels as a plain integer.
    return std::is_integral_v<Ours> && sizeof(Ours) == sizeof(Theirs);
  } else if constexpr (std::is_integral_v<Ours> && std::is_integral_v<Theirs>) {
    // Not is_same: a 64-bit integer is `long` here and `long long` there.
    return sizeof(Ours) == sizeof(Theirs) && std::is_signed_v<Ours> == std::is_signed_v<Theirs> &&
           std::is_same_v<Ours, char> == std::is_same_v<Theirs, char>;
  } else {
    return std::is_same_v<Ours, Theirs>;
  }
}

template <class Ours, class Theirs>
struct SameFunction : std::false_type {};

template <class OurResult, class... Ours, class TheirResult, class... Theirs>
  requires(sizeof...(Ours) == sizeof...(Theirs))
struct SameFunction<OurResult(Ours...), TheirResult(Theirs...)>
    : std::bool_constant<same_value<OurResult, TheirResult>() && (same_value<Ours, Theirs>() && ...)> {};

template <class Ours, class Theirs>
consteval bool same_layout() {
  return sizeof(Ours) == sizeof(Theirs) && alignof(Ours) == alignof(Theirs) && std::is_standard_layout_v<Ours>;
}

// Enumerators keep the type of their enum, macros are plain integers.
template <class Ours, class Theirs>
consteval bool same_number(Ours ours, Theirs theirs) {
  return static_cast<long long>(ours) == static_cast<long long>(theirs);
}

}  // namespace gputach::abi_check
