# cmake -DOUTPUT=x.cc -P embed_scenarios.cmake a.toml b.toml ...: writes the definition of embedded_scenarios().
set(rows "")
set(is_scenario FALSE)
foreach(i RANGE ${CMAKE_ARGC})
  set(path "${CMAKE_ARGV${i}}")
  if(is_scenario AND path)
    get_filename_component(name "${path}" NAME_WLE)
    file(READ "${path}" text)
    string(APPEND rows "    {\"${name}\", R\"toml(${text})toml\"},\n")
  elseif(path MATCHES "embed_scenarios\\.cmake$")
    set(is_scenario TRUE)
  endif()
endforeach()
file(WRITE "${OUTPUT}" "#include \"embedded.h\"

namespace gputach::sim {

std::span<const EmbeddedScenario> embedded_scenarios() {
  static constexpr EmbeddedScenario scenarios[] = {
${rows}  };
  return scenarios;
}

}  // namespace gputach::sim
")
