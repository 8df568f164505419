#include "app/report_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/html.h"
#include "app/run_reader.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/cut_out.h"
#include "image/jpeg.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kPicturePx = 900;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Chart.js, its licence, our scripts, and the data that it draws. data: a JSON object.
std::string page(const std::string& kind, const std::string& title, const std::string& lead, const std::string& data) {
  return page_head(title) +
         fmt::format(
             "<p class=kind>{}</p><h1>{}</h1>\n<p class=about>{}</p>\n<div id=page><noscript>The charts and tables of "
             "this page are drawn by "
             "a script in it, which is switched off here.</noscript></div>\n"
             "<p class=\"dim small\">Charts by Chart.js, MIT licence; the licence is in the source of this page.</p>\n"
             "<script type=\"application/json\" id=data>{}</script>\n<script>\n/*\n{}*/\n{}\n</script>\n<script>\n"
             "{}\n{}\n{}\n</script>\n</html>\n",
             kind, escaped(title), escaped(lead), json_for_page(data), chart_licence(), chart_script(), charts_script(),
             evaluation_script(), run_script());
}

// The run's pictures inside the page, shrunk.
Json embedded_pictures(const fs::path& folder) {
  Json pictures = Json::array();
  for (const char* name : kRunPictures) {
    if (file_stamp(folder / name).empty()) continue;
    try {
      const std::string jpeg = encode_jpeg(shrunk(load_image(folder / name).image, kPicturePx), 80);
      pictures.push_back({{"name", name}, {"src", "data:image/jpeg;base64," + base64(jpeg)}});
    } catch (const Error&) {
      // Half written, or no picture: not shown.
    }
  }
  return pictures;
}

// "yolov3 at 416 on data.yaml, 25 epochs, batch 8, seed 0"
std::string lead_of(const OptionTexts& options) {
  const auto option = [&](const char* name) -> std::string {
    const auto found = std::ranges::find(options, name, &OptionTexts::value_type::first);
    return found == options.end() ? "?" : found->second;
  };
  if (options.empty()) return "";
  const bool timed = parse_duration(option("time")).value_or(0) > 0;
  const std::string length = timed ? option("time") : option("epochs") + " epochs";
  return fmt::format("{} at {} on {}; {}, batch {}, seed {}", option("model"), option("imgsz"), option("data"), length,
                     option("batch"), option("seed"));
}

bool needs_no_quotes(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("-_./,:=+@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !word.empty() && std::ranges::all_of(word, plain);
}

}  // namespace

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (needs_no_quotes(word)) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

std::string repeat_command(const fs::path& folder) {
  if (file_stamp(folder / "args.toml").empty()) return "";  // of another program
  return shell_line({"yolov3", "train", "--config", (folder / "args.toml").string()});
}

std::string run_page(const fs::path& folder, bool ended) {
  RunReader reader(folder);
  reader.refresh();
  Json run = reader.json(seconds_since_1970());
  if (ended && run["state"] == "running") run["state"] = "stopped";
  std::optional<std::string> report;
  try {
    report = read_report(folder);
  } catch (const Error& error) {
    run["problems"].push_back(error.what());
  }
  // report.json goes in as it is.
  const std::string data =
      fmt::format(R"({{"run":{},"report":{},"pictures":{},"command":{}}})", dump(run), report.value_or("null"),
                  dump(embedded_pictures(folder)), dump(repeat_command(folder)));
  return page("training run", folder.string(), lead_of(read_run_options(folder)), data);
}

std::string evaluation_page(const EvaluationFacts& facts, const std::string& report_json) {
  std::vector<std::string> words = {"yolov3", "eval"};
  words.insert(words.end(), facts.arguments.begin(), facts.arguments.end());
  Json rest = {{"args", option_texts(facts.options_toml)}, {"command", shell_line(words)}};
  if (facts.images_per_second > 0) rest["images_per_second"] = facts.images_per_second;
  if (facts.peak_gb > 0) rest["peak_gb"] = facts.peak_gb;
  std::string data = dump(rest);
  data.insert(1, fmt::format(R"("run":null,"report":{},)", report_json));
  return page("evaluation", facts.title, facts.lead, data);
}

void write_run_page(const fs::path& folder) {
  try {
    write_file(folder / "report.html", run_page(folder, true));
    log_info("report: {}", (folder / "report.html").string());
  } catch (const std::exception& error) {
    log_warning("report.html could not be written: {}", error.what());
  }
}

}  // namespace yolov3
