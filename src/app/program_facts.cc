#include "app/program_facts.h"

#include <omp.h>

#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "engine/dnnl_engine.h"
#include "engine/engine.h"
#include "engine/torch_engine.h"

namespace yolov3 {

nlohmann::ordered_json program_facts() {
  nlohmann::ordered_json json;
  json["version"] = YOLOV3_VERSION;
  json["build"] = build_type();
  json["compiler"] = "g++ " __VERSION__;
  json["libraries"] = YOLOV3_LIBRARIES;
  json["onednn"] = dnnl_description();
  json["torch"] = torch_description();
  json["engines"] = available_engines();
  json["cpu"] = cpu_model_name();
  json["cpu_features"] = to_string(cpu_features());
  json["cpus"] = available_cpus();
  json["threads"] = omp_get_max_threads();
  return json;
}

std::string build_type() { return *YOLOV3_BUILD_TYPE != '\0' ? YOLOV3_BUILD_TYPE : "(no build type)"; }

}  // namespace yolov3
