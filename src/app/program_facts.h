// What this program is and what it runs on: for `info`, and so that a figure of `bench` says where it was measured.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace yolov3 {

// version, build, compiler, libraries, torch, engines, cpu, cpu_features, cpus, threads.
nlohmann::ordered_json program_facts();

std::string build_type();  // "Release", ...; "(no build type)" where CMake was given none

}  // namespace yolov3
