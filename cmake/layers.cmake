# gputach_layer(folder deps...): one static library per folder of src/, made of its *.cc files and linked to the
# named folders only; its *_test.cc files become one test binary, so that a test is found beside its source.
function(gputach_layer folder)
  string(REPLACE "/" "_" name ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|_bench|/main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  set(kind PUBLIC)
  if(sources)
    add_library(gputach_${name} STATIC ${sources})
    target_link_libraries(gputach_${name} PRIVATE gputach_options)
  else()
    set(kind INTERFACE)
    add_library(gputach_${name} INTERFACE)
  endif()
  target_include_directories(gputach_${name} ${kind} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(gputach_${name} ${kind} Threads::Threads ${CMAKE_DL_LIBS})
  foreach(dependency ${ARGN})
    string(REPLACE "/" "_" dependency ${dependency})
    target_link_libraries(gputach_${name} ${kind} gputach_${dependency})
  endforeach()

  if(GPUTACH_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE gputach_${name} gputach_options GTest::gtest_main GTest::gmock)
    gtest_discover_tests(${name}_test TEST_PREFIX "${folder}: " DISCOVERY_TIMEOUT 60
      PROPERTIES TIMEOUT 120 LABELS unit
      ENVIRONMENT "GPUTACH_TEST_SIM=${CMAKE_BINARY_DIR}/libnvidia-ml.so.1")
  endif()
endfunction()
