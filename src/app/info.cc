// yolov3 info
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/model_option.h"
#include "app/options.h"
#include "app/program.h"
#include "app/program_facts.h"
#include "app/report_file.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/usage.h"
#include "engine/dnnl_engine.h"
#include "net/cfg.h"
#include "net/models.h"
#include "net/summary.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

struct InfoCommand {
  ModelChoice model;
  std::string json;
  int classes = 80;
  ImageSize imgsz;
};

std::string dumped(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string program_text(const Json& facts) {
  return fmt::format(
      "yolov3 {}, {} build, {}\nlibraries  {}\noneDNN     {}\nLibTorch   {}\nengines    {}\nCPU        {}\nfeatures   "
      "{}\nthreads    "
      "{} of {} CPUs\n",
      facts["version"].get<std::string>(), facts["build"].get<std::string>(), facts["compiler"].get<std::string>(),
      facts["libraries"].get<std::string>(), facts["onednn"].get<std::string>(), facts["torch"].get<std::string>(),
      fmt::join(available_engines(), ", "), facts["cpu"].get<std::string>(), facts["cpu_features"].get<std::string>(),
      facts["threads"].get<int>(), facts["cpus"].get<int>());
}

// The model without its numbers.
struct Described {
  std::string title;
  NetworkSpec spec;
  std::vector<std::string> names;
  std::map<std::string, std::string> facts;
};

Described describe_model(const InfoCommand& c) {
  Described d;
  const std::string& name = c.model.model;
  if (!c.model.weights.empty()) {
    Model model = load_chosen(c.model).model;
    d = {c.model.weights.string(), std::move(model.spec), std::move(model.names), std::move(model.facts)};
  } else if (ends_with_ignoring_case(name, ".cfg")) {
    d.title = name;
    d.spec = parse_cfg(read_file(name), name).spec;
  } else {
    d.title = name;
    ModelOptions options;
    options.classes = c.classes;
    d.spec = make_model(name, options);
  }
  if (c.imgsz.width > 0) d.spec = with_input_size(std::move(d.spec), c.imgsz.width, c.imgsz.height);
  return d;
}

// What running it on the CPU takes, beside the weights themselves. Empty for networks that no head makes runnable.
std::vector<std::pair<std::string, DnnlMemory>> memory_of(const Described& d) {
  std::vector<std::pair<std::string, DnnlMemory>> rows;
  if (!is_detector(d.spec)) return rows;
  for (const char* precision : {"f32", "bf16"}) {
    if (precision == std::string("bf16") && !cpu_computes_bf16()) continue;
    rows.emplace_back(precision, dnnl_memory(d.spec, 1, precision));
  }
  return rows;
}

Json json_of(const Described& d) {
  Json json{{"model", d.title}};
  json.update(Json::parse(model_json(d.spec)));
  for (const auto& [precision, memory] : memory_of(d)) {
    json["memory"][precision] = {{"maps_bytes", memory.maps}, {"packed_weights_bytes", memory.weights}};
  }
  json["names"] = d.names;
  json["facts"] = d.facts;
  return json;
}

std::string text_of(const Described& d) {
  std::string out = fmt::format("{}\n{}", d.title, layer_table(d.spec));
  if (!out.ends_with('\n')) out += '\n';
  for (const auto& [precision, memory] : memory_of(d)) {
    out += fmt::format("memory to run one picture in {}: maps {:.1f} MB in one arena, packed weights {:.1f} MB\n",
                       precision, static_cast<double>(memory.maps) * 1e-6, static_cast<double>(memory.weights) * 1e-6);
  }
  if (!d.names.empty()) out += fmt::format("classes: {}\n", fmt::join(d.names, ", "));
  for (const auto& [key, value] : d.facts) out += fmt::format("{}: {}\n", key, value);
  return fit_for_terminal(out);
}

}  // namespace

int run_info(const std::vector<std::string>& arguments) {
  InfoCommand c;
  Options options("info",
                  "a model's layers and size; without a model: this build, its libraries, the CPU and the engines");
  options.example("yolov3 info", "what this program was built with and what it can run on");
  options.example("yolov3 info --model yolov3 --imgsz 608", "layers, shapes, parameters and operations");
  options.example("yolov3 info --weights best.h5 --json -", "the same of a trained model, for programs");
  options
      .add("model", &c.model.model,
           "yolov3, yolov3-spp, yolov3-tiny or a Darknet FILE.cfg; with --weights, the network of .weights and Keras' "
           "weights")
      .alias("cfg")
      .placeholder("NAME|FILE.cfg");
  options
      .add("weights", &c.model.weights,
           "a model file, which also knows its class names and how it was trained; or Darknet's or Keras' weights")
      .placeholder("FILE");
  add_names_option(options, c.model);
  options.add("classes", &c.classes, "of a model by name").range(1, 100000);
  options.add("imgsz", &c.imgsz, "network input in pixels, multiples of 32; 0 = the model's own")
      .alias("img-size")
      .alias("img");
  options.add("json", &c.json, "write it as JSON instead; - = stdout").placeholder("FILE|-");
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  if (options.was_given("classes") && (!c.model.weights.empty() || ends_with_ignoring_case(c.model.model, ".cfg"))) {
    fail_usage("--classes goes with --model NAME; model and cfg files say their own");
  }
  check_report_file("--json", c.json, ReportKind::json, {}, {c.model.weights, c.model.model, c.model.names});
  if (c.model.model.empty() && c.model.weights.empty()) {
    options.allow_only({"json"}, "without --model or --weights, info describes the program, not a model");
    const Json facts = program_facts();
    c.json.empty() ? print(program_text(facts)) : write_text(c.json, dumped(facts));
    return 0;
  }
  if (c.model.weights.empty() && !c.model.names.empty()) {
    fail_usage("--names has no effect here: it goes with --weights");
  }
  const Described model = describe_model(c);
  c.json.empty() ? print(text_of(model)) : write_text(c.json, dumped(json_of(model)));
  return 0;
}

}  // namespace yolov3
