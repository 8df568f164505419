#include "eval/report_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "data/cut_out.h"
#include "eval/report.h"
#include "image/jpeg.h"

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1, kPicturePx = 320, kQuality = 82;
constexpr std::array kMissKinds = {"unseen", "loose", "wrong class"};
constexpr std::array kAlarmKinds = {"background", "loose", "duplicate", "wrong class"};

Json rounded(double value) { return std::isfinite(value) ? Json(std::round(value * 1e4) / 1e4) : Json(nullptr); }

template <class Items>
Json rounded_list(const Items& items) {
  Json list = Json::array();
  for (const double value : items) list.push_back(rounded(value));
  return list;
}

Json box_json(const ExactBox& b) {
  const auto tenth = [](double value) { return std::round(value * 10) / 10; };
  return {tenth(b.x), tenth(b.y), tenth(b.x + b.width), tenth(b.y + b.height)};
}

Json split_json(const DatasetStats& stats) {
  Json json = {{"pictures", stats.pictures}, {"background", stats.background}, {"objects", stats.objects}};
  json["class_objects"] = Json::array();
  for (const ClassStats& one : stats.classes) json["class_objects"].push_back(one.objects);
  json["sizes_under"] = stats.under;
  return json;
}

template <class Value>
Json curve(const Value& value) {
  Json points = Json::array();
  for (size_t i = 0; i < kCurvePoints; ++i) points.push_back(rounded(value(i)));
  return points;
}

Json curves_json(const Metrics& metrics) {
  std::vector<ClassCurves> all;
  Json classes = Json::array();
  for (const ClassMetrics& one : metrics.classes) {
    const ClassCurves& c = one.curves;
    all.push_back(c);
    classes.push_back({{"precision", curve([&](size_t i) { return c.precision(i); })},
                       {"recall", curve([&](size_t i) { return c.recall(i); })},
                       {"f1", curve([&](size_t i) { return c.f1(i); })},
                       {"precision_at_recall", rounded_list(c.precision_at_recall)}});
  }
  const MeanCurves mean = mean_curves(all);
  Json all_json = {{"precision", rounded_list(mean.precision)},
                   {"recall", rounded_list(mean.recall)},
                   {"f1", rounded_list(mean.f1)},
                   {"precision_at_recall", rounded_list(mean.precision_at_recall)},
                   {"best_score", static_cast<double>(mean.best) / (kCurvePoints - 1)}};
  return {{"all", all_json}, {"classes", classes}};
}

Json calibration_json(const Reliability& calibration) {
  Json bins = Json::array();
  for (const Reliability::Bin& bin : calibration.bins) {
    bins.push_back({bin.detections, bin.right, rounded(bin.score_sum)});
  }
  return {{"expected_error", rounded(calibration.expected_error())}, {"bins", bins}};
}

// Of a hundred classes nearly all pairs are never confused: the others only, [truth, answer, times].
Json confusion_json(const ConfusionMatrix& confusion) {
  Json cells = Json::array();
  for (int truth = 0; truth <= confusion.background(); ++truth) {
    for (int answer = 0; answer <= confusion.background(); ++answer) {
      if (confusion.at(truth, answer) > 0) cells.push_back({truth, answer, confusion.at(truth, answer)});
    }
  }
  return cells;
}

template <size_t kKinds>
Json kinds_json(const std::array<const char*, kKinds>& names, const std::array<int64_t, kKinds>& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < kKinds; ++i) json[names[i]] = counts[i];
  return json;
}

Box box_of(const ExactBox& b) {
  return {static_cast<float>(b.x), static_cast<float>(b.y), static_cast<float>(b.x + b.width),
          static_cast<float>(b.y + b.height)};
}

struct Scene {
  int64_t picture = 0;
  ExactBox box;
  std::optional<ExactBox> other;
};

// The box that the case is about in red, the other one dashed: docs/report.md.
Image draw(const Scene& scene, const Image& whole) {
  const auto other = scene.other ? std::optional(box_of(*scene.other)) : std::nullopt;
  return cut_out(whole, box_of(scene.box), other, kPicturePx);
}

void add_picture(Json& json, const Scene& scene, const JudgedPictures& pictures) {
  json["image"] = pictures.name(scene.picture);
  if (!pictures.load) return;
  try {
    const std::string jpeg = encode_jpeg(draw(scene, pictures.load(scene.picture)), kQuality);
    json["picture"] = "data:image/jpeg;base64," + base64(jpeg);
  } catch (const Error&) {
    json["picture"] = nullptr;
  }
}

Json misses_json(const ReportData& data, const JudgedPictures& pictures) {
  Json list = Json::array();
  for (const Miss& miss : data.judgement->findings.misses) {
    Json json = {{"class", miss.class_id},
                 {"box", box_json(miss.box)},
                 {"kind", kMissKinds[static_cast<size_t>(miss.kind)]},
                 {"score", rounded(miss.score)},
                 {"overlap", rounded(miss.overlap)}};
    if (miss.answer) json["answer"] = {{"class", miss.answer->class_id}, {"score", rounded(miss.answer->score)}};
    add_picture(json, {miss.picture, miss.box, miss.answer ? std::optional(miss.answer->box) : std::nullopt}, pictures);
    list.push_back(std::move(json));
  }
  return list;
}

Json alarms_json(const ReportData& data, const JudgedPictures& pictures) {
  Json list = Json::array();
  for (const FalseAlarm& alarm : data.judgement->findings.false_alarms) {
    Json json = {{"class", alarm.class_id},
                 {"box", box_json(alarm.box)},
                 {"kind", kAlarmKinds[static_cast<size_t>(alarm.kind)]},
                 {"score", rounded(alarm.score)},
                 {"overlap", rounded(alarm.overlap)}};
    if (alarm.object) json["object"] = {{"class", alarm.object->class_id}};
    add_picture(json, {alarm.picture, alarm.box, alarm.object ? std::optional(alarm.object->box) : std::nullopt},
                pictures);
    list.push_back(std::move(json));
  }
  return list;
}

Json judgement_json(const ReportData& data, const JudgedPictures& pictures) {
  const Judgement& j = *data.judgement;
  const Findings& f = j.findings;
  Json json = {{"split", j.split}, {"epoch", j.epoch ? Json(*j.epoch) : Json(nullptr)}};
  json["metrics"] = Json::parse(metrics_json(j.metrics, data.names));
  json["curves"] = curves_json(j.metrics);
  json["calibration"] = calibration_json(j.metrics.reliability);
  json["working_point"] = {{"score", f.options.score}, {"iou", f.options.iou}};
  json["confusion"] = confusion_json(f.confusion);
  json["sizes"] = {{"limits", SizeCounts::kLimitsPx}, {"objects", f.sizes.objects}, {"found", f.sizes.found}};
  json["miss_kinds"] = kinds_json(kMissKinds, f.miss_kinds);
  json["alarm_kinds"] = kinds_json(kAlarmKinds, f.alarm_kinds);
  json["misses"] = misses_json(data, pictures);
  json["false_alarms"] = alarms_json(data, pictures);
  return json;
}

}  // namespace

JudgedPictures pictures_of(const Dataset& dataset) {
  const auto example = [&dataset](int64_t i) -> const Example& { return dataset.examples[static_cast<size_t>(i)]; };
  return {[example](int64_t i) { return example(i).image.string(); },
          [example](int64_t i) { return load_example(example(i)).image; }};
}

std::string report_json(const ReportData& data, const JudgedPictures& pictures) {
  Json json = {{"version", kVersion}, {"names", data.names}, {"net", {data.net_width, data.net_height}}};
  json["splits"] = Json::object();
  for (const auto& [name, stats] : data.splits) json["splits"][name] = split_json(stats);
  json["judgement"] = data.judgement ? judgement_json(data, pictures) : Json(nullptr);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
