#include "app/run_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxTableBytes = 32 << 20, kMaxOptionsBytes = 1 << 20, kMaxReportBytes = 16 << 20;
constexpr size_t kMaxCurves = 24, kMaxTagBytes = 200, kMaxEventFiles = 1000, kMaxEntries = 10000;
constexpr double kQuietSeconds = 120;
// Of the events only what results.csv does not have.
constexpr std::array kCurvePrefixes = {"lr", "loss/", "speed/", "memory/"};

bool is_events_file(const fs::path& file) { return file.filename().string().starts_with("events.out.tfevents."); }

// Regular files of the folder that are event files, by name. Nothing when the folder cannot be read.
std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  size_t entries = 0;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end && entries < kMaxEntries;
       it.increment(ignored), ++entries) {
    if (is_events_file(it->path()) && it->is_regular_file(ignored)) files.push_back(it->path());
    if (files.size() == kMaxEventFiles) break;
  }
  std::ranges::sort(files);
  return files;
}

double changed_at(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return 0;
  return static_cast<double>(facts.st_mtim.tv_sec) + 1e-9 * static_cast<double>(facts.st_mtim.tv_nsec);
}

double last_change(const fs::path& folder) {
  double last = std::max({changed_at(folder / "results.csv"), changed_at(folder / "args.toml"),
                          changed_at(folder / "report.json"), changed_at(folder / "weights/last.h5")});
  for (const fs::path& file : event_files(folder)) last = std::max(last, changed_at(file));
  return last;
}

double last_number(const std::vector<double>* values) {
  if (values == nullptr) return -1;
  for (size_t i = values->size(); i-- > 0;) {
    if (!std::isnan((*values)[i])) return (*values)[i];
  }
  return -1;
}

// The row with the best mAP50, or nothing.
std::optional<size_t> best_row(const RunTable& table) {
  const std::vector<double>* map50 = table.column("metrics/mAP_0.5");
  std::optional<size_t> best;
  for (size_t i = 0; map50 != nullptr && i < map50->size(); ++i) {
    if (!std::isnan((*map50)[i]) && (!best || (*map50)[i] > (*map50)[*best])) best = i;
  }
  return best;
}

// Of the parts that there are: other programs divide the loss otherwise.
double last_loss(const RunTable& table) {
  double loss = -1;
  for (const std::string& name : table.columns) {
    const double part = name.starts_with("train/") && name.ends_with("_loss") ? last_number(table.column(name)) : -1;
    if (part >= 0) loss = std::max(loss, 0.0) + part;
  }
  return loss;
}

void judge(const RunTable& table, RunSummary& out) {
  out.epochs_done = static_cast<int>(std::clamp(last_number(table.column("epoch")) + 1, 0.0, 1e9));
  out.seconds = last_number(table.column("time"));
  out.loss = last_loss(table);
  const std::optional<size_t> best = best_row(table);
  if (!best) return;
  out.map50 = (*table.column("metrics/mAP_0.5"))[*best];
  const std::vector<double>* map = table.column("metrics/mAP_0.5:0.95");
  if (map != nullptr && !std::isnan((*map)[*best])) out.map50_95 = (*map)[*best];
}

// A run writes after every update, and its report when it ends: by a signal, --time or --patience before its last epoch.
// One that has been quiet for long, by its own measure, is not going on either.
std::string state_of(const fs::path& folder, const RunSummary& run, double now) {
  if (run.epochs > 0 && run.epochs_done >= run.epochs) return "finished";
  if (changed_at(folder / "report.html") >= run.updated) return "stopped";
  const double epoch = run.epochs_done > 0 && run.seconds > 0 ? run.seconds / run.epochs_done : 0;
  return now - run.updated < std::max(kQuietSeconds, 2 * epoch) ? "running" : "stopped";
}

RunTable read_table(const fs::path& folder) {
  return parse_run_table(read_file(folder / "results.csv", kMaxTableBytes));
}

// The digits that a float needs, in lists too: toml++ writes 0.8 as 0.80000000000000004.
std::string text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  std::ostringstream out;
  if (const auto* array = node.as_array()) {
    std::string list;
    for (const toml::node& item : *array) list += (list.empty() ? "" : ", ") + text_of(item);
    return "[" + list + "]";
  } else if (const auto* table = node.as_table()) {
    out << toml::toml_formatter{*table, toml::format_flags::none};
  } else {
    node.visit([&out](const auto& value) {
      if constexpr (toml::is_value<decltype(value)>) out << value;
    });
  }
  return out.str();
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json table_json(const RunTable& table) {
  Json columns = Json::array();
  for (const std::vector<double>& column : table.values) {
    Json values = Json::array();
    for (const double value : column) values.push_back(number(value));
    columns.push_back(std::move(values));
  }
  return {{"columns", table.columns}, {"values", std::move(columns)}};
}

Json curve_json(const BoundedSeries& series) {
  Json steps = Json::array(), values = Json::array();
  for (const BoundedSeries::Point& point : series.points()) {
    steps.push_back(point.last);
    // Six digits say all that a float does.
    values.push_back(std::isfinite(point.value()) ? Json(std::stod(fmt::format("{:.6g}", point.value())))
                                                  : Json(nullptr));
  }
  return {{"steps", std::move(steps)}, {"values", std::move(values)}};
}

}  // namespace

bool is_run_folder(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "results.csv", ignored) || fs::is_regular_file(folder / "args.toml", ignored) ||
         !event_files(folder).empty();
}

std::string file_stamp(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return "";
  return fmt::format("{}-{}-{}", facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
}

RunSummary summarize_run(const fs::path& folder, double now) {
  RunSummary run;
  try {
    judge(read_table(folder), run);
  } catch (const Error&) {
    // No row yet, or a file that RunReader tells about.
  }
  bool timed = false;  // then --epochs does not count
  for (const auto& [key, value] : read_run_options(folder)) {
    if (key == "epochs") {
      run.epochs = static_cast<int>(std::clamp<int64_t>(parse_integer(value).value_or(0), 0, 1000000000));
    }
    if (key == "time") timed = parse_duration(value).value_or(0) > 0;
  }
  if (timed) run.epochs = 0;
  refresh_state(folder, now, run);
  return run;
}

void refresh_state(const fs::path& folder, double now, RunSummary& run) {
  run.updated = last_change(folder);
  run.state = state_of(folder, run, now);
}

OptionTexts option_texts(const std::string& toml) {
  OptionTexts options;
  try {
    const toml::table table = toml::parse(toml);
    for (const auto& [key, node] : table) {
      if (key.str() != "command") options.emplace_back(key.str(), text_of(node));
    }
  } catch (const toml::parse_error&) {
    options.clear();
  }
  return options;
}

OptionTexts read_run_options(const fs::path& folder) {
  try {
    return option_texts(read_file(folder / "args.toml", kMaxOptionsBytes));
  } catch (const Error&) {
    return {};
  }
}

void RunReader::refresh() {
  const std::string stamp = file_stamp(folder_ / "results.csv");
  if (stamp != table_stamp_) {
    try {
      table_problem_.clear();
      table_ = stamp.empty() ? RunTable{} : read_table(folder_);
      table_stamp_ = stamp;
      if (!table_.columns.empty() && table_.column("epoch") == nullptr) {
        table_problem_ = "results.csv: expected a first line of names, with epoch among them";
      }
    } catch (const Error& error) {
      table_problem_ = error.what();
    }
  }
  read_events();
}

void RunReader::read_events() {
  for (const fs::path& file : event_files(folder_)) {
    const auto same = [&](const EventReader& reader) { return reader.path() == file; };
    if (std::ranges::none_of(events_, same)) events_.emplace_back(file);
  }
  for (EventReader& reader : events_) {
    reader.read([this](const ScalarPoint& point) {
      const auto wanted = [&](const char* prefix) { return point.tag.starts_with(prefix); };
      if (point.tag.size() > kMaxTagBytes || std::ranges::none_of(kCurvePrefixes, wanted)) return;
      auto found = curves_.find(point.tag);
      if (found == curves_.end()) {
        if (curves_.size() == kMaxCurves) return;
        found = curves_.emplace(std::string(point.tag), BoundedSeries()).first;
      }
      found->second.add(point.step, point.value);
    });
  }
}

Json RunReader::json(double now) const {
  const RunSummary summary = summarize_run(folder_, now);
  Json json = {{"folder", folder_.string()},
               {"state", summary.state},
               {"updated", summary.updated},
               {"epochs", summary.epochs},
               {"epochs_done", summary.epochs_done}};
  json["args"] = read_run_options(folder_);
  json["csv"] = table_json(table_);
  json["curves"] = Json::object();
  for (const auto& [tag, series] : curves_) json["curves"][tag] = curve_json(series);
  json["pictures"] = Json::array();
  for (const char* name : kRunPictures) {
    const std::string stamp = file_stamp(folder_ / name);
    if (!stamp.empty()) json["pictures"].push_back({{"name", name}, {"stamp", stamp}});
  }
  json["report_stamp"] = file_stamp(folder_ / "report.json");
  json["problems"] = Json::array();
  if (!table_problem_.empty()) json["problems"].push_back(table_problem_);
  for (const EventReader& reader : events_) {
    if (!reader.damage().empty()) json["problems"].push_back(reader.damage());
  }
  return json;
}

std::optional<std::string> read_report(const fs::path& folder) {
  const fs::path file = folder / "report.json";
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return std::nullopt;
  std::string text = read_file(file, kMaxReportBytes);
  check(text.starts_with('{') && Json::accept(text), "{}: expected a JSON object", file.string());
  return text;
}

}  // namespace yolov3
